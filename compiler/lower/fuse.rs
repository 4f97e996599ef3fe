//! Groups a graph into kernels: products, convolutions, poolings, and loop nests that compute everything in
//! between without storing it.
//!
//! A value is stored where something needs it in memory (outputs, updates, operands of kernels, operands of
//! argmax, the results of reductions and of what is not element by element), and where several nests use it
//! and it is dear: more than [`CHEAP_OPS`] operators, a function like `exp`, or more than one full tensor to
//! read. Everything else is computed again wherever it is used: numbers, indices, random numbers, broadcasts.
//! Before a broadcast multiplies the work, what is not cheap is stored too.

use std::collections::{BTreeSet, HashMap, HashSet};

use strata_runtime::kernels::{ConvolveDesc, Entry, PoolDesc};
use strata_runtime::plan::Way;

use super::build::{Built, Sink, Task, Trouble, What, build};
use super::lines;
use super::nest::{Combine, Pattern, Role};
use super::product::{Operand, Product, product};
use super::recurrence::{Bodies, Recurrence, Results, need_histories, recurrence, recurrences};
use super::rows;
use super::table::TableCall;
use super::values::{Kind, Source, Stored, View, kind, leaf, row_major, same_order, view};
use super::window::{convolve_desc, plain, pool_desc};
use crate::graph::{Graph, OriginId, Send, ValueId};
use crate::ops::reduce::neutral;
use crate::ops::{Channel, Op, Reduction, Scalar};
use crate::types::DType;

/// Operators that it costs less to repeat than to store.
const CHEAP_OPS: u32 = 2;
/// Operators on single numbers that are repeated.
const CHEAP_SCALAR_OPS: u32 = 64;
/// Results of one nest. More would only press on registers; picked by feel.
const MOST_SINKS: usize = 6;

/// A graph in kernels, in an order in which they may run.
#[derive(Clone, Debug)]
pub struct Fused {
    /// What runs.
    pub units: Vec<Unit>,
    /// Which values are stored.
    pub stored: Stored,
    /// The copies: what is copied, and the order of its axes.
    pub copies: Vec<(ValueId, Vec<usize>)>,
    /// Where each update's new value lies, in the graph's order.
    pub updates: Vec<Source>,
    /// Where each output lies, in the graph's order.
    pub outputs: Vec<Source>,
}

/// One kernel.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What it does.
    pub work: Work,
    /// What it reads.
    pub reads: Vec<Source>,
    /// What it writes.
    pub writes: Vec<Source>,
    /// Where its (first) result comes from.
    pub origin: OriginId,
}

impl Unit {
    /// Whether a nest has no turn to run: folds over nothing are numbers, so it writes nothing either.
    pub fn is_idle(&self, part: usize) -> bool {
        let nests = match &self.work {
            Work::Nests(nests) => nests,
            Work::Scan(recurrence) => &recurrence.first,
            Work::Product(_) | Work::Convolve(..) | Work::Pool(..) | Work::Table(_) | Work::Transfer(_) => {
                return false;
            }
        };
        nests[part].nest.loops.iter().any(|l| l.size == 0)
    }
}

/// What a kernel does.
#[derive(Clone, Debug)]
pub enum Work {
    /// Nests one after the other; several where a tensor is put together from parts.
    Nests(Vec<Built>),
    /// A product.
    Product(Box<Product>),
    /// A convolution or one of its gradients.
    Convolve(Entry, Box<ConvolveDesc>),
    /// A pooling or its gradient.
    Pool(Entry, Box<PoolDesc>),
    /// Another kernel.
    Table(Box<TableCall>),
    /// A tensor goes to another device, or comes from one.
    Transfer(Transfer),
    /// A recurrence.
    Scan(Box<Recurrence>),
}

/// One end of a channel. It reads what it sends and writes nothing, or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which end.
    pub way: Way,
    /// Which channel.
    pub channel: Channel,
}

/// Where outputs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// Several may be the same tensor.
    Anywhere,
    /// Each is a tensor of its own that is made in the step.
    Apart,
}

