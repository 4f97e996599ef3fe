//! What tokens alone do not tell: which brackets are operands of their own, which minus is a sign, where the operands
//! of an operator begin, which blocks are part of an expression.

use std::collections::{HashMap, HashSet};

use crate::ast::{
    Argument, AxisKind, Block, Definition, DeviceKind, DeviceStatement, Expr, ExprKind, FamilyRef, File,
    GenerateKind, IndexItem, Item, NamesKind, PlaceKind, ReplicasKind, ScanOver, Statement, StatementKind,
    Target, TrainKind, TypeExpr, UnaryOp,
};
use crate::source::Span;

/// Facts about tokens, by the offset of their first byte.
#[derive(Default)]
pub(super) struct Hints {
    /// Brackets with a blank before them: lists, tuples and parentheses, as against calls and indices.
    pub loose: HashSet<usize>,
    /// Signs, as against subtractions.
    pub signs: HashSet<usize>,
    /// Operators between two operands, with the start of the left one.
    pub operators: HashMap<usize, usize>,
    /// The `{` of blocks that are part of an expression.
    pub inner_blocks: HashSet<usize>,
    /// `pipeline`, whose `[` is no index.
    pub pipelines: HashSet<usize>,
}

pub(super) fn hints(file: &File) -> Hints {
    let mut hints = Hints::default();
    for item in &file.items {
        hints.item(item);
    }
    hints
}

fn start(span: Span) -> usize {
    span.start as usize
}

impl Hints {
    fn item(&mut self, item: &Item) {
        match item {
            Item::Use(_) | Item::Bad(_) => {}
            Item::Model(definition) | Item::Layer(definition) => self.definition(definition),
            Item::Devices(devices) => self.devices(&devices.body),
            Item::Place(place) => place.body.iter().for_each(|line| match &line.kind {
                PlaceKind::On { parts, device } => {
                    self.references(parts);
                    self.reference(device);
                }
                PlaceKind::Split { parts, devices, axes: _ } => {
                    self.references(parts);
                    self.reference(devices);
                }
                PlaceKind::Pipeline { parts, devices, microbatches, schedule } => {
                    self.pipelines.insert(start(line.span));
                    self.references(parts);
                    self.reference(devices);
                    self.exprs(microbatches);
                    self.exprs(schedule);
                }
                PlaceKind::Remat(parts) => self.references(parts),
                PlaceKind::Wire(_) | PlaceKind::SumAnyOrder | PlaceKind::Bad => {}
            }),
            Item::Replicas(replicas) => replicas.body.iter().for_each(|line| match &line.kind {
                ReplicasKind::Copies { count, sync: _ }
                | ReplicasKind::Groups { count, sync: _ }
                | ReplicasKind::Backups(count)
                | ReplicasKind::Staleness(count)
                | ReplicasKind::Restart(count) => self.expr(count),
                ReplicasKind::Params(devices) => self.reference(devices),
                ReplicasKind::Wire(_) | ReplicasKind::SumAnyOrder | ReplicasKind::Bad => {}
            }),
            Item::Data(data) => self.expr(&data.value),
            Item::Names(names) => names.body.iter().for_each(|line| match &line.kind {
                NamesKind::Called { ours: _, theirs } => self.expr(theirs),
                NamesKind::New(_) | NamesKind::Unused(_) | NamesKind::Bad => {}
            }),
            Item::Train(train) => {
                self.arguments(&train.args);
                train.body.iter().for_each(|line| self.train_line(&line.kind));
            }
        }
    }

    fn train_line(&mut self, line: &TrainKind) {
        match line {
            TrainKind::Feed(value)
            | TrainKind::Optimize(value)
            | TrainKind::StopAfter(value)
            | TrainKind::StopWhen(value)
            | TrainKind::Clip { norm: _, limit: value }
            | TrainKind::Seed(value)
            | TrainKind::Setting { word: _, value }
            | TrainKind::Restart(value) => self.expr(value),
            TrainKind::Evaluate { data, every } => {
                self.expr(data);
                self.exprs(every);
            }
            TrainKind::Save { name: _, path, every } => {
                self.exprs(path);
                self.exprs(every);
            }
            TrainKind::Remat(parts) => self.references(parts),
            TrainKind::InitFrom(_) | TrainKind::Precision(_) | TrainKind::SumAnyOrder | TrainKind::Bad => {}
        }
    }

    fn devices(&mut self, lines: &[DeviceStatement]) {
        for line in lines {
            match &line.kind {
                DeviceKind::Machine { name, body, block: _ } => {
                    self.reference(name);
                    self.devices(body);
                }
                DeviceKind::Link { within: _, quantities } => self.exprs(quantities),
                DeviceKind::Device { name, quantities } => {
                    self.reference(name);
                    self.exprs(quantities);
                }
                DeviceKind::Bad => {}
            }
        }
    }

