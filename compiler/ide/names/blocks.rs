//! The names in `place`, `replicas`, `data` and `train`.

use std::collections::HashMap;
use strata_grammar::ast::{
    Argument, ArgumentName, BinaryOp, DeviceKind, DeviceStatement, Expr, ExprKind, FamilyRef, Ident,
    IndexItem, Item, Names, NamesKind, Place, PlaceKind, Replicas, ReplicasKind, Train, TrainKind, Wire,
};

use super::links::Recipe;
use super::walk::Walker;
use super::{ScopeId, SymbolId, SymbolKind};

impl<'a> Walker<'a> {
    /// Everything outside of models and layers.
    pub(super) fn blocks(&mut self) {
        let loaded = self.loaded;
        for item in loaded.files.iter().flat_map(|file| &file.items) {
            match item {
                Item::Data(data) => {
                    let mut recipe = Recipe::default();
                    self.data_expr(&data.value, &mut recipe);
                    let names = &self.names.data;
                    recipe.names = data.names.iter().filter_map(|n| names.get(&n.text).copied()).collect();
                    self.links.recipes.push(recipe);
                }
                Item::Names(names) => self.called(names),
                Item::Train(train) => self.train(train),
                Item::Place(place) => self.place(place),
                Item::Replicas(replicas) => self.replicas(replicas),
                Item::Devices(devices) => self.device_lines(&devices.body),
                Item::Use(_) | Item::Model(_) | Item::Layer(_) | Item::Bad(_) => {}
            }
        }
    }

    fn device_lines(&mut self, body: &'a [DeviceStatement]) {
        for statement in body {
            match &statement.kind {
                DeviceKind::Machine { name, body, .. } => {
                    self.items(&name.indices);
                    self.device_lines(body);
                }
                DeviceKind::Device { name, .. } => self.items(&name.indices),
                DeviceKind::Link { .. } | DeviceKind::Bad => {}
            }
        }
    }

    /// The model that a block is about, and its body.
    fn model(&mut self, name: Option<&Ident>) -> (Option<SymbolId>, Option<ScopeId>) {
        let Some(name) = name else { return (None, None) };
        let model = self.names.models.get(&name.text).copied();
        self.mention(name.span, model, SymbolKind::Model);
        (model, model.and_then(|model| self.names.bodies.get(&model).copied()))
    }

    fn place(&mut self, place: &'a Place) {
        let (_, body) = self.model(place.model.as_ref());
        for statement in &place.body {
            let mut turns = HashMap::new();
            match &statement.kind {
                PlaceKind::On { parts, device } => {
                    self.parts(body, parts, &mut turns);
                    self.device(device, &mut turns);
                }
                PlaceKind::Split { parts, devices, axes } => {
                    self.parts(body, parts, &mut turns);
                    self.device(devices, &mut turns);
                    for axis in axes {
                        let scope = body.map(|body| self.names.scope(body));
                        let found = scope.and_then(|scope| {
                            scope.axes.get(&axis.text).or_else(|| scope.names.get(&axis.text)).copied()
                        });
                        self.mention(axis.span, found, SymbolKind::Axis);
                    }
                }
                PlaceKind::Pipeline { parts, devices, microbatches: _, schedule: _ } => {
                    self.parts(body, parts, &mut turns);
                    self.device(devices, &mut turns);
                }
                PlaceKind::Remat(parts) => self.parts(body, parts, &mut turns),
                PlaceKind::Wire(wire) => self.wire(wire),
                PlaceKind::SumAnyOrder | PlaceKind::Bad => {}
            }
        }
    }

    fn parts(
        &mut self,
        body: Option<ScopeId>,
        parts: &'a [FamilyRef],
        turns: &mut HashMap<String, SymbolId>,
    ) {
        for part in parts {
            let found = self.part_of(body, &part.name.text);
            self.mention(part.name.span, found, SymbolKind::Part);
            self.turns(&part.indices, turns);
        }
    }

    fn device(&mut self, device: &'a FamilyRef, turns: &mut HashMap<String, SymbolId>) {
        let found = self.names.devices.get(&device.name.text).copied();
        self.mention(device.name.span, found, SymbolKind::Device);
        self.turns(&device.indices, turns);
    }

    /// In `tower[t] on gpu[t]` the first `t` binds.
    fn turns(&mut self, indices: &'a [IndexItem], turns: &mut HashMap<String, SymbolId>) {
        for index in indices {
            if let IndexItem::Expr(expr) = index {
                self.turn(expr, turns);
            }
        }
    }

