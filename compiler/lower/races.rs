//! Where threads must wait for each other, and proof that they do.

use std::ops::Range;

use strata_runtime::plan::{Access, Buffer, Call, Deal, Extent, Place, Plan, Step, Turns};

use super::meeting::{Meeting, Running, Since, meeting};

/// Puts a barrier before every call that would meet what another thread has touched since the last one.
///
/// A loop is gone through twice, so that a turn meets what the turns before have touched. What a loop meets of
/// what was touched before it is waited for ahead of it, once.
pub fn with_barriers(steps: Vec<Step>, buffers: &[Buffer]) -> Vec<Step> {
    Walk { buffers, loops: Vec::new(), open: Vec::new() }.walk(steps)
}

/// A way through the program.
struct Walk<'a> {
    buffers: &'a [Buffer],
    /// The loops around.
    loops: Vec<Running>,
    /// What was touched since the last barrier, how it was dealt, and when.
    open: Vec<(Access, Deal, Since)>,
}

impl Walk<'_> {
    fn walk(&mut self, steps: Vec<Step>) -> Vec<Step> {
        let mut done = Vec::with_capacity(steps.len() * 2);
        for step in steps {
            if self.meets(&step) {
                done.push(Step::Barrier);
                self.open.clear();
            }
            match step {
                Step::Barrier => {
                    self.open.clear();
                    done.push(Step::Barrier);
                }
                Step::Call(call) => {
                    let now = Since { same: self.loops.len(), earlier: false };
                    self.open.extend(call.accesses.iter().map(|access| (*access, call.deal, now)));
                    done.push(Step::Call(call));
                }
                Step::Loop(turns) => done.push(Step::Loop(self.turns(turns))),
            }
        }
        done
    }

    fn turns(&mut self, turns: Turns) -> Turns {
        let depth = self.loops.len();
        self.loops.push(Running { turns: turns.turns, reverse: turns.reverse });
        let mut steps = self.walk(turns.steps);
        if turns.turns > 1 {
            for (.., since) in self.open.iter_mut().filter(|(.., since)| since.same > depth) {
                *since = Since { same: depth, earlier: true };
            }
            steps = self.walk(steps);
        }
        self.loops.pop();
        for (.., since) in self.open.iter_mut().filter(|(.., since)| since.same >= depth) {
            *since = Since { same: depth, earlier: false };
        }
        Turns { steps, ..turns }
    }

    /// Whether a step, or any step of a loop, meets what is open.
    fn meets(&self, step: &Step) -> bool {
        match step {
            Step::Barrier => false,
            Step::Call(call) => call.accesses.iter().any(|access| self.collides(access, call.deal)),
            Step::Loop(turns) => turns.steps.iter().any(|step| self.meets(step)),
        }
    }

    fn collides(&self, access: &Access, deal: Deal) -> bool {
        let buffer = |access: &Access| &self.buffers[access.buffer.0 as usize];
        self.open.iter().any(|(other, dealt, since)| {
            if !(access.write || other.write) || (deal == Deal::First && *dealt == Deal::First) {
                return false;
            }
            let shares = access.extent == Extent::Share && other.extent == Extent::Share && deal == *dealt;
            match meeting(buffer(other), buffer(access), *since, &self.loops) {
                Meeting::Never => false,
                // A thread touches in both what no other thread touches in either.
                Meeting::Whole => !shares,
                Meeting::Some => true,
            }
        })
    }
}

/// Checks that no two threads touch the same bytes between two barriers unless both only read, by working out
/// every thread's bytes for several numbers of threads; of loops, in their first turns and their last.
///
/// # Panics
/// If two do, with the steps.
pub fn verify(plan: &Plan) {
    for threads in [2, 3, 4, 7] {
        let mut proof = Proof { plan, threads, open: Vec::new(), indices: Vec::new(), calls: 0 };
        proof.steps(&plan.steps, &mut Vec::new());
    }
}

