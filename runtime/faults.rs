//! What goes wrong in the numbers of a step: kernels note it and go on, and the step then ends with it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A position outside the axis that it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadIndex {
    /// Where the operator comes from; opaque.
    pub origin: u32,
    /// The index of the position in the tensor of positions.
    pub at: Vec<u64>,
    /// What stands there.
    pub found: i64,
    /// The length of the axis: positions are from 0 up to below it.
    pub size: u64,
}

impl fmt::Display for BadIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadIndex { at, found, size, .. } = self;
        match size {
            0 => write!(f, "the position at {at:?} is {found}, and there is nothing to pick from"),
            _ => write!(f, "the position at {at:?} is {found}, outside 0..{size}"),
        }
    }
}

/// When in a step something was noted: the call's number, and the element's within the call.
pub type When = (u64, u64);

/// What was noted in a step. The first in the order of the program is kept, whichever thread found it.
#[derive(Debug, Default)]
pub struct Faults {
    first: Mutex<Option<(When, BadIndex)>>,
}

impl Faults {
    /// Notes a fault.
    pub fn note(&self, when: When, fault: BadIndex) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(other, _)| when < *other) {
            *first = Some((when, fault));
        }
    }

    /// The first fault, if there was one.
    pub fn into_first(self) -> Option<BadIndex> {
        self.first.into_inner().unwrap_or_else(PoisonError::into_inner).map(|(_, fault)| fault)
    }
}
