//! From a graph to a plan: kernels, their order, their memory, their threads, and machine code.
//!
//! ```text
//! Graph ──fuse──▶ units ──schedule──▶ order ──memory──▶ offsets ──deal──▶ calls ──races──▶ steps ──cpu──▶ Plan
//! ```
//! The body of a recurrence goes the same way as far as its calls (`region`), which become a loop of the plan.

mod build;
mod cpu;
mod deal;
mod fuse;
mod invariant;
mod lines;
mod meeting;
mod memory;
mod nest;
mod product;
pub mod races;
mod reach;
mod recurrence;
mod region;
mod rows;
mod schedule;
mod table;
mod values;
pub mod waits;
mod widen;
mod window;

use std::collections::BTreeMap;

use strata_runtime::kernels::element::Kind;
use strata_runtime::kernels::table as kernels;
use strata_runtime::kernels::{ConvolveDesc, Entry, PlainDesc, PoolDesc, TransferDesc};
use strata_runtime::plan::{
    ALIGN, Access, Buffer, BufferId, Call, Kernel, Layout, Move, Place, Plan, Port, Step, Turns, VERSION, Way,
};

use crate::graph::{Graph, Output, ValueId};
use crate::model::Variable;
use crate::ops::Op;
use crate::types::DType;
use cpu::{Address, Callee, Compiler, Invoke, Item, Program};
use deal::{Dealt, Sharing};
use fuse::{Transfer, Unit, Work, dtype_of};
use product::{Operand, Product};
use recurrence::{Part, Recurrence};
use region::Region;
use schedule::Home;
use table::TableCall;
use values::Source;

/// How to lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerOptions {
    /// Compute as much as possible without storing it. Without, every value is stored by a kernel of its own.
    pub fuse: bool,
    /// Make every value that is computed an output called `%id`, for finding the first that is not finite.
    pub keep_all: bool,
    /// Keep the text of the code.
    pub text: bool,
}

impl Default for LowerOptions {
    fn default() -> LowerOptions {
        LowerOptions { fuse: true, keep_all: false, text: false }
    }
}

/// A plan and the text of its code, where it was asked for.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The plan.
    pub plan: Plan,
    /// Its functions in Cranelift's intermediate language.
    pub clif: String,
    /// Their instructions.
    pub assembly: String,
}

/// Where the variables of a model lie; the same for every graph of the model.
pub fn layout(variables: &[Variable]) -> Layout {
    Layout::new(variables.iter().map(|v| (v.name.clone(), v.ty.dtype, v.ty.dims())))
}

/// Makes the plan of a graph.
pub fn lower(graph: &Graph, layout: &Layout, options: &LowerOptions) -> Plan {
    lower_with_text(graph, layout, options).plan
}

/// Makes the plan of a graph, and the text of its code.
pub fn lower_with_text(graph: &Graph, layout: &Layout, options: &LowerOptions) -> Lowered {
    let kept = options.keep_all.then(|| with_every_output(graph));
    let graph = kept.as_ref().unwrap_or(graph);
    let wide = widen::widen(graph);
    let graph = wide.as_ref().unwrap_or(graph);
    let laid_out = invariant::lay_out(graph);
    emit(laid_out.as_ref().unwrap_or(graph), layout, options)
}

/// The same graph with every computed value as an output called `%id`, behind those that it has.
pub fn with_every_output(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let computed = |value: &ValueId| {
        values::leaf(&graph, *value).is_none()
            && !matches!(graph.op(*value), Op::Constant(..) | Op::Index { .. })
    };
    let outputs: Vec<Output> = graph
        .values()
        .filter(computed)
        .map(|value| Output { name: format!("%{}", value.0), value })
        .collect();
    graph.outputs.extend(outputs);
    graph
}

