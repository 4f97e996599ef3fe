//! The primitives: a small closed set that everything else is composed of.
//!
//! What is true of a primitive on every machine stands in its own file as one `RULES` constant: how shapes
//! follow, its gradient, its cost, its meaning, and how each axis may be split. What one machine wants of it
//! stands in `lower/`.

mod arg_max;
pub mod array;
mod backward;
mod binary;
mod broadcast;
mod cast;
mod concat;
mod contract;
mod convolve;
mod convolve_input;
mod convolve_kernel;
mod cumulate;
mod cut;
mod gather;
mod leaves;
pub mod lift;
mod order;
mod pad;
mod pool;
mod pool_input;
mod random;
pub(crate) mod reduce;
mod reshape;
pub mod scan;
mod scatter_add;
mod select;
mod shape;
mod slice;
mod stop;
mod transpose;
mod unary;
mod window;

pub use array::Array;
pub use backward::Backward;
pub(crate) use contract::rest as contract_rest;
pub use cut::{Cut, Join, Need, piece_op};
pub(crate) use shape::product as size_product;
pub use window::Window;

use crate::cost::Cost;
use crate::graph::ValueId;
use crate::types::{Axis, DType, Size, Type};

/// A trained weight, a state or a constant tensor: an index into `Model::variables`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariableId(pub u32);

/// An input of the model: an index into `Model::inputs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputId(pub u32);

/// What leads a tensor from one device to another, once a step: an index into `Partitioned::channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(pub u32);

/// A number that can be compared and hashed: by its bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scalar(u64);

