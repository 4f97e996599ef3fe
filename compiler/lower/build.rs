//! Values of a graph become expressions of a nest: layout operators turn into index arithmetic and vanish.

use std::collections::HashMap;

use super::nest::{Combine, Expr, ExprId, Fold, Loop, Map, Nest, Role, Store};
use super::values::{Source, Stored, row_major};
use crate::graph::{Graph, ValueId};
use crate::ops::{Op, Scalar};
use crate::types::DType;

/// What a nest is to compute.
#[derive(Clone, Debug)]
pub struct Task {
    /// Sizes of the index space.
    pub space: Vec<usize>,
    /// The part of each axis of the space in folds.
    pub roles: Vec<Role>,
    /// What goes where.
    pub sinks: Vec<Sink>,
}

/// One result of a nest.
#[derive(Clone, Debug)]
pub struct Sink {
    /// What is computed.
    pub what: What,
    /// How elements are combined, for a fold.
    pub combine: Option<Combine>,
    /// Where it goes.
    pub target: Source,
    /// Elements between neighbours along each axis of the space.
    pub strides: Vec<i64>,
    /// Elements before the first.
    pub start: i64,
}

/// What a sink computes.
#[derive(Clone, Debug)]
pub enum What {
    /// A value; axis `i` of the space is axis `order[i]` of the value.
    Value(ValueId, Vec<usize>),
    /// What lies in memory, with the axes of the space.
    Stored(Source, DType),
    /// One number everywhere.
    Number(Scalar, DType),
}

/// A nest and the tensors that are its operands.
#[derive(Clone, Debug)]
pub struct Built {
    /// The nest.
    pub nest: Nest,
    /// What each operand is.
    pub sources: Vec<Source>,
}

/// Why a task cannot become one nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// This value's index is no affine map here; it must be stored.
    Store(ValueId),
    /// Two results of the task need each other's neighbours.
    Apart,
}

/// Makes the nest of a task.
///
/// # Errors
/// See [`Trouble`].
pub fn build(graph: &Graph, stored: &Stored, task: &Task) -> Result<Built, Trouble> {
    let loops: Vec<Loop> =
        task.space.iter().zip(&task.roles).map(|(size, role)| Loop { size: *size, role: *role }).collect();
    let mut builder = Builder {
        graph,
        stored,
        order: (0..loops.len()).collect(),
        loops,
        halves: HashMap::new(),
        own: HashMap::new(),
        memo: HashMap::new(),
        exprs: Vec::new(),
        dtypes: Vec::new(),
        sources: Vec::new(),
        operands: Vec::new(),
    };
    for sink in &task.sinks {
        let own = match &sink.what {
            What::Value(value, _) if sink.target == Source::Value(*value) => Some(*value),
            What::Value(..) | What::Stored(..) | What::Number(..) => None,
        };
        builder.own.insert(sink.target, own);
    }
    let mut results = Vec::new();
    for sink in &task.sinks {
        let expr = match &sink.what {
            What::Number(number, dtype) => builder.push(RawExpr::Number(*number), *dtype),
            What::Stored(source, dtype) => {
                let operand = builder.operand(*source, *dtype);
                let axes: Vec<Form> = (0..task.space.len()).map(Form::variable).collect();
                builder.push(RawExpr::Load(operand, linear(&axes, &row_major(&task.space))), *dtype)
            }
            What::Value(value, order) => {
                let mut index = vec![Form::constant(0); order.len()];
                for (axis, of) in order.iter().enumerate() {
                    index[*of] = Form::variable(axis);
                }
                if sink.target == Source::Value(*value) {
                    builder.compute(*value, index)?
                } else {
                    builder.eval(*value, index)?
                }
            }
        };
        results.push(expr);
    }
    builder.finish(task, &results)
}

/// `start + Σ factor · variable`, over variables that may since have been split.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Form {
    start: i64,
    /// (variable, factor), by variable; no factor is 0.
    terms: Vec<(usize, i64)>,
}

impl Form {
    fn constant(start: i64) -> Form {
        Form { start, terms: Vec::new() }
    }

    fn variable(variable: usize) -> Form {
        Form { start: 0, terms: vec![(variable, 1)] }
    }

