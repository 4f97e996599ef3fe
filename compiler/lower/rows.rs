//! Picking and adding up slices by position, as the kernels of the runtime are told of it.

use strata_runtime::kernels::Entry;
use strata_runtime::kernels::element::Kind;
use strata_runtime::kernels::rows::{AXES, RowsDesc};

use super::table::TableCall;
use crate::graph::{Graph, ValueId};

/// The call that computes `value`, a gather.
pub fn gather(graph: &Graph, value: ValueId, axis: usize, batch: usize) -> TableCall {
    let args = graph.args(value);
    let desc = describe(graph, value, (args[0], args[1]), axis, batch);
    TableCall {
        entry: Entry::Gather,
        desc: bytemuck::bytes_of(&desc).to_vec(),
        text: text(&desc),
        count: desc.picked() as usize,
        scratch: None,
        faults: true,
    }
}

/// The call that computes `value`, a scatter-add.
pub fn scatter_add(graph: &Graph, value: ValueId, axis: usize, batch: usize) -> TableCall {
    let desc = describe(graph, value, (value, graph.args(value)[0]), axis, batch);
    TableCall {
        entry: Entry::ScatterAdd,
        desc: bytemuck::bytes_of(&desc).to_vec(),
        text: text(&desc),
        count: desc.summed() as usize,
        scratch: Some(desc.scatter_scratch_bytes()),
        faults: true,
    }
}

/// `x` is what has the rows.
fn describe(
    graph: &Graph,
    value: ValueId,
    (x, positions): (ValueId, ValueId),
    axis: usize,
    batch: usize,
) -> RowsDesc {
    let (x, by) = (graph.ty(x), graph.ty(positions));
    let (dims, picks) = (x.dims(), by.dims());
    let product = |sizes: &[usize]| sizes.iter().product::<usize>() as u64;
    let mut shown = [1; AXES];
    let rank = picks.len().min(AXES);
    let (first, rest) = picks.split_at(picks.len() - rank);
    rest.iter().enumerate().for_each(|(i, size)| shown[i] = *size as u64);
    shown[0] *= product(first);
    RowsDesc {
        batch: product(&dims[..batch]),
        before: product(&dims[batch..axis]),
        rows: dims[axis] as u64,
        picks: product(&picks[batch..]),
        width: product(&dims[axis + 1..]),
        element: Kind::from(x.dtype).code(),
        position: Kind::from(by.dtype).code(),
        origin: u64::from(graph.node(value).origin.0),
        order: u64::from(value.0),
        rank: rank as u64,
        dims: shown,
    }
}

fn text(desc: &RowsDesc) -> String {
    let RowsDesc { batch, before, rows, picks, width, .. } = desc;
    format!("{batch} times {before} times {picks} of {rows} rows of {width}")
}
