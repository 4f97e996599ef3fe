//! A turn tried for the types of states that begin with a single number, and taken back.

use std::collections::HashSet;

use strata_grammar::ast::Scan;
use strata_grammar::{Code, Diagnostic, Span};

use super::{Head, Start, State};
use crate::check::Checker;
use crate::check::body::slice_type;
use crate::check::build::{Builder, Pending};
use crate::check::layer::Frame;
use crate::check::value::Value;
use crate::graph::ValueId;
use crate::types::{DType, Type};

/// What the checker knows, to go back to after the body was tried.
struct Snapshot<'a> {
    build: Builder,
    frames: Vec<Frame<'a>>,
    pending: Vec<Pending>,
    said: HashSet<(Code, Span)>,
    diagnostics: usize,
    elaborated: HashSet<Span>,
    doubts: usize,
    steps: usize,
    stopped: bool,
}

impl<'a> Checker<'a> {
    /// The states' first values as tensors of the type that they keep.
    pub(super) fn first_values(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        at: Span,
    ) -> Option<Vec<ValueId>> {
        let numbers = states.iter().any(|state| matches!(state.start, Start::Number(_)));
        let tried = if numbers { Some(self.try_turn(scan, head, states, at)?) } else { None };
        let mut starts = Vec::with_capacity(states.len());
        for (k, state) in states.iter().enumerate() {
            starts.push(match (state.start, &tried) {
                (Start::Tensor(id), _) => id,
                (Start::Number(number), tried) => {
                    let ty = tried.as_ref().map(|types| types[k].clone());
                    let ty = ty.unwrap_or_else(|| Type::scalar(DType::F32));
                    let one = self.constant(number, ty.dtype, state.span)?;
                    self.spread(one, &ty.axes, state.span)?
                }
            });
        }
        Some(starts)
    }

    /// The types of the states after a turn that begins with single numbers where a number is the start; `None` where
    /// they cannot be told, which is said.
    fn try_turn(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        at: Span,
    ) -> Option<Vec<Type>> {
        let before = self.snapshot();
        let types = self.tried_types(scan, head, states, at);
        self.restore(before);
        if types.is_none() {
            // A mistake that has nothing to do with the states is said instead.
            let errors = self.errors();
            let slices: Vec<Type> = head.sequences.iter().map(|s| slice_type(self.ty(s.turned))).collect();
            let slices = slices.into_iter().map(|ty| self.slot(ty, at)).collect::<Option<Vec<_>>>()?;
            self.turn(scan, head, states, &[], &slices);
            if self.errors() > errors {
                return None;
            }
            let state = states.iter().find(|state| matches!(state.start, Start::Number(_)));
            let (name, span) = state.map_or(("", at), |state| (state.name.name.text.as_str(), state.span));
            let message = format!("how large `{name}` is cannot be told from its start");
            let found = Diagnostic::error(Code::WrongRank, span, message).help(
                "give its axes: `zeros(batch, units)`; or mend the body, if it is to begin with one number",
            );
            self.report(found);
        }
        types
    }

    fn tried_types(
        &mut self,
        scan: &'a Scan,
        head: &Head<'a>,
        states: &[State<'a>],
        at: Span,
    ) -> Option<Vec<Type>> {
        let errors = self.errors();
        let mut starts = Vec::with_capacity(states.len());
        for state in states {
            starts.push(match state.start {
                Start::Tensor(id) => id,
                Start::Number(number) => self.constant(number, DType::F32, state.span)?,
            });
        }
        let (slots, slices) = self.slots(head, &starts, at)?;
        let new = self.turn(scan, head, states, &slots, &slices);
        let mut types = Vec::with_capacity(new.len());
        for ((value, _), slot) in new.iter().zip(&slots) {
            types.push(match value {
                Value::Tensor(id) => self.ty(*id).clone(),
                other if other.number().is_some() => self.ty(*slot).clone(),
                _ => return None,
            });
        }
        (self.errors() == errors).then_some(types)
    }

    fn snapshot(&self) -> Snapshot<'a> {
        Snapshot {
            build: self.build.clone(),
            frames: self.frames.clone(),
            pending: self.pending.clone(),
            said: self.said.clone(),
            diagnostics: self.diagnostics.len(),
            elaborated: self.elaborated.clone(),
            doubts: self.notes.doubts,
            steps: self.steps,
            stopped: self.stopped,
        }
    }

    fn restore(&mut self, before: Snapshot<'a>) {
        self.build = before.build;
        self.frames = before.frames;
        self.pending = before.pending;
        self.said = before.said;
        self.diagnostics.truncate(before.diagnostics);
        self.elaborated = before.elaborated;
        self.notes.doubts = before.doubts;
        self.steps = before.steps;
        self.stopped = before.stopped;
    }
}
