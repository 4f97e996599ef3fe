//! `strata lsp`: the language server. The only file that knows the protocol or its JSON.
//!
//! Whole documents are analysed again on every change; a burst of changes is taken in first, then analysed once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Notification as _, PublishDiagnostics,
};
use lsp_types::request::{Formatting, HoverRequest, Request as _};
use lsp_types::{
    CodeDescription, DiagnosticRelatedInformation, DiagnosticSeverity, DidChangeTextDocumentParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DocumentFormattingParams, Hover, HoverContents,
    HoverParams, HoverProviderCapability, Location, MarkupContent, MarkupKind, NumberOrString, OneOf,
    Position, PublishDiagnosticsParams, Range, ServerCapabilities, TextDocumentContentChangeEvent,
    TextDocumentSyncCapability, TextDocumentSyncKind, TextEdit, Uri,
};
use serde_json::Value;
use strata::Analysis;
use strata::ide;
use strata::load::Loaded;
use strata_grammar::{Diagnostic, LineColumn, Severity, Source, Span};

use crate::facts::Facts;
use crate::front;
use crate::messages::{Failure, say};

/// Serve an editor over standard input and output (the language server protocol)
#[derive(clap::Args)]
#[command(after_help = "Point your editor's client for `.model` files at the command `strata lsp`.")]
pub struct Args {}

/// Serves until the client says goodbye.
pub fn run() -> Result<(), Failure> {
    let (connection, threads) = Connection::stdio();
    serve(&connection).map_err(Failure::Message)?;
    drop(connection); // or the writing thread would wait for more to write
    threads.join().map_err(Failure::from)
}

fn serve(connection: &Connection) -> Result<(), String> {
    let capabilities = ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::INCREMENTAL)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        ..ServerCapabilities::default()
    };
    let capabilities = serde_json::to_value(capabilities).map_err(|e| e.to_string())?;
    connection.initialize(capabilities).map_err(|e| e.to_string())?;
    let mut desk = Desk::default();
    while let Ok(message) = connection.receiver.recv() {
        match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request).map_err(|e| e.to_string())? {
                    return Ok(());
                }
                desk.refresh();
                send(connection, Message::Response(desk.answer(request)))?;
            }
            Message::Notification(notification) => desk.notice(notification),
            Message::Response(_) => {} // we ask the client nothing
        }
        if desk.stale && connection.receiver.is_empty() {
            desk.refresh();
        }
        for note in desk.outbox.drain(..) {
            send(connection, Message::Notification(note))?;
        }
    }
    Ok(())
}

fn send(connection: &Connection, message: Message) -> Result<(), String> {
    connection.sender.send(message).map_err(|_| "the client has gone".to_string())
}

/// What lies open in the editor, and what was said about it.
#[derive(Default)]
struct Desk {
    open: BTreeMap<PathBuf, Open>,
    /// Whether something changed since the last analysis.
    stale: bool,
    /// Files that were last said to have mistakes.
    marked: BTreeSet<PathBuf>,
    outbox: Vec<Notification>,
    /// What is known of data files, so that typing does not read them again and again.
    facts: Facts,
}

struct Open {
    text: String,
    analysis: Option<Analysis>,
}

impl Desk {
    fn notice(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        match method.as_str() {
            DidOpenTextDocument::METHOD => {
                let Some(params) = read::<DidOpenTextDocumentParams>(params) else { return };
                let document = params.text_document;
                if let Some(path) = path_of(&document.uri) {
                    self.open.insert(path, Open { text: document.text, analysis: None });
                    self.stale = true;
                }
            }
            DidChangeTextDocument::METHOD => {
                let Some(params) = read::<DidChangeTextDocumentParams>(params) else { return };
                let path = path_of(&params.text_document.uri);
                if let Some(open) = path.and_then(|path| self.open.get_mut(&path)) {
                    params.content_changes.into_iter().for_each(|change| apply(&mut open.text, change));
                    self.stale = true;
                }
            }
            DidCloseTextDocument::METHOD => {
                let Some(params) = read::<DidCloseTextDocumentParams>(params) else { return };
                if let Some(path) = path_of(&params.text_document.uri) {
                    self.open.remove(&path);
                    self.stale = true;
                }
            }
            _ => {} // the protocol lets a server pass over notifications it does not know
        }
    }

