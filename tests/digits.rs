//! A checked model made by hand: a small convolutional net with dropout, its loss, a metric, and momentum. What
//! the stages behind the checker can be tried on by themselves.

use std::sync::Arc;

use strata::graph::{OriginId, ValueId};
use strata::model::{
    FreeAxis, Init, Input, Metric, Model, Origin, Region, RegionId, RegionKind, StateUpdate, Value, Variable,
    VariableKind, When,
};
use strata::ops::{Binary, Convolution, InputId, Op, Pooling, Reduction, Scalar, Unary, VariableId};
use strata::types::{Axis, DType, FreeId, Size, Type};
use strata_grammar::Span;

/// The net: inputs `image: f32[batch, 8, 8, 1]` and `digit: i32[batch]`; free axis 0 is the batch.
pub fn digits() -> Model {
    let mut m = Building::new();
    let batch = Axis::named("batch", Size::Free(FreeId(0)));
    let (height, width) = (Axis::named("height", 8u64), Axis::named("width", 8u64));
    let image =
        m.input("image", DType::F32, vec![batch.clone(), height, width, Axis::named("channel", 1u64)]);
    let digit = m.input("digit", DType::I32, vec![batch.clone()]);

    m.region("conv", RegionKind::Layer);
    let kernel = [3u64, 3, 1, 16].map(Axis::sized).to_vec();
    let kernel = m.variable("conv/kernel", VariableKind::Param, kernel, Init::Normal { deviation: 0.3 });
    let bias = m.variable("conv/bias", VariableKind::Param, vec![Axis::sized(16u64)], Init::Constant(0.0));
    let same = Convolution { stride: vec![1; 2], dilation: vec![1; 2], padding: vec![(1, 1); 2], groups: 1 };
    let features = m.add(Op::Convolve(same), &[image, kernel]);
    let features = m.plus_row(features, bias);
    m.region("relu", RegionKind::Layer);
    let features = m.relu(features);
    m.region("max_pool", RegionKind::Layer);
    let pooling =
        Pooling { op: Reduction::Max, window: vec![2; 2], stride: vec![2; 2], padding: vec![(0, 0); 2] };
    let features = m.add(Op::Pool(pooling), &[features]);
    m.region("flatten", RegionKind::Layer);
    let flat = m.add(Op::Reshape { axes: vec![batch.clone(), Axis::sized(256u64)] }, &[features]);
    m.region("dense", RegionKind::Layer);
    let hidden = m.dense("dense", flat, 256, 32);
    let hidden = m.relu(hidden);
    m.region("dropout", RegionKind::Layer);
    let hidden = m.dropout(hidden, 0.3);
    m.region("dense 2", RegionKind::Layer);
    let logits = m.dense("dense 2", hidden, 32, 10);
    m.region("cross_entropy", RegionKind::Layer);
    let loss = m.cross_entropy(logits, digit);
    m.region("accuracy", RegionKind::Layer);
    let accuracy = m.accuracy(logits, digit);

    m.model.loss = Some(loss);
    m.model.metrics = vec![Metric { name: "accuracy".into(), value: accuracy, span: Span::default() }];
    m.model.bindings = vec![("features".into(), features), ("logits".into(), logits)];
    m.momentum(0.05, 0.9);
    m.model
}

struct Building {
    model: Model,
    region: RegionId,
}

impl Building {
    fn new() -> Building {
        let free = vec![FreeAxis { name: "batch".into(), span: Span::default() }];
        let model = Model {
            loads: Vec::new(),
            starts: Vec::new(),
            name: "Digits".into(),
            free,
            inputs: vec![],
            variables: vec![],
            values: Arc::default(),
            origins: vec![],
            regions: vec![],
            sections: vec![],
            loss: None,
            weight: None,
            metrics: vec![],
            watched: vec![],
            averages: vec![],
            updates: vec![],
            bindings: vec![],
            hints: vec![],
            shifts: vec![],
            decoders: vec![],
        };
        let mut building = Building { model, region: RegionId(0) };
        building.region("Digits", RegionKind::Model);
        building
    }