fn emit(graph: &Graph, layout: &Layout, options: &LowerOptions) -> Lowered {
    let region = Region::step(graph, !options.fuse);
    let (graph, fused, memory) = (&*region.graph, &region.fused, &region.memory);
    let mut maker = Maker {
        layout,
        scope: Scope::step(&region),
        buffers: Vec::new(),
        data: Vec::new(),
        local: 0,
        compiler: Compiler::new(options.text),
    };
    let (steps, invokes) = maker.steps();
    let outputs = graph.outputs.iter().zip(&fused.outputs).map(|(output, source)| Port {
        name: output.name.clone(),
        buffer: maker.buffer(*source),
        origin: graph.node(output.value).origin.0,
    });
    let outputs = outputs.collect();
    let inputs = graph.inputs.iter().enumerate().map(|(i, input)| Port {
        name: input.name.clone(),
        buffer: maker.buffer(Source::Input(crate::ops::InputId(i as u32))),
        origin: 0,
    });
    let inputs = inputs.collect();
    let steps = races::with_barriers(steps, &maker.buffers);
    let program = Program { items: items(&steps, &mut invokes.into_iter()) };
    let program = maker.compiler.program(&program);
    let (buffers, data, local) = (maker.buffers, maker.data, maker.local);
    let blob = maker.compiler.finish();
    let plan = Plan {
        version: VERSION,
        table: kernels::VERSION,
        layout: layout.clone(),
        buffers,
        inputs,
        outputs,
        steps,
        data,
        scratch: memory.bytes,
        live: memory.live,
        local: local.next_multiple_of(ALIGN),
        code: blob.bytes,
        entry: blob.functions[program].offset,
        functions: blob.functions,
    };
    if cfg!(debug_assertions) {
        races::verify(&plan);
    }
    Lowered { plan, clif: blob.clif, assembly: blob.assembly }
}

/// The program of steps whose calls are, in order, `invokes`.
fn items(steps: &[Step], invokes: &mut impl Iterator<Item = Invoke>) -> Vec<Item> {
    let mut item = |step: &Step| match step {
        Step::Barrier => Item::Barrier,
        Step::Call(_) => Item::Invoke(invokes.next().expect("there is an invocation for each call")),
        Step::Loop(Turns { turns, reverse, steps, .. }) => {
            // Through a trait object, so that the function does not ask for itself without end.
            let invokes: &mut dyn Iterator<Item = Invoke> = invokes;
            Item::Loop { turns: *turns, reverse: *reverse, items: items(steps, &mut { invokes }) }
        }
    };
    steps.iter().map(&mut item).collect()
}

/// Where a tensor lies: its place in the turns of index 0, and the bytes that it moves by with each loop around.
#[derive(Clone, Debug)]
struct Location {
    place: Place,
    moves: Vec<i64>,
}

impl Location {
    fn still(place: Place) -> Location {
        Location { place, moves: Vec::new() }
    }
}

/// The region whose calls are made, and what it means by its sources.
struct Scope<'a> {
    region: &'a Region<'a>,
    /// Its inputs.
    inputs: Vec<Location>,
    /// Where a body's outputs go.
    rows: Vec<Location>,
    /// Where its scratch begins in the arena.
    scratch: usize,
    /// The turns of the loops around, from the outermost.
    turns: Vec<usize>,
    ids: BTreeMap<Source, BufferId>,
}

impl<'a> Scope<'a> {
    fn step(region: &'a Region<'a>) -> Scope<'a> {
        let inputs = 0..region.graph.inputs.len();
        Scope {
            region,
            inputs: inputs.map(|i| Location::still(Place::Input(i, 0))).collect(),
            rows: Vec::new(),
            scratch: 0,
            turns: Vec::new(),
            ids: BTreeMap::new(),
        }
    }

    /// The dtype and shape of a tensor.
    fn dtype_of(&self, source: Source) -> (DType, Vec<usize>) {
        dtype_of(&self.region.graph, source, &self.region.fused)
    }
}

/// Puts a plan together.
struct Maker<'a> {
    layout: &'a Layout,
    scope: Scope<'a>,
    buffers: Vec<Buffer>,
    data: Vec<u8>,
    local: usize,
    compiler: Compiler,
}

