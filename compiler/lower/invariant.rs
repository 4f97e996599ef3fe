//! Lays out what is the same in every turn as products in the loop want it: a right side whose columns are
//! contiguous is read where it lies, any other is packed anew in every turn.
//!
//! ```text
//! scan(…, w), turn: contract(z, w) over w's last axis   →   scan(…, w, transpose(w)), turn: contract(z, wᵀ)
//! ```

use std::collections::HashMap;

use crate::graph::{Graph, Node, ValueId, rebuild};
use crate::model::Input;
use crate::ops::scan::{Scan, Shared};
use crate::ops::{InputId, Op};
use crate::types::{Axis, DType, Type};

/// Turns from which on a copy costs less than packing; by feel.
const FEW_TURNS: u64 = 4;
/// Axes shorter than this are packed quickly.
const SHORT: usize = 16;

/// The graph with such copies; `None` where none is of use.
pub fn lay_out(old: &Graph) -> Option<Graph> {
    let mut known: HashMap<usize, Option<(Shared, Vec<usize>)>> = HashMap::new();
    for value in old.values() {
        if let Op::Scan { scan, .. } = old.op(value) {
            known.entry(scan.key()).or_insert_with(|| {
                let (scan, copied) = relaid(scan)?;
                Some((Shared::new(scan), copied))
            });
        }
    }
    if known.values().all(Option::is_none) {
        return None;
    }
    let rule = |new: &mut Graph, node: &Node, args: &[ValueId]| {
        let Op::Scan { scan, result } = &node.op else { return None };
        let (scan, copied) = known.get(&scan.key())?.as_ref()?;
        let mut args = args.to_vec();
        for of in copied {
            let copy = new.add(Op::Transpose { order: vec![1, 0] }, &[args[*of]], node.origin);
            args.push(copy);
        }
        Some(new.add(Op::Scan { scan: scan.clone(), result: *result }, &args, node.origin))
    };
    Some(rebuild(old, rule))
}

/// A recurrence that takes some invariants transposed too, as its last operands, and which these are; `None` if it
/// is to stay as it is.
fn relaid(scan: &Scan) -> Option<(Scan, Vec<usize>)> {
    let inner = lay_out(&scan.body);
    let body = inner.as_ref().unwrap_or(&scan.body);
    let long = scan.axis.size.known().is_some_and(|turns| turns >= FEW_TURNS);
    let mut copied: Vec<usize> = Vec::new();
    for value in body.values().filter(|_| long) {
        if let Some(input) = packed(body, value, scan.states + scan.sequences)
            && !copied.contains(&input)
        {
            copied.push(input);
        }
    }
    if copied.is_empty() {
        return inner.map(|body| (Scan { body, extends: None, ..scan.clone() }, copied));
    }
    let mut wider = body.clone();
    let mut inputs = wider.inputs.to_vec();
    for of in &copied {
        let Input { name, ty, span } = inputs[*of].clone();
        let axes: Vec<Axis> = ty.axes.iter().rev().cloned().collect();
        inputs.push(Input { name, ty: Type::new(ty.dtype, axes), span });
    }
    let first = body.inputs.len();
    wider.inputs = inputs.into();
    let body = rebuild(&wider, |new, node, args| {
        let Op::Contract { batch, sum } = &node.op else { return None };
        let Op::Input(of) = new.op(*args.get(1)?) else { return None };
        let place = copied.iter().position(|input| *input == of.0 as usize)?;
        let [(left, 1)] = sum[..] else { return None };
        let copy = new.add(Op::Input(InputId((first + place) as u32)), &[], node.origin);
        let op = Op::Contract { batch: batch.clone(), sum: vec![(left, 0)] };
        Some(new.add(op, &[args[0], copy], node.origin))
    });
    Some((Scan { body, extends: None, ..scan.clone() }, copied))
}

/// The invariant that is the right side of a product and is summed over its contiguous axis, if `value` is such
/// a product; `first`: the first invariant.
fn packed(body: &Graph, value: ValueId, first: usize) -> Option<usize> {
    let Op::Contract { batch, sum } = body.op(value) else { return None };
    let right = body.args(value)[1];
    let Op::Input(input) = body.op(right) else { return None };
    let ty = body.ty(right);
    let fits = batch.is_empty()
        && matches!(sum[..], [(_, 1)])
        && ty.rank() == 2
        && ty.dtype == DType::F32
        && ty.dims().iter().all(|size| *size >= SHORT);
    (fits && input.0 as usize >= first).then_some(input.0 as usize)
}
