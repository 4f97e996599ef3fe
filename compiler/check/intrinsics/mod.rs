//! Functions that layers are written with: each stands for one or a few primitives.

mod elementwise;
mod layout;
mod order;
mod reduce;
mod rows;
mod sequences;
mod windows;

use strata_grammar::Span;

use super::Checker;
use super::init::initialiser;
use super::signature::{Kind, Taken};
use super::value::{Bound, Value};
use crate::graph::ValueId;

/// A function of the checker.
#[derive(Debug)]
pub(super) struct Intrinsic {
    pub(super) name: &'static str,
    pub(super) params: &'static [Taken<'static>],
    /// Whether it takes any number of tensors by position.
    pub(super) variadic: bool,
    pub(super) run: for<'a> fn(&mut Checker<'a>, &Call<'a>) -> Value<'a>,
}

/// A call of a function; none of its arguments is unknown.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) intrinsic: &'static Intrinsic,
    /// One a parameter.
    pub(super) slots: Vec<Option<Bound<'a>>>,
    /// Further tensors, where any number is taken.
    pub(super) extra: Vec<Bound<'a>>,
    pub(super) span: Span,
}

/// The function called `name`.
pub(super) fn find(name: &str) -> Option<&'static Intrinsic> {
    ALL.iter().find(|intrinsic| intrinsic.name == name)
}

/// All functions.
pub(super) fn all() -> &'static [Intrinsic] {
    ALL
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|intrinsic| intrinsic.name)
}