/// Groups `graph` into kernels. `all`: store everything and fuse nothing.
pub fn fuse(graph: &Graph, all: bool, outputs: Outputs) -> Fused {
    let mut wanted = BTreeSet::new();
    let needed = needed(graph);
    let recurrences = recurrences(graph, |value| needed[value.0 as usize]);
    let mut bodies = Bodies::new();
    loop {
        let stored = decide(graph, &needed, &recurrences, &wanted, all);
        match assemble(graph, &needed, &recurrences, &mut bodies, stored, all, outputs) {
            Ok(fused) => return fused,
            Err(values) => {
                let before = wanted.len();
                wanted.extend(&values);
                assert!(
                    wanted.len() > before,
                    "{values:?} are stored already, so no index can be in the way"
                );
            }
        }
    }
}

/// Which values are made.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed = graph.needed();
    need_histories(graph, &mut needed);
    needed
}

/// What it would take to compute one element of a value from what is stored for certain.
#[derive(Clone, Copy, Debug, Default)]
struct Effort {
    ops: u32,
    dear: bool,
    /// Full tensors that are read, and the elements of the largest.
    loads: u32,
}

fn effort(graph: &Graph, value: ValueId, efforts: &[Effort], wanted: &BTreeSet<ValueId>) -> Effort {
    if leaf(graph, value).is_some() || is_kernel(graph.op(value)) || wanted.contains(&value) {
        return Effort { ops: 0, dear: false, loads: 1 };
    }
    let elements = graph.ty(value).elements();
    let mut sum = Effort::default();
    for arg in graph.args(value) {
        let of = efforts[arg.0 as usize];
        sum.ops += of.ops;
        sum.dear |= of.dear;
        // What is repeated along an axis stays in the cache.
        sum.loads += if graph.ty(arg).elements() * 2 > elements { of.loads } else { 0 };
    }
    let op = graph.op(value);
    let ops = u32::from(kind(op) == Kind::Element);
    Effort { ops: sum.ops + ops, dear: sum.dear || op.is_dear(), loads: sum.loads }
}

/// Whether a value is made by a kernel or a nest of its own in any case.
fn is_kernel(op: &Op) -> bool {
    match kind(op) {
        Kind::Parts | Kind::Fold | Kind::Search | Kind::Product | Kind::Kernel | Kind::Scan => true,
        Kind::Leaf | Kind::Number | Kind::Element | Kind::Layout => false,
    }
}

/// Decides which values are stored; see the head of this file.
fn decide(
    graph: &Graph,
    needed: &[bool],
    recurrences: &[Results],
    wanted: &BTreeSet<ValueId>,
    all: bool,
) -> Stored {
    let mut wanted: BTreeSet<ValueId> = wanted.clone();
    let recurrence_of: HashMap<ValueId, &Results> = recurrences.iter().map(|r| (r.first(), r)).collect();
    wanted.extend(graph.outputs.iter().map(|output| output.value));
    wanted.extend(graph.updates.iter().map(|update| update.value));
    wanted.extend(graph.sends.iter().map(|send| same_order(graph, send.value)));
    let mut efforts = Vec::with_capacity(graph.len());
    for value in graph.values() {
        efforts.push(effort(graph, value, &efforts, &wanted));
    }
    let cheap = |value: ValueId| {
        let effort = efforts[value.0 as usize];
        let scalar = graph.ty(value).elements() == 1 && effort.ops <= CHEAP_SCALAR_OPS;
        scalar || (effort.ops <= CHEAP_OPS && !effort.dear && effort.loads <= 1)
    };
    let mut stored = vec![false; graph.len()];
    // The nests that would compute a value; two are as good as many.
    let mut within: Vec<BTreeSet<ValueId>> = vec![BTreeSet::new(); graph.len()];
    for value in graph.values().rev().filter(|v| needed[v.0 as usize]) {
        if leaf(graph, value).is_some() {
            continue;
        }
        let at = value.0 as usize;
        let op = graph.op(value);
        let repeats = matches!(op, Op::Constant(..) | Op::Index { .. } | Op::Broadcast { .. });
        let several = within[at].len() > 1 && !cheap(value) && !repeats;
        stored[at] = is_kernel(op) || wanted.contains(&value) || several || (all && !repeats);
        let args = graph.args(value);
        match kind(op) {
            Kind::Product => wanted.extend(args.iter().map(|arg| view(graph, *arg).base)),
            Kind::Kernel => wanted.extend(args.iter().map(|arg| same_order(graph, *arg))),
            Kind::Search => wanted.extend(args),
            Kind::Scan => {
                // All results are made at once: by the first.
                let Some(results) = recurrence_of.get(&value) else { continue };
                for (arg, of) in args.into_iter().enumerate() {
                    if results.is_state(arg) {
                        within[of.0 as usize].insert(value);
                    } else {
                        wanted.insert(results.operand(graph, arg).base);
                    }
                }
            }
            Kind::Leaf | Kind::Number | Kind::Element | Kind::Layout | Kind::Parts | Kind::Fold => {
                let users =
                    if stored[at] { BTreeSet::from([value]) } else { std::mem::take(&mut within[at]) };
                for arg in args {
                    let elements = graph.ty(arg).elements();
                    let spreads = elements > 1 && elements < graph.ty(value).elements();
                    if matches!(op, Op::Broadcast { .. }) && spreads && !cheap(arg) {
                        wanted.insert(arg);
                    }
                    within[arg.0 as usize].extend(users.iter().copied().take(2));
                }
            }
        }
    }
    Stored { values: stored }
}

