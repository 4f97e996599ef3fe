//! What a group of devices does in a step: a plan for each, the channels between them, and who has which part of
//! what the caller supplies, gets and keeps.
//!
//! Plain data, as plans are. On a single device everything is one whole piece.

use std::collections::HashSet;
use std::ops::Range;

use crate::kernels::TransferDesc;
use crate::plan::{Layout, Plan, Way};
use crate::tensor::DType;

/// A step of all devices.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Program {
    /// One plan a device.
    pub plans: Vec<Plan>,
    /// What leads from one device to another. Each device sends and receives in the order of their numbers.
    pub channels: Vec<Channel>,
    /// What the caller supplies; a piece's index is one into `Plan::inputs`. An input of a plan that is no piece of
    /// anything is not read, and what has no piece need not be supplied.
    pub inputs: Vec<Whole>,
    /// What the caller gets, in this order; a piece's index is one into `Plan::outputs`. An output of a plan may be no
    /// piece of anything.
    pub outputs: Vec<Whole>,
    /// Where the variables are: the same for all programs of a group.
    pub variables: Vec<Whole>,
}

/// What carries one tensor a step from one device to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Channel {
    /// The device that sends.
    pub from: usize,
    /// The device that receives.
    pub to: usize,
    /// Size of the tensor.
    pub bytes: usize,
    /// Where the tensor comes from; opaque.
    pub origin: u32,
}

/// A tensor as it is without devices, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Whole {
    /// What the caller calls it.
    pub name: String,
    /// What an element is stored as.
    pub dtype: DType,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Where it comes from; opaque.
    pub origin: u32,
    /// Its parts. Those of inputs may be any; those of outputs and variables are either the same or apart, and together
    /// they are the whole.
    pub pieces: Vec<Piece>,
}

/// A part of a tensor that a device has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Piece {
    /// The device.
    pub device: usize,
    /// Which of its inputs, outputs or variables (`Layout::slots`) it is.
    pub index: usize,
    /// The indices of each axis that it has.
    pub part: Vec<Range<usize>>,
}

impl Whole {
    /// A tensor that is on one device.
    pub fn on(device: usize, index: usize, name: &str, dtype: DType, shape: &[usize], origin: u32) -> Whole {
        let part = shape.iter().map(|size| 0..*size).collect();
        let pieces = vec![Piece { device, index, part }];
        Whole { name: name.to_owned(), dtype, shape: shape.to_vec(), origin, pieces }
    }

    /// Whether a piece is all of it.
    pub fn is_all(&self, piece: &Piece) -> bool {
        piece.part.iter().zip(&self.shape).all(|(part, size)| *part == (0..*size))
    }

    /// Pieces of which no two are the same, together the whole.
    pub fn apart(&self) -> Vec<&Piece> {
        let mut seen = HashSet::new();
        self.pieces.iter().filter(|piece| seen.insert(&piece.part)).collect()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bytes()
    }

    /// What is wrong with it. `together`: whether the pieces must make the whole.
    fn fault(&self, together: bool, has: impl Fn(&Piece) -> Option<(DType, Vec<usize>)>) -> Option<String> {
        let inside = |piece: &Piece| {
            let within = |(part, size): (&Range<usize>, &usize)| part.start <= part.end && part.end <= *size;
            piece.part.len() == self.shape.len() && piece.part.iter().zip(&self.shape).all(within)
        };
        for piece in &self.pieces {
            if !inside(piece) {
                return Some(format!("{:?} is no part of {:?}", piece.part, self.shape));
            }
            let part: Vec<usize> = piece.part.iter().map(Range::len).collect();
            match has(piece) {
                None => return Some(format!("device {} has no number {}", piece.device, piece.index)),
                Some(found) if found != (self.dtype, part.clone()) => {
                    let (dtype, shape) = found;
                    let text = format!("device {} has {dtype}{shape:?}", piece.device);
                    return Some(format!("{text} for a part of {}{part:?}", self.dtype));
                }
                Some(_) => {}
            }
        }
        if !together {
            return None;
        }
        let apart = self.apart();
        let volume = |piece: &&Piece| piece.part.iter().map(Range::len).product::<usize>();
        let meet = |a: &Piece, b: &Piece| {
            a.part.iter().zip(&b.part).all(|(a, b)| a.start.max(b.start) < a.end.min(b.end))
        };
        let shared = apart.iter().enumerate().find_map(|(i, a)| {
            apart[i + 1..].iter().find(|b| volume(a) > 0 && volume(b) > 0 && meet(a, b)).map(|b| (a, b))
        });
        if let Some((a, b)) = shared {
            return Some(format!("{:?} and {:?} overlap", a.part, b.part));
        }
        let all = apart.iter().map(volume).sum::<usize>();
        let wanted = self.shape.iter().product::<usize>();
        (all != wanted || apart.is_empty()).then(|| format!("its parts have {all} elements of {wanted}"))
    }
}

