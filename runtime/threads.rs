//! Threads that share a step: a pool that runs one closure on every thread, and a barrier for within it.
//!
//! Steps are short and follow each other closely, so waiting means spinning for a moment and sleeping only
//! after that; with more threads than cores it means giving way at once. A panic on one thread ends the
//! others' waiting and is returned by [`Threads::run`].

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LockResult, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// A thread panicked while sharing a closure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// Index of the first thread that did.
    pub thread: usize,
    /// What it said.
    pub message: String,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {} panicked: {}", self.thread, self.message)
    }
}

impl std::error::Error for Panicked {}

/// Another thread panicked, so not all will come to the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poisoned;

/// Threads that run closures together; the calling thread is number 0.
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// Where threads of a pool may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// Wherever the system puts them.
    Free,
    /// Worker i stays on core i, if there are cores enough. The calling thread is left as it is, since threads
    /// that it starts later would inherit its core.
    Cores,
    /// The same beside other pools: worker i stays on core `first + i`, if there are cores for `total` threads.
    Among {
        /// The core of the calling thread.
        first: usize,
        /// Threads of all pools.
        total: usize,
    },
}

/// How threads wait for each other before they sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    spins: usize,
}

impl Waiting {
    /// For one of so many threads that are busy at a time.
    pub fn among(threads: usize) -> Waiting {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Waiting { spins: if threads <= cores { SPINS } else { 0 } }
    }

    /// Waits a moment; says whether what is waited for was there by then.
    pub fn briefly(self, done: impl Fn() -> bool) -> bool {
        for _ in 0..self.spins {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        for _ in 0..YIELDS {
            if done() {
                return true;
            }
            std::thread::yield_now();
        }
        done()
    }
}

impl Threads {
    /// A pool of `count` threads (at least 1), the caller included.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(count: usize, pinning: Pinning) -> std::io::Result<Threads> {
        let count = count.max(1);
        let (first, total) = match pinning {
            Pinning::Free | Pinning::Cores => (0, count),
            Pinning::Among { first, total } => (first, total),
        };
        let cores = match pinning {
            Pinning::Free => Vec::new(),
            Pinning::Cores | Pinning::Among { .. } => core_affinity::get_core_ids().unwrap_or_default(),
        };
        let waiting = Waiting::among(total);
        let shared = Arc::new(Shared {
            start: Gate::new(count, waiting),
            finish: Gate::new(count, waiting),
            barrier: Barrier::new(count, waiting),
            job: Mutex::new(Job::Nothing),
            panicked: Mutex::new(None),
        });
        let mut threads = Threads { shared, workers: Vec::new() };
        for index in 1..count {
            let shared = Arc::clone(&threads.shared);
            let core = cores.get(first + index).copied().filter(|_| total <= cores.len());
            let builder = std::thread::Builder::new().name(format!("strata-{index}"));
            let worker = builder.spawn(move || {
                if let Some(core) = core {
                    // A refusal costs speed alone.
                    core_affinity::set_for_current(core);
                }
                work(&shared, index);
            });
            match worker {
                Ok(worker) => threads.workers.push(worker),
                Err(error) => {
                    // The workers that did start wait for a full house: make it one of those there are.
                    threads.shared.start.resize(index);
                    return Err(error);
                }
            }
        }
        Ok(threads)
    }

    /// Number of threads, the caller included.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// The barrier of these threads, for use within [`Threads::run`].
    pub fn barrier(&self) -> &Barrier {
        &self.shared.barrier
    }

    /// Runs `each(index)` on every thread and returns when all are done.
    ///
    /// # Errors
    /// The first panic. The pool stays usable.
    pub fn run<F: Fn(usize) + Sync>(&mut self, each: F) -> Result<(), Panicked> {
        let shared = &*self.shared;
        let each: &(dyn Fn(usize) + Sync) = &each;
        // SAFETY: only the lifetime changes. No worker keeps the closure beyond `finish`, which this function
        // waits for on every path: what runs in between cannot unwind.
        let each: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(each) };
        *lock(&shared.job) = Job::Run(each);
        shared.start.wait(|| false);
        shared.call(0, each);
        shared.finish.wait(|| false);
        *lock(&shared.job) = Job::Nothing;
        shared.barrier.restore();
        lock(&shared.panicked).take().map_or(Ok(()), Err)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        *lock(&self.shared.job) = Job::End;
        self.shared.start.wait(|| false);
        for worker in self.workers.drain(..) {
            // Workers catch panics, and a destructor has nobody to tell.
            let _ = worker.join();
        }
    }
}

/// What workers are to do next.
#[derive(Clone, Copy)]
enum Job {
    Nothing,
    Run(&'static (dyn Fn(usize) + Sync)),
    End,
}

struct Shared {
    /// Passed by all when a job is there.
    start: Gate,
    /// Passed by all when it is done.
    finish: Gate,
    /// For the job's own use.
    barrier: Barrier,
    job: Mutex<Job>,
    panicked: Mutex<Option<Panicked>>,
}

impl Shared {
    /// Runs the closure; a panic is noted and ends the waiting of the others.
    fn call(&self, index: usize, each: &(dyn Fn(usize) + Sync)) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| each(index))) {
            let message = message_of(&*payload);
            lock(&self.panicked).get_or_insert(Panicked { thread: index, message });
            self.barrier.poison();
            // A payload may panic when dropped; that must not leave this function.
            std::mem::forget(payload);
        }
    }
}

