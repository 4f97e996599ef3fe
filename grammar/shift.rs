//! Trees whose text has moved: the same nodes with spans elsewhere.
//!
//! Every node is taken apart to its last field, so that whoever adds a span is told of it here.

use crate::ast::{
    Argument, ArgumentName, AxisExpr, AxisKind, Block, Data, Definition, DeviceKind, DeviceStatement,
    Devices, Expr, ExprKind, FamilyRef, GenerateKind, GenerateRule, Ident, IndexItem, Item, Names, NamesKind,
    NamesLine, Parameter, Place, PlaceKind, PlaceStatement, Replicas, ReplicasKind, ReplicasStatement, Scan,
    ScanOver, Statement, StatementKind, Target, Text, Train, TrainKind, TrainStatement, TypeExpr, Use, Wire,
};
use crate::source::{FileId, Span};

/// Where a text has moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    /// The file that it lies in now.
    pub file: FileId,
    /// By so many bytes.
    pub by: i64,
}

/// What has spans.
pub(crate) trait Shifted {
    /// Moves every span.
    fn shift(&mut self, by: Shift);
}

impl Shifted for Span {
    fn shift(&mut self, Shift { file, by }: Shift) {
        let moved = |offset: u32| (i64::from(offset) + by) as u32;
        *self = Span { file, start: moved(self.start), end: moved(self.end) };
    }
}

impl<T: Shifted> Shifted for [T] {
    fn shift(&mut self, by: Shift) {
        self.iter_mut().for_each(|part| part.shift(by));
    }
}

impl<T: Shifted> Shifted for Vec<T> {
    fn shift(&mut self, by: Shift) {
        self.as_mut_slice().shift(by);
    }
}

impl<T: Shifted> Shifted for Option<T> {
    fn shift(&mut self, by: Shift) {
        self.as_mut_slice().shift(by);
    }
}

impl<T: Shifted> Shifted for Box<T> {
    fn shift(&mut self, by: Shift) {
        T::shift(self, by);
    }
}

impl<A: Shifted, B: Shifted> Shifted for (A, B) {
    fn shift(&mut self, by: Shift) {
        self.0.shift(by);
        self.1.shift(by);
    }
}

/// The parts of nodes: those with spans; those without.
macro_rules! nodes {
    ($($node:ident { $($part:ident),*; $($other:ident),* })*) => {$(
        impl Shifted for $node {
            fn shift(&mut self, by: Shift) {
                let $node { $($part,)* $($other: _),* } = self;
                $($part.shift(by);)*
            }
        }
    )*};
}

nodes! {
    Ident { span; text }
    Use { path_span, span; path }
    Definition { name, params, body, span; doc }
    Parameter { name, ty, default, span; }
    AxisExpr { kind, span; }
    Block { statements, span; }
    Statement { kind, span; }
    Scan { over, state, body; reverse }
    FamilyRef { name, indices, span; }
    GenerateRule { kind, span; }
    Expr { kind, span; }
    Argument { name, value, span; }
    Devices { cluster, body, block, span; }
    DeviceStatement { kind, span; }
    Place { model, body, block, span; }
    PlaceStatement { kind, span; }
    Wire { dtype, sum; stochastic }
    Replicas { model, body, block, span; }
    ReplicasStatement { kind, span; }
    Data { names, value, span; }
    Names { model, body, block, span; }
    NamesLine { kind, span; }
    Text { span; text }
    Train { model, args, name, body, block, span; }
    TrainStatement { kind, span; }
}

impl Shifted for Item {
    fn shift(&mut self, by: Shift) {
        match self {
            Item::Use(item) => item.shift(by),
            Item::Model(item) | Item::Layer(item) => item.shift(by),
            Item::Devices(item) => item.shift(by),
            Item::Place(item) => item.shift(by),
            Item::Replicas(item) => item.shift(by),
            Item::Names(item) => item.shift(by),
            Item::Data(item) => item.shift(by),
            Item::Train(item) => item.shift(by),
            Item::Bad(span) => span.shift(by),
        }
    }
}

