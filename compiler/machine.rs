//! A checked model on this machine: its variables in memory, its programs compiled when they are needed.

mod begin;

use std::cell::OnceCell;
use std::sync::Arc;

use strata_runtime::group::{Device, Group, GroupError, Loaded};
use strata_runtime::init::initial;
use strata_runtime::plan::Layout;
use strata_runtime::program::{self, Whole, variables_of};
use strata_runtime::queue::{Batch, Shapes};
use strata_runtime::train::{self, MachineError, Outputs, Phase, Suspect, Turn, Variables};
use strata_runtime::{DType, Tensor};

use crate::graph::Graph;
use crate::lower::{LowerOptions, layout, lower, waits};
use crate::model::{Model, Variable};
use crate::ops::{Op, VariableId};
use crate::partition::{self, Places};
use crate::placement::{Placement, several};
use crate::totals::{Totals, is_part};
use crate::types::Size;

/// Makes the programs of several devices out of a graph.
pub type Partition<'m> = Box<dyn Fn(&Graph, &LowerOptions) -> Result<program::Program, MachineError> + 'm>;

/// A model with its variables.
pub struct Machine<'m> {
    model: &'m Model,
    group: Group,
    cut: Cut<'m>,
    seed: u64,
    threads: usize,
    /// What measures over several batches are functions of; made when first asked for.
    totals: OnceCell<Totals>,
}

/// How graphs become programs.
enum Cut<'m> {
    /// For one device, which has all variables.
    No(Layout),
    /// For several.
    Over(Partition<'m>),
}

/// A program in memory.
pub struct Program {
    /// The plans with their code.
    pub loaded: Loaded,
    /// What each output is called: `loss`, `accuracy`, or a binding's name.
    pub names: Vec<Arc<str>>,
}

impl Program {
    /// The inputs that it reads.
    fn reads(&self) -> impl Iterator<Item = &str> {
        let read = self.loaded.inputs().iter().filter(|input| !input.pieces.is_empty());
        read.map(|input| input.name.as_str())
    }
}

