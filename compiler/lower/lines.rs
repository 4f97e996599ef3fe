//! Orders and running sums along one axis, as the kernels of the runtime are told of them.

use strata_runtime::kernels::Entry;
use strata_runtime::kernels::element::Kind;
use strata_runtime::kernels::lines::{DESCENDING, EXCLUSIVE, LinesDesc, REVERSE};

use super::table::TableCall;
use crate::types::Type;

/// The call that puts `x` in order along `axis`, for the first `count`.
pub fn order(x: &Type, axis: usize, descending: bool, count: u64) -> TableCall {
    let flags = if descending { DESCENDING } else { 0 };
    let desc = LinesDesc { count, flags, ..describe(x, axis) };
    let scratch = Some(desc.order_scratch_bytes());
    TableCall { scratch, ..call(Entry::Order, &desc, if descending { "falling" } else { "rising" }) }
}

/// The call that sums `x` up along `axis`.
pub fn cumulate(x: &Type, axis: usize, exclusive: bool, reverse: bool) -> TableCall {
    let flags = if exclusive { EXCLUSIVE } else { 0 } | if reverse { REVERSE } else { 0 };
    let desc = LinesDesc { flags, ..describe(x, axis) };
    let text = match (exclusive, reverse) {
        (false, false) => "running sums",
        (true, false) => "running sums, exclusive",
        (false, true) => "running sums from the end",
        (true, true) => "running sums from the end, exclusive",
    };
    call(Entry::Cumulate, &desc, text)
}

fn describe(x: &Type, axis: usize) -> LinesDesc {
    let dims = x.dims();
    let product = |sizes: &[usize]| sizes.iter().product::<usize>() as u64;
    let length = dims[axis] as u64;
    LinesDesc {
        outer: product(&dims[..axis]),
        length,
        inner: product(&dims[axis + 1..]),
        count: length,
        element: Kind::from(x.dtype).code(),
        flags: 0,
    }
}

fn call(entry: Entry, desc: &LinesDesc, what: &str) -> TableCall {
    let LinesDesc { outer, length, inner, count, .. } = desc;
    TableCall {
        entry,
        desc: bytemuck::bytes_of(desc).to_vec(),
        text: format!("{outer} times {length} times {inner}, {count} of each line, {what}"),
        count: *outer as usize,
        scratch: None,
        faults: false,
    }
}
