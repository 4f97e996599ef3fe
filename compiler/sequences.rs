//! A trained model making sequences on this machine: the steps of `decode` behind the searches of
//! `runtime::generate`.

use std::collections::HashMap;

use strata_runtime::Tensor;
use strata_runtime::generate::{self, Scores};
use strata_runtime::train::MachineError;

use crate::decode::{Handed, Steps};
use crate::machine::{Machine, Program};
use crate::model::{Decoder, Model};
use crate::types::{FreeId, Size, Type};

/// Sequences for some examples, side by side.
pub struct Sequences<'a, 'm> {
    machine: &'a mut Machine<'m>,
    steps: Steps<'m>,
    /// The sizes of the free axes for one row an example.
    binding: Vec<u64>,
    examples: FreeId,
    /// What the first program reads.
    inputs: Vec<(String, Tensor)>,
    /// The type of the sequence.
    sequence: Type,
    /// Programs of a step, by number of rows and of positions that there is a place for.
    programs: HashMap<(usize, u64), Program>,
    /// What was computed once, as it came for the examples: tensor, and its axis of examples.
    memories: Vec<(Tensor, Option<usize>)>,
    /// The same for the rows at hand.
    spread: Vec<Tensor>,
    states: Vec<(Tensor, Option<usize>)>,
    /// What is kept of every position: tensor, its axis of examples, and its axis of positions.
    stores: Vec<(Tensor, Option<usize>, usize)>,
    /// How many positions have a place.
    places: u64,
    /// No sequence has more.
    most: u64,
    /// Whether the model itself says so.
    given: bool,
    /// The position that the next step makes.
    position: u64,
    /// The example of each row.
    owners: Vec<usize>,
}

/// How many positions have a place at first; the number doubles when they are used up, so that a short sequence costs
/// little. Picked by feel.
const PLACES: u64 = 16;

impl<'a, 'm> Sequences<'a, 'm> {
    /// To be made by `decoder` for the examples whose inputs are given (those of the sequence itself aside);
    /// `binding` holds the sizes of the free axes.
    pub fn new(
        machine: &'a mut Machine<'m>,
        model: &'m Model,
        decoder: &Decoder,
        steps: Steps<'m>,
        binding: &[u64],
        mut inputs: Vec<(String, Tensor)>,
    ) -> Sequences<'a, 'm> {
        let input = &model.inputs[decoder.input.0 as usize];
        let sequence = input.ty.clone();
        let Size::Free(examples) = sequence.axes[0].size else {
            unreachable!("the checker takes no decoder whose examples are counted in the spec")
        };
        // Of the sequence, which is yet to be made, only the first position is looked at, and nothing in it.
        let rows = binding[examples.0 as usize] as usize;
        let given = steps.positions(binding);
        let length = given.unwrap_or(1);
        let lengths = Tensor::from_i32(&[rows], &vec![i32::try_from(length).unwrap_or(i32::MAX); rows]);
        inputs.push((format!("{}.length", input.name), lengths.expect("one number a row")));
        inputs.push((input.name.clone(), Tensor::zeros(sequence.dtype, &[rows, length as usize])));
        let most = decoder.most.as_ref().map_or(u64::MAX, |most| most.bind(binding));
        // However long the sequence is in the data that the sizes come from.
        let mut binding = binding.to_vec();
        if let Some(Size::Free(time)) = sequence.axes.get(1).map(|axis| axis.size.clone()) {
            binding[time.0 as usize] = length;
        }
        Sequences {
            machine,
            steps,
            binding,
            examples,
            inputs,
            sequence,
            programs: HashMap::new(),
            memories: Vec::new(),
            spread: Vec::new(),
            states: Vec::new(),
            stores: Vec::new(),
            // Where something given is as long as the sequence, so is what is kept of it.
            places: given.unwrap_or(PLACES.min(most)).max(1),
            most: given.unwrap_or(most),
            given: given.is_some(),
            position: 0,
            owners: Vec::new(),
        }
    }

