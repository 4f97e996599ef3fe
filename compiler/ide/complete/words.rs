//! Words of the language, by where they stand.

use super::context::Head;

/// What items begin with.
pub(super) const ITEMS: &[&str] =
    &["model", "layer", "data", "train", "use", "devices", "cluster", "place", "replicas", "names"];

/// What statements of a block can begin with.
pub(super) fn heads(blocks: &[Head]) -> &'static [&'static str] {
    let block = blocks.last().map_or("", |head| head.word.as_str());
    // Inside groups and loops stands what stands around them.
    let body = blocks.first().map_or("", |head| head.word.as_str());
    match (block, body) {
        ("", _) => ITEMS,
        ("train", _) => &[
            "feed",
            "init from",
            "optimize",
            "evaluate",
            "stop",
            "clip",
            "save",
            "precision",
            "seed",
            "remat",
            "restart at most",
            "sum any order",
            "average",
            "accumulate",
        ],
        ("names", _) => &["new", "unused"],
        ("place", _) => &["pipeline", "remat", "wire", "sum any order"],
        ("replicas", _) => &[
            "copies",
            "groups",
            "backups",
            "staleness at most",
            "params split over",
            "wire",
            "restart at most",
            "sum any order",
        ],
        ("devices" | "cluster" | "machine", _) => {
            &["machine", "link within machine:", "link between machines:"]
        }
        ("generate", _) => &["greedy", "beam", "sample", "prefix", "stop at", "at most", "no repeats"],
        (_, "layer") => {
            &["param", "const", "state", "update", "return", "for", "scan", "layer", "frozen layer"]
        }
        _ => &[
            "input",
            "param",
            "const",
            "state",
            "update",
            "loss",
            "metric",
            "for",
            "scan",
            "generate",
            "layer",
            "frozen layer",
        ],
    }
}

/// Units that a number of a block can have.
pub(super) fn units(block: &str) -> &'static [&'static str] {
    match block {
        "devices" | "machine" | "cluster" => {
            &["GiB", "MiB", "TFLOP/s", "GFLOP/s", "GB/s", "Gbit/s", "us", "ms", "ns"]
        }
        "train" => &["epochs", "epoch", "steps", "step", "examples", "seconds", "minutes", "hours"],
        "replicas" => &["steps", "sync", "async"],
        _ => &[],
    }
}

/// How variables begin.
pub(super) const INITIALISERS: &[&str] =
    &["zeros", "ones", "glorot", "he", "orthogonal", "uniform(0.1)", "normal(0.02)"];

/// Kinds of parameters that are no tensors, and words for tensors of several dtypes.
pub(super) const KINDS: [&str; 13] = [
    "axis", "int", "float", "bool", "string", "layer", "init", "padding", "ints", "axes", "dtype", "tensor",
    "any",
];
