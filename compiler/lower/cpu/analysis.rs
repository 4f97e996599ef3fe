//! What must be known of a nest before code is made: what changes from element to element, and in which order
//! calls of vector functions cut its work into stages.

use strata_runtime::kernels::Entry;

use crate::lower::nest::{Expr, ExprId, Map, Nest, STRIP};
use crate::ops::{Binary, Unary};
use crate::types::DType;

/// How often an expression changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Never.
    Fixed,
    /// When a loop around the innermost turns.
    Row,
    /// From element to element.
    Element,
}

/// What is known of a nest.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// How often each expression changes.
    pub levels: Vec<Level>,
    /// The stage in which each expression of level `Element` is computed; for calls, before which they happen.
    pub stages: Vec<usize>,
    /// The number of the last stage, in which results are stored.
    pub last: usize,
    /// Expressions that stand in a temporary strip: bytes into the local area.
    pub temps: Vec<Option<usize>>,
    /// Two strips for each fold over columns: totals and the current run.
    pub columns: Vec<[usize; 2]>,
    /// Bytes of the local area.
    pub local: usize,
}

/// The vector function that computes an expression, if one does.
pub fn entry(expr: &Expr, dtype: DType) -> Option<Entry> {
    let of = |single: Entry, double: Entry| Some(if dtype == DType::F64 { double } else { single });
    match expr {
        Expr::Unary(op, _) => match op {
            Unary::Exp => of(Entry::Exp, Entry::Exp64),
            Unary::Log => of(Entry::Log, Entry::Log64),
            Unary::Tanh => of(Entry::Tanh, Entry::Tanh64),
            Unary::Sigmoid => of(Entry::Sigmoid, Entry::Sigmoid64),
            Unary::Erf => of(Entry::Erf, Entry::Erf64),
            Unary::Sin => of(Entry::Sin, Entry::Sin64),
            Unary::Cos => of(Entry::Cos, Entry::Cos64),
            Unary::Neg | Unary::Sqrt | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Not => None,
        },
        Expr::Binary(Binary::Pow, ..) => of(Entry::Pow, Entry::Pow64),
        Expr::Binary(Binary::Rem, ..) if dtype.is_float() => of(Entry::Rem, Entry::Rem64),
        Expr::Random(..) => Some(Entry::Uniform),
        Expr::Load(..)
        | Expr::Number(_)
        | Expr::Coordinate(_)
        | Expr::Binary(..)
        | Expr::Select(..)
        | Expr::Cast(_) => None,
    }
}

/// Whether an expression is as cheap to repeat as to load.
fn repeats(expr: &Expr) -> bool {
    match expr {
        Expr::Load(..) | Expr::Number(_) | Expr::Coordinate(_) => true,
        Expr::Random(..) | Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) | Expr::Cast(_) => false,
    }
}

/// Bytes at the start of the local area for single numbers that go through vector functions.
pub const SINGLES: usize = 64;

/// Studies a nest.
pub fn analyse(nest: &Nest) -> Analysis {
    let inner = nest.loops.len() - 1;
    let own = |map: &Map| {
        let outer = map.terms[..inner].iter().any(|t| *t != 0);
        match (map.terms[inner] != 0, outer) {
            (true, _) => Level::Element,
            (false, true) => Level::Row,
            (false, false) => Level::Fixed,
        }
    };
    let count = nest.exprs.len();
    let (mut levels, mut stages): (Vec<Level>, Vec<usize>) = (Vec::new(), Vec::new());
    for (expr, dtype) in nest.exprs.iter().zip(&nest.dtypes) {
        let args = expr.args();
        let level = args.iter().map(|a| levels[*a]).chain(expr.map().map(own)).max();
        let level = level.unwrap_or(Level::Fixed);
        let ready = args.iter().filter(|a| levels[**a] == Level::Element).map(|a| stages[*a]).max();
        let call =
            entry(expr, *dtype).is_some() && level == Level::Element && !matches!(expr, Expr::Random(..));
        stages.push(ready.unwrap_or(0) + usize::from(call));
        levels.push(level);
    }
    let last = (0..count).filter(|e| levels[*e] == Level::Element).map(|e| stages[e]).max().unwrap_or(0);
    let mut wanted = vec![false; count];
    let mut later = |e: ExprId, stage: usize| {
        let kept = levels[e] == Level::Element && !repeats(&nest.exprs[e]) && stages[e] < stage;
        wanted[e] |= kept;
    };
    for (e, expr) in nest.exprs.iter().enumerate().filter(|(e, _)| levels[*e] == Level::Element) {
        expr.args().into_iter().for_each(|arg| later(arg, stages[e]));
    }
    nest.stores.iter().for_each(|s| later(s.expr, last));
    nest.folds.iter().for_each(|f| later(f.expr, last));
    for (e, expr) in nest.exprs.iter().enumerate() {
        if levels[e] == Level::Element && entry(expr, nest.dtypes[e]).is_some() {
            wanted[e] = true;
            if !matches!(expr, Expr::Random(..)) {
                expr.args().into_iter().for_each(|arg| wanted[arg] = true);
            }
        }
    }
    let mut local = SINGLES;
    let mut strip = |bytes: usize| {
        let at = local;
        local += (STRIP * bytes).next_multiple_of(64);
        at
    };
    let temps = (0..count).map(|e| wanted[e].then(|| strip(nest.dtypes[e].bytes()))).collect();
    let columns = nest.folds.iter().map(|f| [(); 2].map(|()| strip(nest.dtypes[f.expr].bytes()))).collect();
    Analysis { levels, stages, last, temps, columns, local }
}
