//! A group of devices that carry out steps together.
//!
//! Each device is a [`Session`] with memory and threads of its own, and a worker that drives it; what they tell each other
//! goes through [`Channels`]. A single device is driven by the caller, so that it costs what a session costs.
//!
//! Nothing here hangs: waits for another device have a deadline, what fails on one device ends the step on all, and a
//! worker that does not come back is left behind.

mod error;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::channels::{Channels, Links, Trouble};
use crate::plan::{Layout, Plan};
use crate::program::{Channel, Piece, Program, Whole, runs};
use crate::session::{Clock, Executable, Memory, Session, SessionError};
use crate::tensor::Tensor;
use crate::threads::{Panicked, Pinning, Waiting, lock, message_of, settle};

pub use error::{Cause, Ended, GroupError};

/// A device to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// What it is called.
    pub name: String,
    /// Where its variables, or its parts of them, lie.
    pub layout: Layout,
}

/// How long one waits for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest that a device waits for another at a time.
    pub deadline: Duration,
    /// How much longer a worker may be silent before it is left behind.
    pub grace: Duration,
}

impl Default for Patience {
    /// Picked by feel: longer than what one device may compute while another waits, and than a machine may be suspended.
    fn default() -> Patience {
        Patience { deadline: Duration::from_secs(60), grace: Duration::from_secs(5) }
    }
}

/// Devices with their variables.
pub struct Group {
    members: Vec<Member>,
    variables: Vec<Whole>,
    by_name: HashMap<String, usize>,
    patience: Patience,
    waiting: Waiting,
    /// Why it cannot be used any more.
    broken: Option<String>,
}

struct Member {
    name: Arc<str>,
    session: Arc<Mutex<Session>>,
    /// None for a single device, and for one that was left behind.
    worker: Option<Worker>,
    lost: bool,
}

struct Worker {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

/// What a worker is to do with its session. It does not unwind.
type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// What a device does in a step.
type Part<T> = Box<dyn FnOnce(&mut Session) -> Result<T, SessionError> + Send>;

/// A program in memory. It belongs to the group that loaded it.
pub struct Loaded {
    executables: Vec<Arc<Executable>>,
    links: Vec<Channel>,
    channels: Arc<Channels>,
    inputs: Vec<Whole>,
    outputs: Vec<Whole>,
    /// The parts of inputs that devices read.
    cuts: Vec<Cut>,
    /// By device and input of its plan: an index into `cuts`.
    feeds: Vec<Vec<usize>>,
}

/// A part of an input, for all that read it.
struct Cut {
    /// Which input, and the part; none for what is not read.
    of: Option<(usize, Vec<Range<usize>>)>,
    /// Whether it is all of the input.
    all: bool,
    /// Where it is copied to.
    staged: Mutex<Arc<Tensor>>,
}

impl Group {
    /// Room for the variables, all zero, and so many threads in all: dealt out over the devices, at least one each.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(devices: Vec<Device>, variables: Vec<Whole>, threads: usize) -> Result<Group, GroupError> {
        let shares = shares(threads, devices.len());
        let total = shares.iter().sum();
        let (mut members, mut first) = (Vec::new(), 0);
        let alone = devices.len() == 1;
        for (device, share) in devices.into_iter().zip(shares) {
            let session = Session::pinned(device.layout, share, Pinning::Among { first, total })?;
            let session = Arc::new(Mutex::new(session));
            let worker = if alone { None } else { Some(Worker::new(&device.name, &session, first, total)?) };
            members.push(Member { name: device.name.into(), session, worker, lost: false });
            first += share;
        }
        let names = variables.iter().enumerate().map(|(i, variable)| (variable.name.clone(), i));
        let (by_name, waiting) = (names.collect(), Waiting::among(total));
        Ok(Group { members, variables, by_name, patience: Patience::default(), waiting, broken: None })
    }

    /// Changes how long one waits for a device.
    pub fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// The names of the devices.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }

