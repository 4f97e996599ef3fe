//! Elementary functions of f32, one element at a time or over arrays at full vector width.
//!
//! An element's bits depend on its argument alone: not on its place in an array, nor on the instruction set.
//! Largest errors in units in the last place, over a dense sweep: exp 0.96, log 0.74, tanh 1.2, sigmoid 2.1,
//! erf 2.0, sin and cos 0.51, pow 0.51. NaN gives NaN; infinities, zeros and denormals are treated as IEEE 754
//! asks (`pow` with all its special cases).

use super::isa::Isa;
use super::wide::{self, Job};

/// A function of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    Exp,
    Log,
    Tanh,
    Sigmoid,
    Erf,
    Sin,
    Cos,
}

impl Function {
    /// Every function.
    pub const ALL: [Function; 7] = [
        Function::Exp,
        Function::Log,
        Function::Tanh,
        Function::Sigmoid,
        Function::Erf,
        Function::Sin,
        Function::Cos,
    ];

    /// The function of one number; the same bits as over an array.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Function::Exp => exp(x),
            Function::Log => log(x),
            Function::Tanh => tanh(x),
            Function::Sigmoid => sigmoid(x),
            Function::Erf => erf(x),
            Function::Sin => sin(x),
            Function::Cos => cos(x),
        }
    }
}

/// out\[i\] = f(x\[i\]) for i < n.
///
/// # Safety
/// `x` readable and `out` writable for n elements; they are the same array or do not overlap.
pub unsafe fn apply(function: Function, out: *mut f32, x: *const f32, n: usize) {
    // SAFETY: the caller's.
    unsafe { apply_as(Isa::best(), function, out, x, n) }
}

/// [`apply`] with a given instruction set, which the processor must have.
///
/// # Safety
/// As for [`apply`].
pub(super) unsafe fn apply_as(isa: Isa, function: Function, out: *mut f32, x: *const f32, n: usize) {
    match function {
        Function::Exp => wide::run_as(isa, Map { out, x, n, f: exp }),
        Function::Log => wide::run_as(isa, Map { out, x, n, f: log }),
        Function::Tanh => wide::run_as(isa, Map { out, x, n, f: tanh }),
        Function::Sigmoid => wide::run_as(isa, Map { out, x, n, f: sigmoid }),
        Function::Erf => wide::run_as(isa, Map { out, x, n, f: erf }),
        Function::Sin => wide::run_as(isa, Turn { out, x, n, ahead: 0 }),
        Function::Cos => wide::run_as(isa, Turn { out, x, n, ahead: 1 }),
    }
}

/// out\[i\] = x\[i\] to the power y\[i\] for i < n.
///
/// # Safety
/// `x` and `y` readable and `out` writable for n elements; `out` is one of them or overlaps neither.
pub unsafe fn apply_pow(out: *mut f32, x: *const f32, y: *const f32, n: usize) {
    wide::run(Pow { out, x, y, n });
}

/// Elements that are copied aside at a time, so that input and output may be the same array and the compiler
/// still knows that they do not overlap.
const NEAR: usize = 256;

struct Map<F> {
    out: *mut f32,
    x: *const f32,
    n: usize,
    f: F,
}

impl<F: Fn(f32) -> f32> Job for Map<F> {
    #[inline(always)]
    fn run(self) {
        let mut near = [0f32; NEAR];
        for from in (0..self.n).step_by(NEAR) {
            let len = NEAR.min(self.n - from);
            // SAFETY: `apply`'s caller vouches for n elements; what is read is copied aside first.
            let out = unsafe {
                std::ptr::copy_nonoverlapping(self.x.add(from), near.as_mut_ptr(), len);
                std::slice::from_raw_parts_mut(self.out.add(from), len)
            };
            for (out, &x) in out.iter_mut().zip(&near[..len]) {
                *out = (self.f)(x);
            }
        }
    }
}

struct Turn {
    out: *mut f32,
    x: *const f32,
    n: usize,
    /// Quarter turns added: 0 for the sine, 1 for the cosine.
    ahead: i32,
}