impl Scalar {
    /// The number `value`; all zeros and all NaNs are one.
    pub fn new(value: f64) -> Scalar {
        let value = if value == 0.0 { 0.0 } else { value };
        Scalar(if value.is_nan() { f64::NAN } else { value }.to_bits())
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// What a value is computed by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    // ---- leaves ----
    /// What the data stage supplies.
    Input(InputId),
    /// The value of a variable at the beginning of the step.
    Variable(VariableId),
    /// `i64[]`: number of updates applied before this step.
    Step,
    /// `i64[]`: the run's seed.
    Seed,
    /// `bool[]`: whether this is a training step. In a `Model` only: `unfold` makes it a constant.
    Training,
    /// The gradient of the loss by a parameter. In a `Model` only: differentiation supplies it.
    Gradient(VariableId),
    /// A state or a slice inside a recurrence. In a `Model` only, where its body is being checked.
    Slot(u32),
    /// What another device sends. Only in the program of one device of several.
    Receive {
        /// By which channel.
        channel: Channel,
        /// Axes of the result.
        axes: Vec<Axis>,
        /// What an element is.
        dtype: DType,
    },
    /// One number.
    Constant(Scalar, DType),
    /// The index along `axis`, as `i32`.
    Index {
        /// Axes of the result.
        axes: Vec<Axis>,
        /// Which one is counted along.
        axis: usize,
    },
    // ---- element by element ----
    /// `random(seed, step)`: uniform `f32` in [0, 1), a function of seed, step, stream and element index.
    Random {
        /// Which of the independent sequences: a hash of the name.
        stream: u64,
        /// Axes of the result.
        axes: Vec<Axis>,
    },
    /// A function of one operand.
    Unary(Unary),
    /// A function of two operands of one type.
    Binary(Binary),
    /// `select(condition, a, b)`: `a` where the condition holds, else `b`; all of one shape.
    Select,
    /// The same numbers as another dtype: to integers toward zero, to bool by `!= 0`.
    Cast(DType),
    /// The same numbers; gradients stop here.
    Stop,
    // ---- layout ----
    /// Repeats along new axes and along axes of size 1.
    Broadcast {
        /// Axes of the result.
        axes: Vec<Axis>,
        /// Where each axis of the operand goes, increasing.
        from: Vec<usize>,
    },
    /// Axis `i` of the result is axis `order[i]` of the operand.
    Transpose {
        /// A permutation.
        order: Vec<usize>,
    },
    /// The same numbers in the same order under other axes (or the same axes under other names).
    Reshape {
        /// Axes of the result.
        axes: Vec<Axis>,
    },
    /// `start..end` of one axis.
    Slice {
        /// Which axis.
        axis: usize,
        /// First index.
        start: Size,
        /// One past the last index.
        end: Size,
    },
    /// Zeros before and after one axis.
    Pad {
        /// Which axis.
        axis: usize,
        /// How many before.
        low: Size,
        /// How many after.
        high: Size,
    },
    /// Operands one after the other along one axis.
    Concat {
        /// Which axis.
        axis: usize,
    },
    /// `gather(x, positions)`: slices along one axis of `x`, by position. Axes of the result: those of `x` before the
    /// axis, those of `positions` that are not shared, those of `x` behind the axis.
    Gather {
        /// The axis of `x` that positions count.
        axis: usize,
        /// How many leading axes `x` and `positions` share; at most `axis`.
        batch: usize,
    },
    // ---- across elements ----
    /// `scatter_add(positions, dy)`: zeros, with each slice of `dy` added where its position says; gradient of
    /// `Gather` by its first operand.
    ScatterAdd {
        /// The axis of the result that positions count.
        axis: usize,
        /// How many leading axes the result and `positions` share; at most `axis`.
        batch: usize,
        /// Axes of the result.
        axes: Vec<Axis>,
    },
    /// Combines all elements along some axes, which vanish.
    Reduce {
        /// How.
        op: Reduction,
        /// Which axes, increasing.
        axes: Vec<usize>,
    },
    /// Index of the first largest element along one axis, which vanishes; `i32`.
    ArgMax {
        /// Which axis.
        axis: usize,
    },
    /// Where the elements along one axis stand when they are sorted; `i32`. Of equals the first comes first, and a NaN
    /// counts as larger than any number.
    Order {
        /// Which axis.
        axis: usize,
        /// Whether the largest comes first.
        descending: bool,
        /// How many of the order are given.
        count: Size,
    },
    /// Each element becomes the sum of all up to it along one axis.
    Cumulate {
        /// Which axis.
        axis: usize,
        /// Whether the element itself does not count.
        exclusive: bool,
        /// Whether the sums run from the end.
        reverse: bool,
    },
    /// Sum of products. Axes of the result: the batch pairs in order, the rest of the left, the rest of the
    /// right.
    Contract {
        /// Pairs (axis of the left, axis of the right) that stay, once.
        batch: Vec<(usize, usize)>,
        /// Pairs that are summed over.
        sum: Vec<(usize, usize)>,
    },
    /// `convolve(x[n, spatial…, ci], w[spatial…, ci / groups, co])`: `[n, spatial…, co]`
    Convolve(Convolution),
    /// `(dy, w)`: gradient of a convolution by its input, whose axes are given. Also the transposed convolution.
    ConvolveInput(Convolution, Vec<Axis>),
    /// `(x, dy)`: gradient of a convolution by its kernel, whose axes are given.
    ConvolveKernel(Convolution, Vec<Axis>),
    /// `pool(x[n, spatial…, c])`
    Pool(Pooling),
    /// `(x, dy)`: gradient of pooling by its input; for a maximum it goes to the first largest of each window.
    PoolInput(Pooling),
    // ---- turn after turn ----
    /// One result of a recurrence. All its results have the same operands.
    Scan {
        /// The recurrence.
        scan: scan::Shared,
        /// Which result: the states' histories, then what is emitted.
        result: usize,
    },
}

/// Functions of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// `-x`
    Neg,
    /// `e^x`
    Exp,
    /// natural logarithm
    Log,
    /// square root
    Sqrt,
    /// hyperbolic tangent
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// error function
    Erf,
    /// sine
    Sin,
    /// cosine
    Cos,
    /// absolute value
    Abs,
    /// -1, 0 or 1
    Sign,
    /// largest whole number not above
    Floor,
    /// `not x`, of bool
    Not,
}

/// Functions of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`; of integers toward zero, by zero 0
    Div,
    /// remainder with the sign of `a`; of integers by zero 0
    Rem,
    /// `a ^ b`
    Pow,
    /// the larger; NaN if either is
    Max,
    /// the smaller; NaN if either is
    Min,
    /// `a == b`, bool
    Equal,
    /// `a < b`, bool
    Less,
    /// `a <= b`, bool
    LessEqual,
    /// `a and b`, of bool
    And,
    /// `a or b`, of bool
    Or,
}

