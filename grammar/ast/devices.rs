//! What there is to compute with, and what of a model runs where: `devices`, `place`, `replicas`.

use super::{Expr, FamilyRef, Ident};
use crate::source::Span;

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