    fn region(&mut self, name: &str, kind: RegionKind) {
        self.region = RegionId(self.model.regions.len() as u32);
        let parent = (self.region.0 > 0).then_some(RegionId(0));
        let (name, span) = (name.to_string(), Span::default());
        self.model.regions.push(Region { name, kind, layer: None, parent, span, results: vec![] });
        self.model.origins.push(Origin { span, call: span, region: self.region, section: None });
    }

    fn ty(&self, value: ValueId) -> Type {
        self.model.values[value.0 as usize].ty.clone()
    }

    fn push(&mut self, op: Op, args: &[ValueId], ty: Type) -> ValueId {
        // One origin a region.
        let origin = OriginId(self.region.0);
        Arc::make_mut(&mut self.model.values).push(Value { op, args: args.to_vec(), ty, origin });
        ValueId(self.model.values.len() as u32 - 1)
    }

    fn add(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        let types: Vec<Type> = args.iter().map(|arg| self.ty(*arg)).collect();
        let ty = op.infer(&types.iter().collect::<Vec<_>>()).expect("the net is sound");
        self.push(op, args, ty)
    }

    fn binary(&mut self, function: Binary, a: ValueId, b: ValueId) -> ValueId {
        self.add(Op::Binary(function), &[a, b])
    }

    fn input(&mut self, name: &str, dtype: DType, axes: Vec<Axis>) -> ValueId {
        let (id, ty) = (InputId(self.model.inputs.len() as u32), Type::new(dtype, axes));
        self.model.inputs.push(Input { name: name.into(), ty: ty.clone(), span: Span::default() });
        self.push(Op::Input(id), &[], ty)
    }

    fn variable(&mut self, name: &str, kind: VariableKind, axes: Vec<Axis>, init: Init) -> ValueId {
        let (id, ty) = (VariableId(self.model.variables.len() as u32), Type::new(DType::F32, axes));
        let (name, span, region) = (name.to_string(), Span::default(), self.region);
        self.model.variables.push(Variable { name, kind, ty: ty.clone(), init, span, call: span, region });
        self.push(Op::Variable(id), &[], ty)
    }

    fn scalar(&mut self, number: f64, dtype: DType) -> ValueId {
        self.add(Op::Constant(Scalar::new(number), dtype), &[])
    }

    fn wide(&mut self, x: ValueId, like: ValueId, from: Vec<usize>) -> ValueId {
        let axes = self.ty(like).axes;
        self.add(Op::Broadcast { axes, from }, &[x])
    }

    /// A number everywhere, in the type of `like`.
    fn number(&mut self, number: f64, like: ValueId) -> ValueId {
        let scalar = self.scalar(number, self.ty(like).dtype);
        if self.ty(like).rank() == 0 { scalar } else { self.wide(scalar, like, vec![]) }
    }

    fn plus_row(&mut self, x: ValueId, row: ValueId) -> ValueId {
        let last = self.ty(x).rank() - 1;
        let row = self.wide(row, x, vec![last]);
        self.binary(Binary::Add, x, row)
    }

    fn relu(&mut self, x: ValueId) -> ValueId {
        let zero = self.number(0.0, x);
        self.binary(Binary::Max, x, zero)
    }

    fn dense(&mut self, name: &str, x: ValueId, inputs: u64, outputs: u64) -> ValueId {
        let axes = [inputs, outputs].map(Axis::sized).to_vec();
        let init = Init::Uniform { limit: (6.0 / (inputs + outputs) as f64).sqrt() };
        let weight = self.variable(&format!("{name}/weight"), VariableKind::Param, axes, init);
        let bias = vec![Axis::sized(outputs)];
        let bias = self.variable(&format!("{name}/bias"), VariableKind::Param, bias, Init::Constant(0.0));
        let product = self.add(Op::Contract { batch: vec![], sum: vec![(1, 0)] }, &[x, weight]);
        self.plus_row(product, bias)
    }

