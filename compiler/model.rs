//! The checked model: ids instead of names, every layer resolved into primitives, every shape known up to the
//! free axes. After this stage the user can do nothing wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use strata_grammar::Span;
use strata_runtime::generate::Strategy;
pub use strata_runtime::init::Init;
use strata_runtime::kernels::random::stream_of;

use crate::graph::{OriginId, ValueId};
use crate::ops::{InputId, Op, VariableId};
use crate::types::{Size, Type};

/// An axis whose size the data bind.
#[derive(Clone, Debug, PartialEq)]
pub struct FreeAxis {
    /// Its name.
    pub name: String,
    /// Where it first stands.
    pub span: Span,
}

/// What the data stage supplies.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its declaration.
    pub span: Span,
}

impl Input {
    /// What the name of an input's lengths ends with: `words.length` has that of each example of `words`.
    pub const LENGTH: &'static str = ".length";

    /// Whether it holds the lengths of another input's examples, which the data stage supplies with it.
    pub fn is_length(&self) -> bool {
        self.name.ends_with(Input::LENGTH)
    }
}

/// Which kind a variable is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VariableKind {
    /// Trained by the optimizer.
    Param,
    /// Carried from step to step: running means, an optimizer's memory.
    State,
    /// Never changes.
    Const,
}

/// A trained weight, a state or a constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Full name: the path of groups, `as` names or bindings and its own, as in `encoder[2]/u`.
    pub name: String,
    /// Which kind.
    pub kind: VariableKind,
    /// Its type; never depends on a free axis.
    pub ty: Type,
    /// How it begins.
    pub init: Init,
    /// Its declaration (in the standard library for the library's layers).
    pub span: Span,
    /// The user's text that brought it about: the call, or the declaration itself.
    pub call: Span,
    /// The region it belongs to.
    pub region: RegionId,
}

/// One value of a model. Its id is its index in `Model::values`; operands come before users.
#[derive(Clone, Debug)]
pub struct Value {
    /// What computes it.
    pub op: Op,
    /// From what.
    pub args: Vec<ValueId>,
    /// Its type, symbolic in the free axes.
    pub ty: Type,
    /// Its place in `Model::origins`.
    pub origin: OriginId,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The expression, perhaps inside a library layer.
    pub span: Span,
    /// The text in the user's files that brought it about.
    pub call: Span,
    /// The layer, group or loop turn it belongs to.
    pub region: RegionId,
    /// The innermost section of the model's own text that it stands in.
    pub section: Option<SectionId>,
}

/// What has a name in a model's own text: an index into `Model::sections`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId(pub u32);

/// An input, a layer, a group or a binding of a model's own text, one for each time it was elaborated: what `place`
/// names. Of a call of a layer all belongs to the section of the call.
#[derive(Clone, Debug)]
pub struct Section {
    /// Full texts of its names, `encoder[2]`: several where a statement binds several.
    pub names: Vec<String>,
    /// The section it stands in.
    pub parent: Option<SectionId>,
    /// The first of its names.
    pub span: Span,
}

/// A layer call, group or loop turn: an index into `Model::regions`; 0 is the model itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(pub u32);

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionKind {
    /// The whole model.
    Model,
    /// A call of a layer.
    Layer,
    /// A group of statements.
    Group,
    /// The optimizer of one parameter.
    Optimizer,
}

/// A named part of a model: what `place` speaks of, and what a backend may claim whole.
#[derive(Clone, Debug)]
pub struct Region {
    /// Full name: `encoder[2]`, `features/conv`.
    pub name: String,
    /// What it is.
    pub kind: RegionKind,
    /// The layer that is called, for a layer.
    pub layer: Option<String>,
    /// What it is part of.
    pub parent: Option<RegionId>,
    /// The call or group in the text.
    pub span: Span,
    /// What it returns, for the summary.
    pub results: Vec<ValueId>,
}

/// A metric of the model.
#[derive(Clone, Debug)]
pub struct Metric {
    /// What it is called: `accuracy`.
    pub name: String,
    /// A scalar: its mean over the batch.
    pub value: ValueId,
    /// The statement.
    pub span: Span,
}

/// A type that the editor shows at a place.
#[derive(Clone, Debug)]
pub struct Hint {
    /// A name or call in the user's text.
    pub span: Span,
    /// The name or the call, as shown.
    pub name: String,
    /// The values it stands for (several for a tuple): of a text that is read several times, as in a loop, those of
    /// the first time.
    pub values: Vec<ValueId>,
    /// Whether another time gave another type.
    pub varies: bool,
    /// The region, where it is a layer call.
    pub region: Option<RegionId>,
}

/// In which training programs an update happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// For every batch.
    EveryBatch,
    /// For the batch that ends a step: an optimizer's updates.
    EndOfStep,
    /// For the batches of a step before its last: gradients are added up.
    WithinStep,
}

/// A variable's new value at the end of a training program.
#[derive(Clone, Debug)]
pub struct StateUpdate {
    /// The variable.
    pub variable: VariableId,
    /// Its new value; may depend on `Op::Gradient`.
    pub value: ValueId,
    /// In which programs.
    pub when: When,
    /// The statement.
    pub span: Span,
}

