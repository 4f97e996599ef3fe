//! Runs plans: owns the memory and the threads, and carries variables from step to step.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::channels::Links;
use crate::code::Code;
use crate::faults::{BadIndex, Faults};
use crate::kernels::{TABLE, Table, table};
use crate::plan::{ALIGN, Buffer, Layout, Place, Plan, VERSION};
use crate::tensor::{DType, Tensor};
use crate::threads::{Barrier, Panicked, Pinning, Threads};

/// What changes from step to step.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The run's seed.
    pub seed: i64,
    /// Updates applied before the step.
    pub step: i64,
}

/// What one thread's run of a step program is given. Generated code reads it by the offsets of its fields.
#[repr(C)]
pub struct Frame {
    /// The kernels.
    pub table: *const Table,
    /// The first byte of the plan's code.
    pub code: *const u8,
    /// The arena of variables.
    pub variables: *mut u8,
    /// The scratch arena.
    pub scratch: *mut u8,
    /// This thread's own scratch.
    pub local: *mut u8,
    /// The plan's read-only bytes.
    pub data: *const u8,
    /// Where each input lies.
    pub inputs: *const *const u8,
    /// Seed and step.
    pub clock: *const Clock,
    /// Where threads wait for each other.
    pub barrier: *const Barrier,
    /// This thread's number.
    pub thread: u64,
    /// How many there are.
    pub threads: u64,
    /// Called before each step with its number in [`Plan::all_steps`], and after the last, if it is not null.
    pub tick: Option<unsafe extern "C" fn(*const Frame, u64)>,
    /// For `tick`.
    pub ticks: *const Ticks,
    /// Where kernels note what is wrong with their numbers.
    pub faults: *const Faults,
    /// The ends of channels to other devices; null where there are none.
    pub links: *const Links,
}

/// The step program.
pub type Entry = unsafe extern "C" fn(*const Frame);

/// What `tick` writes: how long each step took on this thread, all turns together.
pub struct Ticks {
    origin: Instant,
    /// The step that is running, and when it began, in nanoseconds since `origin`.
    running: AtomicU64,
    since: AtomicU64,
    /// Nanoseconds of each step.
    taken: Vec<AtomicU64>,
}

/// Why a plan cannot be loaded or run.
#[derive(Debug)]
pub enum SessionError {
    /// The plan was made for another format or another table of kernels.
    Version {
        /// What the plan says.
        found: u64,
        /// What this runtime knows.
        known: u64,
    },
    /// The plan lays the variables out differently.
    Layout,
    /// There is no variable, or input, of this name.
    Unknown(String),
    /// An input was not supplied.
    Missing(String),
    /// A tensor does not fit.
    Mismatch {
        /// The variable or input.
        name: String,
        /// Dtype and shape that are needed.
        expected: (DType, Vec<usize>),
        /// Dtype and shape that were supplied.
        found: (DType, Vec<usize>),
    },
    /// The plan is damaged: an offset leads outside.
    Damaged(String),
    /// The system gave no memory, threads, or leave to run code.
    System(std::io::Error),
    /// A kernel failed.
    Kernel(Panicked),
    /// A position was outside the axis that it counts. Variables may have been changed by numbers that mean nothing.
    Index(BadIndex),
    /// The plan sends or receives, and has no other device beside it.
    Alone,
    /// The step ended before its end, since something went wrong on this device or another.
    Left,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::Version { found, known } => {
                write!(f, "the plan is of version {found}, this program knows {known}")
            }
            SessionError::Layout => write!(f, "the plan was made for other variables"),
            SessionError::Unknown(name) => write!(f, "there is no `{name}`"),
            SessionError::Missing(name) => write!(f, "the input `{name}` is missing"),
            SessionError::Mismatch { name, expected, found } => write!(
                f,
                "`{name}` should be {}{:?}, but is {}{:?}",
                expected.0, expected.1, found.0, found.1
            ),
            SessionError::Damaged(what) => write!(f, "the plan is damaged: {what}"),
            SessionError::System(error) => write!(f, "the system refuses: {error}"),
            SessionError::Kernel(panicked) => write!(f, "{panicked}"),
            SessionError::Index(bad) => write!(f, "{bad}"),
            SessionError::Alone => write!(f, "the plan is for one of several devices"),
            SessionError::Left => write!(f, "{}", crate::channels::Left),
        }
    }
}

