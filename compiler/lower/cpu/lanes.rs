//! Arithmetic on one element or on four at once. Both give the same bits.
//!
//! In memory a bool is a byte. Alone it is an `i8` of 0 or 1; four of them are a mask of 32-bit lanes. Dtypes
//! without four-lane vectors (i64, f64, u8) are four single values. Half floats are `f32` outside memory, and only
//! moved about and cast: `widen` has seen to that.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

use super::halves;
use crate::lower::nest::Combine;
use crate::ops::{Binary, Scalar, Unary};
use crate::types::DType;

/// Lanes of a vector.
pub const FOUR: usize = 4;

/// Elements of one dtype.
#[derive(Clone, Copy, Debug)]
pub enum Lanes {
    /// One element.
    One(Value),
    /// Four in a vector.
    Vector(Value),
    /// Four on their own.
    Four([Value; FOUR]),
}

type Builder<'a, 'b> = &'a mut FunctionBuilder<'b>;

/// The type of one element in a register.
pub fn scalar_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 | DType::Bf16 | DType::F16 => types::F32,
        DType::F64 => types::F64,
        DType::I32 => types::I32,
        DType::I64 => types::I64,
        DType::U8 | DType::Bool => types::I8,
    }
}

/// Whether four elements are one vector.
pub fn has_vector(dtype: DType) -> bool {
    match dtype {
        DType::F32 | DType::Bf16 | DType::F16 | DType::I32 | DType::Bool => true,
        DType::F64 | DType::I64 | DType::U8 => false,
    }
}

/// Whether elements are stored in two bytes.
fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::Bf16 | DType::F16)
}

/// Memory that no trap guards and that need not be aligned.
pub fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// The same bits as a vector of another type.
fn recast(b: Builder, to: Type, value: Value) -> Value {
    b.ins().bitcast(to, MemFlagsData::new().with_endianness(Endianness::Little), value)
}

/// Constant lanes of f32 or i32.
fn splat_bits(b: Builder, ty: Type, scalar: Value) -> Value {
    b.ins().splat(ty, scalar)
}

/// One constant.
pub fn number(b: Builder, dtype: DType, value: f64) -> Value {
    match dtype {
        DType::F32 => b.ins().f32const(value as f32),
        DType::F64 => b.ins().f64const(value),
        DType::I32 => b.ins().iconst(types::I32, i64::from(value as i32 as u32)),
        DType::I64 => b.ins().iconst(types::I64, value as i64),
        DType::U8 => b.ins().iconst(types::I8, i64::from(value as u8)),
        DType::Bool => b.ins().iconst(types::I8, i64::from(value != 0.0)),
        DType::Bf16 => b.ins().f32const(half::bf16::from_f64(value).to_f32()),
        DType::F16 => b.ins().f32const(half::f16::from_f64(value).to_f32()),
    }
}

/// The same element in every lane.
pub fn repeat(b: Builder, dtype: DType, one: Value, wide: bool) -> Lanes {
    match (wide, dtype) {
        (false, _) => Lanes::One(one),
        (true, DType::F32 | DType::Bf16 | DType::F16) => Lanes::Vector(splat_bits(b, types::F32X4, one)),
        (true, DType::I32) => Lanes::Vector(splat_bits(b, types::I32X4, one)),
        (true, DType::Bool) => {
            let word = b.ins().uextend(types::I32, one);
            let mask = b.ins().ineg(word);
            Lanes::Vector(splat_bits(b, types::I32X4, mask))
        }
        (true, DType::F64 | DType::I64 | DType::U8) => Lanes::Four([one; FOUR]),
    }
}

/// The lanes as elements of their own.
pub fn apart(b: Builder, dtype: DType, lanes: Lanes) -> Vec<Value> {
    match lanes {
        Lanes::One(one) => vec![one],
        Lanes::Four(four) => four.to_vec(),
        Lanes::Vector(vector) => (0..FOUR as u8)
            .map(|lane| {
                let word = b.ins().extractlane(vector, lane);
                if dtype == DType::Bool {
                    let byte = b.ins().ireduce(types::I8, word);
                    b.ins().band_imm_u(byte, 1)
                } else {
                    word
                }
            })
            .collect(),
    }
}

