//! What a machine can be told to do: buffers, steps over them, and the machine code that carries the steps out.
//!
//! A plan is plain data. It holds no address and no pointer, so the process that made it, another one or a
//! program built ahead of time can load it. Ids of origins are opaque here: the compiler keeps the table that
//! leads from them to names and lines.

use std::fmt;
use std::ops::Range;

use crate::tensor::DType;

/// The version of this format. Whoever loads a plan refuses another.
pub const VERSION: u32 = 3;

/// Alignment in bytes of every tensor in an arena.
pub const ALIGN: usize = 64;

/// Where the variables of a model lie in their arena; the same for every plan of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    /// One entry a variable, in the model's order.
    pub slots: Vec<Slot>,
    /// Size of the arena in bytes.
    pub bytes: usize,
}

/// One variable in the arena.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Slot {
    /// Full name.
    pub name: String,
    /// What an element is stored as.
    pub dtype: DType,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Bytes from the arena's start.
    pub offset: usize,
}

impl Slot {
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bytes()
    }
}

impl Layout {
    /// Variables one after the other in the order given, each at a multiple of [`ALIGN`].
    pub fn new(variables: impl IntoIterator<Item = (String, DType, Vec<usize>)>) -> Layout {
        let mut layout = Layout::default();
        for (name, dtype, shape) in variables {
            let slot = Slot { name, dtype, shape, offset: layout.bytes };
            layout.bytes += slot.bytes().next_multiple_of(ALIGN);
            layout.slots.push(slot);
        }
        layout
    }

    /// The slot of the variable called `name`.
    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|s| s.name == name)
    }
}

/// Everything that one step of a model needs, for one binding of its free axes.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// [`VERSION`] of whoever made it.
    pub version: u32,
    /// Version of the table of kernels that the code calls through.
    pub table: u64,
    /// Where the variables lie.
    pub layout: Layout,
    /// All buffers; a [`BufferId`] is an index.
    pub buffers: Vec<Buffer>,
    /// What the caller supplies.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<Port>,
    /// What happens, in this order.
    pub steps: Vec<Step>,
    /// Read-only bytes: descriptors of kernels.
    pub data: Vec<u8>,
    /// Size of the scratch arena in bytes: exactly what is allocated.
    pub scratch: usize,
    /// The most bytes of scratch values that are alive at once: no arrangement needs less.
    pub live: usize,
    /// Bytes of scratch that each thread has to itself.
    pub local: usize,
    /// Position-independent machine code.
    pub code: Vec<u8>,
    /// Where functions lie in `code`.
    pub functions: Vec<Function>,
    /// Where the step program begins in `code`: an [`crate::session::Entry`].
    pub entry: usize,
}

/// An index into `Plan::buffers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct BufferId(pub u32);

/// A tensor in memory, row-major.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Buffer {
    /// What an element is stored as.
    pub dtype: DType,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Where it lies; within loops, in the turns of index 0.
    pub place: Place,
    /// How it moves with the loops around, from the outermost; empty for what lies still.
    pub moves: Vec<Move>,
}

impl Buffer {
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bytes()
    }

    /// The bytes that it covers in its turns, counted from where it lies in the turns of index 0.
    pub fn reach(&self) -> Range<i64> {
        let far = self.moves.iter().map(|m| m.bytes * (m.turns as i64 - 1).max(0));
        let (down, up): (Vec<i64>, Vec<i64>) = far.partition(|far| *far < 0);
        down.iter().sum::<i64>()..up.iter().sum::<i64>() + self.bytes() as i64
    }
}

/// How a buffer moves with a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Move {
    /// Number of turns of the loop.
    pub turns: usize,
    /// Bytes from where it lies in one turn to where it lies in the turn of the next index.
    pub bytes: i64,
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// So many bytes into the arena of variables.
    Variable(usize),
    /// So many bytes into the scratch arena.
    Scratch(usize),
    /// The tensor supplied for this entry of `Plan::inputs`, and so many bytes into it.
    Input(usize, usize),
    /// So many bytes into the clock: the seed at 0, the step at 8.
    Clock(usize),
}

impl Place {
    /// The place so many bytes further on.
    pub fn forward(self, bytes: usize) -> Place {
        match self {
            Place::Variable(at) => Place::Variable(at + bytes),
            Place::Scratch(at) => Place::Scratch(at + bytes),
            Place::Input(input, at) => Place::Input(input, at + bytes),
            Place::Clock(at) => Place::Clock(at + bytes),
        }
    }
}