impl Program {
    /// The program of a plan that has no other beside it. `read`: which of its inputs it reads.
    pub fn alone(plan: Plan, read: impl Fn(usize) -> bool) -> Program {
        let port = |(i, port): (usize, &crate::plan::Port)| {
            let buffer = plan.buffer(port.buffer);
            Whole::on(0, i, &port.name, buffer.dtype, &buffer.shape, port.origin)
        };
        let mut inputs: Vec<Whole> = plan.inputs.iter().enumerate().map(port).collect();
        for (i, input) in inputs.iter_mut().enumerate().filter(|(i, _)| !read(*i)) {
            debug_assert_eq!(input.pieces[0].index, i);
            input.pieces.clear();
        }
        let outputs = plan.outputs.iter().enumerate().map(port).collect();
        let variables = variables_of(&plan.layout);
        Program { plans: vec![plan], channels: Vec::new(), inputs, outputs, variables }
    }

    /// What is wrong with it, as far as can be seen without running it: a channel that has not just one sender and one
    /// receiver of its size, an end out of order, or a piece that does not fit.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        check_channels(&self.plans, &self.channels)?;
        for (device, plan) in self.plans.iter().enumerate() {
            // In one order on all devices, so that none can wait for ever.
            if let Some([_, late]) = plan.transfers().array_windows().find(|[a, b]| a.channel >= b.channel) {
                return Err(format!("device {device} uses channel {} too late", late.channel));
            }
        }
        let port = |ports: fn(&Plan) -> &[crate::plan::Port], piece: &Piece| {
            let plan = self.plans.get(piece.device)?;
            let buffer = plan.buffers.get(ports(plan).get(piece.index)?.buffer.0 as usize)?;
            Some((buffer.dtype, buffer.shape.clone()))
        };
        let slot = |piece: &Piece| {
            let slot = self.plans.get(piece.device)?.layout.slots.get(piece.index)?;
            Some((slot.dtype, slot.shape.clone()))
        };
        for whole in &self.inputs {
            let fault = whole.fault(false, |piece| port(|plan| &plan.inputs, piece));
            fault.map_or(Ok(()), |fault| Err(format!("input `{}`: {fault}", whole.name)))?;
        }
        for whole in &self.outputs {
            let fault = whole.fault(true, |piece| port(|plan| &plan.outputs, piece));
            fault.map_or(Ok(()), |fault| Err(format!("output `{}`: {fault}", whole.name)))?;
        }
        for whole in &self.variables {
            let fault = whole.fault(true, slot);
            fault.map_or(Ok(()), |fault| Err(format!("variable `{}`: {fault}", whole.name)))?;
        }
        Ok(())
    }
}

/// The variables of a layout that is on one device.
pub fn variables_of(layout: &Layout) -> Vec<Whole> {
    let slots = layout.slots.iter().enumerate();
    slots.map(|(i, slot)| Whole::on(0, i, &slot.name, slot.dtype, &slot.shape, 0)).collect()
}

/// Whether each channel has one sender and one receiver of its size.
///
/// # Errors
/// In words.
pub fn check_channels(plans: &[Plan], channels: &[Channel]) -> Result<(), String> {
    let mut ends = vec![[0, 0]; channels.len()];
    for (device, plan) in plans.iter().enumerate() {
        for transfer in plan.transfers() {
            let (number, way) = (transfer.channel, transfer.way.name());
            let Some(channel) = channels.get(number) else {
                return Err(format!("device {device} would {way} by channel {number}, which is not there"));
            };
            let (end, place) = match transfer.way {
                Way::Send => (channel.from, 0),
                Way::Receive => (channel.to, 1),
            };
            if end != device {
                return Err(format!(
                    "device {device} would {way} by channel {number}, which is device {end}'s"
                ));
            }
            if transfer.bytes != channel.bytes {
                let bytes = (transfer.bytes, channel.bytes);
                return Err(format!(
                    "device {device} would {way} {} bytes by channel {number} of {}",
                    bytes.0, bytes.1
                ));
            }
            let desc = TransferDesc { channel: number as u64, bytes: transfer.bytes as u64 };
            let desc = bytemuck::bytes_of(&desc);
            if plan.data.get(transfer.data..).is_none_or(|data| !data.starts_with(desc)) {
                let text = format!(
                    "device {device} would {way} by channel {number}, and its descriptor says something else"
                );
                return Err(text);
            }
            ends[number][place] += 1;
        }
    }
    for (number, [senders, receivers]) in ends.into_iter().enumerate() {
        if (senders, receivers) != (1, 1) {
            let text =
                format!("channel {number} is sent by {senders} times and received from {receivers} times");
            return Err(text);
        }
        if channels[number].from == channels[number].to {
            return Err(format!("channel {number} leads from device {} to itself", channels[number].from));
        }
    }
    Ok(())
}

