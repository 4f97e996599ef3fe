//! A loop nest: one pass over an index space that loads, computes, stores and folds. What fusion makes and
//! what the machine's back end compiles.
//!
//! Every load and store is an affine map of the loop variables, so layout operators cost nothing.
//!
//! **Order of sums.** A fold belongs to a reduction of the graph, and its tree is a function of that
//! reduction's shape alone (reduced axes of size one left out):
//! - If the last axis is reduced, the reduced axes at the end form a *row*. A row is cut into blocks of
//!   [`STRIP`]; in a block, element `i` of the leading multiple of [`LANES`] goes to lane `i % LANES`, the lanes
//!   are added as `((v0 + v1) + (v2 + v3))` of four vectors and then `(l0 + l2) + (l1 + l3)`, and the rest of
//!   the block follows one by one. Blocks are added in order.
//! - What remains of the reduced axes is counted row-major; [`RUN`] of them are added in order, and the runs are
//!   added in order.

use std::fmt;

use crate::ops::{Binary, Scalar, Unary};
use crate::types::DType;

/// Elements of a strip: what goes through vector functions at once. A strip's temporaries stay in the first
/// cache.
pub const STRIP: usize = 512;
/// Sums that run side by side along a row.
pub const LANES: usize = 16;
/// Elements of the outer reduced axes that are added one by one before their sum is added to the total.
pub const RUN: usize = 64;

/// `start + Σ terms[i] · variable i`, in elements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Map {
    /// The constant part.
    pub start: i64,
    /// One factor a loop variable.
    pub terms: Vec<i64>,
}

/// An expression of a nest: an index into `Nest::exprs`.
pub type ExprId = usize;

/// One expression, for one point of the index space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// An element of an operand.
    Load(usize, Map),
    /// A number.
    Number(Scalar),
    /// A position, as i32.
    Coordinate(Map),
    /// The element of a draw at a position: stream, seed, step, position.
    Random(u64, ExprId, ExprId, Map),
    /// A function of one operand.
    Unary(Unary, ExprId),
    /// A function of two operands.
    Binary(Binary, ExprId, ExprId),
    /// A choice: condition, then, else.
    Select(ExprId, ExprId, ExprId),
    /// The same number as another dtype.
    Cast(ExprId),
}

impl Expr {
    /// What it is computed from.
    pub fn args(&self) -> Vec<ExprId> {
        match self {
            Expr::Load(..) | Expr::Number(_) | Expr::Coordinate(_) => Vec::new(),
            Expr::Random(_, seed, step, _) => vec![*seed, *step],
            Expr::Unary(_, a) | Expr::Cast(a) => vec![*a],
            Expr::Binary(_, a, b) => vec![*a, *b],
            Expr::Select(c, a, b) => vec![*c, *a, *b],
        }
    }

    /// The position it depends on itself.
    pub fn map(&self) -> Option<&Map> {
        match self {
            Expr::Load(_, map) | Expr::Coordinate(map) | Expr::Random(.., map) => Some(map),
            Expr::Number(_) | Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) | Expr::Cast(_) => None,
        }
    }

    fn map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Expr::Load(_, map) | Expr::Coordinate(map) | Expr::Random(.., map) => Some(map),
            Expr::Number(_) | Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..) | Expr::Cast(_) => None,
        }
    }
}

/// What part a loop variable has in folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Not reduced.
    Kept,
    /// Reduced, and not part of a row.
    Outer,
    /// The row.
    Row,
}

/// One loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loop {
    /// Number of turns.
    pub size: usize,
    /// Its part in folds.
    pub role: Role,
}

/// A value that goes to memory at every point.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// The value.
    pub expr: ExprId,
    /// Where to: an index into `Nest::operands`.
    pub operand: usize,
    /// The element.
    pub map: Map,
}

/// How elements are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combine {
    /// The sum.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The position of the first largest in the row.
    ArgMax,
}

/// A value that is combined over all loops that are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fold {
    /// The value.
    pub expr: ExprId,
    /// How.
    pub combine: Combine,
    /// Where to: an index into `Nest::operands`.
    pub operand: usize,
    /// The element; a function of the kept variables.
    pub map: Map,
}

/// A loop nest. Loops stand from the outermost to the innermost, which is the one cut into strips.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nest {
    /// The loops; at least one.
    pub loops: Vec<Loop>,
    /// Expressions, operands before users.
    pub exprs: Vec<Expr>,
    /// The dtype of each expression.
    pub dtypes: Vec<DType>,
    /// The dtype of each operand in memory.
    pub operands: Vec<DType>,
    /// What is stored.
    pub stores: Vec<Store>,
    /// What is folded.
    pub folds: Vec<Fold>,
    /// The loop that threads share.
    pub dealt: Option<usize>,
}

/// How a nest with folds runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Nothing is folded.
    Plain,
    /// The innermost loop is a row.
    Rows,
    /// The innermost loop is kept: whole strips are combined.
    Columns,
    /// The innermost loop is a row whose largest element is looked for.
    Search,
}

impl Nest {
    /// How it runs.
    pub fn pattern(&self) -> Pattern {
        let row = self.loops.last().is_some_and(|l| l.role == Role::Row);
        match self.folds.first() {
            None => Pattern::Plain,
            Some(fold) if fold.combine == Combine::ArgMax => Pattern::Search,
            Some(_) if row => Pattern::Rows,
            Some(_) => Pattern::Columns,
        }
    }