impl Job for Turn {
    #[inline(always)]
    fn run(self) {
        let mut near = [0f32; NEAR];
        for from in (0..self.n).step_by(NEAR) {
            let len = NEAR.min(self.n - from);
            // SAFETY: `apply`'s caller vouches for n elements; what is read is copied aside first.
            let out = unsafe {
                std::ptr::copy_nonoverlapping(self.x.add(from), near.as_mut_ptr(), len);
                std::slice::from_raw_parts_mut(self.out.add(from), len)
            };
            let mut far = 0u32;
            for (out, &x) in out.iter_mut().zip(&near[..len]) {
                *out = turn_near(x, self.ahead);
                far |= u32::from(x.abs() >= FAR);
            }
            if far != 0 {
                for (out, &x) in out.iter_mut().zip(&near[..len]) {
                    *out = turn(x, self.ahead);
                }
            }
        }
    }
}

struct Pow {
    out: *mut f32,
    x: *const f32,
    y: *const f32,
    n: usize,
}

impl Job for Pow {
    #[inline(always)]
    fn run(self) {
        let (mut xs, mut ys) = ([0f32; NEAR], [0f32; NEAR]);
        for from in (0..self.n).step_by(NEAR) {
            let len = NEAR.min(self.n - from);
            // SAFETY: `apply_pow`'s caller vouches for n elements; what is read is copied aside first.
            let out = unsafe {
                std::ptr::copy_nonoverlapping(self.x.add(from), xs.as_mut_ptr(), len);
                std::ptr::copy_nonoverlapping(self.y.add(from), ys.as_mut_ptr(), len);
                std::slice::from_raw_parts_mut(self.out.add(from), len)
            };
            for ((out, &x), &y) in out.iter_mut().zip(&xs[..len]).zip(&ys[..len]) {
                *out = pow(x, y);
            }
        }
    }
}

/// Adding this to a number below 2²² leaves its nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;
/// The same for f64, below 2⁵¹.
const ROUND_WIDE: f64 = 6_755_399_441_055_744.0;

/// ln 2 in two parts.
const LN2: f32 = std::f32::consts::LN_2;
const LN2_REST: f32 = -1.904_654_2e-9;

/// Σ cᵢ xⁱ, first coefficient first.
#[inline(always)]
fn poly<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum.mul_add(x, c[i]);
    }
    sum
}

/// Σ cᵢ xⁱ, first coefficient first.
#[inline(always)]
fn poly_wide<const N: usize>(x: f64, c: [f64; N]) -> f64 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum.mul_add(x, c[i]);
    }
    sum
}

/// 2 to the power `n`, which must be from -126 to 127.
#[inline(always)]
fn two_to(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// e to the power x.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Beyond these the result is infinite or zero anyway; comparisons keep NaN.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = (-n).mul_add(LN2_REST, (-n).mul_add(LN2, x));
    let p = poly(r, [0.5, 0.166_665_21, 0.041_666_39, 0.008_368_679, 0.001_394_187_8]);
    let value = (r * r).mul_add(p, r) + 1.0;
    // In two halves, because 2ⁿ itself may be denormal or too large.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let n = n.clamp(-160, 160);
    value * two_to(n >> 1) * two_to(n - (n >> 1))
}

/// The natural logarithm.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    // So that the fraction lies between √½ and √2.
    let bits = scaled.to_bits().wrapping_sub(0x3f35_04f3) as i32;
    let exponent = (bits >> 23) - if tiny { 23 } else { 0 };
    let f = f32::from_bits((bits & 0x007f_ffff) as u32 + 0x3f35_04f3) - 1.0;
    let n = exponent as f32;
    let p = poly(
        f,
        [
            0.333_333_13,
            -0.250_000_1,
            0.200_020_72,
            -0.166_679_89,
            0.142_203_58,
            -0.124_062_34,
            0.118_835_49,
            -0.116_700_98,
            0.067_492_68,
        ],
    );
    let square = f * f;
    let tail = square.mul_add(-0.5, (f * square).mul_add(p, n * LN2_REST));
    let value = n.mul_add(LN2, f + tail);
    let value = if x == f32::INFINITY { x } else { value };
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    if x >= 0.0 { value } else { f32::NAN }
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let z = x * x;
    let p =
        poly(z, [-0.333_333_3, 0.133_332_22, -0.053_948_455, 0.021_708_664, -0.008_194_771, 0.002_157_260_4]);
    let near = (x * z).mul_add(p, x);
    let far = 1.0 - 2.0 / (exp(size + size) + 1.0);
    // Takes the sign at the end: it must not get lost where x is -0.
    if size < 0.625 { near.copysign(x) } else { far.copysign(x) }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    (if x < 0.0 { small } else { 1.0 }) / (1.0 + small)
}

