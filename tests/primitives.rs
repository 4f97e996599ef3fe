//! Every primitive on random shapes: sizes 1, odd sizes, empty batches.

use strata::graph::{Graph, OriginId, Output, ValueId};
use strata::model::{Init, Input, RegionId, Variable, VariableKind};
use strata::ops::{Binary, Convolution, InputId, Op, Pooling, Reduction, Unary, VariableId};
use strata::reference::{Array, Environment};
use strata::types::{Axis, DType, Size, Type};
use strata_grammar::Span;

use crate::random::Choices;

/// From which numbers an operand is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Within -2 and 2, no two alike.
    Any,
    /// Within 0.5 and 2.5.
    Positive,
    /// Away from zero.
    NonZero,
    /// From 3.1 to 3.5: between 3 and 4 times any `Divisor`.
    Dividend,
    /// From 0.9 to 1.
    Divisor,
    /// Whole, from 0 to below this.
    Position(usize),
    /// Whole, from -3 to 3 (bool: 0 and 1, `u8`: from 0), alike at times.
    Whole,
}

/// A primitive, and the operands it is tried on.
#[derive(Clone, Debug)]
pub struct Primitive {
    /// The primitive.
    pub op: Op,
    /// Types of its operands, and where their numbers come from.
    pub args: Vec<(Type, Domain)>,
}

/// Draws a case of a primitive whose floats are of the given dtype.
pub type Draw = fn(&mut Choices, DType) -> Primitive;

/// Every primitive that has operands, and indices.
pub const PRIMITIVES: [(&str, Draw); 28] = [
    ("unary", unary),
    ("binary", binary),
    ("compare", compare),
    ("whole", whole),
    ("truth", truth),
    ("select", select),
    ("cast", cast),
    ("stop", stop),
    ("broadcast", broadcast),
    ("transpose", transpose),
    ("reshape", reshape),
    ("slice", slice),
    ("pad", pad),
    ("concat", concat),
    ("gather", gather),
    ("scatter_add", scatter_add),
    ("reduce", reduce),
    ("arg_max", arg_max),
    ("order", order),
    ("cumulate", cumulate),
    ("contract", contract),
    ("convolve", convolve),
    ("convolve_input", convolve_input),
    ("convolve_kernel", convolve_kernel),
    ("pool", pool),
    ("pool_input", pool_input),
    ("random", random),
    ("index", index),
];

