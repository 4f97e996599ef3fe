//! Random valid graphs with numbers to run them on, for comparing any two ways of computing them.
//!
//! Values stay within a few units, and comparisons look only at given numbers, which every machine holds exactly:
//! so ways that round differently differ by little, everywhere.

use strata::graph::{Graph, OriginId, Output, Update, ValueId};
use strata::model::Input;
use strata::ops::{Binary, Convolution, InputId, Op, Pooling, Reduction, Unary, VariableId};
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Size, Type};
use strata_grammar::Span;

use crate::primitives::{Domain, Spread, numbers, variable};
use crate::random::Choices;

/// A graph and what to run it on.
#[derive(Clone, Debug)]
pub struct RandomGraph {
    /// Outputs `y0`, `y1`, …; some variables are updated.
    pub graph: Graph,
    /// Inputs, variables, seed and step.
    pub environment: Environment,
    /// Values that depend on the variables without kinks or jumps.
    pub smooth: Vec<ValueId>,
}

/// A graph of about `growth` steps, each a few values, whose floats are of the given dtype. The batch is empty in
/// one case of ten.
pub fn random_graph(seed: u64, growth: usize, dtype: DType) -> RandomGraph {
    let mut choices = Choices::new(seed);
    let batch = choices.pick(&[0u64, 1, 1, 2, 3, 3, 4, 5, 6, 7]);
    let graph = Graph::new([].into(), [].into());
    let environment = Environment { seed: seed as i64, step: 5, ..Environment::default() };
    let mut growing =
        Growing { graph, environment, choices, dtype, batch, smooth: Vec::new(), kinked: Vec::new() };
    growing.seeds();
    for _ in 0..growth {
        growing.grow();
    }
    growing.finish()
}

struct Growing {
    graph: Graph,
    environment: Environment,
    choices: Choices,
    dtype: DType,
    batch: u64,
    smooth: Vec<ValueId>,
    kinked: Vec<ValueId>,
}

impl Growing {
    fn add(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        self.graph.add(op, args, OriginId(0))
    }

    fn unary(&mut self, function: Unary, x: ValueId) -> ValueId {
        self.add(Op::Unary(function), &[x])
    }

    fn binary(&mut self, function: Binary, a: ValueId, b: ValueId) -> ValueId {
        self.add(Op::Binary(function), &[a, b])
    }

    fn ty(&self, value: ValueId) -> Type {
        self.graph.ty(value).clone()
    }

    /// A number everywhere, in the type of `like`.
    fn number(&mut self, number: f64, like: ValueId) -> ValueId {
        let ty = self.ty(like);
        self.graph.filled(number, &ty, OriginId(0))
    }

    fn fill(&mut self, ty: &Type, domain: Domain) -> Array {
        let mut spread = Spread::over(ty.elements(), &mut self.choices);
        numbers(ty, domain, &mut spread, &mut self.choices)
    }

    /// A new variable.
    fn variable(&mut self, axes: Vec<Axis>) -> ValueId {
        let ty = Type::new(self.dtype, axes);
        let id = self.graph.variables.len();
        let mut variables = self.graph.variables.to_vec();
        variables.push(variable(&format!("v{id}"), &ty));
        self.graph.variables = variables.into();
        let array = self.fill(&ty, Domain::Any);
        self.environment.variables.push(array);
        self.add(Op::Variable(VariableId(id as u32)), &[])
    }

    /// A new input.
    fn input(&mut self, ty: Type, domain: Domain) -> ValueId {
        let id = self.graph.inputs.len();
        let mut inputs = self.graph.inputs.to_vec();
        inputs.push(Input { name: format!("x{id}"), ty: ty.clone(), span: Span::default() });
        self.graph.inputs = inputs.into();
        let array = self.fill(&ty, domain);
        self.environment.inputs.push(array);
        self.add(Op::Input(InputId(id as u32)), &[])
    }

