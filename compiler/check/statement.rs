//! Statements of models, layers, groups and loops.

use std::rc::Rc;

use strata_grammar::ast::{
    Block, DeclareKind, Definition, Expr, ExprKind, FamilyRef, Ident, IndexItem, Statement, StatementKind,
    Target, TypeExpr,
};
use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::build::{Pending, Start, resolve_init, tensors};
use super::expr::member_text;
use super::layer::join;
use super::picture::picture_call;
use super::scope::Index;
use super::signature::Kind;
use super::start::Begin;
use super::value::{Initial, Layer, Value};
use crate::model::{Init, Input, Metric, RegionKind, StateUpdate, VariableKind, When};
use crate::ops::{InputId, Op};
use crate::types::{DType, Type};

/// More turns than this are not unrolled.
const MAX_TURNS: i64 = 10_000;

impl<'a> Checker<'a> {
    pub(super) fn block(&mut self, block: &'a Block) {
        let mut broken = false;
        for statement in &block.statements {
            if self.stopped {
                return;
            }
            // A value that stands behind what could not be read is the rest of it.
            if !(broken && matches!(statement.kind, StatementKind::Value(_))) {
                self.statement(statement);
            }
            broken = matches!(statement.kind, StatementKind::Bad);
        }
    }

    pub(super) fn statement(&mut self, statement: &'a Statement) {
        let span = statement.span;
        if self.frame().scans > 0 && !self.fits_a_turn(&statement.kind, span) {
            return;
        }
        match &statement.kind {
            StatementKind::Input { name, ty } => self.input(name, ty, span),
            StatementKind::Declare { kind, name, ty, init } => {
                self.declare(*kind, name, ty, init.as_ref(), span)
            }
            StatementKind::Update { name, value } => self.update(name, value, span),
            StatementKind::Loss(value) => self.loss(value, span),
            StatementKind::Metric(value) => self.metric(value, span),
            StatementKind::For { var, over, body } => self.for_loop(var, over, body),
            StatementKind::Scan(scan) => self.scan(scan, span),
            StatementKind::Return(values) => self.return_values(values, span),
            StatementKind::Generate { name, rules, .. } => self.generate(name, rules, span),
            StatementKind::Layer(definition) => self.local_layer(definition),
            StatementKind::LayerBind { frozen, name, value } => self.layer_bind(*frozen, name, value),
            StatementKind::Group { name, body } => self.group(name, body, span),
            StatementKind::Bind { targets, values } => self.bind(targets, values, span),
            StatementKind::Value(expr) => self.stray_value(expr),
            StatementKind::Bad => self.broken_statement(span),
        }
    }

    /// What a statement that could not be read may have bound is unknown.
    fn broken_statement(&mut self, span: Span) {
        let text = self.loaded.sources.text(span);
        for word in super::names::words(text) {
            if self.find(word).is_none() {
                self.frame().scope.set(word, Value::Unknown, span);
            }
        }
    }

    pub(super) fn misplaced(&mut self, span: Span, what: &str, help: &str) {
        self.report(Diagnostic::error(Code::MisplacedStatement, span, what).help(help));
    }

    fn input(&mut self, name: &'a Ident, ty: &'a TypeExpr, span: Span) {
        if self.frame().given.is_some() {
            return self.given_input(name, ty);
        }
        if !self.frame().is_model {
            let help = format!(
                "give the layer a parameter: `({}: {})`",
                name.text,
                self.loaded.sources.text(ty.span())
            );
            self.misplaced(span, "a layer has no inputs of its own", &help);
            self.frame().scope.set(&name.text, Value::Unknown, name.span);
            return;
        }
        if let Some(first) = self.build.model.inputs.iter().find(|input| input.name == name.text) {
            let message = format!("there already is an input `{}`", name.text);
            let found = Diagnostic::error(Code::DuplicateName, name.span, message)
                .label(first.span, "the first")
                .help(format!("give one of the two another name, as in `{}2`", name.text))
                .edit(name.span, format!("{}2", name.text));
            self.report(found);
            // Which of the two is meant from here on cannot be told.
            self.frame().scope.set(&name.text, Value::Unknown, name.span);
            return;
        }
        let outer = self.begin_section(vec![name.text.clone()], name.span);
        let value = match self.declared_type(ty, true) {
            Some(ty) => {
                let id = InputId(self.build.model.inputs.len() as u32);
                self.build.model.inputs.push(Input { name: name.text.clone(), ty: ty.clone(), span });
                let value = self.tensor(Op::Input(id), &[], span);
                match self.lengths_of_input(&name.text, &ty, span) {
                    Some(()) => value,
                    None => Value::Unknown,
                }
            }
            None => {
                self.free_names(ty);
                Value::Unknown
            }
        };
        self.end_section(outer);
        self.hint(name.span, name.text.clone(), &value, None);
        self.frame().scope.set(&name.text, value, name.span);
    }

