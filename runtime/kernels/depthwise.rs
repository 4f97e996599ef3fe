//! Convolutions whose groups have one channel in and one out: every channel by itself, many at a time.
//!
//! The sums are those of the general kernels, term for term: fused multiply-adds in the same order.
//! Only what lies outside an image is left out instead of being multiplied by zero.

use super::contract::{Extent, Output};
use super::lanes::{N, Stretch, load, store, stretches};
use super::patches::Patches;
use super::sums::Leaf;
use super::wide::Job;

/// One sum for each of [`N`] channels. All methods must be inlined.
trait Sum {
    /// The next term, a · b, or one that is left out.
    fn add(&mut self, term: Option<([f32; N], [f32; N])>);

    /// All of it.
    fn finish(self) -> [f32; N];
}

/// A sum that is one chain.
struct Chain([f32; N]);

impl Sum for Chain {
    #[inline(always)]
    fn add(&mut self, term: Option<([f32; N], [f32; N])>) {
        if let Some((a, b)) = term {
            for ((sum, a), b) in self.0.iter_mut().zip(a).zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }

    #[inline(always)]
    fn finish(self) -> [f32; N] {
        self.0
    }
}

/// The chains of `leaves`, joined as they say.
struct Chains<'a> {
    leaves: &'a [Leaf],
    /// Sums that wait for their other half, from the left.
    waiting: Vec<[f32; N]>,
    chain: Chain,
    /// Terms until the chain ends.
    left: usize,
}

impl<'a> Chains<'a> {
    #[inline(always)]
    fn new(leaves: &'a [Leaf]) -> Chains<'a> {
        Chains { leaves, waiting: Vec::new(), chain: Chain([0.0; N]), left: leaves[0].end }
    }

    /// The chain with what waits for it.
    #[inline(always)]
    fn joined(&mut self) -> [f32; N] {
        let mut sum = self.chain.0;
        for other in self.waiting.drain(self.waiting.len() - self.leaves[0].joins..).rev() {
            for (sum, other) in sum.iter_mut().zip(other) {
                *sum += other;
            }
        }
        sum
    }
}

impl Sum for Chains<'_> {
    #[inline(always)]
    fn add(&mut self, term: Option<([f32; N], [f32; N])>) {
        if self.left == 0 {
            let joined = self.joined();
            self.waiting.push(joined);
            self.left = self.leaves[1].end - self.leaves[0].end;
            (self.leaves, self.chain) = (&self.leaves[1..], Chain([0.0; N]));
        }
        self.left -= 1;
        self.chain.add(term);
    }

    #[inline(always)]
    fn finish(mut self) -> [f32; N] {
        self.joined()
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
    /// The points, and the chains of their sums.
    pub extent: &'a Extent<'a>,
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

impl OnePoint<'_> {
    #[inline(always)]
    unsafe fn sum<S: Sum>(&self, mut sum: S, from: usize, len: usize) -> [f32; N] {
        let EachPoint { patches, weights, step, .. } = *self.job;
        for i in 0..patches.kernel[0] {
            for j in 0..patches.kernel[1] {
                sum.add(patches.pixel_at(&self.point, [i, j]).map(|pixel| {
                    let w = weights.wrapping_offset(i as isize * step[0] + j as isize * step[1]);
                    // SAFETY: the stretch is inside the channels; taps and pixels are inside theirs.
                    unsafe { (load(pixel.add(from), len), load(w.add(from), len)) }
                }));
            }
        }
        sum.finish()
    }
}

impl Stretch for OnePoint<'_> {
    #[inline(always)]
    unsafe fn channels(&self, from: usize, len: usize) {
        let EachPoint { out, extent, .. } = *self.job;
        let to = self.to.wrapping_add(from);
        // SAFETY: the stretch is inside the channels.
        unsafe {
            let mut value = match extent.leaves {
                [_] => self.sum(Chain([0.0; N]), from, len),
                leaves => self.sum(Chains::new(leaves), from, len),
            };
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
    /// The taps, and the chains of the sums over points.
    pub extent: &'a Extent<'a>,
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

impl OneTap<'_> {
    #[inline(always)]
    unsafe fn sum<S: Sum>(&self, mut sum: S, from: usize, len: usize) -> [f32; N] {
        let EachTap { patches, gradient, extent, .. } = *self.job;
        let mut gradient = gradient.wrapping_add(from);
        let mut point = patches.point(0);
        for _ in 0..extent.k() {
            sum.add(patches.pixel_at(&point, self.tap).map(|pixel| {
                // SAFETY: the stretch is inside the channels; points and pixels are inside theirs.
                unsafe { (load(pixel.add(from), len), load(gradient, len)) }
            }));
            gradient = gradient.wrapping_add(patches.channels);
            patches.advance(&mut point);
        }
        sum.finish()
    }
}

impl Stretch for OneTap<'_> {
    #[inline(always)]
    unsafe fn channels(&self, from: usize, len: usize) {
        // SAFETY: the stretch is inside the channels.
        unsafe {
            let value = match self.job.extent.leaves {
                [_] => self.sum(Chain([0.0; N]), from, len),
                leaves => self.sum(Chains::new(leaves), from, len),
            };
            store(value, self.to.wrapping_add(from), len);
        }
    }
}