    fn answer(&self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let result = match method.as_str() {
            HoverRequest::METHOD => read(params).map(|params| self.hover(&params)),
            Formatting::METHOD => read(params).map(|params| self.format(&params)),
            _ => {
                let text = format!("no such request: {method}");
                return Response::new_err(id, ErrorCode::MethodNotFound as i32, text);
            }
        };
        match result {
            Some(value) => Response::new_ok(id, value),
            None => {
                let text = format!("malformed parameters of {method}");
                Response::new_err(id, ErrorCode::InvalidParams as i32, text)
            }
        }
    }

    /// Analyses everything that is open, and says what is wrong where that has changed.
    fn refresh(&mut self) {
        if !self.stale {
            return;
        }
        self.stale = false;
        let texts: BTreeMap<PathBuf, String> =
            self.open.iter().map(|(path, open)| (path.clone(), open.text.clone())).collect();
        let mut said: BTreeMap<PathBuf, Vec<lsp_types::Diagnostic>> = BTreeMap::new();
        for (path, open) in &mut self.open {
            said.entry(path.clone()).or_default();
            let Some(analysis) = analyse(path, &texts, &mut self.facts) else { continue };
            for diagnostic in &analysis.diagnostics {
                let source = analysis.loaded.sources.get(diagnostic.primary.span.file);
                let Some(place) = on_disk(source) else { continue };
                let list = said.entry(place).or_default();
                let message = translate(diagnostic, &analysis);
                if !list.contains(&message) {
                    list.push(message);
                }
            }
            open.analysis = Some(analysis);
        }
        for path in std::mem::take(&mut self.marked) {
            said.entry(path).or_default();
        }
        for (path, diagnostics) in said {
            let Some(uri) = uri_of(&path) else { continue };
            if !diagnostics.is_empty() || self.open.contains_key(&path) {
                self.marked.insert(path);
            }
            let params = PublishDiagnosticsParams { uri, diagnostics, version: None };
            self.outbox.push(Notification::new(PublishDiagnostics::METHOD.into(), params));
        }
    }

    fn hover(&self, params: &HoverParams) -> Value {
        let at = &params.text_document_position_params;
        let hover = path_of(&at.text_document.uri).and_then(|path| {
            let analysis = self.open.get(&path)?.analysis.as_ref()?;
            let source = analysis.loaded.sources.get(analysis.loaded.root());
            let found = ide::hover(analysis, source.offset_utf16(line_column(at.position)))?;
            let contents = MarkupContent { kind: MarkupKind::Markdown, value: found.markdown };
            Some(Hover {
                contents: HoverContents::Markup(contents),
                range: Some(range_of(source, found.span)),
            })
        });
        serde_json::to_value(hover).unwrap_or(Value::Null)
    }

    /// One edit that replaces the whole text, none where nothing changes or the text is broken.
    fn format(&self, params: &DocumentFormattingParams) -> Value {
        let edits = path_of(&params.text_document.uri).and_then(|path| {
            let open = self.open.get(&path)?;
            let new_text = ide::formatted(&open.text).filter(|new| *new != open.text)?;
            let source = Source::new("", open.text.as_str());
            let whole = Range::new(Position::new(0, 0), position(&source, open.text.len()));
            Some(vec![TextEdit::new(whole, new_text)])
        });
        serde_json::to_value(edits).unwrap_or(Value::Null)
    }
}