impl std::error::Error for SessionError {}

/// Bytes that a session has allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// For variables.
    pub variables: usize,
    /// For what a step keeps until something reads it.
    pub scratch: usize,
    /// For what threads have to themselves, all threads together.
    pub local: usize,
}

/// Bytes that are allocated where so many are needed: whole blocks, and at least one, so that there always is an address.
pub const fn room(bytes: usize) -> usize {
    let blocks = bytes.div_ceil(ALIGN);
    if blocks == 0 { ALIGN } else { blocks * ALIGN }
}

/// Bytes at a multiple of [`ALIGN`].
struct Arena {
    /// Whole blocks, so that the first is aligned.
    blocks: Vec<AlignedBlock>,
}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct AlignedBlock([u8; ALIGN]);

impl Arena {
    fn zeroed(bytes: usize) -> Arena {
        Arena { blocks: vec![AlignedBlock([0; ALIGN]); room(bytes) / ALIGN] }
    }

    fn bytes(&self) -> usize {
        self.blocks.len() * ALIGN
    }

    fn address(&mut self) -> *mut u8 {
        self.blocks.as_mut_ptr().cast()
    }

    fn part(&self, offset: usize, bytes: usize) -> &[u8] {
        // SAFETY: blocks are plain bytes without padding; the slice below checks the bounds.
        let all = unsafe { std::slice::from_raw_parts(self.blocks.as_ptr().cast::<u8>(), self.bytes()) };
        &all[offset..offset + bytes]
    }

    fn part_mut(&mut self, offset: usize, bytes: usize) -> &mut [u8] {
        let len = self.bytes();
        // SAFETY: as above, and the borrow is exclusive.
        let all = unsafe { std::slice::from_raw_parts_mut(self.address(), len) };
        &mut all[offset..offset + bytes]
    }
}

/// A plan whose code is in memory. It belongs to the session that loaded it.
pub struct Executable {
    /// The plan.
    pub plan: Plan,
    code: Code,
    entry: Entry,
    data: Arena,
    /// Whether it sends or receives.
    transfers: bool,
}

/// Memory for variables and scratch, and the threads that run steps.
pub struct Session {
    layout: Layout,
    variables: Arena,
    scratch: Arena,
    locals: Vec<Arena>,
    threads: Threads,
}

