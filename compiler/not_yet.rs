//! What of a model this machine cannot carry out yet, said at the line that asks for it. Looks at the model itself,
//! which is quick; what `unfold` and the passes add to it (gradients) needs nothing that the model does not.

use strata_grammar::{Code, Diagnostic};

use crate::graph::ValueId;
use crate::lower::refusal;
use crate::model::{Model, Value};

/// The first value that a training step needs and that cannot be computed here.
pub fn not_yet(model: &Model) -> Option<Diagnostic> {
    let refused = |(value, needed): (&Value, bool)| {
        let what = needed.then(|| refusal(&value.op)).flatten()?;
        let origin = model.origins[value.origin.0 as usize];
        let found = Diagnostic::error(Code::NotYet, origin.call, what);
        Some(if origin.span == origin.call { found } else { found.label(origin.span, "computed here") })
    };
    model.values.iter().zip(needed(model)).find_map(refused)
}

/// Which values a training step needs.
fn needed(model: &Model) -> Vec<bool> {
    let mut needed = vec![false; model.values.len()];
    let wanted = model.loss.into_iter().chain(model.metrics.iter().map(|metric| metric.value));
    for ValueId(value) in wanted.chain(model.updates.iter().map(|update| update.value)) {
        needed[value as usize] = true;
    }
    // Operands come before users.
    for at in (0..model.values.len()).rev() {
        if needed[at] {
            model.values[at].args.iter().for_each(|arg| needed[arg.0 as usize] = true);
        }
    }
    needed
}
