//! The model under construction: values, variables, regions, origins.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use super::apart::Apart;
use super::ragged::Ragged;
use super::value::{Initial, Value};
use super::weights::Wanted;
use crate::graph::{OriginId, ValueId};
use crate::model::{
    Hint, Init, Load, Model, Origin, Region, RegionId, RegionKind, Section, SectionId, StateUpdate,
    Value as ModelValue, Variable, VariableKind,
};
use crate::ops::{Op, Scalar, VariableId};
use crate::types::{DType, Type};

/// A model and the tables that find things in it.
#[derive(Clone, Debug)]
pub(super) struct Builder {
    pub(super) model: Model,
    origins: HashMap<Origin, OriginId>,
    leaves: HashMap<Op, ValueId>,
    variables: HashMap<String, VariableId>,
    /// The section that is being elaborated.
    section: Option<SectionId>,
    /// Where each full name was declared.
    pub(super) declared: HashMap<String, Span>,
    /// Places that have a hint, and which.
    hinted: HashMap<Span, usize>,
    /// Calls of library layers that data are checked against: layer, argument values by name.
    pub(super) losses: Vec<LossCall>,
    /// What was named in the model's body, whether or not it could be made sense of.
    pub(super) named: Vec<String>,
    /// `generate` statements.
    pub(super) drafts: Vec<super::decoder::Draft>,
    /// The `loss` statement.
    pub(super) loss_span: Option<Span>,
    /// What `Op::Slot` refers to.
    pub(super) slots: Vec<Type>,
    /// Values that were different ones in each turn of a recurrence that is over.
    pub(super) over: HashSet<ValueId>,
    /// The last value of each state, by the sequence of all.
    pub(super) lasts: HashMap<ValueId, ValueId>,
    /// Means over ragged axes: over how many positions each is, and of which axes.
    pub(super) means: HashMap<ValueId, (ValueId, String)>,
    /// Axes along which each example has its own length.
    pub(super) ragged: Vec<Ragged>,
    /// States' new values that are computed in the recurrences being elaborated, the innermost last.
    pub(super) turn_updates: Vec<Vec<StateUpdate>>,
    /// Layers that are being elaborated for many slices, the innermost last.
    pub(super) apart: Vec<Apart>,
    /// How many of them were around where a variable was declared.
    pub(super) apart_of: HashMap<VariableId, usize>,
    /// Files that called models begin with.
    pub(super) weights: Vec<Wanted>,
    /// Parameters of which frozen uses made constants.
    pub(super) frozen: HashSet<VariableId>,
}

/// `cross_entropy(logits, label)`: says how many classes the label has.
#[derive(Clone, Debug)]
pub(super) struct LossCall {
    pub(super) logits: ValueId,
    pub(super) label: ValueId,
    pub(super) span: Span,
}

/// A declared variable that nothing has read yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) path: String,
    pub(super) kind: VariableKind,
    pub(super) ty: Type,
    pub(super) init: Init,
    pub(super) start: Start,
    pub(super) span: Span,
    pub(super) call: Span,
    pub(super) region: RegionId,
    /// Whether gradients stop at it.
    pub(super) frozen: bool,
    /// Whether another use of a shared layer may have made it.
    pub(super) shared: bool,
    pub(super) read: bool,
    /// How many of its axes, the first, are those of `apart`.
    pub(super) apart: usize,
}

/// Where a variable's first numbers come from.
#[derive(Clone, Debug)]
pub(super) enum Start {
    /// From its initialiser.
    Drawn,
    /// A value of the model.
    Computed(ValueId),
    /// A file.
    Loaded(Load),
}

/// More values than any model of ours has, by feel; keeps a runaway spec within a second and a gigabyte.
const MAX_VALUES: usize = 300_000;

impl Builder {
    pub(super) fn new(name: &str) -> Builder {
        let model = Model {
            name: name.to_string(),
            free: Vec::new(),
            inputs: Vec::new(),
            variables: Vec::new(),
            values: Arc::default(),
            origins: Vec::new(),
            regions: Vec::new(),
            sections: Vec::new(),
            loss: None,
            weight: None,
            metrics: Vec::new(),
            watched: Vec::new(),
            averages: Vec::new(),
            updates: Vec::new(),
            bindings: Vec::new(),
            hints: Vec::new(),
            shifts: Vec::new(),
            decoders: Vec::new(),
            loads: Vec::new(),
            starts: Vec::new(),
        };
        Builder {
            model,
            origins: HashMap::new(),
            leaves: HashMap::new(),
            variables: HashMap::new(),
            section: None,
            declared: HashMap::new(),
            hinted: HashMap::new(),
            losses: Vec::new(),
            named: Vec::new(),
            drafts: Vec::new(),
            loss_span: None,
            slots: Vec::new(),
            over: HashSet::new(),
            lasts: HashMap::new(),
            means: HashMap::new(),
            ragged: Vec::new(),
            turn_updates: Vec::new(),
            apart: Vec::new(),
            apart_of: HashMap::new(),
            weights: Vec::new(),
            frozen: HashSet::new(),
        }
    }