/// Ways to combine many elements into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Of none: 0.
    Sum,
    /// Of none: the smallest number of the dtype (-inf).
    Max,
    /// Of none: the largest number of the dtype (inf).
    Min,
}

/// How a kernel moves over the spatial axes; one entry an axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// Distance between neighbouring outputs.
    pub stride: Vec<u64>,
    /// Distance between neighbouring taps of the kernel.
    pub dilation: Vec<u64>,
    /// Zeros before and after.
    pub padding: Vec<(u64, u64)>,
    /// Input and output channels are cut into so many groups that do not mix.
    pub groups: u64,
}

/// How a window moves over the spatial axes; one entry an axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pooling {
    /// `Sum` or `Max`.
    pub op: Reduction,
    /// Size of the window.
    pub window: Vec<u64>,
    /// Distance between neighbouring windows.
    pub stride: Vec<u64>,
    /// Elements before and after that count for nothing.
    pub padding: Vec<(u64, u64)>,
}

/// Why operands do not fit an operator. Positions are those of operands and of their axes.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// Two axes must have one size.
    Sizes {
        /// (operand, axis)
        left: (usize, usize),
        /// (operand, axis)
        right: (usize, usize),
    },
    /// Two axes have one size but two names.
    Names {
        /// (operand, axis)
        left: (usize, usize),
        /// (operand, axis)
        right: (usize, usize),
    },
    /// An operand has the wrong number of axes.
    Rank {
        /// The operand.
        arg: usize,
        /// What it should have.
        expected: usize,
    },
    /// An operand's elements have the wrong type.
    Dtype {
        /// The operand.
        arg: usize,
        /// In words: `a float`, `bool`, `f32 like the first`.
        expected: String,
    },
    /// Anything else, in words that fit after "…: ".
    Other(String),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Sizes { left, right } => write!(f, "axes {left:?} and {right:?} differ in size"),
            Problem::Names { left, right } => write!(f, "axes {left:?} and {right:?} differ in name"),
            Problem::Rank { arg, expected } => write!(f, "operand {arg} should have {expected} axes"),
            Problem::Dtype { arg, expected } => write!(f, "operand {arg} should be {expected}"),
            Problem::Other(text) => f.write_str(text),
        }
    }
}

/// What is true of a primitive on every machine.
pub struct Rules {
    /// What the text form calls it, where `Op::name` is not more precise.
    pub name: &'static str,
    /// The page that explains it.
    pub page: &'static str,
    /// How the result's type follows from the operands'; symbolic in sizes.
    pub infer: fn(&Op, &[&Type]) -> Result<Type, Problem>,
    /// The gradient of the loss by each operand, from that by the value; `None` where there is none to pass on.
    pub grad: fn(&mut Backward) -> Vec<Option<ValueId>>,
    /// The ways in which its work may be cut: operator, operands, result; sizes known.
    pub cuts: fn(&Op, &[&Type], &Type) -> Vec<Cut>,
    /// What computing it once takes: operator, operands, result; sizes known.
    pub cost: fn(&Op, &[&Type], &Type) -> Cost,
    /// How it runs for all turns of a recurrence at once.
    pub lift: fn(&mut lift::Lift) -> ValueId,
    /// What it means: operator, operands, type of the result; sizes known. Integers may lie outside their
    /// dtype and are yet to be wrapped around.
    pub eval: fn(&Op, &[&Array], &Type) -> Array,
}

/// The rules of all primitives, in the order of [`Op`]: for listing and explaining them.
pub const ALL: [&Rules; 26] = [
    &leaves::RULES,
    &random::RULES,
    &unary::RULES,
    &binary::RULES,
    &select::RULES,
    &cast::RULES,
    &stop::RULES,
    &broadcast::RULES,
    &transpose::RULES,
    &reshape::RULES,
    &slice::RULES,
    &pad::RULES,
    &concat::RULES,
    &gather::RULES,
    &scatter_add::RULES,
    &reduce::RULES,
    &arg_max::RULES,
    &order::RULES,
    &cumulate::RULES,
    &contract::RULES,
    &convolve::RULES,
    &convolve_input::RULES,
    &convolve_kernel::RULES,
    &pool::RULES,
    &pool_input::RULES,
    &scan::RULES,
];

/// The gradient rule of what passes no gradient on.
fn no_gradient(b: &mut Backward) -> Vec<Option<ValueId>> {
    vec![None; b.args.len()]
}

