//! A network trained for a few steps: gradients, updates in place, and the order they need.

use std::sync::Arc;

use strata::graph::{Graph, OriginId, Output, Update, ValueId};
use strata::lower::{LowerOptions, layout, lower, races};
use strata::model::{Input, Variable};
use strata::ops::{Binary, InputId, Op, Reduction, Scalar, Unary, VariableId};
use strata::passes::differentiate::gradients;
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;
use strata_runtime::session::Session;
use strata_tests::primitives::variable;

use crate::machine::{agree, expected, run, tensor};
use crate::primitives::same_bits;

const BATCH: usize = 37;
const SIZES: [usize; 4] = [20, 48, 33, 5];

fn matrix(rows: usize, columns: usize) -> Type {
    Type::new(DType::F32, vec![Axis::sized(rows as u64), Axis::sized(columns as u64)])
}

/// Three layers with biases and relu, the mean of the squared distance to a target, and momentum.
fn network() -> (Graph, Environment) {
    let span = Span::new(strata_grammar::FileId(0), 0, 0);
    let input = |name: &str, columns| Input { name: name.to_string(), ty: matrix(BATCH, columns), span };
    let inputs = Arc::new([input("x", SIZES[0]), input("target", SIZES[3])]);
    let mut variables: Vec<Variable> = Vec::new();
    for (layer, pair) in SIZES.windows(2).enumerate() {
        let bias = Type::new(DType::F32, vec![Axis::sized(pair[1] as u64)]);
        variables.push(variable(&format!("w{layer}"), &matrix(pair[0], pair[1])));
        variables.push(variable(&format!("b{layer}"), &bias));
    }
    let trained = variables.len();
    for i in 0..trained {
        let ty = variables[i].ty.clone();
        variables.push(variable(&format!("v{i}"), &ty));
    }
    let numbers = |ty: &Type, scale: f64, from: usize| {
        let data = (0..ty.elements()).map(|i| scale * (((i * 29 + from * 7) % 31) as f64 / 15.5 - 1.0));
        Array::new(&ty.dims(), data.map(|x| f64::from(x as f32)).collect())
    };
    let environment = Environment {
        inputs: vec![numbers(&matrix(BATCH, SIZES[0]), 1.0, 1), numbers(&matrix(BATCH, SIZES[3]), 1.0, 2)],
        variables: variables
            .iter()
            .enumerate()
            .map(|(i, v)| numbers(&v.ty, if i < trained { 0.3 } else { 0.0 }, i))
            .collect(),
        seed: 1,
        step: 0,
    };
    let mut graph = Graph::new(inputs, variables.into());
    let loss = loss(&mut graph);
    let parameters: Vec<VariableId> = (0..trained as u32).map(VariableId).collect();
    let slopes = gradients(&mut graph, loss, &parameters);
    for (parameter, slope) in parameters.into_iter().zip(slopes) {
        momentum(&mut graph, parameter, VariableId(parameter.0 + trained as u32), slope);
    }
    graph.outputs.push(Output { name: "loss".to_string(), value: loss });
    (graph, environment)
}

fn add(graph: &mut Graph, op: Op, args: &[ValueId]) -> ValueId {
    graph.add(op, args, OriginId(0))
}

fn loss(graph: &mut Graph) -> ValueId {
    let mut x = add(graph, Op::Input(InputId(0)), &[]);
    for layer in 0..3 {
        let w = add(graph, Op::Variable(VariableId(2 * layer)), &[]);
        let b = add(graph, Op::Variable(VariableId(2 * layer + 1)), &[]);
        let product = add(graph, Op::Contract { batch: vec![], sum: vec![(1, 0)] }, &[x, w]);
        let axes = graph.ty(product).axes.clone();
        let b = add(graph, Op::Broadcast { axes, from: vec![1] }, &[b]);
        x = add(graph, Op::Binary(Binary::Add), &[product, b]);
        if layer < 2 {
            let ty = graph.ty(x).clone();
            let zero = graph.filled(0.0, &ty, OriginId(0));
            x = add(graph, Op::Binary(Binary::Max), &[x, zero]);
        }
    }
    let target = add(graph, Op::Input(InputId(1)), &[]);
    let error = add(graph, Op::Binary(Binary::Sub), &[x, target]);
    let square = add(graph, Op::Binary(Binary::Mul), &[error, error]);
    let sum = add(graph, Op::Reduce { op: Reduction::Sum, axes: vec![0, 1] }, &[square]);
    let count = add(graph, Op::Constant(Scalar::new(BATCH as f64), DType::F32), &[]);
    add(graph, Op::Binary(Binary::Div), &[sum, count])
}

