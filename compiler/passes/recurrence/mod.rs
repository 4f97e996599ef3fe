//! Recurrences: their gradient, and what of them can leave the loop.

mod fission;
mod gradient;

use std::collections::{HashMap, HashSet};

pub use fission::{Wanted, fission};
pub use gradient::gradient;

use crate::graph::{Graph, OriginId, ValueId, rebuild};
use crate::ops::Op;
use crate::ops::scan::Shared;

/// All results of a recurrence, one after the other, as differentiation wants them.
pub fn results(graph: &mut Graph, scan: &Shared, args: &[ValueId], origin: OriginId) -> Vec<ValueId> {
    let result = |result| graph.add(Op::Scan { scan: scan.clone(), result }, args, origin);
    (0..scan.results()).map(result).collect()
}

/// The graph with each recurrence reduced to what must run turn after turn; see [`fission`].
pub fn shrink(old: &Graph) -> Graph {
    let mut used: HashMap<usize, HashSet<usize>> = HashMap::new();
    // Differentiation wanted more of some than was there: then all comes from the larger.
    let mut larger: HashMap<usize, Shared> = HashMap::new();
    let needed = old.needed();
    for value in old.values().filter(|value| needed[value.0 as usize]) {
        if let Op::Scan { scan, result } = old.op(value) {
            let original = scan.extends.as_ref().unwrap_or(scan);
            used.entry(original.key()).or_default().insert(*result);
            if scan.extends.is_some() {
                larger.insert(original.key(), scan.clone());
            }
        }
    }
    let mut made: HashMap<(usize, Vec<ValueId>), Vec<Option<ValueId>>> = HashMap::new();
    rebuild(old, |new, node, args| {
        let Op::Scan { scan, result } = &node.op else { return None };
        let original = scan.extends.as_ref().unwrap_or(scan).key();
        let scan = larger.get(&original).unwrap_or(scan);
        let results = made.entry((original, args.to_vec())).or_insert_with(|| {
            let wanted = |result: usize| match scan.body.outputs[result].value {
                _ if result < scan.states => Wanted::History(result),
                value => Wanted::Stack(value),
            };
            let used = &used[&original];
            let which: Vec<usize> = (0..scan.results()).filter(|result| used.contains(result)).collect();
            let wants: Vec<Wanted> = which.iter().map(|result| wanted(*result)).collect();
            let mut results = vec![None; scan.results()];
            for (result, value) in which.into_iter().zip(fission(new, scan, args, &wants, node.origin)) {
                results[result] = Some(value);
            }
            results
        });
        results[*result]
    })
}
