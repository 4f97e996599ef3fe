//! Where tensors wait between devices: a slot for each channel, which the sender fills and the receiver empties.
//!
//! Nobody waits for ever. A wait that takes longer than its deadline ends the step for all devices, as does
//! whatever else goes wrong on one of them; the first trouble is the one that is kept.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::plan::Way;
use crate::program::Channel;
use crate::session::SessionError;
use crate::threads::{Waiting, lock, uninterrupted};

/// The slots of a program.
pub struct Channels {
    slots: Vec<Slot>,
    waiting: Waiting,
    /// Transfers so far, both ends counted: a sign of life.
    passed: AtomicU64,
    ended: AtomicBool,
    first: Mutex<Option<Trouble>>,
}

struct Slot {
    origin: u32,
    /// Says whose turn it is: the receiver's if a tensor is there. Only then may the one side or the other touch `staging`,
    /// so its lock is always free.
    full: AtomicBool,
    staging: Mutex<Vec<u8>>,
    /// Bytes that were sent.
    sent: AtomicU64,
    sleepers: AtomicUsize,
    bed: Mutex<()>,
    alarm: Condvar,
}

/// One device's ends of the channels, for one step.
pub struct Links {
    /// The slots.
    pub channels: Arc<Channels>,
    /// Which device.
    pub device: usize,
    /// The longest that it waits for another at a time.
    pub deadline: Duration,
}

/// The step has ended for all devices, and must be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left;

/// What ended a step.
#[derive(Debug)]
pub enum Trouble {
    /// A device waited too long for another.
    Stalled(Stalled),
    /// A device failed.
    Failed {
        /// Which one.
        device: usize,
        /// With what.
        error: SessionError,
    },
    /// Nothing was heard of a device.
    Silent {
        /// Which one.
        device: usize,
        /// For how long.
        waited: Duration,
    },
}

/// A wait that took longer than it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// The device that waited.
    pub device: usize,
    /// Whether it waited to send or to receive.
    pub way: Way,
    /// By which channel: an index into `Program::channels`.
    pub channel: usize,
    /// Where the channel's tensor comes from; opaque.
    pub origin: u32,
    /// How long it waited.
    pub waited: Duration,
}

impl Channels {
    /// Room for one tensor a channel. `waiting`: that of the threads of all devices.
    pub fn new(channels: &[Channel], waiting: Waiting) -> Channels {
        let slot = |channel: &Channel| Slot {
            origin: channel.origin,
            full: AtomicBool::new(false),
            staging: Mutex::new(vec![0; channel.bytes]),
            sent: AtomicU64::new(0),
            sleepers: AtomicUsize::new(0),
            bed: Mutex::new(()),
            alarm: Condvar::new(),
        };
        Channels {
            slots: channels.iter().map(slot).collect(),
            waiting,
            passed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            first: Mutex::new(None),
        }
    }

    /// Bytes that were sent by each channel since the program was loaded.
    pub fn sent(&self) -> Vec<u64> {
        self.slots.iter().map(|slot| slot.sent.load(Ordering::Relaxed)).collect()
    }

    /// Transfers so far, both ends counted.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Ends the step for all devices. Only the first trouble is kept.
    pub fn end(&self, trouble: Trouble) {
        lock(&self.first).get_or_insert(trouble);
        self.ended.store(true, Ordering::SeqCst);
        self.slots.iter().for_each(Slot::wake);
    }

    /// Whether the step was ended.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Takes out what ended the step.
    pub fn take_trouble(&self) -> Option<Trouble> {
        lock(&self.first).take()
    }
}

impl Slot {
    /// Hands the slot to the other side.
    fn pass(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _bed = lock(&self.bed);
            self.alarm.notify_all();
        }
    }

    /// Waits until the slot is full, or empty. `None`: `leave` says so; else whether it is, and not the time up.
    fn wait(
        &self,
        full: bool,
        waiting: Waiting,
        deadline: Duration,
        leave: impl Fn() -> bool,
    ) -> Option<Result<(), Duration>> {
        let ready = || self.full.load(Ordering::SeqCst) == full;
        if !waiting.briefly(|| ready() || leave()) {
            let began = Instant::now();
            let mut bed = lock(&self.bed);
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            // Asked again with the lock held and the sleeper counted: whoever passes the slot on after this sees it.
            while !ready() && !leave() && began.elapsed() < deadline {
                let rest = deadline.saturating_sub(began.elapsed());
                bed = uninterrupted(self.alarm.wait_timeout(bed, rest)).0;
            }
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
            drop(bed);
            if !ready() && !leave() {
                return Some(Err(began.elapsed()));
            }
        }
        (!leave()).then_some(Ok(()))
    }
}

impl Links {
    /// Copies a tensor into a channel's slot, once that is empty.
    ///
    /// # Errors
    /// When the step has ended.
    ///
    /// # Panics
    /// If the channel carries other sizes: plans are checked before.
    pub fn send(&self, channel: usize, tensor: &[u8]) -> Result<(), Left> {
        let slot = self.wait(channel, Way::Send)?;
        lock(&slot.staging).copy_from_slice(tensor);
        slot.sent.fetch_add(tensor.len() as u64, Ordering::Relaxed);
        self.channels.passed.fetch_add(1, Ordering::Relaxed);
        slot.pass(true);
        Ok(())
    }

    /// Copies a tensor out of a channel's slot, once that is full.
    ///
    /// # Errors
    /// When the step has ended.
    ///
    /// # Panics
    /// If the channel carries other sizes: plans are checked before.
    pub fn receive(&self, channel: usize, tensor: &mut [u8]) -> Result<(), Left> {
        let slot = self.wait(channel, Way::Receive)?;
        tensor.copy_from_slice(&lock(&slot.staging));
        self.channels.passed.fetch_add(1, Ordering::Relaxed);
        slot.pass(false);
        Ok(())
    }

    fn wait(&self, channel: usize, way: Way) -> Result<&Slot, Left> {
        let (channels, slot) = (&*self.channels, &self.channels.slots[channel]);
        let full = way == Way::Receive;
        match slot.wait(full, channels.waiting, self.deadline, || channels.has_ended()) {
            Some(Ok(())) => Ok(slot),
            Some(Err(waited)) => {
                let (device, origin) = (self.device, slot.origin);
                channels.end(Trouble::Stalled(Stalled { device, way, channel, origin, waited }));
                Err(Left)
            }
            None => Err(Left),
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the step was ended")
    }
}