    /// Every map in the nest.
    pub fn maps(&self) -> impl Iterator<Item = &Map> {
        let exprs = self.exprs.iter().filter_map(Expr::map);
        exprs.chain(self.stores.iter().map(|s| &s.map)).chain(self.folds.iter().map(|f| &f.map))
    }

    fn maps_mut(&mut self) -> impl Iterator<Item = &mut Map> {
        let exprs = self.exprs.iter_mut().filter_map(Expr::map_mut);
        let stores = self.stores.iter_mut().map(|s| &mut s.map);
        exprs.chain(stores).chain(self.folds.iter_mut().map(|f| &mut f.map))
    }

    /// Merges neighbouring loops that every map treats as one, and drops loops of one turn. There remains at
    /// least one loop, and the innermost keeps its role.
    pub fn coalesce(&mut self) {
        let mut at = 0;
        while at < self.loops.len() {
            if self.loops[at].size == 1 && self.loops.len() > 1 && self.may_drop(at) {
                self.loops.remove(at);
                self.maps_mut().for_each(|m| {
                    m.terms.remove(at);
                });
            } else {
                at += 1;
            }
        }
        at = 1;
        while at < self.loops.len() {
            let (outer, inner) = (at - 1, at);
            let same = self.loops[outer].role == self.loops[inner].role;
            let size = self.loops[inner].size as i64;
            if same && self.maps().all(|m| m.terms[outer] == size * m.terms[inner]) {
                self.loops[inner].size *= self.loops[outer].size;
                self.loops.remove(outer);
                self.maps_mut().for_each(|m| {
                    m.terms.remove(outer);
                });
            } else {
                at += 1;
            }
        }
    }

    /// Adds a variable, which no position depends on, to every map.
    pub fn push_variable(&mut self) {
        self.maps_mut().for_each(|m| m.terms.push(0));
    }

    /// Moves the first `count` loops of `range` behind the others of it.
    pub fn rotate(&mut self, range: std::ops::Range<usize>, count: usize) {
        self.loops[range.clone()].rotate_left(count);
        self.maps_mut().for_each(|m| m.terms[range.clone()].rotate_left(count));
    }

    /// A loop of one turn may go, unless it is the row of folds, or the column of folds without rows.
    fn may_drop(&self, at: usize) -> bool {
        let role = self.loops[at].role;
        let rows = self.loops.iter().filter(|l| l.role == Role::Row).count();
        let column = rows == 0 && !self.folds.is_empty() && role == Role::Kept && at + 1 == self.loops.len();
        !column && (role != Role::Row || rows > 1)
    }

    /// Whether operand `operand` is touched at `map` by nothing but loads and stores at the same map.
    pub fn only_at(&self, operand: usize, map: &Map) -> bool {
        let loads = self.exprs.iter().all(|e| match e {
            Expr::Load(o, m) => *o != operand || m == map,
            Expr::Number(_)
            | Expr::Coordinate(_)
            | Expr::Random(..)
            | Expr::Unary(..)
            | Expr::Binary(..)
            | Expr::Select(..)
            | Expr::Cast(_) => true,
        });
        loads && self.folds.iter().all(|f| f.operand != operand)
    }
}

/// One line a loop, expression, store and fold.
impl fmt::Display for Nest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let position = |m: &Map| {
            let mut text = String::new();
            for (i, term) in m.terms.iter().enumerate().filter(|(_, t)| **t != 0) {
                let plus = if text.is_empty() { "" } else { " + " };
                text += &if *term == 1 { format!("{plus}i{i}") } else { format!("{plus}{term} i{i}") };
            }
            match (text.is_empty(), m.start) {
                (true, start) => start.to_string(),
                (false, 0) => text,
                (false, start) => format!("{text} + {start}"),
            }
        };
        for (i, l) in self.loops.iter().enumerate() {
            let role = match l.role {
                Role::Kept => "",
                Role::Outer => " reduced",
                Role::Row => " row",
            };
            let dealt = if self.dealt == Some(i) { " dealt" } else { "" };
            writeln!(f, "for i{i} in 0..{}{role}{dealt}", l.size)?;
        }
        for (i, expr) in self.exprs.iter().enumerate() {
            write!(f, "  e{i}: {} = ", self.dtypes[i])?;
            match expr {
                Expr::Load(operand, map) => writeln!(f, "p{operand}[{}]", position(map))?,
                Expr::Number(n) => writeln!(f, "{}", n.get())?,
                Expr::Coordinate(map) => writeln!(f, "{}", position(map))?,
                Expr::Random(stream, seed, step, map) => {
                    writeln!(f, "random {stream:#x} e{seed} e{step} at {}", position(map))?
                }
                Expr::Unary(op, a) => writeln!(f, "{op:?} e{a}")?,
                Expr::Binary(op, a, b) => writeln!(f, "{op:?} e{a} e{b}")?,
                Expr::Select(c, a, b) => writeln!(f, "Select e{c} e{a} e{b}")?,
                Expr::Cast(a) => writeln!(f, "Cast e{a}")?,
            }
        }
        for s in &self.stores {
            writeln!(f, "  p{}[{}] = e{}", s.operand, position(&s.map), s.expr)?;
        }
        for fold in &self.folds {
            writeln!(
                f,
                "  p{}[{}] = {:?} of e{}",
                fold.operand,
                position(&fold.map),
                fold.combine,
                fold.expr
            )?;
        }
        Ok(())
    }
}