    /// What each device has allocated; what programs have for their channels is not counted ([`Loaded::staging`]).
    ///
    /// # Errors
    /// When a device was left behind.
    pub fn memory(&self) -> Result<Vec<Memory>, GroupError> {
        (0..self.members.len()).map(|device| Ok(self.session(device)?.memory())).collect()
    }

    /// Where the variables are.
    pub fn variables(&self) -> &[Whole] {
        &self.variables
    }

    /// A variable's value, put together from its parts.
    ///
    /// # Errors
    /// When there is none of this name, or a device that has a part of it was left behind.
    pub fn get(&self, name: &str) -> Result<Tensor, GroupError> {
        let variable = self.variable(name)?;
        let mut value = Tensor::zeros(variable.dtype, &variable.shape);
        for piece in variable.apart() {
            gather(variable, piece, self.session(piece.device)?.variable(piece.index), &mut value);
        }
        Ok(value)
    }

    /// Sets a variable, wherever it or a part of it is.
    ///
    /// # Errors
    /// When there is none of this name, it has another dtype or shape, or a device that has a part of it was left behind.
    pub fn set(&mut self, name: &str, value: &Tensor) -> Result<(), GroupError> {
        let variable = self.variable(name)?;
        variable.fits(value)?;
        for piece in &variable.pieces {
            cut(variable, &piece.part, value, self.session(piece.device)?.variable_mut(piece.index));
        }
        Ok(())
    }

    fn variable(&self, name: &str) -> Result<&Whole, GroupError> {
        let found = self.by_name.get(name).map(|i| &self.variables[*i]);
        found.ok_or_else(|| GroupError::Session(SessionError::Unknown(name.to_owned())))
    }

