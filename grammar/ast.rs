//! The typed syntax tree of a `.model` file: names as written, a span on every node, and a `Bad` variant
//! where recovery skipped text.

use crate::source::Span;

/// A word with its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ident {
    /// The word.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A comment as written, `//` or `///` included.
#[derive(Clone, Debug)]
pub struct Comment {
    /// Its place, without the newline.
    pub span: Span,
    /// Whether code stands before it on its line.
    pub trailing: bool,
}

/// A whole file.
#[derive(Clone, Debug)]
pub struct File {
    /// Everything in order of appearance.
    pub items: Vec<Item>,
    /// All comments in order, those inside items too; the printer puts them back.
    pub comments: Vec<Comment>,
    /// The whole text.
    pub span: Span,
}

/// What can stand at the top of a file.
#[derive(Clone, Debug)]
pub enum Item {
    /// `use "file.model"`
    Use(Use),
    /// `model Name(params) { … }`
    Model(Definition),
    /// `layer name(params) { … }`
    Layer(Definition),
    /// `devices { … }` and `cluster NAME { … }`
    Devices(Devices),
    /// `place Model { … }`
    Place(Place),
    /// `replicas Model { … }`
    Replicas(Replicas),
    /// `names Model { … }`
    Names(Names),
    /// `data a, b = …`
    Data(Data),
    /// `train Model(args) { … }`
    Train(Train),
    /// Text that is no item; reported when it was skipped.
    Bad(Span),
}

/// `use "path"`
#[derive(Clone, Debug)]
pub struct Use {
    /// The path as written, escapes resolved.
    pub path: String,
    /// The string's place, quotes included.
    pub path_span: Span,
    /// The whole item.
    pub span: Span,
}

/// A `model` or a `layer`.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Lines of the `///` comment right before it, without the slashes.
    pub doc: Option<String>,
    /// Its name; `None` where the head is broken (reported).
    pub name: Option<Ident>,
    /// Its parameters. A model may have none; a layer always has a list.
    pub params: Vec<Parameter>,
    /// Its statements.
    pub body: Block,
    /// The whole item.
    pub span: Span,
}

/// `name: type = default` in the head of a model or layer.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name that the body uses.
    pub name: Ident,
    /// Its type or kind (`axis`, `int`, `float`, `bool`, `string`, `layer` are tensors without axes here).
    pub ty: Option<TypeExpr>,
    /// What it is if the caller gives nothing.
    pub default: Option<Expr>,
    /// The whole parameter.
    pub span: Span,
}

/// A tensor type or a tuple of them.
#[derive(Clone, Debug)]
pub enum TypeExpr {
    /// `f32[batch, units]`, `axis`, `int`
    Tensor {
        /// The dtype or kind as written.
        head: Ident,
        /// `None` without brackets; `f32[]` is a scalar with `Some(vec![])`.
        axes: Option<Vec<AxisExpr>>,
        /// The whole type.
        span: Span,
    },
    /// `(f32[…], f32[…])`
    Tuple {
        /// The members.
        members: Vec<TypeExpr>,
        /// The whole type.
        span: Span,
    },
}

impl TypeExpr {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            TypeExpr::Tensor { span, .. } | TypeExpr::Tuple { span, .. } => *span,
        }
    }
}

/// One axis in a tensor type.
#[derive(Clone, Debug)]
pub struct AxisExpr {
    /// What is said of it.
    pub kind: AxisKind,
    /// Its place.
    pub span: Span,
}

/// What is said of an axis.
#[derive(Clone, Debug)]
pub enum AxisKind {
    /// `..`: any leading axes.
    Rest,
    /// `ragged time` or `ragged time = 20`
    Ragged {
        /// The axis's name.
        name: Ident,
        /// Its size, where it has one.
        size: Option<Expr>,
    },
    /// `height = 28`
    Sized {
        /// The axis's name.
        name: Ident,
        /// Its size.
        size: Expr,
    },
    /// `batch`, `28`, `4 * units`: a lone name is a name, anything else a size.
    Expr(Expr),
}