    /// `self + other · factor`
    fn add(mut self, other: &Form, factor: i64) -> Form {
        self.start += other.start * factor;
        for (variable, term) in &other.terms {
            match self.terms.binary_search_by_key(variable, |t| t.0) {
                Ok(at) => self.terms[at].1 += term * factor,
                Err(at) => self.terms.insert(at, (*variable, term * factor)),
            }
        }
        self.terms.retain(|t| t.1 != 0);
        self
    }
}

/// The sum of `index[i] · strides[i]`.
fn linear(index: &[Form], strides: &[i64]) -> Form {
    index.iter().zip(strides).fold(Form::constant(0), |sum, (form, stride)| sum.add(form, *stride))
}

/// An expression whose position is still a [`Form`].
#[derive(Clone, Debug)]
enum RawExpr {
    Load(usize, Form),
    Number(Scalar),
    Coordinate(Form),
    /// With the value it comes from.
    Random(u64, ExprId, ExprId, Form, ValueId),
    Plain(Expr),
}

struct Builder<'a> {
    graph: &'a Graph,
    stored: &'a Stored,
    /// Every loop variable there ever was.
    loops: Vec<Loop>,
    /// The variables that are in use, from the outermost.
    order: Vec<usize>,
    /// A variable that was split: its outer part, its inner part, the inner part's size.
    halves: HashMap<usize, (usize, usize, i64)>,
    /// What this nest itself makes: a value where it can be taken as it is computed.
    own: HashMap<Source, Option<ValueId>>,
    memo: HashMap<(ValueId, Vec<Form>), ExprId>,
    exprs: Vec<RawExpr>,
    dtypes: Vec<DType>,
    sources: Vec<Source>,
    operands: Vec<DType>,
}