/// Elements joined into lanes.
pub fn together(b: Builder, dtype: DType, elements: &[Value]) -> Lanes {
    if let [one] = elements {
        return Lanes::One(*one);
    }
    let four = <[Value; FOUR]>::try_from(elements).expect("there is one element or there are four");
    if !has_vector(dtype) {
        return Lanes::Four(four);
    }
    let words = four.map(|element| {
        if dtype == DType::Bool {
            let word = b.ins().uextend(types::I32, element);
            b.ins().ineg(word)
        } else {
            element
        }
    });
    let ty = if dtype.is_float() { types::F32X4 } else { types::I32X4 };
    let mut vector = b.ins().scalar_to_vector(ty, words[0]);
    for (lane, word) in words.iter().enumerate().skip(1) {
        vector = b.ins().insertlane(vector, *word, lane as u8);
    }
    Lanes::Vector(vector)
}

/// Loads one element, or four that lie side by side.
pub fn load(b: Builder, dtype: DType, address: Value, offset: i32, wide: bool) -> Lanes {
    if is_half(dtype) {
        return halves::load(b, dtype, address, offset, wide);
    }
    let ty = scalar_type(dtype);
    if !wide {
        return Lanes::One(b.ins().load(ty, memory(), address, Offset32::new(offset)));
    }
    match dtype {
        DType::F32 => Lanes::Vector(b.ins().load(types::F32X4, memory(), address, offset)),
        DType::I32 => Lanes::Vector(b.ins().load(types::I32X4, memory(), address, offset)),
        DType::Bool => {
            let bytes = b.ins().load(types::I32, memory(), address, offset);
            let vector = b.ins().scalar_to_vector(types::I32X4, bytes);
            let bytes = recast(b, types::I8X16, vector);
            let halves = b.ins().uwiden_low(bytes);
            let words = b.ins().uwiden_low(halves);
            Lanes::Vector(b.ins().ineg(words))
        }
        DType::F64 | DType::I64 | DType::U8 | DType::Bf16 | DType::F16 => {
            let step = dtype.bytes() as i32;
            let lane = |b: Builder, i: i32| b.ins().load(ty, memory(), address, offset + i * step);
            Lanes::Four([0, 1, 2, 3].map(|i| lane(b, i)))
        }
    }
}

/// Stores one element, or four side by side.
pub fn store(b: Builder, dtype: DType, address: Value, offset: i32, lanes: Lanes) {
    if is_half(dtype) {
        return halves::store(b, dtype, address, offset, lanes);
    }
    match lanes {
        Lanes::One(one) => {
            b.ins().store(memory(), one, address, offset);
        }
        Lanes::Vector(mask) if dtype == DType::Bool => {
            let halves = b.ins().snarrow(mask, mask);
            let bytes = b.ins().snarrow(halves, halves);
            let words = recast(b, types::I32X4, bytes);
            let word = b.ins().extractlane(words, 0);
            let ones = b.ins().band_imm_u(word, 0x0101_0101);
            b.ins().store(memory(), ones, address, offset);
        }
        Lanes::Vector(vector) => {
            b.ins().store(memory(), vector, address, offset);
        }
        Lanes::Four(four) => {
            for (i, element) in four.into_iter().enumerate() {
                b.ins().store(memory(), element, address, offset + (i * dtype.bytes()) as i32);
            }
        }
    }
}

/// A function of one operand. Not for those that are vector functions of the runtime.
pub fn unary(b: Builder, op: Unary, dtype: DType, x: Lanes) -> Lanes {
    match x {
        Lanes::One(x) => Lanes::One(unary_values(b, op, dtype, x, false)),
        Lanes::Vector(x) => Lanes::Vector(unary_values(b, op, dtype, x, true)),
        Lanes::Four(x) => Lanes::Four(x.map(|x| unary_values(b, op, dtype, x, false))),
    }
}

