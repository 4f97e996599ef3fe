//! Batches, one after the other: endless for training, one pass for evaluation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::buckets::{Batches, Buckets};
use super::dataset::{self, Column, Dataset, Store, Wanted};
use super::error::{DataError, Fault};
use super::order::Order;
use super::pictures::Steps;
use super::prefetch::Prefetch;
use super::recipe::{Origin, Recipe, StageKind};
use super::vocabulary::Vocabulary;
use crate::Tensor;

/// A place between two batches of a consumer; what a checkpoint keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The epoch, from 0.
    pub epoch: u64,
    /// Examples of it that were consumed.
    pub position: u64,
}

/// Some examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// One tensor for each field of the source, in order; the first axis is the examples. A sequence `x` is
    /// filled up to the length of its bucket, and `x.length` follows it: an `i32` for each example.
    pub tensors: Vec<(Arc<str>, Tensor)>,
    /// How many examples; at least 1.
    pub examples: usize,
    /// The epoch they belong to, from 0.
    pub epoch: u64,
    /// Whether they are the last of it.
    pub ends_epoch: bool,
    /// Where to go on afterwards. After the last batch of an epoch: the start of the next.
    pub cursor: Cursor,
}

impl Batch {
    /// The tensor of a field.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(field, _)| &**field == name).map(|(_, tensor)| tensor)
    }

    /// The shapes of its tensors.
    pub fn shapes(&self) -> Shapes {
        Shapes(self.tensors.iter().map(|(name, t)| (Arc::clone(name), t.shape().to_vec())).collect())
    }
}

/// What a batch binds: the shape of each of its tensors. Programs are made for shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shapes(pub Vec<(Arc<str>, Vec<usize>)>);

impl Shapes {
    /// The shape of a tensor.
    pub fn get(&self, name: &str) -> Option<&[usize]> {
        self.0.iter().find(|(field, _)| &**field == name).map(|(_, shape)| shape.as_slice())
    }
}

/// A recipe with its data in memory, ready to be consumed any number of times.
#[derive(Clone)]
pub struct Input {
    data: Arc<Dataset>,
    order: Arc<Order>,
    buckets: Option<Arc<Buckets>>,
    /// What happens to pictures.
    steps: Arc<Steps>,
    /// Examples of a batch.
    batch: usize,
    /// How many batches to prepare on another thread; 0: each is made when it is asked for.
    ahead: usize,
    /// The recipe's last stage.
    origin: Origin,
}

impl Input {
    /// Reads the data, unless a living input of the same source already did. `seed` is for shuffles that
    /// have none of their own.
    ///
    /// # Errors
    /// Whatever is wrong with the files or the stages.
    pub fn open(recipe: &Recipe, seed: u64) -> Result<Input, DataError> {
        let (batch, ahead) = batching(recipe)?;
        let data = dataset::load(&recipe.source)?;
        let mut order = Order::new(data.examples, &recipe.stages, seed)?;
        let buckets = Buckets::new(&data, order.once(), &recipe.stages)?.map(Arc::new);
        if let Some(buckets) = &buckets {
            order.retain(|example| buckets.keeps(example));
        }
        let order = Arc::new(order);
        let origin = recipe.stages.last().map_or(0, |stage| stage.origin);
        if order.examples() == 0 {
            return Err(DataError::new(origin, Fault::NoneLeft));
        }
        let steps = Arc::new(Steps::new(&recipe.stages, seed));
        Ok(Input { data, order, buckets, steps, batch, ahead, origin })
    }

    /// Examples of an epoch.
    pub fn examples(&self) -> usize {
        self.order.examples()
    }

    /// What was left out because it could not be read, where that was asked for.
    pub fn left_out(&self) -> &[DataError] {
        &self.data.left_out
    }

    /// The vocabularies that texts were read with, by field; a tokenizer's file keeps its own.
    pub fn vocabularies(&self) -> &[(Arc<str>, Arc<Vocabulary>)] {
        &self.data.vocabularies
    }

    /// The files of the source, one for each of its examples and in its order, where each is a file of its own. Stages
    /// that choose or order examples are not looked at.
    pub fn files(&self) -> Option<&[std::path::PathBuf]> {
        self.data.columns.iter().find_map(|column| match &column.store {
            Store::Pictures(files) => Some(files.paths()),
            Store::Ready(_) | Store::Coded { .. } | Store::Ragged { .. } | Store::Windows { .. } => None,
        })
    }

    /// Batches of an epoch.
    pub fn batches(&self) -> usize {
        match &self.buckets {
            None => self.examples().div_ceil(self.batch),
            Some(buckets) => buckets.batches(&self.order, self.batch),
        }
    }