    fn turn(&mut self, expr: &'a Expr, turns: &mut HashMap<String, SymbolId>) {
        match &expr.kind {
            ExprKind::Name(name) => match turns.get(&name.text) {
                Some(id) => self.mention(name.span, Some(*id), SymbolKind::Turn),
                None => {
                    let id = self.symbol(&name.text, SymbolKind::Turn);
                    self.define(name, id);
                    turns.insert(name.text.clone(), id);
                }
            },
            ExprKind::Binary { left, right, .. } => {
                self.turn(left, turns);
                self.turn(right, turns);
            }
            ExprKind::Paren(inner) | ExprKind::Unary { arg: inner, .. } => self.turn(inner, turns),
            ExprKind::Number(_)
            | ExprKind::Quantity { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Tuple(_)
            | ExprKind::List(_)
            | ExprKind::Call { .. }
            | ExprKind::Index { .. }
            | ExprKind::As { .. }
            | ExprKind::For { .. }
            | ExprKind::Every(_)
            | ExprKind::Bad => {}
        }
    }

    fn wire(&mut self, wire: &'a Wire) {
        for dtype in std::iter::once(&wire.dtype).chain(&wire.sum) {
            self.mention(dtype.span, None, SymbolKind::Type);
        }
    }

    fn replicas(&mut self, replicas: &'a Replicas) {
        self.model(replicas.model.as_ref());
        for statement in &replicas.body {
            match &statement.kind {
                ReplicasKind::Params(over) => self.device(over, &mut HashMap::new()),
                ReplicasKind::Wire(wire) => self.wire(wire),
                ReplicasKind::Copies { count, .. } | ReplicasKind::Groups { count, .. } => self.expr(count),
                ReplicasKind::Backups(count)
                | ReplicasKind::Staleness(count)
                | ReplicasKind::Restart(count) => self.expr(count),
                ReplicasKind::SumAnyOrder | ReplicasKind::Bad => {}
            }
        }
    }

    fn called(&mut self, names: &'a Names) {
        self.model(names.model.as_ref());
        for line in &names.body {
            match &line.kind {
                NamesKind::Called { theirs, .. } => self.expr(theirs),
                NamesKind::New(_) | NamesKind::Unused(_) | NamesKind::Bad => {}
            }
        }
    }

    fn train(&mut self, train: &'a Train) {
        let (model, body) = self.model(train.model.as_ref());
        let mut recipe = Recipe::default();
        let params = model.map(|model| self.names.symbol(model).params.clone()).unwrap_or_default();
        for arg in &train.args {
            if let ArgumentName::Colon(name) | ArgumentName::Equals(name) = &arg.name {
                let named = |id: &&SymbolId| self.names.symbol(**id).name == name.text;
                let found = params.iter().find(named).copied();
                self.mention(name.span, found, SymbolKind::Parameter);
            }
            self.data_expr(&arg.value, &mut Recipe::default());
        }
        for statement in &train.body {
            match &statement.kind {
                TrainKind::Feed(data) | TrainKind::Evaluate { data, every: _ } => {
                    self.data_expr(data, &mut recipe);
                }
                TrainKind::Optimize(value) | TrainKind::Setting { word: _, value } => self.expr(value),
                TrainKind::StopWhen(condition) => self.condition(condition, body),
                TrainKind::Save { name: Some(name), .. } => {
                    let found = self.part_of(body, &name.text);
                    self.mention(name.span, found, SymbolKind::Variable);
                }
                TrainKind::Precision(dtype) => self.mention(dtype.span, None, SymbolKind::Type),
                TrainKind::Remat(parts) => self.parts(body, parts, &mut HashMap::new()),
                TrainKind::Save { name: None, .. }
                | TrainKind::InitFrom(_)
                | TrainKind::StopAfter(_)
                | TrainKind::Clip { .. }
                | TrainKind::Seed(_)
                | TrainKind::Restart(_)
                | TrainKind::SumAnyOrder
                | TrainKind::Bad => {}
            }
        }
        if let Some(body) = body {
            self.links.trained.push((body, recipe));
        }
    }

    /// `accuracy >= 0.98`: a metric is called by its `as` name, or after its layer.
    fn condition(&mut self, condition: &'a Expr, body: Option<ScopeId>) {
        let ExprKind::Binary { left, .. } = &condition.kind else { return };
        if let ExprKind::Name(name) = &left.kind {
            let part = body.and_then(|body| self.names.scope(body).parts.get(&name.text).copied());
            let found = part.or_else(|| self.global(&name.text));
            self.mention(name.span, found, SymbolKind::Word);
        }
    }

    /// A recipe: data names, sources, stages, and the fields they speak of.
    fn data_expr(&mut self, expr: &'a Expr, recipe: &mut Recipe) {
        match &expr.kind {
            ExprKind::Name(name) => match self.names.data.get(&name.text).copied() {
                Some(id) => {
                    recipe.uses.push(id);
                    self.mention(name.span, Some(id), SymbolKind::Data);
                }
                None => self.mention(name.span, None, SymbolKind::Word),
            },
            ExprKind::Binary { op, left, right, .. } => {
                self.data_expr(left, recipe);
                if let ExprKind::Name(name) = &right.kind
                    && *op == BinaryOp::Pipe
                {
                    self.mention(name.span, None, SymbolKind::Stage);
                } else {
                    self.data_expr(right, recipe);
                }
            }
            ExprKind::Call { callee, args, .. } => {
                if let ExprKind::Name(name) = &callee.kind {
                    self.mention(name.span, None, SymbolKind::Stage);
                }
                args.iter().for_each(|arg| self.data_argument(arg, recipe));
            }
            ExprKind::Paren(inner) | ExprKind::Unary { arg: inner, .. } | ExprKind::Every(inner) => {
                self.data_expr(inner, recipe);
            }
            ExprKind::Tuple(items) | ExprKind::List(items) => {
                items.iter().for_each(|item| self.data_expr(item, recipe));
            }
            ExprKind::Number(_)
            | ExprKind::Quantity { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Index { .. }
            | ExprKind::As { .. }
            | ExprKind::For { .. }
            | ExprKind::Bad => {}
        }
    }

    fn data_argument(&mut self, arg: &'a Argument, recipe: &mut Recipe) {
        match &arg.name {
            ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                recipe.fields.push((name.text.clone(), name.span));
            }
            ArgumentName::None => {}
        }
        // What stands inside is about this argument alone, but for names of data.
        let mut inside = Recipe::default();
        self.data_expr(&arg.value, &mut inside);
        recipe.uses.extend(inside.uses);
        for (_, span) in inside.fields {
            self.mention(span, None, SymbolKind::Parameter);
        }
    }
}
