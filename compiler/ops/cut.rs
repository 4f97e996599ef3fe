//! How the work of a primitive may be cut into independent pieces: all that partitioning knows of operators.

use std::ops::Range;

use super::{Op, Reduction, Window};
use crate::types::{Axis, Size, Type};

/// One way to cut a primitive's work. It consists of `extent` units, of which a piece does a stretch.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Number of units.
    pub extent: u64,
    /// What becomes of the pieces' results.
    pub join: Join,
    /// What a piece needs of each operand.
    pub needs: Vec<Need>,
}

/// What becomes of the results of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// One after the other along an axis they are the result. A unit is so many indices of that axis; the
    /// last may be short.
    Along {
        /// The result's axis.
        axis: usize,
        /// Indices in one unit.
        unit: u64,
    },
    /// Each has the result's shape, and combined they are the result.
    Partial(Reduction),
}

/// What a piece `s..e` (in units) needs of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// All of it.
    Whole,
    /// Indices `s * unit..e * unit` of an axis.
    Piece {
        /// The operand's axis.
        axis: usize,
        /// Indices in one unit.
        unit: u64,
    },
    /// Indices `start + s..start + e` of an axis.
    Shifted {
        /// The operand's axis.
        axis: usize,
        /// What belongs to unit 0.
        start: u64,
    },
    /// What the windows `s..e` over an axis see: the piece's own and a border.
    Window {
        /// The operand's axis.
        axis: usize,
        /// How windows lie on it.
        window: Window,
    },
    /// Those indices of an axis of windows which see any of `s..e`.
    Seeing {
        /// The operand's axis.
        axis: usize,
        /// How the windows lie on what they see.
        window: Window,
    },
}

impl Cut {
    /// Pieces that are consecutive along axis `axis` of the result, index by index.
    pub fn along(axis: usize, result: &Type, needs: Vec<Need>) -> Cut {
        let extent = size(&result.axes[axis]);
        Cut { extent, join: Join::Along { axis, unit: 1 }, needs }
    }

    /// Pieces of which each gives a part of every element.
    pub fn partial(op: Reduction, along: &Axis, needs: Vec<Need>) -> Cut {
        Cut { extent: size(along), join: Join::Partial(op), needs }
    }

    /// The indices of the result's axis that a piece gives, where pieces join along an axis.
    pub fn result_range(&self, piece: &Range<u64>, result: &Type) -> Option<(usize, Range<u64>)> {
        match self.join {
            Join::Along { axis, unit } => Some((axis, scaled(piece, unit, size(&result.axes[axis])))),
            Join::Partial(_) => None,
        }
    }
}

impl Need {
    /// Indices of which axis of an operand a piece needs; `None` for all of it.
    pub fn range(self, piece: &Range<u64>, operand: &Type) -> Option<(usize, Range<u64>)> {
        match self {
            Need::Whole => None,
            Need::Piece { axis, unit } => Some((axis, scaled(piece, unit, size(&operand.axes[axis])))),
            Need::Shifted { axis, start } => Some((axis, piece.start + start..piece.end + start)),
            Need::Window { axis, window } => Some((axis, seen(window, piece, size(&operand.axes[axis])))),
            Need::Seeing { axis, window } => Some((axis, seeing(window, piece, size(&operand.axes[axis])))),
        }
    }
}

pub(super) fn size(axis: &Axis) -> u64 {
    axis.size.known().expect("only values of a graph are cut, and their sizes are known")
}

fn scaled(piece: &Range<u64>, unit: u64, size: u64) -> Range<u64> {
    (piece.start * unit).min(size)..(piece.end * unit).min(size)
}

fn seen(window: Window, piece: &Range<u64>, size: u64) -> Range<u64> {
    if piece.is_empty() {
        return 0..0;
    }
    let start = (piece.start * window.stride).saturating_sub(window.low);
    let end = ((piece.end - 1) * window.stride + window.extent()).saturating_sub(window.low);
    start.min(size)..end.min(size)
}

fn seeing(window: Window, piece: &Range<u64>, size: u64) -> Range<u64> {
    if piece.is_empty() {
        return 0..0;
    }
    // Where the stride is larger than the window, one that ends just before the piece may be taken in, so
    // that the piece never begins before the first window does.
    let reach = window.extent().max(window.stride);
    let start = (piece.start + window.low + 1).saturating_sub(reach).div_ceil(window.stride);
    let end = (piece.end - 1 + window.low) / window.stride + 1;
    start.min(size)..end.min(size)
}

/// Cuts of what works element by element: along every axis, each operand alike.
pub(super) fn elementwise(_op: &Op, args: &[&Type], result: &Type) -> Vec<Cut> {
    let cut = |axis| Cut::along(axis, result, vec![Need::Piece { axis, unit: 1 }; args.len()]);
    (0..result.rank()).map(cut).collect()
}

