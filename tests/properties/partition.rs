//! Cutting a graph over devices: every element is what the graph on one device makes it, and nobody waits for ever.

use strata::partition::{Partitioned, partition};
use strata::reference::{Array, step};
use strata::types::DType;
use strata::verify::verify;
use strata_tests::random::{Choices, cases};
use strata_tests::random_graph::random_graph;
use strata_tests::random_homes::random_homes;
use strata_tests::together::{cut, put, step_together};

/// Equal but for the order of sums, which the reference evaluator does not keep.
fn near(a: &Array, b: &Array) -> bool {
    let close = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-12 * (1.0 + a.abs());
    a.shape == b.shape && a.data.iter().zip(&b.data).all(close)
}

/// Every transfer goes from one program to another, once.
fn transfers_fit(partitioned: &Partitioned) {
    use strata::ops::Op;
    for (at, transfer) in partitioned.transfers.iter().enumerate() {
        assert_ne!(transfer.from, transfer.to);
        let sends = |p: &strata::partition::Program| {
            p.graph.sends.iter().filter(|send| send.channel.0 as usize == at).count()
        };
        let receives = |p: &strata::partition::Program| {
            let own =
                |value| matches!(p.graph.op(value), Op::Receive { channel, .. } if channel.0 as usize == at);
            p.graph.values().filter(|value| own(*value)).count()
        };
        for (device, program) in partitioned.programs.iter().enumerate() {
            assert_eq!(sends(program), usize::from(device == transfer.from.0 as usize));
            assert_eq!(receives(program), usize::from(device == transfer.to.0 as usize));
        }
    }
}

#[test]
fn devices_together_compute_what_one_computes() {
    let mut transfers = 0;
    for seed in 0..cases(500) {
        let random = random_graph(seed, 12, DType::F32);
        let graph = &random.graph;
        let mut choices = Choices::new(seed ^ 0x5eed);
        let devices = 1 + choices.below(5);
        let homes = random_homes(graph, devices, &mut choices);
        let partitioned = partition(graph, &homes);
        transfers_fit(&partitioned);
        transfers += partitioned.transfers.len();
        for program in &partitioned.programs {
            verify(&program.graph)
                .unwrap_or_else(|broken| panic!("seed {seed}: {broken}\n{}", program.graph));
        }
        let (outputs, updates) = step(graph, &random.environment);
        let (shards, pieces) = step_together(&partitioned, &random.environment);
        for ((name, whole), shards) in outputs.iter().zip(shards) {
            let mut found = Array::filled(&whole.shape, f64::INFINITY);
            shards.iter().for_each(|(piece, part)| put(&mut found, piece, part));
            assert!(near(&found, whole), "seed {seed}, output {name}\n{graph}\n{homes:?}");
        }
        let mut covered = vec![0; graph.updates.len()];
        for (variable, piece, part) in pieces {
            let at =
                graph.updates.iter().position(|update| update.variable.0 == variable).expect("it is updated");
            assert!(near(&part, &cut(&updates[at], &piece)), "seed {seed}, variable {variable}");
            covered[at] += part.data.len();
        }
        for (at, whole) in updates.iter().enumerate() {
            assert!(covered[at] >= whole.data.len(), "seed {seed}: part of a variable stays as it is");
        }
    }
    assert!(transfers > 2000, "only {transfers} transfers were tried");
}
