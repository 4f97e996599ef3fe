//! Stages: what happens to examples on the way to a batch.

use strata_grammar::ast::{Argument, ArgumentName, Expr, ExprKind, Ident};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::StageKind;

use super::{Draft, Flow, PLANNED, STAGES};
use crate::check::Checker;
use crate::check::signature::lone_name;

impl<'a> Checker<'a> {
    pub(super) fn stage(&mut self, flow: Option<Flow>, expr: &'a Expr) -> Option<Flow> {
        let (name, args): (Option<&Ident>, &'a [Argument]) = match &expr.kind {
            ExprKind::Call { callee, args, .. } => (lone_name(callee), args),
            ExprKind::Name(name) => (Some(name), &[]),
            _ => (None, &[]),
        };
        let Some(name) = name else {
            if !matches!(expr.kind, ExprKind::Bad) {
                self.report(Diagnostic::error(
                    Code::WrongKind,
                    expr.span,
                    "right of `|>` stands a stage, as in `batch(64)`",
                ));
            }
            return None;
        };
        let kinds: Vec<StageKind> = match name.text.as_str() {
            "shuffle" => vec![self.shuffle(args, expr.span)?],
            "batch" => vec![self.batch(args, expr.span)?],
            "prefetch" => {
                let batches = self.one_count(args, expr.span, "prefetch", "the number of batches")?;
                vec![StageKind::Prefetch { batches }]
            }
            "take" => {
                let count = self.one_count(args, expr.span, "take", "the number of examples")?;
                vec![StageKind::Take { count }]
            }
            "repeat" => {
                let times = self.one_count(args, expr.span, "repeat", "how many times")?;
                vec![StageKind::Repeat { times }]
            }
            "resize" | "crop" | "random_crop" | "flip" | "whiten" => {
                let draft = self.one_part(flow?, expr.span)?;
                return self.picture_stage(draft, name, args, expr.span).map(Flow::One);
            }
            "skip" => {
                let draft = self.one_part(flow?, expr.span)?;
                return self.skip(draft, name, args, expr.span).map(Flow::One);
            }
            "tokens" | "windows" | "bucket" | "pad" => {
                let draft = self.one_part(flow?, expr.span)?;
                let draft = match name.text.as_str() {
                    "tokens" => self.tokens(draft, args, expr.span),
                    "windows" => self.windows(draft, args, expr.span),
                    "bucket" => self.bucket(draft, args, expr.span),
                    _ => self.pad(draft, args, expr.span),
                };
                return draft.map(Flow::One);
            }
            "split" => {
                let examples = match &flow {
                    Some(Flow::One(draft)) => draft.examples,
                    Some(Flow::Parts(_)) | None => None,
                };
                self.split_stage(args, expr.span, examples)?
            }
            _ => {
                self.unknown_stage(name);
                return None;
            }
        };
        let draft = self.one_part(flow?, expr.span)?;
        self.order(&draft, &kinds[0], expr.span)?;
        let with = |kind: StageKind| {
            let mut next = draft.clone();
            next.examples = match kind {
                StageKind::Take { count } => next.examples.map(|examples| examples.min(count)),
                StageKind::Repeat { times } => next.examples.and_then(|n| n.checked_mul(times)),
                StageKind::Shuffle { .. }
                | StageKind::Split { .. }
                | StageKind::Picture(_)
                | StageKind::Bucket { .. }
                | StageKind::Batch { .. }
                | StageKind::Prefetch { .. } => next.examples,
            };
            next.stages.push((kind, expr.span));
            next
        };
        if name.text == "split" {
            self.split_fits(&kinds[0], &draft, expr.span)?;
            return Some(Flow::Parts(kinds.into_iter().map(with).collect()));
        }
        kinds.into_iter().next().map(|kind| Flow::One(with(kind)))
    }

    /// The data that a stage is for.
    fn one_part(&mut self, flow: Flow, span: Span) -> Option<Draft> {
        match flow {
            Flow::One(draft) => Some(draft),
            Flow::Parts(_) => {
                let found = Diagnostic::error(
                    Code::MisplacedStatement,
                    span,
                    "a stage after `split` does not say which part it is for",
                )
                .help("name the parts first: `data train, test = … |> split(at: …)`");
                self.report(found);
                None
            }
        }
    }

    pub(super) fn unknown_stage(&mut self, name: &Ident) {
        if PLANNED.contains(&name.text.as_str()) {
            self.not_yet(name.span, &format!("the stage `{}`", name.text));
            return;
        }
        let near = did_you_mean(&name.text, STAGES);
        let mut found =
            Diagnostic::error(Code::UnknownName, name.span, format!("there is no stage `{}`", name.text));
        found = match near {
            Some(near) => found.help(format!("did you mean `{near}`?")).edit(name.span, near),
            None => found.help(format!("there are {}", STAGES.join(", "))),
        };
        self.report(found);
    }

