//! What is wrong, where, and what to do about it: one plain struct, built where the problem is seen.

use std::fmt;
use std::sync::Arc;

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::source::{Source, Sources, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing can be run.
    Error,
    /// It runs, but hardly as meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// A further place that matters, with what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said of it.
    pub text: String,
}

/// A replacement that mends the mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub text: String,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Which page explains it.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One line, lower case, no full stop, understandable alone.
    pub message: String,
    /// The smallest text the user would change, with a few words on it.
    pub primary: Label,
    /// Where conflicting facts were stated.
    pub labels: Vec<Label>,
    /// The edit to make, in the user's names.
    pub help: Option<String>,
    /// The same edit as text, where it is exact.
    pub edits: Vec<Edit>,
}

impl Diagnostic {
    /// An error at `span`; its label repeats nothing.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        let primary = Label { span, text: String::new() };
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary,
            labels: Vec::new(),
            help: None,
            edits: Vec::new(),
        }
    }

    /// The same as a warning.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// The same as a note.
    pub fn note(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Note, ..Diagnostic::error(code, span, message) }
    }

    /// Says a few words at the primary place.
    pub fn here(mut self, text: impl Into<String>) -> Diagnostic {
        self.primary.text = text.into();
        self
    }

    /// Adds a further place.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    /// Adds a replacement that does what the help says.
    pub fn edit(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.edits.push(Edit { span, text: text.into() });
        self
    }
}

impl Severity {
    /// As messages begin with it.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A diagnostic with the texts it speaks of: what miette's renderers take.
///
/// A renderer shows places of one text. Labels that lie in another than the primary one become related notes.
/// There is no code for miette, which would put it on a line of its own: what renders a report begins its first line
/// with [`Report::head`].
#[derive(Clone, Debug)]
pub struct Report {
    /// What is wrong.
    pub diagnostic: Diagnostic,
    source: Excerpt,
    elsewhere: Vec<Elsewhere>,
}

impl Report {
    /// The diagnostic, whose spans must all lie in `sources`.
    pub fn new(diagnostic: &Diagnostic, sources: &Sources) -> Report {
        let home = diagnostic.primary.span.file;
        let excerpt = |span: Span| Excerpt(sources.get(span.file).clone());
        let foreign = diagnostic.labels.iter().filter(|label| label.span.file != home);
        let elsewhere =
            foreign.map(|label| Elsewhere { label: label.clone(), source: excerpt(label.span) }).collect();
        Report { diagnostic: diagnostic.clone(), source: excerpt(diagnostic.primary.span), elsewhere }
    }

    /// What the first line begins with: `error[code]:`
    pub fn head(&self) -> String {
        format!("{}[{}]:", self.diagnostic.severity.name(), self.diagnostic.code.name())
    }

    /// One line: `file:line:column: error[code]: message`, line and column counted from 1 in characters.
    pub fn short(&self) -> String {
        let Diagnostic { message, primary, .. } = &self.diagnostic;
        let source = &self.source.0;
        let at = source.line_column(primary.span.start as usize);
        let column = source.line(at.line).char_indices().take_while(|(byte, _)| *byte < at.column).count();
        let (line, column) = (at.line + 1, column + 1);
        format!("{}:{line}:{column}: {} {message}", source.name, self.head())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Label { span, text } = &self.diagnostic.primary;
        let text = (!text.is_empty()).then(|| text.clone());
        let primary = LabeledSpan::new_primary_with_span(text, self.source.clip(*span));
        let here = self.diagnostic.labels.iter().filter(move |label| label.span.file == span.file);
        Some(Box::new(std::iter::once(primary).chain(here.map(|label| self.source.label(label)))))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        let notes = self.elsewhere.iter().map(|note| note as &dyn miette::Diagnostic);
        (!self.elsewhere.is_empty()).then(|| Box::new(notes) as Box<dyn Iterator<Item = _>>)
    }
}

/// A label in another text than the primary one.
#[derive(Clone, Debug)]
struct Elsewhere {
    label: Label,
    source: Excerpt,
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label.text)
    }
}

impl std::error::Error for Elsewhere {}

impl miette::Diagnostic for Elsewhere {
    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.source.clip(self.label.span);
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

/// A source as miette reads it: shared, never copied.
#[derive(Clone, Debug)]
struct Excerpt(Arc<Source>);

impl Excerpt {
    /// A span, moved into the text where it reaches beyond it.
    fn clip(&self, span: Span) -> SourceSpan {
        let end = (span.end as usize).min(self.0.text.len());
        let start = (span.start as usize).min(end);
        (start, end - start).into()
    }

    fn label(&self, label: &Label) -> LabeledSpan {
        LabeledSpan::new_with_span(Some(label.text.clone()), self.clip(label.span))
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let read = self.0.text.as_str().read_span(span, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.0.name.clone(),
            read.data(),
            *read.span(),
            read.line(),
            read.column(),
            read.line_count(),
        )))
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// What kind of mistake it is: a word pair with a page in `specs/errors/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of the enum.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The code as shown and asked for.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// The page that explains it.
            pub const fn page(self) -> &'static str {
                match self { $(Code::$variant => include_str!(concat!("../specs/errors/", $name, ".md")),)* }
            }
        }
    };
}

