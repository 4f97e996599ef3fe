//! Pictures in folders: a file is read and decoded when its example is wanted, and what happens to it by chance is a
//! function of seed, epoch and example alone.

mod decode;
mod folder;
mod one;
mod pixels;
#[cfg(test)]
#[cfg(feature = "pictures")]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::decode::CAN_READ;
use self::decode::decode;
use self::folder::list;
pub use self::folder::{inspect, stamps};
pub use self::one::{inspect_picture, read_picture};
use super::convert::Conversion;
use super::dataset::{Column, Dataset, Store, Wanted};
use super::error::{DataError, Fault};
use super::recipe::{
    Arithmetic, Origin, PictureContent, PictureField, PictureStep, Resize, Stage, StageKind,
};
use crate::DType;
use crate::kernels::random::{Draw, stream_of};

/// The files that a column's pictures lie in, and what becomes of their bytes.
pub struct Files {
    paths: Arc<[PathBuf]>,
    /// What each byte stands for.
    numbers: Vec<f64>,
    /// What becomes of each byte, where nothing is made white.
    table: Table,
    origin: Origin,
}

/// The element that becomes of each byte: its first bytes, as many as an element has.
type Table = Vec<Result<[u8; 8], Fault>>;

/// Lists a folder; with `skip`, reads every picture once and leaves out those that cannot be read.
///
/// # Errors
/// A folder that cannot be read or is not as the fields want it, no pictures left.
pub fn load(path: &Path, fields: &[PictureField], skip: bool, origin: Origin) -> Result<Dataset, DataError> {
    let classes = fields.iter().any(|field| matches!(field.content, PictureContent::Folder { .. }));
    let mut folder = list(path, classes, origin)?;
    let mut left_out = Vec::new();
    if skip {
        let damaged = damaged(&folder.pictures);
        let mut damaged = damaged.into_iter().peekable();
        let mut kept = Vec::with_capacity(folder.pictures.len());
        for (at, picture) in folder.pictures.into_iter().enumerate() {
            match damaged.next_if(|(bad, _)| *bad == at) {
                Some((_, fault)) => left_out.push(DataError::in_file(origin, &picture.0, fault)),
                None => kept.push(picture),
            }
        }
        folder.pictures = kept;
        if folder.pictures.is_empty() {
            return Err(DataError::in_file(origin, path, Fault::Empty));
        }
    }
    let paths: Arc<[PathBuf]> = folder.pictures.iter().map(|(path, _)| path.clone()).collect();
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let (shape, store) = match &field.content {
            PictureContent::Pixels { shape, arithmetic } => {
                let numbers = numbers(arithmetic);
                let (paths, table) = (Arc::clone(&paths), table(&numbers, (0.0, 1.0), field.dtype));
                let files = Files { paths, numbers, table, origin: field.origin };
                (shape.to_vec(), Store::Pictures(files))
            }
            PictureContent::Folder { classes } => {
                let conversion = Conversion { arithmetic: &[], dtype: field.dtype, classes: *classes };
                let mut bytes = Vec::new();
                for (path, class) in &folder.pictures {
                    let fits = conversion.append(f64::from(*class), &mut bytes);
                    fits.map_err(|fault| DataError::in_file(field.origin, path, fault))?;
                }
                (Vec::new(), Store::Ready(bytes))
            }
        };
        columns.push(Column { name: field.name.as_str().into(), shape, dtype: field.dtype, store });
    }
    Ok(Dataset { left_out, ..Dataset::new(paths.len(), columns) })
}

/// Which pictures cannot be read, in order, and why. All processors look.
fn damaged(pictures: &[(PathBuf, u32)]) -> Vec<(usize, Fault)> {
    let next = AtomicUsize::new(0);
    let look = || {
        let mut found = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((path, _)) = pictures.get(at) else { return found };
            found.extend(decode(path, 3).err().map(|fault| (at, fault)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pictures.len().max(1));
    let mut found = std::thread::scope(|scope| {
        let others: Vec<_> =
            (1..threads).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, look).ok()).collect();
        let mut found = look();
        for other in others {
            found.extend(other.join().unwrap_or_default());
        }
        found
    });
    found.sort_unstable_by_key(|(at, _)| *at);
    found
}

/// What a recipe does to its pictures, in order.
pub struct Steps(Vec<Step>);

struct Step {
    kind: PictureStep,
    /// Where its random numbers come from.
    seed: u64,
    stream: u64,
    /// Whether a split or the like follows: then all epochs see what the first does.
    fixed: bool,
    origin: Origin,
}