    fn seeds(&mut self) {
        let batch = Axis::named("batch", self.batch);
        let (height, width) = (self.choices.pick(&[1u64, 3, 4, 5]), self.choices.pick(&[2u64, 3, 5]));
        let channels = self.choices.pick(&[1u64, 2, 3]);
        let features = self.choices.pick(&[1u64, 3, 4, 7, 17]);
        let image = vec![batch.clone(), Axis::named("height", height), Axis::named("width", width)];
        let image = [image, vec![Axis::named("channel", channels)]].concat();
        let image = self.input(Type::new(self.dtype, image), Domain::Any);
        let row = self.variable(vec![Axis::sized(features)]);
        let table = self.variable(vec![batch, Axis::named("feature", features)]);
        let scalar = self.variable(Vec::new());
        self.smooth = vec![image, row, table, scalar];
    }

    /// Adds one step to the graph.
    fn grow(&mut self) {
        let smooth = self.kinked.is_empty() || self.choices.once_in(2);
        // Late values are taken more often, so that graphs grow deep.
        let from = if smooth { self.smooth.clone() } else { self.kinked.clone() };
        let back = self.choices.below(from.len()).min(self.choices.below(from.len()));
        let x = from[from.len() - 1 - back];
        let (value, keeps) = self.step(x);
        if self.graph.ty(value).elements() > 4000 {
            return;
        }
        if smooth && keeps { self.smooth.push(value) } else { self.kinked.push(value) }
    }

    /// A value made from `x`, and whether it is as smooth as `x`.
    fn step(&mut self, x: ValueId) -> (ValueId, bool) {
        match self.choices.below(20) {
            0 | 1 => (self.smooth_function(x), true),
            2 | 3 => self.combine(x),
            4 => (self.needless(x), true),
            5 => (self.broadcast(x), true),
            6 | 7 => self.reduce(x),
            8 => (self.rearrange(x), true),
            9 => (self.stretch(x), true),
            10..=12 => (self.dense(x), true),
            13..=15 => self.spatial(x),
            16 => self.choose(x),
            17 => (self.dropout(x), true),
            18 => (self.softmax(x), true),
            _ => {
                let function = self.choices.pick(&[Unary::Abs, Unary::Neg]);
                (self.unary(function, x), function == Unary::Neg)
            }
        }
    }

    fn smooth_function(&mut self, x: ValueId) -> ValueId {
        let function = self.choices.pick(&[Unary::Tanh, Unary::Sigmoid, Unary::Erf, Unary::Sin, Unary::Cos]);
        let y = self.unary(function, x);
        match self.choices.below(5) {
            0 => self.unary(Unary::Exp, y),
            1 => {
                let two = self.number(2.0, y);
                let sum = self.binary(Binary::Add, y, two);
                let function = self.choices.pick(&[Unary::Log, Unary::Sqrt]);
                self.unary(function, sum)
            }
            _ => y,
        }
    }

    /// A value of the type of `x`, not always another.
    fn partner(&mut self, x: ValueId) -> ValueId {
        let ty = self.ty(x);
        let alike: Vec<ValueId> =
            self.smooth.iter().copied().filter(|v| self.graph.ty(*v).axes == ty.axes).collect();
        match self.choices.below(4) {
            0 => self.number(0.75, x),
            1 if ty.rank() > 0 => {
                let row = self.variable(vec![ty.axes[ty.rank() - 1].clone()]);
                self.add(Op::Broadcast { axes: ty.axes, from: vec![self.graph.ty(x).rank() - 1] }, &[row])
            }
            _ if alike.is_empty() => self.unary(Unary::Cos, x),
            _ => self.choices.pick(&alike),
        }
    }