/// The error function.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let size = x.abs();
    let z = x * x;
    // 2/√π in two parts keeps the last bit of small results.
    let p = poly(
        z,
        [
            -0.376_126_38,
            0.112_837_695,
            -0.026_864_542,
            0.005_218_300_5,
            -0.000_844_204_6,
            0.000_109_494_096,
            -0.000_008_738_12,
        ],
    );
    let near = x.mul_add(std::f32::consts::FRAC_2_SQRT_PI, x * (z * p));
    let inside = if size > 4.0 { 4.0 } else { size };
    let rate = poly(
        inside,
        [
            -0.000_188_467_63,
            1.129_580_3,
            0.633_216_6,
            0.108_421_71,
            -0.025_209_993,
            0.004_205_115_6,
            -0.000_441_43,
            0.000_021_693_246,
        ],
    );
    let far = 1.0 - exp(-rate);
    // Takes the sign at the end: it must not get lost where x is -0.
    if size < 1.0 { near.copysign(x) } else { far.copysign(x) }
}

/// The sine.
#[inline(always)]
pub fn sin(x: f32) -> f32 {
    turn(x, 0)
}

/// The cosine.
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    turn(x, 1)
}

/// The sine of an angle below 2²⁸, without the test for larger ones.
#[inline(always)]
pub(super) fn sin_of_turn(x: f32) -> f32 {
    turn_near(x, 0)
}

/// The cosine of an angle below 2²⁸, without the test for larger ones.
#[inline(always)]
pub(super) fn cos_of_turn(x: f32) -> f32 {
    turn_near(x, 1)
}

/// From here on, quarter turns are counted with [`far_turns`].
const FAR: f32 = 268_435_456.0;

/// The sine of x plus `ahead` quarter turns.
#[inline(always)]
fn turn(x: f32, ahead: i32) -> f32 {
    if x.abs() >= FAR && x.is_finite() {
        let (quarters, rest) = far_turns(x);
        wave(rest, quarters + ahead)
    } else {
        turn_near(x, ahead)
    }
}

/// [`turn`] for |x| < [`FAR`]; NaN for infinities and NaN.
#[inline(always)]
fn turn_near(x: f32, ahead: i32) -> f32 {
    let wide = f64::from(x);
    let shifted = wide.mul_add(std::f64::consts::FRAC_2_PI, ROUND_WIDE);
    let n = shifted - ROUND_WIDE;
    let rest = (-n).mul_add(6.123_233_995_736_766e-17, (-n).mul_add(std::f64::consts::FRAC_PI_2, wide));
    let value = wave(rest, shifted.to_bits() as i32 + ahead);
    // The sine of -0 is -0, which the sum above loses.
    if x == 0.0 && ahead == 0 { x } else { value }
}

/// The sine of `r`, at most an eighth turn, plus `quarters` quarter turns.
#[inline(always)]
fn wave(r: f64, quarters: i32) -> f32 {
    let z = r * r;
    let s = poly_wide(
        z,
        [
            -0.166_666_666_416_069_36,
            0.008_333_329_383_574_624,
            -0.000_198_393_340_806_623_1,
            2.718_304_207_691_752_7e-6,
        ],
    );
    let c = poly_wide(
        z,
        [
            0.041_666_666_622_793_495,
            -0.001_388_888_375_037_575,
            2.479_951_919_528_729_2e-5,
            -2.721_016_961_427_790_7e-7,
        ],
    );
    let sine = (r * z).mul_add(s, r);
    let cosine = (z * z).mul_add(c, z.mul_add(-0.5, 1.0));
    let value = if quarters & 1 == 0 { sine } else { cosine };
    let value = if quarters & 2 == 0 { value } else { -value };
    value as f32
}