impl<'m> Machine<'m> {
    /// Every variable as it begins in a run with this seed, but for what files bring ([`Machine::begin`]); steps are
    /// shared by so many threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(model: &'m Model, seed: u64, threads: usize) -> Result<Machine<'m>, MachineError> {
        let (device, variables, layout) = alone(model);
        Machine::made(model, seed, threads, (vec![device], variables), Cut::No(layout))
    }

    /// The same on the devices of a placement, if there is one that uses several; each gets at least one thread.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn placed(
        model: &'m Model,
        placement: Option<&Placement>,
        seed: u64,
        threads: usize,
    ) -> Result<Machine<'m>, MachineError> {
        let Some(placement) = several(placement) else {
            return Machine::new(model, seed, threads);
        };
        let places = Places::of(model, placement);
        let (devices, variables) = partition::devices(model, placement, &places);
        let program =
            move |graph: &Graph, options: &LowerOptions| Ok(partition::program(graph, &places, options));
        Machine::over(model, seed, threads, devices, variables, Box::new(program))
    }

    /// The same over several devices, which have the variables as `variables` says, with programs that `partition` makes
    /// out of graphs. `threads`: in all, at least one a device.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn over(
        model: &'m Model,
        seed: u64,
        threads: usize,
        devices: Vec<Device>,
        variables: Vec<Whole>,
        partition: Partition<'m>,
    ) -> Result<Machine<'m>, MachineError> {
        Machine::made(model, seed, threads, (devices, variables), Cut::Over(partition))
    }

    fn made(
        model: &'m Model,
        seed: u64,
        threads: usize,
        (devices, variables): (Vec<Device>, Vec<Whole>),
        cut: Cut<'m>,
    ) -> Result<Machine<'m>, MachineError> {
        let group = Group::new(devices, variables, threads).map_err(fail)?;
        let mut machine = Machine { model, group, cut, seed, threads, totals: OnceCell::new() };
        for v in &model.variables {
            let value = initial(&v.init, seed, &v.name, v.ty.dtype, &v.ty.dims());
            machine.group.set(&v.name, &value).map_err(fail)?;
        }
        machine.compute()?;
        Ok(machine)
    }

    /// The devices.
    pub fn group(&mut self) -> &mut Group {
        &mut self.group
    }

    /// Where the variables are.
    pub fn variables(&self) -> &[Whole] {
        self.group.variables()
    }

    /// Sets the variables that are named.
    ///
    /// # Errors
    /// A name, dtype or shape that is not the model's.
    pub fn set(&mut self, variables: &Variables) -> Result<(), MachineError> {
        variables.iter().try_for_each(|(name, value)| self.group.set(name, value)).map_err(fail)
    }

    /// What evaluation needs: every variable but the optimizer's memory; averages under the names of the parameters.
    pub fn parameters(&self) -> Variables {
        let mut found = self.values(|v| !self.model.is_memory(v));
        let name = |id: VariableId| self.model.variables[id.0 as usize].name.as_str();
        for (param, average) in &self.model.averages {
            let value = self.group.get(name(*average)).expect("the layout was made of the model's variables");
            if let Some(slot) = found.iter_mut().find(|(known, _)| known == name(*param)) {
                slot.1 = value;
            }
        }
        found
    }

    fn values(&self, wanted: impl Fn(&Variable) -> bool) -> Variables {
        let value =
            |v: &Variable| self.group.get(&v.name).expect("the layout was made of the model's variables");
        self.model.variables.iter().filter(|v| wanted(v)).map(|v| (v.name.clone(), value(v))).collect()
    }

    /// The program that hands out some bindings for batches of these shapes; inputs that it does not read may
    /// be missing.
    ///
    /// # Errors
    /// What this machine cannot do; shapes that contradict each other.
    pub fn predictor(&mut self, shapes: &Shapes, wanted: &[String]) -> Result<Program, MachineError> {
        self.make(Phase::Predict, shapes, wanted, &LowerOptions::default())
    }

    /// A program from a graph over this model's variables.
    ///
    /// # Errors
    /// What this machine cannot do.
    pub fn program(&mut self, graph: &Graph) -> Result<Program, MachineError> {
        self.put(graph, &LowerOptions::default())
    }

    /// Puts a program into memory that was made for these devices.
    ///
    /// # Errors
    /// When it does not fit them, or its devices would wait for each other for ever.
    pub fn load(&mut self, program: program::Program) -> Result<Program, MachineError> {
        waits::verify(&program.plans, &program.channels).map_err(MachineError::Words)?;
        let loaded = self.group.load(program).map_err(fail)?;
        let plain = |name: &str| Arc::from(name.strip_prefix("metric/").unwrap_or(name));
        let names = loaded.outputs().iter().map(|output| plain(&output.name)).collect();
        Ok(Program { loaded, names })
    }

    /// Carries out a program whose inputs are found by name.
    ///
    /// # Errors
    /// An input that it reads and that is not found, or is not what the program was made for.
    pub fn run_program<'t>(
        &mut self,
        program: &'t Program,
        find: impl Fn(&str) -> Option<&'t Tensor>,
    ) -> Result<Vec<Tensor>, MachineError> {
        let given = |name: &'t str| {
            let missing = || MachineError::Words(format!("nothing is given for the input `{name}`"));
            Ok((name, find(name).ok_or_else(missing)?))
        };
        let inputs = program.reads().map(given).collect::<Result<Vec<_>, MachineError>>()?;
        self.group.run(&program.loaded, self.seed as i64, 0, &inputs).map_err(fail)
    }

    /// Carries a program out and returns its outputs whole.
    ///
    /// # Errors
    /// A batch that is not what the program was made for.
    pub fn carry_out(
        &mut self,
        program: &Program,
        batch: &Batch,
        step: u64,
    ) -> Result<Vec<Tensor>, MachineError> {
        self.turn(program, batch, Turn { step, part: 0 })
    }

    fn turn(&mut self, program: &Program, batch: &Batch, turn: Turn) -> Result<Vec<Tensor>, MachineError> {
        let inputs = inputs(program, batch)?;
        // Each microbatch draws numbers of its own: its key is the seed and a multiple of an odd number.
        let seed = self.seed.wrapping_add(turn.part.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // The clock holds the bits; what they mean is the generator's matter.
        self.group.run(&program.loaded, seed as i64, turn.step as i64, &inputs).map_err(fail)
    }

    /// Carries a program out and returns the seconds that each step of its plans took, device by device.
    ///
    /// # Errors
    /// As [`Machine::carry_out`].
    pub fn time(
        &mut self,
        program: &Program,
        batch: &Batch,
        step: u64,
    ) -> Result<Vec<Vec<f64>>, MachineError> {
        let inputs = inputs(program, batch)?;
        self.group.time(&program.loaded, self.seed as i64, step as i64, &inputs).map_err(fail)
    }

    fn make(
        &mut self,
        phase: Phase,
        shapes: &Shapes,
        wanted: &[String],
        options: &LowerOptions,
    ) -> Result<Program, MachineError> {
        let graph = crate::graph_of(self.model, &binding(self.model, shapes)?, phase, wanted);
        self.put(&graph, options)
    }

    /// Makes the program of a graph and puts it into memory.
    fn put(&mut self, graph: &Graph, options: &LowerOptions) -> Result<Program, MachineError> {
        let program = match &self.cut {
            Cut::No(layout) => {
                let mut read = vec![false; graph.inputs.len()];
                for value in graph.values() {
                    if let Op::Input(input) = graph.op(value) {
                        read[input.0 as usize] = true;
                    }
                }
                program::Program::alone(lower(graph, layout, options), |input| read[input])
            }
            Cut::Over(partition) => partition(graph, options)?,
        };
        self.load(program)
    }

    /// A machine of one device with the same variables.
    fn apart(&self) -> Result<Machine<'m>, MachineError> {
        let (device, variables, layout) = alone(self.model);
        let group = Group::new(vec![device], variables, self.threads).map_err(fail)?;
        let (model, seed, threads, cut) = (self.model, self.seed, self.threads, Cut::No(layout));
        let mut machine = Machine { model, group, cut, seed, threads, totals: OnceCell::new() };
        machine.set(&self.values(|_| true))?;
        Ok(machine)
    }
}

