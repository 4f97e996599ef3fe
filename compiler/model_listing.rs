//! The long text form of a checked model: its tables, then one value a line, as `%3: f32[batch, 64] = add(%1, %2)`.

use std::fmt;

use crate::graph_text::{Attributes, region};
use crate::model::{Model, Variable, VariableKind};
use crate::ops::Op;
use crate::types::{Axis, Size, SizeOp, Type};

impl Model {
    /// A type with the sizes that depend on free axes spelled out: `f32[batch, batch * 2]`.
    pub fn type_text(&self, ty: &Type) -> String {
        let axis = |axis: &Axis| {
            let ragged = if axis.ragged { "ragged " } else { "" };
            match (&axis.name, &axis.size) {
                (Some(name), Size::Free(_)) => format!("{ragged}{name}"),
                (Some(name), size) => format!("{ragged}{name} = {}", self.size_text(size)),
                (None, size) => format!("{ragged}{}", self.size_text(size)),
            }
        };
        format!("{}[{}]", ty.dtype, ty.axes.iter().map(axis).collect::<Vec<_>>().join(", "))
    }

    fn size_text(&self, size: &Size) -> String {
        let expr = match size {
            Size::Known(n) => return n.to_string(),
            Size::Free(free) => {
                return self.free.get(free.0 as usize).map_or("?".into(), |free| free.name.clone());
            }
            Size::Expr(expr) => expr,
        };
        let op = match expr.op {
            SizeOp::Add => "+",
            SizeOp::Sub => "-",
            SizeOp::Mul => "*",
            SizeOp::Div => "/",
        };
        let side = |side: &Size| match side {
            Size::Expr(_) => format!("({})", self.size_text(side)),
            Size::Known(_) | Size::Free(_) => self.size_text(side),
        };
        format!("{} {op} {}", side(&expr.left), side(&expr.right))
    }

    fn expression(&self, op: &Op, args: &[crate::graph::ValueId]) -> String {
        if let Op::Input(i) = op {
            return format!("{} {}", op.name(), self.inputs[i.0 as usize].name);
        }
        if let Op::Variable(v) | Op::Gradient(v) = op {
            return format!("{} {}", op.name(), self.variables[v.0 as usize].name);
        }
        let args: Vec<String> = args.iter().map(|arg| format!("%{}", arg.0)).collect();
        let args = if args.is_empty() { String::new() } else { format!("({})", args.join(", ")) };
        format!("{}{args}{}", op.name(), Attributes(op))
    }
}

/// `strata compile --emit model`
impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model {}", self.name)?;
        for input in &self.inputs {
            writeln!(f, "input {}: {}", input.name, self.type_text(&input.ty))?;
        }
        for Variable { name, kind, ty, init, .. } in &self.variables {
            let kind = match kind {
                VariableKind::Param => "param",
                VariableKind::State => "state",
                VariableKind::Const => "const",
            };
            writeln!(f, "{kind} {name}: {} = {init}", self.type_text(ty))?;
        }
        for (id, value) in self.values.iter().enumerate() {
            let line =
                format!("%{id}: {} = {}", self.type_text(&value.ty), self.expression(&value.op, &value.args));
            match region(self, value.origin) {
                Some(region) => writeln!(f, "{line:70}  // {region}")?,
                None => writeln!(f, "{line}")?,
            }
        }
        if let Some(loss) = self.loss {
            writeln!(f, "loss %{}", loss.0)?;
        }
        for metric in &self.metrics {
            writeln!(f, "metric {} = %{}", metric.name, metric.value.0)?;
        }
        for (name, value) in &self.bindings {
            writeln!(f, "binding {name} = %{}", value.0)?;
        }
        for update in &self.updates {
            let name = &self.variables[update.variable.0 as usize].name;
            writeln!(f, "update {name} = %{}", update.value.0)?;
        }
        Ok(())
    }
}
