//! What a model says of examples, written down: csv, JSON lines or npy. A file appears once it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use strata::types::DType;
use strata_runtime::Tensor;
use strata_runtime::files::replace;
use strata_runtime::queue::npy_head;

use crate::messages::Failure;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Csv,
    Json,
    Npy,
}

impl Form {
    /// The form that a file's name says, where `json` does not ask for JSON; csv if neither says anything.
    ///
    /// # Errors
    /// `.npy` and JSON at once.
    pub fn of(out: Option<&Path>, json: bool) -> Result<Form, Failure> {
        let ending = out.and_then(Path::extension).map(|e| e.to_string_lossy().to_ascii_lowercase());
        match (ending.as_deref(), json) {
            (Some("npy"), true) => {
                Err(Failure::Usage("--json and a file in .npy: leave one of the two out".to_string()))
            }
            (Some("npy"), false) => Ok(Form::Npy),
            (Some("json" | "jsonl" | "ndjson"), _) | (_, true) => Ok(Form::Json),
            (Some(_) | None, false) => Ok(Form::Csv),
        }
    }
}

/// Results on their way to a file, or to the standard output.
pub struct Results<'a> {
    form: Form,
    /// The binding that is written.
    name: &'a str,
    to: &'a mut dyn Write,
    /// Examples to come in all.
    examples: usize,
    /// The shape of one example's result, once there was one.
    shape: Option<Vec<usize>>,
}

/// What keeps results from being written.
pub enum Trouble {
    /// The system, at what is written to.
    Write(io::Error),
    /// Whatever else.
    Other(Failure),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Write(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Other(failure)
    }
}

/// Opens a file, or the standard output, for what `fill` writes. A file is there once all was written, and else as it was.
///
/// # Errors
/// What the system says; what `fill` does.
pub fn write(
    out: Option<&Path>,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Trouble>,
) -> Result<(), Failure> {
    let done = match out {
        None => whole(io::stdout().lock(), fill),
        // A device or a pipe is written to as it is.
        Some(path) if fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir()) => {
            File::create(path).map_err(Trouble::Write).and_then(|file| whole(file, fill))
        }
        Some(path) => replace(path, fill),
    };
    done.map_err(|trouble| match (trouble, out) {
        (Trouble::Other(failure), _) => failure,
        (Trouble::Write(error), Some(path)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Failure::Message(format!("{}: {error}", path.display()))
        }
        (Trouble::Write(error), _) => error.into(),
    })
}

fn whole(to: impl Write, fill: impl FnOnce(&mut dyn Write) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let mut to = BufWriter::new(to);
    fill(&mut to)?;
    Ok(to.flush()?)
}

impl<'a> Results<'a> {
    /// Results of so many examples, all of the binding `name`.
    pub fn new(to: &'a mut dyn Write, form: Form, name: &'a str, examples: usize) -> Results<'a> {
        Results { form, name, to, examples, shape: None }
    }

    /// Writes the results of some examples; `files` names their files, where each has its own.
    ///
    /// # Errors
    /// What the system says; results that change their shape from batch to batch, which an array cannot hold.
    pub fn batch(&mut self, output: &Tensor, files: Option<&[PathBuf]>) -> Result<(), Trouble> {
        let shape = output.shape().get(1..).unwrap_or_default();
        let first = self.shape.is_none();
        match &self.shape {
            Some(before) if before != shape && self.form != Form::Json => {
                let text = format!(
                    "`{}` is {shape:?} here and was {before:?} before: write it as JSON, with --json",
                    self.name
                );
                return Err(Failure::Message(text).into());
            }
            Some(_) => {}
            None => self.shape = Some(shape.to_vec()),
        }
        match self.form {
            Form::Csv => {
                if first {
                    writeln!(self.to, "{}", header(self.name, output, files.is_some()))?;
                }
                self.csv(output, files)
            }
            Form::Json => self.json(output, files),
            Form::Npy => self.npy(output, first),
        }
    }

    fn csv(&mut self, output: &Tensor, files: Option<&[PathBuf]>) -> Result<(), Trouble> {
        let numbers = strata::machine::numbers(output);
        let width = width(output);
        for row in 0..output.shape().first().copied().unwrap_or(0) {
            let values = &numbers[row * width..(row + 1) * width];
            let file = files.and_then(|files| files.get(row)).map(|file| quoted(file));
            let largest = has_largest(output).then(|| largest(values).to_string());
            let cells = file.into_iter().chain(values.iter().map(f64::to_string)).chain(largest);
            writeln!(self.to, "{}", cells.collect::<Vec<_>>().join(","))?;
        }
        Ok(())
    }

    fn json(&mut self, output: &Tensor, files: Option<&[PathBuf]>) -> Result<(), Trouble> {
        let numbers = strata::machine::numbers(output);
        let width = width(output);
        for row in 0..output.shape().first().copied().unwrap_or(0) {
            let values = &numbers[row * width..(row + 1) * width];
            let mut line = json!({ self.name: values });
            if let Some(map) = line.as_object_mut() {
                if has_largest(output) {
                    map.insert(format!("{}_largest", self.name), json!(largest(values)));
                }
                if let Some(file) = files.and_then(|files| files.get(row)) {
                    map.insert("file".to_string(), json!(file.to_string_lossy()));
                }
            }
            writeln!(self.to, "{line}")?;
        }
        Ok(())
    }

    fn npy(&mut self, output: &Tensor, first: bool) -> Result<(), Trouble> {
        // The format has no name for bf16; every one of them is an f32.
        let dtype = if output.dtype() == DType::Bf16 { DType::F32 } else { output.dtype() };
        if first {
            let shape: Vec<usize> =
                std::iter::once(self.examples).chain(output.shape().iter().skip(1).copied()).collect();
            let head = npy_head(dtype, &shape)
                .ok_or_else(|| Failure::Message(format!("an npy file cannot hold {dtype}")))?;
            self.to.write_all(&head)?;
        }
        if output.dtype() == dtype {
            self.to.write_all(output.bytes())?;
        } else {
            for number in strata::machine::numbers(output) {
                self.to.write_all(&(number as f32).to_ne_bytes())?;
            }
        }
        Ok(())
    }
}

/// Numbers of one example.
fn width(output: &Tensor) -> usize {
    output.shape().iter().skip(1).product()
}

fn header(name: &str, output: &Tensor, files: bool) -> String {
    let columns = if output.shape().len() < 2 {
        vec![name.to_string()]
    } else {
        let columns = (0..width(output)).map(|column| format!("{name}_{column}"));
        columns.chain(has_largest(output).then(|| format!("{name}_largest"))).collect()
    };
    let file = files.then(|| "file".to_string());
    file.into_iter().chain(columns).collect::<Vec<_>>().join(",")
}

/// One number a class: which of them is the largest is what most want to know.
fn has_largest(output: &Tensor) -> bool {
    output.shape().len() == 2 && width(output) > 1
}

/// Where the first largest number stands.
fn largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

/// A name as a cell of a csv file.
fn quoted(file: &Path) -> String {
    let name = file.to_string_lossy();
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.into_owned()
    }
}
