//! `strata lsp`: the language server. The only folder that knows the protocol or its JSON.
//!
//! Three threads: this one takes messages and never waits for work; the analyst makes sense of the newest texts; the
//! clerk answers requests from what the analyst found. A request is answered from its own text or a newer one, in
//! place of which the client may cancel it at any time. Every request gets one answer.

mod analyst;
mod answers;
mod clerk;
mod convert;
mod diagnostics;
mod links;
mod shelf;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    Cancel, DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument,
    DidSaveTextDocument, Exit, Notification as _, PublishDiagnostics,
};
use lsp_types::request::{Request as _, Shutdown};
use lsp_types::{
    CancelParams, DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    InitializeParams, NumberOrString, PublishDiagnosticsParams, TextDocumentContentChangeEvent,
};
use serde_json::Value;
use strata_grammar::Source;

use crate::messages::{Failure, say};
use analyst::{Document, Documents, Job, Snapshot, Touched, Tray};
use clerk::Errand;
use convert::{Encoding, path_of};

/// Serve an editor over standard input and output (the language server protocol)
#[derive(clap::Args)]
#[command(after_help = "Point your editor's client for `.model` files at the command `strata lsp`.")]
pub struct Args {}

/// What the main thread hears of.
#[derive(Debug)]
pub enum Event {
    /// The client said something.
    Message(Message),
    /// The client has gone.
    Gone,
    /// Texts were analysed; what is to be said of them.
    Analysed(Arc<Snapshot>, Vec<PublishDiagnosticsParams>),
    /// A request was worked on.
    Answered(Response),
}

/// Deep trees are walked by recursion; their depth is limited, and so is what each level needs.
const STACK: usize = 64 << 20;

/// Serves until the client says goodbye.
pub fn run() -> Result<(), Failure> {
    let (connection, threads) = Connection::stdio();
    let good = serve(connection).map_err(Failure::Message)?;
    if !good {
        // Its reading thread may wait for a client that will not speak again.
        return Err(Failure::Message("the client left without `shutdown`".into()));
    }
    threads.join().map_err(Failure::from)
}

