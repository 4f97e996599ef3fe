//! From a graph to a plan: kernels, their order, their memory, their threads, and machine code.
//!
//! ```text
//! Graph ──fuse──▶ units ──schedule──▶ order ──memory──▶ offsets ──deal──▶ calls ──races──▶ steps ──cpu──▶ Plan
//! ```

mod build;
mod cpu;
mod deal;
mod fuse;
mod memory;
mod nest;
mod product;
pub mod races;
mod reach;
mod rows;
mod schedule;
mod table;
mod values;
mod widen;
mod window;

use std::collections::BTreeMap;

use strata_runtime::kernels::element::Kind;
use strata_runtime::kernels::table as kernels;
use strata_runtime::kernels::{ConvolveDesc, Entry, PlainDesc, PoolDesc};
use strata_runtime::plan::{
    ALIGN, Access, Buffer, BufferId, Call, Kernel, Layout, Place, Plan, Port, Step, VERSION,
};

use crate::graph::{Graph, Output, ValueId};
use crate::model::Variable;
use crate::ops::Op;
use crate::types::DType;
use cpu::{Callee, Compiler, Invoke, Item, Program};
use deal::{Dealt, Sharing};
use fuse::{Fused, Unit, Work, dtype_of};
use memory::Memory;
use product::{Operand, Product};
use schedule::Schedule;
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

/// What this machine cannot run yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsupported {
    /// Where it stands.
    pub value: ValueId,
    /// In words that fit after "…: ".
    pub what: String,
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// Whether a graph can be lowered for this machine.
///
/// # Errors
/// The first value that cannot.
pub fn supported(graph: &Graph) -> Result<(), Unsupported> {
    for value in graph.values() {
        if let Some(what) = refusal(graph.op(value)) {
            return Err(Unsupported { value, what });
        }
    }
    Ok(())
}

/// Why an operator does not run on this machine, if it does not.
pub fn refusal(op: &Op) -> Option<String> {
    matches!(op, Op::Scan { .. }).then(|| "a recurrence does not run on a processor yet".to_owned())
}

/// Makes the plan of a graph.
///
/// # Panics
/// If the graph is not [`supported`].
pub fn lower(graph: &Graph, layout: &Layout, options: &LowerOptions) -> Plan {
    lower_with_text(graph, layout, options).plan
}

/// Makes the plan of a graph, and the text of its code.
///
/// # Panics
/// If the graph is not [`supported`].
pub fn lower_with_text(graph: &Graph, layout: &Layout, options: &LowerOptions) -> Lowered {
    if let Err(unsupported) = supported(graph) {
        panic!("{unsupported}");
    }
    let kept = options.keep_all.then(|| with_every_output(graph));
    let graph = kept.as_ref().unwrap_or(graph);
    let wide = widen::widen(graph);
    emit(wide.as_ref().unwrap_or(graph), layout, options)
}

/// The same graph with every computed value as an output.
fn with_every_output(graph: &Graph) -> Graph {
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
    let fused = fuse::fuse(graph, !options.fuse);
    let mut schedule = schedule::schedule(graph, &fused);
    let memory = memory::arrange(graph, &fused, &schedule);
    let dealt = deal::deal(graph, &fused, &mut schedule.units);
    let mut maker = Maker {
        graph,
        layout,
        fused: &fused,
        schedule: &schedule,
        memory: &memory,
        buffers: Vec::new(),
        ids: BTreeMap::new(),
        data: Vec::new(),
        local: 0,
        compiler: Compiler::new(options.text),
    };
    let (mut calls, mut invokes) = (Vec::new(), Vec::new());
    for dealt in &dealt {
        let unit = &schedule.units[dealt.unit];
        if maker.is_empty(unit) {
            continue;
        }
        let (call, invoke) = maker.call(unit, dealt);
        calls.push(call);
        invokes.push(invoke);
    }
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
    let steps = races::with_barriers(calls, &maker.buffers);
    let mut invokes = invokes.into_iter();
    let items = steps.iter().map(|step| match step {
        Step::Barrier => Item::Barrier,
        Step::Call(_) => Item::Invoke(invokes.next().expect("there is an invocation for each call")),
    });
    let program = Program { items: items.collect() };
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

/// Puts a plan together.
struct Maker<'a> {
    graph: &'a Graph,
    layout: &'a Layout,
    fused: &'a Fused,
    schedule: &'a Schedule,
    memory: &'a Memory,
    buffers: Vec<Buffer>,
    ids: BTreeMap<Source, BufferId>,
    data: Vec<u8>,
    local: usize,
    compiler: Compiler,
}

impl Maker<'_> {
    fn place(&self, source: Source) -> Place {
        match source {
            Source::Input(i) => Place::Input(i.0 as usize),
            Source::Variable(v) | Source::Updated(v) => {
                Place::Variable(self.layout.slots[v.0 as usize].offset)
            }
            Source::Seed => Place::Clock(0),
            Source::Step => Place::Clock(8),
            Source::Value(_) | Source::Copy(_) => match self.schedule.homes.get(&source) {
                Some(v) => Place::Variable(self.layout.slots[v.0 as usize].offset),
                None => Place::Scratch(self.memory.offsets[&source]),
            },
        }
    }

    fn buffer(&mut self, source: Source) -> BufferId {
        if let Some(id) = self.ids.get(&source) {
            return *id;
        }
        let (dtype, shape) = dtype_of(self.graph, source, self.fused);
        let id = BufferId(self.buffers.len() as u32);
        self.buffers.push(Buffer { dtype, shape, place: self.place(source) });
        self.ids.insert(source, id);
        id
    }

    /// Whether a unit has nothing to write.
    fn is_empty(&self, unit: &Unit) -> bool {
        let elements = |s: &Source| dtype_of(self.graph, *s, self.fused).1.iter().product::<usize>();
        unit.writes.iter().all(|w| elements(w) == 0)
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
            Work::Product(product) => self.product(product, unit, dealt),
            Work::Convolve(entry, desc) => self.convolve(*entry, desc, unit, dealt),
            Work::Pool(entry, desc) => self.pool(*entry, desc, unit, dealt),
            Work::Table(call) => self.table(call, unit, dealt),
        };
        (Call { kernel, accesses, deal: dealt.deal, origin: unit.origin.0 }, invoke)
    }

    fn nest(&mut self, built: &build::Built, dealt: &Dealt) -> (Kernel, Invoke) {
        let (function, local) = self.compiler.nest(&built.nest);
        self.local = self.local.max(local);
        let operands = built.sources.iter().map(|s| (self.place(*s), 0)).collect();
        let callee = Callee::Nest { function, turns: dealt.turns };
        let kernel = Kernel::Loop { function, text: built.nest.to_string() };
        (kernel, Invoke { callee, deal: dealt.deal, operands, around: Vec::new() })
    }

    fn product(&mut self, product: &Product, unit: &Unit, dealt: &Dealt) -> (Kernel, Invoke) {
        let desc = &product.desc;
        let dtype = dtype_of(self.graph, unit.writes[0], self.fused).0;
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
            (self.place(unit.reads[0]), start(&product.operands[0])),
            (self.place(unit.reads[1]), start(&product.operands[1])),
            (self.place(unit.writes[0]), 0),
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

    fn operands(&self, unit: &Unit) -> Vec<(Place, i64)> {
        unit.reads.iter().chain(&unit.writes).map(|s| (self.place(*s), 0)).collect()
    }
}
