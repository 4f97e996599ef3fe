//! Why a group cannot do what it is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::channels::Stalled;
use crate::faults::BadIndex;
use crate::session::SessionError;

/// Why a program cannot be loaded or run by a group.
#[derive(Debug)]
pub enum GroupError {
    /// What a device on its own would say too. The group stays as it was.
    Session(SessionError),
    /// A position was outside the axis that it counts. The group stays usable, but variables may have been changed by
    /// numbers that mean nothing.
    Index {
        /// On which device: the first of those on which there was such a position.
        device: Arc<str>,
        /// The position.
        bad: BadIndex,
    },
    /// The step ended on all devices, and the group cannot be used any more.
    Ended(Box<Ended>),
    /// The group cannot be used since this happened.
    Broken(String),
}

/// What ended a step.
#[derive(Debug)]
pub struct Ended {
    /// What happened first.
    pub cause: Cause,
    /// Devices that did not come back, and were left behind.
    pub lost: Vec<Arc<str>>,
}

/// What ends a step.
#[derive(Debug)]
pub enum Cause {
    /// A device waited too long for another.
    Stalled {
        /// The device that waited.
        device: Arc<str>,
        /// The device at the other end of the channel.
        other: Arc<str>,
        /// For what, and how long.
        stalled: Stalled,
    },
    /// A device failed.
    Failed {
        /// Which one.
        device: Arc<str>,
        /// With what.
        error: SessionError,
    },
    /// Nothing was heard of a device.
    Silent {
        /// Which one.
        device: Arc<str>,
        /// For how long.
        waited: Duration,
    },
}

impl From<SessionError> for GroupError {
    fn from(error: SessionError) -> GroupError {
        GroupError::Session(error)
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupError::Session(error) => write!(f, "{error}"),
            GroupError::Index { device, bad } => write!(f, "device `{device}`: {bad}"),
            GroupError::Ended(ended) => write!(f, "{ended}"),
            GroupError::Broken(since) => write!(f, "the devices cannot go on: {since}"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Stalled { device, other, stalled: Stalled { way, channel, waited, .. } } => {
                let seconds = waited.as_secs_f64();
                let way = match way {
                    crate::plan::Way::Send => "send to",
                    crate::plan::Way::Receive => "receive from",
                };
                write!(f, "device `{device}` waited {seconds:.1} s to {way} `{other}` by channel {channel}")?;
            }
            Cause::Failed { device, error } => write!(f, "device `{device}` failed: {error}")?,
            Cause::Silent { device, waited } => {
                write!(f, "nothing was heard of device `{device}` for {:.1} s", waited.as_secs_f64())?;
            }
        }
        self.lost.iter().try_for_each(|lost| write!(f, "; device `{lost}` did not come back"))
    }
}

impl std::error::Error for GroupError {}