    fn combine(&mut self, x: ValueId) -> (ValueId, bool) {
        let other = self.partner(x);
        let (a, b) = if self.choices.once_in(2) { (x, other) } else { (other, x) };
        match self.choices.below(6) {
            0 => {
                let sum = self.binary(Binary::Add, a, b);
                let half = self.number(0.5, sum);
                (self.binary(Binary::Mul, sum, half), true)
            }
            1 => {
                let difference = self.binary(Binary::Sub, a, b);
                (self.unary(Unary::Tanh, difference), true)
            }
            2 => {
                let product = self.binary(Binary::Mul, a, b);
                (self.unary(Unary::Sin, product), true)
            }
            3 => {
                let (shift, small) = (self.number(1.5, b), self.unary(Unary::Sigmoid, b));
                let divisor = self.binary(Binary::Add, small, shift);
                (self.binary(Binary::Div, a, divisor), true)
            }
            4 => (self.binary(Binary::Max, a, b), false),
            _ => (self.binary(Binary::Min, a, b), false),
        }
    }

    /// What passes take away again.
    fn needless(&mut self, x: ValueId) -> ValueId {
        let (zero, one, ty) = (self.number(0.0, x), self.number(1.0, x), self.ty(x));
        match self.choices.below(9) {
            0 => self.binary(Binary::Add, x, zero),
            1 => self.binary(Binary::Mul, one, x),
            2 => {
                let minus = self.unary(Unary::Neg, x);
                self.unary(Unary::Neg, minus)
            }
            3 => self.add(Op::Cast(ty.dtype), &[x]),
            4 => {
                let yes = self.graph.filled(1.0, &ty.with_dtype(DType::Bool), OriginId(0));
                self.add(Op::Select, &[yes, x, zero])
            }
            5 => {
                let axes = vec![Axis::sized(ty.elements() as u64)];
                let flat = self.add(Op::Reshape { axes }, &[x]);
                self.add(Op::Reshape { axes: ty.axes }, &[flat])
            }
            6 => {
                let two = self.number(2.0, x);
                let bounded = self.unary(Unary::Tanh, x);
                let less = self.binary(Binary::Sub, bounded, two);
                let minus = self.unary(Unary::Neg, less);
                self.binary(Binary::Add, bounded, minus)
            }
            7 => {
                let (half, two) = (self.number(0.5, x), self.number(2.0, x));
                let known = self.binary(Binary::Pow, half, two);
                let known = self.unary(Unary::Exp, known);
                self.binary(Binary::Sub, x, known)
            }
            _ => self.binary(Binary::Div, x, one),
        }
    }

    fn broadcast(&mut self, x: ValueId) -> ValueId {
        let mut axes = self.ty(x).axes;
        if axes.len() > 3 {
            return self.unary(Unary::Neg, x);
        }
        let at = self.choices.below(axes.len() + 1);
        let from = (0..axes.len()).map(|i| if i < at { i } else { i + 1 }).collect();
        axes.insert(at, Axis::named("copy", self.choices.pick(&[1u64, 2, 3])));
        self.add(Op::Broadcast { axes, from }, &[x])
    }

    fn reduce(&mut self, x: ValueId) -> (ValueId, bool) {
        let ty = self.ty(x);
        let axes: Vec<usize> = (0..ty.rank()).filter(|_| self.choices.once_in(2)).collect();
        let count: usize = axes.iter().map(|axis| ty.dims()[*axis]).product();
        if count > 0 && self.choices.once_in(3) {
            let op = self.choices.pick(&[Reduction::Max, Reduction::Min]);
            return (self.add(Op::Reduce { op, axes }, &[x]), false);
        }
        let sum = self.add(Op::Reduce { op: Reduction::Sum, axes }, &[x]);
        let share = self.number(1.0 / count.max(1) as f64, sum);
        (self.binary(Binary::Mul, sum, share), true)
    }

    fn rearrange(&mut self, x: ValueId) -> ValueId {
        let ty = self.ty(x);
        if ty.rank() > 1 && self.choices.once_in(2) {
            let order = self.choices.order(ty.rank());
            return self.add(Op::Transpose { order }, &[x]);
        }
        let sizes = ty.dims();
        let axes = match sizes.as_slice() {
            [first, rest @ ..] if !rest.is_empty() => {
                let flat = rest.iter().product::<usize>() as u64;
                vec![Axis { size: Size::Known(*first as u64), ..ty.axes[0].clone() }, Axis::sized(flat)]
            }
            [] => vec![Axis::sized(1)],
            [size] => vec![Axis::sized(1), Axis::sized(*size as u64)],
            [..] => unreachable!("the first pattern takes two axes and more"),
        };
        self.add(Op::Reshape { axes }, &[x])
    }