    fn session(&self, device: usize) -> Result<MutexGuard<'_, Session>, GroupError> {
        let member = &self.members[device];
        if member.lost {
            return Err(GroupError::Broken(format!("device `{}` was left behind", member.name)));
        }
        Ok(lock(&member.session))
    }

    /// Puts a program's code into memory and makes room for its scratch and channels.
    ///
    /// # Errors
    /// When the program is not one of this group's, is damaged, or the system refuses.
    pub fn load(&mut self, program: Program) -> Result<Loaded, GroupError> {
        let damaged = |text| GroupError::Session(SessionError::Damaged(text));
        if program.plans.len() != self.members.len() {
            let (plans, devices) = (program.plans.len(), self.members.len());
            return Err(damaged(format!("it has {plans} plans for {devices} devices")));
        }
        if program.variables != self.variables {
            return Err(SessionError::Layout.into());
        }
        program.check().map_err(damaged)?;
        let Program { plans, channels: links, inputs, outputs, variables: _ } = program;
        let (cuts, feeds) = feeds(&plans, &inputs);
        let mut executables = Vec::new();
        for (device, plan) in plans.into_iter().enumerate() {
            executables.push(Arc::new(self.session(device)?.load(plan)?));
        }
        let channels = Arc::new(Channels::new(&links, self.waiting));
        Ok(Loaded { executables, links, channels, inputs, outputs, cuts, feeds })
    }

    /// Runs one step on all devices: variables change, outputs are returned in the program's order. Inputs that nothing
    /// reads may be missing.
    ///
    /// # Errors
    /// When an input is missing, unknown or does not fit, or a position is outside what it picks from: then the group
    /// stays as good as it was. When a device waited too long or failed: then it cannot be used any more.
    pub fn run(
        &mut self,
        program: &Loaded,
        seed: i64,
        step: i64,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Vec<Tensor>, GroupError> {
        let clock = Clock { seed, step };
        let given = program.given(inputs)?;
        if let [member] = &self.members[..] {
            let mut outputs = program.alone(member, &given, |session, executable, inputs| {
                session.run_linked(executable, clock, inputs, None)
            })?;
            if program.is_plain() {
                return Ok(outputs);
            }
            return Ok(program.collect(std::slice::from_mut(&mut outputs)));
        }
        let mut outputs = self.all(program, &given, move |session, executable, inputs, links| {
            session.run_linked(executable, clock, inputs, Some(links))
        })?;
        Ok(program.collect(&mut outputs))
    }

    /// Runs one step and returns, for each device, the seconds that its first thread spent in each step of its plan; see
    /// [`Session::time`].
    ///
    /// # Errors
    /// As for [`Group::run`].
    pub fn time(
        &mut self,
        program: &Loaded,
        seed: i64,
        step: i64,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Vec<Vec<f64>>, GroupError> {
        let clock = Clock { seed, step };
        let given = program.given(inputs)?;
        if let [member] = &self.members[..] {
            let times = program.alone(member, &given, |session, executable, inputs| {
                session.time_linked(executable, clock, inputs, None)
            })?;
            return Ok(vec![times]);
        }
        self.all(program, &given, move |session, executable, inputs, links| {
            session.time_linked(executable, clock, inputs, Some(links))
        })
    }

    /// Has every device do its part of a step.
    fn all<T: Send + 'static>(
        &mut self,
        program: &Loaded,
        given: &[Option<&Tensor>],
        each: impl Fn(&mut Session, &Executable, &[(&str, &Tensor)], &Links) -> Result<T, SessionError>
        + Copy
        + Send
        + 'static,
    ) -> Result<Vec<T>, GroupError> {
        // A worker that is left behind may still read its inputs, so they must not be the caller's.
        program.cuts.iter().for_each(|cut| cut.stage(&program.inputs, given));
        let part = |device: usize| -> Part<T> {
            let staged = |cut: &usize| Arc::clone(&lock(&program.cuts[*cut].staged));
            let tensors: Vec<Arc<Tensor>> = program.feeds[device].iter().map(staged).collect();
            let executable = Arc::clone(&program.executables[device]);
            let deadline = self.patience.deadline;
            let links = Links { channels: Arc::clone(&program.channels), device, deadline };
            Box::new(move |session: &mut Session| {
                let names = executable.plan.inputs.iter().map(|port| port.name.as_str());
                let inputs: Vec<(&str, &Tensor)> = names.zip(tensors.iter().map(|t| &**t)).collect();
                each(session, &executable, &inputs, &links)
            })
        };
        let parts = (0..self.members.len()).map(part).collect();
        self.together(&program.channels, &program.links, parts)
    }

    /// Has every worker do its part, and waits for all that come back.
    fn together<T: Send + 'static>(
        &mut self,
        channels: &Arc<Channels>,
        links: &[Channel],
        parts: Vec<Part<T>>,
    ) -> Result<Vec<T>, GroupError> {
        if let Some(broken) = &self.broken {
            return Err(GroupError::Broken(broken.clone()));
        }
        let (reply, replies) = mpsc::channel();
        for (device, (member, part)) in self.members.iter().zip(parts).enumerate() {
            let job = job(device, Arc::clone(channels), part, reply.clone());
            let worker = member.worker.as_ref().expect("a group that lost a worker is broken");
            worker.jobs.send(job).expect("a worker ends only when it is told to");
        }
        drop(reply);
        let done = self.wait_for_all(channels, &replies);
        for (member, _) in self.members.iter_mut().zip(&done).filter(|(_, done)| done.is_none()) {
            member.lost = true;
            // Nobody waits for its end.
            member.worker = None;
        }
        if let Some(trouble) = channels.take_trouble() {
            let ended = self.ended(trouble, links);
            self.broken = Some(ended.to_string());
            return Err(GroupError::Ended(Box::new(ended)));
        }
        let mut results = Vec::with_capacity(done.len());
        for (device, done) in done.into_iter().enumerate() {
            results
                .push(done.expect("without trouble all come back").map_err(|error| self.of(device, error))?);
        }
        Ok(results)
    }

    /// What the workers reply; `None` for those that are left behind.
    fn wait_for_all<T>(
        &self,
        channels: &Channels,
        replies: &mpsc::Receiver<(usize, Result<T, SessionError>)>,
    ) -> Vec<Option<Result<T, SessionError>>> {
        let Patience { deadline, grace } = self.patience;
        let look = (grace / 8).max(Duration::from_millis(1));
        let mut done: Vec<Option<Result<T, SessionError>>> = self.members.iter().map(|_| None).collect();
        let (mut heard, mut passed, mut ended) = (Instant::now(), channels.passed(), None);
        while let Some(device) = done.iter().position(Option::is_none) {
            match replies.recv_timeout(look) {
                Ok((device, result)) => {
                    done[device] = Some(result);
                    heard = Instant::now();
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if channels.has_ended() => {
                    if ended.get_or_insert_with(Instant::now).elapsed() >= grace {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if std::mem::replace(&mut passed, channels.passed()) != passed {
                        heard = Instant::now();
                    }
                    if heard.elapsed() >= deadline + grace {
                        channels.end(Trouble::Silent { device, waited: heard.elapsed() });
                    }
                }
            }
        }
        done
    }

    fn ended(&self, trouble: Trouble, links: &[Channel]) -> Ended {
        let name = |device: usize| Arc::clone(&self.members[device].name);
        let cause = match trouble {
            Trouble::Stalled(stalled) => {
                let Channel { from, to, .. } = links[stalled.channel];
                let other = if stalled.device == from { to } else { from };
                Cause::Stalled { device: name(stalled.device), other: name(other), stalled }
            }
            Trouble::Failed { device, error } => Cause::Failed { device: name(device), error },
            Trouble::Silent { device, waited } => Cause::Silent { device: name(device), waited },
        };
        let lost = self.members.iter().filter(|member| member.lost).map(|member| Arc::clone(&member.name));
        Ended { cause, lost: lost.collect() }
    }

    /// What went wrong on a device, and not with the group.
    fn of(&self, device: usize, error: SessionError) -> GroupError {
        named(&self.members[device].name, error)
    }
}

fn named(device: &Arc<str>, error: SessionError) -> GroupError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only one of them is told apart")]
    match error {
        SessionError::Index(bad) => GroupError::Index { device: Arc::clone(device), bad },
        other => GroupError::Session(other),
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for Worker { jobs, thread } in self.members.iter_mut().filter_map(|member| member.worker.take()) {
            drop(jobs);
            // Workers catch panics, and a destructor has nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn new(
        name: &str,
        session: &Arc<Mutex<Session>>,
        core: usize,
        total: usize,
    ) -> Result<Worker, SessionError> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let session = Arc::clone(session);
        let builder = std::thread::Builder::new().name(format!("strata-{name}"));
        let work = move || {
            settle(core, total);
            todo.into_iter().for_each(|job| job(&mut lock(&session)));
        };
        let thread = builder.spawn(work).map_err(SessionError::System)?;
        Ok(Worker { jobs, thread })
    }
}