    /// The numbers of examples that batches of a whole epoch have, larger first.
    pub fn batch_sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.sizes().into_iter().map(|(_, size)| size).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.dedup();
        sizes
    }

    /// All shapes that batches of whole epochs will ever have.
    pub fn shapes(&self) -> Vec<Shapes> {
        let of = |(bucket, size): (u32, usize)| {
            let lengths = self.buckets.as_ref().map(|buckets| buckets.lengths(bucket));
            let tensors = self.data.columns.iter().enumerate().flat_map(|(at, column)| {
                let shape = column.batch_shape(size, lengths.map_or(0, |lengths| lengths[at]));
                let length = column.is_ragged().then(|| (length_name(column), vec![size]));
                std::iter::once((Arc::clone(&column.name), shape)).chain(length)
            });
            Shapes(tensors.collect())
        };
        self.sizes().into_iter().map(of).collect()
    }

    /// Buckets and sizes of batches.
    fn sizes(&self) -> Vec<(u32, usize)> {
        if let Some(buckets) = &self.buckets {
            return buckets.sizes(&self.order, self.batch);
        }
        let (whole, rest) = (self.examples() / self.batch, self.examples() % self.batch);
        [(whole, self.batch), (rest, rest)]
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(_, size)| (0, *size))
            .collect()
    }

    /// Whether both hold the same examples in the same memory.
    pub fn shares_data_with(&self, other: &Input) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }

    /// Batches from `cursor` on, without end.
    ///
    /// # Errors
    /// A cursor beyond the epoch's end; a system that has no more threads.
    pub fn feed(&self, cursor: Cursor) -> Result<Feed, DataError> {
        self.supply(cursor, None).map(Feed)
    }

    /// The batches of epoch 0, once.
    ///
    /// # Errors
    /// A system that has no more threads.
    pub fn pass(&self) -> Result<Pass, DataError> {
        self.supply(Cursor::default(), Some(1)).map(Pass)
    }

    fn supply(&self, cursor: Cursor, end: Option<u64>) -> Result<Supply, DataError> {
        let examples = self.examples();
        if cursor.position > examples as u64 {
            let fault = Fault::Cursor { position: cursor.position, examples };
            return Err(DataError::new(self.origin, fault));
        }
        let maker = Maker {
            data: Arc::clone(&self.data),
            order: Arc::clone(&self.order),
            buckets: self.buckets.clone(),
            steps: Arc::clone(&self.steps),
            batch: self.batch,
            cursor: at_start(cursor, examples),
            end,
            drawn: None,
            origin: self.origin,
        };
        if self.ahead == 0 {
            return Ok(Supply::Here(maker));
        }
        let fail = |message| DataError::new(self.origin, Fault::Broken { message });
        // More than an epoch would only cost memory.
        let ahead = Prefetch::start(self.ahead.min(self.batches()), maker).map_err(fail)?;
        Ok(Supply::Ahead(ahead, self.origin))
    }
}

/// Batches without end. Dropping it stops its thread, if it has one.
pub struct Feed(Supply);

impl Feed {
    /// Opens a recipe and starts at `cursor`; see [`Input`] for consuming it more than once.
    ///
    /// # Errors
    /// As [`Input::open`] and [`Input::feed`].
    pub fn open(recipe: &Recipe, seed: u64, cursor: Cursor) -> Result<Feed, DataError> {
        Input::open(recipe, seed)?.feed(cursor)
    }

    /// The next batch.
    ///
    /// # Errors
    /// A failure of the thread that prepares batches.
    #[expect(clippy::should_implement_trait, reason = "an iterator may end, a feed cannot")]
    pub fn next(&mut self) -> Result<Batch, DataError> {
        self.0.next()?.ok_or_else(|| self.0.ended())
    }
}

/// The batches of one epoch, then the end.
pub struct Pass(Supply);

impl Iterator for Pass {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Result<Batch, DataError>> {
        self.0.next().transpose()
    }
}

enum Supply {
    Here(Maker),
    Ahead(Prefetch<Result<Batch, DataError>>, Origin),
}

impl Supply {
    fn next(&mut self) -> Result<Option<Batch>, DataError> {
        match self {
            Supply::Here(maker) => maker.next().transpose(),
            Supply::Ahead(ahead, origin) => {
                let origin = *origin;
                let next =
                    ahead.next().map_err(|message| DataError::new(origin, Fault::Broken { message }))?;
                next.transpose()
            }
        }
    }

    /// What to say when a supply without end has ended: only after it failed.
    fn ended(&self) -> DataError {
        let origin = match self {
            Supply::Here(_) => 0,
            Supply::Ahead(_, origin) => *origin,
        };
        DataError::new(origin, Fault::Broken { message: "it has already stopped".to_string() })
    }
}

/// Makes batches from examples in memory.
struct Maker {
    data: Arc<Dataset>,
    order: Arc<Order>,
    buckets: Option<Arc<Buckets>>,
    steps: Arc<Steps>,
    batch: usize,
    cursor: Cursor,
    /// The epoch before which it ends.
    end: Option<u64>,
    /// An epoch and its order; without buckets, where batches end is not written down.
    drawn: Option<(u64, Batches)>,
    origin: Origin,
}