/// The rules of an operator.
pub fn rules(op: &Op) -> &'static Rules {
    match op {
        Op::Input(_)
        | Op::Variable(_)
        | Op::Step
        | Op::Seed
        | Op::Training
        | Op::Gradient(_)
        | Op::Slot(_)
        | Op::Receive { .. }
        | Op::Constant(..)
        | Op::Index { .. } => &leaves::RULES,
        Op::Random { .. } => &random::RULES,
        Op::Unary(_) => &unary::RULES,
        Op::Binary(_) => &binary::RULES,
        Op::Select => &select::RULES,
        Op::Cast(_) => &cast::RULES,
        Op::Stop => &stop::RULES,
        Op::Broadcast { .. } => &broadcast::RULES,
        Op::Transpose { .. } => &transpose::RULES,
        Op::Reshape { .. } => &reshape::RULES,
        Op::Slice { .. } => &slice::RULES,
        Op::Pad { .. } => &pad::RULES,
        Op::Concat { .. } => &concat::RULES,
        Op::Gather { .. } => &gather::RULES,
        Op::ScatterAdd { .. } => &scatter_add::RULES,
        Op::Reduce { .. } => &reduce::RULES,
        Op::ArgMax { .. } => &arg_max::RULES,
        Op::Order { .. } => &order::RULES,
        Op::Cumulate { .. } => &cumulate::RULES,
        Op::Contract { .. } => &contract::RULES,
        Op::Convolve(_) => &convolve::RULES,
        Op::ConvolveInput(..) => &convolve_input::RULES,
        Op::ConvolveKernel(..) => &convolve_kernel::RULES,
        Op::Pool(_) => &pool::RULES,
        Op::PoolInput(_) => &pool_input::RULES,
        Op::Scan { .. } => &scan::RULES,
    }
}

impl Op {
    /// The type of the result. Leaves that refer to a table (`Input`, `Variable`, `Gradient`) have none here.
    /// Refuses more elements than can be counted, and windows larger than what they move over.
    pub fn infer(&self, args: &[&Type]) -> Result<Type, Problem> {
        let ty = (rules(self).infer)(self, args)?;
        shape::countable(&ty)?;
        if matches!(self, Op::Convolve(_) | Op::Pool(_)) {
            window::fits(args[0], &ty)?;
        }
        Ok(ty)
    }

