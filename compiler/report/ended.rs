//! What ended a step of several devices, at the line of the tensor that was waited for.

use strata_grammar::{Code, Diagnostic, Sources, Span};
use strata_runtime::group::{Cause, Ended};
use strata_runtime::plan::Way;

use super::origin_name;
use crate::model::Model;
use crate::placement::Placement;

/// A step that its devices did not end. `otherwise`: the place of what has none.
pub fn ended(
    ended: &Ended,
    model: &Model,
    placement: Option<&Placement>,
    sources: &Sources,
    otherwise: Span,
) -> Diagnostic {
    let declared = |name: &str| {
        let device = placement.and_then(|placement| placement.devices.iter().find(|d| d.name == name));
        device.map(|device| device.span)
    };
    let mut found = match &ended.cause {
        Cause::Stalled { device, other, stalled } => {
            let origin = model.origins.get(stalled.origin as usize);
            let name = origin_name(model, sources, stalled.origin);
            let waited = stalled.waited.as_secs_f64();
            let (what, here) = match stalled.way {
                Way::Receive => ("to come from", "this did not come"),
                Way::Send => ("to be taken by", "this was not taken"),
            };
            let message =
                format!("`{device}` waited {waited:.1} s for a tensor of `{name}` {what} `{other}`");
            let span = origin.map_or(otherwise, |origin| origin.call);
            let found = Diagnostic::error(Code::DeviceFailed, span, message).here(here);
            match origin.filter(|origin| origin.span != origin.call) {
                Some(origin) => found.label(origin.span, "computed here"),
                None => found,
            }
            .help(format!(
                "`{other}` hangs, or has more to compute than a step may take; a resumed run goes on from the last checkpoint"
            ))
        }
        Cause::Failed { device, error } => {
            let message = format!("`{device}` failed: {error}");
            Diagnostic::error(Code::DeviceFailed, declared(device).unwrap_or(otherwise), message)
                .help("a resumed run goes on from the last checkpoint")
        }
        Cause::Silent { device, waited } => {
            let message = format!("nothing was heard of `{device}` for {:.1} s", waited.as_secs_f64());
            Diagnostic::error(Code::DeviceFailed, declared(device).unwrap_or(otherwise), message)
                .help("a resumed run goes on from the last checkpoint")
        }
    };
    for lost in &ended.lost {
        let span = declared(lost).unwrap_or(otherwise);
        found = found.label(span, format!("`{lost}` did not come back and was left behind"));
    }
    found
}
