//! Vocabularies: the stage `tokens`, and `size(words)` as a model's parameter.

use strata_grammar::ast::{Argument, ArgumentName, Expr, ExprKind, Train, TrainKind};
use strata_grammar::{Code, Diagnostic, Severity, Span, did_you_mean};
use strata_runtime::queue::{Part, RESERVED, TextPart, Unit, Vocabulary, VocabularySource, vocabulary_size};

use super::{Draft, DraftKind, Format, From, Tokenized};
use crate::check::signature::lone_name;
use crate::check::{Checker, Content, SourceFacts, SourceKey};

/// What a word after `tokens(` makes vocabularies of.
pub(super) fn unit(name: &str) -> Option<Unit> {
    match name {
        "characters" => Some(Unit::Characters),
        "words" => Some(Unit::Words),
        _ => None,
    }
}

/// What a field's numbers stand for.
enum Kind<'a> {
    Counted(Unit),
    File(&'a str, Span),
    As(Draft),
}

/// What `tokens` says beside that.
#[derive(Default)]
struct Options {
    size: Option<usize>,
    least: Option<u64>,
    end: Option<bool>,
}

impl<'a> Checker<'a> {
    /// `tokens(words)`, `tokens(source: words, target: characters)`, `tokens("bpe.json")`, `tokens(as: train)`
    pub(super) fn tokens(&mut self, mut draft: Draft, args: &'a [Argument], span: Span) -> Option<Draft> {
        let DraftKind::Text { key } = &draft.kind else {
            let found = Diagnostic::error(Code::MisplacedStatement, span, "`tokens` makes numbers of texts")
                .label(draft.span, "this is none")
                .help("begin with `text(…)`");
            self.report(found);
            return None;
        };
        let key = key.clone();
        if draft.windows.is_some() || !draft.stages.is_empty() {
            let message = "`tokens` comes right after `text`: its vocabulary is made of all there is";
            let found =
                Diagnostic::error(Code::MisplacedStatement, span, message).help("move it to the front");
            self.report(found);
            return None;
        }
        let (kinds, options) = self.token_arguments(&draft, args, span)?;
        for (fields, kind) in kinds {
            let parts: Vec<Part> =
                fields.iter().filter_map(|at| text_part(&draft.fields[*at].from)).collect();
            let whole = parts.contains(&Part::Whole);
            for at in &fields {
                let field = &draft.fields[*at];
                let (name, field_span) = (field.name.clone(), field.span);
                let Some(part) = text_part(&field.from) else { continue };
                let end = options.end.unwrap_or(!whole);
                let mut tokens = match &kind {
                    Kind::Counted(unit) => self.counted(&key, &parts, *unit, &options, draft.span),
                    Kind::File(path, at) => self.tokenizer(path, *at)?,
                    Kind::As(other) => self.vocabulary_of(other, &name, span)?,
                };
                self.as_the_run_kept_it(&name, &mut tokens, &key, &parts, &options, span);
                let unit = match &tokens.vocabulary {
                    VocabularySource::Counted { unit, .. } | VocabularySource::Kept { unit, .. } => {
                        Some(*unit)
                    }
                    VocabularySource::File { .. } => None,
                };
                let longest = unit.and_then(|unit| self.longest(&key, part, unit));
                let longest = longest.map(|longest| longest + usize::from(end));
                draft.fields[*at].from =
                    From::Text { part, tokens: Some(Tokenized { end, longest, span, ..tokens }) };
                self.data_origin(field_span);
            }
        }
        Some(draft)
    }

