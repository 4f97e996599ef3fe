//! Convolutions whose groups have one channel in and one out: every channel by itself, many at a time.
//!
//! The sums are those of the general kernels, term for term: fused multiply-adds in the same order and blocks.
//! Only what lies outside an image is left out instead of being multiplied by zero.

use super::contract::{Extent, Output};
use super::lanes::{N, Stretch, load, store, stretches};
use super::patches::Patches;
use super::wide::Job;
use std::ops::Range;

/// One sum for each of [`N`] channels: chains of `block` terms, added in order.
struct Sums {
    total: [f32; N],
    /// Whether `total` counts; else the first chain replaces it.
    begun: bool,
    chain: [f32; N],
    block: usize,
    /// Terms until the chain ends.
    left: usize,
}

impl Sums {
    /// Sums that are added to `held`, or begin with their first chain.
    #[inline(always)]
    fn new(held: Option<[f32; N]>, block: usize) -> Sums {
        let (begun, total) = (held.is_some(), held.unwrap_or_default());
        Sums { total, begun, chain: [0.0; N], block, left: block }
    }

    /// The next term, a · b, or one that is left out.
    #[inline(always)]
    fn add(&mut self, term: Option<([f32; N], [f32; N])>) {
        if self.left == 0 {
            self.end_chain();
        }
        self.left -= 1;
        if let Some((a, b)) = term {
            for ((sum, a), b) in self.chain.iter_mut().zip(a).zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }

    #[inline(always)]
    fn end_chain(&mut self) {
        for (total, chain) in self.total.iter_mut().zip(self.chain) {
            *total = if self.begun { *total + chain } else { chain };
        }
        (self.begun, self.chain, self.left) = (true, [0.0; N], self.block);
    }

    #[inline(always)]
    fn finish(mut self) -> [f32; N] {
        self.end_chain();
        self.total
    }
}

/// y of the forward pass, or dx: for each point the sum over its taps.
pub(super) struct EachPoint<'a> {
    /// All channels at once.
    pub patches: &'a Patches,
    /// The first tap's weights.
    pub weights: *const f32,
    /// Elements of the weights from tap to tap, by axis.
    pub step: [isize; 2],
    /// Where the points go; its columns are channels.
    pub out: &'a Output,
    /// The points, and the blocks of their sums.
    pub extent: &'a Extent,
}

impl Job for EachPoint<'_> {
    #[inline(always)]
    fn run(self) {
        for p in self.extent.rows.clone() {
            let stretch = OnePoint { job: &self, point: self.patches.point(p), to: self.out.at(p) };
            // SAFETY: who makes the job vouches for its operands.
            unsafe { stretches(self.patches.channels, &stretch) };
        }
    }
}

struct OnePoint<'a> {
    job: &'a EachPoint<'a>,
    point: super::patches::Point,
    to: *mut f32,
}

impl Stretch for OnePoint<'_> {
    #[inline(always)]
    unsafe fn channels(&self, from: usize, len: usize) {
        let EachPoint { patches, weights, step, out, extent } = *self.job;
        let to = self.to.wrapping_add(from);
        // SAFETY: the stretch is inside the channels; taps and pixels are inside theirs.
        unsafe {
            let mut sums = Sums::new(out.add.then(|| load(to, len)), extent.block);
            for i in 0..patches.kernel[0] {
                for j in 0..patches.kernel[1] {
                    sums.add(patches.pixel_at(&self.point, [i, j]).map(|pixel| {
                        let w = weights.wrapping_offset(i as isize * step[0] + j as isize * step[1]);
                        (load(pixel.add(from), len), load(w.add(from), len))
                    }));
                }
            }
            let mut value = sums.finish();
            if !out.bias.is_null() {
                let bias = load(out.bias.add(from), len);
                for (value, bias) in value.iter_mut().zip(bias) {
                    *value += bias;
                }
            }
            if out.relu {
                for value in &mut value {
                    *value = if *value < 0.0 { 0.0 } else { *value };
                }
            }
            store(value, to, len);
        }
    }
}

/// dw: for each tap the sum over all points.
pub(super) struct EachTap<'a> {
    /// All channels at once.
    pub patches: &'a Patches,
    /// The gradient at the first point; points follow each other.
    pub gradient: *const f32,
    /// Where the taps go; its columns are channels.
    pub out: &'a Output,
    /// The taps, and the sums over points.
    pub extent: &'a Extent,
}

impl Job for EachTap<'_> {
    #[inline(always)]
    fn run(self) {
        for q in self.extent.rows.clone() {
            let tap = [q / self.patches.kernel[1], q % self.patches.kernel[1]];
            let stretch = OneTap { job: &self, tap, to: self.out.at(q) };
            // SAFETY: who makes the job vouches for its operands.
            unsafe { stretches(self.patches.channels, &stretch) };
        }
    }
}

struct OneTap<'a> {
    job: &'a EachTap<'a>,
    tap: [usize; 2],
    to: *mut f32,
}

impl Stretch for OneTap<'_> {
    #[inline(always)]
    unsafe fn channels(&self, from: usize, len: usize) {
        let EachTap { patches, gradient, out, extent } = *self.job;
        let to = self.to.wrapping_add(from);
        // SAFETY: the stretch is inside the channels; points and pixels are inside theirs.
        unsafe {
            let mut sums = Sums::new(out.add.then(|| load(to, len)), extent.block);
            let mut gradient = gradient.wrapping_add(from);
            let points: Range<usize> = 0..extent.k;
            let mut point = patches.point(0);
            for _ in points {
                sums.add(
                    patches
                        .pixel_at(&point, self.tap)
                        .map(|pixel| (load(pixel.add(from), len), load(gradient, len))),
                );
                gradient = gradient.wrapping_add(patches.channels);
                patches.advance(&mut point);
            }
            store(sums.finish(), to, len);
        }
    }
}
