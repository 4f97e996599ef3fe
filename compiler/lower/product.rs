//! A contraction of general axes as strided matrix products: C\[m, n\] = A\[m, k\] · B\[k, n\], and loops around it.

use strata_runtime::kernels::{ProductDesc, sums};

use super::values::{View, row_major, view};
use crate::graph::{Graph, ValueId};

/// A loop around a product: how often, and by how many elements each operand moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// Number of turns.
    pub count: usize,
    /// Elements of A, B and C from turn to turn.
    pub steps: [i64; 3],
}

/// An operand of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Where it lies.
    View(View),
    /// It must first be copied: axes of the value in the order of the copy.
    Copy(ValueId, Vec<usize>),
}

/// A contraction ready for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// What the kernel is told.
    pub desc: ProductDesc,
    /// Left and right.
    pub operands: [Operand; 2],
    /// From the outermost.
    pub around: Vec<Around>,
}

/// One axis of a contraction: its size and its stride in A, B and C.
#[derive(Clone, Copy, Debug)]
struct Run {
    size: usize,
    steps: [i64; 3],
}

/// The product that computes `value`, which is a contraction over `batch` and `sum`.
pub fn product(graph: &Graph, value: ValueId, batch: &[(usize, usize)], sum: &[(usize, usize)]) -> Product {
    let args = graph.args(value);
    let pick = |pairs: &[(usize, usize)], side: usize| -> Vec<usize> {
        pairs.iter().map(|pair| if side == 0 { pair.0 } else { pair.1 }).collect()
    };
    let mut operands = Vec::new();
    let mut strides: Vec<(Vec<usize>, Vec<i64>)> = Vec::new();
    let mut free = Vec::new();
    for (side, arg) in args.iter().enumerate() {
        let (batch, sum) = (pick(batch, side), pick(sum, side));
        let seen = view(graph, *arg);
        let others: Vec<usize> =
            (0..seen.dims.len()).filter(|axis| !batch.contains(axis) && !sum.contains(axis)).collect();
        let summed = sum.iter().map(|axis| Run { size: seen.dims[*axis], steps: [seen.strides[*axis]; 3] });
        let scattered = side == 0 && is_scattered(graph, value, &seen, &others, batch.len());
        if merge(summed.collect()).len() <= 1 && !scattered {
            strides.push((seen.dims.clone(), seen.strides.clone()));
            operands.push(Operand::View(seen));
        } else {
            let order = [batch, others.clone(), sum].concat();
            let dims: Vec<usize> = order.iter().map(|axis| seen.dims[*axis]).collect();
            let mut packed = vec![0; order.len()];
            for (axis, stride) in order.iter().zip(row_major(&dims)) {
                packed[*axis] = stride;
            }
            strides.push((seen.dims, packed));
            operands.push(Operand::Copy(*arg, order));
        }
        free.push(others);
    }
    let out = row_major(&graph.ty(value).dims());
    let run = |left: Option<usize>, right: Option<usize>, result: Option<usize>| Run {
        size: left.map_or_else(|| strides[1].0[right.expect("an axis has a side")], |l| strides[0].0[l]),
        steps: [
            left.map_or(0, |axis| strides[0].1[axis]),
            right.map_or(0, |axis| strides[1].1[axis]),
            result.map_or(0, |axis| out[axis]),
        ],
    };
    let at = |i: usize| Some(i);
    let batches = batch.iter().enumerate().map(|(i, (l, r))| run(at(*l), at(*r), at(i)));
    let mut around = merge(batches.collect());
    let rows = free[0].iter().enumerate().map(|(i, l)| run(at(*l), None, at(batch.len() + i)));
    let m = take_longest(merge(rows.collect()), &mut around);
    let first = batch.len() + free[0].len();
    let columns = free[1].iter().enumerate().map(|(i, r)| run(None, at(*r), at(first + i)));
    let n = take_longest(merge(columns.collect()), &mut around);
    let sums = merge(sum.iter().map(|(l, r)| run(at(*l), at(*r), None)).collect());
    let k = sums.first().copied().unwrap_or(ONE);
    let sizes = graph.ty(args[0]).dims();
    let desc = ProductDesc {
        m: m.size as u64,
        n: n.size as u64,
        k: k.size as u64,
        a_row: m.steps[0],
        a_column: k.steps[0],
        b_row: k.steps[1],
        b_column: n.steps[1],
        c_row: m.steps[2],
        c_column: n.steps[2],
        sum: sums::axes(&sum.iter().map(|(l, _)| sizes[*l]).collect::<Vec<_>>()),
        flags: 0,
    };
    let around = around.iter().map(|run| Around { count: run.size, steps: run.steps }).collect();
    let [left, right] = <[Operand; 2]>::try_from(operands).expect("there are two sides");
    Product { desc, operands: [left, right], around }
}

/// Whether the rows of the left side lie in another order than those of the result, so that each of several runs of them
/// is a product of its own. Each reads the whole right side; where that has more columns than a run has rows, a copy
/// of the left side costs less.
fn is_scattered(graph: &Graph, value: ValueId, seen: &View, rows: &[usize], batch: usize) -> bool {
    let dims = graph.ty(value).dims();
    let strides = row_major(&dims);
    // Axes of the result: the batch's, the rows', the columns'.
    let columns: usize = dims[batch + rows.len()..].iter().product();
    let run = |(i, axis): (usize, &usize)| Run {
        size: seen.dims[*axis],
        steps: [seen.strides[*axis], 0, strides[batch + i]],
    };
    let runs = merge(rows.iter().enumerate().map(run).collect());
    runs.len() > 1 && runs.iter().all(|run| run.size * FEWER <= columns)
}

/// So many times the rows of a run there must be in columns; by feel.
const FEWER: usize = 2;

/// An axis that is not there. Its strides do not matter; 1 is what kernels like best.
const ONE: Run = Run { size: 1, steps: [1, 1, 1] };

/// Merges neighbouring axes that every operand lays out as one; axes of size one vanish.
fn merge(runs: Vec<Run>) -> Vec<Run> {
    let mut merged: Vec<Run> = Vec::new();
    for run in runs.into_iter().filter(|run| run.size != 1) {
        match merged.last_mut() {
            Some(last) if (0..3).all(|i| last.steps[i] == run.steps[i] * run.size as i64) => {
                last.size *= run.size;
                last.steps = run.steps;
            }
            _ => merged.push(run),
        }
    }
    merged
}

/// The longest run; the others become loops around.
fn take_longest(mut runs: Vec<Run>, around: &mut Vec<Run>) -> Run {
    let longest = runs.iter().enumerate().max_by_key(|(_, run)| run.size).map(|(i, _)| i);
    let taken = longest.map_or(ONE, |i| runs.remove(i));
    around.extend(runs);
    taken
}