/// Analyses a file, with the texts in the editor before those on disk. A panic would be a mistake of ours; it must
/// not take the editor's server down with it.
fn analyse(path: &Path, texts: &BTreeMap<PathBuf, String>, facts: &mut Facts) -> Option<Analysis> {
    let mut read = |path: &str| match texts.get(Path::new(path)) {
        Some(text) => Ok(text.clone().into_bytes()),
        None => front::read(path),
    };
    let settings = front::settings(&[], &[]);
    let mut facts = |loaded: &Loaded| facts.of(loaded, &settings);
    let work = || strata::analyse(&path.to_string_lossy(), &mut read, &mut facts, &settings);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    done.inspect_err(|_| say(&format!("{}: could not be analysed", path.display()))).ok()
}

fn read<T: serde::de::DeserializeOwned>(params: Value) -> Option<T> {
    serde_json::from_value(params).ok()
}

/// Replaces a range, or everything where no range is given.
fn apply(text: &mut String, change: TextDocumentContentChangeEvent) {
    let Some(range) = change.range else {
        *text = change.text;
        return;
    };
    let source = Source::new("", text.as_str());
    let start = source.offset_utf16(line_column(range.start));
    let end = source.offset_utf16(line_column(range.end)).max(start);
    text.replace_range(start..end, &change.text);
}

fn translate(diagnostic: &Diagnostic, analysis: &Analysis) -> lsp_types::Diagnostic {
    let Diagnostic { code, severity, message, primary, labels, help, edits: _ } = diagnostic;
    let source = analysis.loaded.sources.get(primary.span.file);
    let mut text = message.clone();
    if !primary.text.is_empty() {
        text += &format!("\n{}", primary.text);
    }
    if let Some(help) = help {
        text += &format!("\nhelp: {help}");
    }
    let related = labels.iter().filter_map(|label| {
        let source = analysis.loaded.sources.get(label.span.file);
        let location = Location::new(uri_of(&on_disk(source)?)?, range_of(source, label.span));
        Some(DiagnosticRelatedInformation { location, message: label.text.clone() })
    });
    lsp_types::Diagnostic {
        range: range_of(source, primary.span),
        severity: Some(match severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
            Severity::Note => DiagnosticSeverity::INFORMATION,
        }),
        code: Some(NumberOrString::String(code.name().into())),
        code_description: None::<CodeDescription>,
        source: Some("strata".into()),
        message: text,
        related_information: Some(related.collect()),
        tags: None,
        data: None,
    }
}

/// Where a source lies; nothing for the standard library, which is part of the program.
fn on_disk(source: &Source) -> Option<PathBuf> {
    let path = Path::new(&source.name);
    path.is_absolute().then(|| path.to_path_buf())
}

fn line_column(at: Position) -> LineColumn {
    LineColumn { line: at.line as usize, column: at.character as usize }
}

fn position(source: &Source, offset: usize) -> Position {
    let LineColumn { line, column } = source.line_column_utf16(offset);
    Position::new(line as u32, column as u32)
}

fn range_of(source: &Source, span: Span) -> Range {
    Range::new(position(source, span.start as usize), position(source, span.end as usize))
}

/// The file that a `file:` address names.
fn path_of(uri: &Uri) -> Option<PathBuf> {
    let path = uri.as_str().strip_prefix("file://")?;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: u8| char::from(b).to_digit(16);
        bytes.push((digit(rest.next()?)? * 16 + digit(rest.next()?)?) as u8);
    }
    let path = String::from_utf8(bytes).ok()?;
    // On Windows an address reads `/c:/…`.
    let drive = path.strip_prefix('/').filter(|p| cfg!(windows) && p.as_bytes().get(1) == Some(&b':'));
    Some(PathBuf::from(drive.unwrap_or(&path)))
}

/// The address of an absolute path.
fn uri_of(path: &Path) -> Option<Uri> {
    let path = path.to_str()?.replace('\\', "/");
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "file:///" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    Uri::from_str(&uri).ok()
}