    /// What it is called in text.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Variable(_) => "variable",
            Op::Step => "step",
            Op::Seed => "seed",
            Op::Training => "training",
            Op::Gradient(_) => "gradient",
            Op::Slot(_) => "slot",
            Op::Receive { .. } => "receive",
            Op::Constant(..) => "constant",
            Op::Index { .. } => "index",
            Op::Unary(unary) => unary.name(),
            Op::Binary(binary) => binary.name(),
            Op::Reduce { op, .. } => match op {
                Reduction::Sum => "sum",
                Reduction::Max => "max_along",
                Reduction::Min => "min_along",
            },
            Op::Random { .. }
            | Op::Select
            | Op::Cast(_)
            | Op::Stop
            | Op::Broadcast { .. }
            | Op::Transpose { .. }
            | Op::Reshape { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Gather { .. }
            | Op::ScatterAdd { .. }
            | Op::ArgMax { .. }
            | Op::Order { .. }
            | Op::Cumulate { .. }
            | Op::Contract { .. }
            | Op::Convolve(_)
            | Op::ConvolveInput(..)
            | Op::ConvolveKernel(..)
            | Op::Pool(_)
            | Op::PoolInput(_)
            | Op::Scan { .. } => rules(self).name,
        }
    }

    /// Whether it is a function of elements that takes as long as reading many of them: better kept than computed twice.
    pub fn is_dear(&self) -> bool {
        matches!(self, Op::Unary(unary) if unary.is_dear())
            || matches!(self, Op::Binary(binary) if binary.is_dear())
    }

    /// Whether it is no mere number, function of elements or rearrangement: worth doing for all turns of a recurrence at
    /// once, and in one place rather than wherever it is wanted.
    pub fn is_heavy(&self) -> bool {
        match self {
            Op::Input(_)
            | Op::Variable(_)
            | Op::Step
            | Op::Seed
            | Op::Receive { .. }
            | Op::Training
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Constant(..)
            | Op::Index { .. }
            | Op::Random { .. }
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Cast(_)
            | Op::Stop
            | Op::Broadcast { .. }
            | Op::Transpose { .. }
            | Op::Reshape { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. } => false,
            Op::Gather { .. }
            | Op::ScatterAdd { .. }
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::Order { .. }
            | Op::Cumulate { .. }
            | Op::Contract { .. }
            | Op::Convolve(_)
            | Op::ConvolveInput(..)
            | Op::ConvolveKernel(..)
            | Op::Pool(_)
            | Op::PoolInput(_)
            | Op::Scan { .. } => true,
        }
    }

    /// The sizes in it, those of a recurrence's body aside.
    pub fn sizes_mut(&mut self) -> Vec<&mut Size> {
        match self {
            Op::Slice { start: one, end: two, .. } | Op::Pad { low: one, high: two, .. } => vec![one, two],
            Op::Order { count, .. } => vec![count],
            Op::Index { axes, .. }
            | Op::Receive { axes, .. }
            | Op::Random { axes, .. }
            | Op::Broadcast { axes, .. }
            | Op::Reshape { axes }
            | Op::ScatterAdd { axes, .. }
            | Op::ConvolveInput(_, axes)
            | Op::ConvolveKernel(_, axes) => axes.iter_mut().map(|axis| &mut axis.size).collect(),
            Op::Input(_)
            | Op::Variable(_)
            | Op::Step
            | Op::Seed
            | Op::Training
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Constant(..)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Cast(_)
            | Op::Stop
            | Op::Transpose { .. }
            | Op::Concat { .. }
            | Op::Gather { .. }
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::Cumulate { .. }
            | Op::Contract { .. }
            | Op::Convolve(_)
            | Op::Pool(_)
            | Op::PoolInput(_)
            | Op::Scan { .. } => Vec::new(),
        }
    }

    /// The axes of the result, where they do not follow from the operands.
    pub fn axes_mut(&mut self) -> Option<&mut Vec<Axis>> {
        match self {
            Op::Index { axes, .. }
            | Op::Receive { axes, .. }
            | Op::Random { axes, .. }
            | Op::Broadcast { axes, .. }
            | Op::Reshape { axes }
            | Op::ScatterAdd { axes, .. }
            | Op::ConvolveInput(_, axes)
            | Op::ConvolveKernel(_, axes) => Some(axes),
            Op::Input(_)
            | Op::Variable(_)
            | Op::Step
            | Op::Seed
            | Op::Training
            | Op::Gradient(_)
            | Op::Slot(_)
            | Op::Constant(..)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Cast(_)
            | Op::Stop
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Gather { .. }
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::Order { .. }
            | Op::Cumulate { .. }
            | Op::Contract { .. }
            | Op::Convolve(_)
            | Op::Pool(_)
            | Op::PoolInput(_)
            | Op::Scan { .. } => None,
        }
    }
}

impl Unary {
    /// See [`Op::is_dear`].
    fn is_dear(self) -> bool {
        match self {
            Unary::Exp | Unary::Log | Unary::Tanh | Unary::Sigmoid | Unary::Erf | Unary::Sin | Unary::Cos => {
                true
            }
            Unary::Neg | Unary::Sqrt | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Not => false,
        }
    }

    /// What it is called in text.
    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Sqrt => "sqrt",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Erf => "erf",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Floor => "floor",
            Unary::Not => "not",
        }
    }
}

impl Binary {
    /// See [`Op::is_dear`].
    fn is_dear(self) -> bool {
        match self {
            Binary::Pow => true,
            Binary::Add
            | Binary::Sub
            | Binary::Mul
            | Binary::Div
            | Binary::Rem
            | Binary::Max
            | Binary::Min
            | Binary::Equal
            | Binary::Less
            | Binary::LessEqual
            | Binary::And
            | Binary::Or => false,
        }
    }

    /// What it is called in text.
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Rem => "rem",
            Binary::Pow => "pow",
            Binary::Max => "max",
            Binary::Min => "min",
            Binary::Equal => "equal",
            Binary::Less => "less",
            Binary::LessEqual => "less_equal",
            Binary::And => "and",
            Binary::Or => "or",
        }
    }
}
