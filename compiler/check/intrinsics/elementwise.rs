//! Functions that work element by element.

use strata_grammar::ast::{Argument, ArgumentName};
use strata_grammar::{Code, Diagnostic, Span};

use super::{Call, float, given};
use crate::check::Checker;
use crate::check::signature::Kind;
use crate::check::value::Value;
use crate::ops::{Binary, Op, Unary};
use crate::types::DType;

pub(super) fn unary<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    if let Some(x) = float(call, 0) {
        return known_unary(checker, call, x);
    }
    let op = match call.intrinsic.name {
        "exp" => Unary::Exp,
        "log" => Unary::Log,
        "sqrt" => Unary::Sqrt,
        "tanh" => Unary::Tanh,
        "sigmoid" => Unary::Sigmoid,
        "erf" => Unary::Erf,
        "sin" => Unary::Sin,
        "cos" => Unary::Cos,
        "abs" => Unary::Abs,
        "sign" => Unary::Sign,
        _ => Unary::Floor,
    };
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    checker.tensor(Op::Unary(op), &[x], call.span)
}

/// Of a number, while compiling. (`erf` has no short form that is exact; it stays with tensors.)
fn known_unary<'a>(checker: &mut Checker<'a>, call: &Call<'a>, x: f64) -> Value<'a> {
    let y = match call.intrinsic.name {
        "exp" => x.exp(),
        "log" => x.ln(),
        "sqrt" => x.sqrt(),
        "tanh" => x.tanh(),
        "sigmoid" => 1.0 / (1.0 + (-x).exp()),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "abs" => x.abs(),
        "sign" if x == 0.0 => 0.0,
        "sign" => x.signum(),
        "floor" => x.floor(),
        _ => {
            let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
            return checker.tensor(Op::Unary(Unary::Erf), &[x], call.span);
        }
    };
    if y.is_finite() {
        return Value::Float(y);
    }
    let message = format!("`{}` of {x} is no finite number", call.intrinsic.name);
    checker.report(Diagnostic::error(Code::BadValue, call.span, message));
    Value::Unknown
}

pub(super) fn binary<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some(a), Some(b)) = (given(call, 0), given(call, 1)) else { return Value::Unknown };
    if let (Some(x), Some(y)) = (a.value.number(), b.value.number()) {
        return match call.intrinsic.name {
            "maximum" if x >= y => a.value.clone(),
            "maximum" => b.value.clone(),
            "minimum" if x <= y => a.value.clone(),
            "minimum" => b.value.clone(),
            _ => Value::Float(x.powf(y)),
        };
    }
    let op = match call.intrinsic.name {
        "maximum" => Binary::Max,
        "minimum" => Binary::Min,
        _ => Binary::Pow,
    };
    let sides = [(a.value.clone(), a.span), (b.value.clone(), b.span)];
    let whose = format!("`{}`", call.intrinsic.name);
    match checker.together(sides, &whose, call.span, call.span) {
        Some(args) => checker.tensor(Op::Binary(op), &args, call.span),
        None => Value::Unknown,
    }
}

pub(super) fn choose_piped<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let values: Vec<(Value<'a>, Span)> =
        (0..3).filter_map(|at| given(call, at).map(|b| (b.value.clone(), b.span))).collect();
    let [condition, a, b] = values.as_slice() else { return Value::Unknown };
    match condition.0 {
        Value::Bool(true) => a.0.clone(),
        Value::Bool(false) => b.0.clone(),
        _ => checker.select(condition.clone(), a.clone(), b.clone(), call.span),
    }
}

