//! Our diagnostics in the protocol's words.

use lsp_types::{DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location, NumberOrString};
use strata::ide::Study;
use strata_grammar::{Code, Diagnostic, FileId, Severity};

use super::analyst::on_disk;
use super::convert::{Encoding, uri_of};
use super::shelf;

/// A diagnostic with its labels and its help.
pub fn translate(diagnostic: &Diagnostic, study: &Study, encoding: Encoding) -> lsp_types::Diagnostic {
    let Diagnostic { code, severity, message, primary, labels, help, edits: _ } = diagnostic;
    let mut text = message.clone();
    if !primary.text.is_empty() {
        text += &format!("\n{}", primary.text);
    }
    if let Some(help) = help {
        text += &format!("\nhelp: {help}");
    }
    let related = labels.iter().filter_map(|label| {
        let source = study.source(label.span.file);
        let uri = address(study, label.span.file)?;
        let location = Location::new(uri, encoding.range(source, label.span));
        Some(DiagnosticRelatedInformation { location, message: label.text.clone() })
    });
    lsp_types::Diagnostic {
        range: encoding.range(study.source(primary.span.file), primary.span),
        severity: Some(match severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
            Severity::Note => DiagnosticSeverity::INFORMATION,
        }),
        code: Some(NumberOrString::String(code.name().into())),
        code_description: None,
        source: Some("strata".into()),
        message: text,
        related_information: Some(related.collect()),
        tags: (*code == Code::UnusedName).then(|| vec![DiagnosticTag::UNNECESSARY]),
        data: None,
    }
}

/// The address of a file of a study: the user's own, or the library's copy.
pub fn address(study: &Study, file: FileId) -> Option<lsp_types::Uri> {
    let library = (file.0 as usize) < study.analysis.loaded.library.len();
    let path = if library { shelf::path_of(file) } else { on_disk(&study.source(file).name) };
    uri_of(&path?)
}
