//! The text form of a graph: one value a line, as `%3: f32[batch = 64] = add(%1, %2)`. Ids are those of the graph;
//! a graph that a pass has made is numbered without gaps.

use std::fmt::{self, Write};

use crate::graph::{Graph, OriginId, ValueId};
use crate::model::Model;
use crate::ops::{Convolution, Op, Pooling, Reduction};
use crate::types::{Axis, Size};

impl Graph {
    /// The text form; with the model, each line ends with the layer or group that the value belongs to.
    pub fn to_text(&self, model: Option<&Model>) -> String {
        let mut text = String::new();
        let lines: Vec<String> = self.values().map(|value| self.line(value)).collect();
        // Regions stand in a column where most lines reach.
        let column = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(90);
        for (value, line) in self.values().zip(lines) {
            let region = model.and_then(|model| region(model, self.node(value).origin)).unwrap_or("");
            let line = match region {
                "" => line,
                region => format!("{line:column$}  // {region}"),
            };
            text += &line;
            text.push('\n');
        }
        for output in &self.outputs {
            text += &format!("output {} = %{}\n", output.name, output.value.0);
        }
        for update in &self.updates {
            let name = &self.variables[update.variable.0 as usize].name;
            text += &format!("update {name} = %{}\n", update.value.0);
        }
        text
    }

    /// One value's line.
    pub fn line(&self, value: ValueId) -> String {
        format!("%{}: {} = {}", value.0, self.ty(value), self.expression(value))
    }

    /// What computes a value, as text: `add(%1, %2)`.
    pub fn expression(&self, value: ValueId) -> String {
        let op = self.op(value);
        if let Op::Input(i) = op {
            return format!("{} {}", op.name(), self.inputs[i.0 as usize].name);
        }
        if let Op::Variable(v) | Op::Gradient(v) = op {
            return format!("{} {}", op.name(), self.variables[v.0 as usize].name);
        }
        let args: Vec<String> = self.args(value).iter().map(|arg| format!("%{}", arg.0)).collect();
        let args = if args.is_empty() { String::new() } else { format!("({})", args.join(", ")) };
        format!("{}{args}{}", op.name(), Attributes(op))
    }
}

/// The name of the layer or group that a value comes from; none for the model itself.
pub fn region(model: &Model, origin: OriginId) -> Option<&str> {
    let region = model.origins.get(origin.0 as usize)?.region;
    model.regions.get(region.0 as usize).map(|region| region.name.as_str()).filter(|_| region.0 > 0)
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(None))
    }
}

/// What an operator has beside its operands, with a space before it. The axes of its result are left out: they
/// stand in its type.
pub struct Attributes<'a>(pub &'a Op);

impl fmt::Display for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Op::Constant(number, _) => write!(f, " {}", number.get()),
            Op::Index { axis, .. } | Op::ArgMax { axis } | Op::Concat { axis } => write!(f, " axis {axis}"),
            Op::Gather { axis, batch } | Op::ScatterAdd { axis, batch, .. } => {
                write!(f, " axis {axis}")?;
                if *batch == 0 { Ok(()) } else { write!(f, " batch {batch}") }
            }
            Op::Order { axis, descending, count } => {
                let way = if *descending { "falling" } else { "rising" };
                write!(f, " axis {axis} {way}, {}", number(count))
            }
            Op::Cumulate { axis, exclusive, reverse } => {
                write!(f, " axis {axis}")?;
                if *exclusive {
                    write!(f, " exclusive")?;
                }
                if *reverse { write!(f, " from the end") } else { Ok(()) }
            }
            Op::Random { stream, .. } => write!(f, " stream {stream:016x}"),
            Op::Broadcast { from, .. } if from.is_empty() => Ok(()),
            Op::Broadcast { from, .. } => write!(f, " to axes {}", list(from)),
            Op::Transpose { order } => write!(f, " order {}", list(order)),
            Op::Slice { axis, start, end } => write!(f, " axis {axis}, {}..{}", number(start), number(end)),
            Op::Pad { axis, low, high } => write!(f, " axis {axis}, {} and {}", number(low), number(high)),
            Op::Reduce { axes, .. } => write!(f, " axes {}", list(axes)),
            Op::Contract { batch, sum } => {
                pairs(f, "batch", batch)?;
                pairs(f, "sum", sum)
            }
            Op::Convolve(c) | Op::ConvolveInput(c, _) | Op::ConvolveKernel(c, _) => convolution(f, c),
            Op::Pool(p) | Op::PoolInput(p) => pooling(f, p),
            Op::Scan { scan, result } => {
                let order = if scan.reverse { " reverse" } else { "" };
                write!(f, " result {result}, {} turns{order}", number(&scan.axis.size))
            }
            Op::Input(_)
            | Op::Variable(_)
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Step
            | Op::Seed
            | Op::Receive { .. }
            | Op::Training
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Cast(_)
            | Op::Stop
            | Op::Reshape { .. } => Ok(()),
        }
    }
}

fn list<T: fmt::Display>(of: &[T]) -> String {
    of.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn number(size: &Size) -> String {
    size.known().map_or("?".into(), |n| n.to_string())
}

fn pairs(f: &mut fmt::Formatter<'_>, what: &str, pairs: &[(usize, usize)]) -> fmt::Result {
    for (i, (left, right)) in pairs.iter().enumerate() {
        let lead = if i == 0 { format!(" {what} ") } else { ", ".into() };
        write!(f, "{lead}{left}:{right}")?;
    }
    Ok(())
}

/// Padding, if there is any.
fn padding(f: &mut fmt::Formatter<'_>, padding: &[(u64, u64)]) -> fmt::Result {
    if padding.iter().all(|p| *p == (0, 0)) {
        return Ok(());
    }
    let sides: Vec<String> = padding.iter().map(|(low, high)| format!("{low}+{high}")).collect();
    write!(f, " padding {}", sides.join(", "))
}

fn convolution(f: &mut fmt::Formatter<'_>, c: &Convolution) -> fmt::Result {
    write!(f, " stride {}", list(&c.stride))?;
    if c.dilation.iter().any(|n| *n != 1) {
        write!(f, " dilation {}", list(&c.dilation))?;
    }
    padding(f, &c.padding)?;
    if c.groups == 1 { Ok(()) } else { write!(f, " groups {}", c.groups) }
}

fn pooling(f: &mut fmt::Formatter<'_>, p: &Pooling) -> fmt::Result {
    let what = match p.op {
        Reduction::Sum => "sum",
        Reduction::Max => "max",
        Reduction::Min => "min",
    };
    write!(f, " {what} window {} stride {}", list(&p.window), list(&p.stride))?;
    padding(f, &p.padding)
}

/// Sizes alone, as `64×8×8×32`; the empty text for a scalar.
pub fn sizes(axes: &[Axis]) -> String {
    let mut text = String::new();
    for (i, axis) in axes.iter().enumerate() {
        let times = if i > 0 { "×" } else { "" };
        let _ = write!(text, "{times}{}", number(&axis.size));
    }
    text
}