impl<'a> Checker<'a> {
    /// `choose(condition, a, b)`: where the condition is known, the other side is not even looked at, so what it
    /// declares does not exist.
    pub(in crate::check) fn choose(&mut self, args: &'a [Argument], span: Span) -> Value<'a> {
        let names = ["condition", "a", "b"];
        let mut sides = [None; 3];
        for (at, arg) in args.iter().enumerate() {
            let slot = match &arg.name {
                ArgumentName::None => Some(at),
                ArgumentName::Colon(name) => names.iter().position(|known| *known == name.text),
                ArgumentName::Equals(_) => None,
            };
            match slot {
                Some(slot) if sides[slot].is_none() => sides[slot] = Some(&arg.value),
                Some(_) | None => {
                    let message = "`choose` takes (condition, a, b)";
                    self.report(Diagnostic::error(Code::UnknownArgument, arg.span, message));
                    return Value::Unknown;
                }
            }
        }
        let [Some(condition), Some(a), Some(b)] = sides else { return Value::Unknown };
        let known = self.argument(condition, Kind::Operand, "`condition` of `choose`");
        match known {
            Value::Bool(true) => self.eval(a),
            Value::Bool(false) => self.eval(b),
            Value::Unknown => {
                self.eval(a);
                self.eval(b);
                Value::Unknown
            }
            known => {
                let a = (self.eval(a), a.span);
                let b = (self.eval(b), b.span);
                if a.0.is_unknown() || b.0.is_unknown() {
                    return Value::Unknown;
                }
                self.select((known, condition.span), a, b, span)
            }
        }
    }

    fn select(
        &mut self,
        condition: (Value<'a>, Span),
        a: (Value<'a>, Span),
        b: (Value<'a>, Span),
        span: Span,
    ) -> Value<'a> {
        let Value::Tensor(test) = condition.0 else {
            self.wrong_kind(&condition.0, "true or false", condition.1, "`condition` of `choose`");
            return Value::Unknown;
        };
        if self.ty(test).dtype != DType::Bool {
            let text = self.described(test, condition.1);
            let found = Diagnostic::error(
                Code::DtypeMismatch,
                condition.1,
                format!("the condition of `choose` is of bool: {text}"),
            )
            .help("compare it, as in `x > 0`");
            self.report(found);
            return Value::Unknown;
        }
        for side in [&a, &b] {
            let number = side.0.number().is_some() || matches!(side.0, Value::Size(_) | Value::Bool(_));
            if !number && !matches!(side.0, Value::Tensor(_)) {
                self.wrong_kind(&side.0, "a tensor or a number", side.1, "`choose`");
                return Value::Unknown;
            }
        }
        // The two sides share a dtype; all three share a shape.
        let Some([x, y]) = self.together([a.clone(), b.clone()], "`choose`", span, span) else {
            return Value::Unknown;
        };
        let same_dtype = self.ty(x).dtype;
        let Some(args) = self.shape_together([(test, condition.1), (x, a.1), (y, b.1)], span) else {
            return Value::Unknown;
        };
        debug_assert_eq!(self.ty(args[1]).dtype, same_dtype);
        self.tensor(Op::Select, &args, span)
    }
}

pub(super) fn cast<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let to = match given(call, 1).map(|bound| bound.value.clone()) {
        Some(Value::DType(dtype)) => dtype,
        Some(Value::Tensor(like)) => checker.ty(like).dtype,
        _ => return Value::Unknown,
    };
    // A number is rounded once, to the dtype that is asked for.
    if let Some(x) = float(call, 0)
        && to.is_float()
    {
        return checker.constant(x, to, call.span).map_or(Value::Unknown, Value::Tensor);
    }
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    if checker.ty(x).dtype == to {
        return Value::Tensor(x);
    }
    checker.tensor(Op::Cast(to), &[x], call.span)
}

pub(super) fn stop<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    checker.tensor(Op::Stop, &[x], call.span)
}

/// A tensor of the same type, every element one number.
pub(super) fn fill<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let (Some((x, _)), Some(value)) = (checker.tensor_argument(call, 0), float(call, 1)) else {
        return Value::Unknown;
    };
    let ty = checker.ty(x).clone();
    let Some(one) = checker.constant(value, ty.dtype, call.span) else { return Value::Unknown };
    checker.spread(one, &ty.axes, call.span).map_or(Value::Unknown, Value::Tensor)
}

/// Uniform numbers in [0, 1) of the same axes, other ones every step.
pub(super) fn random<'a>(checker: &mut Checker<'a>, call: &Call<'a>) -> Value<'a> {
    let Some((x, _)) = checker.tensor_argument(call, 0) else { return Value::Unknown };
    let axes = checker.ty(x).axes.clone();
    let frame = checker.frame();
    let drawn = frame.counters.entry("//random".to_string()).or_insert(0);
    *drawn += 1;
    let name = format!("{}#{drawn}", frame.path);
    let (Some(seed), Some(step)) =
        (checker.emit(Op::Seed, &[], call.span), checker.emit(Op::Step, &[], call.span))
    else {
        return Value::Unknown;
    };
    checker.tensor(Op::Random { stream: hash(&name), axes }, &[seed, step], call.span)
}

/// FNV-1a: the stream of a name must be the same on every machine and in every version.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
