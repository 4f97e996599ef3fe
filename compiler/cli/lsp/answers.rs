//! What the server can do, and the answer to each request: from the protocol's parameters to a question of `ide`, and
//! back.

use lsp_types::{
    CodeActionParams, CompletionItemKind, CompletionParams, DocumentFormattingParams,
    DocumentRangeFormattingParams, DocumentSymbolParams, FoldingRangeParams, GotoDefinitionParams,
    HoverParams, InitializeParams, InlayHintParams, Location, Position, Range, ReferenceParams, RenameParams,
    SemanticTokensParams, SemanticTokensRangeParams, SignatureHelpParams, SymbolKind as Icon,
    TextDocumentIdentifier, TextDocumentPositionParams, TextEdit,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

use strata::ide::colours::{Colour, colours};
use strata::ide::complete::{Completion, complete};
use strata::ide::names::SymbolKind;
use strata::ide::outline::{Entry, outline};
use strata::ide::{self, Study};
use strata_grammar::{FileId, Source, Span};

use super::clerk::{Errand, Refusal};
use super::convert::{Encoding, path_of};
use super::diagnostics::{address, translate};
use super::links;

/// What the client can do, as far as it matters.
#[derive(Clone, Debug)]
pub struct Client {
    /// How it counts columns.
    pub encoding: Encoding,
    /// Whether edits may say which version of a text they are for.
    pub versioned_edits: bool,
    /// The folders that are open in it.
    pub folders: Vec<PathBuf>,
}

impl Client {
    /// What it said of itself.
    pub fn of(params: &InitializeParams) -> Client {
        let capabilities = &params.capabilities;
        let offered = capabilities.general.as_ref().and_then(|general| general.position_encodings.as_deref());
        let edits = capabilities.workspace.as_ref().and_then(|workspace| workspace.workspace_edit.as_ref());
        let mut folders: Vec<PathBuf> =
            params.workspace_folders.iter().flatten().filter_map(|folder| path_of(&folder.uri)).collect();
        #[expect(deprecated, reason = "older clients say only this")]
        if folders.is_empty() {
            folders.extend(params.root_uri.as_ref().and_then(path_of));
        }
        Client {
            encoding: Encoding::among(offered),
            versioned_edits: edits.and_then(|edits| edits.document_changes).unwrap_or(false),
            folders,
        }
    }
}

/// Every request that is answered.
pub const METHODS: [&str; 17] = [
    "textDocument/hover",
    "textDocument/definition",
    "textDocument/references",
    "textDocument/documentHighlight",
    "textDocument/prepareRename",
    "textDocument/rename",
    "textDocument/completion",
    "textDocument/signatureHelp",
    "textDocument/inlayHint",
    "textDocument/documentSymbol",
    "textDocument/foldingRange",
    "textDocument/semanticTokens/full",
    "textDocument/semanticTokens/range",
    "textDocument/formatting",
    "textDocument/rangeFormatting",
    "textDocument/codeAction",
    "workspace/symbol",
];

/// Requests that are answered from the text as it stands, however far the analysis is.
pub const NEED_TEXT_ALONE: [&str; 3] =
    ["textDocument/foldingRange", "textDocument/formatting", "textDocument/rangeFormatting"];

/// Requests whose answer would spoil a text that has changed since.
pub const MAKE_EDITS: [&str; 2] = ["textDocument/rename", "textDocument/codeAction"];

/// The kinds of tokens, in the order of their numbers.
const TOKENS: [&str; 14] = [
    "comment",
    "string",
    "number",
    "operator",
    "keyword",
    "class",
    "function",
    "parameter",
    "variable",
    "namespace",
    "property",
    "type",
    "enumMember",
    "macro",
];

/// What a token may be besides, in the order of their bits.
const MODIFIERS: [&str; 2] = ["declaration", "defaultLibrary"];

/// What the server says of itself.
pub fn greeting(client: &Client) -> Value {
    json!({
        "capabilities": {
            "positionEncoding": client.encoding.kind(),
            "textDocumentSync": { "openClose": true, "change": 2, "save": { "includeText": false } },
            "hoverProvider": true,
            "definitionProvider": true,
            "referencesProvider": true,
            "documentHighlightProvider": true,
            "renameProvider": { "prepareProvider": true },
            "completionProvider": { "triggerCharacters": [">", "(", ",", "[", "\"", ":"] },
            "signatureHelpProvider": { "triggerCharacters": ["(", ","] },
            "inlayHintProvider": true,
            "documentSymbolProvider": true,
            "workspaceSymbolProvider": true,
            "foldingRangeProvider": true,
            "semanticTokensProvider": {
                "legend": { "tokenTypes": TOKENS, "tokenModifiers": MODIFIERS },
                "full": true,
                "range": true,
            },
            "documentFormattingProvider": true,
            "documentRangeFormattingProvider": true,
            "codeActionProvider": { "codeActionKinds": ["quickfix"] },
        },
        "serverInfo": { "name": "strata", "version": env!("CARGO_PKG_VERSION") },
    })
}

/// Where one request is answered.
pub struct Counter<'c> {
    /// Who asks.
    pub client: &'c Client,
    /// What is asked.
    pub errand: &'c Errand,
}