    /// Axes named in a type that could not be read are known to exist, of unknown size.
    pub(super) fn free_names(&mut self, ty: &'a TypeExpr) {
        let TypeExpr::Tensor { axes: Some(axes), .. } = ty else { return };
        for axis in axes {
            let name = match &axis.kind {
                strata_grammar::ast::AxisKind::Sized { name, .. }
                | strata_grammar::ast::AxisKind::Ragged { name, .. } => Some(name),
                strata_grammar::ast::AxisKind::Expr(expr) => super::signature::lone_name(expr),
                strata_grammar::ast::AxisKind::Rest => None,
            };
            if let Some(name) = name
                && self.frame().scope.get(&name.text).is_none()
            {
                self.frame().scope.set_axis(&name.text, Value::Unknown, name.span);
            }
        }
    }

    fn declare(
        &mut self,
        kind: DeclareKind,
        name: &'a Ident,
        ty: &'a TypeExpr,
        init: Option<&'a Expr>,
        span: Span,
    ) {
        let written = ty;
        let declared = self.declared_type(ty, false);
        let init = self.initial(kind, name, init, ty, declared.as_ref());
        let (Some(ty), Some(init)) = (declared, init) else {
            self.frame().scope.set(&name.text, Value::Unknown, name.span);
            return;
        };
        if let Some(axis) = ty.axes.iter().find(|axis| axis.size.known().is_none()) {
            let free = axis.name.as_deref().unwrap_or("an axis").to_string();
            let message = format!(
                "`{}` is kept from step to step, so its size cannot depend on the free axis `{free}`",
                name.text
            );
            let found = Diagnostic::error(Code::BadSize, span, message)
                .help(format!("take `{free}` out of its type, or give it a size"));
            self.report(found);
            self.frame().scope.set(&name.text, Value::Unknown, name.span);
            return;
        }
        let kind = match kind {
            DeclareKind::Param => VariableKind::Param,
            DeclareKind::Const => VariableKind::Const,
            DeclareKind::State => VariableKind::State,
        };
        if kind == VariableKind::Param && !ty.dtype.is_float() {
            let message = format!("`{}` is trained, so it must be of floats, not {}", name.text, ty.dtype);
            let mut found =
                Diagnostic::error(Code::DtypeMismatch, span, message).help("use f32, or `const` or `state`");
            if let TypeExpr::Tensor { head, .. } = written {
                found = found.edit(head.span, "f32");
            }
            self.report(found);
            self.frame().scope.set(&name.text, Value::Unknown, name.span);
            return;
        }
        let path = join(&self.frame().path.clone(), &name.text);
        let shared = self.frame().shared;
        let at = self.users_text(span);
        if let Some(first) = self.build.declared.insert(path.clone(), span)
            && !shared
        {
            let message = format!("there already is a variable `{path}`");
            let found = Diagnostic::error(Code::DuplicateName, name.span, message).label(first, "the first");
            let help = if first == span {
                "in a loop, put it in a group of the turn: `name[i] { … }`".to_string()
            } else {
                format!("give one of the two another name, as in `{}2`", name.text)
            };
            self.report(found.help(help));
            return;
        }
        let whole = self.type_apart(&ty);
        let apart = whole.rank() - ty.rank();
        let start = match &init {
            Begin::As(_) => Some(Start::Drawn),
            Begin::With(value, at) => self.start(*value, &ty, &name.text, *at).map(Start::Computed),
            Begin::Picture(file) => self.picture(file, &path, &ty, written.span()).map(Start::Loaded),
        };
        let Some(start) = start else {
            self.frame().scope.set(&name.text, Value::Unknown, name.span);
            return;
        };
        let init = match init {
            Begin::As(initial) => {
                let blocks = whole.axes[..apart].iter().filter_map(|axis| axis.size.known()).product();
                resolve_init(initial, &ty, blocks)
            }
            Begin::With(..) | Begin::Picture(_) => Init::Constant(0.0),
        };
        let (region, frozen) = (self.frame().region, self.frame().frozen);
        let pending = Pending {
            path,
            kind,
            ty: whole,
            init,
            start,
            span,
            call: at,
            region,
            frozen,
            shared,
            read: false,
            apart,
        };
        self.pending.push(pending);
        let value = Value::Pending(self.pending.len() - 1);
        self.frame().scope.set(&name.text, value, name.span);
    }

