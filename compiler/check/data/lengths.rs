//! How long sequences are in a batch: `bucket(source: [8, 16], target: [8, 16])` and `pad`.

use strata_grammar::ast::{Argument, ArgumentName, Expr, ExprKind, Ident};
use strata_grammar::{Code, Diagnostic, Span, did_you_mean};
use strata_runtime::queue::{Longer, StageKind};

use super::tokens::tokens_of;
use super::{Draft, DraftField, From};
use crate::check::Checker;
use crate::check::signature::lone_name;

/// For each field the lengths of its buckets.
type Lengths = Vec<(String, Vec<usize>)>;

/// Whether examples have their own lengths.
pub(super) fn is_sequence(draft: &Draft, field: &DraftField) -> bool {
    match field.from {
        From::Text { .. } | From::Numbers { .. } => draft.windows.is_none(),
        From::Columns(_) | From::Array(..) | From::Picture | From::Folder { .. } => false,
    }
}

impl<'a> Checker<'a> {
    pub(super) fn bucket(&mut self, draft: Draft, args: &'a [Argument], span: Span) -> Option<Draft> {
        let (lengths, longer) = self.lengths(&draft, args, "bucket")?;
        let Some((_, first)) = lengths.first() else {
            let found =
                Diagnostic::error(Code::MissingArgument, span, "`bucket` needs the lengths of its buckets")
                    .help("write `bucket([8, 16, 32])`, or `bucket(source: [8, 16], target: [8, 16])`");
            self.report(found);
            return None;
        };
        let count = first.len();
        if let Some((field, other)) = lengths.iter().find(|(_, lengths)| lengths.len() != count) {
            let message = format!(
                "a bucket has one length of each field: `{}` has {count}, `{field}` has {}",
                lengths[0].0,
                other.len()
            );
            let found =
                Diagnostic::error(Code::DataMismatch, span, message).help("give both as many lengths");
            self.report(found);
            return None;
        }
        self.fits(&draft, &lengths, longer, span)?;
        self.with_lengths(draft, lengths, longer, span)
    }

    /// `pad`, `pad(20)`, `pad(source: 20)`
    pub(super) fn pad(&mut self, draft: Draft, args: &'a [Argument], span: Span) -> Option<Draft> {
        let (lengths, longer) = self.lengths(&draft, args, "pad")?;
        if let Some((field, _)) = lengths.iter().find(|(_, lengths)| lengths.len() != 1) {
            let message = format!("`pad` makes all examples equally long: `{field}` gets one length");
            let found =
                Diagnostic::error(Code::WrongKind, span, message).help("for several, write `bucket(…)`");
            self.report(found);
            return None;
        }
        self.fits(&draft, &lengths, longer, span)?;
        let draft = self.with_lengths(draft, lengths, longer, span)?;
        Some(Draft { padded: true, ..draft })
    }

    fn with_lengths(
        &mut self,
        mut draft: Draft,
        lengths: Lengths,
        longer: Longer,
        span: Span,
    ) -> Option<Draft> {
        if let Some((_, at)) = draft.stages.iter().find(|(kind, _)| matches!(kind, StageKind::Bucket { .. }))
        {
            let found = Diagnostic::error(Code::MisplacedStatement, span, "lengths are given once")
                .label(*at, "the first")
                .help("take one of the two out");
            self.report(found);
            return None;
        }
        let kind = StageKind::Bucket { lengths, longer };
        self.order(&draft, &kind, span)?;
        if !draft.fields.iter().any(|field| is_sequence(&draft, field)) {
            let found =
                Diagnostic::error(Code::MisplacedStatement, span, "all examples are equally long already")
                    .label(draft.span, "the source");
            self.report(found);
            return None;
        }
        draft.stages.push((kind, span));
        Some(draft)
    }