impl<'a> Maker<'a> {
    fn locate(&self, source: Source) -> Location {
        let variable = |v: crate::ops::VariableId| Place::Variable(self.layout.slots[v.0 as usize].offset);
        let place = match source {
            Source::Input(i) => return self.scope.inputs[i.0 as usize].clone(),
            Source::Variable(v) | Source::Updated(v) => variable(v),
            Source::Seed => Place::Clock(0),
            Source::Step => Place::Clock(8),
            Source::Value(_) | Source::Copy(_) => match self.scope.region.schedule.homes.get(&source) {
                Some(Home::Variable(v)) => variable(*v),
                Some(Home::Row(output)) => return self.scope.rows[*output].clone(),
                None => Place::Scratch(self.scope.scratch + self.scope.region.memory.offsets[&source]),
            },
        };
        Location::still(place)
    }

    fn buffer(&mut self, source: Source) -> BufferId {
        if let Some(id) = self.scope.ids.get(&source) {
            return *id;
        }
        let (dtype, shape) = self.scope.dtype_of(source);
        let id = BufferId(self.buffers.len() as u32);
        let Location { place, moves } = self.locate(source);
        let moves = moves.iter().zip(&self.scope.turns);
        let moves = moves.map(|(bytes, turns)| Move { turns: *turns, bytes: *bytes }).collect();
        self.buffers.push(Buffer { dtype, shape, place, moves });
        self.scope.ids.insert(source, id);
        id
    }

    fn address(&self, source: Source, start: i64) -> Address {
        let Location { place, moves } = self.locate(source);
        Address { place, start, moves }
    }

    /// The steps of the region, without barriers, and the invocations of all calls in them, in order.
    fn steps(&mut self) -> (Vec<Step>, Vec<Invoke>) {
        let (mut steps, mut invokes) = (Vec::new(), Vec::new());
        let region = self.scope.region;
        for (at, (unit, dealt)) in region.schedule.units.iter().zip(&region.dealt).enumerate() {
            if self.is_empty(unit) {
                continue;
            }
            for dealt in dealt.iter().filter(|dealt| !unit.is_idle(dealt.part)) {
                let (call, invoke) = self.call(unit, dealt);
                steps.push(Step::Call(call));
                invokes.push(invoke);
            }
            if let Work::Scan(recurrence) = &unit.work
                && recurrence.turns > 0
            {
                let (turn, calls) = self.turn(recurrence, at);
                steps.push(Step::Loop(Turns {
                    turns: recurrence.turns,
                    reverse: recurrence.reverse,
                    steps: turn,
                    origin: unit.origin.0,
                }));
                invokes.extend(calls);
            }
        }
        (steps, invokes)
    }

    /// The steps of a recurrence's body; `unit`: its index in the schedule.
    fn turn(&mut self, recurrence: &'a Recurrence, unit: usize) -> (Vec<Step>, Vec<Invoke>) {
        let depth = self.scope.turns.len();
        let part = |part: &Part| {
            let bytes = self.scope.dtype_of(part.source).0.bytes();
            let Location { place, mut moves } = self.locate(part.source);
            moves.resize(depth, 0);
            moves.push(part.step * bytes as i64);
            Location { place: place.forward(part.start * bytes), moves }
        };
        let mut turns = self.scope.turns.clone();
        turns.push(recurrence.turns);
        let inner = Scope {
            region: &recurrence.body,
            inputs: recurrence.inputs.iter().map(part).collect(),
            rows: recurrence.outputs.iter().map(part).collect(),
            scratch: self.scope.scratch + self.scope.region.memory.bodies[&unit],
            turns,
            ids: BTreeMap::new(),
        };
        let outer = std::mem::replace(&mut self.scope, inner);
        let made = self.steps();
        self.scope = outer;
        made
    }

    /// Whether a unit has nothing to write. Tensors without elements go from device to device like others, so that both
    /// ends agree on what is a transfer.
    fn is_empty(&self, unit: &Unit) -> bool {
        let elements = |s: &Source| self.scope.dtype_of(*s).1.iter().product::<usize>();
        let transfers = matches!(unit.work, Work::Transfer(_));
        !transfers && unit.writes.iter().all(|w| elements(w) == 0)
    }