    /// Slices, pads and joins.
    fn stretch(&mut self, x: ValueId) -> ValueId {
        let ty = self.ty(x);
        if ty.rank() == 0 {
            return self.unary(Unary::Cos, x);
        }
        let axis = self.choices.below(ty.rank());
        let size = ty.dims()[axis];
        match self.choices.below(3) {
            0 if size > 0 => {
                let start = self.choices.below(size);
                let end = start + 1 + self.choices.below(size - start);
                let (start, end) = (Size::Known(start as u64), Size::Known(end as u64));
                self.add(Op::Slice { axis, start, end }, &[x])
            }
            1 if size > 0 => {
                let [low, high] = [0, 1].map(|_| Size::Known(self.choices.below(3) as u64));
                self.add(Op::Pad { axis, low, high }, &[x])
            }
            _ => {
                let other = self.unary(Unary::Tanh, x);
                self.add(Op::Concat { axis }, &[x, other])
            }
        }
    }

    /// A product over the last axis with a new weight, and perhaps a bias.
    fn dense(&mut self, x: ValueId) -> ValueId {
        let ty = self.ty(x);
        let Some(last) = ty.axes.last().cloned() else { return self.unary(Unary::Sin, x) };
        let inputs = ty.dims()[ty.rank() - 1];
        let outputs = Axis::named("unit", self.choices.pick(&[1u64, 2, 5, 9, 16]));
        let weight = self.variable(vec![last, outputs]);
        let product = self.add(Op::Contract { batch: vec![], sum: vec![(ty.rank() - 1, 0)] }, &[x, weight]);
        let share = self.number(1.0 / inputs.max(1) as f64, product);
        let mean = self.binary(Binary::Mul, product, share);
        if self.choices.once_in(2) {
            return mean;
        }
        let bias = self.partner(mean);
        self.binary(Binary::Add, mean, bias)
    }

    /// Convolution and pooling, of what has the axes of an image.
    fn spatial(&mut self, x: ValueId) -> (ValueId, bool) {
        let ty = self.ty(x);
        let dims = ty.dims();
        let [_, height, width, channels] = dims[..] else { return (self.dense(x), true) };
        if height == 0 || width == 0 || channels == 0 {
            return (self.dense(x), true);
        }
        if self.choices.once_in(3) {
            let window = [height, width].map(|size| 1 + self.choices.below(size.min(3)) as u64).to_vec();
            let op = self.choices.pick(&[Reduction::Sum, Reduction::Max]);
            let stride = vec![self.choices.pick(&[1, 2]), self.choices.pick(&[1, 2, 3])];
            let padding = window.iter().map(|taps| (taps / 2, (taps - 1) / 2)).collect();
            let taps: u64 = window.iter().product();
            let y = self.add(Op::Pool(Pooling { op, window, stride, padding }), &[x]);
            if op == Reduction::Max {
                return (y, false);
            }
            let share = self.number(1.0 / taps as f64, y);
            return (self.binary(Binary::Mul, y, share), true);
        }
        let taps = [height, width].map(|size| 1 + self.choices.below(size.min(3)) as u64);
        let outputs = self.choices.pick(&[1u64, 2, 4, 8]);
        let kernel = self.variable(vec![
            Axis::sized(taps[0]),
            Axis::sized(taps[1]),
            Axis::sized(channels as u64),
            Axis::named("feature", outputs),
        ]);
        let convolution = Convolution {
            stride: vec![self.choices.pick(&[1, 2]), self.choices.pick(&[1, 1, 2])],
            dilation: vec![1, self.choices.pick(&[1, 2])],
            padding: taps.iter().map(|taps| (taps - 1, taps / 2 + 1)).collect(),
            groups: 1,
        };
        let y = self.add(Op::Convolve(convolution), &[x, kernel]);
        let share = self.number(1.0 / (taps[0] * taps[1] * channels as u64) as f64, y);
        (self.binary(Binary::Mul, y, share), true)
    }

