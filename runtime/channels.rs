//! Where tensors wait between devices: a slot for each channel, which the sender fills and the receiver empties behind it.
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

/// Bytes that are handed on at a time: few enough to be in a cache still when the receiver reads them, and many enough
/// for the handing on to cost little. Picked by feel.
const STRETCH: usize = 256 << 10;

struct Slot {
    origin: u32,
    /// The tensor in stretches of [`STRETCH`], at least one. The sender writes one after the other, the receiver follows it.
    staging: Vec<Mutex<Vec<u8>>>,
    /// How many of them are there; 0 once the receiver has taken all. The one side touches only those that are there, and
    /// the other only those that are not, so their locks are always free.
    there: AtomicUsize,
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
            staging: stretches(channel.bytes),
            there: AtomicUsize::new(0),
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

    /// Bytes that are allocated for what waits in each channel.
    pub fn staging(&self) -> Vec<usize> {
        let bytes = |slot: &Slot| slot.staging.iter().map(|stretch| lock(stretch).len()).sum();
        self.slots.iter().map(bytes).collect()
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

fn stretches(bytes: usize) -> Vec<Mutex<Vec<u8>>> {
    let starts = (0..bytes.max(1)).step_by(STRETCH);
    starts.map(|start| Mutex::new(vec![0; (bytes - start).min(STRETCH)])).collect()
}

impl Slot {
    /// Tells the other side how many stretches are there.
    fn pass(&self, there: usize) {
        self.there.store(there, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _bed = lock(&self.bed);
            self.alarm.notify_all();
        }
    }

    /// Waits until `ready` says so of the number of stretches that are there, or `leave` says that the step must be left.
    /// Gives back how long it waited if the time is up before.
    fn wait(
        &self,
        ready: impl Fn(usize) -> bool,
        waiting: Waiting,
        deadline: Duration,
        leave: impl Fn() -> bool,
    ) -> Option<Duration> {
        let done = || ready(self.there.load(Ordering::SeqCst)) || leave();
        if waiting.briefly(done) {
            return None;
        }
        let began = Instant::now();
        let mut bed = lock(&self.bed);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        // Asked again with the lock held and the sleeper counted: whoever passes something on after this sees it.
        let mut waited = Duration::ZERO;
        while !done() && waited < deadline {
            bed = uninterrupted(self.alarm.wait_timeout(bed, deadline - waited)).0;
            waited = began.elapsed();
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        drop(bed);
        (!done()).then_some(waited)
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
        let slot = self.wait(channel, Way::Send, |there| there == 0)?;
        for (i, (stretch, from)) in slot.staging.iter().zip(pieces(tensor)).enumerate() {
            lock(stretch).copy_from_slice(from);
            slot.pass(i + 1);
        }
        slot.sent.fetch_add(tensor.len() as u64, Ordering::Relaxed);
        self.channels.passed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Copies a tensor out of a channel's slot, as it comes.
    ///
    /// # Errors
    /// When the step has ended.
    ///
    /// # Panics
    /// If the channel carries other sizes: plans are checked before.
    pub fn receive(&self, channel: usize, tensor: &mut [u8]) -> Result<(), Left> {
        let mut rest = tensor;
        for i in 0..self.channels.slots[channel].staging.len() {
            let slot = self.wait(channel, Way::Receive, |there| there > i)?;
            let stretch = lock(&slot.staging[i]);
            let (to, after) = std::mem::take(&mut rest).split_at_mut(stretch.len());
            to.copy_from_slice(&stretch);
            rest = after;
        }
        assert!(rest.is_empty(), "channel {channel} carries less");
        self.channels.passed.fetch_add(1, Ordering::Relaxed);
        self.channels.slots[channel].pass(0);
        Ok(())
    }

    /// Waits for the other side of a channel.
    fn wait(&self, channel: usize, way: Way, ready: impl Fn(usize) -> bool) -> Result<&Slot, Left> {
        let (channels, slot) = (&*self.channels, &self.channels.slots[channel]);
        if let Some(waited) = slot.wait(ready, channels.waiting, self.deadline, || channels.has_ended()) {
            let (device, origin) = (self.device, slot.origin);
            channels.end(Trouble::Stalled(Stalled { device, way, channel, origin, waited }));
        }
        if channels.has_ended() { Err(Left) } else { Ok(slot) }
    }
}

/// A tensor in the stretches of a slot.
fn pieces(tensor: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = (0..tensor.len().max(1)).step_by(STRETCH);
    starts.map(|start| &tensor[start..tensor.len().min(start + STRETCH)])
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the step was ended")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_any_size_come_whole() {
        let sizes = [0, 1, STRETCH - 1, STRETCH, STRETCH + 1, 3 * STRETCH + 5];
        let channel = |bytes: &usize| Channel { from: 0, to: 1, bytes: *bytes, origin: 0 };
        let links: Vec<Channel> = sizes.iter().map(channel).collect();
        let channels = Arc::new(Channels::new(&links, Waiting::among(2)));
        let deadline = Duration::from_secs(60);
        let links = |device| Links { channels: Arc::clone(&channels), device, deadline };
        let (from, to) = (links(0), links(1));
        let byte = |turn: usize, i: usize| (i * 7 + i / 251 + turn) as u8;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for (turn, channel) in (0..4).flat_map(|turn| (0..6).map(move |channel| (turn, channel))) {
                    let tensor: Vec<u8> = (0..sizes[channel]).map(|i| byte(turn, i)).collect();
                    from.send(channel, &tensor).unwrap();
                }
            });
            for (turn, channel) in (0..4).flat_map(|turn| (0..6).map(move |channel| (turn, channel))) {
                let mut tensor = vec![0; sizes[channel]];
                to.receive(channel, &mut tensor).unwrap();
                assert!(tensor.iter().enumerate().all(|(i, found)| *found == byte(turn, i)), "{channel}");
            }
        });
        assert_eq!(channels.sent(), sizes.map(|size| 4 * size as u64));
        assert_eq!(channels.passed(), 2 * 4 * 6);
    }
}