    fn initial(
        &mut self,
        kind: DeclareKind,
        name: &Ident,
        init: Option<&'a Expr>,
        ty: &'a TypeExpr,
        declared: Option<&Type>,
    ) -> Option<Begin> {
        let Some(init) = init else {
            if kind == DeclareKind::State {
                return Some(Begin::As(Initial::Constant(0.0)));
            }
            let message = format!("`{}` needs an initial value", name.text);
            let found = Diagnostic::error(Code::MissingArgument, name.span, message)
                .help("add `= glorot`, `= zeros`, or another initialiser")
                .edit(Self::behind(ty.span()), if is_matrix(ty) { " = glorot" } else { " = zeros" });
            self.report(found);
            return None;
        };
        if let Some((_, args)) =
            picture_call(init).filter(|(name, _)| self.globals.layer(&name.text, false).is_none())
        {
            return self.picture_file(args, init.span).map(Begin::Picture);
        }
        let value = self.eval(init);
        match &value {
            Value::Tensor(value) => return Some(Begin::With(*value, init.span)),
            Value::List(_) => {
                let value = self.numbers(&value, declared?.dtype, init.span)?;
                return Some(Begin::With(value, init.span));
            }
            _ => {}
        }
        match self.fit(
            value,
            Some(init),
            Kind::Init,
            init.span,
            &format!("the initial value of `{}`", name.text),
        ) {
            Value::Init(initial) => Some(Begin::As(initial)),
            _ => None,
        }
    }

    fn update(&mut self, name: &'a Ident, value: &'a Expr, span: Span) {
        let new = self.eval(value);
        let bound = self.frame().scope.get(&name.text).map(|binding| (binding.value.clone(), binding.span));
        let at = match bound {
            Some((Value::Pending(at), _)) if self.pending[at].kind == VariableKind::State => at,
            Some((Value::Unknown, _)) => return,
            other @ Some((_, bound)) => {
                let message = format!("`{}` is no state, so nothing carries it to the next step", name.text);
                let mut found = Diagnostic::error(Code::WrongKind, name.span, message)
                    .label(bound, "bound here")
                    .help(format!("declare it with `state {}: … = zeros`", name.text));
                if let Some((Value::Pending(at), _)) = &other {
                    let declared = self.pending[*at].span;
                    let text = self.written(declared);
                    let word = ["param", "const"].into_iter().find(|word| text.starts_with(word));
                    if let Some(word) = word.filter(|_| !self.loaded.in_library(declared)) {
                        let end = declared.start + word.len() as u32;
                        found = found.edit(Span { end, ..declared }, "state");
                    }
                }
                self.report(found);
                return;
            }
            None => {
                self.unknown_name(name, false);
                return;
            }
        };
        if new.is_unknown() {
            return;
        }
        let mut ty = self.pending[at].ty.clone();
        ty.axes.drain(..self.pending[at].apart);
        let Some(id) = self.as_tensor(&new, ty.dtype, value.span) else {
            self.wrong_kind(&new, "a tensor", value.span, &format!("`{}`", name.text));
            return;
        };
        let Some(id) = self.same_type(id, &ty, value.span, &name.text, self.pending[at].span) else { return };
        let Some(variable) = self.pending_variable(at) else { return };
        let span = self.users_text(span);
        let when = if self.optimizing.is_some() { When::EndOfStep } else { When::EveryBatch };
        self.updated(StateUpdate { variable, value: id, when, span });
    }

    /// Notes a state's new value; of several the last counts. That of a recurrence under way becomes one of the step
    /// when it is over.
    pub(super) fn updated(&mut self, update: StateUpdate) {
        let updates = self.build.turn_updates.last_mut().unwrap_or(&mut self.build.model.updates);
        updates.retain(|other| other.variable != update.variable);
        updates.push(update);
    }