    /// One of two values, by given numbers.
    fn choose(&mut self, x: ValueId) -> (ValueId, bool) {
        let ty = self.ty(x);
        let other = self.partner(x);
        let condition = if let Some(last) = ty.axes.last()
            && self.choices.once_in(2)
        {
            // One of the last axis: what a label picks.
            let rank = ty.rank();
            let labels = Type::new(DType::I32, ty.axes[..rank - 1].to_vec());
            let labels = self.input(labels, Domain::Whole);
            let wide = [labels_axes(self, labels), vec![last.clone()]].concat();
            let labels =
                self.add(Op::Broadcast { axes: wide.clone(), from: (0..rank - 1).collect() }, &[labels]);
            let index = self.add(Op::Index { axes: wide, axis: rank - 1 }, &[]);
            self.binary(Binary::Equal, labels, index)
        } else {
            let given = self.input(ty.clone(), Domain::Any);
            let bound = self.number(0.25, x);
            let function = self.choices.pick(&[Binary::Less, Binary::LessEqual]);
            self.binary(function, given, bound)
        };
        (self.add(Op::Select, &[condition, x, other]), true)
    }

    fn dropout(&mut self, x: ValueId) -> ValueId {
        let ty = self.ty(x);
        let (seed, step) = (self.add(Op::Seed, &[]), self.add(Op::Step, &[]));
        let stream = self.choices.below(1000) as u64;
        let uniform = self.add(Op::Random { stream, axes: ty.axes.clone() }, &[seed, step]);
        let bound = self.number(0.5, uniform);
        let keep = self.binary(Binary::Less, uniform, bound);
        let zero = self.number(0.0, x);
        self.add(Op::Select, &[keep, x, zero])
    }

    /// Over the last axis, with the largest taken off as by a constant.
    fn softmax(&mut self, x: ValueId) -> ValueId {
        let ty = self.ty(x);
        if ty.rank() == 0 || ty.elements() == 0 {
            return self.unary(Unary::Tanh, x);
        }
        let (last, from) = (ty.rank() - 1, (0..ty.rank() - 1).collect::<Vec<_>>());
        let over = |op| Op::Reduce { op, axes: vec![last] };
        let wide = Op::Broadcast { axes: ty.axes.clone(), from };
        let largest = self.add(over(Reduction::Max), &[x]);
        let largest = self.add(Op::Stop, &[largest]);
        let largest = self.add(wide.clone(), &[largest]);
        let less = self.binary(Binary::Sub, x, largest);
        let power = self.unary(Unary::Exp, less);
        let sum = self.add(over(Reduction::Sum), &[power]);
        let sum = self.add(wide, &[sum]);
        self.binary(Binary::Div, power, sum)
    }

    fn finish(mut self) -> RandomGraph {
        let grown: Vec<ValueId> = self.smooth.iter().chain(&self.kinked).copied().collect();
        let unused: Vec<ValueId> = grown.into_iter().filter(|v| self.graph.users(*v).is_empty()).collect();
        for (i, value) in unused.into_iter().enumerate() {
            self.graph.outputs.push(Output { name: format!("y{i}"), value });
        }
        for (i, variable) in (0..self.graph.variables.len() as u32).map(VariableId).enumerate() {
            if self.choices.once_in(2) {
                let old = self.add(Op::Variable(variable), &[]);
                let rate = self.number(0.875 + i as f64 / 64.0, old);
                let value = self.binary(Binary::Mul, old, rate);
                self.graph.updates.push(Update { variable, value });
            }
        }
        RandomGraph { graph: self.graph, environment: self.environment, smooth: self.smooth }
    }
}

fn labels_axes(growing: &Growing, labels: ValueId) -> Vec<Axis> {
    growing.graph.ty(labels).axes.clone()
}
