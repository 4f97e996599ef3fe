//! Answers requests one after the other, on a thread of its own. A request that makes a panic is answered with an
//! error, and the next one is served.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use lsp_server::{ErrorCode, Request, Response};
use serde_json::Value;

use super::Event;
use super::analyst::{Documents, Snapshot};
use super::answers::{Client, Counter};

/// A request with what is needed to answer it.
#[derive(Debug)]
pub struct Errand {
    /// The request.
    pub request: Request,
    /// The texts as they were when it came.
    pub documents: Documents,
    /// What came of them; nothing for requests that need the text alone.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// Why a request has no answer.
#[derive(Debug)]
pub enum Refusal {
    /// The parameters make no sense.
    Malformed(String),
    /// It cannot be done; the words are for the user.
    Cannot(String),
}

/// Serves until nobody asks any more.
pub fn work(errands: &Receiver<Errand>, events: &Sender<Event>, client: &Client) {
    while let Ok(errand) = errands.recv() {
        let id = errand.request.id.clone();
        let method = errand.request.method.clone();
        let counter = Counter { client, errand: &errand };
        let work = || counter.answer();
        let response = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(value)) => Response::new_ok::<Value>(id, value),
            Ok(Err(Refusal::Malformed(text))) => Response::new_err(id, ErrorCode::InvalidParams as i32, text),
            Ok(Err(Refusal::Cannot(text))) => Response::new_err(id, ErrorCode::RequestFailed as i32, text),
            Err(_) => {
                let text = format!("{method} could not be answered: a mistake of the server's");
                Response::new_err(id, ErrorCode::InternalError as i32, text)
            }
        };
        if events.send(Event::Answered(response)).is_err() {
            return;
        }
    }
}
