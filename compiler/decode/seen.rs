//! What each position of a sequence sees: for every value, at each position, the tokens that have a part in it.
//!
//! The model is carried out for a sequence of a few tokens with stand-ins for numbers: what is known whatever the data
//! are (the position itself, a mask, the weight 0 that a mask leaves), or the set of steps after which all that has a
//! part in it is there. All axes that do not run along the sequence are taken together. So whatever way a mask is
//! written in, it counts for what it does.

use std::collections::{HashMap, HashSet};

use super::axes::{growing, is_time, keeps_apart, reshaped};
use crate::graph::ValueId;
use crate::model::Model;
use crate::ops::{Binary, Op, Reduction, Window, contract_rest};
use crate::reference::{Array, apply, each_index};
use crate::types::{FreeId, Size, Type};

/// Numbers this large stand for "never": what a mask puts where nothing may be seen. Adding to one changes nothing.
const NEVER: f64 = 1e20;

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// This number, whatever the data are.
    Known(f64),
    /// A number in which the tokens of these steps have a part, one bit a step.
    Data(u64),
}

/// Of the steps there may be: one beyond those that are looked at.
const BEYOND: u64 = 1 << 63;

impl Cell {
    fn steps(self) -> u64 {
        match self {
            Cell::Known(_) => 0,
            Cell::Data(steps) => steps,
        }
    }

    /// One of both, nobody knows which.
    fn or(self, other: Cell) -> Cell {
        if self == other { self } else { Cell::Data(self.steps() | other.steps()) }
    }
}

/// A value at every position: one cell for each index of the axes that grow with the sequence.
#[derive(Clone, Debug)]
struct Seen {
    /// Of each axis: how far apart its neighbours are, 0 where the axis does not grow.
    strides: Vec<usize>,
    cells: Vec<Cell>,
}

impl Seen {
    fn at(&self, index: &[usize]) -> Cell {
        self.cells[index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>()]
    }

    fn all(&self) -> u64 {
        self.cells.iter().fold(0, |all, cell| all | cell.steps())
    }
}

/// A model's values as positions see them.
pub struct Sight<'m> {
    model: &'m Model,
    time: FreeId,
    /// How many tokens the sequence has here.
    tokens: usize,
    /// Whether an input says how long it is.
    given: bool,
    in_step: &'m HashSet<ValueId>,
    seen: HashMap<ValueId, Seen>,
}

/// What a value is known to be beforehand.
pub enum Given {
    /// The sequence as the model sees it: what stands at each position is there after as many steps.
    Tokens,
    /// The lengths of its examples: no position that is looked at lies beyond them.
    Lengths,
}

