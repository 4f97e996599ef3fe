//! Functions of two operands of one shape, element by element.

use super::{Array, Backward, Binary, Op, Problem, Rules, Unary, cut, lift, shape};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::{DType, Type};

/// What is true of every function of two operands.
pub const RULES: Rules = Rules {
    name: "binary",
    page: include_str!("../../specs/ops/binary.md"),
    infer,
    grad,
    cuts: cut::elementwise,
    cost,
    lift: lift::elementwise,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Binary(function) = op else { unreachable!("the table of rules pairs them") };
    let [a, _] = shape::operands(args)?;
    let dtype = match function {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem | Binary::Max | Binary::Min => {
            shape::number(args, 0)?;
            a.dtype
        }
        Binary::Pow => {
            shape::float(args, 0)?;
            a.dtype
        }
        Binary::Equal => DType::Bool,
        Binary::Less | Binary::LessEqual => {
            shape::number(args, 0)?;
            DType::Bool
        }
        Binary::And | Binary::Or => {
            shape::truth(args, 0)?;
            DType::Bool
        }
    };
    shape::like(args, 1, 0)?;
    Ok(Type::new(dtype, shape::merge_all(args, 0, 1)?))
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Binary(function) = *b.graph.op(b.value) else { unreachable!("the table of rules pairs them") };
    let (left, right, y, dy) = (b.args[0], b.args[1], b.value, b.dy);
    let (da, db) = match function {
        Binary::Add => (dy, dy),
        Binary::Sub => (dy, b.neg(dy)),
        Binary::Mul => (b.mul(dy, right), b.mul(dy, left)),
        Binary::Div => {
            let da = b.div(dy, right);
            let slope = b.div(y, right);
            let product = b.mul(dy, slope);
            (da, b.neg(product))
        }
        Binary::Rem => {
            // a - b * (a / b toward zero), where the quotient is constant but for its jumps.
            let quotient = b.div(left, right);
            let (sign, size) = (b.unary(Unary::Sign, quotient), b.unary(Unary::Abs, quotient));
            let whole = b.unary(Unary::Floor, size);
            let toward_zero = b.mul(sign, whole);
            let product = b.mul(dy, toward_zero);
            (dy, b.neg(product))
        }
        Binary::Pow => {
            let (zero, one) = (b.number(0.0, left), b.number(1.0, left));
            let less = b.binary(Binary::Sub, right, one);
            let power = b.binary(Binary::Pow, left, less);
            let slope = b.mul(right, power);
            // By the exponent there is a slope only where the base is positive.
            let positive = b.binary(Binary::Less, zero, left);
            let base = b.select(positive, left, one);
            let log = b.unary(Unary::Log, base);
            let growth = b.mul(y, log);
            (b.mul(dy, slope), b.mul(dy, growth))
        }
        Binary::Max | Binary::Min => {
            // Of two equal operands the second gets it all: so `max(x, 0)` has slope 0 at 0. Asking the result
            // rather than the first operand tells the same, and the operand need not be kept.
            let (small, large) = if function == Binary::Max { (right, y) } else { (y, right) };
            let first = b.binary(Binary::Less, small, large);
            let zero = b.number(0.0, dy);
            (b.select(first, dy, zero), b.select(first, zero, dy))
        }
        Binary::Equal | Binary::Less | Binary::LessEqual | Binary::And | Binary::Or => {
            return vec![None, None];
        }
    };
    vec![Some(da), Some(db)]
}

fn cost(op: &Op, args: &[&Type], result: &Type) -> Cost {
    let each = if matches!(op, Op::Binary(Binary::Pow)) { 20 } else { 1 };
    Cost::streaming(each * cost::elements(result), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Binary(function) = op else { unreachable!("the table of rules pairs them") };
    let pairs = args[0].data.iter().zip(&args[1].data);
    let whole = !result.dtype.is_float();
    let data =
        pairs.map(|(a, b)| if whole { apply_whole(*function, *a, *b) } else { apply(*function, *a, *b) });
    Array::new(&args[0].shape, data.collect())
}

/// The function of two floats; truth is 1.
pub fn apply(function: Binary, a: f64, b: f64) -> f64 {
    let truth = |holds: bool| f64::from(u8::from(holds));
    match function {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Rem => a % b,
        Binary::Pow => a.powf(b),
        Binary::Max | Binary::Min if a.is_nan() || b.is_nan() => f64::NAN,
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Equal => truth(a == b),
        Binary::Less => truth(a < b),
        Binary::LessEqual => truth(a <= b),
        Binary::And => truth(a != 0.0 && b != 0.0),
        Binary::Or => truth(a != 0.0 || b != 0.0),
    }
}

/// The function of two integers or truth values, before it wraps around.
pub fn apply_whole(function: Binary, a: f64, b: f64) -> f64 {
    match function {
        Binary::Div | Binary::Rem if b == 0.0 => 0.0,
        Binary::Div => (a / b).trunc(),
        Binary::Add
        | Binary::Sub
        | Binary::Mul
        | Binary::Rem
        | Binary::Pow
        | Binary::Max
        | Binary::Min
        | Binary::Equal
        | Binary::Less
        | Binary::LessEqual
        | Binary::And
        | Binary::Or => apply(function, a, b),
    }
}