    /// `id` where it has the type of the variable that it becomes.
    pub(super) fn same_type(
        &mut self,
        id: crate::graph::ValueId,
        ty: &Type,
        span: Span,
        name: &str,
        declared: Span,
    ) -> Option<crate::graph::ValueId> {
        let actual = self.ty(id).clone();
        let sizes = |ty: &Type| ty.axes.iter().map(|axis| axis.size.clone()).collect::<Vec<_>>();
        if actual.rank() == 0 && ty.rank() > 0 && actual.dtype == ty.dtype {
            return self.spread(id, &ty.axes, span);
        }
        if sizes(&actual) == sizes(ty) && actual.dtype == ty.dtype {
            return Some(id);
        }
        let code = if actual.dtype == ty.dtype { Code::ShapeMismatch } else { Code::DtypeMismatch };
        let message = format!("`{name}` is {ty}, and its new value is {actual}");
        let found = Diagnostic::error(code, span, message)
            .label(declared, format!("declared as {ty}"))
            .help("a state keeps its type");
        self.report(found);
        None
    }

    fn loss(&mut self, expr: &'a Expr, span: Span) {
        if self.frame().given.is_some() {
            return;
        }
        if !self.frame().is_model {
            self.misplaced(
                span,
                "a loss belongs in a model",
                "return the value, and let the model say `loss`",
            );
            return;
        }
        let before = self.frame().binding.replace("loss".into());
        let value = self.eval(expr);
        self.frame().binding = before;
        if let Some(first) = self.build.loss_span {
            let (a, b) = (self.written(first), self.written(expr.span));
            let short = a.len() + b.len() < 100 && !a.contains('\n') && !b.contains('\n');
            let help =
                if short { format!("add them: `{a} + {b}`") } else { "add them: `loss a + 0.5 * b`".into() };
            let mut found = Diagnostic::error(Code::DuplicateSetting, span, "a model has one loss")
                .label(first, "the first")
                .help(help);
            if short {
                found = found.edit(Self::behind(first), format!(" + {b}")).edit(self.whole_line(span), "");
            }
            self.report(found);
            return;
        }
        self.build.loss_span = Some(span);
        self.build.model.loss = self.single(&value, expr.span, "the loss");
    }

    /// A single float, or `None`, which is said.
    fn single(&mut self, value: &Value<'a>, span: Span, what: &str) -> Option<crate::graph::ValueId> {
        if value.is_unknown() {
            return None;
        }
        let Value::Tensor(id) = *value else {
            self.wrong_kind(value, "a tensor", span, what);
            return None;
        };
        let ty = self.ty(id).clone();
        let text = self.quote(span).unwrap_or_else(|| "…".into());
        let text = text.trim_matches('`').to_string();
        if ty.rank() != 0 {
            let message = format!("{what} is one number, and this is {ty}");
            let found =
                Diagnostic::error(Code::WrongRank, span, message).help(format!("write `mean({text})`"));
            let found = if text == "…" { found } else { found.edit(span, format!("mean({text})")) };
            self.report(found);
            return None;
        }
        if !ty.dtype.is_float() {
            let message = format!("{what} is a float, and this is {ty}");
            let found = Diagnostic::error(Code::DtypeMismatch, span, message)
                .help(format!("write `cast({text}, f32)`"));
            let found = if text == "…" { found } else { found.edit(span, format!("cast({text}, f32)")) };
            self.report(found);
            return None;
        }
        Some(id)
    }

    fn metric(&mut self, expr: &'a Expr, span: Span) {
        if self.frame().given.is_some() {
            return;
        }
        if !self.frame().is_model {
            self.misplaced(
                span,
                "a metric belongs in a model",
                "return the value, and let the model say `metric`",
            );
            return;
        }
        let before = self.frame().binding.replace("metric".into());
        let value = self.eval(expr);
        let name = self.metric_name(expr);
        self.frame().binding = before;
        let Some(value) = self.single(&value, expr.span, "a metric") else { return };
        if let Some(first) = self.build.model.metrics.iter().find(|metric| metric.name == name) {
            let message = format!("two metrics are called `{name}`");
            let found = Diagnostic::error(Code::DuplicateName, expr.span, message)
                .label(first.span, "the first")
                .help(format!("name this one: `… as {name}2`"));
            self.report(found);
            return;
        }
        self.build.model.metrics.push(Metric { name, value, span });
    }

