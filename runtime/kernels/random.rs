//! Random numbers by counting: Philox 4×32-10 (Salmon et al., SC 2011).
//!
//! A number is a pure function of (key, stream, step, index): the seed, the hash of a name, the step, and the
//! element's global index. So it does not depend on threads, devices, order or how many were drawn before.
//! One call of the generator with the seed as key and (stream, step) as counter gives the key and the high half
//! of the counter for that name and step; block b then holds the words of the elements 4b to 4b + 3.

use super::math;
use super::wide::{self, Job};
use std::marker::PhantomData;

/// The multipliers of the two products of a round.
const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// What the key grows by from round to round.
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
/// Rounds.
const ROUNDS: u32 = 10;

/// Philox 4×32-10: 128 random bits for a counter and a key.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], [mut k, mut l]) = (counter, key);
    for _ in 0..ROUNDS {
        let left = u64::from(MULTIPLIERS[0]) * u64::from(a);
        let right = u64::from(MULTIPLIERS[1]) * u64::from(c);
        (a, c) = ((right >> 32) as u32 ^ b ^ k, (left >> 32) as u32 ^ d ^ l);
        (b, d) = (right as u32, left as u32);
        k = k.wrapping_add(WEYL[0]);
        l = l.wrapping_add(WEYL[1]);
    }
    [a, b, c, d]
}

/// The stream that belongs to a name: FNV-1a over its bytes, 64 bits. Stable for ever: it is part of what a
/// seed means.
pub fn stream_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Low and high half.
#[inline(always)]
fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// All numbers of one name in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    key: [u32; 2],
    high: [u32; 2],
}

impl Draw {
    /// The numbers of `stream` (see [`stream_of`]) in `step` under the seed `key`.
    pub fn new(key: u64, stream: u64, step: u64) -> Draw {
        let ([s, t], [u, v]) = (halves(stream), halves(step));
        let [a, b, c, d] = philox([s, t, u, v], halves(key));
        Draw { key: [a, b], high: [c, d] }
    }

    /// The 32-bit words of the elements 4·`block` to 4·`block` + 3.
    #[inline(always)]
    fn block(&self, block: u64) -> [u32; 4] {
        let [low, high] = halves(block);
        philox([low, high, self.high[0], self.high[1]], self.key)
    }

    /// 32 random bits for element `index`.
    pub fn bits32(&self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    /// 64 random bits for element `index` (made of the words of the elements 2·index and 2·index + 1).
    pub fn bits64(&self, index: u64) -> u64 {
        let words = self.block(index / 2);
        let pair = (index % 2) as usize * 2;
        u64::from(words[pair]) | u64::from(words[pair + 1]) << 32
    }

    /// A number below `bound` for element `index`, all equally likely up to one part in 2⁶⁴ / bound.
    ///
    /// Zero when `bound` is.
    pub fn below(&self, index: u64, bound: u64) -> u64 {
        ((u128::from(self.bits64(index)) * u128::from(bound)) >> 64) as u64
    }

    /// A number in \[0, 1) for element `index`: a multiple of 2⁻²⁴.
    pub fn uniform(&self, index: u64) -> f32 {
        unit(self.bits32(index))
    }

    /// A normally distributed number for element `index`: Box–Muller on the words of its pair of elements.
    pub fn normal(&self, index: u64) -> f32 {
        let mut words = [0; WORDS];
        words[..4].copy_from_slice(&self.block(index / 4));
        normals(&words)[(index % 4) as usize]
    }

    /// Writes [`Draw::uniform`] of the elements `start`, `start + 1`, … to `out`.
    pub fn fill_uniform(&self, out: &mut [f32], start: u64) {
        wide::run(Fill::<Unit> { draw: self, out, start, shape: PhantomData });
    }

    /// Writes [`Draw::normal`] of the elements `start`, `start + 1`, … to `out`.
    pub fn fill_normal(&self, out: &mut [f32], start: u64) {
        wide::run(Fill::<Bell> { draw: self, out, start, shape: PhantomData });
    }
}

/// The top 24 bits as a number in \[0, 1).
#[inline(always)]
fn unit(word: u32) -> f32 {
    (word >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

/// Normally distributed numbers: each pair's radius from its first word, its angle from the second.
#[inline(always)]
fn normals(words: &[u32; WORDS]) -> [f32; WORDS] {
    const PAIRS: usize = WORDS / 2;
    let (mut radius, mut angle) = ([0f32; PAIRS], [0f32; PAIRS]);
    for i in 0..PAIRS {
        // In (0, 1]: the logarithm stays finite.
        radius[i] = (-2.0 * math::log(1.0 - unit(words[2 * i]))).sqrt();
        angle[i] = std::f32::consts::TAU * unit(words[2 * i + 1]);
    }
    let (mut even, mut odd) = ([0f32; PAIRS], [0f32; PAIRS]);
    for i in 0..PAIRS {
        even[i] = radius[i] * math::cos_of_turn(angle[i]);
    }
    for i in 0..PAIRS {
        odd[i] = radius[i] * math::sin_of_turn(angle[i]);
    }
    let mut out = [0.0; WORDS];
    for (i, out) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        *out = [even[i], odd[i]];
    }
    out
}

/// Blocks that are computed side by side, so that they become vectors.
const BLOCKS: usize = 32;

/// Words of so many blocks.
const WORDS: usize = 4 * BLOCKS;

/// What words become. A method, because unlike a closure's body it can be made to be inlined, without which it
/// would not be compiled for wide vectors.
trait Shape {
    fn of(words: &[u32; WORDS]) -> [f32; WORDS];
}

/// Even over \[0, 1).
struct Unit;

impl Shape for Unit {
    #[inline(always)]
    fn of(words: &[u32; WORDS]) -> [f32; WORDS] {
        let mut out = [0.0; WORDS];
        for (out, &word) in out.iter_mut().zip(words) {
            *out = unit(word);
        }
        out
    }
}

/// Normal.
struct Bell;

impl Shape for Bell {
    #[inline(always)]
    fn of(words: &[u32; WORDS]) -> [f32; WORDS] {
        normals(words)
    }
}

struct Fill<'a, S> {
    draw: &'a Draw,
    out: &'a mut [f32],
    start: u64,
    shape: PhantomData<S>,
}

impl<S: Shape> Job for Fill<'_, S> {
    #[inline(always)]
    fn run(self) {
        let (mut done, len) = (0, self.out.len());
        let mut words = [0; WORDS];
        while done < len {
            let index = self.start.wrapping_add(done as u64);
            for (i, words) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *words = self.draw.block((index / 4).wrapping_add(i as u64));
            }
            let near = S::of(&words);
            let near = &near[(index % 4) as usize..];
            let count = near.len().min(len - done);
            self.out[done..done + count].copy_from_slice(&near[..count]);
            done += count;
        }
    }
}