/// A graph of this one primitive: output `y`, its operands inputs `x0`, `x1`, … (floats: variables), and numbers
/// for them.
pub fn graph_of(primitive: &Primitive, choices: &mut Choices) -> (Graph, ValueId, Environment) {
    let mut environment = Environment { seed: 7, step: 3, ..Environment::default() };
    let (mut inputs, mut variables, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    let mut spread = Spread::over(primitive.args.iter().map(|(ty, _)| ty.elements()).sum(), choices);
    for (i, (ty, domain)) in primitive.args.iter().enumerate() {
        let name = format!("x{i}");
        let numbers = numbers(ty, *domain, &mut spread, choices);
        if ty.dtype.is_float() {
            leaves.push(Op::Variable(VariableId(variables.len() as u32)));
            variables.push(variable(&name, ty));
            environment.variables.push(numbers);
        } else if matches!(primitive.op, Op::Random { .. }) {
            leaves.push([Op::Seed, Op::Step][i].clone());
        } else {
            leaves.push(Op::Input(InputId(inputs.len() as u32)));
            inputs.push(Input { name, ty: ty.clone(), span: Span::default() });
            environment.inputs.push(numbers);
        }
    }
    let mut graph = Graph::new(inputs.into(), variables.into());
    let origin = OriginId(0);
    let args: Vec<ValueId> = leaves.into_iter().map(|op| graph.add(op, &[], origin)).collect();
    let value = graph.add(primitive.op.clone(), &args, origin);
    graph.outputs.push(Output { name: "y".into(), value });
    (graph, value, environment)
}

/// A variable of this name and type.
pub fn variable(name: &str, ty: &Type) -> Variable {
    Variable {
        name: name.into(),
        kind: VariableKind::Param,
        ty: ty.clone(),
        init: Init::Constant(0.0),
        span: Span::default(),
        call: Span::default(),
        region: RegionId(0),
    }
}

/// Numbers of which no two are alike, in random order; all of them numbers of `f32`.
pub struct Spread {
    order: Vec<usize>,
    used: usize,
}

impl Spread {
    /// So many numbers.
    pub fn over(count: usize, choices: &mut Choices) -> Spread {
        Spread { order: choices.order(count), used: 0 }
    }

    /// The next, in 0..1.
    fn next(&mut self) -> f64 {
        let place = self.order[self.used] as f64 + 0.37;
        self.used += 1;
        f64::from((place / self.order.len() as f64) as f32)
    }
}

/// Numbers for a type.
pub fn numbers(ty: &Type, domain: Domain, spread: &mut Spread, choices: &mut Choices) -> Array {
    Array::from_fn(&ty.dims(), |_| {
        let at = spread.next();
        match (domain, ty.dtype) {
            (Domain::Any, _) => at * 4.0 - 2.0,
            (Domain::Positive, _) => at * 2.0 + 0.5,
            (Domain::Dividend, _) => at * 0.4 + 3.1,
            (Domain::Divisor, _) => at * 0.1 + 0.9,
            (Domain::NonZero, _) if choices.once_in(2) => at * 2.0 + 0.5,
            (Domain::NonZero, _) => -at * 2.0 - 0.5,
            (Domain::Position(rows), _) => choices.below(rows) as f64,
            (Domain::Whole, DType::Bool) => choices.below(2) as f64,
            (Domain::Whole, DType::U8) => choices.below(4) as f64,
            (Domain::Whole, _) => choices.below(7) as f64 - 3.0,
        }
    })
}

/// A size: often 1 or odd.
fn size(c: &mut Choices) -> u64 {
    c.pick(&[1, 1, 2, 3, 3, 4, 5, 7])
}

/// A batch: sometimes empty.
fn batch(c: &mut Choices) -> Axis {
    Axis::named("batch", c.pick(&[0u64, 1, 1, 2, 3, 5]))
}

fn named(c: &mut Choices, name: &str, size: u64) -> Axis {
    if c.once_in(2) { Axis::named(name, size) } else { Axis::sized(size) }
}

/// Up to three axes, the first perhaps empty.
fn axes(c: &mut Choices) -> Vec<Axis> {
    let mut axes = Vec::new();
    for name in ["height", "width"].into_iter().take(c.below(3)) {
        let size = size(c);
        axes.push(named(c, name, size));
    }
    if c.once_in(2) {
        axes.insert(0, batch(c));
    }
    axes
}

/// At least one axis.
fn some_axes(c: &mut Choices) -> Vec<Axis> {
    let mut axes = axes(c);
    if axes.is_empty() {
        axes.push(batch(c));
    }
    axes
}

fn one(op: Op, ty: Type, domain: Domain) -> Primitive {
    Primitive { op, args: vec![(ty, domain)] }
}

fn unary(c: &mut Choices, dtype: DType) -> Primitive {
    let function = c.pick(&[
        Unary::Neg,
        Unary::Exp,
        Unary::Log,
        Unary::Sqrt,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Erf,
        Unary::Sin,
        Unary::Cos,
        Unary::Abs,
        Unary::Sign,
        Unary::Floor,
    ]);
    let domain = match function {
        Unary::Log | Unary::Sqrt => Domain::Positive,
        Unary::Abs | Unary::Sign => Domain::NonZero,
        Unary::Neg
        | Unary::Exp
        | Unary::Tanh
        | Unary::Sigmoid
        | Unary::Erf
        | Unary::Sin
        | Unary::Cos
        | Unary::Floor
        | Unary::Not => Domain::Any,
    };
    one(Op::Unary(function), Type::new(dtype, axes(c)), domain)
}

/// The second operand has no names.
fn pair(c: &mut Choices, dtype: DType) -> (Type, Type) {
    let ty = Type::new(dtype, axes(c));
    let bare = ty.axes.iter().map(|a| Axis::sized(a.size.clone())).collect();
    (ty, Type::new(dtype, bare))
}

fn binary(c: &mut Choices, dtype: DType) -> Primitive {
    let (a, b) = pair(c, dtype);
    let (function, left, right) = c.pick(&[
        (Binary::Add, Domain::Any, Domain::Any),
        (Binary::Sub, Domain::Any, Domain::Any),
        (Binary::Mul, Domain::Any, Domain::Any),
        (Binary::Div, Domain::Any, Domain::NonZero),
        (Binary::Rem, Domain::Dividend, Domain::Divisor),
        (Binary::Pow, Domain::Positive, Domain::Any),
        (Binary::Max, Domain::Any, Domain::Any),
        (Binary::Min, Domain::Any, Domain::Any),
    ]);
    Primitive { op: Op::Binary(function), args: vec![(a, left), (b, right)] }
}

fn compare(c: &mut Choices, dtype: DType) -> Primitive {
    let dtype = c.pick(&[dtype, DType::I32, DType::I64, DType::U8]);
    let (a, b) = pair(c, dtype);
    let function = c.pick(&[Binary::Equal, Binary::Less, Binary::LessEqual]);
    Primitive { op: Op::Binary(function), args: vec![(a, Domain::Whole), (b, Domain::Whole)] }
}

fn whole(c: &mut Choices, _: DType) -> Primitive {
    let dtype = c.pick(&[DType::I32, DType::I64]);
    let (a, b) = pair(c, dtype);
    let function =
        c.pick(&[Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Rem, Binary::Max, Binary::Min]);
    Primitive { op: Op::Binary(function), args: vec![(a, Domain::Whole), (b, Domain::Whole)] }
}

fn truth(c: &mut Choices, _: DType) -> Primitive {
    let (a, b) = pair(c, DType::Bool);
    if c.once_in(3) {
        return one(Op::Unary(Unary::Not), a, Domain::Whole);
    }
    let function = c.pick(&[Binary::And, Binary::Or, Binary::Equal]);
    Primitive { op: Op::Binary(function), args: vec![(a, Domain::Whole), (b, Domain::Whole)] }
}

fn select(c: &mut Choices, dtype: DType) -> Primitive {
    let (a, b) = pair(c, dtype);
    let condition = (a.with_dtype(DType::Bool), Domain::Whole);
    Primitive { op: Op::Select, args: vec![condition, (b, Domain::Any), (a, Domain::Any)] }
}

fn cast(c: &mut Choices, dtype: DType) -> Primitive {
    let (from, to) = c.pick(&[
        (dtype, DType::I32),
        (dtype, DType::F64),
        (dtype, DType::Bool),
        (DType::I32, dtype),
        (DType::I64, DType::I32),
        (DType::Bool, dtype),
        (DType::U8, dtype),
        (DType::I32, DType::I64),
    ]);
    let domain = if from.is_float() { Domain::Any } else { Domain::Whole };
    one(Op::Cast(to), Type::new(from, axes(c)), domain)
}

fn stop(c: &mut Choices, dtype: DType) -> Primitive {
    one(Op::Stop, Type::new(dtype, axes(c)), Domain::Any)
}

fn broadcast(c: &mut Choices, dtype: DType) -> Primitive {
    let from = axes(c);
    let (mut to, mut places) = (Vec::new(), Vec::new());
    for axis in &from {
        if c.once_in(3) {
            let size = size(c);
            to.push(named(c, "copies", size));
        }
        places.push(to.len());
        let mut wide = axis.clone();
        if wide.size == Size::Known(1) && c.once_in(2) {
            wide.size = Size::Known(size(c));
        }
        to.push(wide);
    }
    if c.once_in(2) {
        to.push(batch(c));
    }
    one(Op::Broadcast { axes: to, from: places }, Type::new(dtype, from), Domain::Any)
}

fn transpose(c: &mut Choices, dtype: DType) -> Primitive {
    let axes = axes(c);
    one(Op::Transpose { order: c.order(axes.len()) }, Type::new(dtype, axes), Domain::Any)
}

fn reshape(c: &mut Choices, dtype: DType) -> Primitive {
    let [a, b, d] = [2u64, 3, 4];
    let n = c.pick(&[0u64, 1, 2, 5]);
    let (from, to) = c.pick(&[
        (vec![n, a, b], vec![n, a * b]),
        (vec![n * a, b], vec![n, a, b]),
        (vec![n * 6, d], vec![n * 24]),
        (vec![6, 4], vec![4, 6]),
        (vec![6, 4], vec![8, 3]),
        (vec![1, n, 1, b], vec![n, b]),
        (vec![a, n, b], vec![a, 1, n * b]),
        (vec![24], vec![2, 3, 4]),
        (vec![n], vec![n]),
    ]);
    let sized = |sizes: Vec<u64>| sizes.into_iter().map(Axis::sized).collect::<Vec<_>>();
    one(Op::Reshape { axes: sized(to) }, Type::new(dtype, sized(from)), Domain::Any)
}

fn slice(c: &mut Choices, dtype: DType) -> Primitive {
    let axes = some_axes(c);
    let axis = c.below(axes.len());
    let size = axes[axis].size.known().expect("drawn sizes are known");
    let (a, b) = (c.below(size as usize + 1) as u64, c.below(size as usize + 1) as u64);
    let (start, end) = (Size::Known(a.min(b)), Size::Known(a.max(b)));
    one(Op::Slice { axis, start, end }, Type::new(dtype, axes), Domain::Any)
}

fn pad(c: &mut Choices, dtype: DType) -> Primitive {
    let axes = some_axes(c);
    let axis = c.below(axes.len());
    let [low, high] = [0, 1].map(|_| Size::Known(c.below(4) as u64));
    one(Op::Pad { axis, low, high }, Type::new(dtype, axes), Domain::Any)
}

fn concat(c: &mut Choices, dtype: DType) -> Primitive {
    let axes = some_axes(c);
    let axis = c.below(axes.len());
    let mut args = Vec::new();
    for _ in 0..1 + c.below(3) {
        let mut part = Type::new(dtype, axes.clone());
        part.axes[axis].size = Size::Known(c.below(4) as u64);
        args.push((part, Domain::Any));
    }
    Primitive { op: Op::Concat { axis }, args }
}

/// What is picked from, the positions, and what is picked.
fn rows(c: &mut Choices, dtype: DType) -> (usize, usize, [Type; 3]) {
    let shared: Vec<Axis> = if c.once_in(2) { vec![batch(c)] } else { Vec::new() };
    let mut draw = |most: usize| -> Vec<Axis> {
        (0..c.below(most + 1)).map(|_| Axis::sized(c.pick(&[1u64, 1, 2, 3, 5]))).collect()
    };
    let (before, picks, after) = (draw(1), draw(2), draw(2));
    let row = Axis::named("row", c.pick(&[1u64, 2, 4, 7]));
    let position = c.pick(&[DType::I32, DType::I64, DType::U8]);
    let (batch, axis) = (shared.len(), shared.len() + before.len());
    let x = Type::new(dtype, [shared.clone(), before, vec![row], after].concat());
    let positions = Type::new(position, [shared, picks].concat());
    let y = Op::Gather { axis, batch }.infer(&[&x, &positions]).expect("the shared axes are alike");
    (axis, batch, [x, positions, y])
}

fn gather(c: &mut Choices, dtype: DType) -> Primitive {
    let (axis, batch, [x, positions, _]) = rows(c, dtype);
    let domain = Domain::Position(x.dims()[axis]);
    Primitive { op: Op::Gather { axis, batch }, args: vec![(x, Domain::Any), (positions, domain)] }
}

fn scatter_add(c: &mut Choices, dtype: DType) -> Primitive {
    let (axis, batch, [x, positions, y]) = rows(c, dtype);
    let domain = Domain::Position(x.dims()[axis]);
    let op = Op::ScatterAdd { axis, batch, axes: x.axes };
    Primitive { op, args: vec![(positions, domain), (y, Domain::Any)] }
}

fn reduce(c: &mut Choices, dtype: DType) -> Primitive {
    let axes = axes(c);
    let op = c.pick(&[Reduction::Sum, Reduction::Max, Reduction::Min]);
    let reduced = (0..axes.len()).filter(|_| c.once_in(2)).collect();
    one(Op::Reduce { op, axes: reduced }, Type::new(dtype, axes), Domain::Any)
}

fn arg_max(c: &mut Choices, dtype: DType) -> Primitive {
    let axes = some_axes(c);
    let (dtype, domain) =
        c.pick(&[(dtype, Domain::Any), (DType::I32, Domain::Whole), (dtype, Domain::Whole)]);
    one(Op::ArgMax { axis: c.below(axes.len()) }, Type::new(dtype, axes), domain)
}

fn order(c: &mut Choices, dtype: DType) -> Primitive {
    let axes = some_axes(c);
    let axis = c.below(axes.len());
    let size = axes[axis].size.known().expect("drawn sizes are known");
    let count = if c.once_in(2) { size } else { c.below(size as usize + 1) as u64 };
    let (dtype, domain) = c.pick(&[
        (dtype, Domain::Any),
        (dtype, Domain::Whole),
        (DType::I32, Domain::Whole),
        (DType::I64, Domain::Whole),
        (DType::U8, Domain::Whole),
    ]);
    let op = Op::Order { axis, descending: c.once_in(2), count: Size::Known(count) };
    one(op, Type::new(dtype, axes), domain)
}

fn cumulate(c: &mut Choices, dtype: DType) -> Primitive {
    let axes = some_axes(c);
    let (dtype, domain) = c.pick(&[
        (dtype, Domain::Any),
        (dtype, Domain::Any),
        (DType::I32, Domain::Whole),
        (DType::U8, Domain::Whole),
    ]);
    let op = Op::Cumulate { axis: c.below(axes.len()), exclusive: c.once_in(2), reverse: c.once_in(2) };
    one(op, Type::new(dtype, axes), domain)
}

/// Up to two pairs of each kind and two axes on either side alone, in any order of the operands' axes.
fn contract(c: &mut Choices, dtype: DType) -> Primitive {
    let draw = |c: &mut Choices, most: usize, name: &str| -> Vec<Axis> {
        let mut axes = Vec::new();
        for i in 0..c.below(most + 1) {
            let size = size(c);
            axes.push(named(c, &format!("{name}{i}"), size));
        }
        axes
    };
    let (mut both, summed) = (draw(c, 1, "b"), draw(c, 2, "s"));
    if c.once_in(4) {
        both.push(batch(c));
    }
    let (left, right) = (draw(c, 2, "l"), draw(c, 2, "r"));
    let side = |c: &mut Choices, own: &[Axis]| -> (Vec<Axis>, Vec<usize>) {
        let all: Vec<Axis> = both.iter().chain(&summed).chain(own).cloned().collect();
        let order = if c.once_in(2) { c.order(all.len()) } else { (0..all.len()).collect() };
        let mut place = vec![0; all.len()];
        order.iter().enumerate().for_each(|(to, from)| place[*from] = to);
        (order.iter().map(|i| all[*i].clone()).collect(), place)
    };
    let ((left, at_left), (right, at_right)) = (side(c, &left), side(c, &right));
    let pairs: Vec<(usize, usize)> =
        (0..both.len() + summed.len()).map(|i| (at_left[i], at_right[i])).collect();
    let (batch, sum) = pairs.split_at(both.len());
    let (dtype, domain) = c.pick(&[
        (dtype, Domain::Any),
        (dtype, Domain::Any),
        (dtype, Domain::Any),
        (DType::I32, Domain::Whole),
        (DType::I64, Domain::Whole),
        (DType::U8, Domain::Whole),
    ]);
    let op = Op::Contract { batch: batch.to_vec(), sum: sum.to_vec() };
    Primitive { op, args: vec![(Type::new(dtype, left), domain), (Type::new(dtype, right), domain)] }
}

/// Names of the axes that windows move over: seldom three.
fn spatial(c: &mut Choices) -> Vec<&'static str> {
    let count = c.pick(&[1usize, 1, 2, 2, 2, 3]);
    ["depth", "height", "width"][3 - count..].to_vec()
}

