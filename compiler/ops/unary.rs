//! Functions of one operand, element by element.

use super::{Array, Backward, Binary, Op, Problem, Rules, Unary, cut, lift, shape};
use crate::cost::{self, Cost};
use crate::graph::ValueId;
use crate::types::Type;

/// What is true of every function of one operand.
pub const RULES: Rules = Rules {
    name: "unary",
    page: include_str!("../../specs/ops/unary.md"),
    infer,
    grad,
    cuts: cut::elementwise,
    cost,
    lift: lift::elementwise,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Unary(function) = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    match function {
        Unary::Neg | Unary::Abs | Unary::Sign => shape::number(args, 0)?,
        Unary::Not => shape::truth(args, 0)?,
        Unary::Exp
        | Unary::Log
        | Unary::Sqrt
        | Unary::Tanh
        | Unary::Sigmoid
        | Unary::Erf
        | Unary::Sin
        | Unary::Cos
        | Unary::Floor => shape::float(args, 0)?,
    }
    Ok(x.clone())
}

fn grad(b: &mut Backward) -> Vec<Option<ValueId>> {
    let Op::Unary(function) = *b.graph.op(b.value) else { unreachable!("the table of rules pairs them") };
    let (x, y, dy) = (b.args[0], b.value, b.dy);
    let dx = match function {
        Unary::Neg => b.neg(dy),
        Unary::Exp => b.mul(dy, y),
        Unary::Log => b.div(dy, x),
        Unary::Sqrt => {
            let half = b.number(0.5, y);
            let slope = b.div(half, y);
            b.mul(dy, slope)
        }
        Unary::Tanh => {
            let (one, square) = (b.number(1.0, y), b.mul(y, y));
            let slope = b.binary(Binary::Sub, one, square);
            b.mul(dy, slope)
        }
        Unary::Sigmoid => {
            let one = b.number(1.0, y);
            let rest = b.binary(Binary::Sub, one, y);
            let slope = b.mul(y, rest);
            b.mul(dy, slope)
        }
        Unary::Erf => {
            let square = b.mul(x, x);
            let exponent = b.neg(square);
            let bell = b.unary(Unary::Exp, exponent);
            let factor = b.number(std::f64::consts::FRAC_2_SQRT_PI, x);
            let slope = b.mul(factor, bell);
            b.mul(dy, slope)
        }
        Unary::Sin => {
            let slope = b.unary(Unary::Cos, x);
            b.mul(dy, slope)
        }
        Unary::Cos => {
            let sine = b.unary(Unary::Sin, x);
            let slope = b.neg(sine);
            b.mul(dy, slope)
        }
        Unary::Abs => {
            let slope = b.unary(Unary::Sign, x);
            b.mul(dy, slope)
        }
        Unary::Sign | Unary::Floor | Unary::Not => return vec![None],
    };
    vec![Some(dx)]
}

fn cost(op: &Op, args: &[&Type], result: &Type) -> Cost {
    let Op::Unary(function) = op else { unreachable!("the table of rules pairs them") };
    let each = match function {
        Unary::Neg | Unary::Sqrt | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Not => 1,
        Unary::Exp | Unary::Log | Unary::Tanh | Unary::Sigmoid | Unary::Erf | Unary::Sin | Unary::Cos => 10,
    };
    Cost::streaming(each * cost::elements(result), args, result)
}

fn eval(op: &Op, args: &[&Array], _result: &Type) -> Array {
    let Op::Unary(function) = op else { unreachable!("the table of rules pairs them") };
    args[0].map(|x| apply(*function, x))
}

/// The function of one number.
pub fn apply(function: Unary, x: f64) -> f64 {
    match function {
        Unary::Neg => -x,
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Erf => libm::erf(x),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Abs => x.abs(),
        Unary::Sign if x == 0.0 || x.is_nan() => x,
        Unary::Sign => x.signum(),
        Unary::Floor => x.floor(),
        Unary::Not => 1.0 - x,
    }
}
