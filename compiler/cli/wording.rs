//! What the runtime reports as kinds, ids and facts, said in the user's words with the user's lines.

use strata::run::Run;
use strata_grammar::{Code, Diagnostic};
use strata_runtime::faults::BadIndex;
use strata_runtime::log::number;
use strata_runtime::queue::{DataError, Fault};
use strata_runtime::train::Divergence;

/// What is wrong with data, at the line of the spec that asks for them.
pub fn data(error: &DataError, run: &Run) -> Diagnostic {
    let span = run.data_origins.get(error.origin as usize).copied().unwrap_or(run.span);
    Diagnostic::error(data_code(&error.fault), span, error.to_string()).here("asked for here")
}

/// Data errors that the checker knows too keep its codes.
fn data_code(fault: &Fault) -> Code {
    match fault {
        Fault::NotALabel { .. } => Code::LabelRange,
        Fault::InArray { fault, .. } => data_code(fault),
        Fault::NoColumn { .. } | Fault::NoCell { .. } | Fault::NoArray { .. } => Code::UnknownColumn,
        Fault::FieldShape { .. }
        | Fault::ArrayShape { .. }
        | Fault::Lengths { .. }
        | Fault::PictureTooSmall { .. }
        | Fault::PictureSize { .. }
        | Fault::Steps { .. }
        | Fault::TooShort { .. }
        | Fault::TooLong { .. }
        | Fault::NoSequence { .. } => Code::DataMismatch,
        Fault::NotBuilt { .. } => Code::NotYet,
        Fault::SplitBound { .. }
        | Fault::SplitOrder { .. }
        | Fault::SplitPart { .. }
        | Fault::Buckets { .. }
        | Fault::TooManyRepetitions { .. }
        | Fault::Zero { .. } => Code::BadValue,
        Fault::Missing { .. }
        | Fault::NotAFile
        | Fault::Unreadable { .. }
        | Fault::GzipTruncated
        | Fault::GzipCorrupt { .. }
        | Fault::NotAnArray { .. }
        | Fault::ArrayLength { .. }
        | Fault::ArrayTooLarge { .. }
        | Fault::NpyHead { .. }
        | Fault::NpyElement { .. }
        | Fault::IsNpz
        | Fault::NotAFolder
        | Fault::ParquetDamaged { .. }
        | Fault::NotJson { .. }
        | Fault::NoPictures
        | Fault::NoClass
        | Fault::NotAPicture { .. }
        | Fault::PictureDamaged { .. }
        | Fault::NpzDamaged { .. }
        | Fault::NotExact { .. }
        | Fault::Empty
        | Fault::NotUtf8 { .. }
        | Fault::NotATokenizer { .. }
        | Fault::NotWeights { .. }
        | Fault::RowLength { .. }
        | Fault::NotANumber { .. }
        | Fault::NotFinite { .. }
        | Fault::NoFit { .. }
        | Fault::NoneLeft
        | Fault::Stages { .. }
        | Fault::Cursor { .. }
        | Fault::Broken { .. } => Code::BadData,
    }
}

/// A step whose numbers were not all finite, at the line of the tensor that was the first.
pub fn divergence(found: &Divergence, run: &Run) -> Diagnostic {
    let Divergence { step, epoch, outputs, suspect, variable } = found;
    let model = &run.model;
    let loss = outputs.iter().find(|(name, _)| &**name == "loss").map(|(_, value)| *value);
    let loss = loss.map_or(String::new(), |loss| format!(" (loss {})", number(loss)));
    let mut message = format!("step {step} of epoch {} gave a number that is not finite{loss}", epoch + 1);
    if let Some(name) = variable {
        message += &format!(": `{name}` was not finite before it");
        let span = model.variables.iter().find(|v| v.name == *name).map_or(run.span, |v| v.call);
        return Diagnostic::error(Code::NotFinite, span, message);
    }
    let Some(suspect) = suspect else {
        return Diagnostic::error(Code::NotFinite, run.span, message);
    };
    let origin = model.origins.get(suspect.id as usize);
    let span = origin.map_or(run.span, |origin| origin.call);
    let region = origin.and_then(|origin| model.regions.get(origin.region.0 as usize));
    let place = match region {
        Some(region) if region.parent.is_some() => format!(" in `{}`", region.name),
        Some(_) | None => String::new(),
    };
    message += &format!(": the first is {}, in {}{place}", suspect.found, suspect.name);
    let mut diagnostic = Diagnostic::error(Code::NotFinite, span, message)
        .here(format!("{} at {}", suspect.found, index(&suspect.index)))
        .help("a smaller rate, `clip norm 1`, or inputs scaled to about -1..1 keep numbers finite");
    if let Some(origin) = origin.filter(|origin| origin.span != origin.call) {
        diagnostic = diagnostic.label(origin.span, "computed here");
    }
    diagnostic
}

/// A position outside the axis that it counts, at the line of the operator that met it.
pub fn bad_index(bad: &BadIndex, run: &Run) -> Diagnostic {
    let origin = run.model.origins.get(bad.origin as usize);
    let span = origin.map_or(run.span, |origin| origin.call);
    let BadIndex { at, found, size, .. } = bad;
    let message = match size {
        0 => format!("a position is {found}, and there is nothing to pick from"),
        _ => format!("a position is {found}, and positions here are from 0 to {}", size - 1),
    };
    let help = match *found {
        ..0 => "positions count from 0; give what stands for nothing a row of its own".to_string(),
        _ => format!(
            "give the axis that is picked from a size of at least {}, or look for where the data exceed it",
            found.saturating_add(1)
        ),
    };
    let diagnostic = Diagnostic::error(Code::IndexRange, span, message)
        .here(format!("{found} at {}", index(at)))
        .help(help);
    match origin.filter(|origin| origin.span != origin.call) {
        Some(origin) => diagnostic.label(origin.span, "picked here"),
        None => diagnostic,
    }
}

fn index<T: ToString>(index: &[T]) -> String {
    let parts: Vec<String> = index.iter().map(T::to_string).collect();
    format!("index [{}]", parts.join(", "))
}
