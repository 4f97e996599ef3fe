//! The names in the bodies of models and layers: statements, types and expressions.

use strata_grammar::Span;
use strata_grammar::ast::{
    Argument, ArgumentName, AxisKind, BinaryOp, Block, Expr, ExprKind, FamilyRef, GenerateKind, GenerateRule,
    Ident, IndexItem, Scan, ScanOver, Statement, StatementKind, Target, TypeExpr,
};
use strata_grammar::lex::{TokenKind, lex};

use super::SymbolKind;
use super::walk::Walker;
use super::{ScopeId, SymbolId};
use crate::types::DType;

impl<'a> Walker<'a> {
    pub(super) fn block(&mut self, block: &'a Block) {
        block.statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &'a Statement) {
        match &statement.kind {
            StatementKind::Input { name, ty } => {
                self.type_expr(ty, true);
                self.bind(name, SymbolKind::Input);
            }
            StatementKind::Declare { kind: _, name, ty, init } => {
                self.type_expr(ty, false);
                self.maybe(init.as_ref());
                self.bind(name, SymbolKind::Variable);
            }
            StatementKind::Update { name, value } => {
                self.expr(value);
                self.word(name);
            }
            StatementKind::Loss(value) | StatementKind::Metric(value) | StatementKind::Value(value) => {
                self.expr(value);
            }
            StatementKind::For { var, over, body } => {
                self.expr(over);
                self.bind(var, SymbolKind::Turn);
                self.block(body);
            }
            StatementKind::Scan(scan) => self.scan(scan),
            StatementKind::Return(values) => values.iter().for_each(|value| self.expr(value)),
            StatementKind::Generate { name, rules, .. } => {
                self.word(name);
                rules.iter().for_each(|rule| self.rule(rule));
            }
            StatementKind::Layer(definition) => {
                if let Some(name) = &definition.name
                    && let Some(id) = self.bind(name, SymbolKind::Layer)
                {
                    self.names.symbols[id.0 as usize].params.clear();
                    self.definition_symbol(id, definition);
                }
                self.body(definition, false, self.scope);
            }
            StatementKind::LayerBind { frozen: _, name, value } => {
                self.expr(value);
                let alias = self.callee(value);
                if let Some(id) = self.bind(name, SymbolKind::Layer)
                    && alias != Some(id)
                {
                    self.names.symbols[id.0 as usize].alias = alias;
                }
            }
            StatementKind::Group { name, body } => {
                self.part(name);
                self.block(body);
            }
            StatementKind::Bind { targets, values } => {
                values.iter().for_each(|value| self.expr(value));
                targets.iter().for_each(|target| self.target(target));
            }
            StatementKind::Bad => self.broken(statement.span),
        }
    }

    /// Of a statement that could not be read, what it would have bound.
    fn broken(&mut self, span: Span) {
        let text = self.loaded.sources.text(span);
        let mut tokens = lex(text);
        let (Some(first), Some(second)) = (tokens.next(), tokens.next()) else { return };
        if first.kind == TokenKind::Word && &text[second.start..second.end] == "=" {
            let start = span.start as usize;
            let span = Span::new(span.file, start + first.start, start + first.end);
            self.bind(&Ident { text: text[first.start..first.end].to_string(), span }, SymbolKind::Value);
        }
    }

    fn scan(&mut self, scan: &'a Scan) {
        match &scan.over {
            ScanOver::Axis { inputs, axis } => {
                inputs.iter().for_each(|input| self.expr(input));
                let known = self.find_axis(&axis.text);
                self.mention(axis.span, known, SymbolKind::Axis);
            }
            ScanOver::Times(count) => self.expr(count),
        }
        if let Some((target, start)) = &scan.state {
            self.expr(start);
            self.target(target);
        }
        self.block(&scan.body);
    }

    fn rule(&mut self, rule: &'a GenerateRule) {
        match &rule.kind {
            GenerateKind::Beam { width, length } => {
                self.expr(width);
                self.maybe(length.as_ref());
            }
            GenerateKind::Sample(args) => self.args(None, args, false),
            GenerateKind::Prefix(value) | GenerateKind::StopAt(value) | GenerateKind::AtMost(value) => {
                self.expr(value);
            }
            GenerateKind::Greedy | GenerateKind::NoRepeats | GenerateKind::Bad => {}
        }
    }

