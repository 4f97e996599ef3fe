//! The typed syntax tree of a `.model` file: names as written, a span on every node, and a `Bad` variant
//! where recovery skipped text.

mod body;
mod devices;
mod expression;
mod names;
mod train;
mod types;

use crate::source::Span;

pub use body::{
    Block, DeclareKind, GenerateKind, GenerateRule, Scan, ScanOver, Statement, StatementKind, Target,
};
pub use devices::{
    DeviceKind, DeviceStatement, Devices, Place, PlaceKind, PlaceStatement, Replicas, ReplicasKind,
    ReplicasStatement, Sync, Wire,
};
pub use expression::{Argument, ArgumentName, BinaryOp, Expr, ExprKind, Number, UnaryOp};
pub use names::{Names, NamesKind, NamesLine};
pub use train::{Train, TrainKind, TrainStatement};
pub use types::{AxisExpr, AxisKind, TypeExpr};

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

/// A text in quotes.
#[derive(Clone, Debug)]
pub struct Text {
    /// What it says, escapes resolved.
    pub text: String,
    /// Its place, quotes included.
    pub span: Span,
}
