//! `accumulate` and `average`: what a `train` block keeps beside the optimizer's own memory, written over the same
//! leaves as everything else.

use strata_grammar::ast::Expr;
use strata_grammar::{Code, Diagnostic, Span};

use super::Checker;
use crate::graph::ValueId;
use crate::model::{Init, RegionKind, StateUpdate, Variable, VariableKind, When};
use crate::ops::{Binary, Op, VariableId};
use crate::types::{DType, Size, Type};

impl<'a> Checker<'a> {
    /// The gradients of a step made of several batches: each counts by its examples, or by the positions of ragged axes
    /// that the loss is a mean over, so that a short one counts right. Batches before the last add theirs to a sum; the
    /// last takes the mean and begins anew.
    pub(super) fn accumulate(
        &mut self,
        params: &[VariableId],
        gradients: &[ValueId],
        span: Span,
    ) -> Option<Vec<ValueId>> {
        let weight = match self.means_of_loss().as_slice() {
            [] => None,
            [count] => Some(*count),
            [_, _, ..] => {
                let message = "the loss adds means over different axes, so batches count differently in each";
                let found = Diagnostic::error(Code::BadValue, span, message)
                    .help("take `accumulate` out, or let the loss be one mean");
                self.report(found);
                return None;
            }
        };
        let mut means = Vec::new();
        self.within("optimizer/accumulate", RegionKind::Optimizer, span, |checker| {
            let examples = match weight {
                Some(count) => checker.like(count, &Type::scalar(DType::F32), span)?,
                None => checker.examples(span)?,
            };
            let (seen, so_far) =
                checker.memory("optimizer/accumulate/examples", &Type::scalar(DType::F32), span)?;
            let total = checker.emit(Op::Binary(Binary::Add), &[so_far, examples], span)?;
            checker.gathers(seen, total, span)?;
            for (id, gradient) in params.iter().zip(gradients) {
                let name = &checker.build.model.variables[id.0 as usize].name;
                let name = format!("optimizer/accumulate/{name}");
                let ty = checker.ty(*gradient).clone();
                let (sum, before) = checker.memory(&name, &ty, span)?;
                let weight = checker.like(examples, &ty, span)?;
                let weighted = checker.emit(Op::Binary(Binary::Mul), &[*gradient, weight], span)?;
                let after = checker.emit(Op::Binary(Binary::Add), &[before, weighted], span)?;
                checker.gathers(sum, after, span)?;
                let all = checker.like(total, &ty, span)?;
                means.push(checker.emit(Op::Binary(Binary::Div), &[after, all], span)?);
            }
            Some(())
        })?;
        Some(means)
    }

    /// How many examples the batch has.
    fn examples(&mut self, span: Span) -> Option<ValueId> {
        let axes = self.build.model.inputs.iter().filter_map(|input| input.ty.axes.first());
        let free = axes.map(|axis| axis.size.clone()).find(|size| size.known().is_none());
        self.count(free.unwrap_or(Size::Known(1)), DType::F32, span)
    }

    /// Lets `variable` become `value` within a step, and nothing at its end.
    fn gathers(&mut self, variable: VariableId, value: ValueId, span: Span) -> Option<()> {
        let ty = self.ty(value).clone();
        let zero = self.constant(0.0, ty.dtype, span)?;
        let zero = self.spread(zero, &ty.axes, span)?;
        let updates = &mut self.build.model.updates;
        updates.push(StateUpdate { variable, value, when: When::WithinStep, span });
        updates.push(StateUpdate { variable, value: zero, when: When::EndOfStep, span });
        Some(())
    }

    /// A number as a tensor of this type.
    fn like(&mut self, number: ValueId, ty: &Type, span: Span) -> Option<ValueId> {
        let same = self.ty(number).dtype == ty.dtype;
        let number = if same { number } else { self.emit(Op::Cast(ty.dtype), &[number], span)? };
        self.spread(number, &ty.axes, span)
    }

    /// A state of zeros and its value.
    fn memory(&mut self, name: &str, ty: &Type, span: Span) -> Option<(VariableId, ValueId)> {
        let (region, call) = (self.frame().region, self.users_text(span));
        let variable = self.build.variable(Variable {
            name: name.to_string(),
            kind: VariableKind::State,
            ty: ty.clone(),
            init: Init::Constant(0.0),
            span,
            call,
            region,
        });
        Some((variable, self.emit(Op::Variable(variable), &[], span)?))
    }

    /// `average 0.999`: how much of an average stays in a step.
    pub(super) fn part_of_average(&mut self, expr: &'a Expr) -> Option<f64> {
        let keep = self.plain_number(expr)?;
        if (0.0..1.0).contains(&keep) {
            return Some(keep);
        }
        let message =
            format!("`average` is the part of an average that a step keeps, from 0 to below 1, not {keep}");
        let found = Diagnostic::error(Code::BadValue, expr.span, message).help("write `average 0.999`");
        self.report(found);
        None
    }

    /// Keeps a parameter's average: it begins as the first new value and then moves by a part of what is between.
    pub(super) fn average(&mut self, param: VariableId, value: ValueId, keep: f64, span: Span) -> Option<()> {
        let name = format!("optimizer/average/{}", self.build.model.variables[param.0 as usize].name);
        self.within(&name, RegionKind::Optimizer, span, |checker| {
            let ty = checker.ty(value).clone();
            let (average, before) = checker.memory(&name, &ty, span)?;
            let part = checker.constant(1.0 - keep, ty.dtype, span)?;
            let part = checker.spread(part, &ty.axes, span)?;
            let between = checker.emit(Op::Binary(Binary::Sub), &[value, before], span)?;
            let change = checker.emit(Op::Binary(Binary::Mul), &[between, part], span)?;
            let moved = checker.emit(Op::Binary(Binary::Add), &[before, change], span)?;
            let step = checker.emit(Op::Step, &[], span)?;
            let zero = checker.constant(0.0, checker.ty(step).dtype, span)?;
            let first = checker.emit(Op::Binary(Binary::Equal), &[step, zero], span)?;
            let first = checker.spread(first, &ty.axes, span)?;
            let value = checker.emit(Op::Select, &[first, value, moved], span)?;
            checker.build.model.updates.push(StateUpdate {
                variable: average,
                value,
                when: When::EndOfStep,
                span,
            });
            checker.build.model.averages.push((param, average));
            Some(())
        })
    }
}
