//! Ctrl-C, and being asked to end: noticed once, acted upon where a step is complete.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::messages::Failure;

static ASKED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C only sets a flag; a second one ends the process at once.
///
/// # Errors
/// If the system refuses.
pub fn catch() -> Result<(), Failure> {
    let handler = || {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Failure::Message(format!("cannot watch for Ctrl-C: {e}")))
}

/// Whether somebody asked us to end.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