/// Builds all units; fails with the values that must be stored first.
fn assemble(
    graph: &Graph,
    needed: &[bool],
    recurrences: &[Results],
    bodies: &mut Bodies,
    stored: Stored,
    all: bool,
    outputs: Outputs,
) -> Result<Fused, BTreeSet<ValueId>> {
    let mut fused =
        Fused { units: Vec::new(), stored, copies: Vec::new(), updates: Vec::new(), outputs: Vec::new() };
    let mut groups: Vec<Group> = Vec::new();
    let made: Vec<ValueId> =
        graph.values().filter(|v| needed[v.0 as usize] && fused.stored.values[v.0 as usize]).collect();
    for value in made {
        let origin = graph.node(value).origin;
        if kind(graph.op(value)) == Kind::Scan {
            if let Some(results) = recurrences.iter().find(|results| results.first() == value) {
                let (made, first) = recurrence(graph, &fused.stored, results, bodies, all);
                groups.push(Group::Scan(made, first, origin));
            }
            continue;
        }
        for (task, origin) in tasks(graph, value, &mut fused) {
            groups.push(Group::Nest(vec![task], origin));
        }
        if let Some(unit) = kernel(graph, value, &fused) {
            groups.push(Group::Kernel(Unit { origin, ..unit }));
        } else {
            groups.push(Group::Nest(parts(graph, value), origin));
        }
    }
    for update in &graph.updates {
        let source = place(graph, update.value, &mut fused, &mut groups);
        fused.updates.push(source);
    }
    for output in &graph.outputs {
        let source = match outputs {
            Outputs::Apart if fused.outputs.contains(&Source::Value(output.value)) => {
                again(graph, output.value, &mut fused, &mut groups)
            }
            Outputs::Apart if leaf(graph, output.value).is_some() => {
                again(graph, output.value, &mut fused, &mut groups)
            }
            Outputs::Apart | Outputs::Anywhere => place(graph, output.value, &mut fused, &mut groups),
        };
        fused.outputs.push(source);
    }
    groups.extend(graph.sends.iter().map(|sent| Group::Kernel(send(graph, sent))));
    fused.units = units(graph, &fused.stored, groups, all)?;
    Ok(fused)
}

/// A unit in the making.
enum Group {
    Kernel(Unit),
    /// Several tasks only where one tensor is put together from parts.
    Nest(Vec<Task>, OriginId),
    /// A recurrence, and the tasks that write its states' first values.
    Scan(Recurrence, Vec<Task>, OriginId),
}

/// The place of a value that is an output or update: its own, or a copy of what was there before the step.
fn place(graph: &Graph, value: ValueId, fused: &mut Fused, groups: &mut Vec<Group>) -> Source {
    if leaf(graph, value).is_none() {
        return Source::Value(value);
    }
    let order = (0..graph.ty(value).rank()).collect();
    let (source, task) = copy(graph, value, order, &mut fused.copies);
    if let Some(task) = task {
        groups.push(Group::Nest(vec![task], graph.node(value).origin));
    }
    source
}

/// The unit that sends a value, which is read where it lies.
fn send(graph: &Graph, sent: &Send) -> Unit {
    let base = same_order(graph, sent.value);
    Unit {
        work: Work::Transfer(Transfer { way: Way::Send, channel: sent.channel }),
        reads: vec![leaf(graph, base).unwrap_or(Source::Value(base))],
        writes: Vec::new(),
        origin: graph.node(sent.value).origin,
    }
}