codes! {
    // ---- text ----
    /// A stretch of text is no statement.
    SyntaxError = "syntax-error",
    /// A bracket has no partner.
    UnmatchedBracket = "unmatched-bracket",
    /// Brackets or blocks nested too deep, or an expression too long.
    NestedTooDeep = "nested-too-deep",
    // ---- files ----
    /// A file that `use` names cannot be read.
    MissingFile = "missing-file",
    /// A file that is not UTF-8 text.
    NotUtf8 = "not-utf8",
    /// Files use each other in a circle.
    UseCycle = "use-cycle",
    // ---- names ----
    /// A name that nothing defines.
    UnknownName = "unknown-name",
    /// One name for two things.
    DuplicateName = "duplicate-name",
    /// A member of a family that was not defined.
    MissingMember = "missing-member",
    /// A layer that calls itself.
    RecursiveLayer = "recursive-layer",
    // ---- calls ----
    /// An argument that the callee does not have.
    UnknownArgument = "unknown-argument",
    /// An argument that has no default and was not given.
    MissingArgument = "missing-argument",
    /// Too many arguments, or one given twice.
    ExtraArgument = "extra-argument",
    /// A value of the wrong kind: a tensor where a number belongs, and so on.
    WrongKind = "wrong-kind",
    /// A value of the right kind that cannot be: a rate below 0, a kernel of 0.
    BadValue = "bad-value",
    /// Something that is not called like this.
    NotCallable = "not-callable",
    // ---- types ----
    /// Sizes that must be equal are not.
    ShapeMismatch = "shape-mismatch",
    /// A tensor has too many or too few axes.
    WrongRank = "wrong-rank",
    /// Axes of one size with two names.
    AxisMismatch = "axis-mismatch",
    /// An axis that the tensor does not have.
    UnknownAxis = "unknown-axis",
    /// Elements of the wrong type.
    DtypeMismatch = "dtype-mismatch",
    /// A size that is negative, not whole, or beyond what any machine holds.
    BadSize = "bad-size",
    /// A free axis that nothing binds.
    UnboundAxis = "unbound-axis",
    /// A loop that is too long to unroll.
    TooManySteps = "too-many-steps",
    // ---- models ----
    /// A statement that does not belong in this block.
    MisplacedStatement = "misplaced-statement",
    /// A model that lacks what its use asks for: a loss, an input.
    IncompleteModel = "incomplete-model",
    /// A `generate` that cannot make its sequence.
    Decoder = "decoder",
    /// A block that lacks a line it needs.
    MissingSetting = "missing-setting",
    /// A setting that was given twice.
    DuplicateSetting = "duplicate-setting",
    /// A value that nothing uses.
    UnusedName = "unused-name",
    // ---- data ----
    /// A data column that does not exist, or the wrong one.
    UnknownColumn = "unknown-column",
    /// The data do not fit the model's input.
    DataMismatch = "data-mismatch",
    /// Labels outside the classes that the model tells apart.
    LabelRange = "label-range",
    /// A file of weights that is not the model's.
    WeightsMismatch = "weights-mismatch",
    /// A data file that cannot be read.
    BadData = "bad-data",
    // ---- runs ----
    /// A step gave numbers that are not finite.
    NotFinite = "not-finite",
    /// A position outside the axis that it counts.
    IndexRange = "index-range",
    // ---- devices ----
    /// A device that was not declared.
    UnknownDevice = "unknown-device",
    /// A part that was placed twice.
    PlacedTwice = "placed-twice",
    /// A split that an axis does not allow.
    BadSplit = "bad-split",
    /// A device that nothing runs on.
    UnusedDevice = "unused-device",
    /// A device that has less memory than what runs on it needs.
    DeviceMemory = "device-memory",
    /// A device that failed, or was waited for too long.
    DeviceFailed = "device-failed",
    // ---- versions ----
    /// Right, but more than this version can do.
    NotYet = "not-yet",
}

#[cfg(test)]
mod tests {
    use miette::Diagnostic as _;

    use super::{Code, Diagnostic, Report};
    use crate::source::{Source, Sources, Span};

    #[test]
    fn a_report_keeps_labels_of_other_files_as_notes() {
        let mut sources = Sources::default();
        let home = sources.add(Source::new("a.model", "größe = 3\nü = größe + x\n"));
        let other = sources.add(Source::new("b.model", "x = 4\n"));
        let text = &sources.get(home).text;
        let at = text.find('x').expect("it is there");
        let found = Diagnostic::error(Code::ShapeMismatch, Span::new(home, at, at + 1), "they differ")
            .label(Span::new(home, 0, 7), "here")
            .label(Span::new(other, 0, 1), "and there");
        let report = Report::new(&found, &sources);
        assert_eq!(report.short(), "a.model:2:13: error[shape-mismatch]: they differ");
        assert_eq!(report.labels().map(Iterator::count), Some(2));
        let notes: Vec<String> = report.related().into_iter().flatten().map(ToString::to_string).collect();
        assert_eq!(notes, ["and there"]);
        let source = report.source_code().expect("a report has its text");
        let read = source.read_span(&(at, 1).into(), 0, 0).expect("the place is in the text");
        assert_eq!((read.name(), read.line(), read.data()), (Some("a.model"), 1, "x".as_bytes()));
    }
}