    fn bound(&self, rows: usize) -> Vec<u64> {
        let mut binding = self.binding.clone();
        binding[self.examples.0 as usize] = rows as u64;
        binding
    }

    /// The scores after one token a row.
    fn step(&mut self, tokens: &[Tensor]) -> Result<Scores, MachineError> {
        if self.position >= self.places && (self.given || self.steps.looks_back()) {
            self.make_room()?;
        }
        let rows = self.owners.len();
        let sizes = (rows, self.places);
        if !self.programs.contains_key(&sizes) {
            let step = self.steps.step(&self.bound(rows), self.places);
            let program = self.machine.program(&step)?;
            self.programs.insert(sizes, program);
        }
        let position = i32::try_from(self.position).unwrap_or(i32::MAX);
        let position = Tensor::from_i32(&[], &[position]).expect("one number");
        let named = |what: &str, at: usize| format!("{what}{at}");
        let mut handed: Vec<(String, &Tensor)> = vec![("position".into(), &position)];
        handed.extend(tokens.iter().enumerate().map(|(i, t)| (named("token", i), t)));
        handed.extend(self.spread.iter().enumerate().map(|(i, t)| (named("memory", i), t)));
        handed.extend(self.states.iter().enumerate().map(|(i, (t, _))| (named("state", i), t)));
        handed.extend(self.stores.iter().enumerate().map(|(i, (t, ..))| (named("store", i), t)));
        let find = |name: &str| handed.iter().find(|(n, _)| n == name).map(|(_, tensor)| *tensor);
        let mut outputs = self.machine.run_program(&self.programs[&sizes], find)?.into_iter();
        let logits = outputs.next().expect("a step gives scores first");
        for ((state, _), new) in self.states.iter_mut().zip(outputs.by_ref()) {
            *state = new;
        }
        for ((store, ..), new) in self.stores.iter_mut().zip(outputs) {
            *store = new;
        }
        self.position += 1;
        let classes = logits.shape().last().copied().unwrap_or(1);
        let numbers = logits.as_f32().map(<[f32]>::to_vec);
        let numbers = numbers.ok_or_else(|| MachineError::Words("scores are not f32".into()))?;
        Ok(Scores { numbers, classes })
    }

    /// Places for more positions.
    fn make_room(&mut self) -> Result<(), MachineError> {
        if self.given {
            let text = format!(
                "the sequence is as long as what is given with it, {} positions, and one more is asked for: let \
                 `at most` say no more than that",
                self.places
            );
            return Err(MachineError::Words(text));
        }
        // Past what the rules allow, as when rows that are done run along, one position is as good as many.
        self.places = (self.places * 2).min(self.most.max(self.position + 1));
        for (store, _, axis) in &mut self.stores {
            *store = lengthened(store, *axis, self.places as usize);
        }
        Ok(())
    }
}

impl generate::Decoder for Sequences<'_, '_> {
    type Error = MachineError;