/// Statements in braces.
#[derive(Clone, Debug)]
pub struct Block {
    /// In order.
    pub statements: Vec<Statement>,
    /// Braces included.
    pub span: Span,
}

/// One statement of a model, layer, group or loop.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it says.
    pub kind: StatementKind,
    /// Its place.
    pub span: Span,
}

/// What a statement of a model, layer, group or loop says.
#[derive(Clone, Debug)]
pub enum StatementKind {
    /// `input x: f32[batch, 4]`
    Input {
        /// The input's name.
        name: Ident,
        /// Its type.
        ty: TypeExpr,
    },
    /// `param w: f32[4, 2] = glorot`, `const …`, `state …`
    Declare {
        /// Which of the three.
        kind: DeclareKind,
        /// The variable's name.
        name: Ident,
        /// Its type.
        ty: TypeExpr,
        /// Its initial value.
        init: Option<Expr>,
    },
    /// `update s = value`
    Update {
        /// The state.
        name: Ident,
        /// Its value after the step.
        value: Expr,
    },
    /// `loss value`
    Loss(Expr),
    /// `metric value`
    Metric(Expr),
    /// `for i in 0..4 { … }`
    For {
        /// The index.
        var: Ident,
        /// What it runs over.
        over: Expr,
        /// What is repeated.
        body: Block,
    },
    /// `scan x over time reverse with (h, c) = start { … }`
    Scan(Scan),
    /// `return a, b`
    Return(Vec<Expr>),
    /// `generate words { … }`
    Generate {
        /// The input that is generated.
        name: Ident,
        /// How.
        rules: Vec<GenerateRule>,
        /// The braces.
        block: Span,
    },
    /// A layer defined where it is used.
    Layer(Definition),
    /// `layer d = dense(64)`, `frozen layer net = Net()`
    LayerBind {
        /// Whether gradients stop at its parameters.
        frozen: bool,
        /// Its name.
        name: Ident,
        /// The call that lacks its tensor.
        value: Expr,
    },
    /// `name { … }`
    Group {
        /// The group, perhaps of a family: `tower[t]`.
        name: FamilyRef,
        /// Its statements.
        body: Block,
    },
    /// `a, (b, c) = x, y`
    Bind {
        /// What is bound.
        targets: Vec<Target>,
        /// To what.
        values: Vec<Expr>,
    },
    /// An expression alone: the value of a `for` expression's turn.
    Value(Expr),
    /// Text that is no statement; reported when it was skipped.
    Bad,
}

/// `param`, `const` or `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclareKind {
    /// Trained.
    Param,
    /// Never changes.
    Const,
    /// Carried from step to step.
    State,
}

/// A recurrence.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The sequences (`scan a, b over time`), or the one count (`scan n times`).
    pub over: ScanOver,
    /// Whether it runs from the end.
    pub reverse: bool,
    /// `with (h, c) = start`
    pub state: Option<(Target, Expr)>,
    /// What one step does.
    pub body: Block,
}

/// What a `scan` runs over.
#[derive(Clone, Debug)]
pub enum ScanOver {
    /// `scan a, b over time`
    Axis {
        /// The sequences.
        inputs: Vec<Expr>,
        /// The axis.
        axis: Ident,
    },
    /// `scan n times`
    Times(Expr),
}

/// What a binding binds.
#[derive(Clone, Debug)]
pub enum Target {
    /// `x`, `final[i]`, `_`
    Name(FamilyRef),
    /// `(h, c)`
    Tuple {
        /// The members.
        members: Vec<FamilyRef>,
        /// Parentheses included.
        span: Span,
    },
}

/// A name, perhaps with indices: `tower[t]`, `gpu[0..4]`, `params[..]`.
#[derive(Clone, Debug)]
pub struct FamilyRef {
    /// The name.
    pub name: Ident,
    /// One a bracket pair.
    pub indices: Vec<IndexItem>,
    /// The whole.
    pub span: Span,
}

/// What stands in an index.
#[derive(Clone, Debug)]
pub enum IndexItem {
    /// `..`
    All(Span),
    /// A number, a range, a name in quotes.
    Expr(Expr),
}