/// A convolution over one to three axes: its input, kernel and output.
fn convolution(c: &mut Choices, dtype: DType) -> (Convolution, [Type; 3]) {
    let groups = c.pick(&[1u64, 1, 2, 3]);
    let (ci, co) = (c.pick(&[1u64, 2, 3]), c.pick(&[1u64, 2, 3]));
    let mut conv = Convolution { stride: vec![], dilation: vec![], padding: vec![], groups };
    let (mut x, mut w) = (vec![batch(c)], Vec::new());
    for name in spatial(c) {
        let (taps, dilation, stride) =
            (c.pick(&[1u64, 2, 3]), c.pick(&[1u64, 1, 2]), c.pick(&[1u64, 2, 3, 4]));
        let padding = (c.below(4) as u64, c.below(4) as u64);
        let extent = (taps - 1) * dilation + 1;
        let input = extent.saturating_sub(padding.0 + padding.1).max(1) + c.below(5) as u64;
        conv.stride.push(stride);
        conv.dilation.push(dilation);
        conv.padding.push(padding);
        x.push(Axis::named(name, input));
        w.push(Axis::sized(taps));
    }
    x.push(Axis::named("channel", ci * groups));
    w.extend([Axis::sized(ci), Axis::named("feature", co * groups)]);
    let (x, w) = (Type::new(dtype, x), Type::new(dtype, w));
    let y = Op::Convolve(conv.clone()).infer(&[&x, &w]).expect("the input is as large as the kernel");
    (conv, [x, w, y])
}

