//! Batches, one after the other: endless for training, one pass for evaluation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dataset::{self, Dataset};
use super::error::{DataError, Fault};
use super::order::Order;
use super::prefetch::Prefetch;
use super::recipe::{Origin, Recipe, StageKind};
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
    /// One tensor for each field of the source, in order; the first axis is the examples.
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
}

/// A recipe with its data in memory, ready to be consumed any number of times.
#[derive(Clone)]
pub struct Input {
    data: Arc<Dataset>,
    order: Arc<Order>,
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
        let order = Arc::new(Order::new(data.examples, &recipe.stages, seed)?);
        let origin = recipe.stages.last().map_or(0, |stage| stage.origin);
        if order.examples() == 0 {
            return Err(DataError::new(origin, Fault::NoneLeft));
        }
        Ok(Input { data, order, batch, ahead, origin })
    }

    /// Examples of an epoch.
    pub fn examples(&self) -> usize {
        self.order.examples()
    }

    /// Batches of an epoch.
    pub fn batches(&self) -> usize {
        self.examples().div_ceil(self.batch)
    }

    /// The numbers of examples that batches of a whole epoch have, larger first: one or two.
    pub fn batch_sizes(&self) -> Vec<usize> {
        let (whole, rest) = (self.examples() / self.batch, self.examples() % self.batch);
        [(whole, self.batch), (rest, rest)].iter().filter(|(n, _)| *n > 0).map(|(_, size)| *size).collect()
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
            batch: self.batch,
            cursor: at_start(cursor, examples),
            end,
            drawn: None,
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
    Ahead(Prefetch<Batch>, Origin),
}

impl Supply {
    fn next(&mut self) -> Result<Option<Batch>, DataError> {
        match self {
            Supply::Here(maker) => Ok(maker.next()),
            Supply::Ahead(ahead, origin) => {
                let origin = *origin;
                ahead.next().map_err(|message| DataError::new(origin, Fault::Broken { message }))
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
    batch: usize,
    cursor: Cursor,
    /// The epoch before which it ends.
    end: Option<u64>,
    /// An epoch and its order.
    drawn: Option<(u64, Vec<usize>)>,
}

impl Iterator for Maker {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let Cursor { epoch, position } = self.cursor;
        if self.end.is_some_and(|end| epoch >= end) {
            return None;
        }
        let drawn = self.drawn.take().filter(|(drawn, _)| *drawn == epoch);
        let (_, indices) = self.drawn.insert(drawn.unwrap_or_else(|| (epoch, self.order.epoch(epoch))));
        let start = position as usize;
        let chosen = &indices[start..indices.len().min(start.saturating_add(self.batch))];
        let tensors =
            self.data.columns.iter().map(|column| (Arc::clone(&column.name), column.gather(chosen)));
        let after = Cursor { epoch, position: position + chosen.len() as u64 };
        let batch = Batch {
            tensors: tensors.collect(),
            examples: chosen.len(),
            epoch,
            ends_epoch: after.position as usize == indices.len(),
            cursor: at_start(after, indices.len()),
        };
        self.cursor = batch.cursor;
        Some(batch)
    }
}

/// The end of an epoch is the start of the next.
fn at_start(cursor: Cursor, examples: usize) -> Cursor {
    if cursor.position == examples as u64 { Cursor { epoch: cursor.epoch + 1, position: 0 } } else { cursor }
}

/// The size of batches, and how many to prepare ahead (0 without such a stage).
fn batching(recipe: &Recipe) -> Result<(usize, usize), DataError> {
    let (mut batch, mut ahead) = (None, 0);
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
            StageKind::Shuffle { .. } | StageKind::Split { .. } => {}
        }
    }
    let origin = recipe.stages.last().map_or(0, |stage| stage.origin);
    let fault = Fault::Stages { reason: "a feed needs a batch size" };
    batch.map(|size| (size, ahead)).ok_or(DataError::new(origin, fault))
}