    /// The one number that a stage takes.
    pub(super) fn one_count(
        &mut self,
        args: &'a [Argument],
        span: Span,
        stage: &str,
        what: &str,
    ) -> Option<usize> {
        if let Some(extra) = args.get(1) {
            let message = format!("`{stage}` takes one number");
            self.report(Diagnostic::error(Code::ExtraArgument, extra.span, message));
            return None;
        }
        match args.first() {
            Some(arg) => self.plain_count(&arg.value, 1, what).map(|n| n as usize),
            None => {
                let message = format!("`{stage}` needs {what}");
                self.report(
                    Diagnostic::error(Code::MissingArgument, span, message)
                        .help(format!("write `{stage}(64)`")),
                );
                None
            }
        }
    }

    pub(super) fn shuffle(&mut self, args: &'a [Argument], span: Span) -> Option<StageKind> {
        let mut window = None;
        let mut seed = None;
        for arg in args {
            match &arg.name {
                ArgumentName::None if window.is_none() => {
                    window = Some(self.plain_count(&arg.value, 1, "the window of `shuffle`")? as usize);
                }
                ArgumentName::Colon(name) if name.text == "seed" => {
                    seed = Some(self.plain_count(&arg.value, 0, "a seed")?);
                }
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                    let message = format!("`shuffle` has no argument `{}`", name.text);
                    let found = Diagnostic::error(Code::UnknownArgument, name.span, message);
                    let number = matches!(arg.value.kind, ExprKind::Number(_));
                    self.report(match did_you_mean(&name.text, ["seed", "window"]) {
                        Some("seed") => found.help("did you mean `seed:`?").edit(name.span, "seed"),
                        _ if number && window.is_none() => {
                            let value = self.written(arg.value.span);
                            found.help(format!("write `shuffle({value})`")).edit(arg.span, value)
                        }
                        _ => found.help("it has (window, seed)"),
                    });
                    return None;
                }
                ArgumentName::None => {
                    self.report(Diagnostic::error(
                        Code::ExtraArgument,
                        arg.span,
                        "`shuffle` takes one number, and `seed:`",
                    ));
                    return None;
                }
            }
        }
        let Some(window) = window else {
            let found = Diagnostic::error(
                Code::MissingArgument,
                span,
                "`shuffle` needs the number of examples to draw from",
            )
            .help("write `shuffle(10000)`; as many as there are gives every order alike");
            let text = self.written(span);
            let found = if text == "shuffle" { found.edit(span, "shuffle(10000)") } else { found };
            self.report(found);
            return None;
        };
        Some(StageKind::Shuffle { window, seed })
    }

    pub(super) fn batch(&mut self, args: &'a [Argument], span: Span) -> Option<StageKind> {
        for arg in args {
            if let ArgumentName::Colon(name) | ArgumentName::Equals(name) = &arg.name
                && name.text != "total"
            {
                let message = format!("`batch` has no argument `{}`", name.text);
                let found = Diagnostic::error(Code::UnknownArgument, name.span, message);
                let value = self.written(arg.value.span);
                self.report(match args {
                    [_] => found
                        .help(format!(
                            "write `batch({value})`, or `batch(total: {value})` for all copies together"
                        ))
                        .edit(arg.span, value),
                    _ => found.help("write `batch(64)`, or `batch(total: 64)` for all copies together"),
                });
                return None;
            }
        }
        self.one_count(args, span, "batch", "the number of examples").map(|size| StageKind::Batch { size })
    }

    /// A split is by a count; a share is what other libraries take.
    fn split_share(
        &mut self,
        expr: &Expr,
        arg: &Argument,
        share: f64,
        examples: Option<usize>,
    ) -> Option<Vec<StageKind>> {
        let message = format!("where to cut is a number of examples, not the share {share}");
        let found = Diagnostic::error(Code::BadValue, expr.span, message);
        self.report(match examples {
            Some(n) => {
                let at = ((n as f64 * share).round() as usize).max(1);
                found
                    .help(format!("write `split(at: {at})`: {share} of {n} examples"))
                    .edit(arg.span, format!("at: {at}"))
            }
            None => found.help("write how many examples the first part has: `split(at: 1500)`"),
        });
        None
    }

    pub(super) fn split_stage(
        &mut self,
        args: &'a [Argument],
        span: Span,
        examples: Option<usize>,
    ) -> Option<Vec<StageKind>> {
        let [arg] = args else {
            let found = Diagnostic::error(Code::MissingArgument, span, "`split` needs where to cut")
                .help("write `split(at: 1500)`, or `split(at: [1000, 1500])`");
            self.report(found);
            return None;
        };
        if let ArgumentName::Colon(name) | ArgumentName::Equals(name) = &arg.name
            && name.text != "at"
        {
            let message = format!("`split` has no argument `{}`", name.text);
            self.report(
                Diagnostic::error(Code::UnknownArgument, name.span, message).help("write `split(at: 1500)`"),
            );
            return None;
        }
        let exprs: Vec<&'a Expr> = match &arg.value.kind {
            ExprKind::List(items) => items.iter().collect(),
            _ => vec![&arg.value],
        };
        let mut bounds = Vec::new();
        for expr in exprs {
            if let ExprKind::Number(number) = &expr.kind
                && number.value > 0.0
                && number.value < 1.0
            {
                return self.split_share(expr, arg, number.value, examples);
            }
            bounds.push(self.plain_count(expr, 1, "where to cut")? as usize);
        }
        if bounds.windows(2).any(|pair| pair[0] >= pair[1]) || bounds.is_empty() {
            self.report(Diagnostic::error(Code::BadValue, arg.value.span, "the numbers of a split ascend"));
            return None;
        }
        let parts = bounds.len() + 1;
        Some((0..parts).map(|part| StageKind::Split { bounds: bounds.clone(), part }).collect())
    }

    /// That a split leaves something in its last part.
    pub(super) fn split_fits(&mut self, kind: &StageKind, draft: &Draft, span: Span) -> Option<()> {
        let (StageKind::Split { bounds, .. }, Some(examples)) = (kind, draft.examples) else {
            return Some(());
        };
        let whole = !draft.stages.iter().any(|(kind, _)| matches!(kind, StageKind::Split { .. }));
        match bounds.last() {
            Some(last) if whole && *last >= examples => {
                let message = format!("cannot cut at {last}: there are {examples} examples");
                let found = Diagnostic::error(Code::BadValue, span, message)
                    .label(draft.span, format!("{examples} examples"))
                    .help(format!("cut below {examples}"));
                self.report(found);
                None
            }
            _ => Some(()),
        }
    }

    /// That a stage may follow those before it.
    pub(super) fn order(&mut self, draft: &Draft, kind: &StageKind, span: Span) -> Option<()> {
        let batch = draft.stages.iter().find(|(kind, _)| matches!(kind, StageKind::Batch { .. }));
        let prefetch = draft.stages.iter().find(|(kind, _)| matches!(kind, StageKind::Prefetch { .. }));
        let (message, first) = match (kind, batch, prefetch) {
            (
                StageKind::Shuffle { .. }
                | StageKind::Split { .. }
                | StageKind::Take { .. }
                | StageKind::Repeat { .. }
                | StageKind::Picture(_)
                | StageKind::Bucket { .. },
                Some((_, at)),
                _,
            ) => ("this works on examples, and they are in batches already", *at),
            (StageKind::Batch { .. }, Some((_, at)), _) => ("examples are batched once", *at),
            (StageKind::Prefetch { .. }, _, Some((_, at))) => ("batches are prefetched once", *at),
            (StageKind::Prefetch { .. }, None, _) => {
                let found = Diagnostic::error(
                    Code::MisplacedStatement,
                    span,
                    "`prefetch` prepares batches, and there are none yet",
                )
                .help("put `batch(64)` before it")
                .edit(Self::before(span), "batch(64) |> ");
                self.report(found);
                return None;
            }
            _ => return Some(()),
        };
        let mut found =
            Diagnostic::error(Code::MisplacedStatement, span, message).label(first, "batches from here on");
        let (one, two) = (self.written(first), self.written(span));
        found = match kind {
            // Stages of one line change places; a batch of batches goes.
            StageKind::Batch { .. } | StageKind::Prefetch { .. } => {
                let found = found.help("take one of the two out");
                let before = self.written(Span { start: first.end, end: span.start, ..span });
                if before == "|>" { found.edit(Span { start: first.end, ..span }, "") } else { found }
            }
            StageKind::Shuffle { .. }
            | StageKind::Split { .. }
            | StageKind::Take { .. }
            | StageKind::Repeat { .. }
            | StageKind::Picture(_)
            | StageKind::Bucket { .. } => {
                found = found.help("move it before `batch`");
                let near = first.file == span.file && first.end < span.start && {
                    let between = self.written(Span { start: first.end, end: span.start, ..span });
                    !between.contains('\n')
                };
                let moves = !matches!(kind, StageKind::Split { .. } | StageKind::Bucket { .. });
                if near && moves { found.edit(first, two).edit(span, one) } else { found }
            }
        };
        self.report(found);
        None
    }
}
