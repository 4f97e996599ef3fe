//! Pieces of tensors, and how a piece of a value is computed from pieces of its operands.

use std::ops::Range;

use crate::graph::{Graph, ValueId};
use crate::ops::{Join, Op, piece_op, rules};
use crate::types::{Size, Type};

/// A stretch of each axis of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Piece(pub Vec<Range<u64>>);

impl Piece {
    /// All of a tensor.
    pub fn whole(ty: &Type) -> Piece {
        Piece(ty.dims().into_iter().map(|size| 0..size as u64).collect())
    }

    /// Whether it is all of a tensor.
    pub fn is_whole(&self, ty: &Type) -> bool {
        *self == Piece::whole(ty)
    }

    /// Whether no element lies in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().any(Range::is_empty)
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.0.iter().map(|range| range.end.saturating_sub(range.start)).product()
    }

    /// Whether every element of `other` lies in it.
    pub fn contains(&self, other: &Piece) -> bool {
        other.is_empty() || self.0.iter().zip(&other.0).all(|(a, b)| a.start <= b.start && b.end <= a.end)
    }

    /// What lies in both.
    pub fn intersection(&self, other: &Piece) -> Piece {
        let both = |(a, b): (&Range<u64>, &Range<u64>)| {
            let start = a.start.max(b.start);
            start..a.end.min(b.end).max(start)
        };
        Piece(self.0.iter().zip(&other.0).map(both).collect())
    }

    /// The smallest piece that has both in it.
    pub fn hull(&self, other: &Piece) -> Piece {
        let join = |(a, b): (&Range<u64>, &Range<u64>)| a.start.min(b.start)..a.end.max(b.end);
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other.clone(),
            (false, true) => self.clone(),
            (false, false) => Piece(self.0.iter().zip(&other.0).map(join).collect()),
        }
    }

    /// Where it lies within `outer`, counted from where that begins.
    pub fn within(&self, outer: &Piece) -> Piece {
        let shift = |(a, of): (&Range<u64>, &Range<u64>)| a.start - of.start..a.end.max(a.start) - of.start;
        Piece(self.0.iter().zip(&outer.0).map(shift).collect())
    }

    /// The type of this piece of a tensor.
    pub fn of(&self, ty: &Type) -> Type {
        let mut ty = ty.clone();
        for (axis, range) in ty.axes.iter_mut().zip(&self.0) {
            axis.size = Size::Known(range.end.saturating_sub(range.start));
        }
        ty
    }
}

/// How a piece of a value is computed.
#[derive(Clone, Debug)]
pub struct Way {
    /// The piece that comes out: what was asked for, or more where the operator cannot be cut there.
    pub piece: Piece,
    /// What computes it.
    pub op: Op,
    /// From which pieces of the operands. Of a `Concat`, empty ones take no part.
    pub args: Vec<Piece>,
}

/// How the smallest piece that has `wanted` in it and that the axis rules allow is computed.
pub fn way(graph: &Graph, value: ValueId, wanted: &Piece) -> Way {
    let mut result = graph.ty(value).clone();
    let operands = graph.args(value);
    let mut types: Vec<Type> = operands.iter().map(|arg| graph.ty(*arg).clone()).collect();
    let mut args: Vec<Piece> = types.iter().map(Piece::whole).collect();
    let mut piece = Piece::whole(&result);
    let mut op = graph.op(value).clone();
    for axis in 0..result.rank() {
        if piece.0[axis] == wanted.0[axis] {
            continue;
        }
        if let Op::Concat { axis: joined } = op
            && joined == axis
        {
            along_joined(axis, &wanted.0[axis], &mut args, &mut types);
            piece.0[axis] = wanted.0[axis].clone();
            result.axes[axis].size = Size::Known(wanted.0[axis].end - wanted.0[axis].start);
            continue;
        }
        let Some(cut) = narrowest(&op, axis, &wanted.0[axis], &types, &result) else { continue };
        let refs: Vec<&Type> = types.iter().collect();
        let (_, range) = cut.cut.result_range(&cut.units, &result).expect("the cut joins along the axis");
        let needs: Vec<_> =
            cut.cut.needs.iter().zip(&refs).map(|(need, ty)| need.range(&cut.units, ty)).collect();
        for ((need, piece), ty) in needs.into_iter().zip(&mut args).zip(&mut types) {
            let Some((at, range)) = need else { continue };
            let start = piece.0[at].start;
            ty.axes[at].size = Size::Known(range.end - range.start);
            piece.0[at] = start + range.start..start + range.end;
        }
        result.axes[axis].size = Size::Known(range.end - range.start);
        piece.0[axis] = range;
        op = cut.op;
    }
    Way { piece, op, args }
}

/// A cut along an axis, the units that make up a piece, and the operator of that piece.
struct Found {
    cut: crate::ops::Cut,
    units: Range<u64>,
    op: Op,
}

/// The cut along `axis` that gives the least beside `wanted`.
fn narrowest(op: &Op, axis: usize, wanted: &Range<u64>, types: &[Type], result: &Type) -> Option<Found> {
    let refs: Vec<&Type> = types.iter().collect();
    let found = (rules(op).cuts)(op, &refs, result).into_iter().filter_map(|cut| {
        let Join::Along { axis: along, unit } = cut.join else { return None };
        let units = wanted.start / unit..wanted.end.div_ceil(unit).min(cut.extent);
        let op = (along == axis).then(|| piece_op(op, &cut, &units, &refs, result))??;
        Some(Found { cut, units, op })
    });
    let width = |found: &Found| {
        let range = found.cut.result_range(&found.units, result).map(|(_, range)| range);
        range.map_or(u64::MAX, |range| range.end - range.start)
    };
    found.min_by_key(width)
}

/// What a stretch of the axis that operands are joined along needs of each.
fn along_joined(axis: usize, wanted: &Range<u64>, args: &mut [Piece], types: &mut [Type]) {
    let mut from = 0;
    for (piece, ty) in args.iter_mut().zip(types) {
        let size = piece.0[axis].end - piece.0[axis].start;
        let cut = |at: u64| at.clamp(from, from + size) - from;
        let (start, end) = (cut(wanted.start), cut(wanted.end));
        let first = piece.0[axis].start;
        piece.0[axis] = first + start..first + end;
        ty.axes[axis].size = Size::Known(end - start);
        from += size;
    }
}