    /// Adds a descriptor to the plan's data.
    fn describe(&mut self, bytes: &[u8]) -> usize {
        let at = self.data.len();
        self.data.extend_from_slice(bytes);
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        at
    }

    fn call(&mut self, unit: &Unit, dealt: &Dealt) -> (Call, Invoke) {
        let accesses = dealt.accesses.iter().map(|(source, write, extent)| Access {
            buffer: self.buffer(*source),
            write: *write,
            extent: *extent,
        });
        let accesses = accesses.collect();
        let (kernel, invoke) = match &unit.work {
            Work::Nests(nests) => self.nest(&nests[dealt.part], dealt),
            Work::Scan(recurrence) => self.nest(&recurrence.first[dealt.part], dealt),
            Work::Product(product) => self.product(product, unit, dealt),
            Work::Convolve(entry, desc) => self.convolve(*entry, desc, unit, dealt),
            Work::Pool(entry, desc) => self.pool(*entry, desc, unit, dealt),
            Work::Table(call) => self.table(call, unit, dealt),
            Work::Transfer(transfer) => self.transfer(transfer, unit, dealt),
        };
        (Call { kernel, accesses, deal: dealt.deal, origin: unit.origin.0 }, invoke)
    }

    fn nest(&mut self, built: &build::Built, dealt: &Dealt) -> (Kernel, Invoke) {
        let (function, local) = self.compiler.nest(&built.nest);
        self.local = self.local.max(local);
        let operands = built.sources.iter().map(|s| self.address(*s, 0)).collect();
        let callee = Callee::Nest { function, turns: dealt.turns };
        let kernel = Kernel::Loop { function, text: built.nest.to_string() };
        (kernel, Invoke { callee, deal: dealt.deal, operands, around: Vec::new() })
    }

    fn product(&mut self, product: &Product, unit: &Unit, dealt: &Dealt) -> (Kernel, Invoke) {
        let desc = &product.desc;
        let dtype = self.scope.dtype_of(unit.writes[0]).0;
        let tiled = dtype == DType::F32;
        let data = if tiled {
            self.local = self.local.max(desc.scratch_bytes());
            self.describe(bytemuck::bytes_of(desc))
        } else {
            let plain = PlainDesc { product: *desc, element: Kind::from(dtype).code() };
            self.describe(bytemuck::bytes_of(&plain))
        };
        let bytes = |elements: i64| elements * dtype.bytes() as i64;
        let start = |operand: &Operand| match operand {
            Operand::View(view) => bytes(view.start),
            Operand::Copy(..) => 0,
        };
        let operands = vec![
            self.address(unit.reads[0], start(&product.operands[0])),
            self.address(unit.reads[1], start(&product.operands[1])),
            self.address(unit.writes[0], 0),
        ];
        let (entry, length) = match dealt.sharing {
            Sharing::Rows | Sharing::Around if tiled => (Entry::Product, desc.m),
            Sharing::Rows | Sharing::Around => (Entry::ProductPlain, desc.m),
            Sharing::Columns if tiled => (Entry::ProductColumns, desc.n),
            Sharing::Columns => (Entry::ProductPlainColumns, desc.n),
        };
        let whole = (dealt.sharing == Sharing::Around).then_some(length as usize);
        let around = product.around.iter().map(|a| (a.count, a.steps.map(bytes).to_vec())).collect();
        let mut text = format!("{} x {} x {}", desc.m, desc.n, desc.k);
        text += &format!(
            ", strides {:?} {:?} {:?}",
            (desc.a_row, desc.a_column),
            (desc.b_row, desc.b_column),
            (desc.c_row, desc.c_column)
        );
        for a in &product.around {
            text += &format!("\n{} times, steps {:?}", a.count, a.steps);
        }
        let callee = Callee::Kernel { entry, data, bias: true, scratch: true, faults: false, whole };
        (
            Kernel::Table { name: entry.name().to_owned(), data, text },
            Invoke { callee, deal: dealt.deal, operands, around },
        )
    }