/// One rule of a decoder.
#[derive(Clone, Debug)]
pub struct GenerateRule {
    /// What it says.
    pub kind: GenerateKind,
    /// Its place.
    pub span: Span,
}

/// What a decoder's rule says.
#[derive(Clone, Debug)]
pub enum GenerateKind {
    /// `greedy`
    Greedy,
    /// `beam 12 length 0.6`
    Beam {
        /// How many hypotheses.
        width: Expr,
        /// The exponent of length normalisation.
        length: Option<Expr>,
    },
    /// `sample temperature: 0.7, top: 40, nucleus: 0.9`
    Sample(Vec<Argument>),
    /// `prefix X`
    Prefix(Expr),
    /// `stop at END`
    StopAt(Expr),
    /// `at most 50`
    AtMost(Expr),
    /// `no repeats`
    NoRepeats,
    /// Reported when it was skipped.
    Bad,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it says.
    pub kind: ExprKind,
    /// Its place, its own parentheses included.
    pub span: Span,
}

/// What an expression says.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `3`, `0.5`, `10_000`, `1e-3`
    Number(Number),
    /// `5 epochs`, `25 Gbit/s`
    Quantity {
        /// How many.
        value: Number,
        /// The unit as written.
        unit: Ident,
    },
    /// `"text"`, escapes resolved.
    String(String),
    /// `true`, `false`
    Bool(bool),
    /// A name.
    Name(Ident),
    /// `(a)`: kept, so that the printer writes what the user wrote.
    Paren(Box<Expr>),
    /// `(a, b)`, `()`, `(a,)`
    Tuple(Vec<Expr>),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `-x`, `not x`, `frozen f(x)`
    Unary {
        /// Which.
        op: UnaryOp,
        /// Of what.
        arg: Box<Expr>,
    },
    /// `a + b`, `x |> f`, `0..4`
    Binary {
        /// Which.
        op: BinaryOp,
        /// Where the operator stands.
        op_span: Span,
        /// Left of it.
        left: Box<Expr>,
        /// Right of it.
        right: Box<Expr>,
    },
    /// `f(a, b: c, d = 3)`
    Call {
        /// What is called.
        callee: Box<Expr>,
        /// With what.
        args: Vec<Argument>,
        /// The parentheses.
        args_span: Span,
    },
    /// `a[i]`, `net(x)["fire4"]`
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// By what.
        items: Vec<IndexItem>,
    },
    /// `conv(3) as first`
    As {
        /// The call.
        call: Box<Expr>,
        /// Its name.
        name: FamilyRef,
    },
    /// `for l in names { … }`: a list.
    For {
        /// The index.
        var: Ident,
        /// What it runs over.
        over: Box<Expr>,
        /// Whose last statement is the value.
        body: Block,
    },
    /// `every 2 epochs`, `every(0.5 epochs, from: 5 epochs)` is a call.
    Every(Box<Expr>),
    /// Reported when it was skipped.
    Bad,
}

/// A number and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// As written.
    pub text: String,
    /// Its value.
    pub value: f64,
    /// Its value where it is written as a whole number that fits.
    pub int: Option<i64>,
}

/// Operators before their operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
    /// `frozen`
    Frozen,
}

/// Operators between two operands, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `|>`
    Pipe,
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `..`
    Range,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `@`
    MatMul,
}

impl BinaryOp {
    /// How it is written.
    pub const fn text(self) -> &'static str {
        match self {
            BinaryOp::Pipe => "|>",
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::Range => "..",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::MatMul => "@",
        }
    }
}

/// One argument of a call.
#[derive(Clone, Debug)]
pub struct Argument {
    /// What it is given as.
    pub name: ArgumentName,
    /// Its value.
    pub value: Expr,
    /// The whole argument.
    pub span: Span,
}

/// How an argument is given.
#[derive(Clone, Debug)]
pub enum ArgumentName {
    /// By position.
    None,
    /// `kernel: 3`
    Colon(Ident),
    /// `class = 1000`: an axis with a name and a size.
    Equals(Ident),
}

