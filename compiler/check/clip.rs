//! `clip`: gradients kept within bounds, written over the same leaves as everything else.

use strata_grammar::Span;

use super::Checker;
use crate::graph::ValueId;
use crate::ops::{Binary, Op, Reduction, Unary};
use crate::types::DType;

impl Checker<'_> {
    /// Every element between `-bound` and `bound`.
    pub(super) fn clip_value(
        &mut self,
        gradients: &[ValueId],
        bound: f64,
        span: Span,
    ) -> Option<Vec<ValueId>> {
        let mut out = Vec::new();
        for gradient in gradients {
            let ty = self.ty(*gradient).clone();
            let mut value = *gradient;
            for (op, limit) in [(Binary::Min, bound), (Binary::Max, -bound)] {
                let limit = self.constant(limit, ty.dtype, span)?;
                let limit = self.spread(limit, &ty.axes, span)?;
                value = self.emit(Op::Binary(op), &[value, limit], span)?;
            }
            out.push(value);
        }
        Some(out)
    }

    /// All gradients scaled so that the norm of them together is at most `bound`.
    pub(super) fn clip_norm(
        &mut self,
        gradients: &[ValueId],
        bound: f64,
        span: Span,
    ) -> Option<Vec<ValueId>> {
        let mut total: Option<ValueId> = None;
        for gradient in gradients {
            let rank = self.ty(*gradient).rank();
            let square = self.emit(Op::Binary(Binary::Mul), &[*gradient, *gradient], span)?;
            let mut sum =
                self.emit(Op::Reduce { op: Reduction::Sum, axes: (0..rank).collect() }, &[square], span)?;
            if self.ty(sum).dtype != DType::F32 {
                sum = self.emit(Op::Cast(DType::F32), &[sum], span)?;
            }
            total = Some(match total {
                Some(total) => self.emit(Op::Binary(Binary::Add), &[total, sum], span)?,
                None => sum,
            });
        }
        let norm = self.emit(Op::Unary(Unary::Sqrt), &[total?], span)?;
        // Keeps the quotient finite where all gradients are 0; PyTorch's number.
        let small = self.constant(1e-6, DType::F32, span)?;
        let norm = self.emit(Op::Binary(Binary::Add), &[norm, small], span)?;
        let bound = self.constant(bound, DType::F32, span)?;
        let quotient = self.emit(Op::Binary(Binary::Div), &[bound, norm], span)?;
        let one = self.constant(1.0, DType::F32, span)?;
        let scale = self.emit(Op::Binary(Binary::Min), &[quotient, one], span)?;
        let mut out = Vec::new();
        for gradient in gradients {
            let ty = self.ty(*gradient).clone();
            let scale =
                if ty.dtype == DType::F32 { scale } else { self.emit(Op::Cast(ty.dtype), &[scale], span)? };
            let scale = self.spread(scale, &ty.axes, span)?;
            out.push(self.emit(Op::Binary(Binary::Mul), &[*gradient, scale], span)?);
        }
        Some(out)
    }
}