/// The primitive that computes a piece from the ranges of its operands: the same, its own sizes and borders
/// adapted. `None` where it must know where in the whole it stands: indices along the counted axis, random
/// numbers, and what is read from a table.
pub fn piece_op(op: &Op, cut: &Cut, piece: &Range<u64>, args: &[&Type], result: &Type) -> Option<Op> {
    let mut cut_result = result.clone();
    let along = cut.result_range(piece, result);
    if let Some((axis, range)) = &along {
        cut_result.axes[*axis].size = Size::Known(range.end - range.start);
    }
    let axes = cut_result.axes;
    Some(match op {
        Op::Input(_)
        | Op::Variable(_)
        | Op::Gradient(_)
        | Op::Slot(_)
        | Op::Receive { .. }
        | Op::Random { .. }
        | Op::Scan { .. } => return None,
        Op::Index { axis, .. } if along.as_ref().is_some_and(|(cut, _)| cut == axis) => return None,
        Op::Index { axis, .. } => Op::Index { axes, axis: *axis },
        Op::Broadcast { from, .. } => Op::Broadcast { axes, from: from.clone() },
        Op::Reshape { .. } => Op::Reshape { axes },
        Op::Slice { axis, .. } if along.as_ref().is_some_and(|(cut, _)| cut == axis) => {
            Op::Slice { axis: *axis, start: Size::Known(0), end: axes[*axis].size.clone() }
        }
        Op::Pad { axis, low, high } => {
            let padding = (low.known()?, high.known()?);
            let (low, high) = border(0, cut, piece, args, *axis).unwrap_or(padding);
            Op::Pad { axis: *axis, low: Size::Known(low), high: Size::Known(high) }
        }
        Op::ScatterAdd { axis, batch, .. } => Op::ScatterAdd { axis: *axis, batch: *batch, axes },
        Op::Convolve(c) => Op::Convolve(cut_convolution(c, 0, cut, piece, args)),
        Op::ConvolveInput(c, _) => Op::ConvolveInput(cut_convolution(c, 0, cut, piece, args), axes),
        Op::ConvolveKernel(c, _) => Op::ConvolveKernel(cut_convolution(c, 0, cut, piece, args), axes),
        Op::Pool(p) => Op::Pool(cut_pooling(p, cut, piece, args)),
        Op::PoolInput(p) => Op::PoolInput(cut_pooling(p, cut, piece, args)),
        Op::Step
        | Op::Seed
        | Op::Training
        | Op::Constant(..)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Select
        | Op::Cast(_)
        | Op::Stop
        | Op::Transpose { .. }
        | Op::Slice { .. }
        | Op::Concat { .. }
        | Op::Gather { .. }
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::Order { .. }
        | Op::Cumulate { .. }
        | Op::Contract { .. } => op.clone(),
    })
}

/// How far a piece reaches over the beginning and the end of what there is of axis `axis` of an operand.
fn border(arg: usize, cut: &Cut, piece: &Range<u64>, args: &[&Type], axis: usize) -> Option<(u64, u64)> {
    match cut.needs[arg] {
        Need::Window { axis: cut_axis, window } if cut_axis == axis && !piece.is_empty() => {
            let have = seen(window, piece, size(&args[arg].axes[axis]));
            let want = (piece.end - piece.start - 1) * window.stride + window.extent();
            let missing = want - (have.end - have.start);
            let low = (window.low + have.start).saturating_sub(piece.start * window.stride).min(missing);
            Some((low, missing - low))
        }
        Need::Seeing { axis: cut_axis, window } if cut_axis == axis && !piece.is_empty() => {
            let windows = seeing(window, piece, size(&args[arg].axes[axis]));
            let low = (window.low + piece.start).saturating_sub(windows.start * window.stride);
            let count = windows.end.saturating_sub(windows.start);
            let want = if count == 0 { 0 } else { (count - 1) * window.stride + window.extent() };
            Some((low, want.saturating_sub(low + piece.end - piece.start)))
        }
        Need::Window { .. }
        | Need::Seeing { .. }
        | Need::Whole
        | Need::Piece { .. }
        | Need::Shifted { .. } => None,
    }
}

fn cut_convolution(
    whole: &super::Convolution,
    arg: usize,
    cut: &Cut,
    piece: &Range<u64>,
    args: &[&Type],
) -> super::Convolution {
    let mut convolution = whole.clone();
    for (i, padding) in convolution.padding.iter_mut().enumerate() {
        *padding = border(arg, cut, piece, args, i + 1).unwrap_or(*padding);
    }
    let channels = args[arg].rank() - 1;
    let by_group = matches!(cut.needs[arg], Need::Piece { axis, .. } if axis == channels);
    if whole.groups > 1 && by_group {
        convolution.groups = piece.end - piece.start;
    }
    convolution
}

fn cut_pooling(whole: &super::Pooling, cut: &Cut, piece: &Range<u64>, args: &[&Type]) -> super::Pooling {
    let mut pooling = whole.clone();
    for (i, padding) in pooling.padding.iter_mut().enumerate() {
        *padding = border(0, cut, piece, args, i + 1).unwrap_or(*padding);
        // Windows that do not overlap: only the last piece reaches over the end.
        let spatial = matches!(cut.needs[0], Need::Piece { axis, .. } if axis == i + 1);
        if spatial && piece.end < cut.extent {
            padding.1 = 0;
        }
    }
    pooling
}
