//! What goes along one axis, element by element: orders and running sums.
//!
//! Tensors are seen as `[outer, length, inner]`; threads share `outer`. Each line is worked on alone, so no split
//! changes a bit.

use std::ops::Range;

use super::element::Element;

/// Falling order.
pub const DESCENDING: u64 = 1;
/// Sums without the element itself.
pub const EXCLUSIVE: u64 = 2;
/// Sums from the end.
pub const REVERSE: u64 = 4;

/// Which axis, and what happens along it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct LinesDesc {
    /// Indices before the axis.
    pub outer: u64,
    /// Length of the axis.
    pub length: u64,
    /// Indices behind the axis.
    pub inner: u64,
    /// How many of an order are kept.
    pub count: u64,
    /// The dtype of elements: a [`super::element::Kind`].
    pub element: u64,
    /// [`DESCENDING`], [`EXCLUSIVE`] and [`REVERSE`].
    pub flags: u64,
}

/// What an element is sorted by, and where it stands.
type Entry = (u64, u64);

impl LinesDesc {
    /// Bytes of scratch that `order` needs.
    pub fn order_scratch_bytes(&self) -> usize {
        (self.length as usize + 1) * size_of::<Entry>()
    }
}

/// Writes the order of every line of `part`.
///
/// # Safety
/// `x` readable and `y` writable as `desc` says; `scratch` has [`LinesDesc::order_scratch_bytes`] and belongs to the
/// caller alone.
pub unsafe fn order<T: Element>(
    desc: &LinesDesc,
    x: *const T,
    y: *mut i32,
    part: Range<usize>,
    scratch: *mut u8,
) {
    let [length, inner, count] = [desc.length, desc.inner, desc.count].map(|n| n as usize);
    let falling = desc.flags & DESCENDING != 0;
    let entries = scratch.wrapping_add(scratch.align_offset(align_of::<Entry>())).cast::<Entry>();
    for line in part.flat_map(|outer| (0..inner).map(move |inner| (outer, inner))) {
        let (outer, column) = line;
        // SAFETY: the line is one of the tensor's, and there is room for an entry an element.
        unsafe {
            for place in 0..length {
                let rank = (*x.add((outer * length + place) * inner + column)).rank();
                entries.add(place).write((if falling { !rank } else { rank }, place as u64));
            }
            // No two entries are alike, as places differ: so there is one order.
            let entries = std::slice::from_raw_parts_mut(entries, length);
            if count < length && count > 0 {
                entries.select_nth_unstable(count - 1);
            }
            entries[..count].sort_unstable();
            for (i, (_, place)) in entries[..count].iter().enumerate() {
                *y.add((outer * count + i) * inner + column) = *place as i32;
            }
        }
    }
}

/// Writes the running sums of every line of `part`: a chain from +0.
///
/// # Safety
/// `x` readable and `y` writable as `desc` says, without overlap.
pub unsafe fn cumulate<T: Element>(desc: &LinesDesc, x: *const T, y: *mut T, part: Range<usize>) {
    let [length, inner] = [desc.length, desc.inner].map(|n| n as usize);
    let (exclusive, reverse) = (desc.flags & EXCLUSIVE != 0, desc.flags & REVERSE != 0);
    for outer in part {
        for start in (0..inner).step_by(STRIP) {
            let width = STRIP.min(inner - start);
            let mut sums = [T::ZERO; STRIP];
            for turn in 0..length {
                let place = if reverse { length - 1 - turn } else { turn };
                let at = (outer * length + place) * inner + start;
                for (i, sum) in sums[..width].iter_mut().enumerate() {
                    // SAFETY: the element is one of the tensor's.
                    unsafe {
                        let next = sum.plus(*x.add(at + i));
                        *y.add(at + i) = if exclusive { *sum } else { next };
                        *sum = next;
                    }
                }
            }
        }
    }
}

/// Lines that are summed side by side.
const STRIP: usize = 32;