/// The place of a copy that nothing else shares.
fn again(graph: &Graph, value: ValueId, fused: &mut Fused, groups: &mut Vec<Group>) -> Source {
    let order = (0..graph.ty(value).rank()).collect();
    let (source, task) = new_copy(graph, (value, order), &mut fused.copies);
    groups.push(Group::Nest(vec![task], graph.node(value).origin));
    source
}

/// A copy of a value with its axes in another order, and the task that makes it if there was none yet.
fn copy(
    graph: &Graph,
    value: ValueId,
    order: Vec<usize>,
    copies: &mut Vec<(ValueId, Vec<usize>)>,
) -> (Source, Option<Task>) {
    let key = (value, order);
    if let Some(at) = copies.iter().position(|c| *c == key) {
        return (Source::Copy(at), None);
    }
    let (source, task) = new_copy(graph, key, copies);
    (source, Some(task))
}

/// A copy and the task that makes it.
fn new_copy(
    graph: &Graph,
    key: (ValueId, Vec<usize>),
    copies: &mut Vec<(ValueId, Vec<usize>)>,
) -> (Source, Task) {
    let value = key.0;
    let source = Source::Copy(copies.len());
    let dims = graph.ty(value).dims();
    let space: Vec<usize> = key.1.iter().map(|axis| dims[*axis]).collect();
    let sink = Sink {
        what: What::Value(value, key.1.clone()),
        combine: None,
        target: source,
        strides: row_major(&space),
        start: 0,
    };
    copies.push(key);
    (source, Task { roles: vec![Role::Kept; space.len()], space, sinks: vec![sink] })
}

/// The copies that the kernel of `value` needs first.
fn tasks(graph: &Graph, value: ValueId, fused: &mut Fused) -> Vec<(Task, OriginId)> {
    let Op::Contract { batch, sum } = graph.op(value) else { return Vec::new() };
    let product = product(graph, value, batch, sum);
    let mut made = Vec::new();
    for operand in &product.operands {
        if let Operand::Copy(value, order) = operand {
            let (_, task) = copy(graph, *value, order.clone(), &mut fused.copies);
            made.extend(task.map(|task| (task, graph.node(*value).origin)));
        }
    }
    made
}

/// The unit of a value that a kernel of the runtime computes.
fn kernel(graph: &Graph, value: ValueId, fused: &Fused) -> Option<Unit> {
    let args = graph.args(value);
    let here = |value: ValueId| {
        let base = same_order(graph, value);
        leaf(graph, base).unwrap_or(Source::Value(base))
    };
    let dims = |value: ValueId| graph.ty(value).dims();
    let op = graph.op(value);
    let (work, reads) = if let Op::Contract { batch, sum } = op {
        let product = product(graph, value, batch, sum);
        let reads = product.operands.iter().map(|operand| operand_source(graph, operand, fused)).collect();
        (Work::Product(Box::new(product)), reads)
    } else if let Some(call) = plain_window(graph, value) {
        (Work::Table(Box::new(call)), args.iter().map(|arg| here(*arg)).collect())
    } else if let Op::Convolve(c) = op {
        let desc = convolve_desc(c, &dims(args[0]), &dims(args[1]));
        (Work::Convolve(Entry::Convolve, Box::new(desc)), vec![here(args[0]), here(args[1])])
    } else if let Op::ConvolveInput(c, _) = op {
        let desc = convolve_desc(c, &dims(value), &dims(args[1]));
        (Work::Convolve(Entry::ConvolveInputGradient, Box::new(desc)), vec![here(args[0]), here(args[1])])
    } else if let Op::ConvolveKernel(c, _) = op {
        let desc = convolve_desc(c, &dims(args[0]), &dims(value));
        (Work::Convolve(Entry::ConvolveWeightGradient, Box::new(desc)), vec![here(args[0]), here(args[1])])
    } else if let Op::Pool(p) = op {
        let desc = pool_desc(p, &dims(args[0]));
        let entry = if p.op == Reduction::Max { Entry::MaxPool } else { Entry::SumPool };
        (Work::Pool(entry, Box::new(desc)), vec![here(args[0])])
    } else if let Op::PoolInput(p) = op {
        let desc = pool_desc(p, &dims(args[0]));
        if p.op == Reduction::Max {
            let reads = vec![here(args[0]), here(args[1])];
            (Work::Pool(Entry::MaxPoolGradient, Box::new(desc)), reads)
        } else {
            (Work::Pool(Entry::SumPoolGradient, Box::new(desc)), vec![here(args[1])])
        }
    } else if let Op::Gather { axis, batch } = op {
        let call = rows::gather(graph, value, *axis, *batch);
        (Work::Table(Box::new(call)), vec![here(args[0]), here(args[1])])
    } else if let Op::Order { axis, descending, count } = op {
        let count = count.known().expect("sizes in a graph are bound");
        let call = lines::order(graph.ty(args[0]), *axis, *descending, count);
        (Work::Table(Box::new(call)), vec![here(args[0])])
    } else if let Op::Cumulate { axis, exclusive, reverse } = op {
        let call = lines::cumulate(graph.ty(args[0]), *axis, *exclusive, *reverse);
        (Work::Table(Box::new(call)), vec![here(args[0])])
    } else if let Op::ScatterAdd { axis, batch, .. } = op {
        let call = rows::scatter_add(graph, value, *axis, *batch);
        (Work::Table(Box::new(call)), vec![here(args[0]), here(args[1])])
    } else if let Op::Receive { channel, .. } = op {
        (Work::Transfer(Transfer { way: Way::Receive, channel: *channel }), Vec::new())
    } else {
        return None;
    };
    Some(Unit { work, reads, writes: vec![Source::Value(value)], origin: graph.node(value).origin })
}