impl Shifted for TypeExpr {
    fn shift(&mut self, by: Shift) {
        match self {
            TypeExpr::Tensor { head, axes, span } => {
                head.shift(by);
                axes.shift(by);
                span.shift(by);
            }
            TypeExpr::Tuple { members, span } => {
                members.shift(by);
                span.shift(by);
            }
        }
    }
}

impl Shifted for AxisKind {
    fn shift(&mut self, by: Shift) {
        match self {
            AxisKind::Rest => {}
            AxisKind::Ragged { name, size } => {
                name.shift(by);
                size.shift(by);
            }
            AxisKind::Sized { name, size } => {
                name.shift(by);
                size.shift(by);
            }
            AxisKind::Expr(expr) => expr.shift(by),
        }
    }
}

impl Shifted for StatementKind {
    fn shift(&mut self, by: Shift) {
        match self {
            StatementKind::Input { name, ty } => {
                name.shift(by);
                ty.shift(by);
            }
            StatementKind::Declare { kind: _, name, ty, init } => {
                name.shift(by);
                ty.shift(by);
                init.shift(by);
            }
            StatementKind::Update { name, value } | StatementKind::LayerBind { frozen: _, name, value } => {
                name.shift(by);
                value.shift(by);
            }
            StatementKind::Loss(value) | StatementKind::Metric(value) | StatementKind::Value(value) => {
                value.shift(by);
            }
            StatementKind::For { var, over, body } => {
                var.shift(by);
                over.shift(by);
                body.shift(by);
            }
            StatementKind::Scan(scan) => scan.shift(by),
            StatementKind::Return(values) => values.shift(by),
            StatementKind::Generate { name, rules, block } => {
                name.shift(by);
                rules.shift(by);
                block.shift(by);
            }
            StatementKind::Layer(definition) => definition.shift(by),
            StatementKind::Group { name, body } => {
                name.shift(by);
                body.shift(by);
            }
            StatementKind::Bind { targets, values } => {
                targets.shift(by);
                values.shift(by);
            }
            StatementKind::Bad => {}
        }
    }
}

impl Shifted for ScanOver {
    fn shift(&mut self, by: Shift) {
        match self {
            ScanOver::Axis { inputs, axis } => {
                inputs.shift(by);
                axis.shift(by);
            }
            ScanOver::Times(count) => count.shift(by),
        }
    }
}

impl Shifted for Target {
    fn shift(&mut self, by: Shift) {
        match self {
            Target::Name(name) => name.shift(by),
            Target::Tuple { members, span } => {
                members.shift(by);
                span.shift(by);
            }
        }
    }
}

impl Shifted for IndexItem {
    fn shift(&mut self, by: Shift) {
        match self {
            IndexItem::All(span) => span.shift(by),
            IndexItem::Expr(expr) => expr.shift(by),
        }
    }
}

impl Shifted for GenerateKind {
    fn shift(&mut self, by: Shift) {
        match self {
            GenerateKind::Beam { width, length } => {
                width.shift(by);
                length.shift(by);
            }
            GenerateKind::Sample(args) => args.shift(by),
            GenerateKind::Prefix(value) | GenerateKind::StopAt(value) | GenerateKind::AtMost(value) => {
                value.shift(by);
            }
            GenerateKind::Greedy | GenerateKind::NoRepeats | GenerateKind::Bad => {}
        }
    }
}

impl Shifted for ExprKind {
    fn shift(&mut self, by: Shift) {
        match self {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Bool(_) | ExprKind::Bad => {}
            ExprKind::Quantity { value: _, unit } => unit.shift(by),
            ExprKind::Name(name) => name.shift(by),
            ExprKind::Paren(inner) | ExprKind::Every(inner) => inner.shift(by),
            ExprKind::Tuple(members) | ExprKind::List(members) => members.shift(by),
            ExprKind::Unary { op: _, arg } => arg.shift(by),
            ExprKind::Binary { op: _, op_span, left, right } => {
                op_span.shift(by);
                left.shift(by);
                right.shift(by);
            }
            ExprKind::Call { callee, args, args_span } => {
                callee.shift(by);
                args.shift(by);
                args_span.shift(by);
            }
            ExprKind::Index { base, items } => {
                base.shift(by);
                items.shift(by);
            }
            ExprKind::As { call, name } => {
                call.shift(by);
                name.shift(by);
            }
            ExprKind::For { var, over, body } => {
                var.shift(by);
                over.shift(by);
                body.shift(by);
            }
        }
    }
}