impl Builder<'_> {
    fn push(&mut self, expr: RawExpr, dtype: DType) -> ExprId {
        self.exprs.push(expr);
        self.dtypes.push(dtype);
        self.exprs.len() - 1
    }

    fn operand(&mut self, source: Source, dtype: DType) -> usize {
        if let Some(at) = self.sources.iter().position(|s| *s == source) {
            return at;
        }
        self.sources.push(source);
        self.operands.push(dtype);
        self.sources.len() - 1
    }

    /// A form over the variables in use.
    fn resolve(&self, form: &Form) -> Form {
        if form.terms.iter().all(|(v, _)| !self.halves.contains_key(v)) {
            return form.clone();
        }
        form.terms.iter().fold(Form::constant(form.start), |sum, (variable, factor)| {
            let term = match self.halves.get(variable) {
                None => Form::variable(*variable),
                Some((outer, inner, size)) => {
                    let halves = Form::constant(0).add(&Form::variable(*outer), *size);
                    self.resolve(&halves.add(&Form::variable(*inner), 1))
                }
            };
            sum.add(&term, *factor)
        })
    }

    /// An element of a value, loaded if it is stored elsewhere.
    fn eval(&mut self, value: ValueId, index: Vec<Form>) -> Result<ExprId, Trouble> {
        let index: Vec<Form> = index.iter().map(|form| self.resolve(form)).collect();
        let Some(source) = self.stored.source(self.graph, value) else {
            return self.compute(value, index);
        };
        match self.own.get(&source) {
            Some(Some(own)) if *own == value && self.is_identity(&index) => self.compute(value, index),
            Some(_) => Err(Trouble::Apart),
            None => {
                let key = (value, index);
                if let Some(found) = self.memo.get(&key) {
                    return Ok(*found);
                }
                let ty = self.graph.ty(value);
                let operand = self.operand(source, ty.dtype);
                let position = linear(&key.1, &row_major(&ty.dims()));
                let expr = self.push(RawExpr::Load(operand, position), ty.dtype);
                self.memo.insert(key, expr);
                Ok(expr)
            }
        }
    }

    /// Whether an index is the point of the space itself.
    fn is_identity(&self, index: &[Form]) -> bool {
        index.iter().enumerate().all(|(axis, form)| {
            let wanted = self.resolve(&Form::variable(axis));
            *form == wanted
        })
    }

    /// An element of a value, computed here.
    fn compute(&mut self, value: ValueId, index: Vec<Form>) -> Result<ExprId, Trouble> {
        let key = (value, index);
        if let Some(found) = self.memo.get(&key) {
            return Ok(*found);
        }
        let index = key.1.clone();
        let (graph, ty) = (self.graph, self.graph.ty(value).clone());
        let args = graph.args(value);
        let expr = match graph.op(value) {
            Op::Constant(number, _) => self.push(RawExpr::Number(*number), ty.dtype),
            Op::Index { axis, .. } => self.push(RawExpr::Coordinate(index[*axis].clone()), ty.dtype),
            Op::Random { stream, .. } => {
                let seed = self.eval(args[0], Vec::new())?;
                let step = self.eval(args[1], Vec::new())?;
                let position = linear(&index, &row_major(&ty.dims()));
                self.push(RawExpr::Random(*stream, seed, step, position, value), ty.dtype)
            }
            Op::Unary(op) => {
                let a = self.eval(args[0], index)?;
                self.push(RawExpr::Plain(Expr::Unary(*op, a)), ty.dtype)
            }
            Op::Binary(op) => {
                let a = self.eval(args[0], index.clone())?;
                let b = self.eval(args[1], index)?;
                self.push(RawExpr::Plain(Expr::Binary(*op, a, b)), ty.dtype)
            }
            Op::Select => {
                let c = self.eval(args[0], index.clone())?;
                let a = self.eval(args[1], index.clone())?;
                let b = self.eval(args[2], index)?;
                self.push(RawExpr::Plain(Expr::Select(c, a, b)), ty.dtype)
            }
            Op::Cast(_) => {
                let a = self.eval(args[0], index)?;
                if graph.ty(args[0]).dtype == ty.dtype {
                    a
                } else {
                    self.push(RawExpr::Plain(Expr::Cast(a)), ty.dtype)
                }
            }
            Op::Stop => self.eval(args[0], index)?,
            Op::Broadcast { from, .. } => {
                let dims = graph.ty(args[0]).dims();
                let from = from.iter().zip(dims);
                let index =
                    from.map(|(to, dim)| if dim == 1 { Form::constant(0) } else { index[*to].clone() });
                let index = index.collect();
                self.eval(args[0], index)?
            }
            Op::Transpose { order } => {
                let mut inner = vec![Form::constant(0); order.len()];
                for (axis, of) in order.iter().enumerate() {
                    inner[*of] = index[axis].clone();
                }
                self.eval(args[0], inner)?
            }
            Op::Slice { axis, start, .. } => {
                let start = start.known().expect("sizes in a graph are bound") as i64;
                let mut index = index;
                index[*axis].start += start;
                self.eval(args[0], index)?
            }
            Op::Reshape { .. } => match self.stored.source(graph, args[0]) {
                // What lies in memory is the same memory under other axes.
                Some(source) if !self.own.contains_key(&source) => {
                    let operand = self.operand(source, ty.dtype);
                    self.push(RawExpr::Load(operand, linear(&index, &row_major(&ty.dims()))), ty.dtype)
                }
                _ => {
                    let index = self.reshape(&ty.dims(), &index, args[0])?;
                    self.eval(args[0], index)?
                }
            },
            Op::Input(_)
            | Op::Variable(_)
            | Op::Step
            | Op::Seed
            | Op::Receive { .. }
            | Op::Training
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Gather { .. }
            | Op::Order { .. }
            | Op::Cumulate { .. }
            | Op::ScatterAdd { .. }
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::Contract { .. }
            | Op::Convolve(_)
            | Op::ConvolveInput(..)
            | Op::ConvolveKernel(..)
            | Op::Pool(_)
            | Op::PoolInput(_)
            | Op::Scan { .. } => {
                let op = graph.op(value);
                unreachable!("{op:?} is stored, so nests load it")
            }
        };
        self.memo.insert(key, expr);
        Ok(expr)
    }

    /// The index into a reshape's operand. Axes fall into groups of one product; in each, the position is
    /// taken apart along the operand's axes.
    fn reshape(&mut self, result: &[usize], index: &[Form], arg: ValueId) -> Result<Vec<Form>, Trouble> {
        let operand = self.graph.ty(arg).dims();
        let mut forms = vec![Form::constant(0); operand.len()];
        if result.contains(&0) {
            return Ok(forms);
        }
        let long = |dims: &[usize]| -> Vec<usize> { (0..dims.len()).filter(|i| dims[*i] != 1).collect() };
        let (mut from, mut to) = (long(result), long(&operand));
        while let (Some(r), Some(o)) = (from.pop(), to.pop()) {
            let (mut position, mut elements) = (index[r].clone(), result[r]);
            let (mut group, mut product) = (vec![o], operand[o]);
            while elements != product {
                if elements < product {
                    let r = from.pop().expect("a reshape keeps the number of elements");
                    position = position.add(&index[r], elements as i64);
                    elements *= result[r];
                } else {
                    let o = to.pop().expect("a reshape keeps the number of elements");
                    product *= operand[o];
                    group.push(o);
                }
            }
            let first = group.pop().expect("a group has an axis");
            for axis in group {
                (position, forms[axis]) = self.divide(&position, operand[axis] as i64, arg)?;
            }
            forms[first] = position;
        }
        Ok(forms.iter().map(|form| self.resolve(form)).collect())
    }

    /// `form = quotient · by + remainder` with 0 ≤ remainder < by, splitting a variable where that helps.
    fn divide(&mut self, form: &Form, by: i64, arg: ValueId) -> Result<(Form, Form), Trouble> {
        loop {
            let form = self.resolve(form);
            if form.start < 0 || form.terms.iter().any(|t| t.1 < 0) {
                return Err(Trouble::Store(arg));
            }
            let mut quotient = Form::constant(form.start / by);
            let mut remainder = Form::constant(form.start % by);
            for (variable, factor) in &form.terms {
                let whole = factor % by == 0;
                let (to, factor) =
                    if whole { (&mut quotient, factor / by) } else { (&mut remainder, *factor) };
                *to = to.clone().add(&Form::variable(*variable), factor);
            }
            let most = |f: &Form| {
                f.start
                    + f.terms.iter().map(|(v, t)| t * (self.loops[*v].size as i64 - 1).max(0)).sum::<i64>()
            };
            if most(&remainder) < by {
                return Ok((quotient, remainder));
            }
            let split = remainder.terms.iter().find_map(|(variable, factor)| {
                let size = self.loops[*variable].size as i64;
                let inner = by / factor;
                (by % factor == 0 && size > inner && size % inner == 0).then_some((*variable, inner))
            });
            match split {
                Some((variable, inner)) => self.split(variable, inner as usize),
                None => return Err(Trouble::Store(arg)),
            }
        }
    }

    fn split(&mut self, variable: usize, inner: usize) {
        let Loop { size, role } = self.loops[variable];
        let first = self.loops.len();
        self.loops.push(Loop { size: size / inner, role });
        self.loops.push(Loop { size: inner, role });
        self.halves.insert(variable, (first, first + 1, inner as i64));
        let at = self.order.iter().position(|v| *v == variable).expect("only variables in use are split");
        self.order.splice(at..=at, [first, first + 1]);
    }

    /// The nest: every position over the final loops, loops in the order they run.
    fn finish(mut self, task: &Task, results: &[ExprId]) -> Result<Built, Trouble> {
        let mut stores = Vec::new();
        let mut folds = Vec::new();
        let axes: Vec<Form> = (0..task.space.len()).map(Form::variable).collect();
        for (sink, expr) in task.sinks.iter().zip(results) {
            let mut position = linear(&axes, &sink.strides);
            position.start += sink.start;
            let dtype = match (sink.combine, &sink.what) {
                (Some(Combine::ArgMax), _) => DType::I32,
                (_, What::Number(_, dtype) | What::Stored(_, dtype)) => *dtype,
                (_, What::Value(value, _)) => self.graph.ty(*value).dtype,
            };
            let operand = self.operand(sink.target, dtype);
            match sink.combine {
                None => stores.push((*expr, operand, position)),
                Some(combine) => folds.push((*expr, combine, operand, position)),
            }
        }
        let order = self.running_order(task);
        let map = |form: &Form| {
            let form = self.resolve(form);
            let factor = |v: &usize| form.terms.iter().find(|t| t.0 == *v).map_or(0, |t| t.1);
            Map { start: form.start, terms: order.iter().map(factor).collect() }
        };
        let exprs = self.exprs.iter().map(|raw| match raw {
            RawExpr::Load(operand, form) => Expr::Load(*operand, map(form)),
            RawExpr::Number(number) => Expr::Number(*number),
            RawExpr::Coordinate(form) => Expr::Coordinate(map(form)),
            RawExpr::Random(stream, seed, step, form, _) => Expr::Random(*stream, *seed, *step, map(form)),
            RawExpr::Plain(expr) => expr.clone(),
        });
        let mut nest = Nest {
            loops: order.iter().map(|v| self.loops[*v].clone()).collect(),
            exprs: exprs.collect(),
            dtypes: self.dtypes.clone(),
            operands: self.operands.clone(),
            stores: stores
                .iter()
                .map(|(expr, operand, form)| Store { expr: *expr, operand: *operand, map: map(form) })
                .collect(),
            folds: folds
                .iter()
                .map(|(expr, combine, operand, form)| Fold {
                    expr: *expr,
                    combine: *combine,
                    operand: *operand,
                    map: map(form),
                })
                .collect(),
            dealt: None,
        };
        if nest.loops.is_empty() {
            nest.loops.push(Loop { size: 1, role: Role::Kept });
            nest.push_variable();
        }
        nest.coalesce();
        self.check(task, &mut nest)?;
        Ok(Built { nest, sources: self.sources })
    }

    /// Kept loops outside, then the reduced; innermost the row, or what is kept behind the last reduced axis.
    fn running_order(&self, task: &Task) -> Vec<usize> {
        if task.sinks.iter().all(|s| s.combine.is_none()) {
            return self.order.clone();
        }
        if task.sinks.iter().any(|s| s.combine == Some(Combine::ArgMax)) {
            let (mut order, row): (Vec<usize>, Vec<usize>) =
                self.order.iter().partition(|v| self.loops[**v].role == Role::Kept);
            order.extend(row);
            return order;
        }
        let role = |v: &usize| self.loops[*v].role;
        let Some(last) = self.order.iter().rposition(|v| role(v) != Role::Kept) else {
            return self.order.clone();
        };
        let of = |wanted: Role, range: &[usize]| -> Vec<usize> {
            range.iter().copied().filter(|v| role(v) == wanted).collect()
        };
        let (before, behind) = self.order.split_at(last + 1);
        [of(Role::Kept, before), of(Role::Outer, before), of(Role::Row, before), behind.to_vec()].concat()
    }

    /// Puts loops that did not merge in running order, and refuses what the back end cannot run.
    fn check(&self, task: &Task, nest: &mut Nest) -> Result<(), Trouble> {
        if let Some(fold) = task.sinks.iter().find(|s| s.combine.is_some()) {
            let rows = nest.loops.iter().filter(|l| l.role == Role::Row).count();
            if rows > 1 {
                match fold.what {
                    What::Value(value, _) => return Err(Trouble::Store(value)),
                    What::Stored(..) | What::Number(..) => unreachable!("only values are folded"),
                }
            }
            let last = nest.loops.len() - 1;
            let outer = nest.loops.iter().position(|l| l.role == Role::Outer);
            if nest.loops[last].role == Role::Kept
                && let Some(first) = outer
            {
                // Kept loops behind the reduced ones that could not be merged into the last go outside.
                let count = nest.loops.iter().filter(|l| l.role == Role::Outer).count();
                nest.rotate(first..last, count);
            }
        }
        let inner = nest.loops.len() - 1;
        for (expr, raw) in nest.exprs.iter().zip(&self.exprs) {
            if let (Expr::Random(.., map), RawExpr::Random(.., value)) = (expr, raw)
                && !matches!(map.terms[inner], 0 | 1)
            {
                return Err(Trouble::Store(*value));
            }
        }
        Ok(())
    }
}