/// The call of a plain kernel that moves windows, where the tiled ones do not take them.
fn plain_window(graph: &Graph, value: ValueId) -> Option<TableCall> {
    let args = graph.args(value);
    let (op, result) = (graph.op(value), graph.ty(value));
    let of = |arg: usize| graph.ty(args[arg]);
    if matches!(op, Op::Convolve(_)) {
        plain(op, of(0), Some(of(1)), result)
    } else if matches!(op, Op::ConvolveInput(..)) {
        plain(op, result, Some(of(1)), of(0))
    } else if matches!(op, Op::ConvolveKernel(..)) {
        plain(op, of(0), Some(result), of(1))
    } else if matches!(op, Op::Pool(_)) {
        plain(op, of(0), None, result)
    } else if matches!(op, Op::PoolInput(_)) {
        plain(op, of(0), None, of(1))
    } else {
        None
    }
}

/// What an operand of a product lies in.
fn operand_source(graph: &Graph, operand: &Operand, fused: &Fused) -> Source {
    match operand {
        Operand::View(View { base, .. }) => leaf(graph, *base).unwrap_or(Source::Value(*base)),
        Operand::Copy(value, order) => {
            let at = fused.copies.iter().position(|(v, o)| v == value && o == order);
            Source::Copy(at.expect("copies are made before their users"))
        }
    }
}

/// The tasks that compute a stored value by nests: one, or one a part.
fn parts(graph: &Graph, value: ValueId) -> Vec<Task> {
    let dims = graph.ty(value).dims();
    let target = Source::Value(value);
    let args = graph.args(value);
    let kept = |space: Vec<usize>, sink: Sink| Task {
        roles: vec![Role::Kept; space.len()],
        space,
        sinks: vec![sink],
    };
    let part = |arg: ValueId, axis: usize, from: usize| {
        let strides = row_major(&dims);
        let start = strides[axis] * from as i64;
        let space = graph.ty(arg).dims();
        let order = (0..space.len()).collect();
        kept(space, Sink { what: What::Value(arg, order), combine: None, target, strides, start })
    };
    let fill = |number: Scalar| {
        let what = What::Number(number, graph.ty(value).dtype);
        kept(dims.clone(), Sink { what, combine: None, target, strides: row_major(&dims), start: 0 })
    };
    let op = graph.op(value);
    if let Op::Pad { axis, low, .. } = op {
        let low = low.known().expect("sizes in a graph are bound") as usize;
        return vec![fill(Scalar::new(0.0)), part(args[0], *axis, low)];
    }
    if let Op::Concat { axis } = op {
        let mut from = 0;
        let tasks = args.iter().map(|arg| {
            let task = part(*arg, *axis, from);
            from += graph.ty(*arg).dims()[*axis];
            task
        });
        return tasks.collect();
    }
    if let Op::Reduce { op, axes } = op {
        if graph.ty(args[0]).elements() == 0 {
            return vec![fill(Scalar::new(neutral(*op, graph.ty(value).dtype)))];
        }
        let combine = match op {
            Reduction::Sum => Combine::Sum,
            Reduction::Max => Combine::Max,
            Reduction::Min => Combine::Min,
        };
        return vec![fold(graph, value, args[0], axes, combine)];
    }
    if let Op::ArgMax { axis } = op {
        if graph.ty(args[0]).elements() == 0 {
            return vec![fill(Scalar::new(0.0))];
        }
        return vec![fold(graph, value, args[0], &[*axis], Combine::ArgMax)];
    }
    let what = What::Value(value, (0..dims.len()).collect());
    let strides = row_major(&dims);
    vec![kept(dims, Sink { what, combine: None, target, strides, start: 0 })]
}