    fn begin(&mut self) -> Result<Scores, MachineError> {
        let begin = self.steps.begin(&self.binding);
        let program = self.machine.program(&begin)?;
        let inputs = &self.inputs;
        let find = |name: &str| inputs.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor);
        let mut outputs = self.machine.run_program(&program, find)?.into_iter();
        let Handed { tokens, memories, states, stores } = self.steps.handed();
        let tokens: Vec<Tensor> = outputs.by_ref().take(tokens).collect();
        let examples = Size::Free(self.examples);
        let along = |ty: &&Type| ty.axes.iter().position(|axis| axis.size == examples);
        self.memories = outputs.by_ref().take(memories.len()).zip(memories.iter().map(along)).collect();
        self.states = outputs.zip(states.iter().map(along)).collect();
        let empty = |(ty, axis): &(&Type, usize)| {
            let mut shape = ty.bind(&self.binding).dims();
            shape[*axis] = self.places as usize;
            (Tensor::zeros(ty.dtype, &shape), along(ty), *axis)
        };
        self.stores = stores.iter().map(empty).collect();
        self.position = 0;
        self.spread = self.memories.iter().map(|(tensor, _)| tensor.clone()).collect();
        self.owners = (0..self.binding[self.examples.0 as usize] as usize).collect();
        self.step(&tokens)
    }

    fn next(&mut self, from: &[usize], tokens: &[u32]) -> Result<Scores, MachineError> {
        let same = from.len() == self.owners.len() && from.iter().copied().eq(0..from.len());
        let stores = self.stores.iter_mut().map(|(store, axis, _)| (store, *axis));
        let states = self.states.iter_mut().map(|(state, axis)| (state, *axis));
        for (tensor, axis) in states.chain(stores).filter(|_| !same) {
            if let Some(axis) = axis {
                *tensor = pick(tensor, axis, from);
            }
        }
        let owners: Vec<usize> = from.iter().map(|row| self.owners[*row]).collect();
        if owners != self.owners {
            let spread = |(tensor, axis): &(Tensor, Option<usize>)| {
                axis.map_or_else(|| tensor.clone(), |axis| pick(tensor, axis, &owners))
            };
            self.spread = self.memories.iter().map(spread).collect();
            self.owners = owners;
        }
        let token = column(&self.sequence, tokens)?;
        let count = self.steps.handed().tokens;
        self.step(&vec![token; count])
    }
}

/// Tokens as one position of a sequence of this type.
fn column(sequence: &Type, tokens: &[u32]) -> Result<Tensor, MachineError> {
    use strata_runtime::DType;
    let bytes: Vec<u8> = match sequence.dtype {
        DType::I32 => tokens.iter().flat_map(|t| (*t as i32).to_ne_bytes()).collect(),
        DType::I64 => tokens.iter().flat_map(|t| i64::from(*t).to_ne_bytes()).collect(),
        DType::U8 => tokens.iter().map(|t| *t as u8).collect(),
        DType::F32 | DType::F64 | DType::Bf16 | DType::F16 | DType::Bool => {
            let text = format!("a sequence of {} has no tokens", sequence.dtype);
            return Err(MachineError::Words(text));
        }
    };
    Ok(Tensor::from_bytes(sequence.dtype, &[tokens.len(), 1], &bytes).expect("one token a row"))
}

/// The tensor with an axis as long as `size`, what is new of it zeros.
fn lengthened(tensor: &Tensor, axis: usize, size: usize) -> Tensor {
    let shape = tensor.shape();
    let outer: usize = shape[..axis].iter().product();
    let inner = shape[axis + 1..].iter().product::<usize>() * tensor.dtype().bytes();
    let (old, new) = (shape[axis] * inner, size * inner);
    let mut bytes = vec![0; outer * new];
    for block in 0..outer {
        bytes[block * new..][..old].copy_from_slice(&tensor.bytes()[block * old..][..old]);
    }
    let mut longer = shape.to_vec();
    longer[axis] = size;
    Tensor::from_bytes(tensor.dtype(), &longer, &bytes).expect("as many bytes as there are places")
}

/// The slices `rows` of one axis, in that order.
fn pick(tensor: &Tensor, axis: usize, rows: &[usize]) -> Tensor {
    let shape = tensor.shape();
    let outer: usize = shape[..axis].iter().product();
    let inner = shape[axis + 1..].iter().product::<usize>() * tensor.dtype().bytes();
    let mut bytes = Vec::with_capacity(outer * rows.len() * inner);
    for block in 0..outer {
        for row in rows {
            let start = (block * shape[axis] + row) * inner;
            bytes.extend_from_slice(&tensor.bytes()[start..start + inner]);
        }
    }
    let mut picked = shape.to_vec();
    picked[axis] = rows.len();
    Tensor::from_bytes(tensor.dtype(), &picked, &bytes).expect("as many bytes as rows were picked")
}