impl Session {
    /// Room for the variables of `layout`, all zero, and so many threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(layout: Layout, threads: usize) -> Result<Session, SessionError> {
        Session::pinned(layout, threads, Pinning::Cores)
    }

    /// The same, with threads that run where `pinning` says.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn pinned(layout: Layout, threads: usize, pinning: Pinning) -> Result<Session, SessionError> {
        let threads = Threads::new(threads, pinning).map_err(SessionError::System)?;
        let locals = (0..threads.count()).map(|_| Arena::zeroed(0)).collect();
        let variables = Arena::zeroed(layout.bytes);
        Ok(Session { layout, variables, scratch: Arena::zeroed(0), locals, threads })
    }

    /// Where the variables lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// What is allocated.
    pub fn memory(&self) -> Memory {
        let local = self.locals.iter().map(Arena::bytes).sum();
        Memory { variables: self.variables.bytes(), scratch: self.scratch.bytes(), local }
    }

    /// A copy of a variable's value.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn get(&self, name: &str) -> Result<Tensor, SessionError> {
        let slot = self.layout.slot(name).ok_or_else(|| SessionError::Unknown(name.to_owned()))?;
        let bytes = self.variables.part(slot.offset, slot.bytes());
        Ok(Tensor::from_bytes(slot.dtype, &slot.shape, bytes).expect("a slot has as many bytes as its shape"))
    }

    /// Sets a variable.
    ///
    /// # Errors
    /// When there is none of this name, or it has another dtype or shape.
    pub fn set(&mut self, name: &str, value: &Tensor) -> Result<(), SessionError> {
        let slot = self.layout.slot(name).ok_or_else(|| SessionError::Unknown(name.to_owned()))?;
        fits(name, slot.dtype, &slot.shape, value)?;
        self.variables.part_mut(slot.offset, slot.bytes()).copy_from_slice(value.bytes());
        Ok(())
    }

    /// The bytes of a variable, by its number in the layout.
    pub(crate) fn variable(&self, slot: usize) -> &[u8] {
        let slot = &self.layout.slots[slot];
        self.variables.part(slot.offset, slot.bytes())
    }

    /// The same, to be changed.
    pub(crate) fn variable_mut(&mut self, slot: usize) -> &mut [u8] {
        let slot = &self.layout.slots[slot];
        self.variables.part_mut(slot.offset, slot.bytes())
    }

    /// Puts a plan's code into memory and makes room for its scratch.
    ///
    /// # Errors
    /// When the plan is of another version, made for other variables, or damaged, or the system refuses.
    pub fn load(&mut self, plan: Plan) -> Result<Executable, SessionError> {
        check(&plan, &self.layout)?;
        let code = Code::load(&plan.code).map_err(SessionError::System)?;
        // SAFETY: the plan's maker vouches that a program begins there; it lives beside the code.
        let entry = unsafe { code.function::<Entry>(plan.entry) };
        let entry = entry.ok_or_else(|| SessionError::Damaged("it has no program".to_owned()))?;
        if plan.scratch > self.scratch.bytes() {
            self.scratch = Arena::zeroed(plan.scratch);
        }
        for local in &mut self.locals {
            if plan.local > local.bytes() {
                *local = Arena::zeroed(plan.local);
            }
        }
        let mut data = Arena::zeroed(plan.data.len());
        data.part_mut(0, plan.data.len()).copy_from_slice(&plan.data);
        let transfers = !plan.transfers().is_empty();
        Ok(Executable { plan, code, entry, data, transfers })
    }

    /// Runs one step: variables change, outputs are returned in the plan's order.
    ///
    /// # Errors
    /// When an input is missing, unknown or does not fit, a position is outside what it picks from, or a kernel
    /// failed.
    pub fn run(
        &mut self,
        executable: &Executable,
        seed: i64,
        step: i64,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Vec<Tensor>, SessionError> {
        self.run_linked(executable, Clock { seed, step }, inputs, None)
    }

    /// Runs one step of one device of several.
    ///
    /// # Errors
    /// As for [`Session::run`], and when the step ended for all devices.
    pub fn run_linked(
        &mut self,
        executable: &Executable,
        clock: Clock,
        inputs: &[(&str, &Tensor)],
        links: Option<&Links>,
    ) -> Result<Vec<Tensor>, SessionError> {
        self.execute(executable, clock, inputs, links, None)?;
        Ok(executable
            .plan
            .outputs
            .iter()
            .map(|port| self.read(executable.plan.buffer(port.buffer), inputs, executable))
            .collect())
    }

    /// Runs one step and returns the seconds that the first thread spent in each step of [`Plan::all_steps`], in
    /// all turns together; what is counted within a loop is not counted with the loop.
    ///
    /// # Errors
    /// As for [`Session::run`].
    pub fn time(
        &mut self,
        executable: &Executable,
        seed: i64,
        step: i64,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Vec<f64>, SessionError> {
        self.time_linked(executable, Clock { seed, step }, inputs, None)
    }

    /// Times one step of one device of several.
    ///
    /// # Errors
    /// As for [`Session::run_linked`].
    pub fn time_linked(
        &mut self,
        executable: &Executable,
        clock: Clock,
        inputs: &[(&str, &Tensor)],
        links: Option<&Links>,
    ) -> Result<Vec<f64>, SessionError> {
        let steps = executable.plan.all_steps().len();
        let ticks = Ticks {
            origin: Instant::now(),
            running: AtomicU64::new(steps as u64),
            since: AtomicU64::new(0),
            taken: (0..steps).map(|_| AtomicU64::new(0)).collect(),
        };
        self.execute(executable, clock, inputs, links, Some(&ticks))?;
        Ok(ticks.taken.iter().map(|t| t.load(Ordering::Relaxed) as f64 * 1e-9).collect())
    }

    fn execute(
        &mut self,
        executable: &Executable,
        clock: Clock,
        inputs: &[(&str, &Tensor)],
        links: Option<&Links>,
        ticks: Option<&Ticks>,
    ) -> Result<(), SessionError> {
        if executable.transfers && links.is_none() {
            return Err(SessionError::Alone);
        }
        let addresses = addresses(&executable.plan, inputs)?;
        let faults = Faults::default();
        let shared = Shared {
            code: executable.code.bytes().as_ptr(),
            variables: self.variables.address(),
            scratch: self.scratch.address(),
            locals: self.locals.iter_mut().map(Arena::address).collect(),
            data: executable.data.blocks.as_ptr().cast(),
            inputs: addresses.as_ptr(),
            clock: &clock,
            ticks,
            threads: self.threads.count() as u64,
            barrier: std::ptr::null(),
            faults: &faults,
            links,
        };
        let shared = Shared { barrier: self.threads.barrier(), ..shared };
        let entry = executable.entry;
        self.threads
            .run(|thread| {
                let frame = shared.frame(thread);
                // SAFETY: `load` made the arenas as large as the plan says, inputs have been checked, and the
                // plan's barriers keep threads from touching what another writes.
                unsafe { entry(&frame) }
                if shared.has_ended() {
                    shared.release();
                }
            })
            .map_err(SessionError::Kernel)?;
        if shared.has_ended() {
            return Err(SessionError::Left);
        }
        faults.into_first().map_or(Ok(()), |bad| Err(SessionError::Index(bad)))
    }

    /// A copy of a buffer.
    fn read(&self, buffer: &Buffer, inputs: &[(&str, &Tensor)], executable: &Executable) -> Tensor {
        let bytes = match buffer.place {
            Place::Variable(offset) => self.variables.part(offset, buffer.bytes()),
            Place::Scratch(offset) => self.scratch.part(offset, buffer.bytes()),
            Place::Input(i, _) => {
                let name = &executable.plan.inputs[i].name;
                let found = inputs.iter().find(|(n, _)| n == name);
                found.expect("inputs were checked before the step").1.bytes()
            }
            Place::Clock(_) => unreachable!("the clock is copied before it is an output"),
        };
        Tensor::from_bytes(buffer.dtype, &buffer.shape, bytes)
            .expect("a buffer has as many bytes as its shape")
    }
}

/// What the frames of all threads have in common.
struct Shared<'a> {
    code: *const u8,
    variables: *mut u8,
    scratch: *mut u8,
    locals: Vec<*mut u8>,
    data: *const u8,
    inputs: *const *const u8,
    clock: &'a Clock,
    ticks: Option<&'a Ticks>,
    threads: u64,
    barrier: *const Barrier,
    faults: &'a Faults,
    links: Option<&'a Links>,
}

