//! Splitting a graph: a part of a value depends on nothing but what the axis rules say it demands.

use std::ops::Range;

use strata::graph::{Graph, ValueId};
use strata::ops::Op;
use strata::partition::{Split, demands};
use strata::reference::{Array, Environment, each_index, evaluate};
use strata::types::DType;
use strata_tests::random::Choices;
use strata_tests::random_graph::random_graph;

fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut indices = Vec::new();
    each_index(shape, |index| indices.push(index.to_vec()));
    indices
}

/// Whether an index lies in units `part` of a split.
fn within(index: &[usize], dims: &[usize], split: &Split, part: &Range<usize>) -> bool {
    let at = split.axes.clone().fold(0, |at, axis| at * dims[axis] + index[axis]);
    part.contains(&(at / split.unit))
}

/// Other numbers wherever a part of a value does not look.
fn spoiled(array: &Array, need: Option<&(Split, Range<usize>)>) -> Array {
    let mut spoiled = array.clone();
    for (i, index) in indices(&array.shape).iter().enumerate() {
        let kept = need.is_some_and(|(split, part)| within(index, &array.shape, split, part));
        if !kept {
            spoiled.data[i] = array.data[i] * 0.5 + 0.25;
        }
    }
    spoiled
}

fn leaf(graph: &Graph, value: ValueId) -> bool {
    matches!(graph.op(value), Op::Input(_) | Op::Variable(_) | Op::Seed | Op::Step)
}

/// The splits to try: every axis by itself, and every run of leading axes.
fn splits(dims: &[usize]) -> Vec<(Split, usize)> {
    let alone = (0..dims.len()).map(Split::along);
    let runs = (2..=dims.len()).map(|end| Split { axes: 0..end, unit: 1 });
    let count = |split: Split| {
        let units = dims[split.axes.clone()].iter().product();
        (split, units)
    };
    alone.chain(runs).map(count).filter(|(_, units)| *units > 1).collect()
}

#[test]
fn a_part_depends_only_on_what_it_demands() {
    let (mut tried, mut narrow) = (0, 0);
    for seed in 0..150 {
        let random = random_graph(seed, 10, DType::F32);
        let graph = &random.graph;
        let mut choices = Choices::new(seed);
        let whole = evaluate(graph, &random.environment);
        for value in graph.values().filter(|v| !leaf(graph, *v)) {
            let dims = graph.ty(value).dims();
            for (split, units) in splits(&dims) {
                let start = choices.below(units);
                let part = start..start + 1 + choices.below(units - start);
                let found = demands(graph, [(value, Some(split.clone()))], |v| leaf(graph, v));
                let need = |v: ValueId| found.get(&v).cloned().flatten().map(|split| (split, part.clone()));
                let mut environment: Environment = random.environment.clone();
                for v in graph.values().filter(|v| found.contains_key(v)) {
                    let Some(need) = need(v) else { continue };
                    narrow += 1;
                    if let Op::Input(i) = graph.op(v)
                        && graph.ty(v).dtype.is_float()
                    {
                        let array = &mut environment.inputs[i.0 as usize];
                        *array = spoiled(array, Some(&need));
                    } else if let Op::Variable(i) = graph.op(v) {
                        let array = &mut environment.variables[i.0 as usize];
                        *array = spoiled(array, Some(&need));
                    }
                }
                let changed = evaluate(graph, &environment);
                let (before, after) = (&whole[value.0 as usize], &changed[value.0 as usize]);
                for (i, index) in indices(&dims).iter().enumerate() {
                    let same = before.data[i].to_bits() == after.data[i].to_bits();
                    let inside = within(index, &dims, &split, &part);
                    assert!(same || !inside, "seed {seed}, %{}, {split:?}, part {part:?}:\n{graph}", value.0);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 1000 && narrow > 500, "only {tried} splits and {narrow} narrow demands were tried");
}