impl Iterator for Maker {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Result<Batch, DataError>> {
        if self.end.is_some_and(|end| self.cursor.epoch >= end) {
            return None;
        }
        Some(self.make())
    }
}

impl Maker {
    fn make(&mut self) -> Result<Batch, DataError> {
        let Cursor { epoch, position } = self.cursor;
        let drawn = self.drawn.take().filter(|(drawn, _)| *drawn == epoch);
        let (_, batches) = self.drawn.insert(
            drawn.unwrap_or_else(|| (epoch, draw(&self.order, self.buckets.as_deref(), self.batch, epoch))),
        );
        let start = position as usize;
        let examples = batches.examples.len();
        let (end, bucket) = match &self.buckets {
            None => (examples.min(start.saturating_add(self.batch)), 0),
            Some(_) => {
                let at = batches.ends.partition_point(|(end, _)| *end <= start);
                if at.checked_sub(1).map_or(0, |before| batches.ends[before].0) != start {
                    let fault = Fault::Cursor { position, examples };
                    return Err(DataError::new(self.origin, fault));
                }
                batches.ends[at]
            }
        };
        let chosen = &batches.examples[start..end];
        let lengths = self.buckets.as_ref().map(|buckets| buckets.lengths(bucket));
        let same: Vec<usize> = chosen.iter().map(|example| example % self.data.examples).collect();
        let wanted = Wanted { examples: &same, drawn: chosen, epoch, steps: &self.steps };
        let mut tensors = Vec::with_capacity(self.data.columns.len());
        for (at, column) in self.data.columns.iter().enumerate() {
            let length = lengths.map_or(0, |lengths| lengths[at]);
            tensors.push((Arc::clone(&column.name), column.gather(&wanted, length)?));
            tensors.extend(column.is_ragged().then(|| lengths_tensor(column, &same, length)));
        }
        let after = Cursor { epoch, position: end as u64 };
        let batch = Batch {
            tensors,
            examples: chosen.len(),
            epoch,
            ends_epoch: end == examples,
            cursor: at_start(after, examples),
        };
        self.cursor = batch.cursor;
        Ok(batch)
    }
}

fn draw(order: &Order, buckets: Option<&Buckets>, batch: usize, epoch: u64) -> Batches {
    let examples = order.epoch(epoch);
    match buckets {
        None => Batches { examples, ends: Vec::new() },
        Some(buckets) => buckets.cut(&examples, batch),
    }
}

/// What the true lengths of a sequence are called.
fn length_name(column: &Column) -> Arc<str> {
    format!("{}.length", column.name).into()
}

fn lengths_tensor(column: &Column, chosen: &[usize], most: usize) -> (Arc<str>, Tensor) {
    let mut tensor = Tensor::zeros(crate::DType::I32, &[chosen.len()]);
    let to: &mut [i32] = bytemuck::cast_slice_mut(tensor.bytes_mut());
    for (to, example) in to.iter_mut().zip(chosen) {
        // A sequence is never longer than what it was filled up or cut to, which fits a tensor in memory.
        *to = column.length(*example).unwrap_or(0).min(most) as i32;
    }
    (length_name(column), tensor)
}

/// The end of an epoch is the start of the next.
fn at_start(cursor: Cursor, examples: usize) -> Cursor {
    if cursor.position == examples as u64 { Cursor { epoch: cursor.epoch + 1, position: 0 } } else { cursor }
}

/// The size of batches, and how many to prepare ahead (0 without such a stage).
fn batching(recipe: &Recipe) -> Result<(usize, usize), DataError> {
    let (mut batch, mut ahead, mut bucketed) = (None, 0, 0);
    for stage in &recipe.stages {
        let fail = |fault| Err(DataError::new(stage.origin, fault));
        match &stage.kind {
            StageKind::Batch { size: 0 } => return fail(Fault::Zero { what: "a batch" }),
            StageKind::Batch { .. } if batch.is_some() => {
                return fail(Fault::Stages { reason: "examples can be put into batches only once" });
            }
            StageKind::Batch { size } => batch = Some(*size),
            StageKind::Prefetch { batches: 0 } => return fail(Fault::Zero { what: "a number of batches" }),
            StageKind::Prefetch { .. } if batch.is_none() => {
                return fail(Fault::Stages { reason: "batches can be prepared only after they were made" });
            }
            StageKind::Prefetch { batches } => ahead = *batches,
            StageKind::Bucket { .. } => {
                bucketed += 1;
                if bucketed > 1 {
                    return fail(Fault::Stages { reason: "examples can be put into buckets only once" });
                }
            }
            StageKind::Shuffle { .. }
            | StageKind::Split { .. }
            | StageKind::Take { .. }
            | StageKind::Repeat { .. }
            | StageKind::Picture(_) => {}
        }
    }
    let origin = recipe.stages.last().map_or(0, |stage| stage.origin);
    let fault = Fault::Stages { reason: "a feed needs a batch size" };
    batch.map(|size| (size, ahead)).ok_or(DataError::new(origin, fault))
}