const fn needs(name: &'static str, kind: Kind) -> Taken<'static> {
    Taken { name, kind, required: true }
}

const fn may(name: &'static str, kind: Kind) -> Taken<'static> {
    Taken { name, kind, required: false }
}

const X: Taken<'static> = needs("x", Kind::Operand);
const T: Taken<'static> = needs("x", Kind::Tensor);
const TWO: &[Taken<'static>] = &[needs("a", Kind::Operand), needs("b", Kind::Operand)];
const REDUCED: &[Taken<'static>] =
    &[X, may("axis", Kind::Axes), may("but", Kind::Axes), may("keep", Kind::Bool)];
const ALONG: &[Taken<'static>] = &[T, may("axis", Kind::Axes)];
const ORDERED: &[Taken<'static>] = &[T, may("axis", Kind::Axes), may("descending", Kind::Bool)];
const PLACED: &[Taken<'static>] =
    &[T, may("axis", Kind::Axes), may("descending", Kind::Bool), may("share", Kind::Float)];
const CONVOLVED: &[Taken<'static>] = &[
    T,
    needs("kernel", Kind::Tensor),
    may("stride", Kind::Ints),
    may("dilation", Kind::Ints),
    may("padding", Kind::Padding),
    may("groups", Kind::Int),
];
const UNPOOLED: &[Taken<'static>] =
    &[T, needs("kernel", Kind::Tensor), may("stride", Kind::Ints), may("padding", Kind::Padding)];
const POOLED: &[Taken<'static>] =
    &[T, needs("window", Kind::Ints), may("stride", Kind::Ints), may("padding", Kind::Padding)];

type Run = for<'a> fn(&mut Checker<'a>, &Call<'a>) -> Value<'a>;

const fn one(name: &'static str, params: &'static [Taken<'static>], run: Run) -> Intrinsic {
    Intrinsic { name, params, variadic: false, run }
}

const fn many(name: &'static str, params: &'static [Taken<'static>], run: Run) -> Intrinsic {
    Intrinsic { name, params, variadic: true, run }
}

/// Every function.
static ALL: &[Intrinsic] = &[
    one("exp", &[X], elementwise::unary),
    one("log", &[X], elementwise::unary),
    one("sqrt", &[X], elementwise::unary),
    one("tanh", &[X], elementwise::unary),
    one("sigmoid", &[X], elementwise::unary),
    one("erf", &[X], elementwise::unary),
    one("sin", &[X], elementwise::unary),
    one("cos", &[X], elementwise::unary),
    one("abs", &[X], elementwise::unary),
    one("sign", &[X], elementwise::unary),
    one("floor", &[X], elementwise::unary),
    one("maximum", TWO, elementwise::binary),
    one("minimum", TWO, elementwise::binary),
    one("pow", TWO, elementwise::binary),
    one(
        "choose",
        &[needs("condition", Kind::Operand), needs("a", Kind::Operand), needs("b", Kind::Operand)],
        elementwise::choose_piped,
    ),
    one("cast", &[X, needs("to", Kind::DType)], elementwise::cast),
    one("stop", &[T], elementwise::stop),
    one("fill", &[T, needs("value", Kind::Float)], elementwise::fill),
    one("random", &[T], elementwise::random),
    one("sum", REDUCED, reduce::reduce),
    one("mean", REDUCED, reduce::reduce),
    one("max", REDUCED, reduce::reduce),
    one("min", REDUCED, reduce::reduce),
    one("argmax", ALONG, reduce::argmax),
    one("index", ALONG, reduce::index),
    one("size", ALONG, reduce::size),
    one("flatten", &[T], layout::flatten),
    one("rename", &[T], layout::nothing_to_rename),
    one("new_axis", &[T, may("at", Kind::Int)], layout::new_axis),
    many("transpose", &[may("axes", Kind::Axes)], layout::transpose),
    many("concat", &[may("axis", Kind::Axes)], layout::concat),
    one("grouped", &[T, needs("parts", Kind::Int), may("axis", Kind::Axes)], layout::grouped),
    one("merged", ALONG, layout::merged),
    one("split", &[T, needs("parts", Kind::Int), may("axis", Kind::Axes)], layout::split),
    one(
        "slice",
        &[T, needs("start", Kind::Int), needs("end", Kind::Int), may("axis", Kind::Axes)],
        layout::slice,
    ),
    one(
        "pad",
        &[T, needs("before", Kind::Int), needs("after", Kind::Int), may("axis", Kind::Axes)],
        layout::pad,
    ),
    one(
        "shift",
        &[T, may("with", Kind::Float), may("by", Kind::Int), may("axis", Kind::Axes)],
        sequences::shift,
    ),
    one("last", &[T], sequences::last),
    one("beyond", &[T, needs("number", Kind::Float), may("axis", Kind::Axes)], sequences::beyond),
    one("reversed", &[T, may("axis", Kind::Axes)], sequences::reversed),
    one("gather", &[T, needs("positions", Kind::Tensor), may("axis", Kind::Axes)], rows::gather),
    one(
        "scatter_add",
        &[T, needs("positions", Kind::Tensor), needs("rows", Kind::Axis), may("shared", Kind::Int)],
        rows::scatter_add,
    ),
    one(
        "apart",
        &[T, needs("each", Kind::Layer), may("axis", Kind::Axes), may("called", Kind::Axis)],
        crate::check::apart::apart,
    ),
    one("order", PLACED, order::order),
    one("sort", ORDERED, order::sort),
    one("pick", &[T, needs("places", Kind::Tensor), may("axis", Kind::Axes)], order::pick),
    one("top_k", &[T, needs("k", Kind::Int), may("axis", Kind::Axes)], order::top_k),
    one(
        "cumulate",
        &[T, may("axis", Kind::Axes), may("exclusive", Kind::Bool), may("reverse", Kind::Bool)],
        order::cumulate,
    ),
    one("numbered", &[needs("axis", Kind::Axis)], order::numbered),
    one("convolve", CONVOLVED, windows::convolve),
    one("convolve_transposed", UNPOOLED, windows::convolve_transposed),
    one("pool_max", POOLED, windows::pool),
    one("pool_sum", POOLED, windows::pool),
    one("per_spatial_axis", &[T, needs("value", Kind::Ints)], windows::per_spatial_axis),
    one("named_like", &[needs("axis", Kind::Axis), needs("like", Kind::Axis)], layout::named_like),
    one("rank", &[T], layout::rank),
    one("evaluated", &[needs("metric", Kind::Text)], crate::check::schedule::evaluated),
    one("evaluations", &[], crate::check::schedule::evaluations),
    many("zeros", &[], initialiser),
    many("ones", &[], initialiser),
    one("glorot", &[], initialiser),
    one("he", &[], initialiser),
    one("orthogonal", &[may("gain", Kind::Float)], initialiser),
    one("uniform", &[needs("limit", Kind::Float)], initialiser),
    one("normal", &[needs("deviation", Kind::Float)], initialiser),
];

/// The value of argument `at`, where it was given.
pub(super) fn given<'c, 'a>(call: &'c Call<'a>, at: usize) -> Option<&'c Bound<'a>> {
    call.slots.get(at).and_then(Option::as_ref)
}

/// Argument `at` as a number.
pub(super) fn float(call: &Call<'_>, at: usize) -> Option<f64> {
    given(call, at).and_then(|bound| bound.value.number())
}

/// Argument `at` as a whole number.
fn int(call: &Call<'_>, at: usize) -> Option<i64> {
    given(call, at).and_then(|bound| bound.value.int())
}

/// Argument `at` as a truth value; false where it was not given.
fn truth(call: &Call<'_>, at: usize) -> bool {
    matches!(given(call, at), Some(Bound { value: Value::Bool(true), .. }))
}

impl<'a> Checker<'a> {
    /// Argument `at` as a tensor; a number becomes one.
    pub(super) fn tensor_argument(&mut self, call: &Call<'a>, at: usize) -> Option<(ValueId, Span)> {
        let bound = given(call, at)?.clone();
        if let Value::Tensor(id) = bound.value {
            return Some((id, bound.span));
        }
        if bound.value.number().is_none() && !matches!(bound.value, Value::Size(_)) {
            let whose = format!("`{}`", call.intrinsic.name);
            self.wrong_kind(&bound.value, "a tensor", bound.span, &whose);
            return None;
        }
        self.as_tensor(&bound.value, crate::types::DType::F32, bound.span).map(|id| (id, bound.span))
    }

    /// Argument `at` as one axis of `x`; the last where it was not given.
    pub(super) fn axis_argument(&mut self, call: &Call<'a>, at: usize, x: ValueId) -> Option<usize> {
        let rank = self.ty(x).rank();
        let Some(Bound { value: Value::Axes(axes), span }) = given(call, at) else {
            if rank == 0 {
                let message = format!("`{}` needs an axis, and this is a single number", call.intrinsic.name);
                self.report(strata_grammar::Diagnostic::error(
                    strata_grammar::Code::WrongRank,
                    call.span,
                    message,
                ));
                return None;
            }
            return Some(rank - 1);
        };
        let [axis] = &axes[..] else {
            let message = format!("`{}` takes one axis", call.intrinsic.name);
            self.report(strata_grammar::Diagnostic::error(strata_grammar::Code::BadValue, *span, message));
            return None;
        };
        let axis = axis.clone();
        self.axis_position(x, &axis)
    }
}