/// How a trained model makes a sequence.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The input that is made.
    pub input: InputId,
    /// The scores of each of its positions: `[examples, positions, classes]`.
    pub logits: ValueId,
    /// How the next token is chosen.
    pub strategy: Strategy,
    /// The token that ends a sequence.
    pub stop: Option<u32>,
    /// The most tokens; depends on the free axes.
    pub most: Option<Size>,
    /// Whether a token stands at most once.
    pub no_repeats: bool,
    /// The input whose tokens a sequence begins with.
    pub prefix: Option<InputId>,
    /// The statement.
    pub span: Span,
}

/// A model with everything resolved.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Axes that the data bind.
    pub free: Vec<FreeAxis>,
    /// What the data supply.
    pub inputs: Vec<Input>,
    /// Weights, states and constants.
    pub variables: Vec<Variable>,
    /// All values; operands before users. They hold no place, so that a model can move with its text.
    pub values: Arc<Vec<Value>>,
    /// Where values come from.
    pub origins: Vec<Origin>,
    /// Layers, groups and turns.
    pub regions: Vec<Region>,
    /// What `place` can name.
    pub sections: Vec<Section>,
    /// What training lowers: a scalar, the mean over the batch.
    pub loss: Option<ValueId>,
    /// How much a batch counts in a mean over batches: how many positions of its ragged axes the loss is a mean over.
    /// Without one, its examples count.
    pub weight: Option<ValueId>,
    /// What evaluation reports.
    pub metrics: Vec<Metric>,
    /// States' new values, also those of the optimizer once `train` was checked, and parameters' new values.
    pub updates: Vec<StateUpdate>,
    /// What training reports beside loss and metrics: the rate, where it changes.
    pub watched: Vec<(String, ValueId)>,
    /// Parameters with the state that holds their average, which is what evaluation reads.
    pub averages: Vec<(VariableId, VariableId)>,
    /// Top-level bindings by name, the last of each: what `predict` can hand out.
    pub bindings: Vec<(String, ValueId)>,
    /// What the editor shows where.
    pub hints: Vec<Hint>,
    /// Values that are another one moved by a position: (moved, what was moved).
    pub shifts: Vec<(ValueId, ValueId)>,
    /// How it makes sequences.
    pub decoders: Vec<Decoder>,
    /// Files that variables begin with, in the order in which they are read.
    pub loads: Vec<Load>,
    /// Variables that begin with a value of the model instead of their initialiser, each after those it reads.
    pub starts: Vec<(VariableId, ValueId)>,
}

/// A file whose tensors some variables begin with.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where it was found, or as it was written where nobody looked.
    pub file: PathBuf,
    /// Where it is named.
    pub span: Span,
    /// What becomes of what is in it.
    pub content: LoadContent,
}

/// What variables get from a file.
#[derive(Clone, Debug)]
pub enum LoadContent {
    /// Nobody looked into the file.
    Unread,
    /// From the file's tensors, the model's inputs, to variables, whose names its bindings bear.
    Weights(Box<Model>),
    /// A picture: the variable of this name and type.
    Picture(String, Type),
}

impl Load {
    /// A file that nobody looked into.
    pub fn unread(file: PathBuf, span: Span) -> Load {
        Load { file, span, content: LoadContent::Unread }
    }
}

impl Model {
    /// Numbers that are trained.
    pub fn parameters(&self) -> u64 {
        let trained = self.variables.iter().filter(|v| v.kind == VariableKind::Param);
        trained.map(|v| v.ty.elements() as u64).sum()
    }

    /// The variable that evaluation reads where the model says `variable`: its average, where one is kept.
    pub fn evaluated(&self, variable: VariableId) -> VariableId {
        self.averages.iter().find(|(param, _)| *param == variable).map_or(variable, |(_, average)| *average)
    }

    /// The values that `ends` are computed from, and themselves, operands before users; nothing behind those for which
    /// `stop` holds.
    pub fn behind(
        &self,
        ends: impl IntoIterator<Item = ValueId>,
        stop: impl Fn(ValueId) -> bool,
    ) -> Vec<ValueId> {
        let mut found: BTreeSet<ValueId> = BTreeSet::new();
        let mut open: Vec<ValueId> = ends.into_iter().collect();
        while let Some(value) = open.pop() {
            if found.insert(value) && !stop(value) {
                open.extend(&self.values[value.0 as usize].args);
            }
        }
        found.into_iter().collect()
    }

    /// Whether a variable is an optimizer's memory, or that of a layer it calls, which evaluation does not need.
    pub fn is_memory(&self, variable: &Variable) -> bool {
        self.in_optimizer(variable.region)
    }

    /// Whether a region is an optimizer's, or lies in one.
    pub fn in_optimizer(&self, region: RegionId) -> bool {
        let at = |id: RegionId| self.regions.get(id.0 as usize);
        let mut outwards = std::iter::successors(at(region), |inner| inner.parent.and_then(at));
        outwards.any(|region| region.kind == RegionKind::Optimizer)
    }

    /// Stands for what the model computes: equal where every step is. Independent of where its text stands.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for v in &self.variables {
            text += &format!("{} {:?} {} {:?}\n", v.name, v.kind, v.ty, v.init);
        }
        for value in self.values.iter() {
            text += &format!("{:?} {:?} {:?}\n", value.op, value.args, value.ty);
        }
        let updates: Vec<_> = self.updates.iter().map(|update| (update.variable, update.value)).collect();
        text += &format!("{:?} {updates:?}", self.loss);
        format!("{:016x}", stream_of(&text))
    }
}