fn any(types: [Type; 2]) -> Vec<(Type, Domain)> {
    types.into_iter().map(|ty| (ty, Domain::Any)).collect()
}

fn convolve(c: &mut Choices, dtype: DType) -> Primitive {
    let (conv, [x, w, _]) = convolution(c, dtype);
    Primitive { op: Op::Convolve(conv), args: any([x, w]) }
}

fn convolve_input(c: &mut Choices, dtype: DType) -> Primitive {
    let (conv, [x, w, y]) = convolution(c, dtype);
    Primitive { op: Op::ConvolveInput(conv, x.axes), args: any([y, w]) }
}

fn convolve_kernel(c: &mut Choices, dtype: DType) -> Primitive {
    let (conv, [x, w, y]) = convolution(c, dtype);
    Primitive { op: Op::ConvolveKernel(conv, w.axes), args: any([x, y]) }
}

fn pooling(c: &mut Choices, dtype: DType) -> (Pooling, [Type; 2]) {
    let op = c.pick(&[Reduction::Sum, Reduction::Max]);
    let mut pooling = Pooling { op, window: vec![], stride: vec![], padding: vec![] };
    let mut x = vec![batch(c)];
    for name in spatial(c) {
        let window = c.pick(&[1u64, 2, 3]);
        let padding = (c.below(window as usize) as u64, c.below(window as usize) as u64);
        pooling.window.push(window);
        pooling.stride.push(c.pick(&[1u64, 2, 3, 4]));
        pooling.padding.push(padding);
        x.push(Axis::named(name, window + c.below(6) as u64));
    }
    let channels = size(c);
    x.push(named(c, "channel", channels));
    let x = Type::new(dtype, x);
    let y = Op::Pool(pooling.clone()).infer(&[&x]).expect("the input is as large as the window");
    (pooling, [x, y])
}

fn pool(c: &mut Choices, dtype: DType) -> Primitive {
    let (pooling, [x, _]) = pooling(c, dtype);
    one(Op::Pool(pooling), x, Domain::Any)
}

fn pool_input(c: &mut Choices, dtype: DType) -> Primitive {
    let (pooling, types) = pooling(c, dtype);
    Primitive { op: Op::PoolInput(pooling), args: any(types) }
}

fn random(c: &mut Choices, _: DType) -> Primitive {
    let number = (Type::scalar(DType::I64), Domain::Whole);
    let stream = c.below(1 << 30) as u64;
    Primitive { op: Op::Random { stream, axes: axes(c) }, args: vec![number.clone(), number] }
}

fn index(c: &mut Choices, _: DType) -> Primitive {
    let axes = some_axes(c);
    let axis = c.below(axes.len());
    Primitive { op: Op::Index { axes, axis }, args: Vec::new() }
}