// SAFETY: the addresses lead to memory that outlives the run; who may touch what when is the plan's promise.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    /// Whether the step has ended for all devices.
    fn has_ended(&self) -> bool {
        self.links.is_some_and(|links| links.channels.has_ended())
    }

    /// Ends the waiting of this device's threads: the first has left the step.
    fn release(&self) {
        // SAFETY: the barrier belongs to the pool that runs this.
        unsafe { &*self.barrier }.poison();
    }

    fn frame(&self, thread: usize) -> Frame {
        let ticks = self.ticks.filter(|_| thread == 0);
        Frame {
            table: &TABLE,
            code: self.code,
            variables: self.variables,
            scratch: self.scratch,
            local: self.locals[thread],
            data: self.data,
            inputs: self.inputs,
            clock: self.clock,
            barrier: self.barrier,
            thread: thread as u64,
            threads: self.threads,
            tick: ticks.map(|_| tick as unsafe extern "C" fn(*const Frame, u64)),
            ticks: ticks.map_or(std::ptr::null(), std::ptr::from_ref),
            faults: self.faults,
            links: self.links.map_or(std::ptr::null(), std::ptr::from_ref),
        }
    }
}

/// Notes that a step begins, and so that the one before has ended.
unsafe extern "C" fn tick(frame: *const Frame, index: u64) {
    // SAFETY: the program hands on its frame, whose ticks are there wherever this function is.
    let ticks = unsafe { &*(*frame).ticks };
    let now = ticks.origin.elapsed().as_nanos() as u64;
    let (before, since) =
        (ticks.running.swap(index, Ordering::Relaxed), ticks.since.swap(now, Ordering::Relaxed));
    if let Some(taken) = ticks.taken.get(before as usize) {
        taken.fetch_add(now - since, Ordering::Relaxed);
    }
}