/// The task of a reduction.
fn fold(graph: &Graph, value: ValueId, arg: ValueId, axes: &[usize], combine: Combine) -> Task {
    let space = graph.ty(arg).dims();
    let mut roles = vec![Role::Kept; space.len()];
    // Reduced axes of size one take no part: they must not decide about the order of a sum. Kept ones do whatever their
    // size, as a piece of one index must be summed as the whole is.
    let long = |axis: &usize| space[*axis] != 1 || combine == Combine::ArgMax;
    for axis in axes.iter().filter(|axis| long(axis)) {
        roles[*axis] = if combine == Combine::ArgMax { Role::Row } else { Role::Outer };
    }
    for axis in (0..space.len()).rev().filter(|axis| long(axis) || !axes.contains(axis)) {
        match roles[axis] {
            Role::Kept => break,
            Role::Outer | Role::Row => roles[axis] = Role::Row,
        }
    }
    let mut strides = vec![0; space.len()];
    let kept: Vec<usize> = (0..space.len()).filter(|axis| !axes.contains(axis)).collect();
    let sizes: Vec<usize> = kept.iter().map(|axis| space[*axis]).collect();
    for (axis, stride) in kept.iter().zip(row_major(&sizes)) {
        strides[*axis] = stride;
    }
    let order = (0..space.len()).collect();
    let sink = Sink {
        what: What::Value(arg, order),
        combine: Some(combine),
        target: Source::Value(value),
        strides,
        start: 0,
    };
    Task { space, roles, sinks: vec![sink] }
}

/// Builds the nests, merging those that run over one space; fails with what must be stored first.
fn units(
    graph: &Graph,
    stored: &Stored,
    groups: Vec<Group>,
    all: bool,
) -> Result<Vec<Unit>, BTreeSet<ValueId>> {
    let mut made = Made::default();
    let mut missing = BTreeSet::new();
    let waits = waits(graph);
    for group in groups {
        let mut build_all = |tasks: &[Task]| -> Vec<Built> {
            let nests = tasks.iter().filter_map(|task| match build(graph, stored, task) {
                Ok(nest) => Some(nest),
                Err(Trouble::Store(value)) => {
                    missing.insert(value);
                    None
                }
                Err(Trouble::Apart) => unreachable!("a task with one result depends on no other"),
            });
            nests.collect()
        };
        let (tasks, built, origin) = match group {
            Group::Kernel(unit) => {
                made.push(None, unit);
                continue;
            }
            Group::Scan(recurrence, tasks, origin) => {
                made.push(None, scan_unit(recurrence, build_all(&tasks), origin));
                continue;
            }
            Group::Nest(tasks, origin) => {
                let built = build_all(&tasks);
                (tasks, built, origin)
            }
        };
        if !missing.is_empty() {
            // Only what else is missing is of interest now.
            continue;
        }
        let unit = nest_unit(built, &tasks, origin);
        let single = (tasks.len() == 1 && !all).then(|| tasks[0].clone());
        let host = single.as_ref().and_then(|task| find_host(graph, stored, &waits, &made, task, &unit));
        match host {
            Some((host, task, built)) => {
                let unit = nest_unit(vec![built], std::slice::from_ref(&task), made.units[host].1.origin);
                made.replace(host, task, unit);
            }
            None => made.push(single, unit),
        }
    }
    if missing.is_empty() { Ok(made.units.into_iter().map(|(_, unit)| unit).collect()) } else { Err(missing) }
}