fn unary_values(b: Builder, op: Unary, dtype: DType, x: Value, wide: bool) -> Value {
    let float = dtype.is_float();
    let constant = |b: Builder, value: f64| {
        let one = number(b, dtype, value);
        match repeat(b, dtype, one, wide) {
            Lanes::One(value) | Lanes::Vector(value) => value,
            Lanes::Four(_) => unreachable!("only dtypes with vectors are wide"),
        }
    };
    match op {
        Unary::Neg if float => b.ins().fneg(x),
        Unary::Neg => b.ins().ineg(x),
        Unary::Sqrt => b.ins().sqrt(x),
        Unary::Abs if float => b.ins().fabs(x),
        Unary::Abs if dtype == DType::U8 => x,
        Unary::Abs => b.ins().iabs(x),
        Unary::Floor if float => b.ins().floor(x),
        Unary::Floor => x,
        Unary::Not if wide => b.ins().bnot(x),
        Unary::Not => b.ins().bxor_imm_u(x, 1),
        Unary::Sign => {
            let (zero, one) = (constant(b, 0.0), constant(b, 1.0));
            if dtype == DType::U8 {
                let some = b.ins().icmp(IntCC::NotEqual, x, zero);
                return choose(b, wide, some, one, x);
            }
            let minus = constant(b, -1.0);
            let (above, below) = if float {
                (b.ins().fcmp(FloatCC::GreaterThan, x, zero), b.ins().fcmp(FloatCC::LessThan, x, zero))
            } else {
                (
                    b.ins().icmp(IntCC::SignedGreaterThan, x, zero),
                    b.ins().icmp(IntCC::SignedLessThan, x, zero),
                )
            };
            // What is neither above nor below zero is a zero or NaN, and its own sign.
            let rest = choose(b, wide, below, minus, x);
            choose(b, wide, above, one, rest)
        }
        Unary::Exp | Unary::Log | Unary::Tanh | Unary::Sigmoid | Unary::Erf | Unary::Sin | Unary::Cos => {
            unreachable!("{op:?} is a vector function")
        }
    }
}

/// `condition ? a : b`; the condition of vectors is a mask of lanes as wide.
fn choose(b: Builder, wide: bool, condition: Value, yes: Value, no: Value) -> Value {
    if !wide {
        return b.ins().select(condition, yes, no);
    }
    let ty = b.func.dfg.value_type(yes);
    let mask = if b.func.dfg.value_type(condition) == ty { condition } else { recast(b, ty, condition) };
    b.ins().bitselect(mask, yes, no)
}

/// A function of two operands of `dtype`.
pub fn binary(b: Builder, op: Binary, dtype: DType, x: Lanes, y: Lanes) -> Lanes {
    let result = if compares(op) { DType::Bool } else { dtype };
    match (x, y) {
        (Lanes::One(x), Lanes::One(y)) => Lanes::One(binary_values(b, op, dtype, x, y, false)),
        (Lanes::Vector(x), Lanes::Vector(y)) if !one_by_one(op, dtype) => {
            Lanes::Vector(binary_values(b, op, dtype, x, y, true))
        }
        (x, y) => {
            let (x, y) = (apart(b, dtype, x), apart(b, dtype, y));
            let pairs = x.into_iter().zip(y);
            let each: Vec<Value> = pairs.map(|(x, y)| binary_values(b, op, dtype, x, y, false)).collect();
            together(b, result, &each)
        }
    }
}

/// Whether the result is a bool whatever the operands are.
fn compares(op: Binary) -> bool {
    match op {
        Binary::Equal | Binary::Less | Binary::LessEqual => true,
        Binary::Add
        | Binary::Sub
        | Binary::Mul
        | Binary::Div
        | Binary::Rem
        | Binary::Pow
        | Binary::Max
        | Binary::Min
        | Binary::And
        | Binary::Or => false,
    }
}

/// Whether there is no vector instruction.
fn one_by_one(op: Binary, dtype: DType) -> bool {
    !dtype.is_float() && matches!(op, Binary::Div | Binary::Rem)
}