    fn metric_name(&mut self, expr: &'a Expr) -> String {
        match &expr.kind {
            ExprKind::As { name, .. } => member_name(name),
            ExprKind::Call { callee, .. } => {
                self.quote(callee.span).map_or("metric".into(), |t| t.trim_matches('`').into())
            }
            ExprKind::Name(name) => name.text.clone(),
            ExprKind::Paren(inner) => self.metric_name(inner),
            ExprKind::Binary { op: strata_grammar::ast::BinaryOp::Pipe, right, .. } => {
                self.metric_name(right)
            }
            _ => {
                self.quote(expr.span).map_or("metric".into(), |text| text.trim_matches('`').replace(' ', ""))
            }
        }
    }

    /// What a loop runs over; `None` where that is unknown or too long, which is said.
    pub(super) fn turns(&mut self, over: &'a Expr) -> Option<Vec<Value<'a>>> {
        match self.eval(over) {
            Value::Unknown => None,
            Value::Range(start, end) => {
                if end.saturating_sub(start) > MAX_TURNS {
                    let message = format!(
                        "this loop has {} turns; at most {MAX_TURNS} are unrolled",
                        end.saturating_sub(start)
                    );
                    let found = Diagnostic::error(Code::TooManySteps, over.span, message)
                        .help("every turn becomes operators of its own: use fewer turns");
                    self.report(found);
                    return None;
                }
                Some((start..end).map(Value::Int).collect())
            }
            Value::List(items) | Value::Tuple(items) => Some(items.to_vec()),
            other => {
                let help = match other.int() {
                    Some(_) => {
                        self.quote(over.span).map(|text| format!("write `0..{}`", text.trim_matches('`')))
                    }
                    None => None,
                };
                let message = format!("a loop runs over a range or a list, and this is {}", other.kind());
                let mut found = Diagnostic::error(Code::WrongKind, over.span, message);
                if let Some(help) = help {
                    found = found.help(help).edit(Self::before(over.span), "0..");
                }
                self.report(found);
                None
            }
        }
    }

    fn for_loop(&mut self, var: &'a Ident, over: &'a Expr, body: &'a Block) {
        let shadowed = self.frame().scope.names.get(&var.text).cloned();
        let Some(turns) = self.turns(over) else {
            // One turn with an unknown index still looks up names.
            self.frame().scope.set(&var.text, Value::Unknown, var.span);
            self.block_unknown(body);
            return;
        };
        let outer = self.frame().turn.replace(var.text.clone());
        for turn in turns {
            if !self.step(over.span) || !self.enter(over.span) {
                return;
            }
            self.frame().scope.set(&var.text, turn, var.span);
            self.block(body);
            self.leave();
        }
        self.frame().turn = outer;
        match shadowed {
            Some(binding) => _ = self.frame().scope.names.insert(var.text.clone(), binding),
            None => _ = self.frame().scope.names.remove(&var.text),
        }
    }

    /// Walks statements whose values cannot be known, for their names only; what they bind is unknown after.
    pub(super) fn block_unknown(&mut self, body: &'a Block) {
        let before: Vec<String> = self.frame().scope.names.keys().cloned().collect();
        self.block(body);
        let scope = &mut self.frame().scope;
        for (name, binding) in &mut scope.names {
            if !before.contains(name) {
                binding.value = Value::Unknown;
            }
        }
        for statement in &body.statements {
            if let StatementKind::Bind { targets, .. } = &statement.kind {
                for target in targets {
                    self.bind_target(target, &Value::Unknown);
                }
            }
        }
    }

    /// That an expression is a whole number from 1 on.
    pub(super) fn positive(&mut self, expr: &'a Expr, what: &str) -> Option<i64> {
        let value = self.eval(expr);
        match value.int() {
            Some(n) if n >= 1 => Some(n),
            _ if value.is_unknown() => None,
            Some(n) => {
                let right = n.unsigned_abs().max(1).to_string();
                let found =
                    Diagnostic::error(Code::BadValue, expr.span, format!("{what} is at least 1, not {n}"))
                        .help(format!("write `{right}`"))
                        .edit(expr.span, right);
                self.report(found);
                None
            }
            None => {
                self.wrong_kind(&value, "a whole number", expr.span, what);
                None
            }
        }
    }

    fn return_values(&mut self, values: &'a [Expr], span: Span) {
        let results: Vec<Value<'a>> = values.iter().map(|value| self.eval(value)).collect();
        if self.frame().is_model {
            let plain = values.iter().all(|value| matches!(value.kind, ExprKind::Name(_)));
            let found = Diagnostic::error(
                Code::MisplacedStatement,
                span,
                "a model returns nothing: its bindings are its outputs",
            );
            self.report(match values {
                _ if plain => found.help("take this line out").edit(self.whole_line(span), ""),
                [value] => found
                    .help("bind the value: `output = …`")
                    .edit(Span { end: value.span.start, ..span }, "output = "),
                _ => found.help("bind the values: `output = …`"),
            });
            return;
        }
        if self.frame().returned.is_some() {
            let found = Diagnostic::error(Code::DuplicateSetting, span, "this layer has returned already")
                .help("return all results at once: `return a, b`");
            self.report(found);
            return;
        }
        let mut results = results;
        let result = if results.len() == 1 { results.remove(0) } else { Value::Tuple(results.into()) };
        self.frame().returned = Some(result);
    }

    fn local_layer(&mut self, definition: &'a Definition) {
        let Some(name) = &definition.name else { return };
        let captured = Rc::new(self.frame().scope.clone());
        let value = Value::Layer(Rc::new(Layer::Defined(definition, Some(captured))));
        self.frame().scope.set(&name.text, value, name.span);
    }

    fn layer_bind(&mut self, frozen: bool, name: &'a Ident, value: &'a Expr) {
        self.build.named.push(name.text.clone());
        let bound = match self.eval(value) {
            Value::Layer(layer) => {
                let path = join(&self.frame().path.clone(), &name.text);
                if let Some(first) = self.frame().as_names.insert(name.text.clone(), name.span) {
                    let message = format!("there already is a layer `{}`", name.text);
                    let found = Diagnostic::error(Code::DuplicateName, name.span, message)
                        .label(first, "the first")
                        .help(format!("give one of the two another name, as in `{}2`", name.text));
                    self.report(found);
                }
                Value::Layer(Rc::new(Layer::Shared { path, layer, frozen }))
            }
            Value::Unknown => Value::Unknown,
            other => {
                let found = Diagnostic::error(
                    Code::WrongKind,
                    value.span,
                    format!(
                        "`layer {}` takes a call that lacks its tensor, and this is {}",
                        name.text,
                        other.kind()
                    ),
                )
                .help(format!("to bind a value, write `{} = …` without `layer`", name.text));
                self.report(found);
                Value::Unknown
            }
        };
        self.frame().scope.set(&name.text, bound, name.span);
    }

    fn group(&mut self, name: &'a FamilyRef, body: &'a Block, span: Span) {
        self.build.named.push(name.name.text.clone());
        let Some(text) = self.family_text(name) else {
            self.block_unknown(body);
            return;
        };
        if !self.enter(span) {
            return;
        }
        let path = join(&self.frame().path.clone(), &text);
        let opened = self.frame().groups.get(&path).copied();
        let region = match opened {
            Some(region) => region,
            None => {
                let region = self.begin_region(path.clone(), RegionKind::Group, None, name.span);
                self.frame().groups.insert(path.clone(), region);
                region
            }
        };
        let outer = self.begin_section(vec![text.clone()], name.span);
        let frame = self.frame();
        let before = (
            std::mem::replace(&mut frame.path, path.clone()),
            std::mem::replace(&mut frame.region, region),
            // A reopened group goes on counting where it stopped.
            std::mem::take(&mut frame.counters),
        );
        let inner = before.2.iter().filter(|(key, _)| key.starts_with(&format!("{path}//")));
        let inner: Vec<(String, u32)> =
            inner.map(|(key, n)| (key[path.len() + 2..].to_string(), *n)).collect();
        self.frame().counters.extend(inner);
        self.frame().last_bound = None;
        self.block(body);
        if let Some(value) = self.frame().last_bound.clone() {
            self.frame().parts.insert(text, value);
        }
        let frame = self.frame();
        let counted = std::mem::take(&mut frame.counters);
        (frame.path, frame.region, frame.counters) = before;
        frame.counters.extend(counted.into_iter().map(|(key, n)| (format!("{path}//{key}"), n)));
        self.end_section(outer);
        self.leave();
    }

    fn bind(&mut self, targets: &'a [Target], values: &'a [Expr], span: Span) {
        let name = targets.iter().find_map(|target| self.target_name(target));
        let before = self.frame().binding.take();
        self.frame().binding = name.or(before.clone());
        let mut results = Vec::with_capacity(targets.len());
        for (at, value) in values.iter().enumerate() {
            if values.len() == targets.len()
                && let Some(own) = self.target_name(&targets[at])
            {
                self.frame().binding = Some(own);
            }
            let bound = if values.len() == targets.len() { &targets[at..=at] } else { targets };
            let names = self.bound_names(bound);
            let outer = self.begin_section(names, target_span(&bound[0]));
            results.push(self.eval(value));
            self.end_section(outer);
        }
        self.frame().binding = before;
        if results.len() == 1 && targets.len() > 1 {
            results = self.members(&results[0], targets.len(), values[0].span, targets);
        }
        if results.len() != targets.len() {
            let message = format!("{} names for {} values", targets.len(), results.len());
            self.report(
                Diagnostic::error(Code::WrongKind, span, message)
                    .help("bind as many names as there are values"),
            );
            results = vec![Value::Unknown; targets.len()];
        }
        for (target, result) in targets.iter().zip(&results) {
            self.bind_target(target, result);
        }
    }

    /// What all members of targets are called.
    pub(super) fn bound_names(&mut self, targets: &'a [Target]) -> Vec<String> {
        let members = targets.iter().flat_map(|target| match target {
            Target::Name(name) => std::slice::from_ref(name),
            Target::Tuple { members, .. } => members.as_slice(),
        });
        let bound = members.filter(|member| member.name.text != "_");
        bound.filter_map(|name| Some(member_text(&name.name.text, &self.indices_quietly(name)?))).collect()
    }

    fn target_name(&mut self, target: &'a Target) -> Option<String> {
        let name = match target {
            Target::Name(name) => name,
            Target::Tuple { members, .. } => members.iter().find(|member| member.name.text != "_")?,
        };
        if name.name.text == "_" {
            return None;
        }
        let static_index = self.indices_quietly(name)?;
        Some(member_text(&name.name.text, &static_index))
    }

    /// Indices, without a word where they are wrong: `bind_target` says it.
    fn indices_quietly(&mut self, name: &'a FamilyRef) -> Option<Vec<Index>> {
        let said = self.diagnostics.len();
        let unbound = self.frame().unbound.clone();
        let index = self.indices(&name.indices);
        self.frame().unbound = unbound;
        for unsaid in self.diagnostics.drain(said..) {
            self.said.remove(&(unsaid.code, unsaid.primary.span));
        }
        index
    }

    /// The members of a tuple that is bound to several names.
    pub(super) fn members(
        &mut self,
        value: &Value<'a>,
        count: usize,
        span: Span,
        targets: &'a [Target],
    ) -> Vec<Value<'a>> {
        // What stands behind so many names, to be taken out.
        let beyond = |kept: usize| {
            let (last, end) = (target_span(targets.get(kept.checked_sub(1)?)?), target_span(targets.last()?));
            (targets.len() > kept).then_some(Span { start: last.end, end: end.end, ..last })
        };
        match value {
            Value::Unknown => vec![Value::Unknown; count],
            Value::Tuple(members) | Value::List(members) if members.len() == count => members.to_vec(),
            Value::Tuple(members) | Value::List(members) => {
                let message = format!("{count} names for {} values", members.len());
                let mut found = Diagnostic::error(Code::WrongKind, span, message)
                    .help("bind as many names as there are values; `_` takes what is not needed");
                if let Some(beyond) = beyond(members.len()) {
                    found = found.edit(beyond, "");
                } else if let Some(last) = targets.last().filter(|_| members.len() > count) {
                    found = found.edit(Self::behind(target_span(last)), ", _".repeat(members.len() - count));
                }
                self.report(found);
                vec![Value::Unknown; count]
            }
            other => {
                let message = format!("{count} names for one value, which is {}", other.kind());
                let mut found = Diagnostic::error(Code::WrongKind, span, message).help("bind one name");
                if let Some(beyond) = beyond(1) {
                    found = found.edit(beyond, "");
                }
                self.report(found);
                vec![Value::Unknown; count]
            }
        }
    }

