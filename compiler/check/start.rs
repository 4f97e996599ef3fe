//! Variables that begin with a value of the model: computed from other variables before the first step.

use std::collections::HashSet;

use strata_grammar::ast::Text;
use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::value::{Initial, Value};
use crate::graph::ValueId;
use crate::ops::Op;
use crate::types::{Axis, DType, Type};

/// How a variable begins.
pub(super) enum Begin {
    /// By an initialiser.
    As(Initial),
    /// With a value, which is written here.
    With(ValueId, Span),
    /// With a picture.
    Picture(Text),
}

/// More numbers than this are no text to be written by hand.
const MAX_NUMBERS: usize = 4096;

impl<'a> Checker<'a> {
    /// The value that a variable of type `ty` begins with, or nothing where it cannot, which is said.
    pub(super) fn start(&mut self, value: ValueId, ty: &Type, name: &str, span: Span) -> Option<ValueId> {
        if !self.build.apart.is_empty() {
            self.not_yet(span, "a start that is computed inside of `apart`");
            return None;
        }
        if !self.build.turn_updates.is_empty() {
            let message =
                format!("`{name}` is declared in a recurrence, where nothing can be computed for its start");
            let found = Diagnostic::error(Code::MisplacedStatement, span, message);
            self.report(found.help("declare it before the recurrence"));
            return None;
        }
        if let Some(what) = self.not_there_yet(value) {
            let message = format!("`{name}` begins with what depends on {what}");
            let found = Diagnostic::error(Code::BadValue, span, message)
                .help("before the first step there are only numbers, params, consts and states");
            self.report(found);
            return None;
        }
        let actual = self.ty(value).clone();
        let value = if actual.dtype.is_float() && ty.dtype.is_float() && actual.dtype != ty.dtype {
            self.emit(Op::Cast(ty.dtype), &[value], span)?
        } else {
            value
        };
        if actual.rank() == 0 && ty.rank() > 0 && self.ty(value).dtype == ty.dtype {
            return self.spread(value, &ty.axes, span);
        }
        let sizes = |ty: &Type| ty.axes.iter().map(|axis| axis.size.clone()).collect::<Vec<_>>();
        let same_dtype = self.ty(value).dtype == ty.dtype;
        if same_dtype && sizes(&actual) == sizes(ty) {
            return Some(value);
        }
        let code = if same_dtype { Code::ShapeMismatch } else { Code::DtypeMismatch };
        let message = format!("`{name}` is {ty}, and begins with {actual}");
        self.report(Diagnostic::error(code, span, message).help("give it a value of its own type"));
        None
    }

    /// What of the things that a value depends on is not there before the first step.
    fn not_there_yet(&self, value: ValueId) -> Option<String> {
        let (mut seen, mut waiting) = (HashSet::new(), vec![value]);
        while let Some(next) = waiting.pop() {
            if !seen.insert(next) {
                continue;
            }
            match self.build.op(next) {
                Op::Input(input) => {
                    return Some(format!("the input `{}`", self.build.model.inputs[input.0 as usize].name));
                }
                Op::Slot(_) => return Some("the turn of a recurrence".to_string()),
                Op::Gradient(_) => return Some("a gradient".to_string()),
                _ => {}
            }
            waiting.extend(&self.build.model.values[next.0 as usize].args);
        }
        None
    }

    /// `[[1, 2], [3, 4]]` as a tensor.
    pub(super) fn numbers(&mut self, list: &Value<'a>, dtype: DType, span: Span) -> Option<ValueId> {
        let mut numbers = Vec::new();
        let Some(shape) = flat(list, &mut numbers) else {
            let message = "a list that a variable begins with holds numbers, or lists of equally many";
            self.report(Diagnostic::error(Code::WrongKind, span, message));
            return None;
        };
        if numbers.len() > MAX_NUMBERS {
            let message = format!("{} numbers are too many to be written here", numbers.len());
            let found = Diagnostic::error(Code::BadValue, span, message);
            self.report(found.help(format!("at most {MAX_NUMBERS}; more belong in a file")));
            return None;
        }
        let mut parts = Vec::with_capacity(numbers.len());
        for number in numbers {
            let one = self.constant(number, dtype, span)?;
            parts.push(self.spread(one, &[Axis::sized(1)], span)?);
        }
        let line = match parts.as_slice() {
            [only] => *only,
            several => self.emit(Op::Concat { axis: 0 }, several, span)?,
        };
        let axes = shape.into_iter().map(|size| Axis::sized(size as u64)).collect();
        self.emit(Op::Reshape { axes }, &[line], span)
    }
}

/// The numbers of nested lists in order, and how many there are at each level.
fn flat(value: &Value<'_>, numbers: &mut Vec<f64>) -> Option<Vec<usize>> {
    let Value::List(members) = value else {
        numbers.push(value.number()?);
        return Some(Vec::new());
    };
    let mut inner = None;
    for member in members.iter() {
        let shape = flat(member, numbers)?;
        if inner.get_or_insert_with(|| shape.clone()) != &shape {
            return None;
        }
    }
    let mut shape = vec![members.len()];
    shape.extend(inner?);
    Some(shape)
}