/// One device that has all variables of a model, where they are on it, and how they lie.
fn alone(model: &Model) -> (Device, Vec<Whole>, Layout) {
    let layout = layout(&model.variables);
    let device = Device { name: "cpu".to_owned(), layout: layout.clone() };
    (device, variables_of(&layout), layout)
}

impl train::Machine for Machine<'_> {
    type Program = Program;

    fn compile(&mut self, phase: Phase, shapes: &Shapes) -> Result<Program, MachineError> {
        self.make(phase, shapes, &[], &LowerOptions::default())
    }

    fn run(&mut self, program: &mut Program, batch: &Batch, turn: Turn) -> Result<Outputs, MachineError> {
        let outputs = self.turn(program, batch, turn)?;
        let mut found = Outputs::new();
        for (name, value) in program.names.iter().zip(&outputs) {
            if is_part(name) {
                found.extend(exact(value).into_iter().map(|number| (Arc::clone(name), number)));
            } else {
                found.extend(scalar(value).map(|number| (Arc::clone(name), number)));
            }
        }
        Ok(found)
    }

    fn finish(&self, outputs: Outputs) -> Outputs {
        if !outputs.iter().any(|(name, _)| is_part(name)) {
            return outputs;
        }
        self.totals.get_or_init(|| Totals::of(self.model)).finish(outputs)
    }

    fn read(&self) -> Variables {
        self.values(|_| true)
    }

    fn write(&mut self, variables: &Variables) {
        self.set(variables).expect("they were read from this machine");
    }

    fn tell(&mut self, name: &str, value: f64) -> bool {
        let there = self.model.variables.iter().any(|v| v.name == name);
        if there {
            let value =
                Tensor::from_bytes(DType::F64, &[], &value.to_ne_bytes()).expect("eight bytes are one f64");
            self.group.set(name, &value).expect("what is told is an f64 without axes");
        }
        there
    }

    fn examine(&mut self, phase: Phase, batch: &Batch, turn: Turn) -> Result<Option<Suspect>, MachineError> {
        if let Cut::Over(_) = self.cut {
            // Ids of values tell what came first within one graph only.
            return self.apart()?.examine(phase, batch, turn);
        }
        let before = self.values(|_| true);
        let binding = binding(self.model, &batch.shapes())?;
        let graph = crate::graph_of(self.model, &binding, phase, &[]);
        let options = LowerOptions { fuse: false, keep_all: true, text: false };
        let program = self.put(&graph, &options)?;
        let outputs = self.turn(&program, batch, turn)?;
        self.set(&before)?;
        let ports = program.loaded.outputs().iter().zip(&outputs);
        // Ids grow along edges, so the smallest is the first to have gone wrong.
        let odd = ports.filter_map(|(port, tensor)| {
            let id: u32 = port.name.strip_prefix('%')?.parse().ok()?;
            Some((id, port, odd_element(tensor)?))
        });
        let first = odd.min_by_key(|(id, ..)| *id);
        Ok(first.map(|(id, port, (found, index))| {
            let value = crate::graph::ValueId(id);
            let name = format!("the {} that `{}` computes", graph.ty(value), graph.op(value).name());
            Suspect { name, id: port.origin, found, index }
        }))
    }
}

/// The sizes of a model's free axes in batches of these shapes; 1 for axes of inputs that the batches lack.
///
/// # Errors
/// Inputs that give one axis two sizes, or have another number of axes than the model says.
pub fn binding(model: &Model, shapes: &Shapes) -> Result<Vec<u64>, MachineError> {
    let mut bound: Vec<Option<(u64, &str)>> = vec![None; model.free.len()];
    for input in &model.inputs {
        let Some(shape) = shapes.get(&input.name) else { continue };
        if shape.len() != input.ty.rank() {
            let text = format!("`{}` is {}, and the data bring {shape:?}", input.name, input.ty);
            return Err(MachineError::Words(text));
        }
        for (axis, size) in input.ty.axes.iter().zip(shape) {
            let Size::Free(free) = axis.size else { continue };
            let size = *size as u64;
            match bound[free.0 as usize] {
                Some((other, first)) if other != size => {
                    let name = &model.free[free.0 as usize].name;
                    let text = format!(
                        "the axis `{name}` is {other} long in `{first}` and {size} long in `{}`",
                        input.name
                    );
                    return Err(MachineError::Words(text));
                }
                Some(_) => {}
                None => bound[free.0 as usize] = Some((size, &input.name)),
            }
        }
    }
    Ok(bound.into_iter().map(|bound| bound.map_or(1, |(size, _)| size)).collect())
}