impl<'m> Sight<'m> {
    /// Looks at `needed`, operands before users.
    pub fn new(
        model: &'m Model,
        time: FreeId,
        given: bool,
        needed: &[ValueId],
        in_step: &'m HashSet<ValueId>,
        beforehand: impl Fn(ValueId) -> Option<Given>,
    ) -> Sight<'m> {
        let mut sight =
            Sight { model, time, tokens: tokens(model, needed), given, in_step, seen: HashMap::new() };
        for value in needed {
            let seen = match beforehand(*value) {
                Some(Given::Tokens) => sight.fill(sight.ty(*value), |index| Cell::Data(1 << index[1])),
                Some(Given::Lengths) => sight.fill(sight.ty(*value), |_| Cell::Known(f64::from(i32::MAX))),
                None => sight.look(*value),
            };
            sight.seen.insert(*value, seen);
        }
        sight
    }

    /// Whether no position of a value sees what comes after it. Positions are those of its first axis that runs along
    /// the sequence; a value without one sees the first alone.
    pub fn is_causal(&self, value: ValueId) -> bool {
        let (ty, seen) = (self.ty(value), &self.seen[&value]);
        let axis = (0..ty.rank()).find(|at| is_time(&ty.axes[*at], self.time));
        let mut causal = true;
        each_index(&self.shape(ty), |index| {
            let now = axis.map_or(0, |axis| index[axis]);
            causal &= seen.at(index).steps() & !((2 << now) - 1) == 0;
        });
        causal
    }

    fn ty(&self, value: ValueId) -> &'m Type {
        &self.model.values[value.0 as usize].ty
    }

    fn size(&self, size: &Size) -> usize {
        let mut binding = vec![1; self.model.free.len()];
        binding[self.time.0 as usize] = self.tokens as u64;
        size.bind(&binding) as usize
    }

    /// The axes that grow as long as they are here, the others of size 1.
    fn shape(&self, ty: &Type) -> Vec<usize> {
        let long = |at: usize| ty.axes[at].size.mentions(self.time);
        (0..ty.rank()).map(|at| if long(at) { self.size(&ty.axes[at].size) } else { 1 }).collect()
    }

    fn fill(&self, ty: &Type, mut cell: impl FnMut(&[usize]) -> Cell) -> Seen {
        let shape = self.shape(ty);
        let mut strides = vec![0; shape.len()];
        let mut step = 1;
        for axis in growing(ty, self.time).into_iter().rev() {
            strides[axis] = step;
            step *= shape[axis];
        }
        let mut cells = Vec::with_capacity(step);
        each_index(&shape, |index| cells.push(cell(index)));
        Seen { strides, cells }
    }

    fn look(&self, value: ValueId) -> Seen {
        let of = &self.model.values[value.0 as usize];
        let args: Vec<&Seen> = of.args.iter().map(|arg| &self.seen[arg]).collect();
        let types: Vec<&Type> = of.args.iter().map(|arg| self.ty(*arg)).collect();
        let own = self.in_step.contains(&value);
        let axis = match growing(&of.ty, self.time)[..] {
            [axis] if own && is_time(&of.ty.axes[axis], self.time) => Some(axis),
            _ => None,
        };
        self.fill(&of.ty, |index| match (self.cell(&of.op, &args, &types, &of.ty, index), axis) {
            // It is there once its position is: a store holds nothing before.
            (Cell::Data(steps), Some(axis)) => Cell::Data(steps | step_of(index[axis])),
            (cell, _) => cell,
        })
    }

    /// One cell of what `op` gives.
    fn cell(&self, op: &Op, args: &[&Seen], types: &[&Type], result: &Type, index: &[usize]) -> Cell {
        let grows = |arg: usize, axis: usize| types[arg].axes[axis].size.mentions(self.time);
        let everything = || Cell::Data(args.iter().fold(0, |all, arg| all | arg.all()));
        // How many positions are combined counts too, unless it is known beforehand.
        let mark = |position: usize| if self.given { 0 } else { step_of(position) };
        match op {
            Op::Training => Cell::Known(0.0),
            Op::Constant(number, _) => Cell::Known(number.get()),
            Op::Index { axes, axis } if axes[*axis].size.mentions(self.time) => {
                Cell::Known(index[*axis] as f64)
            }
            Op::Index { .. }
            | Op::Input(_)
            | Op::Variable(_)
            | Op::Step
            | Op::Seed
            | Op::Receive { .. }
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Random { .. } => everything(),
            Op::Unary(_) | Op::Cast(_) | Op::Stop => match args[0].at(index) {
                Cell::Known(x) => Cell::Known(number(op, &[x], result)),
                data @ Cell::Data(_) => data,
            },
            Op::Binary(function) => self.binary(*function, [args[0].at(index), args[1].at(index)], result),
            Op::Select => match args[0].at(index) {
                Cell::Known(condition) => args[if condition != 0.0 { 1 } else { 2 }].at(index),
                Cell::Data(steps) => match args[1].at(index).or(args[2].at(index)) {
                    Cell::Data(others) => Cell::Data(steps | others),
                    known @ Cell::Known(_) => known,
                },
            },
            Op::Broadcast { from, .. } => args[0].at(&from.iter().map(|at| index[*at]).collect::<Vec<_>>()),
            Op::Transpose { order } => {
                let mut own = vec![0; order.len()];
                order.iter().zip(index).for_each(|(from, i)| own[*from] = *i);
                args[0].at(&own)
            }
            Op::Reshape { .. } => match reshaped(types[0], result, self.time) {
                Some(pairs) => {
                    let mut own = vec![0; types[0].rank()];
                    pairs.into_iter().for_each(|(from, to)| own[from] = index[to]);
                    args[0].at(&own)
                }
                None => everything(),
            },
            Op::Slice { axis, .. } if !grows(0, *axis) => args[0].at(index),
            Op::Slice { axis, start, end } => {
                let (start, end, size) =
                    (self.size(start), self.size(end), self.size(&types[0].axes[*axis].size));
                let at =
                    |place: usize| if place < size { args[0].at(&put(index, *axis, place)) } else { out() };
                if result.axes[*axis].size.mentions(self.time) {
                    return at(start + index[*axis]);
                }
                (start..end).map(at).reduce(Cell::or).unwrap_or(Cell::Known(0.0))
            }
            Op::Pad { axis, low, high } => {
                let along = grows(0, *axis) || result.axes[*axis].size.mentions(self.time);
                if along && grows(0, *axis) {
                    let (low, size) = (self.size(low), self.size(&types[0].axes[*axis].size));
                    let place = index[*axis].checked_sub(low).filter(|place| *place < size);
                    return place.map_or(Cell::Known(0.0), |place| args[0].at(&put(index, *axis, place)));
                }
                let none = [low, high].iter().all(|size| **size == Size::Known(0));
                let own = args[0].at(&put(index, *axis, 0));
                if none { own } else { own.or(Cell::Known(0.0)) }
            }
            Op::Concat { axis } if result.axes[*axis].size.mentions(self.time) => {
                let mut place = index[*axis];
                for (arg, ty) in args.iter().zip(types) {
                    let size = self.size(&ty.axes[*axis].size);
                    if place < size {
                        return arg.at(&put(index, *axis, place));
                    }
                    place -= size;
                }
                out()
            }
            Op::Concat { .. } => args.iter().map(|arg| arg.at(index)).reduce(Cell::or).unwrap_or_else(out),
            Op::Gather { axis, batch } => {
                let picks = types[1].rank() - batch;
                let by = args[1].at(&[&index[..*batch], &index[*axis..axis + picks]].concat());
                let size = if grows(0, *axis) { self.size(&types[0].axes[*axis].size) } else { 1 };
                let own = |place| [&index[..*axis], &[place], &index[axis + picks..]].concat();
                let all = (0..size).map(|place| args[0].at(&own(place))).reduce(Cell::or);
                match all.unwrap_or_else(out) {
                    Cell::Data(steps) => Cell::Data(steps | by.steps()),
                    known @ Cell::Known(_) => known,
                }
            }
            Op::Reduce { op, axes } => self.reduced(*op, args[0], types[0], axes, index, &mark),
            Op::ArgMax { axis } => {
                match self.reduced(Reduction::Min, args[0], types[0], &[*axis], index, &mark) {
                    Cell::Known(_) if grows(0, *axis) => Cell::Data(mark(self.tokens - 1)),
                    Cell::Known(_) => Cell::Data(0),
                    data @ Cell::Data(_) => data,
                }
            }
            Op::Order { axis, .. } | Op::Cumulate { axis, .. } if grows(0, *axis) => {
                let size = self.size(&types[0].axes[*axis].size);
                let forward = matches!(op, Op::Cumulate { reverse: false, .. });
                let end = if forward { index[*axis] + 1 } else { size };
                let of = |place| args[0].at(&put(index, *axis, place)).steps() | mark(place);
                Cell::Data((0..end).fold(0, |all, place| all | of(place)))
            }
            Op::Order { .. } | Op::Cumulate { .. } => {
                let cell = args[0].at(index);
                let nothing = cell == Cell::Known(0.0) && matches!(op, Op::Cumulate { .. });
                if nothing { cell } else { Cell::Data(cell.steps()) }
            }
            Op::Contract { batch, sum } => {
                self.product([args[0], args[1]], types, [batch, sum], index, &mark)
            }
            Op::Convolve(convolution) => {
                let windows = convolution.windows(&types[1].axes[..convolution.stride.len()]);
                windows.map_or_else(|_| everything(), |all| self.window(&all, args, types, index, &mark))
            }
            Op::Pool(pooling) => {
                let windows = pooling.windows();
                windows.map_or_else(|_| everything(), |all| self.window(&all, args, types, index, &mark))
            }
            Op::ScatterAdd { .. } | Op::ConvolveInput(..) | Op::ConvolveKernel(..) | Op::PoolInput(_) => {
                everything()
            }
            Op::Scan { scan, .. } if is_time(&scan.axis, self.time) && !scan.reverse => {
                // Up to this turn; in a history, whose first row stands before all turns, to the one before.
                let (states, end) = (scan.states, scan.states + scan.sequences);
                let history = result.axes[0].size != Size::Free(self.time);
                let turns = if history { index[0] } else { index[0] + 1 };
                let turn = |arg: &Seen| {
                    let rows = arg.cells.len() / self.tokens.max(1);
                    arg.cells[..rows * turns].iter().fold(0, |all, cell| all | cell.steps())
                };
                let of = |(at, arg): (usize, &&Seen)| match (states..end).contains(&at) {
                    true => turn(arg),
                    false => arg.all(),
                };
                let known = args.iter().enumerate().map(of).fold(0, |all, steps| all | steps);
                Cell::Data((0..turns).fold(known, |all, turn| all | step_of(turn)))
            }
            Op::Scan { scan, .. } if keeps_apart(scan, self.time) => {
                // Position by position; all operands that run along the sequence do so by one axis.
                let at = growing(result, self.time).first().map(|axis| index[*axis]);
                let of = |(arg, ty): (&&Seen, &&Type)| match (growing(ty, self.time).first(), at) {
                    (Some(axis), Some(at)) => arg.at(&put(&vec![0; ty.rank()], *axis, at)).steps(),
                    _ => arg.all(),
                };
                Cell::Data(args.iter().zip(types).map(of).fold(0, |all, steps| all | steps))
            }
            Op::Scan { .. } => everything(),
        }
    }

    fn binary(&self, function: Binary, [a, b]: [Cell; 2], result: &Type) -> Cell {
        let never = |x: f64| x.abs() >= NEVER;
        let low = |x: f64| x <= -NEVER;
        match (function, a, b) {
            (_, Cell::Known(x), Cell::Known(y)) => {
                Cell::Known(number(&Op::Binary(function), &[x, y], result))
            }
            (Binary::Mul, Cell::Known(0.0), _) | (Binary::Mul, _, Cell::Known(0.0)) => Cell::Known(0.0),
            (Binary::Div, Cell::Known(0.0), _) => Cell::Known(0.0),
            (Binary::And, Cell::Known(0.0), _) | (Binary::And, _, Cell::Known(0.0)) => Cell::Known(0.0),
            (Binary::Or, Cell::Known(x), _) | (Binary::Or, _, Cell::Known(x)) if x != 0.0 => Cell::Known(1.0),
            (Binary::Add | Binary::Sub, Cell::Known(x), _) | (Binary::Add, _, Cell::Known(x)) if never(x) => {
                Cell::Known(x)
            }
            (Binary::Sub, _, Cell::Known(x)) if never(x) => Cell::Known(-x),
            (Binary::Max, Cell::Known(x), data) | (Binary::Max, data, Cell::Known(x)) if low(x) => data,
            (Binary::Min, Cell::Known(x), data) | (Binary::Min, data, Cell::Known(x)) if low(-x) => data,
            _ => Cell::Data(a.steps() | b.steps()),
        }
    }

    /// All elements along some axes combined.
    fn reduced(
        &self,
        op: Reduction,
        x: &Seen,
        ty: &Type,
        axes: &[usize],
        index: &[usize],
        mark: &dyn Fn(usize) -> u64,
    ) -> Cell {
        let mut own = vec![0; ty.rank()];
        let stay = (0..ty.rank()).filter(|at| !axes.contains(at));
        stay.zip(index).for_each(|(at, i)| own[at] = *i);
        let along: Vec<usize> =
            axes.iter().copied().filter(|at| ty.axes[*at].size.mentions(self.time)).collect();
        let shape: Vec<usize> = along.iter().map(|at| self.size(&ty.axes[*at].size)).collect();
        let single = axes.iter().all(|at| ty.axes[*at].size == Size::Known(1));
        let mut cells = Vec::new();
        each_index(&shape, |places| {
            along.iter().zip(places).for_each(|(at, place)| own[*at] = *place);
            cells.push((x.at(&own), places.iter().fold(0, |all, place| all | mark(*place))));
        });
        if let ([(cell, _)], true) = (&cells[..], single) {
            return *cell;
        }
        combined(op, &cells)
    }

    fn product(
        &self,
        [left, right]: [&Seen; 2],
        types: &[&Type],
        [batch, sum]: [&[(usize, usize)]; 2],
        index: &[usize],
        mark: &dyn Fn(usize) -> u64,
    ) -> Cell {
        let (mut l, mut r) = (vec![0; types[0].rank()], vec![0; types[1].rank()]);
        let pairs = || batch.iter().chain(sum);
        let left_rest = contract_rest(l.len(), pairs().map(|pair| pair.0));
        let right_rest = contract_rest(r.len(), pairs().map(|pair| pair.1));
        for (at, pair) in batch.iter().enumerate() {
            (l[pair.0], r[pair.1]) = (index[at], index[at]);
        }
        left_rest.iter().enumerate().for_each(|(at, axis)| l[*axis] = index[batch.len() + at]);
        let first = batch.len() + left_rest.len();
        right_rest.iter().enumerate().for_each(|(at, axis)| r[*axis] = index[first + at]);
        let along: Vec<&(usize, usize)> =
            sum.iter().filter(|pair| types[0].axes[pair.0].size.mentions(self.time)).collect();
        let shape: Vec<usize> = along.iter().map(|pair| self.size(&types[0].axes[pair.0].size)).collect();
        let mut cells = Vec::new();
        each_index(&shape, |places| {
            for (pair, place) in along.iter().zip(places) {
                (l[pair.0], r[pair.1]) = (*place, *place);
            }
            let cell = self.binary(Binary::Mul, [left.at(&l), right.at(&r)], types[0]);
            cells.push((cell, places.iter().fold(0, |all, place| all | mark(*place))));
        });
        combined(Reduction::Sum, &cells)
    }

    /// What windows over some axes see.
    fn window(
        &self,
        windows: &[Window],
        args: &[&Seen],
        types: &[&Type],
        index: &[usize],
        mark: &dyn Fn(usize) -> u64,
    ) -> Cell {
        let mut steps = args[1..].iter().fold(0, |all, arg| all | arg.all());
        let sizes = self.shape(types[0]);
        let taps: Vec<usize> = windows.iter().map(|window| window.taps as usize).collect();
        let moves = |axis: usize| types[0].axes[axis + 1].size.mentions(self.time);
        let taps: Vec<usize> = taps.iter().enumerate().map(|(i, n)| if moves(i) { *n } else { 1 }).collect();
        each_index(&taps, |tap| {
            let mut own = vec![0; types[0].rank()];
            own[0] = index[0];
            let mut marks = 0;
            for (i, window) in windows.iter().enumerate().filter(|(i, _)| moves(*i)) {
                let Some(place) = window.input(index[i + 1], tap[i], sizes[i + 1]) else { return };
                own[i + 1] = place;
                marks |= mark(place);
            }
            let cell = args[0].at(&own);
            if cell != Cell::Known(0.0) {
                steps |= cell.steps() | marks;
            }
        });
        Cell::Data(steps)
    }
}

