//! What the checker knows by itself, for whoever shows it: functions that layers are written with, and the words of
//! data lines.

use super::data;
use super::intrinsics;
use super::signature::{Kind, Taken};
use strata_grammar::ast::TypeExpr;

/// A function of the checker.
#[derive(Clone, Debug)]
pub struct Function {
    /// How it is called.
    pub name: &'static str,
    /// What it takes, in order.
    pub params: Vec<FunctionParameter>,
    /// Whether it takes any number of tensors by position before those.
    pub variadic: bool,
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug)]
pub struct FunctionParameter {
    /// What it is called.
    pub name: &'static str,
    /// What kind of value it takes, in words.
    pub wants: &'static str,
    /// Whether it names axes.
    pub is_axes: bool,
    /// Whether a call must give it.
    pub required: bool,
}

/// Every function, in the order of the checker's table.
pub fn functions() -> impl Iterator<Item = Function> {
    let parameter = |taken: &Taken<'static>| FunctionParameter {
        name: taken.name,
        wants: taken.kind.wants(),
        is_axes: taken.kind == Kind::Axes,
        required: taken.required,
    };
    intrinsics::all().iter().map(move |function| Function {
        name: function.name,
        params: function.params.iter().map(parameter).collect(),
        variadic: function.variadic,
    })
}

/// Whether a parameter of this type names axes.
pub fn is_axes(ty: Option<&TypeExpr>) -> bool {
    Kind::of(ty) == Some(Kind::Axes)
}

/// In words, what a parameter of this type takes; nothing where the type says it better.
pub fn wants(ty: Option<&TypeExpr>) -> Option<&'static str> {
    match Kind::of(ty)? {
        Kind::Tensor => None,
        kind => Some(kind.wants()),
    }
}

/// What a data line can begin with.
pub fn data_sources() -> &'static [&'static str] {
    data::words().0
}

/// What a data line can go on with after `|>`.
pub fn data_stages() -> &'static [&'static str] {
    data::words().1
}