/// A device's part as a job that ends the step for all if it fails, and replies in any case.
fn job<T: Send + 'static>(
    device: usize,
    channels: Arc<Channels>,
    part: Part<T>,
    reply: mpsc::Sender<(usize, Result<T, SessionError>)>,
) -> Job {
    Box::new(move |session| {
        let done = catch_unwind(AssertUnwindSafe(|| part(session))).unwrap_or_else(|payload| {
            let message = message_of(&*payload);
            // A payload may panic when dropped; that must not leave this function.
            std::mem::forget(payload);
            Err(SessionError::Kernel(Panicked { thread: 0, message }))
        });
        let done = match done {
            // After a position that is outside a device goes on to the end of its step, so nobody waits for it.
            Ok(_) | Err(SessionError::Index(_) | SessionError::Left) => done,
            Err(error) => {
                channels.end(Trouble::Failed { device, error });
                Err(SessionError::Left)
            }
        };
        // Whoever does not listen any more has left this device behind.
        let _ = reply.send((device, done));
    })
}

/// How many threads each device gets of so many: at least one each.
pub fn shares(threads: usize, devices: usize) -> Vec<usize> {
    let cut = |device: usize| threads * device / devices;
    (0..devices).map(|device| (cut(device + 1) - cut(device)).max(1)).collect()
}

