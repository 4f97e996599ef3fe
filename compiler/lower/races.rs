//! Where threads must wait for each other, and proof that they do.

use std::ops::Range;

use strata_runtime::plan::{Access, Buffer, Call, Deal, Extent, Place, Plan, Step};

/// Puts a barrier before every call that would meet what another thread has touched since the last one.
pub fn with_barriers(calls: Vec<Call>, buffers: &[Buffer]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(calls.len() * 2);
    // What was touched since the last barrier.
    let mut open: Vec<(Access, Deal)> = Vec::new();
    for call in calls {
        let meets = |access: &Access| {
            open.iter().any(|(other, deal)| {
                (access.write || other.write)
                    && overlap(
                        &memory(&buffers[access.buffer.0 as usize]),
                        &memory(&buffers[other.buffer.0 as usize]),
                    )
                    && !same_share((access, call.deal), (other, *deal), buffers)
            })
        };
        if call.accesses.iter().any(meets) {
            steps.push(Step::Barrier);
            open.clear();
        }
        open.extend(call.accesses.iter().map(|access| (*access, call.deal)));
        steps.push(Step::Call(call));
    }
    steps
}

/// Whether a thread touches in both accesses bytes that no other thread touches in either.
fn same_share(a: (&Access, Deal), b: (&Access, Deal), buffers: &[Buffer]) -> bool {
    if a.1 == Deal::First && b.1 == Deal::First {
        return true;
    }
    let shares = a.0.extent == Extent::Share && b.0.extent == Extent::Share && a.1 == b.1;
    let [a, b] = [a, b].map(|(access, _)| memory(&buffers[access.buffer.0 as usize]));
    shares && a == b
}

/// Which arena a buffer lies in, and which bytes of it.
fn memory(buffer: &Buffer) -> (u8, Range<usize>) {
    let (arena, offset) = match buffer.place {
        Place::Variable(offset) => (0, offset),
        Place::Scratch(offset) => (1, offset),
        // Inputs and the clock are never written.
        Place::Input(i) => return (2, i..i),
        Place::Clock(offset) => return (3, offset..offset),
    };
    (arena, offset..offset + buffer.bytes())
}

fn overlap(a: &(u8, Range<usize>), b: &(u8, Range<usize>)) -> bool {
    a.0 == b.0 && a.1.start < b.1.end && b.1.start < a.1.end
}

/// Checks that no two threads touch the same bytes between two barriers unless both only read, by working out
/// every thread's bytes for several numbers of threads.
///
/// # Panics
/// If two do, with the steps.
pub fn verify(plan: &Plan) {
    for threads in [2, 3, 4, 7] {
        let mut open: Vec<Touch> = Vec::new();
        for (index, step) in plan.steps.iter().enumerate() {
            match step {
                Step::Barrier => open.clear(),
                Step::Call(call) => {
                    let new = touches(plan, call, index, threads);
                    for touch in &new {
                        let race = open.iter().chain(&new).find(|other| other.races(touch));
                        if let Some(other) = race {
                            panic!("steps {} and {index} race with {threads} threads:\n{plan}", other.step);
                        }
                    }
                    open.extend(new);
                }
            }
        }
    }
}

/// Bytes that one thread touches in one step.
struct Touch {
    step: usize,
    thread: usize,
    write: bool,
    arena: u8,
    bytes: Range<usize>,
    /// The thread touches some of these bytes, and which ones only the kernel knows.
    scattered: bool,
}

impl Touch {
    fn races(&self, other: &Touch) -> bool {
        // Within one step the kernel vouches for what is scattered over the very same bytes.
        let vouched =
            self.step == other.step && self.scattered && other.scattered && self.bytes == other.bytes;
        self.thread != other.thread
            && !vouched
            && (self.write || other.write)
            && self.arena == other.arena
            && self.bytes.start < other.bytes.end
            && other.bytes.start < self.bytes.end
    }
}

fn touches(plan: &Plan, call: &Call, step: usize, threads: usize) -> Vec<Touch> {
    let mut touches = Vec::new();
    for thread in 0..threads {
        let share = call.deal.share(thread, threads);
        if share.is_empty() {
            continue;
        }
        for access in &call.accesses {
            let (arena, all) = memory(plan.buffer(access.buffer));
            let (bytes, scattered) = match (access.extent, call.deal) {
                (_, Deal::First) => (all, false),
                (Extent::Whole, Deal::Shares { .. }) => (all, true),
                (Extent::Share, Deal::Shares { count, .. }) => {
                    let piece = all.len() / count;
                    (all.start + piece * share.start..all.start + piece * share.end, false)
                }
            };
            touches.push(Touch { step, thread, write: access.write, arena, bytes, scattered });
        }
    }
    touches
}
