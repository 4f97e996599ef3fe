//! The call around the cursor: how it reads, and which parameter is being written.

use strata_grammar::FileId;

use super::Study;
use super::complete::context::{Context, Spot, context};
use super::docs::{self, Signature};

/// A call that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// How it reads.
    pub signature: Signature,
    /// Which parameter the cursor is at.
    pub active: Option<usize>,
}

/// The innermost call around an offset whose callee is known.
pub fn help(study: &Study, file: FileId, offset: usize) -> Option<Help> {
    let Context { spot, data_line, .. } = context(&study.source(file).text, offset)?;
    let Spot::Argument(call) = spot else { return None };
    if data_line && let Some((written, does)) = docs::of_data_word(&call.callee) {
        let signature = Signature { label: written, params: Vec::new(), wants: Vec::new(), doc: Some(does) };
        return Some(Help { signature, active: None });
    }
    let id = super::complete::callee(study, file, offset, &call.callee)?;
    let signature = match call.line {
        Some("train") => docs::trained(study, id)?,
        _ => docs::signature(study, id)?,
    };
    let active = match &call.named {
        Some(name) => signature.params.iter().position(|(param, _)| param == name),
        None => {
            let at = call.position + usize::from(call.piped);
            (at < signature.params.len()).then_some(at)
        }
    };
    Some(Help { signature, active })
}