/// The parts of inputs that devices read, and which of them each input of each plan is.
fn feeds(plans: &[Plan], inputs: &[Whole]) -> (Vec<Cut>, Vec<Vec<usize>>) {
    let mut cuts: Vec<Cut> = Vec::new();
    let mut known: HashMap<(usize, &[Range<usize>]), usize> = HashMap::new();
    let mut feeds: Vec<Vec<Option<usize>>> = plans.iter().map(|plan| vec![None; plan.inputs.len()]).collect();
    for (i, whole) in inputs.iter().enumerate() {
        for piece in &whole.pieces {
            let cut = *known.entry((i, &piece.part)).or_insert_with(|| {
                let shape: Vec<usize> = piece.part.iter().map(Range::len).collect();
                let staged = Mutex::new(Arc::new(Tensor::zeros(whole.dtype, &shape)));
                cuts.push(Cut { of: Some((i, piece.part.clone())), all: whole.is_all(piece), staged });
                cuts.len() - 1
            });
            feeds[piece.device][piece.index] = Some(cut);
        }
    }
    let mut stand_in = |plan: &Plan, input: usize| {
        let buffer = plan.buffer(plan.inputs[input].buffer);
        let staged = Mutex::new(Arc::new(Tensor::zeros(buffer.dtype, &buffer.shape)));
        cuts.push(Cut { of: None, all: false, staged });
        cuts.len() - 1
    };
    let feeds = feeds.into_iter().zip(plans).map(|(feeds, plan)| {
        feeds.into_iter().enumerate().map(|(i, cut)| cut.unwrap_or_else(|| stand_in(plan, i))).collect()
    });
    let feeds = feeds.collect();
    (cuts, feeds)
}

impl Cut {
    /// Copies the part out of what the caller has given.
    fn stage(&self, inputs: &[Whole], given: &[Option<&Tensor>]) {
        let Some((input, part)) = &self.of else { return };
        let value = given[*input].expect("what is read is given");
        let mut staged = lock(&self.staged);
        if Arc::get_mut(&mut staged).is_none() {
            *staged = Arc::new(Tensor::zeros(staged.dtype(), staged.shape()));
        }
        let room = Arc::get_mut(&mut staged).expect("it is new");
        cut(&inputs[*input], part, value, room.bytes_mut());
    }
}

impl Loaded {
    /// The plans of the devices.
    pub fn plans(&self) -> impl ExactSizeIterator<Item = &Plan> {
        self.executables.iter().map(|executable| &executable.plan)
    }

    /// What the caller gets.
    pub fn outputs(&self) -> &[Whole] {
        &self.outputs
    }

    /// What the caller supplies: what has no piece need not be.
    pub fn inputs(&self) -> &[Whole] {
        &self.inputs
    }

    /// The channels, and how many bytes have been sent by each since the program was loaded.
    pub fn sent(&self) -> impl Iterator<Item = (&Channel, u64)> {
        self.links.iter().zip(self.channels.sent())
    }

    /// The channels, and how many bytes are allocated for what waits in each.
    pub fn staging(&self) -> impl Iterator<Item = (&Channel, usize)> {
        self.links.iter().zip(self.channels.staging())
    }