/// Whether the client said goodbye as it should.
fn serve(connection: Connection) -> Result<bool, String> {
    let (id, params) = connection.initialize_start().map_err(|e| e.to_string())?;
    let params: InitializeParams = serde_json::from_value(params).unwrap_or_default();
    let client = answers::Client::of(&params);
    let encoding = client.encoding;
    connection.initialize_finish(id, answers::greeting(&client)).map_err(|e| e.to_string())?;
    let Connection { sender, receiver } = connection;
    let (events, inbox) = channel();
    let tray = Arc::new(Tray::default());
    let (errands, work) = channel::<Errand>();

    let heard = events.clone();
    std::thread::spawn(move || {
        while let Ok(message) = receiver.recv() {
            if heard.send(Event::Message(message)).is_err() {
                return;
            }
        }
        let _ = heard.send(Event::Gone);
    });
    let (lectern, found) = (tray.clone(), events.clone());
    let analyst = thread("analyst", move || analyst::work(&lectern, &found, encoding))?;
    let clerk = thread("clerk", move || clerk::work(&work, &events, &client))?;

    let mut desk = Desk {
        documents: Documents::new(),
        revision: 0,
        snapshot: None,
        waiting: Vec::new(),
        live: HashMap::new(),
        ended: false,
        encoding,
        tray: tray.clone(),
        errands: Some(errands),
    };
    let good =
        desk.serve(&inbox, &|message| sender.send(message).map_err(|_| "the client has gone".to_string()));
    tray.close();
    desk.errands = None;
    drop(inbox);
    // The clerk may be at something long; the process does not wait for it.
    if clerk.is_finished() {
        let _ = clerk.join();
    }
    if analyst.is_finished() {
        let _ = analyst.join();
    }
    good
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>, String> {
    let builder = std::thread::Builder::new().name(name.into()).stack_size(STACK);
    builder.spawn(work).map_err(|error| format!("cannot start a thread: {error}"))
}

/// What lies open in the editor, and what was asked about it.
struct Desk {
    documents: Documents,
    /// Counts the changes of any text.
    revision: u64,
    /// What came of the newest texts that were analysed.
    snapshot: Option<Arc<Snapshot>>,
    /// Requests whose text is not analysed yet.
    waiting: Vec<Waiting>,
    /// Requests without an answer, and what they ask.
    live: HashMap<RequestId, String>,
    /// Whether the client has said `shutdown`.
    ended: bool,
    encoding: Encoding,
    tray: Arc<Tray>,
    errands: Option<Sender<Errand>>,
}

struct Waiting {
    request: Request,
    revision: u64,
}

type Say<'s> = &'s dyn Fn(Message) -> Result<(), String>;

impl Desk {
    fn serve(&mut self, inbox: &Receiver<Event>, send: Say<'_>) -> Result<bool, String> {
        while let Ok(event) = inbox.recv() {
            match event {
                Event::Message(Message::Request(request)) => self.ask(request, send)?,
                Event::Message(Message::Notification(note)) if note.method == Exit::METHOD => {
                    return Ok(self.ended);
                }
                Event::Message(Message::Notification(note)) => self.notice(note, send)?,
                // We only ask for files to be watched; if that fails, `didSave` is left.
                Event::Message(Message::Response(_)) => {}
                Event::Analysed(snapshot, notes) => self.analysed(snapshot, notes, send)?,
                Event::Answered(response) => {
                    if self.live.remove(&response.id).is_some() {
                        send(Message::Response(response))?;
                    }
                }
                Event::Gone => return Ok(self.ended),
            }
        }
        Ok(self.ended)
    }

    fn ask(&mut self, request: Request, send: Say<'_>) -> Result<(), String> {
        let refuse = |code: ErrorCode, text: String| {
            send(Message::Response(Response::new_err(request.id.clone(), code as i32, text)))
        };
        if self.ended {
            return refuse(ErrorCode::InvalidRequest, "the server was asked to shut down".into());
        }
        if request.method == Shutdown::METHOD {
            self.ended = true;
            return send(Message::Response(Response::new_ok(request.id, Value::Null)));
        }
        if self.live.contains_key(&request.id) {
            return refuse(ErrorCode::InvalidRequest, "this id is in use".into());
        }
        if !answers::METHODS.contains(&request.method.as_str()) {
            return refuse(ErrorCode::MethodNotFound, format!("no such request: {}", request.method));
        }
        self.live.insert(request.id.clone(), request.method.clone());
        let current = self.snapshot.as_ref().filter(|snapshot| snapshot.revision == self.revision).cloned();
        if answers::NEED_TEXT_ALONE.contains(&request.method.as_str()) || current.is_some() {
            self.hand(request, current);
        } else {
            self.waiting.push(Waiting { request, revision: self.revision });
        }
        Ok(())
    }

    /// Gives a request to the clerk.
    fn hand(&self, request: Request, snapshot: Option<Arc<Snapshot>>) {
        let errand = Errand { request, documents: self.documents.clone(), snapshot };
        // If the clerk has gone the process is about to end.
        let _ = self.errands.as_ref().map(|errands| errands.send(errand));
    }

    fn analysed(
        &mut self,
        snapshot: Arc<Snapshot>,
        notes: Vec<PublishDiagnosticsParams>,
        send: Say<'_>,
    ) -> Result<(), String> {
        for note in notes {
            // Of a text that has changed since, the next analysis speaks.
            let path = path_of(&note.uri);
            let now = path.and_then(|path| self.documents.get(&path)).map(|document| document.version);
            if now == note.version {
                let note = Notification::new(PublishDiagnostics::METHOD.into(), note);
                send(Message::Notification(note))?;
            }
        }
        let ready = |waiting: &Waiting| waiting.revision <= snapshot.revision;
        let (ready, waiting): (Vec<Waiting>, Vec<Waiting>) =
            std::mem::take(&mut self.waiting).into_iter().partition(ready);
        self.waiting = waiting;
        for Waiting { request, revision } in ready {
            if revision < self.revision && answers::MAKE_EDITS.contains(&request.method.as_str()) {
                self.live.remove(&request.id);
                let text = "the text has changed since".to_string();
                let answer = Response::new_err(request.id, ErrorCode::ContentModified as i32, text);
                send(Message::Response(answer))?;
            } else {
                self.hand(request, Some(snapshot.clone()));
            }
        }
        self.snapshot = Some(snapshot);
        Ok(())
    }

    fn notice(&mut self, note: Notification, send: Say<'_>) -> Result<(), String> {
        let Notification { method, params } = note;
        let touched = match method.as_str() {
            DidOpenTextDocument::METHOD => {
                let Some(params) = read::<DidOpenTextDocumentParams>(&method, params) else { return Ok(()) };
                let document = params.text_document;
                let Some(path) = path_of(&document.uri) else { return Ok(()) };
                let text = document.text.into();
                self.documents.insert(path.clone(), Document { text, version: document.version });
                Touched::Some(BTreeSet::from([path]))
            }
            DidChangeTextDocument::METHOD => {
                let Some(params) = read::<DidChangeTextDocumentParams>(&method, params) else {
                    return Ok(());
                };
                let Some(path) = path_of(&params.text_document.uri) else { return Ok(()) };
                let Some(document) = self.documents.get_mut(&path) else { return Ok(()) };
                let mut text = document.text.to_string();
                for change in params.content_changes {
                    apply(&mut text, change, self.encoding);
                }
                *document = Document { text: text.into(), version: params.text_document.version };
                Touched::Some(BTreeSet::from([path]))
            }
            DidCloseTextDocument::METHOD => {
                let Some(params) = read::<DidCloseTextDocumentParams>(&method, params) else { return Ok(()) };
                let Some(path) = path_of(&params.text_document.uri) else { return Ok(()) };
                self.documents.remove(&path);
                Touched::Some(BTreeSet::from([path]))
            }
            DidSaveTextDocument::METHOD | DidChangeWatchedFiles::METHOD => Touched::All,
            Cancel::METHOD => {
                let Some(CancelParams { id }) = read(&method, params) else { return Ok(()) };
                let id = match id {
                    NumberOrString::Number(id) => RequestId::from(id),
                    NumberOrString::String(id) => RequestId::from(id),
                };
                if self.live.remove(&id).is_some() {
                    self.waiting.retain(|waiting| waiting.request.id != id);
                    let text = "cancelled".to_string();
                    let answer = Response::new_err(id, ErrorCode::RequestCanceled as i32, text);
                    send(Message::Response(answer))?;
                }
                return Ok(());
            }
            _ => return Ok(()), // the protocol lets a server pass over notifications it does not know
        };
        self.revision += 1;
        self.tray.put(Job { revision: self.revision, documents: self.documents.clone(), touched });
        Ok(())
    }
}

/// What a notification says; one that makes no sense is said on the error stream and passed over.
fn read<T: serde::de::DeserializeOwned>(method: &str, params: Value) -> Option<T> {
    serde_json::from_value(params).inspect_err(|error| say(&format!("{method}: {error}"))).ok()
}

/// Replaces a range, or everything where no range is given.
fn apply(text: &mut String, change: TextDocumentContentChangeEvent, encoding: Encoding) {
    let Some(range) = change.range else {
        *text = change.text;
        return;
    };
    let source = Source::new("", text.as_str());
    let start = encoding.offset(&source, range.start);
    let end = encoding.offset(&source, range.end).max(start);
    text.replace_range(start..end, &change.text);
}