    fn target(&mut self, target: &'a Target) {
        let members = match target {
            Target::Name(name) => std::slice::from_ref(name),
            Target::Tuple { members, .. } => members.as_slice(),
        };
        for member in members {
            self.items(&member.indices);
            self.bind(&member.name, SymbolKind::Value);
        }
    }

    /// A group, or what `as` names.
    fn part(&mut self, name: &'a FamilyRef) {
        self.items(&name.indices);
        let text = &name.name.text;
        let known = self.scope().and_then(|scope| scope.parts.get(text).copied());
        let id = known.unwrap_or_else(|| self.symbol(text, SymbolKind::Part));
        self.define(&name.name, id);
        if let Some(scope) = self.scope() {
            scope.parts.insert(text.clone(), id);
        }
    }

    /// A type. `binds`: whether a name that stands for nothing names an axis from here on.
    pub(super) fn type_expr(&mut self, ty: &'a TypeExpr, binds: bool) {
        let (head, axes) = match ty {
            TypeExpr::Tensor { head, axes, .. } => (head, axes.as_deref().unwrap_or_default()),
            TypeExpr::Tuple { members, .. } => {
                members.iter().for_each(|member| self.type_expr(member, binds));
                return;
            }
        };
        self.mention(head.span, None, SymbolKind::Type);
        for axis in axes {
            match &axis.kind {
                AxisKind::Rest => {}
                AxisKind::Ragged { name, size } => {
                    self.maybe(size.as_ref());
                    self.axis(name);
                }
                AxisKind::Sized { name, size } => {
                    self.expr(size);
                    self.axis(name);
                }
                AxisKind::Expr(Expr { kind: ExprKind::Name(name), .. }) => match self.in_body(&name.text) {
                    Some(id) => self.mention(name.span, Some(id), SymbolKind::Axis),
                    None if binds => self.axis(name),
                    None => self.mention(name.span, None, SymbolKind::Axis),
                },
                AxisKind::Expr(size) => self.expr(size),
            }
        }
    }

    /// What a size's name stands for in the body.
    fn in_body(&self, name: &str) -> Option<SymbolId> {
        self.find(name).filter(|id| {
            !matches!(
                self.names.symbol(*id).kind,
                SymbolKind::Layer | SymbolKind::Model | SymbolKind::Function | SymbolKind::Input
            )
        })
    }

    fn maybe(&mut self, expr: Option<&'a Expr>) {
        if let Some(expr) = expr {
            self.expr(expr);
        }
    }

    /// A name in an expression.
    pub(super) fn word(&mut self, name: &Ident) {
        let found = self.find(&name.text);
        let otherwise =
            if DType::from_name(&name.text).is_some() { SymbolKind::Type } else { SymbolKind::Word };
        self.mention(name.span, found, otherwise);
    }

    pub(super) fn items(&mut self, items: &'a [IndexItem]) {
        for item in items {
            match item {
                IndexItem::All(_) => {}
                IndexItem::Expr(expr) => self.expr(expr),
            }
        }
    }