fn binary_values(b: Builder, op: Binary, dtype: DType, x: Value, y: Value, wide: bool) -> Value {
    let float = dtype.is_float();
    let unsigned = dtype == DType::U8;
    let truth = |b: Builder, float_test: FloatCC, test: IntCC| {
        let test = if unsigned { test.unsigned() } else { test };
        if float { b.ins().fcmp(float_test, x, y) } else { b.ins().icmp(test, x, y) }
    };
    // A comparison of f32 vectors is a mask already.
    match op {
        Binary::Add if float => b.ins().fadd(x, y),
        Binary::Add => b.ins().iadd(x, y),
        Binary::Sub if float => b.ins().fsub(x, y),
        Binary::Sub => b.ins().isub(x, y),
        Binary::Mul if float => b.ins().fmul(x, y),
        Binary::Mul => b.ins().imul(x, y),
        Binary::Div if float => b.ins().fdiv(x, y),
        Binary::Div => divide(b, unsigned, x, y),
        Binary::Rem if float => unreachable!("remainders of floats are a vector function"),
        Binary::Rem => {
            let quotient = divide(b, unsigned, x, y);
            let whole = b.ins().imul(quotient, y);
            let rest = b.ins().isub(x, whole);
            let ty = b.func.dfg.value_type(x);
            let zero = b.ins().iconst(ty, 0);
            let none = b.ins().icmp(IntCC::Equal, y, zero);
            b.ins().select(none, zero, rest)
        }
        Binary::Max | Binary::Min if float => {
            let better = if op == Binary::Max { FloatCC::GreaterThan } else { FloatCC::LessThan };
            let second = b.ins().fcmp(better, y, x);
            let larger = choose(b, wide, second, y, x);
            // `larger` is NaN where x is; where only y is, take it.
            let odd = b.ins().fcmp(FloatCC::Unordered, y, y);
            choose(b, wide, odd, y, larger)
        }
        Binary::Max if unsigned => b.ins().umax(x, y),
        Binary::Max => b.ins().smax(x, y),
        Binary::Min if unsigned => b.ins().umin(x, y),
        Binary::Min => b.ins().smin(x, y),
        Binary::Equal => truth(b, FloatCC::Equal, IntCC::Equal),
        Binary::Less => truth(b, FloatCC::LessThan, IntCC::SignedLessThan),
        Binary::LessEqual => truth(b, FloatCC::LessThanOrEqual, IntCC::SignedLessThanOrEqual),
        Binary::And => b.ins().band(x, y),
        Binary::Or => b.ins().bor(x, y),
        Binary::Pow => unreachable!("powers are a vector function"),
    }
}

/// An integer quotient toward zero; by zero it is 0. The smallest number by -1 wraps around.
fn divide(b: Builder, unsigned: bool, x: Value, y: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    let (zero, one) = (b.ins().iconst(ty, 0), b.ins().iconst(ty, 1));
    let none = b.ins().icmp(IntCC::Equal, y, zero);
    if unsigned {
        let by = b.ins().select(none, one, y);
        let quotient = b.ins().udiv(x, by);
        return b.ins().select(none, zero, quotient);
    }
    let minus = b.ins().icmp_imm_s(IntCC::Equal, y, -1);
    let odd = b.ins().bor(none, minus);
    let by = b.ins().select(odd, one, y);
    let quotient = b.ins().sdiv(x, by);
    let negative = b.ins().ineg(x);
    let special = b.ins().select(minus, negative, quotient);
    b.ins().select(none, zero, special)
}

/// `condition ? yes : no`, of elements of `dtype`.
pub fn select(b: Builder, dtype: DType, condition: Lanes, yes: Lanes, no: Lanes) -> Lanes {
    match (condition, yes, no) {
        (Lanes::One(c), Lanes::One(yes), Lanes::One(no)) => Lanes::One(b.ins().select(c, yes, no)),
        (Lanes::Vector(c), Lanes::Vector(yes), Lanes::Vector(no)) => {
            Lanes::Vector(choose(b, true, c, yes, no))
        }
        (c, yes, no) => {
            let c = apart(b, DType::Bool, c);
            let (yes, no) = (apart(b, dtype, yes), apart(b, dtype, no));
            let each: Vec<Value> = c
                .iter()
                .zip(yes.iter().zip(&no))
                .map(|(c, (yes, no))| b.ins().select(*c, *yes, *no))
                .collect();
            together(b, dtype, &each)
        }
    }
}

/// The same number as another dtype.
pub fn cast(b: Builder, from: DType, to: DType, x: Lanes) -> Lanes {
    if from == to {
        return x;
    }
    let from = if is_half(from) { DType::F32 } else { from };
    if is_half(to) {
        let x = nearly(b, from, x);
        return halves::rounded(b, to, x);
    }
    match x {
        Lanes::One(x) => Lanes::One(cast_one(b, from, to, x)),
        Lanes::Vector(x) if has_vector(to) => Lanes::Vector(cast_vector(b, from, to, x)),
        Lanes::Vector(_) | Lanes::Four(_) => {
            let each: Vec<Value> = apart(b, from, x).into_iter().map(|x| cast_one(b, from, to, x)).collect();
            together(b, to, &each)
        }
    }
}

/// A number as the `f32` from which rounding to a half gives what rounding at once would.
fn nearly(b: Builder, from: DType, x: Lanes) -> Lanes {
    match from {
        DType::F32 | DType::Bf16 | DType::F16 => x,
        // All of them are whole numbers that `f32` holds.
        DType::U8 | DType::Bool => cast(b, from, DType::F32, x),
        DType::F64 => halves::narrowed_lanes(b, x, |b, four| together(b, DType::F32, four)),
        DType::I32 | DType::I64 => {
            let exact = cast(b, from, DType::F64, x);
            nearly(b, DType::F64, exact)
        }
    }
}