/// `velocity = 0.9 velocity + slope`, `parameter = parameter - 0.02 velocity`
fn momentum(graph: &mut Graph, parameter: VariableId, velocity: VariableId, slope: ValueId) {
    let ty = graph.ty(slope).clone();
    let (keep, rate) = (graph.filled(0.9, &ty, OriginId(0)), graph.filled(-0.02, &ty, OriginId(0)));
    let (p, v) = (add(graph, Op::Variable(parameter), &[]), add(graph, Op::Variable(velocity), &[]));
    let kept = add(graph, Op::Binary(Binary::Mul), &[v, keep]);
    let v = add(graph, Op::Binary(Binary::Add), &[kept, slope]);
    let change = add(graph, Op::Binary(Binary::Mul), &[v, rate]);
    let p = add(graph, Op::Binary(Binary::Add), &[p, change]);
    graph.updates.push(Update { variable: velocity, value: v });
    graph.updates.push(Update { variable: parameter, value: p });
}

#[test]
fn one_step_is_what_the_reference_says() {
    let (graph, environment) = network();
    let wanted = expected(&graph, &environment);
    let one = run(&graph, &environment, &LowerOptions::default(), 1);
    agree("a step", &one, &wanted, 1e-5);
    for threads in [2, 3] {
        let more = run(&graph, &environment, &LowerOptions::default(), threads);
        assert!(same_bits(&one, &more), "{threads} threads");
    }
    let plain = LowerOptions { fuse: false, ..LowerOptions::default() };
    assert!(same_bits(&one, &run(&graph, &environment, &plain, 2)));
}

#[test]
fn training_lowers_the_loss() {
    let (graph, environment) = network();
    let layout = layout(&graph.variables);
    let plan = lower(&graph, &layout, &LowerOptions::default());
    races::verify(&plan);
    let mut session = Session::new(layout, 2).unwrap();
    for (variable, value) in graph.variables.iter().zip(&environment.variables) {
        session.set(&variable.name, &tensor(value, DType::F32)).unwrap();
    }
    let inputs = environment.inputs.iter().map(|x| tensor(x, DType::F32)).collect::<Vec<_>>();
    let inputs = [("x", &inputs[0]), ("target", &inputs[1])];
    let executable = session.load(plan).unwrap();
    let losses: Vec<f32> = (0..60)
        .map(|step| session.run(&executable, 1, step, &inputs).unwrap()[0].as_f32().unwrap()[0])
        .collect();
    assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
}

/// Two variables that trade places, one that counts, one that becomes another's old value and one that keeps its
/// own: the old values are read before the new are written.
#[test]
fn updates_read_old_values() {
    let ty = Type::new(DType::F32, vec![Axis::sized(700u64)]);
    let names = ["a", "b", "c", "d", "e"];
    let variables: Vec<Variable> = names.iter().map(|name| variable(name, &ty)).collect();
    let values = (0..names.len())
        .map(|v| Array::new(&[700], (0..700).map(|i| (v * 1000 + i) as f64).collect()))
        .collect();
    let environment = Environment { variables: values, ..Environment::default() };
    let mut graph = Graph::new(Arc::new([]), variables.into());
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|v| add(&mut graph, Op::Variable(VariableId(v)), &[]));
    let sum = add(&mut graph, Op::Binary(Binary::Add), &[c, d]);
    let exp = add(&mut graph, Op::Unary(Unary::Neg), &[sum]);
    for (variable, value) in [(0, b), (1, a), (2, sum), (3, c), (4, e)] {
        graph.updates.push(Update { variable: VariableId(variable), value });
    }
    for (name, value) in [("old a", a), ("new c", sum), ("other", exp)] {
        graph.outputs.push(Output { name: name.to_string(), value });
    }
    let wanted = expected(&graph, &environment);
    for threads in [1, 2, 3] {
        let outcome = run(&graph, &environment, &LowerOptions::default(), threads);
        agree("trading places", &outcome, &wanted, 0.0);
    }
}

/// Rows in reverse need the neighbours' old values, so the new cannot be written over them.
#[test]
fn updates_that_move_elements_are_made_aside() {
    let ty = matrix(30, 30);
    let variables = vec![variable("a", &ty)];
    let values = vec![Array::new(&[30, 30], (0..900).map(f64::from).collect())];
    let environment = Environment { variables: values, ..Environment::default() };
    let mut graph = Graph::new(Arc::new([]), variables.into());
    let a = add(&mut graph, Op::Variable(VariableId(0)), &[]);
    let turned = add(&mut graph, Op::Transpose { order: vec![1, 0] }, &[a]);
    let value = add(&mut graph, Op::Binary(Binary::Add), &[turned, a]);
    graph.updates.push(Update { variable: VariableId(0), value });
    let wanted = expected(&graph, &environment);
    for threads in [1, 2, 3] {
        agree("turned", &run(&graph, &environment, &LowerOptions::default(), threads), &wanted, 0.0);
    }
}