/// Calls `run(whole, piece, elements)` for each run of elements that lie side by side in a tensor of `shape` and in
/// its part alike, with where it begins in both.
pub fn runs(shape: &[usize], part: &[Range<usize>], mut run: impl FnMut(usize, usize, usize)) {
    if part.iter().any(Range::is_empty) {
        return;
    }
    // Axes from here on are whole, so that one index of the axis before is one run.
    let split = (0..shape.len()).rev().find(|axis| part[*axis] != (0..shape[*axis])).unwrap_or(0);
    let inner: usize = shape.get(split + 1..).unwrap_or_default().iter().product();
    let length = part.get(split).map_or(1, Range::len) * inner;
    let mut index: Vec<usize> = part[..split.min(part.len())].iter().map(|part| part.start).collect();
    let mut piece = 0;
    loop {
        let outer = index.iter().zip(shape).fold(0, |at, (index, size)| at * size + index);
        let whole = match part.get(split) {
            Some(part) => (outer * shape[split] + part.start) * inner,
            None => 0,
        };
        run(whole, piece, length);
        piece += length;
        let Some(axis) = (0..split).rev().find(|axis| index[*axis] + 1 < part[*axis].end) else { return };
        index[axis] += 1;
        (axis + 1..split).for_each(|axis| index[axis] = part[axis].start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `runs` says, element by element.
    fn pairs(shape: &[usize], part: &[Range<usize>]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        runs(shape, part, |whole, piece, elements| {
            found.extend((0..elements).map(|i| (whole + i, piece + i)))
        });
        found
    }

    /// The same by counting.
    fn counted(shape: &[usize], part: &[Range<usize>]) -> Vec<(usize, usize)> {
        let all = shape.iter().product::<usize>();
        let index = |mut at: usize| {
            let mut index: Vec<usize> = shape.iter().rev().map(|size| (at % size, at /= size).0).collect();
            index.reverse();
            index
        };
        let inside = |at: &usize| index(*at).iter().zip(part).all(|(index, part)| part.contains(index));
        (0..all).filter(inside).enumerate().map(|(piece, whole)| (whole, piece)).collect()
    }

    #[test]
    fn runs_are_what_counting_finds() {
        let shape = [3, 4, 5];
        for a in [0..3, 1..2, 0..2, 3..3] {
            for b in [0..4, 1..3, 3..4] {
                for c in [0..5, 2..5, 0..1] {
                    let part = [a.clone(), b.clone(), c.clone()];
                    assert_eq!(pairs(&shape, &part), counted(&shape, &part), "{part:?}");
                }
            }
        }
        assert_eq!(pairs(&[], &[]), [(0, 0)]);
        assert_eq!(pairs(&[0, 2], &[0..0, 0..2]), []);
        let mut calls = 0;
        runs(&[4, 6], &[1..3, 0..6], |whole, piece, elements| {
            calls += 1;
            assert_eq!((whole, piece, elements), (6, 0, 12));
        });
        assert_eq!(calls, 1);
    }

    #[test]
    fn parts_make_a_whole_or_do_not() {
        let piece = |device, part: &[Range<usize>]| Piece { device, index: 0, part: part.to_vec() };
        let whole = |pieces: &[Piece]| Whole {
            name: "w".into(),
            dtype: DType::F32,
            shape: vec![4, 2],
            origin: 0,
            pieces: pieces.to_vec(),
        };
        let fault = |pieces: &[Piece]| {
            let size = |piece: &Piece| Some((DType::F32, piece.part.iter().map(Range::len).collect()));
            whole(pieces).fault(true, size)
        };
        let (top, rest) = (piece(0, &[0..3, 0..2]), piece(1, &[3..4, 0..2]));
        assert_eq!(fault(&[top.clone(), rest.clone()]), None);
        assert_eq!(fault(&[top.clone(), rest, piece(2, &[0..3, 0..2])]), None);
        assert_eq!(fault(std::slice::from_ref(&top)).as_deref(), Some("its parts have 6 elements of 8"));
        let over = fault(&[top.clone(), piece(1, &[2..4, 0..2])]);
        assert_eq!(over.as_deref(), Some("[0..3, 0..2] and [2..4, 0..2] overlap"));
        let beyond = fault(&[piece(0, &[0..5, 0..2])]);
        assert_eq!(beyond.as_deref(), Some("[0..5, 0..2] is no part of [4, 2]"));
        assert_eq!(fault(&[]).as_deref(), Some("its parts have 0 elements of 8"));
    }
}
