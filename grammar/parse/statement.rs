//! Statements of models, layers, groups and loops, and the types in them.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "`Rule` lists every rule; a match names those that can stand there"
)]

use pest::iterators::Pair;

use super::explain::{after_word, leading_name, read, trailing_block};
use super::{Builder, Parts, Rule, Stretch};
use crate::ast::{
    AxisExpr, AxisKind, Block, DeclareKind, Expr, ExprKind, GenerateKind, GenerateRule, Ident, Scan,
    ScanOver, Statement, StatementKind, Target, TypeExpr,
};

impl Builder<'_> {
    pub(super) fn block(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Block {
        let mut statements = Vec::new();
        for part in Parts::of(pair) {
            self.statement(at, &part, &mut statements);
        }
        Block { statements, span: at.span_of(pair) }
    }

    /// One statement; a broken one may leave the statements of its block as well.
    fn statement(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, statements: &mut Vec<Statement>) {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let kind = match pair.as_rule() {
            Rule::input => {
                parts.must(); // input
                let name = at.ident(&parts.must());
                StatementKind::Input { name, ty: self.type_expr(at, &parts.must()) }
            }
            Rule::declare => self.declare(at, parts),
            Rule::update => {
                parts.must(); // update
                let name = at.ident(&parts.must());
                StatementKind::Update { name, value: self.expression(at, &parts.must()) }
            }
            Rule::loss => StatementKind::Loss(self.operand_of_line(at, &mut parts)),
            Rule::metric => StatementKind::Metric(self.operand_of_line(at, &mut parts)),
            Rule::layer_bind => {
                let frozen = parts.has(Rule::k_frozen);
                parts.must(); // layer
                let name = at.ident(&parts.must());
                StatementKind::LayerBind { frozen, name, value: self.expression(at, &parts.must()) }
            }
            Rule::r#return => {
                parts.must(); // return
                StatementKind::Return(parts.map(|value| self.expression(at, &value)).collect())
            }
            Rule::bind => {
                let targets = Parts::of(&parts.must()).map(|target| self.target(at, &target)).collect();
                StatementKind::Bind {
                    targets,
                    values: parts.map(|value| self.expression(at, &value)).collect(),
                }
            }
            Rule::value => StatementKind::Value(self.expression(at, &parts.must())),
            Rule::group => {
                let name = self.reference(at, &parts.must());
                StatementKind::Group { name, body: self.block(at, &parts.must()) }
            }
            Rule::layer_definition => StatementKind::Layer(self.definition(at, pair)),
            Rule::for_loop => self.for_loop(at, pair),
            Rule::scan => StatementKind::Scan(self.scan(at, pair)),
            Rule::generate => self.generate(at, pair),
            _ => return self.bad_statement(at, pair, statements),
        };
        statements.push(Statement { kind, span });
    }

    /// A broken statement that ends in a block keeps what the block binds: groups do not scope.
    fn bad_statement(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, statements: &mut Vec<Statement>) {
        let (span, mended) = self.bad(at, pair, Rule::only_statement);
        if let Some(mended) = mended {
            mended.with(|at, pair| self.statement(at, pair, statements));
            return;
        }
        statements.push(Statement { kind: StatementKind::Bad, span });
        if let Some(block) = trailing_block(pair.as_str())
            && self.afford(block.len())
        {
            let start = pair.as_span().start();
            read(at.part(start + block.start, start + block.end), Rule::only_block, |at, pair| {
                statements.extend(self.block(at, pair).statements);
            });
        }
    }

    fn declare(&mut self, at: Stretch<'_>, mut parts: Parts<'_>) -> StatementKind {
        let kind = match parts.must().as_rule() {
            Rule::k_param => DeclareKind::Param,
            Rule::k_const => DeclareKind::Const,
            _ => DeclareKind::State,
        };
        let name = at.ident(&parts.must());
        let ty = self.type_expr(at, &parts.must());
        let init = parts.maybe(Rule::expression).map(|value| self.expression(at, &value));
        StatementKind::Declare { kind, name, ty, init }
    }

    fn target(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Target {
        if pair.as_str().starts_with('(') {
            let members = Parts::of(pair).map(|member| self.reference(at, &member)).collect();
            return Target::Tuple { members, span: at.span_of(pair) };
        }
        Target::Name(self.reference(at, &Parts::of(pair).must()))
    }

    /// A loop whose head is broken still has its body, over something unknown.
    fn for_loop(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> StatementKind {
        let mut parts = Parts::of(pair);
        let (var, over) = match parts.maybe(Rule::for_head) {
            Some(head) => {
                let mut head = Parts::of(&head);
                head.must(); // for
                let var = at.ident(&head.must());
                head.must(); // in
                (var, self.expression(at, &head.must()))
            }
            None => {
                let mended = self.broken_head(at, pair);
                parts.must(); // for
                let junk = parts.maybe(Rule::junk);
                let meant = mended.and_then(|mended| {
                    mended.with(|at, head| {
                        let mut head = Parts::of(head);
                        head.must(); // for
                        let var = at.ident(&head.must());
                        head.must(); // in
                        (var, self.expression(at, &head.must()))
                    })
                });
                meant.unwrap_or_else(|| (loop_name(at, junk.as_ref(), pair), unknown(at, pair)))
            }
        };
        let block = parts.find(|part| part.as_rule() == Rule::block).expect("a loop has a body");
        StatementKind::For { var, over, body: self.block(at, &block) }
    }

    fn scan(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Scan {
        let mut parts = Parts::of(pair);
        let (over, reverse, state) = match parts.maybe(Rule::scan_head) {
            Some(head) => self.scan_head(at, &head),
            None => {
                let mended = self.broken_head(at, pair);
                parts.must(); // scan
                let junk = parts.maybe(Rule::junk);
                let meant = mended.and_then(|mended| mended.with(|at, head| self.scan_head(at, head)));
                meant.unwrap_or_else(|| {
                    let state = junk.and_then(|junk| self.broken_state(at, &junk));
                    let state = state.map(|target| (target, unknown(at, pair)));
                    (ScanOver::Times(unknown(at, pair)), false, state)
                })
            }
        };
        let block = parts.find(|part| part.as_rule() == Rule::block).expect("a scan has a body");
        Scan { over, reverse, state, body: self.block(at, &block) }
    }

    fn scan_head(
        &mut self,
        at: Stretch<'_>,
        head: &Pair<'_, Rule>,
    ) -> (ScanOver, bool, Option<(Target, Expr)>) {
        let mut parts = Parts::of(head);
        parts.must(); // scan
        let mut inputs = Vec::new();
        while let Some(input) = parts.maybe(Rule::head_expression) {
            inputs.push(self.expression(at, &input));
        }
        let over = if parts.has(Rule::k_over) {
            ScanOver::Axis { inputs, axis: at.ident(&parts.must()) }
        } else {
            parts.must(); // times
            ScanOver::Times(inputs.pop().expect("a count stands before `times`"))
        };
        let reverse = parts.has(Rule::k_reverse);
        let state = parts.maybe(Rule::scan_state).map(|state| {
            let mut state = Parts::of(&state);
            state.must(); // with
            let target = self.target(at, &state.must());
            (target, self.expression(at, &state.must()))
        });
        (over, reverse, state)
    }

    /// The state's names, from a scan whose head is otherwise broken.
    fn broken_state(&mut self, at: Stretch<'_>, junk: &Pair<'_, Rule>) -> Option<Target> {
        let with = after_word(junk.as_str(), "with")?;
        let span = junk.as_span();
        read(at.part(span.start() + with, span.end()), Rule::only_target, |at, pair| self.target(at, pair))
    }

    // ---- generate ----------------------------------------------------------------------------------------------

    fn generate(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> StatementKind {
        let mut parts = Parts::of(pair);
        let Some(head) = parts.maybe(Rule::generate_head) else {
            let _ = self.broken_head(at, pair);
            return StatementKind::Bad;
        };
        let name = at.ident(&Parts::of(&head).nth(1).expect("generate has a name"));
        let block = parts.must();
        let rules = Parts::of(&block).map(|rule| self.generate_rule(at, &rule)).collect();
        StatementKind::Generate { name, rules, block: at.span_of(&block) }
    }

    fn generate_rule(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> GenerateRule {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let kind = match pair.as_rule() {
            Rule::greedy => GenerateKind::Greedy,
            Rule::beam => {
                let width = self.operand_of_line(at, &mut parts);
                parts.maybe(Rule::k_length);
                let length = parts.maybe(Rule::expression).map(|exponent| self.expression(at, &exponent));
                GenerateKind::Beam { width, length }
            }
            Rule::sample => {
                parts.must(); // sample
                GenerateKind::Sample(parts.map(|named| self.argument(at, &named)).collect())
            }
            Rule::prefix_rule => GenerateKind::Prefix(self.operand_of_line(at, &mut parts)),
            Rule::stop_at => GenerateKind::StopAt(self.operand_of_line(at, &mut parts)),
            Rule::at_most => GenerateKind::AtMost(self.operand_of_line(at, &mut parts)),
            Rule::no_repeats => GenerateKind::NoRepeats,
            _ => {
                let (span, mended) = self.bad(at, pair, Rule::only_rule);
                let rule = mended.and_then(|mended| mended.with(|at, pair| self.generate_rule(at, pair)));
                return rule.unwrap_or(GenerateRule { kind: GenerateKind::Bad, span });
            }
        };
        GenerateRule { kind, span }
    }

    // ---- types -------------------------------------------------------------------------------------------------

    pub(super) fn type_expr(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> TypeExpr {
        let span = at.span_of(pair);
        let inner = Parts::of(pair).must();
        let mut parts = Parts::of(&inner);
        if inner.as_rule() == Rule::tuple_type {
            return TypeExpr::Tuple {
                members: parts.map(|member| self.type_expr(at, &member)).collect(),
                span,
            };
        }
        let head = at.ident(&parts.must());
        let axes = parts.maybe(Rule::axes);
        let axes = axes.map(|axes| Parts::of(&axes).map(|axis| self.axis(at, &axis)).collect());
        TypeExpr::Tensor { head, axes, span }
    }

    fn axis(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> AxisExpr {
        let span = at.span_of(pair);
        let inner = Parts::of(pair).must();
        let mut parts = Parts::of(&inner);
        let kind = match inner.as_rule() {
            Rule::all => AxisKind::Rest,
            Rule::ragged_axis => {
                parts.must(); // ragged
                let name = at.ident(&parts.must());
                AxisKind::Ragged {
                    name,
                    size: parts.maybe(Rule::expression).map(|size| self.expression(at, &size)),
                }
            }
            Rule::sized_axis => {
                let name = at.ident(&parts.must());
                AxisKind::Sized { name, size: self.expression(at, &parts.must()) }
            }
            _ => AxisKind::Expr(self.expression(at, &inner)),
        };
        AxisExpr { kind, span }
    }
}

/// The name that a broken loop's head begins with, else `_`.
fn loop_name(at: Stretch<'_>, junk: Option<&Pair<'_, Rule>>, pair: &Pair<'_, Rule>) -> Ident {
    let name = junk.and_then(|junk| Some((junk.as_span().start(), leading_name(junk.as_str())?)));
    let start = pair.as_span().start();
    name.map_or(Ident { text: "_".into(), span: at.span(start, start) }, |(start, word)| {
        at.ident_at(start, word)
    })
}

/// What a broken head speaks of.
fn unknown(at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Expr {
    let start = pair.as_span().start();
    Expr { kind: ExprKind::Bad, span: at.span(start, start) }
}