    fn dropout(&mut self, x: ValueId, rate: f64) -> ValueId {
        let (seed, step) = (self.add(Op::Seed, &[]), self.add(Op::Step, &[]));
        let uniform = self.add(Op::Random { stream: 17, axes: self.ty(x).axes }, &[seed, step]);
        let bound = self.number(rate, uniform);
        let drop = self.binary(Binary::Less, uniform, bound);
        let (zero, scale) = (self.number(0.0, x), self.number(1.0 / (1.0 - rate), x));
        let scaled = self.binary(Binary::Mul, x, scale);
        let dropped = self.add(Op::Select, &[drop, zero, scaled]);
        let training = self.add(Op::Training, &[]);
        let training = self.wide(training, x, vec![]);
        self.add(Op::Select, &[training, dropped, x])
    }

    /// The mean over the batch.
    fn mean(&mut self, x: ValueId) -> ValueId {
        let sum = self.add(Op::Reduce { op: Reduction::Sum, axes: vec![0] }, &[x]);
        let one = self.number(1.0, x);
        let count = self.add(Op::Reduce { op: Reduction::Sum, axes: vec![0] }, &[one]);
        self.binary(Binary::Div, sum, count)
    }

    fn cross_entropy(&mut self, logits: ValueId, digit: ValueId) -> ValueId {
        let over = |op| Op::Reduce { op, axes: vec![1] };
        let largest = self.add(over(Reduction::Max), &[logits]);
        let largest = self.add(Op::Stop, &[largest]);
        let wide = self.wide(largest, logits, vec![0]);
        let less = self.binary(Binary::Sub, logits, wide);
        let power = self.add(Op::Unary(Unary::Exp), &[less]);
        let sum = self.add(over(Reduction::Sum), &[power]);
        let log = self.add(Op::Unary(Unary::Log), &[sum]);
        let wide = self.wide(digit, logits, vec![0]);
        let class = self.add(Op::Index { axes: self.ty(logits).axes, axis: 1 }, &[]);
        let picked = self.binary(Binary::Equal, wide, class);
        let zero = self.number(0.0, less);
        let picked = self.add(Op::Select, &[picked, less, zero]);
        let picked = self.add(over(Reduction::Sum), &[picked]);
        let each = self.binary(Binary::Sub, log, picked);
        self.mean(each)
    }

    fn accuracy(&mut self, logits: ValueId, digit: ValueId) -> ValueId {
        let best = self.add(Op::ArgMax { axis: 1 }, &[logits]);
        let right = self.binary(Binary::Equal, best, digit);
        let right = self.add(Op::Cast(DType::F32), &[right]);
        self.mean(right)
    }

    /// `v = momentum * v + gradient; w = w - rate * v`
    fn momentum(&mut self, rate: f64, momentum: f64) {
        let span = Span::default();
        for i in 0..self.model.variables.len() {
            let variable = VariableId(i as u32);
            let (name, ty) = (self.model.variables[i].name.clone(), self.model.variables[i].ty.clone());
            self.region(&format!("momentum {name}"), RegionKind::Optimizer);
            let velocity = self.variable(
                &format!("{name}/velocity"),
                VariableKind::State,
                ty.axes.clone(),
                Init::Constant(0.0),
            );
            let weight = self.push(Op::Variable(variable), &[], ty.clone());
            let gradient = self.push(Op::Gradient(variable), &[], ty);
            let (keep, step) = (self.number(momentum, weight), self.number(rate, weight));
            let kept = self.binary(Binary::Mul, velocity, keep);
            let new = self.binary(Binary::Add, kept, gradient);
            let change = self.binary(Binary::Mul, new, step);
            let moved = self.binary(Binary::Sub, weight, change);
            let state = VariableId(self.model.variables.len() as u32 - 1);
            self.model.updates.push(StateUpdate { variable: state, value: new, when: When::EndOfStep, span });
            self.model.updates.push(StateUpdate { variable, value: moved, when: When::EndOfStep, span });
        }
    }
}