/// The life of a worker.
fn work(shared: &Shared, index: usize) {
    loop {
        shared.start.wait(|| false);
        let job = *lock(&shared.job);
        match job {
            Job::Run(each) => {
                shared.call(index, each);
                shared.finish.wait(|| false);
            }
            Job::Nothing => shared.finish.wait(|| false),
            Job::End => return,
        }
    }
}

/// Keeps the calling thread on a core, if there is one for each of `total` threads.
pub fn settle(core: usize, total: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(core) = cores.get(core).copied().filter(|_| total <= cores.len()) {
        // A refusal costs speed alone.
        core_affinity::set_for_current(core);
    }
}

/// The text of a panic.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

/// Locks even after a panic: what these mutexes hold is replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    uninterrupted(mutex.lock())
}

/// What a lock holds, even after a panic.
pub(crate) fn uninterrupted<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A barrier for the threads of a pool: none goes on before all have come.
pub struct Barrier {
    gate: Gate,
    poisoned: AtomicBool,
}

impl Barrier {
    /// A barrier for `count` threads.
    fn new(count: usize, waiting: Waiting) -> Barrier {
        Barrier { gate: Gate::new(count, waiting), poisoned: AtomicBool::new(false) }
    }

    /// Waits until all threads have come. What they wrote before is visible to all after.
    ///
    /// # Errors
    /// When a thread panicked: then the work must be left without another wait.
    pub fn wait(&self) -> Result<(), Poisoned> {
        self.gate.wait(|| self.poisoned.load(Ordering::SeqCst));
        if self.poisoned.load(Ordering::SeqCst) { Err(Poisoned) } else { Ok(()) }
    }

    /// Ends all waiting, now and until the run is over.
    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
        self.gate.wake();
    }

    /// Makes the barrier as new. No thread may be waiting.
    fn restore(&self) {
        if self.poisoned.swap(false, Ordering::SeqCst) {
            self.gate.arrived.store(0, Ordering::SeqCst);
        }
    }
}

/// Turns of spinning before giving way, when every thread can have a core: some tens of microseconds.
const SPINS: usize = 20_000;
/// Times to give way before sleeping.
const YIELDS: usize = 200;

/// Lets threads pass when all have come.
struct Gate {
    count: AtomicUsize,
    waiting: Waiting,
    arrived: AtomicUsize,
    /// Counts how often the gate has opened.
    opened: AtomicUsize,
    sleepers: AtomicUsize,
    bed: Mutex<()>,
    alarm: Condvar,
}

impl Gate {
    fn new(count: usize, waiting: Waiting) -> Gate {
        Gate {
            count: AtomicUsize::new(count),
            waiting,
            arrived: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            bed: Mutex::new(()),
            alarm: Condvar::new(),
        }
    }

    /// Changes how many must come. Only while one of them cannot have come yet.
    fn resize(&self, count: usize) {
        self.count.store(count, Ordering::SeqCst);
    }

    /// Waits until all have come, or `leave` says so (ask [`Gate::wake`] to have it asked again).
    fn wait(&self, leave: impl Fn() -> bool) {
        let opened = self.opened.load(Ordering::SeqCst);
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 == self.count.load(Ordering::SeqCst) {
            self.arrived.store(0, Ordering::SeqCst);
            self.opened.store(opened.wrapping_add(1), Ordering::SeqCst);
            self.wake();
            return;
        }
        let done = || self.opened.load(Ordering::Acquire) != opened || leave();
        if self.waiting.briefly(done) {
            return;
        }
        let mut bed = lock(&self.bed);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        // Asked again with the lock held and the sleeper counted: whoever opens the gate after this sees it.
        while self.opened.load(Ordering::SeqCst) == opened && !leave() {
            bed = uninterrupted(self.alarm.wait(bed));
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Wakes all that sleep at the gate.
    fn wake(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _bed = lock(&self.bed);
            self.alarm.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_run_and_meet() {
        for count in [1, 2, 3, 5] {
            let mut threads = Threads::new(count, Pinning::Cores).unwrap();
            let turns: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..20 {
                let barrier = std::ptr::from_ref(threads.barrier()) as usize;
                let each = |index: usize| {
                    // SAFETY: the barrier belongs to the pool, which outlives the run.
                    let barrier = unsafe { &*(barrier as *const Barrier) };
                    for _ in 0..10 {
                        let turn = turns[index].fetch_add(1, Ordering::Relaxed) + 1;
                        barrier.wait().unwrap();
                        assert!(turns.iter().all(|other| other.load(Ordering::Relaxed) == turn));
                        barrier.wait().unwrap();
                    }
                };
                threads.run(each).unwrap();
            }
            assert!(turns.iter().all(|turns| turns.load(Ordering::Relaxed) == 200));
        }
    }

    #[test]
    fn a_panic_ends_the_run_and_not_the_pool() {
        let mut threads = Threads::new(3, Pinning::Free).unwrap();
        for bad in 0..3 {
            let barrier = std::ptr::from_ref(threads.barrier()) as usize;
            let each = |index: usize| {
                // SAFETY: the barrier belongs to the pool, which outlives the run.
                let barrier = unsafe { &*(barrier as *const Barrier) };
                if index == bad {
                    // Late enough for the others to have gone to sleep.
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    panic!("thread {index} had enough");
                }
                assert_eq!(barrier.wait(), Err(Poisoned));
            };
            let panicked = threads.run(each).unwrap_err();
            assert_eq!(panicked, Panicked { thread: bad, message: format!("thread {bad} had enough") });
            let sum = AtomicUsize::new(0);
            threads
                .run(|index| {
                    sum.fetch_add(index, Ordering::Relaxed);
                })
                .unwrap();
            assert_eq!(sum.into_inner(), 3);
        }
    }
}
