//! Half floats in memory, `f32` in registers. A value of a half dtype is always one that the dtype holds, so that
//! storing it rounds nothing; [`rounded`] makes it so, to nearest and of two equally near to even. The same bits
//! alone and in vectors.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

use super::lanes::{FOUR, Lanes, memory};
use crate::types::DType;

type Builder<'a, 'b> = &'a mut FunctionBuilder<'b>;

/// Exponent bits of an infinity of `f32`.
const INFINITE: i64 = 0x7f80_0000;
/// All but the sign of an `f32`.
const MAGNITUDE: i64 = 0x7fff_ffff;
/// 2^112: what the exponents of `f32` and `f16` differ by.
const SCALE: f32 = f32::from_bits((127 + 112) << 23);
/// 2^-112
const INVERSE: f32 = f32::from_bits((127 - 112) << 23);

/// Arithmetic on one word or on four.
struct Words<'a, 'b> {
    b: &'a mut FunctionBuilder<'b>,
    wide: bool,
}

impl Words<'_, '_> {
    fn types(&self) -> (Type, Type) {
        if self.wide { (types::I32X4, types::F32X4) } else { (types::I32, types::F32) }
    }

    fn word(&mut self, value: i64) -> Value {
        let one = self.b.ins().iconst(types::I32, i64::from(value as u32));
        if self.wide { self.b.ins().splat(types::I32X4, one) } else { one }
    }

    fn number(&mut self, value: f32) -> Value {
        let one = self.b.ins().f32const(value);
        if self.wide { self.b.ins().splat(types::F32X4, one) } else { one }
    }

    fn bits(&mut self, x: Value) -> Value {
        let to = self.types().0;
        self.b.ins().bitcast(to, MemFlagsData::new().with_endianness(Endianness::Little), x)
    }

    fn float(&mut self, bits: Value) -> Value {
        let to = self.types().1;
        self.b.ins().bitcast(to, MemFlagsData::new().with_endianness(Endianness::Little), bits)
    }

    fn and(&mut self, x: Value, mask: i64) -> Value {
        let mask = self.word(mask);
        self.b.ins().band(x, mask)
    }

    fn up(&mut self, x: Value, by: i64) -> Value {
        self.b.ins().ishl_imm_u(x, by)
    }

    fn down(&mut self, x: Value, by: i64) -> Value {
        self.b.ins().ushr_imm_u(x, by)
    }

    /// `x > limit`, of words below 2^31.
    fn above(&mut self, x: Value, limit: i64) -> Value {
        let limit = self.word(limit);
        self.b.ins().icmp(IntCC::SignedGreaterThan, x, limit)
    }

    fn choose(&mut self, condition: Value, yes: Value, no: Value) -> Value {
        if self.wide {
            self.b.ins().bitselect(condition, yes, no)
        } else {
            self.b.ins().select(condition, yes, no)
        }
    }

    /// Rounds away the lowest `drop` bits of a word; a carry makes the exponent larger, as it should.
    fn round_bits(&mut self, bits: Value, drop: i64) -> Value {
        let last = self.down(bits, drop);
        let odd = self.and(last, 1);
        let half = self.word((1 << (drop - 1)) - 1);
        let sum = self.b.ins().iadd(bits, half);
        let sum = self.b.ins().iadd(sum, odd);
        self.and(sum, !((1 << drop) - 1))
    }

    fn rounded(&mut self, dtype: DType, x: Value) -> Value {
        let bits = self.bits(x);
        let sign = self.and(bits, !MAGNITUDE);
        let size = self.and(bits, MAGNITUDE);
        let odd = self.above(size, INFINITE);
        let short = dtype == DType::F16;
        let drop = if short { 13 } else { 16 };
        let mut result = self.round_bits(size, drop);
        if short {
            // Below the smallest normal number the last place stays where it is.
            let number = self.float(size);
            let half = self.number(0.5);
            let sum = self.b.ins().fadd(number, half);
            let small = self.b.ins().fsub(sum, half);
            let small = self.bits(small);
            let normal = self.above(size, 0x387f_ffff);
            result = self.choose(normal, result, small);
            let large = self.above(result, i64::from(65504.0f32.to_bits()));
            let infinite = self.word(INFINITE);
            result = self.choose(large, infinite, result);
        }
        let kept = self.and(size, !((1 << drop) - 1));
        let quiet = self.word(0x0040_0000);
        let nan = self.b.ins().bor(kept, quiet);
        let result = self.choose(odd, nan, result);
        let result = self.b.ins().bor(result, sign);
        self.float(result)
    }