    fn definition(&mut self, definition: &Definition) {
        for parameter in &definition.params {
            parameter.ty.iter().for_each(|ty| self.type_expr(ty));
            self.exprs(&parameter.default);
        }
        self.block(&definition.body);
    }

    fn block(&mut self, block: &Block) {
        block.statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::Input { name: _, ty } => self.type_expr(ty),
            StatementKind::Declare { kind: _, name: _, ty, init } => {
                self.type_expr(ty);
                self.exprs(init);
            }
            StatementKind::Update { name: _, value }
            | StatementKind::Loss(value)
            | StatementKind::Metric(value)
            | StatementKind::LayerBind { frozen: _, name: _, value }
            | StatementKind::Value(value) => self.expr(value),
            StatementKind::For { var: _, over, body } => {
                self.expr(over);
                self.block(body);
            }
            StatementKind::Scan(scan) => {
                match &scan.over {
                    ScanOver::Axis { inputs, axis: _ } => self.exprs(inputs),
                    ScanOver::Times(count) => self.expr(count),
                }
                if let Some((target, value)) = &scan.state {
                    self.target(target);
                    self.expr(value);
                }
                self.block(&scan.body);
            }
            StatementKind::Return(values) => self.exprs(values),
            StatementKind::Generate { name: _, rules, block: _ } => rules.iter().for_each(|rule| match &rule
                .kind
            {
                GenerateKind::Beam { width, length } => {
                    self.expr(width);
                    self.exprs(length);
                }
                GenerateKind::Sample(args) => self.arguments(args),
                GenerateKind::Prefix(value) | GenerateKind::StopAt(value) | GenerateKind::AtMost(value) => {
                    self.expr(value);
                }
                GenerateKind::Greedy | GenerateKind::NoRepeats | GenerateKind::Bad => {}
            }),
            StatementKind::Layer(definition) => self.definition(definition),
            StatementKind::Group { name, body } => {
                self.reference(name);
                self.block(body);
            }
            StatementKind::Bind { targets, values } => {
                targets.iter().for_each(|target| self.target(target));
                self.exprs(values);
            }
            StatementKind::Bad => {}
        }
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Name(name) => self.reference(name),
            Target::Tuple { members, span } => {
                self.loose.insert(start(*span));
                self.references(members);
            }
        }
    }

    fn type_expr(&mut self, ty: &TypeExpr) {
        match ty {
            TypeExpr::Tensor { head: _, axes, span: _ } => {
                for axis in axes.iter().flatten() {
                    match &axis.kind {
                        AxisKind::Rest => {}
                        AxisKind::Ragged { name: _, size } => self.exprs(size),
                        AxisKind::Sized { name: _, size } | AxisKind::Expr(size) => self.expr(size),
                    }
                }
            }
            TypeExpr::Tuple { members, span } => {
                self.loose.insert(start(*span));
                members.iter().for_each(|member| self.type_expr(member));
            }
        }
    }

    fn references(&mut self, references: &[FamilyRef]) {
        references.iter().for_each(|one| self.reference(one));
    }

    fn reference(&mut self, reference: &FamilyRef) {
        self.index(&reference.indices);
    }

    fn index(&mut self, items: &[IndexItem]) {
        for item in items {
            match item {
                IndexItem::All(_) => {}
                IndexItem::Expr(value) => self.expr(value),
            }
        }
    }

    fn arguments(&mut self, arguments: &[Argument]) {
        arguments.iter().for_each(|argument| self.expr(&argument.value));
    }

    fn exprs<'a>(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) {
        exprs.into_iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Number(_)
            | ExprKind::Quantity { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Name(_)
            | ExprKind::Every(_)
            | ExprKind::Bad => {}
            ExprKind::Paren(inner) => {
                self.loose.insert(start(expr.span));
                self.expr(inner);
            }
            ExprKind::Tuple(members) | ExprKind::List(members) => {
                self.loose.insert(start(expr.span));
                self.exprs(members);
            }
            ExprKind::Unary { op, arg } => {
                if *op == UnaryOp::Neg {
                    self.signs.insert(start(expr.span));
                }
                self.expr(arg);
            }
            ExprKind::Binary { op: _, op_span, left, right } => {
                self.operators.insert(start(*op_span), start(left.span));
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Call { callee, args, args_span: _ } => {
                self.expr(callee);
                self.arguments(args);
            }
            ExprKind::Index { base, items } => {
                self.expr(base);
                self.index(items);
            }
            ExprKind::As { call, name } => {
                self.expr(call);
                self.reference(name);
            }
            ExprKind::For { var: _, over, body } => {
                self.expr(over);
                self.inner_blocks.insert(start(body.span));
                self.block(body);
            }
        }
    }
}