    /// Which fields get which vocabulary.
    #[expect(clippy::type_complexity, reason = "fields by their index, and what becomes of them")]
    fn token_arguments(
        &mut self,
        draft: &Draft,
        args: &'a [Argument],
        span: Span,
    ) -> Option<(Vec<(Vec<usize>, Kind<'a>)>, Options)> {
        let mut kinds: Vec<(Vec<usize>, Kind<'a>)> = Vec::new();
        let mut options = Options::default();
        let open: Vec<usize> = (0..draft.fields.len())
            .filter(|at| matches!(draft.fields[*at].from, From::Text { tokens: None, .. }))
            .collect();
        for arg in args {
            match &arg.name {
                ArgumentName::None => kinds.push((open.clone(), self.token_kind(&arg.value)?)),
                ArgumentName::Colon(name) if name.text == "size" => {
                    options.size =
                        Some(self.plain_count(&arg.value, 5, "the size of a vocabulary")? as usize);
                }
                ArgumentName::Colon(name) if name.text == "least" => {
                    options.least = Some(self.plain_count(&arg.value, 1, "how often a token occurs")?);
                }
                ArgumentName::Colon(name) if name.text == "end" => match arg.value.kind {
                    ExprKind::Bool(value) => options.end = Some(value),
                    _ => {
                        let message = "`end` is true or false: whether END follows the last token";
                        self.report(Diagnostic::error(Code::WrongKind, arg.value.span, message));
                        return None;
                    }
                },
                ArgumentName::Colon(name) if name.text == "as" => {
                    let other = self.draft(&arg.value)?;
                    kinds.push((open.clone(), Kind::As(other)));
                }
                ArgumentName::Colon(name) | ArgumentName::Equals(name) => {
                    let Some(at) = draft.fields.iter().position(|field| field.name == name.text) else {
                        let names = draft.fields.iter().map(|field| field.name.as_str());
                        let names: Vec<&str> = names.chain(["size", "least", "end", "as"]).collect();
                        let message = format!("there is no field and no argument `{}`", name.text);
                        let mut found = Diagnostic::error(Code::UnknownArgument, name.span, message);
                        found = match did_you_mean(&name.text, names.iter().copied()) {
                            Some(near) => {
                                found.help(format!("did you mean `{near}:`?")).edit(name.span, near)
                            }
                            None => found.help(format!("there are {}", names.join(", "))),
                        };
                        self.report(found);
                        return None;
                    };
                    kinds.push((vec![at], self.token_kind(&arg.value)?));
                }
            }
        }
        if kinds.is_empty() {
            let found = Diagnostic::error(Code::MissingArgument, span, "`tokens` needs what tokens are")
                .help("write `tokens(words)`, `tokens(characters)` or `tokens(\"tokenizer.json\")`");
            self.report(found);
            return None;
        }
        if kinds.iter().any(|(fields, _)| fields.is_empty()) {
            let message = "every text has its tokens already";
            self.report(Diagnostic::error(Code::ExtraArgument, span, message).help("take this stage out"));
            return None;
        }
        let mut seen: Vec<usize> = Vec::new();
        for at in kinds.iter().flat_map(|(fields, _)| fields) {
            if seen.contains(at) || !open.contains(at) {
                let message = format!("`{}` is given its tokens twice", draft.fields[*at].name);
                self.report(Diagnostic::error(Code::ExtraArgument, span, message));
                return None;
            }
            seen.push(*at);
        }
        Some((kinds, options))
    }

    fn token_kind(&mut self, expr: &'a Expr) -> Option<Kind<'a>> {
        if let ExprKind::String(path) = &expr.kind {
            return Some(Kind::File(path, expr.span));
        }
        if let Some(unit) = lone_name(expr).and_then(|name| unit(&name.text)) {
            return Some(Kind::Counted(unit));
        }
        if !matches!(expr.kind, ExprKind::Bad) {
            let what = self.quote(expr.span).unwrap_or_else(|| "this".into());
            let mut found = Diagnostic::error(Code::WrongKind, expr.span, format!("tokens are not {what}"))
                .help("there are `words`, `characters`, and files such as \"tokenizer.json\"");
            if let Some(near) =
                lone_name(expr).and_then(|name| did_you_mean(&name.text, ["words", "characters"]))
            {
                found = found.help(format!("did you mean `{near}`?")).edit(expr.span, near);
            }
            self.report(found);
        }
        None
    }

    /// A vocabulary made of what there is in some parts of the file.
    fn counted(
        &mut self,
        key: &SourceKey,
        parts: &[Part],
        unit: Unit,
        options: &Options,
        span: Span,
    ) -> Tokenized {
        let least = options.least.unwrap_or(1);
        let size = self.text_facts(key).map(|facts| {
            let all = parts.iter().filter_map(|part| facts.parts.get(cell(*part)));
            let counts: Vec<_> = all.map(|facts| &facts.of(unit).1).collect();
            vocabulary_size(&counts, options.size, least)
        });
        let (path, origin) = (self.path(key), self.data_origin(span));
        let over = parts.iter().map(|part| TextPart { path: path.clone(), part: *part, origin });
        let vocabulary = VocabularySource::Counted { unit, over: over.collect(), size: options.size, least };
        Tokenized { vocabulary, end: false, size, longest: None, span }
    }

    /// Takes the vocabulary that a run has kept for a field instead of counting one; says where they differ.
    fn as_the_run_kept_it(
        &mut self,
        field: &str,
        tokens: &mut Tokenized,
        key: &SourceKey,
        parts: &[Part],
        options: &Options,
        span: Span,
    ) {
        let VocabularySource::Counted { unit, over, .. } = &tokens.vocabulary else { return };
        let kept = self.settings.vocabularies.get(field).filter(|kept| kept.unit == *unit);
        let Some(kept) = kept else { return };
        // What `tokens(as: …)` took from elsewhere is compared there.
        let own = self.path(key);
        let facts = if over.iter().all(|part| part.path == own) { self.text_facts(key) } else { None };
        let counted = facts.map(|facts| {
            let all = parts.iter().filter_map(|part| facts.parts.get(cell(*part)));
            let counts: Vec<_> = all.map(|facts| &facts.of(*unit).1).collect();
            Vocabulary::new(*unit, &counts, options.size, options.least.unwrap_or(1))
        });
        if let Some(how) = counted.and_then(|counted| kept.differs(counted.entries())) {
            let message = format!(
                "the vocabulary of `{field}` in the data is another than the run's, which is used: {how}"
            );
            let note = Diagnostic {
                severity: Severity::Note,
                ..Diagnostic::error(Code::DataMismatch, span, message)
            };
            self.report(note);
        }
        tokens.size = Some(kept.tokens.len() + RESERVED);
        tokens.vocabulary = VocabularySource::Kept { unit: kept.unit, tokens: kept.tokens.clone() };
    }

    fn tokenizer(&mut self, path: &str, span: Span) -> Option<Tokenized> {
        let key = SourceKey { file: span.file, path: path.to_string(), format: Format::Tokenizer };
        let known = self.facts.sources.contains_key(&key);
        let size = match self.facts(&key, span).map(|facts| &facts.content) {
            Some(Content::Tokenizer(size)) => Some(*size),
            Some(
                Content::Csv(_)
                | Content::Array(_)
                | Content::Npz(_)
                | Content::Pictures(_)
                | Content::Text(_)
                | Content::Weights(_)
                | Content::Picture,
            ) => None,
            // Said already, where anything is known of it.
            None if known => return None,
            None => None,
        };
        let vocabulary = VocabularySource::File { path: self.path(&key), origin: self.data_origin(span) };
        Some(Tokenized { vocabulary, end: false, size, longest: None, span })
    }

    /// The vocabulary that other data have for a field of the same name, or their only one.
    fn vocabulary_of(&mut self, other: &Draft, field: &str, span: Span) -> Option<Tokenized> {
        let own =
            other.fields.iter().find(|other| other.name == field).and_then(|field| tokens_of(&field.from));
        match own.or_else(|| only_vocabulary(other)) {
            Some(tokens) => Some(tokens.clone()),
            None => {
                let message = format!("the other data have no vocabulary for `{field}`");
                let found = Diagnostic::error(Code::WrongKind, span, message)
                    .label(other.span, "these")
                    .help(format!("give it its own: `tokens({field}: words)`"));
                self.report(found);
                None
            }
        }
    }

    fn text_facts(&self, key: &SourceKey) -> Option<&'a strata_runtime::queue::TextFacts> {
        match self.facts.sources.get(key)? {
            Ok(SourceFacts { content: Content::Text(facts), .. }) => Some(facts),
            Ok(_) | Err(_) => None,
        }
    }

    fn longest(&self, key: &SourceKey, part: Part, unit: Unit) -> Option<usize> {
        let facts = self.text_facts(key)?;
        facts
            .counted
            .contains(&unit)
            .then(|| facts.parts.get(cell(part)).map(|part| part.of(unit).0))
            .flatten()
    }

    /// `size(words)`: numbers of the vocabulary of a field of the feed, or of data with one vocabulary. The outer
    /// `None`: this is no such call; the inner: it is, and the size is not known (said, if it is a mistake).
    pub(in crate::check) fn vocabulary_size_call(
        &mut self,
        expr: &'a Expr,
        train: &'a Train,
    ) -> Option<Option<u64>> {
        let ExprKind::Call { callee, args, .. } = &expr.kind else { return None };
        if lone_name(callee).is_none_or(|name| name.text != "size") {
            return None;
        }
        let [Argument { name: ArgumentName::None, value, .. }] = args.as_slice() else {
            let found = Diagnostic::error(Code::MissingArgument, expr.span, "`size` takes one name")
                .help("write `size(words)`: the vocabulary of the input `words`");
            self.report(found);
            return Some(None);
        };
        let Some(name) = lone_name(value) else {
            let message = "`size` takes the name of an input, or of data";
            self.report(Diagnostic::error(Code::WrongKind, value.span, message));
            return Some(None);
        };
        let feed = train.body.iter().find_map(|statement| match &statement.kind {
            TrainKind::Feed(expr) => Some(expr),
            _ => None,
        });
        let feed = feed.and_then(|feed| self.draft(feed));
        let fed = feed.is_some();
        let field =
            feed.iter().flat_map(|draft| &draft.fields).find(|field| field.name == name.text).cloned();
        let data = if field.is_none() { self.named_draft(&name.text) } else { None };
        let tokens = match (&field, &data) {
            (Some(field), _) => tokens_of(&field.from),
            (None, Some(data)) => only_vocabulary(data),
            (None, None) => None,
        };
        if let Some(tokens) = tokens {
            return Some(tokens.size.map(|size| size as u64));
        }
        if !fed && data.is_none() {
            return Some(None);
        }
        let message = match (&field, &data) {
            (None, None) => format!("neither the feed nor any data are called `{}`", name.text),
            (Some(_), _) | (None, Some(_)) => format!("`{}` has no vocabulary of its own", name.text),
        };
        let names: Vec<String> = feed
            .iter()
            .flat_map(|draft| &draft.fields)
            .filter(|field| tokens_of(&field.from).is_some())
            .map(|field| format!("`size({})`", field.name))
            .collect();
        let mut found = Diagnostic::error(Code::UnknownName, name.span, message);
        found = match did_you_mean(
            &name.text,
            feed.iter().flat_map(|draft| &draft.fields).map(|field| field.name.as_str()),
        ) {
            Some(near) if field.is_none() => {
                found.help(format!("did you mean `{near}`?")).edit(name.span, near)
            }
            _ if names.is_empty() => found.help("vocabularies are made by the stage `tokens` of the feed"),
            _ => found.help(format!("there is {}", names.join(", "))),
        };
        self.report(found);
        Some(None)
    }
}

fn text_part(from: &From) -> Option<Part> {
    match from {
        From::Text { part, .. } => Some(*part),
        From::Columns(_) | From::Array(..) | From::Picture | From::Folder { .. } | From::Numbers { .. } => {
            None
        }
    }
}

/// Which of the facts a part is.
fn cell(part: Part) -> usize {
    match part {
        Part::Whole | Part::Line => 0,
        Part::Cell(cell) => cell,
    }
}

pub(super) fn tokens_of(from: &From) -> Option<&Tokenized> {
    match from {
        From::Text { tokens, .. } => tokens.as_ref(),
        From::Columns(_) | From::Array(..) | From::Picture | From::Folder { .. } | From::Numbers { .. } => {
            None
        }
    }
}

/// The vocabulary of data that have one alone.
fn only_vocabulary(draft: &Draft) -> Option<&Tokenized> {
    let mut all = draft.fields.iter().filter_map(|field| tokens_of(&field.from));
    let first = all.next()?;
    all.all(|other| other.vocabulary == first.vocabulary).then_some(first)
}