    /// Lengths by field.
    fn lengths(&mut self, draft: &Draft, args: &'a [Argument], stage: &str) -> Option<(Lengths, Longer)> {
        let mut lengths: Lengths = Vec::new();
        let mut longer = Longer::Refuse;
        let sequences: Vec<&str> = draft
            .fields
            .iter()
            .filter(|field| is_sequence(draft, field))
            .map(|field| field.name.as_str())
            .collect();
        for arg in args {
            match &arg.name {
                ArgumentName::Colon(name) if name.text == "longer" => longer = self.longer(&arg.value)?,
                ArgumentName::None => {
                    let own = self.ascending(&arg.value)?;
                    lengths.extend(sequences.iter().map(|name| ((*name).to_string(), own.clone())));
                }
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                    if !sequences.contains(&name.text.as_str()) {
                        self.no_sequence(draft, name, stage, &sequences);
                        return None;
                    }
                    let own = self.ascending(&arg.value)?;
                    lengths.push((name.text.clone(), own));
                }
            }
        }
        let twice =
            lengths.iter().enumerate().find(|(at, (name, _))| lengths[..*at].iter().any(|l| l.0 == *name));
        if let (Some((_, (name, _))), Some(last)) = (twice, args.last()) {
            let message = format!("`{name}` is given its lengths twice");
            self.report(Diagnostic::error(Code::ExtraArgument, last.span, message));
            return None;
        }
        Some((lengths, longer))
    }

    fn no_sequence(&mut self, draft: &Draft, name: &Ident, stage: &str, sequences: &[&str]) {
        let message = if draft.fields.iter().any(|field| field.name == name.text) {
            format!("the examples of `{}` are equally long already", name.text)
        } else {
            format!("`{stage}` knows no field and no argument `{}`", name.text)
        };
        let found = Diagnostic::error(Code::UnknownArgument, name.span, message);
        let found = match did_you_mean(&name.text, sequences.iter().copied().chain(["longer"])) {
            Some(near) => found.help(format!("did you mean `{near}:`?")).edit(name.span, near),
            None => found.help(format!("there are {} and `longer: skip | cut`", sequences.join(", "))),
        };
        self.report(found);
    }

    fn longer(&mut self, expr: &'a Expr) -> Option<Longer> {
        match lone_name(expr).map(|name| name.text.as_str()) {
            Some("skip") => Some(Longer::Skip),
            Some("cut") => Some(Longer::Cut),
            _ => {
                let message = "`longer` is `skip` or `cut`: what becomes of examples that fit into no bucket";
                self.report(Diagnostic::error(Code::WrongKind, expr.span, message));
                None
            }
        }
    }

    fn ascending(&mut self, expr: &'a Expr) -> Option<Vec<usize>> {
        let items: Vec<&'a Expr> = match &expr.kind {
            ExprKind::List(items) => items.iter().collect(),
            _ => vec![expr],
        };
        let mut lengths = Vec::new();
        for item in items {
            lengths.push(self.plain_count(item, 1, "a length")? as usize);
        }
        if lengths.is_empty() || !lengths.is_sorted() {
            let message = "the lengths of buckets ascend";
            self.report(Diagnostic::error(Code::BadValue, expr.span, message));
            return None;
        }
        Some(lengths)
    }

    /// That the longest example fits, where its length is known.
    fn fits(
        &mut self,
        draft: &Draft,
        lengths: &[(String, Vec<usize>)],
        longer: Longer,
        span: Span,
    ) -> Option<()> {
        // What a split or another stage leaves may be shorter.
        if longer != Longer::Refuse
            || draft.stages.iter().any(|(kind, _)| matches!(kind, StageKind::Split { .. }))
        {
            return Some(());
        }
        for (name, lengths) in lengths {
            let field = draft.fields.iter().find(|field| field.name == *name);
            let longest = field.and_then(|field| tokens_of(&field.from)).and_then(|tokens| tokens.longest);
            if let (Some(longest), Some(last)) = (longest, lengths.last())
                && longest > *last
            {
                let message =
                    format!("`{name}` has examples of up to {longest} steps, and room is for {last}");
                let found = Diagnostic::error(Code::DataMismatch, span, message)
                    .label(draft.span, "they come from here")
                    .help(format!("give room for {longest}, or say `longer: skip` or `longer: cut`"));
                self.report(found);
                return None;
            }
        }
        Some(())
    }
}