    pub(super) fn bind_target(&mut self, target: &'a Target, value: &Value<'a>) {
        match target {
            Target::Name(name) => self.bind_name(name, value.clone()),
            Target::Tuple { members, span } => {
                let values = self.members(value, members.len(), *span, &[]);
                for (member, value) in members.iter().zip(values) {
                    self.bind_name(member, value);
                }
            }
        }
    }

    pub(super) fn bind_name(&mut self, name: &'a FamilyRef, value: Value<'a>) {
        if name.name.text == "_" {
            return;
        }
        self.build.named.push(name.name.text.clone());
        let Some(index) = self.indices(&name.indices) else {
            // It may be any member, so that nothing can be said of those that are read.
            let scope = &mut self.frame().scope;
            scope.families.remove(&name.name.text);
            scope.set(&name.name.text, Value::Unknown, name.span);
            return;
        };
        let text = member_text(&name.name.text, &index);
        self.hint(name.span, text.clone(), &value, None);
        self.frame().last_bound = Some(value.clone());
        if self.frame().is_model
            && let [id] = tensors(&value)[..]
        {
            let bindings = &mut self.build.model.bindings;
            bindings.retain(|(bound, _)| *bound != text);
            bindings.push((text, id));
        }
        let scope = &mut self.frame().scope;
        if index.is_empty() {
            scope.families.remove(&name.name.text);
            scope.set(&name.name.text, value, name.span);
        } else {
            scope.set_member(&name.name.text, index, value, name.span);
        }
    }