    fn convolve(
        &mut self,
        entry: Entry,
        desc: &ConvolveDesc,
        unit: &Unit,
        dealt: &Dealt,
    ) -> (Kernel, Invoke) {
        let data = self.describe(bytemuck::bytes_of(desc));
        let scratch = if entry == Entry::ConvolveInputGradient {
            desc.input_gradient_scratch_bytes()
        } else if entry == Entry::ConvolveWeightGradient {
            desc.weight_gradient_scratch_bytes()
        } else {
            desc.forward_scratch_bytes()
        };
        self.local = self.local.max(scratch);
        let operands = self.operands(unit);
        let bias = entry == Entry::Convolve;
        let callee = Callee::Kernel { entry, data, bias, scratch: true, faults: false, whole: None };
        let text = format!(
            "{} images {:?} of {}, {} kernels {:?}, stride {:?}, dilation {:?}, padding {:?} {:?}, groups {}",
            desc.images,
            desc.size,
            desc.channels_in,
            desc.channels_out,
            desc.kernel,
            desc.stride,
            desc.dilation,
            desc.low,
            desc.high,
            desc.groups
        );
        (
            Kernel::Table { name: entry.name().to_owned(), data, text },
            Invoke { callee, deal: dealt.deal, operands, around: Vec::new() },
        )
    }

    fn pool(&mut self, entry: Entry, desc: &PoolDesc, unit: &Unit, dealt: &Dealt) -> (Kernel, Invoke) {
        let data = self.describe(bytemuck::bytes_of(desc));
        let operands = self.operands(unit);
        let callee = Callee::Kernel { entry, data, bias: false, scratch: false, faults: false, whole: None };
        let text = format!(
            "{} images {:?} of {}, windows {:?}, stride {:?}, padding {:?} {:?}",
            desc.images, desc.size, desc.channels, desc.window, desc.stride, desc.low, desc.high
        );
        (
            Kernel::Table { name: entry.name().to_owned(), data, text },
            Invoke { callee, deal: dealt.deal, operands, around: Vec::new() },
        )
    }

    fn table(&mut self, call: &TableCall, unit: &Unit, dealt: &Dealt) -> (Kernel, Invoke) {
        let data = self.describe(&call.desc);
        self.local = self.local.max(call.scratch.unwrap_or(0));
        let operands = self.operands(unit);
        let callee = Callee::Kernel {
            entry: call.entry,
            data,
            bias: false,
            scratch: call.scratch.is_some(),
            faults: call.faults,
            whole: None,
        };
        (
            Kernel::Table { name: call.entry.name().to_owned(), data, text: call.text.clone() },
            Invoke { callee, deal: dealt.deal, operands, around: Vec::new() },
        )
    }

    fn transfer(&mut self, transfer: &Transfer, unit: &Unit, dealt: &Dealt) -> (Kernel, Invoke) {
        let (dtype, shape) = self.scope.dtype_of(
            unit.reads
                .iter()
                .chain(&unit.writes)
                .copied()
                .next()
                .expect("a transfer reads what it sends or writes what it receives"),
        );
        let bytes = shape.iter().product::<usize>() * dtype.bytes();
        let Transfer { way, channel } = *transfer;
        let desc = TransferDesc { channel: u64::from(channel.0), bytes: bytes as u64 };
        let data = self.describe(bytemuck::bytes_of(&desc));
        let entry = match way {
            Way::Send => Entry::Send,
            Way::Receive => Entry::Receive,
        };
        let (callee, operands) = (Callee::Transfer { entry, data }, self.operands(unit));
        (
            Kernel::Transfer { way, channel: channel.0 as usize, data },
            Invoke { callee, deal: dealt.deal, operands, around: Vec::new() },
        )
    }

    fn operands(&self, unit: &Unit) -> Vec<Address> {
        unit.reads.iter().chain(&unit.writes).map(|s| self.address(*s, 0)).collect()
    }
}