    pub(super) fn ty(&self, value: ValueId) -> &Type {
        &self.model.values[value.0 as usize].ty
    }

    pub(super) fn op(&self, value: ValueId) -> &Op {
        &self.model.values[value.0 as usize].op
    }

    fn origin(&mut self, origin: Origin) -> OriginId {
        let next = OriginId(self.model.origins.len() as u32);
        *self.origins.entry(origin).or_insert_with(|| {
            self.model.origins.push(origin);
            next
        })
    }

    fn push(&mut self, op: Op, args: &[ValueId], ty: Type, origin: Origin) -> ValueId {
        let origin = self.origin(origin);
        Arc::make_mut(&mut self.model.values).push(ModelValue { op, args: args.to_vec(), ty, origin });
        ValueId(self.model.values.len() as u32 - 1)
    }

    /// Adds a region.
    pub(super) fn region(&mut self, region: Region) -> RegionId {
        self.model.regions.push(region);
        RegionId(self.model.regions.len() as u32 - 1)
    }

    /// Adds a variable.
    pub(super) fn variable(&mut self, variable: Variable) -> VariableId {
        let id = VariableId(self.model.variables.len() as u32);
        self.variables.insert(variable.name.clone(), id);
        self.model.variables.push(variable);
        id
    }

    /// The variable called `path`.
    pub(super) fn find_variable(&self, path: &str) -> Option<VariableId> {
        self.variables.get(path).copied()
    }
}

impl<'a> Checker<'a> {
    pub(super) fn ty(&self, value: ValueId) -> &Type {
        self.build.ty(value)
    }

    /// Where a value at `span` comes from, in the body that is being elaborated.
    pub(super) fn origin(&self, span: Span) -> Origin {
        let region = self.frames.last().map_or(RegionId(0), |frame| frame.region);
        Origin { span, call: self.users_text(span), region, section: self.build.section }
    }

    /// The user's text that brings about what stands at `span`.
    pub(super) fn users_text(&self, span: Span) -> Span {
        if self.loaded.in_library(span) { self.user_call.unwrap_or(span) } else { span }
    }

    /// The value `op(args)`, or nothing where it does not fit, which is said at `span`.
    pub(super) fn emit(&mut self, op: Op, args: &[ValueId], span: Span) -> Option<ValueId> {
        if self.stopped {
            return None;
        }
        if self.build.model.values.len() >= MAX_VALUES {
            self.stop(span, format!("this model has more than {MAX_VALUES} operators"));
            return None;
        }
        if args.iter().any(|arg| self.build.over.contains(arg)) {
            self.used_outside(span);
            return None;
        }
        let is_leaf = args.is_empty();
        if is_leaf && let Some(found) = self.build.leaves.get(&op) {
            return Some(*found);
        }
        let inferred = match &op {
            Op::Input(input) => Ok(self.build.model.inputs[input.0 as usize].ty.clone()),
            Op::Variable(v) | Op::Gradient(v) => Ok(self.build.model.variables[v.0 as usize].ty.clone()),
            Op::Slot(slot) => Ok(self.build.slots[*slot as usize].clone()),
            op => op.infer(&args.iter().map(|arg| self.build.ty(*arg)).collect::<Vec<_>>()),
        };
        match inferred {
            Ok(ty) => {
                let origin = self.origin(span);
                let value = self.build.push(op.clone(), args, ty, origin);
                if is_leaf {
                    self.build.leaves.insert(op, value);
                }
                Some(value)
            }
            Err(problem) => {
                self.problem(&op, &problem, args, span);
                None
            }
        }
    }