    /// What is given for each input.
    fn given<'t>(&self, inputs: &[(&str, &'t Tensor)]) -> Result<Vec<Option<&'t Tensor>>, SessionError> {
        let known: HashSet<&str> = self.inputs.iter().map(|input| input.name.as_str()).collect();
        if let Some((name, _)) = inputs.iter().find(|(name, _)| !known.contains(name)) {
            return Err(SessionError::Unknown((*name).to_owned()));
        }
        let given = |whole: &Whole| {
            let found = inputs.iter().find(|(name, _)| *name == whole.name).map(|(_, tensor)| *tensor);
            if whole.pieces.is_empty() {
                return Ok(None);
            }
            let tensor = found.ok_or_else(|| SessionError::Missing(whole.name.clone()))?;
            whole.fits(tensor)?;
            Ok(Some(tensor))
        };
        self.inputs.iter().map(given).collect()
    }

    /// Has the only device do a step, here and with the caller's tensors where they are read whole.
    fn alone<T>(
        &self,
        member: &Member,
        given: &[Option<&Tensor>],
        run: impl FnOnce(&mut Session, &Executable, &[(&str, &Tensor)]) -> Result<T, SessionError>,
    ) -> Result<T, GroupError> {
        let read = |cut: &usize| -> (Option<&Tensor>, Arc<Tensor>) {
            let cut = &self.cuts[*cut];
            let whole = cut.of.as_ref().filter(|_| cut.all).and_then(|(input, _)| given[*input]);
            if whole.is_none() {
                cut.stage(&self.inputs, given);
            }
            (whole, Arc::clone(&lock(&cut.staged)))
        };
        let executable = &self.executables[0];
        let tensors: Vec<_> = self.feeds[0].iter().map(read).collect();
        let names = executable.plan.inputs.iter().map(|port| port.name.as_str());
        let tensors = tensors.iter().map(|(whole, staged)| whole.unwrap_or(staged));
        let inputs: Vec<(&str, &Tensor)> = names.zip(tensors).collect();
        run(&mut lock(&member.session), executable, &inputs).map_err(|error| named(&member.name, error))
    }

    /// Whether the outputs are those of a single plan as they are.
    fn is_plain(&self) -> bool {
        let plain = |(i, whole): (usize, &Whole)| match &whole.pieces[..] {
            [piece] => piece.index == i && whole.is_all(piece),
            _ => false,
        };
        self.executables[0].plan.outputs.len() == self.outputs.len()
            && self.outputs.iter().enumerate().all(plain)
    }

    /// Puts the outputs of all devices together.
    fn collect(&self, outputs: &mut [Vec<Tensor>]) -> Vec<Tensor> {
        let mut users: HashMap<(usize, usize), usize> = HashMap::new();
        for piece in self.outputs.iter().flat_map(Whole::apart) {
            *users.entry((piece.device, piece.index)).or_default() += 1;
        }
        let mut put_together = |whole: &Whole| {
            let apart = whole.apart();
            if let [piece] = apart[..] {
                let made = &mut outputs[piece.device][piece.index];
                if users[&(piece.device, piece.index)] > 1 {
                    return made.clone();
                }
                return std::mem::replace(made, Tensor::zeros(whole.dtype, &[0]));
            }
            let mut value = Tensor::zeros(whole.dtype, &whole.shape);
            apart.into_iter().for_each(|piece| {
                gather(whole, piece, outputs[piece.device][piece.index].bytes(), &mut value);
            });
            value
        };
        self.outputs.iter().map(&mut put_together).collect()
    }
}

impl Whole {
    /// Whether a tensor is what it should be.
    fn fits(&self, value: &Tensor) -> Result<(), SessionError> {
        crate::session::fits(&self.name, self.dtype, &self.shape, value)
    }
}

/// Copies a part of a whole tensor to where it lies on its own.
fn cut(whole: &Whole, part: &[Range<usize>], value: &Tensor, to: &mut [u8]) {
    let size = whole.dtype.bytes();
    runs(&whole.shape, part, |from, at, elements| {
        to[at * size..(at + elements) * size]
            .copy_from_slice(&value.bytes()[from * size..(from + elements) * size]);
    });
}

/// Copies a part that lies on its own to where it belongs.
fn gather(whole: &Whole, piece: &Piece, from: &[u8], value: &mut Tensor) {
    let size = whole.dtype.bytes();
    let to = value.bytes_mut();
    runs(&whole.shape, &piece.part, |at, start, elements| {
        to[at * size..(at + elements) * size].copy_from_slice(&from[start * size..(start + elements) * size]);
    });
}