/// Units so far, nests with their tasks where others may join them.
#[derive(Default)]
struct Made {
    units: Vec<(Option<Task>, Unit)>,
    /// Which unit makes a tensor.
    makers: HashMap<Source, usize>,
    /// Which units read a tensor.
    readers: HashMap<Source, BTreeSet<usize>>,
    /// By unit: larger than those of the units it depends on.
    levels: Vec<usize>,
}

impl Made {
    fn push(&mut self, task: Option<Task>, unit: Unit) {
        let at = self.units.len();
        self.enter(at, &unit);
        self.units.push((task, unit));
        self.levels.push(0);
        self.raise(at);
    }

    fn replace(&mut self, at: usize, task: Task, unit: Unit) {
        self.enter(at, &unit);
        self.units[at] = (Some(task), unit);
        self.raise(at);
    }

    /// Puts a unit above those it depends on, and those that depend on it above it.
    fn raise(&mut self, at: usize) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            let unit = &self.units[at].1;
            let level = self.before(unit).filter(|b| *b != at).map(|b| self.levels[b] + 1).max().unwrap_or(0);
            if level > self.levels[at] {
                self.levels[at] = level;
                let readers = unit.writes.iter().filter_map(|w| self.readers.get(w)).flatten();
                open.extend(readers.copied().filter(|r| *r != at));
            }
        }
    }

    fn enter(&mut self, at: usize, unit: &Unit) {
        self.makers.extend(unit.writes.iter().map(|w| (*w, at)));
        for read in &unit.reads {
            self.readers.entry(*read).or_default().insert(at);
        }
    }

    /// The units that make what a unit reads.
    fn before<'a>(&'a self, unit: &'a Unit) -> impl Iterator<Item = usize> + 'a {
        unit.reads.iter().filter_map(|r| self.makers.get(r).copied())
    }

    /// Whether `unit` depends on `host` through a unit in between.
    fn reaches(&self, host: usize, unit: &Unit) -> bool {
        let mut seen: HashSet<usize> = HashSet::new();
        let mut open: Vec<usize> = self.before(unit).filter(|m| *m != host).collect();
        while let Some(at) = open.pop() {
            if self.levels[at] <= self.levels[host] || !seen.insert(at) {
                continue;
            }
            for maker in self.before(&self.units[at].1) {
                if maker == host {
                    return true;
                }
                open.push(maker);
            }
        }
        false
    }
}

fn nest_unit(built: Vec<Built>, tasks: &[Task], origin: OriginId) -> Unit {
    let writes: BTreeSet<Source> = tasks.iter().flat_map(|t| t.sinks.iter().map(|s| s.target)).collect();
    let reads: BTreeSet<Source> = built.iter().flat_map(reads_of).collect();
    Unit {
        work: Work::Nests(built),
        reads: reads.into_iter().filter(|r| !writes.contains(r)).collect(),
        writes: writes.into_iter().collect(),
        origin,
    }
}

fn scan_unit(recurrence: Recurrence, first: Vec<Built>, origin: OriginId) -> Unit {
    let (mut reads, writes) = (recurrence.reads(), recurrence.writes());
    reads.extend(first.iter().flat_map(reads_of));
    Unit {
        work: Work::Scan(Box::new(Recurrence { first, ..recurrence })),
        reads: reads.into_iter().collect(),
        writes: writes.into_iter().collect(),
        origin,
    }
}

/// What the loads of a nest touch.
fn reads_of(built: &Built) -> Vec<Source> {
    let mut loaded: Vec<usize> = Vec::new();
    for expr in &built.nest.exprs {
        if let super::nest::Expr::Load(operand, _) = expr {
            loaded.push(*operand);
        }
    }
    loaded.into_iter().map(|operand| built.sources[operand]).collect()
}

/// The last channel that each value waits for: empty where nothing is received.
///
/// Only what waits for the same shares a pass. Else what another device waits for could come to wait for that device's
/// answer; and what this device may compute while it waits, for what it waits for.
struct Waits(Vec<Option<u32>>);