/// A file that is asked about.
pub struct Asked {
    /// The study that it is part of.
    pub study: Arc<Study>,
    /// Which file of it.
    pub file: FileId,
}

impl Asked {
    fn source(&self) -> &Source {
        self.study.source(self.file)
    }
}

type Answer = Result<Value, Refusal>;

impl Counter<'_> {
    /// The answer.
    ///
    /// # Errors
    /// Parameters that make no sense, and what cannot be done.
    pub fn answer(&self) -> Answer {
        match self.errand.request.method.as_str() {
            "textDocument/hover" => self.hover(),
            "textDocument/definition" => self.definition(),
            "textDocument/references" => self.references(),
            "textDocument/documentHighlight" => self.highlights(),
            "textDocument/prepareRename" => self.prepare_rename(),
            "textDocument/rename" => self.rename(),
            "textDocument/completion" => self.completion(),
            "textDocument/signatureHelp" => self.signature_help(),
            "textDocument/inlayHint" => self.inlay_hints(),
            "textDocument/documentSymbol" => self.symbols(),
            "workspace/symbol" => self.workspace_symbols(),
            "textDocument/foldingRange" => self.folding(),
            "textDocument/semanticTokens/full" => {
                let params: SemanticTokensParams = self.params()?;
                self.tokens(&params.text_document, None)
            }
            "textDocument/semanticTokens/range" => {
                let params: SemanticTokensRangeParams = self.params()?;
                self.tokens(&params.text_document, Some(params.range))
            }
            "textDocument/formatting" => {
                let params: DocumentFormattingParams = self.params()?;
                self.format(&params.text_document, None)
            }
            "textDocument/rangeFormatting" => {
                let params: DocumentRangeFormattingParams = self.params()?;
                self.format(&params.text_document, Some(params.range))
            }
            "textDocument/codeAction" => self.actions(),
            method => Err(Refusal::Malformed(format!("no such request: {method}"))),
        }
    }

    /// The parameters.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let request = &self.errand.request;
        serde_json::from_value(request.params.clone()).map_err(|error| {
            Refusal::Malformed(format!("malformed parameters of {}: {error}", request.method))
        })
    }

    /// How columns are counted.
    pub fn encoding(&self) -> Encoding {
        self.client.encoding
    }

    /// The file that is asked about; nothing where it is not open, or could not be analysed.
    pub fn asked(&self, document: &TextDocumentIdentifier) -> Option<Asked> {
        let (study, file) = self.errand.snapshot.as_ref()?.place(&path_of(&document.uri)?)?;
        Some(Asked { study, file })
    }

    /// The same with the byte that is asked about.
    pub fn asked_at(&self, at: &TextDocumentPositionParams) -> Option<(Asked, usize)> {
        let asked = self.asked(&at.text_document)?;
        let offset = self.encoding().offset(asked.source(), at.position);
        Some((asked, offset))
    }

    fn hover(&self) -> Answer {
        let params: HoverParams = self.params()?;
        let Some((asked, offset)) = self.asked_at(&params.text_document_position_params) else {
            return Ok(Value::Null);
        };
        let found = ide::hover(&asked.study, asked.file, offset);
        Ok(found.map_or(Value::Null, |found| {
            json!({
                "contents": { "kind": "markdown", "value": found.markdown },
                "range": self.encoding().range(asked.source(), found.span),
            })
        }))
    }

    fn definition(&self) -> Answer {
        let params: GotoDefinitionParams = self.params()?;
        let Some((asked, offset)) = self.asked_at(&params.text_document_position_params) else {
            return Ok(Value::Null);
        };
        let found = ide::rename::definition(&asked.study, asked.file, offset);
        let location = found.and_then(|span| self.location(&asked.study, span));
        Ok(location.map_or(Value::Null, |location| json!(location)))
    }

    /// A place that the editor can open.
    pub fn location(&self, study: &Study, span: Span) -> Option<Location> {
        let uri = address(study, span.file)?;
        Some(Location::new(uri, self.encoding().range(study.source(span.file), span)))
    }

    fn references(&self) -> Answer {
        let params: ReferenceParams = self.params()?;
        let declaration = params.context.include_declaration;
        Ok(json!(links::references(self, &params.text_document_position, declaration)))
    }

    fn highlights(&self) -> Answer {
        let params: TextDocumentPositionParams = self.params()?;
        let Some((asked, offset)) = self.asked_at(&params) else { return Ok(Value::Null) };
        let places = ide::rename::references(&asked.study, asked.file, offset);
        let here = places.iter().filter(|place| place.span.file == asked.file);
        let found: Vec<Value> = here
            .map(|place| {
                // 3: the name gets a value; 2: it is used.
                let kind = if place.defines { 3 } else { 2 };
                json!({ "range": self.encoding().range(asked.source(), place.span), "kind": kind })
            })
            .collect();
        Ok(json!(found))
    }

    fn prepare_rename(&self) -> Answer {
        let params: TextDocumentPositionParams = self.params()?;
        let Some((asked, offset)) = self.asked_at(&params) else { return Ok(Value::Null) };
        let span = ide::rename::can_rename(&asked.study, asked.file, offset).map_err(Refusal::Cannot)?;
        Ok(json!(self.encoding().range(asked.source(), span)))
    }

    fn rename(&self) -> Answer {
        let params: RenameParams = self.params()?;
        links::rename(self, &params.text_document_position, &params.new_name)
    }

    fn completion(&self) -> Answer {
        let params: CompletionParams = self.params()?;
        let Some((asked, offset)) = self.asked_at(&params.text_document_position) else {
            return Ok(Value::Null);
        };
        let source = asked.source();
        let mut found = complete(&asked.study, asked.file, offset);
        found.extend(links::paths(&asked, offset));
        let item = |found: &Completion| {
            let range = self.encoding().range(source, found.replaces);
            let mut item = json!({
                "label": found.text.trim(),
                "kind": icon_of(found),
                "sortText": format!("{}{}", found.rank, found.text),
                "textEdit": { "range": range, "newText": found.text },
                "filterText": found.text.trim(),
            });
            if let Some(detail) = &found.detail {
                item["detail"] = json!(detail);
            }
            if let Some(doc) = &found.doc {
                item["documentation"] = json!({ "kind": "markdown", "value": doc });
            }
            item
        };
        Ok(json!({ "isIncomplete": false, "items": found.iter().map(item).collect::<Vec<_>>() }))
    }

    fn signature_help(&self) -> Answer {
        let params: SignatureHelpParams = self.params()?;
        let Some((asked, offset)) = self.asked_at(&params.text_document_position_params) else {
            return Ok(Value::Null);
        };
        let Some(help) = ide::signature::help(&asked.study, asked.file, offset) else {
            return Ok(Value::Null);
        };
        let signature = &help.signature;
        let params: Vec<Value> = signature
            .params
            .iter()
            .zip(&signature.wants)
            .map(|((_, range), wants)| {
                // Offsets in a label are UTF-16 units, whatever was agreed for texts.
                let unit = |at: usize| Encoding::Utf16.length(signature.label.get(..at).unwrap_or(""));
                json!({ "label": [unit(range.start), unit(range.end)], "documentation": wants })
            })
            .collect();
        let mut one = json!({ "label": signature.label, "parameters": params });
        if let Some(doc) = &signature.doc {
            one["documentation"] = json!({ "kind": "markdown", "value": doc });
        }
        let mut answer = json!({ "signatures": [one], "activeSignature": 0 });
        // A number that no parameter has shows none.
        answer["activeParameter"] = json!(help.active.unwrap_or(params.len()));
        Ok(answer)
    }

    fn inlay_hints(&self) -> Answer {
        let params: InlayHintParams = self.params()?;
        let Some(asked) = self.asked(&params.text_document) else { return Ok(Value::Null) };
        let source = asked.source();
        let (start, end) = (
            self.encoding().offset(source, params.range.start),
            self.encoding().offset(source, params.range.end),
        );
        let found = ide::inlay::inlays(&asked.study, asked.file, start, end);
        let hint = |inlay: &ide::inlay::Inlay| {
            let at = self.encoding().position(source, inlay.offset as usize);
            json!({ "position": at, "label": inlay.text, "kind": 1, "paddingRight": true })
        };
        Ok(json!(found.iter().map(hint).collect::<Vec<_>>()))
    }

    fn symbols(&self) -> Answer {
        let params: DocumentSymbolParams = self.params()?;
        let Some(asked) = self.asked(&params.text_document) else { return Ok(Value::Null) };
        let found = outline(&asked.study, asked.file);
        Ok(json!(found.iter().map(|entry| self.symbol(asked.source(), entry)).collect::<Vec<_>>()))
    }

    fn symbol(&self, source: &Source, entry: &Entry) -> Value {
        let children: Vec<Value> = entry.children.iter().map(|child| self.symbol(source, child)).collect();
        let mut symbol = json!({
            "name": entry.name,
            "kind": outline_icon(entry.kind),
            "range": self.encoding().range(source, entry.span),
            "selectionRange": self.encoding().range(source, entry.name_span),
            "children": children,
        });
        if let Some(detail) = &entry.detail {
            symbol["detail"] = json!(detail);
        }
        symbol
    }

    /// The blocks of every open file whose names hold the letters that are asked for.
    fn workspace_symbols(&self) -> Answer {
        let params: lsp_types::WorkspaceSymbolParams = self.params()?;
        let Some(snapshot) = &self.errand.snapshot else { return Ok(Value::Null) };
        let query = params.query.to_lowercase();
        let mut found: Vec<Value> = Vec::new();
        for study in snapshot.studies.values() {
            let loaded = &study.analysis.loaded;
            for tree in &loaded.files {
                for entry in outline(study, tree.span.file) {
                    if entry.kind.is_some() && entry.name.to_lowercase().contains(&query) {
                        let Some(location) = self.location(study, entry.name_span) else { continue };
                        let symbol = json!({
                            "name": entry.name, "kind": outline_icon(entry.kind), "location": location,
                        });
                        if !found.contains(&symbol) {
                            found.push(symbol);
                        }
                    }
                }
            }
        }
        Ok(json!(found))
    }

    /// The text of a document as it was when the request came.
    fn text(&self, document: &TextDocumentIdentifier) -> Option<Source> {
        let found = self.errand.documents.get(&path_of(&document.uri)?)?;
        Some(Source::new("", &*found.text))
    }

    fn folding(&self) -> Answer {
        let params: FoldingRangeParams = self.params()?;
        let Some(source) = self.text(&params.text_document) else { return Ok(Value::Null) };
        let folds = ide::fold::folds(&source.text);
        let fold = |fold: &ide::fold::Fold| {
            let mut range = json!({ "startLine": fold.first, "endLine": fold.last });
            if fold.comment {
                range["kind"] = json!("comment");
            }
            range
        };
        Ok(json!(folds.iter().map(fold).collect::<Vec<_>>()))
    }

    fn tokens(&self, document: &TextDocumentIdentifier, range: Option<Range>) -> Answer {
        let Some(asked) = self.asked(document) else { return Ok(Value::Null) };
        let source = asked.source();
        let (start, end) = match range {
            Some(range) => {
                (self.encoding().offset(source, range.start), self.encoding().offset(source, range.end))
            }
            None => (0, source.text.len()),
        };
        let mut data: Vec<u32> = Vec::new();
        let mut last = Position::new(0, 0);
        for token in colours(&asked.study, asked.file) {
            if token.end <= start || token.start >= end {
                continue;
            }
            let at = self.encoding().position(source, token.start);
            let same_line = at.line == last.line;
            let column = if same_line { at.character - last.character } else { at.character };
            let length = self.encoding().length(source.text.get(token.start..token.end).unwrap_or(""));
            let besides = u32::from(token.defines) | u32::from(token.library) << 1;
            data.extend([at.line - last.line, column, length, token_number(token.colour), besides]);
            last = at;
        }
        Ok(json!({ "data": data }))
    }

    fn format(&self, document: &TextDocumentIdentifier, range: Option<Range>) -> Answer {
        let Some(source) = self.text(document) else { return Ok(Value::Null) };
        let lines = range.map(|range| {
            // A range that ends at a line's beginning does not take that line in.
            let partly = u32::from(range.end.character > 0 || range.end == range.start);
            range.start.line as usize..(range.end.line + partly) as usize
        });
        let Some(edits) = ide::format::line_edits(&source.text, lines) else {
            return Ok(Value::Null);
        };
        // Past the last line a position is the end of the text.
        let end = self.encoding().position(&source, source.text.len());
        let line = |line: usize| if line < source.line_count() { Position::new(line as u32, 0) } else { end };
        let edit = |edit: &ide::format::LineEdit| {
            TextEdit::new(Range::new(line(edit.lines.start), line(edit.lines.end)), edit.text.clone())
        };
        Ok(json!(edits.iter().map(edit).collect::<Vec<_>>()))
    }

    fn actions(&self) -> Answer {
        let params: CodeActionParams = self.params()?;
        let Some(asked) = self.asked(&params.text_document) else { return Ok(Value::Null) };
        let wanted = params.context.only.as_ref();
        if wanted.is_some_and(|kinds| !kinds.iter().any(|kind| "quickfix".starts_with(kind.as_str()))) {
            return Ok(json!([]));
        }
        let source = asked.source();
        let (start, end) = (
            self.encoding().offset(source, params.range.start),
            self.encoding().offset(source, params.range.end),
        );
        let mut found = Vec::new();
        for fix in ide::fix::fixes(&asked.study, asked.file, start, end) {
            let Some(edit) = links::workspace_edit(self, &[(&asked.study, &fix.edits)]) else { continue };
            found.push(json!({
                "title": fix.title,
                "kind": "quickfix",
                "isPreferred": true,
                "diagnostics": [translate(fix.diagnostic, &asked.study, self.encoding())],
                "edit": edit,
            }));
        }
        Ok(json!(found))
    }
}