    fn stray_value(&mut self, expr: &'a Expr) {
        if let Some((name, sign)) = compared_head(expr)
            && self.find(&name.text).is_none()
        {
            let message = format!("`==` compares; `{}` is bound by `=`", name.text);
            let found = Diagnostic::error(Code::UnknownName, sign, message).help("write `=`").edit(sign, "=");
            self.report(found);
            self.frame().scope.set(&name.text, Value::Unknown, name.span);
            return;
        }
        let value = self.eval(expr);
        if value.is_unknown() {
            return;
        }
        let message = "this value goes nowhere";
        let found = Diagnostic::error(Code::MisplacedStatement, expr.span, message);
        let frame = self.frame();
        let last = frame.definition.body.statements.last().is_some_and(|last| last.span.end == expr.span.end);
        if !frame.is_model && last && frame.returned.is_none() {
            frame.returned = Some(Value::Unknown);
            let place = Self::before(expr.span);
            self.report(found.help("a layer says what it gives: `return …`").edit(place, "return "));
            return;
        }
        self.report(found.help("bind it: `name = …`").edit(Self::before(expr.span), "name = "));
    }
}

/// Where a target stands.
fn target_span(target: &Target) -> Span {
    match target {
        Target::Name(name) => name.span,
        Target::Tuple { span, .. } => *span,
    }
}

/// `name == …` at the head of a statement, and where the `==` is.
fn compared_head(expr: &Expr) -> Option<(&Ident, Span)> {
    let mut at = expr;
    while let ExprKind::Binary { op, op_span, left, .. } = &at.kind {
        if *op == strata_grammar::ast::BinaryOp::Equal {
            return super::signature::lone_name(left).map(|name| (name, *op_span));
        }
        at = left;
    }
    None
}

/// Whether a type has two axes or more: what `glorot` is made for.
fn is_matrix(ty: &TypeExpr) -> bool {
    matches!(ty, TypeExpr::Tensor { axes: Some(axes), .. } if axes.len() > 1)
}

/// A name with its indices as written, for what is not evaluated.
fn member_name(name: &FamilyRef) -> String {
    let mut text = name.name.text.clone();
    for item in &name.indices {
        if let IndexItem::Expr(Expr { kind: ExprKind::Number(number), .. }) = item {
            text.push_str(&format!("[{}]", number.text));
        }
    }
    text
}

/// Whether labels can be of this dtype.
pub(super) fn is_label(dtype: DType) -> bool {
    !dtype.is_float() && dtype != DType::Bool
}