impl Shifted for ArgumentName {
    fn shift(&mut self, by: Shift) {
        match self {
            ArgumentName::None => {}
            ArgumentName::Colon(name) | ArgumentName::Equals(name) => name.shift(by),
        }
    }
}

impl Shifted for DeviceKind {
    fn shift(&mut self, by: Shift) {
        match self {
            DeviceKind::Machine { name, body, block } => {
                name.shift(by);
                body.shift(by);
                block.shift(by);
            }
            DeviceKind::Link { within: _, quantities } => quantities.shift(by),
            DeviceKind::Device { name, quantities } => {
                name.shift(by);
                quantities.shift(by);
            }
            DeviceKind::Bad => {}
        }
    }
}

impl Shifted for PlaceKind {
    fn shift(&mut self, by: Shift) {
        match self {
            PlaceKind::On { parts, device } => {
                parts.shift(by);
                device.shift(by);
            }
            PlaceKind::Split { parts, devices, axes } => {
                parts.shift(by);
                devices.shift(by);
                axes.shift(by);
            }
            PlaceKind::Pipeline { parts, devices, microbatches, schedule } => {
                parts.shift(by);
                devices.shift(by);
                microbatches.shift(by);
                schedule.shift(by);
            }
            PlaceKind::Remat(parts) => parts.shift(by),
            PlaceKind::Wire(wire) => wire.shift(by),
            PlaceKind::SumAnyOrder | PlaceKind::Bad => {}
        }
    }
}

impl Shifted for ReplicasKind {
    fn shift(&mut self, by: Shift) {
        match self {
            ReplicasKind::Copies { count, sync: _ } | ReplicasKind::Groups { count, sync: _ } => {
                count.shift(by);
            }
            ReplicasKind::Backups(value) | ReplicasKind::Staleness(value) | ReplicasKind::Restart(value) => {
                value.shift(by);
            }
            ReplicasKind::Params(devices) => devices.shift(by),
            ReplicasKind::Wire(wire) => wire.shift(by),
            ReplicasKind::SumAnyOrder | ReplicasKind::Bad => {}
        }
    }
}

impl Shifted for NamesKind {
    fn shift(&mut self, by: Shift) {
        match self {
            NamesKind::Called { ours, theirs } => {
                ours.shift(by);
                theirs.shift(by);
            }
            NamesKind::New(all) | NamesKind::Unused(all) => all.shift(by),
            NamesKind::Bad => {}
        }
    }
}

impl Shifted for TrainKind {
    fn shift(&mut self, by: Shift) {
        match self {
            TrainKind::InitFrom(file) => file.shift(by),
            TrainKind::Feed(value)
            | TrainKind::Optimize(value)
            | TrainKind::StopAfter(value)
            | TrainKind::StopWhen(value)
            | TrainKind::Seed(value)
            | TrainKind::Restart(value) => value.shift(by),
            TrainKind::Evaluate { data, every } => {
                data.shift(by);
                every.shift(by);
            }
            TrainKind::Clip { norm: _, limit } => limit.shift(by),
            TrainKind::Save { name, path, every } => {
                name.shift(by);
                path.shift(by);
                every.shift(by);
            }
            TrainKind::Precision(word) => word.shift(by),
            TrainKind::Setting { word, value } => {
                word.shift(by);
                value.shift(by);
            }
            TrainKind::Remat(parts) => parts.shift(by),
            TrainKind::SumAnyOrder | TrainKind::Bad => {}
        }
    }
}