/// A named door of the program.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Port {
    /// What the caller calls it.
    pub name: String,
    /// The buffer.
    pub buffer: BufferId,
    /// Where the value comes from; opaque.
    pub origin: u32,
}

/// A function in the code.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Function {
    /// `loop 3`, `program`.
    pub name: String,
    /// First byte.
    pub offset: usize,
    /// Number of bytes.
    pub bytes: usize,
}

/// One entry of the program.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Step {
    /// A kernel runs.
    Call(Call),
    /// Every thread waits for all.
    Barrier,
    /// Steps run again and again.
    Loop(Turns),
}

/// A loop of the program.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Turns {
    /// Number of turns.
    pub turns: usize,
    /// Whether the turn with the last index comes first.
    pub reverse: bool,
    /// What happens in each turn.
    pub steps: Vec<Step>,
    /// Where it comes from; opaque.
    pub origin: u32,
}

/// A kernel with its operands.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Call {
    /// What runs.
    pub kernel: Kernel,
    /// What it reads and writes.
    pub accesses: Vec<Access>,
    /// Which thread does what.
    pub deal: Deal,
    /// Where it comes from; opaque.
    pub origin: u32,
}

/// What a call runs.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Kernel {
    /// A generated function: an index into `Plan::functions`.
    Loop {
        /// The index.
        function: usize,
        /// What it computes, for people.
        text: String,
    },
    /// A kernel of the table.
    Table {
        /// Its name there.
        name: String,
        /// Its descriptor in `Plan::data`.
        data: usize,
        /// The descriptor, for people.
        text: String,
    },
    /// The kernel of the table that hands a tensor to another device, or takes one from it.
    Transfer {
        /// Which of the two.
        way: Way,
        /// By which channel: an index into `Program::channels`.
        channel: usize,
        /// Its descriptor in `Plan::data`.
        data: usize,
    },
}

/// To another device or from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Way {
    /// To another.
    Send,
    /// From another.
    Receive,
}

impl Way {
    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            Way::Send => "send",
            Way::Receive => "receive",
        }
    }
}

/// One end of a channel, as a plan has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which end.
    pub way: Way,
    /// Which channel: an index into `Program::channels`.
    pub channel: usize,
    /// Size of the tensor.
    pub bytes: usize,
    /// Its descriptor in `Plan::data`.
    pub data: usize,
    /// Where it comes from; opaque.
    pub origin: u32,
}

/// How a call is dealt out over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Deal {
    /// The first thread does it all.
    First,
    /// An axis of `count` is cut, at multiples of `align`.
    Shares {
        /// Length of the axis.
        count: usize,
        /// Where cuts may be.
        align: usize,
    },
}

impl Deal {
    /// The part of the axis that `thread` of `threads` does. For [`Deal::First`] the axis has length 1.
    pub fn share(self, thread: usize, threads: usize) -> Range<usize> {
        match self {
            Deal::First => 0..usize::from(thread == 0),
            Deal::Shares { count, align } => {
                let cut = |t: usize| if t == threads { count } else { count * t / threads / align * align };
                cut(thread)..cut(thread + 1)
            }
        }
    }
}

/// How a call touches a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Access {
    /// The buffer.
    pub buffer: BufferId,
    /// Whether it is changed.
    pub write: bool,
    /// Which part a thread touches.
    pub extent: Extent,
}

/// The part of a buffer that one thread touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Extent {
    /// Perhaps all of it.
    Whole,
    /// The buffer is cut into equal pieces, one for each index of the dealt axis; the thread touches its own.
    Share,
}

impl Plan {
    /// Every step, and those of loops behind their loop.
    pub fn all_steps(&self) -> Vec<&Step> {
        fn add<'a>(steps: &'a [Step], all: &mut Vec<&'a Step>) {
            for step in steps {
                all.push(step);
                match step {
                    Step::Loop(turns) => add(&turns.steps, all),
                    Step::Call(_) | Step::Barrier => {}
                }
            }
        }
        let mut all = Vec::new();
        add(&self.steps, &mut all);
        all
    }

    /// What goes to other devices and comes from them, in the order in which it does.
    pub fn transfers(&self) -> Vec<Transfer> {
        let transfer = |step: &Step| {
            let Step::Call(Call {
                kernel: Kernel::Transfer { way, channel, data }, accesses, origin, ..
            }) = step
            else {
                return None;
            };
            let bytes = accesses.iter().filter_map(|access| self.buffers.get(access.buffer.0 as usize));
            let bytes = bytes.map(Buffer::bytes).sum();
            Some(Transfer { way: *way, channel: *channel, bytes, data: *data, origin: *origin })
        };
        self.all_steps().into_iter().filter_map(transfer).collect()
    }

    /// The buffer of an id.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }
}