    /// `emit`, as a value.
    pub(super) fn tensor(&mut self, op: Op, args: &[ValueId], span: Span) -> Value<'a> {
        self.emit(op, args, span).map_or(Value::Unknown, Value::Tensor)
    }

    /// One number.
    pub(super) fn constant(&mut self, value: f64, dtype: DType, span: Span) -> Option<ValueId> {
        self.emit(Op::Constant(Scalar::new(value), dtype), &[], span)
    }

    /// The value of a declared variable, which begins to exist with its first use.
    pub(super) fn read_pending(&mut self, at: usize, span: Span) -> Value<'a> {
        let Some(id) = self.pending_variable(at) else { return Value::Unknown };
        let frozen = self.pending[at].frozen;
        let Some(value) = self.variable_value(id, self.pending[at].span) else {
            return Value::Unknown;
        };
        if frozen && self.build.model.variables[id.0 as usize].kind == VariableKind::Param {
            return self.tensor(Op::Stop, &[value], span);
        }
        Value::Tensor(value)
    }

    /// The variable that was declared, made if this is its first use.
    pub(super) fn pending_variable(&mut self, at: usize) -> Option<VariableId> {
        self.pending[at].read = true;
        let pending = self.pending[at].clone();
        if let Some(id) = self.build.find_variable(&pending.path) {
            let first = &self.build.model.variables[id.0 as usize];
            let sizes = |ty: &Type| ty.axes.iter().map(|axis| axis.size.clone()).collect::<Vec<_>>();
            if pending.shared
                && (sizes(&first.ty) != sizes(&pending.ty) || first.ty.dtype != pending.ty.dtype)
            {
                let message = format!(
                    "`{}` is shared: its first use made it {}, this use needs {}",
                    pending.path, first.ty, pending.ty
                );
                let found = Diagnostic::error(Code::ShapeMismatch, pending.call, message)
                    .label(first.call, "the first use")
                    .help(
                        "uses of one layer share its parameters: make a second layer, or feed it one shape",
                    );
                self.report(found);
                return None;
            }
            return Some(id);
        }
        let kind = if pending.frozen && pending.kind == VariableKind::Param {
            // Nothing trains what only ever was frozen.
            VariableKind::Const
        } else {
            pending.kind
        };
        let apart = pending.apart;
        let made_constant = kind != pending.kind;
        let id = self.build.variable(Variable {
            name: pending.path,
            kind,
            ty: pending.ty,
            init: pending.init,
            span: pending.span,
            call: pending.call,
            region: pending.region,
        });
        if apart > 0 {
            self.build.apart_of.insert(id, apart);
        }
        match pending.start {
            Start::Drawn => {}
            Start::Computed(value) => self.build.model.starts.push((id, value)),
            Start::Loaded(load) => self.build.model.loads.push(load),
        }
        if made_constant {
            self.build.frozen.insert(id);
        }
        Some(id)
    }

    /// Lets the editor show the types of `values` at `span`.
    pub(super) fn hint(&mut self, span: Span, name: String, value: &Value<'a>, region: Option<RegionId>) {
        if self.loaded.in_library(span) {
            return;
        }
        let values = tensors(value);
        if values.is_empty() {
            return;
        }
        let Some(&first) = self.build.hinted.get(&span) else {
            self.build.hinted.insert(span, self.build.model.hints.len());
            self.build.model.hints.push(Hint { span, name, values, varies: false, region });
            return;
        };
        let types = |values: &[ValueId]| values.iter().map(|v| self.build.ty(*v).clone()).collect::<Vec<_>>();
        let varies = types(&self.build.model.hints[first].values) != types(&values);
        self.build.model.hints[first].varies |= varies;
    }

    /// Begins a section called `names` inside the one that is being elaborated, which is returned, to be gone back to.
    /// In the body of a layer nothing begins.
    pub(super) fn begin_section(&mut self, names: Vec<String>, span: Span) -> Option<SectionId> {
        let outer = self.build.section;
        let own_text = self.frames.len() == 1 && self.frames[0].is_model && self.optimizing.is_none();
        if own_text && !names.is_empty() {
            self.build.section = Some(SectionId(self.build.model.sections.len() as u32));
            self.build.model.sections.push(Section { names, parent: outer, span });
        }
        outer
    }

    /// Ends what `begin_section` began.
    pub(super) fn end_section(&mut self, outer: Option<SectionId>) {
        self.build.section = outer;
    }

    /// Begins a region inside the one that is being elaborated.
    pub(super) fn begin_region(
        &mut self,
        name: String,
        kind: RegionKind,
        layer: Option<String>,
        span: Span,
    ) -> RegionId {
        let parent = self.frames.last().map(|frame| frame.region);
        let region = Region { name, kind, layer, parent, span, results: Vec::new() };
        self.build.region(region)
    }
}

/// The tensors that a value holds.
pub(super) fn tensors(value: &Value<'_>) -> Vec<ValueId> {
    match value {
        Value::Tensor(id) => vec![*id],
        Value::Tuple(members) | Value::List(members) => members.iter().flat_map(tensors).collect(),
        Value::Unknown
        | Value::Parts(_)
        | Value::Axis(_)
        | Value::Int(_)
        | Value::Size(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Text(_)
        | Value::Range(..)
        | Value::Layer(_)
        | Value::Init(_)
        | Value::DType(_)
        | Value::Axes(_)
        | Value::Pending(_) => Vec::new(),
    }
}

/// An initialiser for a tensor of this type.
///
/// `blocks`: how many of them a variable holds.
pub(super) fn resolve_init(initial: Initial, ty: &Type, blocks: u64) -> Init {
    let size = |axis: usize| ty.axes[axis].size.known().unwrap_or(1) as f64;
    let rank = ty.rank();
    let field: f64 = (0..rank.saturating_sub(2)).map(size).product();
    let (fan_in, fan_out) = match rank {
        0 => (1.0, 1.0),
        1 => (size(0), size(0)),
        _ => (size(rank - 2) * field, size(rank - 1) * field),
    };
    match initial {
        Initial::Constant(value) => Init::Constant(value),
        Initial::Uniform(limit) => Init::Uniform { limit },
        Initial::Normal(deviation) => Init::Normal { deviation },
        Initial::Glorot => Init::Uniform { limit: (6.0 / (fan_in + fan_out).max(1.0)).sqrt() },
        Initial::He => Init::Normal { deviation: (2.0 / fan_in.max(1.0)).sqrt() },
        Initial::Orthogonal(gain) => Init::Orthogonal { gain, blocks },
    }
}