fn waits(graph: &Graph) -> Waits {
    let received = |value: ValueId| {
        let Op::Receive { channel, .. } = graph.op(value) else { return None };
        Some(channel.0)
    };
    if graph.values().all(|value| received(value).is_none()) {
        return Waits(Vec::new());
    }
    let mut last: Vec<Option<u32>> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let before = graph.args(value).into_iter().filter_map(|arg| last[arg.0 as usize]).max();
        last.push(received(value).or(before));
    }
    Waits(last)
}

impl Waits {
    /// The last channel that a task waits for.
    fn of(&self, task: &Task) -> Option<u32> {
        let waits = |sink: &Sink| match sink.what {
            What::Value(value, _) => self.0.get(value.0 as usize).copied().flatten(),
            What::Number(..) | What::Stored(..) => None,
        };
        task.sinks.iter().filter_map(waits).max()
    }
}

/// A unit made before that could compute `task` in the same pass.
fn find_host(
    graph: &Graph,
    stored: &Stored,
    waits: &Waits,
    made: &Made,
    task: &Task,
    unit: &Unit,
) -> Option<(usize, Task, Built)> {
    let mut candidates: BTreeSet<usize> = made.before(unit).collect();
    // Sharing a single number is no reason.
    for read in unit.reads.iter().filter(|read| size_of_source(graph, **read) > 1) {
        candidates.extend(made.readers.get(read).into_iter().flatten());
    }
    for host in candidates.into_iter().rev() {
        let Some(first) = &made.units[host].0 else { continue };
        if !compatible(first, task) || waits.of(first) != waits.of(task) || made.reaches(host, unit) {
            continue;
        }
        let mut merged = first.clone();
        merged.roles = join_roles(first, task);
        merged.sinks.extend(task.sinks.iter().cloned());
        if let Ok(built) = build(graph, stored, &merged)
            && built.nest.pattern() != Pattern::Columns
        {
            return Some((host, merged, built));
        }
    }
    None
}

fn size_of_source(graph: &Graph, source: Source) -> usize {
    match source {
        Source::Value(value) => graph.ty(value).elements(),
        Source::Input(i) => graph.inputs[i.0 as usize].ty.elements(),
        Source::Variable(v) => graph.variables[v.0 as usize].ty.elements(),
        Source::Seed | Source::Step | Source::Updated(_) | Source::Copy(_) => 1,
    }
}

/// Whether two tasks can run over one space: equal axes, and folds over the same rows or none.
fn compatible(a: &Task, b: &Task) -> bool {
    let folds = |t: &Task| t.sinks.iter().any(|s| s.combine.is_some());
    let search = |t: &Task| t.sinks.iter().any(|s| s.combine == Some(Combine::ArgMax));
    let rows = |t: &Task| !t.roles.contains(&Role::Outer);
    let shifted = |t: &Task| t.sinks.iter().any(|s| s.start != 0);
    let leading = |t: &Task| {
        let first = t.roles.iter().position(|r| *r != Role::Kept);
        first.is_none_or(|first| {
            t.roles[first..].iter().enumerate().all(|(i, r)| *r != Role::Kept || t.space[first + i] == 1)
        })
    };
    a.space == b.space
        && a.sinks.len() + b.sinks.len() <= MOST_SINKS
        && !search(a)
        && !search(b)
        && !shifted(a)
        && !shifted(b)
        && (!folds(a) || !folds(b) || a.roles == b.roles)
        && rows(a)
        && rows(b)
        && leading(a)
        && leading(b)
        && a.space.iter().product::<usize>() > 0
}

fn join_roles(a: &Task, b: &Task) -> Vec<Role> {
    if a.roles.contains(&Role::Row) { a.roles.clone() } else { b.roles.clone() }
}

/// The dtype of what a nest stores for a value.
pub fn dtype_of(graph: &Graph, source: Source, fused: &Fused) -> (DType, Vec<usize>) {
    let of = |ty: &crate::types::Type| (ty.dtype, ty.dims());
    match source {
        Source::Value(value) => of(graph.ty(value)),
        Source::Input(i) => of(&graph.inputs[i.0 as usize].ty),
        Source::Variable(v) | Source::Updated(v) => of(&graph.variables[v.0 as usize].ty),
        Source::Seed | Source::Step => (DType::I64, Vec::new()),
        Source::Copy(at) => {
            let (value, order) = &fused.copies[at];
            let (dtype, dims) = of(graph.ty(*value));
            (dtype, order.iter().map(|axis| dims[*axis]).collect())
        }
    }
}