/// `devices { … }` or `cluster NAME { … }`
#[derive(Clone, Debug)]
pub struct Devices {
    /// The cluster's name; `None` for `devices`.
    pub cluster: Option<Ident>,
    /// What there is.
    pub body: Vec<DeviceStatement>,
    /// The braces.
    pub block: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of `devices`.
#[derive(Clone, Debug)]
pub struct DeviceStatement {
    /// What it says.
    pub kind: DeviceKind,
    /// Its place.
    pub span: Span,
}

/// What a line of `devices` says.
#[derive(Clone, Debug)]
pub enum DeviceKind {
    /// `machine worker[8] { gpu[8] }`
    Machine {
        /// Its name and how many.
        name: FamilyRef,
        /// What it holds.
        body: Vec<DeviceStatement>,
        /// The braces.
        block: Span,
    },
    /// `link within machine: 300 GB/s, 2 us`
    Link {
        /// `within machine`, else `between machines`.
        within: bool,
        /// Bandwidth, latency.
        quantities: Vec<Expr>,
    },
    /// `gpu[8]: 80 GiB`
    Device {
        /// Its name and how many.
        name: FamilyRef,
        /// Memory and rates.
        quantities: Vec<Expr>,
    },
    /// Reported when it was skipped.
    Bad,
}

/// `place Model { … }`
#[derive(Clone, Debug)]
pub struct Place {
    /// The model; `None` where the head is broken.
    pub model: Option<Ident>,
    /// Its lines.
    pub body: Vec<PlaceStatement>,
    /// The braces.
    pub block: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of `place`.
#[derive(Clone, Debug)]
pub struct PlaceStatement {
    /// What it says.
    pub kind: PlaceKind,
    /// Its place.
    pub span: Span,
}

/// What a line of `place` says.
#[derive(Clone, Debug)]
pub enum PlaceKind {
    /// `a, b[i] on gpu[i]`
    On {
        /// The parts.
        parts: Vec<FamilyRef>,
        /// Where.
        device: FamilyRef,
    },
    /// `a split over gpu[0..4] by height, width`
    Split {
        /// The parts.
        parts: Vec<FamilyRef>,
        /// Over what.
        devices: FamilyRef,
        /// By which axes.
        axes: Vec<Ident>,
    },
    /// `pipeline [a, b] over gpu[0..2] microbatches 8 schedule "1f1b"`
    Pipeline {
        /// The stages.
        parts: Vec<FamilyRef>,
        /// Over what.
        devices: FamilyRef,
        /// How many pieces a batch is cut into.
        microbatches: Option<Expr>,
        /// The schedule's name.
        schedule: Option<Expr>,
    },
    /// `remat a, b`
    Remat(Vec<FamilyRef>),
    /// `wire bf16 stochastic`
    Wire(Wire),
    /// `sum any order`
    SumAnyOrder,
    /// Reported when it was skipped.
    Bad,
}

/// `wire bf16 stochastic, sum f32`
#[derive(Clone, Debug)]
pub struct Wire {
    /// What travels.
    pub dtype: Ident,
    /// Whether rounding is stochastic.
    pub stochastic: bool,
    /// What sums are kept in.
    pub sum: Option<Ident>,
}

/// `replicas Model { … }`
#[derive(Clone, Debug)]
pub struct Replicas {
    /// The model; `None` where the head is broken.
    pub model: Option<Ident>,
    /// Its lines.
    pub body: Vec<ReplicasStatement>,
    /// The braces.
    pub block: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of `replicas`.
#[derive(Clone, Debug)]
pub struct ReplicasStatement {
    /// What it says.
    pub kind: ReplicasKind,
    /// Its place.
    pub span: Span,
}

/// How copies move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// In step.
    Sync,
    /// Each by itself.
    Async,
}

/// What a line of `replicas` says.
#[derive(Clone, Debug)]
pub enum ReplicasKind {
    /// `copies 8 sync`
    Copies {
        /// How many.
        count: Expr,
        /// How they move; sync if nothing is said.
        sync: Option<Sync>,
    },
    /// `groups 5 async`
    Groups {
        /// How many.
        count: Expr,
        /// How they move.
        sync: Option<Sync>,
    },
    /// `backups 2`
    Backups(Expr),
    /// `staleness at most 16 steps`
    Staleness(Expr),
    /// `params split over params[..]`
    Params(FamilyRef),
    /// `wire bf16, sum f32`
    Wire(Wire),
    /// `restart at most 3`
    Restart(Expr),
    /// `sum any order`
    SumAnyOrder,
    /// Reported when it was skipped.
    Bad,
}

/// `data train, test = …`
#[derive(Clone, Debug)]
pub struct Data {
    /// What is bound.
    pub names: Vec<Ident>,
    /// The recipe.
    pub value: Expr,
    /// The whole item.
    pub span: Span,
}

/// `names Model { … }`: what files call the parameters of a model.
#[derive(Clone, Debug)]
pub struct Names {
    /// The model; `None` where the head is broken.
    pub model: Option<Ident>,
    /// Its lines.
    pub body: Vec<NamesLine>,
    /// The braces.
    pub block: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of `names`.
#[derive(Clone, Debug)]
pub struct NamesLine {
    /// What it says.
    pub kind: NamesKind,
    /// Its place.
    pub span: Span,
}

/// What a line of `names` says.
#[derive(Clone, Debug)]
pub enum NamesKind {
    /// `"*/w" = "*.weight" |> transpose`
    Called {
        /// The parameters, by a pattern.
        ours: Text,
        /// What is made of the file's tensors, which its texts name.
        theirs: Expr,
    },
    /// `new "head/*"`: what files do not have.
    New(Vec<Text>),
    /// `unused "classifier.*"`: what files have and the model does not.
    Unused(Vec<Text>),
    /// Reported when it was skipped.
    Bad,
}

/// A text in quotes.
#[derive(Clone, Debug)]
pub struct Text {
    /// What it says, escapes resolved.
    pub text: String,
    /// Its place, quotes included.
    pub span: Span,
}

/// `train Model(args) { … }`
#[derive(Clone, Debug)]
pub struct Train {
    /// The model; `None` where the head is broken.
    pub model: Option<Ident>,
    /// Values of the model's parameters.
    pub args: Vec<Argument>,
    /// `as NAME`: what the run is called, where a file has several.
    pub name: Option<Ident>,
    /// Its lines.
    pub body: Vec<TrainStatement>,
    /// The braces.
    pub block: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of `train`.
#[derive(Clone, Debug)]
pub struct TrainStatement {
    /// What it says.
    pub kind: TrainKind,
    /// Its place.
    pub span: Span,
}

/// What a line of `train` says.
#[derive(Clone, Debug)]
pub enum TrainKind {
    /// `feed recipe`
    Feed(Expr),
    /// `init from "pretrained.safetensors"`
    InitFrom(Text),
    /// `optimize momentum(rate: 0.1)`
    Optimize(Expr),
    /// `evaluate test every 1 epoch`
    Evaluate {
        /// On what.
        data: Expr,
        /// How often.
        every: Option<Expr>,
    },
    /// `stop after 20 epochs`
    StopAfter(Expr),
    /// `stop when accuracy >= 0.98`
    StopWhen(Expr),
    /// `clip norm 5`, `clip value 1`
    Clip {
        /// By the norm of the whole gradient, else by each element's size.
        norm: bool,
        /// The bound.
        limit: Expr,
    },
    /// `save canvas to "painted.png" every 50 steps`
    Save {
        /// What; `None` for the checkpoint (`save every 1000 steps`).
        name: Option<Ident>,
        /// Where to.
        path: Option<Expr>,
        /// How often.
        every: Option<Expr>,
    },
    /// `precision bf16`
    Precision(Ident),
    /// `seed 7`
    Seed(Expr),
    /// `average 0.999`, `accumulate 4` and what later versions add: a word and its values.
    Setting {
        /// The word.
        word: Ident,
        /// Its value.
        value: Expr,
    },
    /// `remat a, b`
    Remat(Vec<FamilyRef>),
    /// `restart at most 3`
    Restart(Expr),
    /// `sum any order`
    SumAnyOrder,
    /// Reported when it was skipped.
    Bad,
}