impl Steps {
    /// `seed` is for those without their own.
    pub fn new(stages: &[Stage], seed: u64) -> Steps {
        let fixed = stages
            .iter()
            .rposition(|stage| matches!(stage.kind, StageKind::Split { .. } | StageKind::Take { .. }));
        let mut random = 0;
        let steps = stages.iter().enumerate().filter_map(|(at, stage)| {
            let StageKind::Picture(kind) = &stage.kind else { return None };
            let own = match kind {
                PictureStep::RandomCrop { seed, .. } | PictureStep::Flip { seed } => {
                    random += 1;
                    *seed
                }
                PictureStep::Resize(_) | PictureStep::Crop { .. } | PictureStep::Whiten => None,
            };
            Some(Step {
                kind: kind.clone(),
                seed: own.unwrap_or(seed),
                stream: stream_of(&format!("picture {random}")),
                fixed: fixed.is_some_and(|fixed| at < fixed),
                origin: stage.origin,
            })
        });
        Steps(steps.collect())
    }
}

impl Files {
    /// The files, example by example.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The pictures that are wanted of `column`, in that order.
    ///
    /// # Errors
    /// A picture that cannot be read, is too small for what is cut out of it, or comes out with another size than the
    /// column's.
    pub fn gather(&self, column: &Column, wanted: &Wanted<'_>, to: &mut [u8]) -> Result<(), DataError> {
        let length = column.shape.iter().product::<usize>() * column.dtype.bytes();
        let examples = wanted.examples.iter().zip(wanted.drawn);
        for (to, (example, drawn)) in to.chunks_exact_mut(length.max(1)).zip(examples) {
            let path = &self.paths[*example];
            to.copy_from_slice(&self.one(column, path, *drawn, wanted.epoch, wanted.steps)?);
        }
        Ok(())
    }

    fn one(
        &self,
        column: &Column,
        path: &Path,
        example: usize,
        epoch: u64,
        steps: &Steps,
    ) -> Result<Vec<u8>, DataError> {
        let channels = column.shape.last().copied().unwrap_or(3);
        let mut pixels =
            decode(path, channels).map_err(|fault| DataError::in_file(self.origin, path, fault))?;
        let mut white = None;
        for step in &steps.0 {
            let draw = Draw::new(step.seed, step.stream, if step.fixed { 0 } else { epoch });
            let below = |which: u64, n: usize| draw.below(2 * example as u64 + which, n as u64) as usize;
            let at_step = |fault| DataError::in_file(step.origin, path, fault);
            match &step.kind {
                PictureStep::Resize(Resize::To { height, width }) => pixels = pixels.resized(*height, *width),
                PictureStep::Resize(Resize::Shorter(size)) => {
                    let (height, width) = pixels.shorter(*size);
                    pixels = pixels.resized(height, width);
                }
                PictureStep::Crop { height, width } => {
                    let (down, right) = pixels.room([*height, *width]).map_err(at_step)?;
                    pixels = pixels.cropped(down / 2, right / 2, *height, *width);
                }
                PictureStep::RandomCrop { height, width, .. } => {
                    let (down, right) = pixels.room([*height, *width]).map_err(at_step)?;
                    pixels = pixels.cropped(below(0, down + 1), below(1, right + 1), *height, *width);
                }
                PictureStep::Flip { .. } => {
                    if below(0, 2) == 1 {
                        pixels.flip();
                    }
                }
                PictureStep::Whiten => white = Some(pixels.spread(&self.numbers)),
            }
        }
        let found = [pixels.height, pixels.width, pixels.channels];
        if found[..] != column.shape[..] {
            let fault = Fault::PictureSize { expected: column.shape.clone(), found: found.to_vec() };
            return Err(DataError::in_file(self.origin, path, fault));
        }
        let white = white.map(|white| table(&self.numbers, white, column.dtype));
        let table = white.as_ref().unwrap_or(&self.table);
        let width = column.dtype.bytes();
        let mut bytes = Vec::with_capacity(pixels.bytes.len() * width);
        for byte in &pixels.bytes {
            match &table[usize::from(*byte)] {
                Ok(element) => bytes.extend_from_slice(&element[..width]),
                Err(fault) => return Err(DataError::in_file(self.origin, path, fault.clone())),
            }
        }
        Ok(bytes)
    }
}

/// What each byte stands for.
fn numbers(arithmetic: &[(Arithmetic, f64)]) -> Vec<f64> {
    let calculate = |byte: u8| arithmetic.iter().fold(f64::from(byte), |x, (op, n)| op.apply(x, *n));
    (0..=u8::MAX).map(calculate).collect()
}

/// What becomes of each byte, whose number `mean` is taken from before it is divided by `spread`.
fn table(numbers: &[f64], (mean, spread): (f64, f64), dtype: DType) -> Table {
    let conversion = Conversion { arithmetic: &[], dtype, classes: None };
    let element = |number: &f64| {
        let mut bytes = Vec::with_capacity(8);
        conversion.append((number - mean) / spread, &mut bytes)?;
        bytes.resize(8, 0);
        Ok(bytes.try_into().unwrap_or_default())
    };
    numbers.iter().map(element).collect()
}