/// The inputs that some bindings are computed from.
pub fn inputs_of<'m>(model: &'m Model, wanted: &[String]) -> Vec<&'m str> {
    let graph = crate::graph_of(model, &vec![1; model.free.len()], Phase::Predict, wanted);
    let reads = |at: usize| {
        graph.values().any(|value| matches!(graph.op(value), Op::Input(input) if input.0 as usize == at))
    };
    model
        .inputs
        .iter()
        .enumerate()
        .filter(|(at, _)| reads(*at))
        .map(|(_, input)| input.name.as_str())
        .collect()
}

/// The tensors that a program reads.
fn inputs<'a>(program: &'a Program, batch: &'a Batch) -> Result<Vec<(&'a str, &'a Tensor)>, MachineError> {
    let found = program.reads().map(|name| {
        let missing = || MachineError::Words(format!("the data have no field for the input `{name}`"));
        batch.tensor(name).map(|tensor| (name, tensor)).ok_or_else(missing)
    });
    found.collect()
}

fn fail(error: GroupError) -> MachineError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only some of them are told apart")]
    match error {
        GroupError::Index { bad, .. } => MachineError::Index(bad),
        GroupError::Ended(ended) => MachineError::Ended(ended),
        other => MachineError::Words(other.to_string()),
    }
}

/// The number that a tensor without axes holds, if it is a float.
fn scalar(tensor: &Tensor) -> Option<f64> {
    match tensor.dtype() {
        DType::F32 => tensor.as_f32()?.first().map(|x| f64::from(*x)),
        DType::F64 => tensor.bytes().as_chunks::<8>().0.first().map(|bytes| f64::from_ne_bytes(*bytes)),
        DType::Bf16 | DType::F16 => numbers(tensor).first().copied(),
        DType::I32 | DType::I64 | DType::U8 | DType::Bool => None,
    }
}

/// All elements as they are.
fn exact(tensor: &Tensor) -> Vec<f64> {
    match tensor.as_f32() {
        Some(all) => all.iter().map(|x| f64::from(*x)).collect(),
        None => numbers(tensor),
    }
}

/// All elements; an `f32` as the shortest decimal that stands for it, so that it is written as it is.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let bytes = tensor.bytes();
    match tensor.dtype() {
        DType::F32 => {
            let plain = |x: &f32| x.to_string().parse().unwrap_or(f64::from(*x));
            tensor.as_f32().into_iter().flatten().map(plain).collect()
        }
        DType::F64 => bytes.as_chunks::<8>().0.iter().map(|b| f64::from_ne_bytes(*b)).collect(),
        DType::Bf16 => wide16(bytes, |bits| half::bf16::from_bits(bits).to_f64()),
        DType::F16 => wide16(bytes, |bits| half::f16::from_bits(bits).to_f64()),
        DType::I32 => bytes.as_chunks::<4>().0.iter().map(|b| f64::from(i32::from_ne_bytes(*b))).collect(),
        DType::I64 => bytes.as_chunks::<8>().0.iter().map(|b| i64::from_ne_bytes(*b) as f64).collect(),
        DType::U8 | DType::Bool => bytes.iter().map(|b| f64::from(*b)).collect(),
    }
}

fn wide16(bytes: &[u8], value: impl Fn(u16) -> f64) -> Vec<f64> {
    bytes.as_chunks::<2>().0.iter().map(|b| value(u16::from_ne_bytes(*b))).collect()
}

/// The first element that is not finite, as it is written, and its index.
fn odd_element(tensor: &Tensor) -> Option<(String, Vec<usize>)> {
    if !tensor.dtype().is_float() {
        return None;
    }
    let numbers = numbers(tensor);
    let at = numbers.iter().position(|x| !x.is_finite())?;
    Some((numbers[at].to_string(), index_of(tensor.shape(), at)))
}

/// The index of an element in a tensor of this shape.
pub fn index_of(shape: &[usize], at: usize) -> Vec<usize> {
    let mut rest = at;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|size| {
            let place = rest % size;
            rest /= size;
            place
        })
        .collect();
    index.reverse();
    index
}