    pub(super) fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Number(_)
            | ExprKind::Quantity { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Bad => {}
            ExprKind::Name(name) => self.word(name),
            ExprKind::Paren(inner) | ExprKind::Every(inner) => self.expr(inner),
            ExprKind::Tuple(items) | ExprKind::List(items) => items.iter().for_each(|item| self.expr(item)),
            ExprKind::Unary { arg, .. } => self.expr(arg),
            ExprKind::Binary { op, left, right, .. } => {
                self.expr(left);
                self.applied(right, *op == BinaryOp::Pipe);
            }
            ExprKind::Call { .. } | ExprKind::As { .. } => self.applied(expr, false),
            ExprKind::Index { base, items } => {
                self.expr(base);
                self.items(items);
                self.members(base, items);
            }
            ExprKind::For { var, over, body } => {
                self.expr(over);
                self.bind(var, SymbolKind::Turn);
                self.block(body);
            }
        }
    }

    /// A call, perhaps with a name, into which something may be piped.
    fn applied(&mut self, expr: &'a Expr, piped: bool) {
        match &expr.kind {
            ExprKind::Call { callee, args, .. } => {
                self.expr(callee);
                let found = self.callee(callee);
                self.args(found, args, piped);
            }
            ExprKind::As { call, name } => {
                self.applied(call, piped);
                self.part(name);
            }
            ExprKind::Number(_)
            | ExprKind::Quantity { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Name(_)
            | ExprKind::Paren(_)
            | ExprKind::Tuple(_)
            | ExprKind::List(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary { .. }
            | ExprKind::Index { .. }
            | ExprKind::For { .. }
            | ExprKind::Every(_)
            | ExprKind::Bad => self.expr(expr),
        }
    }

    /// What a call calls, seen through parentheses and further calls.
    pub(super) fn callee(&self, expr: &Expr) -> Option<SymbolId> {
        match &expr.kind {
            ExprKind::Name(name) => self.find(&name.text).map(|id| self.names.resolved(id)),
            ExprKind::Paren(inner) => self.callee(inner),
            ExprKind::Call { callee, .. } => self.callee(callee),
            ExprKind::As { call, .. } => self.callee(call),
            ExprKind::Number(_)
            | ExprKind::Quantity { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Tuple(_)
            | ExprKind::List(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary { .. }
            | ExprKind::Index { .. }
            | ExprKind::For { .. }
            | ExprKind::Every(_)
            | ExprKind::Bad => None,
        }
    }

    /// The arguments of a call of `callee`.
    pub(super) fn args(&mut self, callee: Option<SymbolId>, args: &'a [Argument], piped: bool) {
        let params = callee.map(|id| self.names.symbol(id).params.clone()).unwrap_or_default();
        let renames = callee.is_some_and(|id| {
            let symbol = self.names.symbol(id);
            symbol.kind == SymbolKind::Function && symbol.name == "rename"
        });
        for (at, arg) in args.iter().enumerate() {
            let param = match &arg.name {
                ArgumentName::Colon(name) if renames => {
                    let known = self.find_axis(&name.text);
                    self.mention(name.span, known, SymbolKind::Axis);
                    if let ExprKind::Name(new) = &arg.value.kind {
                        self.axis(new);
                        continue;
                    }
                    None
                }
                ArgumentName::Colon(name) => {
                    let named = |id: &&SymbolId| self.names.symbol(**id).name == name.text;
                    let found = params.iter().find(named).copied();
                    self.mention(name.span, found, SymbolKind::Parameter);
                    found
                }
                ArgumentName::Equals(name) => {
                    self.axis(name);
                    None
                }
                ArgumentName::None => params.get(at + usize::from(piped)).copied(),
            };
            if param.is_some_and(|param| self.axes_params.contains(&param)) {
                self.axes_value(&arg.value);
            } else {
                self.expr(&arg.value);
            }
        }
    }

    /// `channel`, `[height, width]`: names of axes.
    fn axes_value(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Name(name) => {
                let known = self.find_axis(&name.text);
                self.mention(name.span, known, SymbolKind::Axis);
            }
            ExprKind::List(items) | ExprKind::Tuple(items) => {
                items.iter().for_each(|item| self.axes_value(item));
            }
            ExprKind::Paren(inner) => self.axes_value(inner),
            ExprKind::Number(_)
            | ExprKind::Quantity { .. }
            | ExprKind::String(_)
            | ExprKind::Bool(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary { .. }
            | ExprKind::Call { .. }
            | ExprKind::Index { .. }
            | ExprKind::As { .. }
            | ExprKind::For { .. }
            | ExprKind::Every(_)
            | ExprKind::Bad => self.expr(expr),
        }
    }

    /// `net(x)["fire4"]`: a part of a model, named in quotes.
    fn members(&mut self, base: &Expr, items: &[IndexItem]) {
        let Some(model) = self.callee(base) else { return };
        for item in items {
            let IndexItem::Expr(Expr { kind: ExprKind::String(text), span }) = item else { continue };
            // The model may stand further down, so this waits for all bodies.
            let inner =
                Span { start: span.start + 1, end: span.end.saturating_sub(1).max(span.start + 1), ..*span };
            self.links.members.push((model, text.clone(), inner));
        }
    }

    /// The part or value of a model's body that `place` and others name.
    pub(super) fn part_of(&self, body: Option<ScopeId>, name: &str) -> Option<SymbolId> {
        let scope = self.names.scope(body?);
        scope.parts.get(name).or_else(|| scope.names.get(name)).copied()
    }
}