fn cast_vector(b: Builder, from: DType, to: DType, x: Value) -> Value {
    let zero = |b: Builder, dtype| {
        let ty = if dtype == DType::F32 { types::F32X4 } else { types::I32X4 };
        let one = number(b, dtype, 0.0);
        b.ins().splat(ty, one)
    };
    match (from, to) {
        (DType::F32, DType::I32) => b.ins().fcvt_to_sint_sat(types::I32X4, x),
        (DType::I32, DType::F32) => b.ins().fcvt_from_sint(types::F32X4, x),
        (DType::Bool, DType::I32) => b.ins().ineg(x),
        (DType::Bool, DType::F32) => {
            let words = b.ins().ineg(x);
            b.ins().fcvt_from_sint(types::F32X4, words)
        }
        (DType::F32, DType::Bool) => {
            let zero = zero(b, DType::F32);
            b.ins().fcmp(FloatCC::NotEqual, x, zero)
        }
        (DType::I32, DType::Bool) => {
            let zero = zero(b, DType::I32);
            b.ins().icmp(IntCC::NotEqual, x, zero)
        }
        _ => x, // the same dtype
    }
}

fn cast_one(b: Builder, from: DType, to: DType, x: Value) -> Value {
    let ty = scalar_type(to);
    if from == to {
        return x;
    }
    let unsigned = matches!(from, DType::U8 | DType::Bool);
    match (from.is_float(), to.is_float()) {
        (true, true) if to == DType::F64 => b.ins().fpromote(ty, x),
        (true, true) => b.ins().fdemote(ty, x),
        (true, false) if to == DType::Bool => {
            let zero = number(b, from, 0.0);
            b.ins().fcmp(FloatCC::NotEqual, x, zero)
        }
        (true, false) if to == DType::U8 => {
            let word = b.ins().fcvt_to_uint_sat(types::I32, x);
            let most = b.ins().iconst(types::I32, 255);
            let low = b.ins().umin(word, most);
            b.ins().ireduce(types::I8, low)
        }
        (true, false) => b.ins().fcvt_to_sint_sat(ty, x),
        (false, true) => {
            let wide = if unsigned { b.ins().uextend(types::I32, x) } else { x };
            b.ins().fcvt_from_sint(ty, wide)
        }
        (false, false) if to == DType::Bool => b.ins().icmp_imm_u(IntCC::NotEqual, x, 0),
        (false, false) => {
            let here = b.func.dfg.value_type(x);
            match here.bits().cmp(&ty.bits()) {
                std::cmp::Ordering::Less if unsigned => b.ins().uextend(ty, x),
                std::cmp::Ordering::Less => b.ins().sextend(ty, x),
                std::cmp::Ordering::Equal => x,
                std::cmp::Ordering::Greater => b.ins().ireduce(ty, x),
            }
        }
    }
}

/// What combining nothing gives.
pub fn neutral(b: Builder, combine: Combine, dtype: DType) -> Value {
    let limit = |low: bool| match dtype {
        DType::I32 => {
            if low {
                f64::from(i32::MIN)
            } else {
                f64::from(i32::MAX)
            }
        }
        DType::U8 | DType::Bool => {
            if low {
                0.0
            } else {
                255.0
            }
        }
        DType::F32 | DType::F64 | DType::I64 | DType::Bf16 | DType::F16 => {
            if low {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            }
        }
    };
    let value = match combine {
        Combine::Sum | Combine::ArgMax => 0.0,
        Combine::Max => limit(true),
        Combine::Min => limit(false),
    };
    number(b, dtype, value)
}

/// Two partial results of a fold as one.
pub fn combine(b: Builder, how: Combine, dtype: DType, x: Lanes, y: Lanes) -> Lanes {
    let op = match how {
        Combine::Sum => Binary::Add,
        Combine::Max => Binary::Max,
        Combine::Min => Binary::Min,
        Combine::ArgMax => unreachable!("positions are not combined"),
    };
    binary(b, op, dtype, x, y)
}

/// A number of the graph.
pub fn constant(b: Builder, dtype: DType, value: Scalar) -> Value {
    number(b, dtype, value.get())
}