/// Turns at the beginning of a loop that are worked out: two that follow each other, and one more, for what is
/// touched in every other turn.
const FIRST_TURNS: usize = 3;

struct Proof<'a> {
    plan: &'a Plan,
    threads: usize,
    open: Vec<Touch>,
    /// The indices of the turns that are running.
    indices: Vec<usize>,
    /// Calls so far.
    calls: usize,
}

impl Proof<'_> {
    /// `path`: the numbers of the loops around.
    fn steps(&mut self, steps: &[Step], path: &mut Vec<usize>) {
        for (index, step) in steps.iter().enumerate() {
            path.push(index);
            match step {
                Step::Barrier => self.open.clear(),
                Step::Call(call) => self.call(call, path),
                Step::Loop(Turns { turns, reverse, steps, .. }) => {
                    for turn in (0..*turns).filter(|turn| *turn < FIRST_TURNS || turn + 1 == *turns) {
                        self.indices.push(if *reverse { turns - 1 - turn } else { turn });
                        self.steps(steps, path);
                        self.indices.pop();
                    }
                }
            }
            path.pop();
        }
    }

    fn call(&mut self, call: &Call, path: &[usize]) {
        self.calls += 1;
        let new = self.touches(call, path);
        for touch in &new {
            if let Some(other) = self.open.iter().chain(&new).find(|other| other.races(touch)) {
                let (threads, plan) = (self.threads, self.plan);
                panic!("steps {:?} and {path:?} race with {threads} threads:\n{plan}", other.path);
            }
        }
        self.open.extend(new);
    }

    fn touches(&self, call: &Call, path: &[usize]) -> Vec<Touch> {
        let mut touches = Vec::new();
        for thread in 0..self.threads {
            let share = call.deal.share(thread, self.threads);
            if share.is_empty() {
                continue;
            }
            for access in &call.accesses {
                let Some((arena, all)) = self.memory(self.plan.buffer(access.buffer)) else { continue };
                let (bytes, scattered) = match (access.extent, call.deal) {
                    (_, Deal::First) => (all, false),
                    (Extent::Whole, Deal::Shares { .. }) => (all, true),
                    (Extent::Share, Deal::Shares { count, .. }) => {
                        let piece = all.len() / count;
                        (all.start + piece * share.start..all.start + piece * share.end, false)
                    }
                };
                let (write, path) = (access.write, path.to_vec());
                touches.push(Touch { call: self.calls, path, thread, write, arena, bytes, scattered });
            }
        }
        touches
    }

    /// Which arena a buffer lies in, and which bytes of it in the turns that are running; none for what is never
    /// written: inputs and the clock.
    fn memory(&self, buffer: &Buffer) -> Option<(u8, Range<usize>)> {
        let (arena, offset) = match buffer.place {
            Place::Variable(offset) => (0, offset),
            Place::Scratch(offset) => (1, offset),
            Place::Input(..) | Place::Clock(_) => return None,
        };
        let moves = buffer.moves.iter().zip(&self.indices).map(|(m, index)| m.bytes * *index as i64);
        let offset = usize::try_from(offset as i64 + moves.sum::<i64>()).expect("buffers lie in their arena");
        Some((arena, offset..offset + buffer.bytes()))
    }
}

/// Bytes that one thread touches in one call.
struct Touch {
    /// The number of the call.
    call: usize,
    /// Where it stands in the plan.
    path: Vec<usize>,
    thread: usize,
    write: bool,
    arena: u8,
    bytes: Range<usize>,
    /// The thread touches some of these bytes, and which ones only the kernel knows.
    scattered: bool,
}

impl Touch {
    fn races(&self, other: &Touch) -> bool {
        // Within one call the kernel vouches for what is scattered over the very same bytes.
        let vouched =
            self.call == other.call && self.scattered && other.scattered && self.bytes == other.bytes;
        self.thread != other.thread
            && !vouched
            && (self.write || other.write)
            && self.arena == other.arena
            && self.bytes.start < other.bytes.end
            && other.bytes.start < self.bytes.end
    }
}