    /// The word in whose lower half the stored bits stand, as `f32`.
    fn read(&mut self, dtype: DType, stored: Value) -> Value {
        if dtype == DType::Bf16 {
            let bits = self.up(stored, 16);
            return self.float(bits);
        }
        let sign = self.and(stored, 0x8000);
        let sign = self.up(sign, 16);
        let size = self.and(stored, 0x7fff);
        let size = self.up(size, 13);
        let number = self.float(size);
        let scale = self.number(SCALE);
        let number = self.b.ins().fmul(number, scale);
        let finite = self.bits(number);
        let infinite = self.word(INFINITE);
        let other = self.b.ins().bor(size, infinite);
        let odd = self.above(size, (0x7c00 << 13) - 1);
        let bits = self.choose(odd, other, finite);
        let bits = self.b.ins().bor(bits, sign);
        self.float(bits)
    }

    /// The word in whose lower half the bits to be stored stand.
    fn written(&mut self, dtype: DType, x: Value) -> Value {
        let bits = self.bits(x);
        if dtype == DType::Bf16 {
            return self.down(bits, 16);
        }
        let sign = self.down(bits, 16);
        let sign = self.and(sign, 0x8000);
        let size = self.and(bits, MAGNITUDE);
        let number = self.float(size);
        let scale = self.number(INVERSE);
        let number = self.b.ins().fmul(number, scale);
        let finite = self.bits(number);
        let finite = self.down(finite, 13);
        let rest = self.down(size, 13);
        let rest = self.and(rest, 0x3ff);
        let exponent = self.word(0x7c00);
        let other = self.b.ins().bor(rest, exponent);
        let odd = self.above(size, INFINITE - 1);
        let stored = self.choose(odd, other, finite);
        self.b.ins().bor(stored, sign)
    }
}

/// The number of a half dtype that is nearest to an `f32`, as `f32`.
pub fn rounded(b: Builder, dtype: DType, x: Lanes) -> Lanes {
    match x {
        Lanes::One(x) => Lanes::One(Words { b, wide: false }.rounded(dtype, x)),
        Lanes::Vector(x) => Lanes::Vector(Words { b, wide: true }.rounded(dtype, x)),
        Lanes::Four(_) => unreachable!("half floats have vectors"),
    }
}

/// Loads one element, or four that lie side by side.
pub fn load(b: Builder, dtype: DType, address: Value, offset: i32, wide: bool) -> Lanes {
    if wide {
        let stored = b.ins().uload16x4(memory(), address, offset);
        return Lanes::Vector(Words { b, wide }.read(dtype, stored));
    }
    let stored = b.ins().uload16(types::I32, memory(), address, offset);
    Lanes::One(Words { b, wide }.read(dtype, stored))
}

/// Stores one element, or four side by side.
pub fn store(b: Builder, dtype: DType, address: Value, offset: i32, lanes: Lanes) {
    match lanes {
        Lanes::One(x) => {
            let stored = Words { b, wide: false }.written(dtype, x);
            b.ins().istore16(memory(), stored, address, offset);
        }
        Lanes::Vector(x) => {
            let stored = Words { b, wide: true }.written(dtype, x);
            let packed = b.ins().unarrow(stored, stored);
            let flags = MemFlagsData::new().with_endianness(Endianness::Little);
            let pair = b.ins().bitcast(types::I64X2, flags, packed);
            let word = b.ins().extractlane(pair, 0);
            b.ins().store(memory(), word, address, offset);
        }
        Lanes::Four(_) => unreachable!("half floats have vectors"),
    }
}

/// An `f64` as the `f32` from which rounding to a half gives what rounding at once would: where it is not exact, the
/// one of the two neighbours whose last bit is 1.
pub fn narrowed(b: Builder, x: Value) -> Value {
    let near = b.ins().fdemote(types::F32, x);
    let back = b.ins().fpromote(types::F64, near);
    let (size, back_size) = (b.ins().fabs(x), b.ins().fabs(back));
    let flags = MemFlagsData::new().with_endianness(Endianness::Little);
    let bits = b.ins().bitcast(types::I32, flags, near);
    let beyond = b.ins().fcmp(FloatCC::GreaterThan, back_size, size);
    let less = b.ins().iadd_imm_s(bits, -1);
    let toward_zero = b.ins().select(beyond, less, bits);
    let odd = b.ins().bor_imm_u(toward_zero, 1);
    let inexact = b.ins().fcmp(FloatCC::OrderedNotEqual, back, x);
    let bits = b.ins().select(inexact, odd, bits);
    b.ins().bitcast(types::F32, flags, bits)
}

/// Lanes of `f64` as those of `f32`; see [`narrowed`].
pub fn narrowed_lanes(b: Builder, x: Lanes, together: impl Fn(Builder, &[Value]) -> Lanes) -> Lanes {
    match x {
        Lanes::One(x) => Lanes::One(narrowed(b, x)),
        Lanes::Four(x) => {
            let x: [Value; FOUR] = x.map(|x| narrowed(b, x));
            together(b, &x)
        }
        Lanes::Vector(_) => unreachable!("f64 has no vectors"),
    }
}