/// The number of a token's kind in [`TOKENS`].
fn token_number(colour: Colour) -> u32 {
    let name = match colour {
        Colour::Comment => "comment",
        Colour::Text => "string",
        Colour::Number => "number",
        Colour::Operator => "operator",
        Colour::Keyword => "keyword",
        Colour::Name(kind) => match kind {
            SymbolKind::Model | SymbolKind::Cluster => "class",
            SymbolKind::Layer | SymbolKind::Function => "function",
            SymbolKind::Parameter => "parameter",
            SymbolKind::Input | SymbolKind::Variable | SymbolKind::Value | SymbolKind::Turn => "variable",
            SymbolKind::Part | SymbolKind::Data => "namespace",
            SymbolKind::Axis | SymbolKind::Field => "property",
            SymbolKind::Type => "type",
            SymbolKind::Device | SymbolKind::Word => "enumMember",
            SymbolKind::Stage => "macro",
        },
    };
    TOKENS.iter().position(|token| *token == name).unwrap_or(0) as u32
}

fn icon_of(completion: &Completion) -> CompletionItemKind {
    match completion.kind {
        None => CompletionItemKind::KEYWORD,
        Some(SymbolKind::Model | SymbolKind::Cluster) => CompletionItemKind::CLASS,
        Some(SymbolKind::Layer | SymbolKind::Function | SymbolKind::Stage) => CompletionItemKind::FUNCTION,
        Some(SymbolKind::Parameter | SymbolKind::Axis) => CompletionItemKind::PROPERTY,
        Some(SymbolKind::Field) => CompletionItemKind::FIELD,
        Some(SymbolKind::Input | SymbolKind::Variable | SymbolKind::Value | SymbolKind::Turn) => {
            CompletionItemKind::VARIABLE
        }
        Some(SymbolKind::Part | SymbolKind::Data) => CompletionItemKind::MODULE,
        Some(SymbolKind::Device | SymbolKind::Word) => CompletionItemKind::ENUM_MEMBER,
        Some(SymbolKind::Type) => CompletionItemKind::TYPE_PARAMETER,
    }
}

fn outline_icon(kind: Option<SymbolKind>) -> Icon {
    match kind {
        None => Icon::EVENT,
        Some(SymbolKind::Model | SymbolKind::Cluster) => Icon::CLASS,
        Some(SymbolKind::Layer | SymbolKind::Function | SymbolKind::Stage) => Icon::FUNCTION,
        Some(SymbolKind::Parameter | SymbolKind::Axis | SymbolKind::Type) => Icon::PROPERTY,
        Some(SymbolKind::Field | SymbolKind::Input) => Icon::FIELD,
        Some(SymbolKind::Variable | SymbolKind::Value | SymbolKind::Turn) => Icon::VARIABLE,
        Some(SymbolKind::Part) => Icon::NAMESPACE,
        Some(SymbolKind::Data) => Icon::ARRAY,
        Some(SymbolKind::Device | SymbolKind::Word) => Icon::OBJECT,
    }
}