/// `strata compile --emit plan`
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan version {}", self.version)?;
        writeln!(
            f,
            "memory: variables {}, scratch {} (alive at most {}), per thread {}, code {}",
            self.layout.bytes,
            self.scratch,
            self.live,
            self.local,
            self.code.len()
        )?;
        for slot in &self.layout.slots {
            writeln!(f, "variable {}: {}{:?} at {}", slot.name, slot.dtype, slot.shape, slot.offset)?;
        }
        for (kind, ports) in [("input", &self.inputs), ("output", &self.outputs)] {
            for port in ports {
                writeln!(f, "{kind} {}: {}", port.name, self.show(port.buffer))?;
            }
        }
        self.write_steps(f, &self.steps, "")
    }
}

impl Plan {
    /// The steps of the program or of a loop; `before`: the indent of the latter.
    fn write_steps(&self, f: &mut fmt::Formatter<'_>, steps: &[Step], before: &str) -> fmt::Result {
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::Barrier => writeln!(f, "{before}{i:3} barrier")?,
                Step::Call(call) => self.write_call(f, before, i, call)?,
                Step::Loop(turns) => {
                    let last = if turns.reverse { ", the last first" } else { "" };
                    writeln!(f, "{before}{i:3} {} turns{last}", turns.turns)?;
                    self.write_steps(f, &turns.steps, &format!("{before}    "))?;
                }
            }
        }
        Ok(())
    }

    fn write_call(&self, f: &mut fmt::Formatter<'_>, before: &str, index: usize, call: &Call) -> fmt::Result {
        let deal = match call.deal {
            Deal::First => "on the first thread".to_owned(),
            Deal::Shares { count, align: 1 } => format!("dealt over {count}"),
            Deal::Shares { count, align } => format!("dealt over {count} by {align}"),
        };
        match &call.kernel {
            Kernel::Loop { function, .. } => {
                writeln!(f, "{before}{index:3} {} {deal}", self.functions[*function].name)?
            }
            Kernel::Table { name, .. } => writeln!(f, "{before}{index:3} {name} {deal}")?,
            Kernel::Transfer { way, channel, .. } => {
                writeln!(f, "{before}{index:3} {} by channel {channel} {deal}", way.name())?
            }
        }
        for access in &call.accesses {
            let verb = if access.write { "write" } else { "read " };
            let whole = match access.extent {
                Extent::Whole => "",
                Extent::Share => ", own share",
            };
            writeln!(f, "{before}      {verb} {}{whole}", self.show(access.buffer))?;
        }
        match &call.kernel {
            Kernel::Loop { text, .. } | Kernel::Table { text, .. } => {
                text.lines().try_for_each(|line| writeln!(f, "{before}      | {line}"))
            }
            Kernel::Transfer { .. } => Ok(()),
        }
    }

    fn show(&self, id: BufferId) -> String {
        let buffer = self.buffer(id);
        let place = match buffer.place {
            Place::Variable(offset) => {
                let slot = self.layout.slots.iter().find(|s| s.offset == offset && s.bytes() > 0);
                slot.map_or_else(|| format!("variable at {offset}"), |s| s.name.clone())
            }
            Place::Scratch(offset) => format!("scratch at {offset}"),
            Place::Input(i, 0) => format!("input {}", self.inputs[i].name),
            Place::Input(i, at) => format!("input {} at {at}", self.inputs[i].name),
            Place::Clock(0) => "seed".to_owned(),
            Place::Clock(_) => "step".to_owned(),
        };
        let moves = buffer.moves.iter().filter(|m| m.bytes != 0);
        let moves: String = moves.map(|m| format!(", {} a turn of {}", m.bytes, m.turns)).collect();
        format!("b{} {}{:?} ({place}{moves})", id.0, buffer.dtype, buffer.shape)
    }
}