/// How many tokens to look at: so many that masks of fixed width show what they do, as far as they are narrow.
fn tokens(model: &Model, needed: &[ValueId]) -> usize {
    const LEAST: usize = 8;
    const MOST: usize = 24;
    let width = |value: &ValueId| {
        let Op::Constant(number, dtype) = &model.values[value.0 as usize].op else { return None };
        (!dtype.is_float()).then(|| number.get().abs() as usize)
    };
    let widths = needed.iter().filter_map(width).filter(|width| *width < MOST);
    widths.map(|width| width + 4).max().unwrap_or(0).clamp(LEAST, MOST)
}

fn step_of(position: usize) -> u64 {
    1 << position.min(62)
}

/// What stands where nothing does yet.
fn out() -> Cell {
    Cell::Data(BEYOND)
}

fn put(index: &[usize], axis: usize, place: usize) -> Vec<usize> {
    let mut own = index.to_vec();
    own[axis] = place;
    own
}

fn number(op: &Op, args: &[f64], result: &Type) -> f64 {
    let arrays: Vec<Array> = args.iter().map(|x| Array::number(*x)).collect();
    apply(op, &arrays.iter().collect::<Vec<_>>(), &Type::scalar(result.dtype)).data[0]
}

/// Cells combined, each with the steps that tell that it is among them.
fn combined(op: Reduction, cells: &[(Cell, u64)]) -> Cell {
    // Of none yet; a longer sequence has some.
    if cells.is_empty() {
        return out();
    }
    let neutral = |cell: &Cell| match (op, cell) {
        (Reduction::Sum, Cell::Known(x)) => *x == 0.0,
        (Reduction::Max, Cell::Known(x)) => *x <= -NEVER,
        (Reduction::Min, Cell::Known(x)) => *x >= NEVER,
        (_, Cell::Data(_)) => false,
    };
    let first = cells.first().map(|(cell, _)| *cell);
    if let Some(Cell::Known(x)) = first
        && cells.iter().all(|(cell, _)| *cell == Cell::Known(x))
        && (op != Reduction::Sum || x == 0.0)
    {
        return Cell::Known(x);
    }
    let counting = cells.iter().filter(|(cell, _)| !neutral(cell));
    Cell::Data(counting.fold(0, |all, (cell, mark)| all | cell.steps() | mark))
}