/// Whether a tensor is what a name needs.
pub(crate) fn fits(name: &str, dtype: DType, shape: &[usize], value: &Tensor) -> Result<(), SessionError> {
    if value.dtype() == dtype && value.shape() == shape {
        return Ok(());
    }
    Err(SessionError::Mismatch {
        name: name.to_owned(),
        expected: (dtype, shape.to_vec()),
        found: (value.dtype(), value.shape().to_vec()),
    })
}

/// Where the inputs lie, in the plan's order.
fn addresses(plan: &Plan, inputs: &[(&str, &Tensor)]) -> Result<Vec<*const u8>, SessionError> {
    if let Some((name, _)) = inputs.iter().find(|(name, _)| plan.inputs.iter().all(|p| p.name != *name)) {
        return Err(SessionError::Unknown((*name).to_owned()));
    }
    let address = |port: &crate::plan::Port| {
        let found = inputs.iter().find(|(name, _)| *name == port.name);
        let (name, tensor) = found.ok_or_else(|| SessionError::Missing(port.name.clone()))?;
        let buffer = plan.buffer(port.buffer);
        fits(name, buffer.dtype, &buffer.shape, tensor)?;
        Ok(tensor.bytes().as_ptr())
    };
    plan.inputs.iter().map(address).collect()
}

/// Whether a plan can be run here, as far as can be seen without running it.
fn check(plan: &Plan, layout: &Layout) -> Result<(), SessionError> {
    for (found, known) in [(u64::from(plan.version), u64::from(VERSION)), (plan.table, table::VERSION)] {
        if found != known {
            return Err(SessionError::Version { found, known });
        }
    }
    if plan.layout != *layout {
        return Err(SessionError::Layout);
    }
    for (i, buffer) in plan.buffers.iter().enumerate() {
        let (at, room) = match buffer.place {
            Place::Variable(offset) => (offset, layout.bytes),
            Place::Scratch(offset) => (offset, plan.scratch),
            Place::Input(input, offset) => {
                let input = plan.inputs.get(input).and_then(|port| plan.buffers.get(port.buffer.0 as usize));
                (offset, input.map_or(0, Buffer::bytes))
            }
            Place::Clock(offset) => (offset, size_of::<Clock>()),
        };
        let (first, end) = (at as i64 + buffer.reach().start, at as i64 + buffer.reach().end);
        if first < 0 || end > room as i64 {
            return Err(SessionError::Damaged(format!("buffer {i} lies at {first} to {end} of {room}")));
        }
    }
    let ports = plan.inputs.iter().chain(&plan.outputs);
    if let Some(port) = ports.into_iter().find(|p| p.buffer.0 as usize >= plan.buffers.len()) {
        return Err(SessionError::Damaged(format!("`{}` has no buffer", port.name)));
    }
    Ok(())
}
