//! Lifting: every primitive over one more axis gives what it gives turn by turn.

use strata::graph::{Graph, OriginId, ValueId};
use strata::model::Input;
use strata::ops::lift::{Lift, lift};
use strata::ops::{InputId, Op};
use strata::reference::{Array, Environment, apply, evaluate};
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;
use strata_tests::primitives::{PRIMITIVES, Primitive, Spread, numbers};
use strata_tests::random::Choices;

const TURNS: usize = 3;

/// Numbers for each turn of an operand that varies, one array for another.
fn operands(primitive: &Primitive, varies: &[bool], choices: &mut Choices) -> Vec<Vec<Array>> {
    let mut operands = Vec::new();
    for ((ty, domain), varies) in primitive.args.iter().zip(varies) {
        let turns = if *varies { TURNS } else { 1 };
        let mut spread = Spread::over(ty.elements() * turns, choices);
        operands.push((0..turns).map(|_| numbers(ty, *domain, &mut spread, choices)).collect());
    }
    operands
}

fn stacked(arrays: &[Array]) -> Array {
    let shape = [&[arrays.len()], &arrays[0].shape[..]].concat();
    Array::new(&shape, arrays.iter().flat_map(|array| array.data.clone()).collect())
}

/// What the lifted primitive gives.
fn lifted(primitive: &Primitive, result: &Type, varies: &[bool], operands: &[Vec<Array>]) -> Array {
    let turns = Axis::named("time", TURNS as u64);
    let input = |(i, ((ty, _), varies)): (usize, (&(Type, _), &bool))| {
        let mut ty: Type = ty.clone();
        if *varies {
            ty.axes.insert(0, turns.clone());
        }
        Input { name: format!("x{i}"), ty, span: Span::default() }
    };
    let inputs = primitive.args.iter().zip(varies).enumerate().map(input).collect();
    let mut graph = Graph::new(inputs, [].into());
    let args = varies
        .iter()
        .enumerate()
        .map(|(i, varies)| (graph.add(Op::Input(InputId(i as u32)), &[], OriginId(0)), *varies));
    let args: Vec<(ValueId, bool)> = args.collect();
    let value = lift(&mut Lift {
        graph: &mut graph,
        op: &primitive.op,
        result: result.clone(),
        args,
        turns,
        origin: OriginId(0),
    });
    let give =
        |(arrays, varies): (&Vec<Array>, &bool)| if *varies { stacked(arrays) } else { arrays[0].clone() };
    let inputs = operands.iter().zip(varies).map(give).collect();
    let environment = Environment { inputs, ..Environment::default() };
    evaluate(&graph, &environment)[value.0 as usize].clone()
}

#[test]
fn lifted_primitives_give_what_every_turn_gives() {
    for (name, draw) in PRIMITIVES {
        // What it draws depends on where in the whole it stands.
        if name == "random" {
            continue;
        }
        for seed in 0..60 {
            let mut choices = Choices::new(seed);
            let primitive = draw(&mut choices, DType::F32);
            let types: Vec<&Type> = primitive.args.iter().map(|(ty, _)| ty).collect();
            let result = primitive.op.infer(&types).expect("drawn operands fit");
            // What does not vary at all is not lifted.
            for mask in usize::from(!types.is_empty())..1 << types.len() {
                let varies: Vec<bool> = (0..types.len()).map(|i| mask >> i & 1 == 1).collect();
                let operands = operands(&primitive, &varies, &mut choices);
                let turn = |turn: usize| {
                    let args: Vec<&Array> = operands.iter().map(|of| &of[turn.min(of.len() - 1)]).collect();
                    apply(&primitive.op, &args, &result)
                };
                let wanted = stacked(&(0..TURNS).map(turn).collect::<Vec<_>>());
                let found = lifted(&primitive, &result, &varies, &operands);
                assert_eq!(found.shape, wanted.shape, "{name}, seed {seed}, {varies:?}: {primitive:?}");
                for (a, b) in found.data.iter().zip(&wanted.data) {
                    let near = a == b || (a - b).abs() <= 1e-12 * b.abs().max(1.0);
                    assert!(near, "{name}, seed {seed}, {varies:?}: {primitive:?}: {a} instead of {b}");
                }
            }
        }
    }
}
