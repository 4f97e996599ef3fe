//! What an expression can stand for while a model is checked.

use std::collections::BTreeMap;
use std::rc::Rc;

use strata_grammar::Span;
use strata_grammar::ast::Definition;

use super::intrinsics::Intrinsic;
use super::scope::Scope;
use crate::graph::ValueId;
use crate::types::{Axis, DType, Name, Size};

/// What an expression stands for.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// Something that was reported, or that follows from it: silences everything after.
    Unknown,
    /// A value of the model.
    Tensor(ValueId),
    /// Several results.
    Tuple(Rc<[Value<'a>]>),
    /// `[a, b]`
    List(Rc<[Value<'a>]>),
    /// What a called model computes, by the names of its groups and bindings.
    Parts(Rc<BTreeMap<String, Value<'a>>>),
    /// A size and maybe a name.
    Axis(Axis),
    /// A whole number.
    Int(i64),
    /// A whole number that depends on a free axis.
    Size(Size),
    /// Any other number.
    Float(f64),
    /// Known while compiling.
    Bool(bool),
    /// A text, or a word that a parameter takes (`same`).
    Text(Rc<str>),
    /// `0..4`; open at either end where a whole axis is meant.
    Range(i64, i64),
    /// Something that takes a tensor.
    Layer(Rc<Layer<'a>>),
    /// How a variable begins.
    Init(Initial),
    /// A type of elements.
    DType(DType),
    /// Axes of some tensor, by name or position.
    Axes(Rc<[AxisRef]>),
    /// A declared variable that nothing has read yet: an index into `Checker::pending`.
    Pending(usize),
}

/// How a variable begins, before its type is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Initial {
    Constant(f64),
    Uniform(f64),
    Normal(f64),
    /// Uniform, by the mean of fan-in and fan-out.
    Glorot,
    /// Normal, by fan-in, for rectifiers.
    He,
    Orthogonal(f64),
}

/// An axis of a tensor that is yet to come.
#[derive(Clone, Debug)]
pub(super) enum AxisRef {
    /// From the front, or from the back where negative.
    Position(i64, Span),
    /// By name.
    Named(Name, Span),
    /// By a word that stands for a number: an axis of that name is meant where the tensor has one, else the position.
    Word(i64, Name, Span),
    /// By what a layer's signature bound: the caller may have given it no name.
    Bound(Axis, Name, Span),
}

/// Something that takes a tensor.
#[derive(Clone, Debug)]
pub(super) enum Layer<'a> {
    /// A layer as defined, with what it sees of its surroundings.
    Defined(&'a Definition, Option<Rc<Scope<'a>>>),
    /// A model, called as a layer.
    Model(&'a Definition),
    /// A function of the checker.
    Intrinsic(&'static Intrinsic),
    /// A call that lacks its tensor.
    Partial(Partial<'a>),
    /// `f |> g`
    Joined(Rc<Layer<'a>>, Rc<Layer<'a>>),
    /// `layer d = …`: one set of parameters.
    Shared {
        /// The path of its parameters.
        path: String,
        /// What it does.
        layer: Rc<Layer<'a>>,
        /// Whether gradients stop at its parameters.
        frozen: bool,
    },
}

/// A call that lacks its tensor.
#[derive(Clone, Debug)]
pub(super) struct Partial<'a> {
    pub(super) callee: Rc<Layer<'a>>,
    /// One a parameter; the tensor's is `None`.
    pub(super) args: Vec<Option<Bound<'a>>>,
    /// More, where the callee takes any number.
    pub(super) extra: Vec<Bound<'a>>,
    /// Its `as` name.
    pub(super) name: Option<(String, Span)>,
    pub(super) frozen: bool,
    pub(super) span: Span,
}

/// An argument with its place.
#[derive(Clone, Debug)]
pub(super) struct Bound<'a> {
    pub(super) value: Value<'a>,
    pub(super) span: Span,
}

impl Value<'_> {
    /// In a message: "… is a layer".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Unknown => "unknown",
            Value::Tensor(_) | Value::Pending(_) => "a tensor",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Parts(_) => "all that a model computes",
            Value::Axis(_) => "an axis",
            Value::Int(_) | Value::Size(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Text(_) => "a text",
            Value::Range(..) => "a range",
            Value::Layer(_) => "a layer",
            Value::Init(_) => "an initialiser",
            Value::DType(_) => "a dtype",
            Value::Axes(_) => "a list of axes",
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Value::Unknown)
    }

    /// The number, where it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Float(x) => Some(*x),
            Value::Axis(axis) => axis.size.known().map(|n| n as f64),
            Value::Unknown
            | Value::Tensor(_)
            | Value::Tuple(_)
            | Value::List(_)
            | Value::Parts(_)
            | Value::Size(_)
            | Value::Bool(_)
            | Value::Text(_)
            | Value::Range(..)
            | Value::Layer(_)
            | Value::Init(_)
            | Value::DType(_)
            | Value::Axes(_)
            | Value::Pending(_) => None,
        }
    }

    /// The whole number, where it is one.
    pub(super) fn int(&self) -> Option<i64> {
        if let Value::Int(n) = self {
            return Some(*n);
        }
        self.number().filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| x as i64)
    }
}