/// Whole quarter turns in a large finite x, modulo four, and what is left in radians.
fn far_turns(x: f32) -> (i32, f64) {
    /// The first 256 bits of 2/π after the point.
    const TWO_OVER_PI: [u64; 4] =
        [0xa2f9_836e_4e44_1529, 0xfc27_57d1_f534_ddc0, 0xdb62_9599_3c43_9041, 0xfe51_63ab_debb_c561];
    let bits = x.abs().to_bits();
    let mantissa = u128::from(bits & 0x007f_ffff | 0x0080_0000);
    // x = mantissa · 2ᵉ; bits of 2/π that give whole multiples of four quarter turns are left out.
    let skip = (bits >> 23) as usize - 150 - 2;
    let bit = |i: usize| u128::from(TWO_OVER_PI[i / 64] >> (63 - i % 64) & 1);
    let window = (0..96).fold(0u128, |window, i| window << 1 | bit(skip + i));
    let half = 1u128 << 93;
    let turns = (mantissa * window).wrapping_add(half) & ((1 << 96) - 1);
    let quarters = (turns >> 94) as i32;
    let rest = (turns & ((1 << 94) - 1)) as i128 - half as i128;
    let rest = rest as f64 * 2f64.powi(-94) * std::f64::consts::FRAC_PI_2;
    if x < 0.0 { (-quarters, -rest) } else { (quarters, rest) }
}

/// x to the power y.
#[inline(always)]
pub fn pow(x: f32, y: f32) -> f32 {
    let size = x.abs();
    // log₂ of |x| as f64, in which every f32 is normal.
    let wide = f64::from(if size > 0.0 && size < f32::INFINITY { size } else { 1.0 });
    let bits = wide.to_bits().wrapping_sub(0x3fe6_a09e_667f_3bcd) as i64;
    let exponent = (bits >> 52) as i32;
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) as u64 + 0x3fe6_a09e_667f_3bcd);
    let s = (m - 1.0) / (m + 1.0);
    let p = poly_wide(
        s * s,
        [
            2.885_390_081_777_927,
            0.961_796_693_924_407_9,
            0.577_078_017_230_386_7,
            0.412_198_403_458_968,
            0.320_616_330_321_461_25,
            0.261_445_311_351_468_37,
            0.242_909_538_906_601_05,
        ],
    );
    let log = s.mul_add(p, f64::from(exponent));
    let power = log * f64::from(y);
    let power = if power > 160.0 { 160.0 } else { power };
    let power = if power < -160.0 { -160.0 } else { power };
    let shifted = power + ROUND_WIDE;
    let r = power - (shifted - ROUND_WIDE);
    let fraction = poly_wide(
        r,
        [
            1.0,
            0.693_147_180_534_983_7,
            0.240_226_512_142_053_3,
            0.055_504_109_762_481_414,
            0.009_618_025_521_270_91,
            0.001_333_342_253_133_018_8,
            0.000_154_697_581_822_824_13,
            0.000_015_316_488_462_471_55,
        ],
    );
    let scale = f64::from_bits(((shifted.to_bits() as i64 & 0xfff) << 52).wrapping_add(0x3ff << 52) as u64);
    let value = (fraction * scale) as f32;
    special_pow(x, y, value)
}

/// `value` is |x| to the power y, where that is an ordinary number; puts in the sign and all special cases.
#[inline(always)]
fn special_pow(x: f32, y: f32, value: f32) -> f32 {
    let (size, rate) = (x.abs(), y.abs());
    // From 2²⁴ on every f32 is even; rounding below is exact for what is smaller than 2²³.
    let whole = |v: f32| (v + 8_388_608.0) - 8_388_608.0 == v || v >= 8_388_608.0;
    let integer = whole(rate);
    let odd = integer && rate < 16_777_216.0 && !whole(rate * 0.5);
    let edge = size == 0.0 || size == f32::INFINITY;
    let grows = (size > 1.0) == (y > 0.0);
    let value = if edge { if grows { f32::INFINITY } else { 0.0 } } else { value };
    let endless = if size == 1.0 {
        1.0
    } else if grows {
        f32::INFINITY
    } else {
        0.0
    };
    let value = if rate == f32::INFINITY { endless } else { value };
    let value = if odd && x.is_sign_negative() { -value } else { value };
    let value =
        if x < 0.0 && size != f32::INFINITY && !integer && rate != f32::INFINITY { f32::NAN } else { value };
    let value = if x.is_nan() || y.is_nan() { f32::NAN } else { value };
    if x == 1.0 || y == 0.0 { 1.0 } else { value }
}
