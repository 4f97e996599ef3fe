//! Examples of about the same length together: which bucket each goes to, and how an epoch becomes batches.

use super::dataset::{Column, Dataset};
use super::error::{DataError, Fault};
use super::order::Order;
use super::recipe::{Longer, Origin, Stage, StageKind};

/// Which bucket each example goes to.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// For each example its bucket; `None`: it is left out.
    of: Vec<Option<u32>>,
    /// For each bucket the steps of each column; 0 for columns that are no sequences.
    lengths: Vec<Vec<usize>>,
}

/// Examples of an epoch in the order of its batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The examples.
    pub examples: Vec<usize>,
    /// Where each batch ends, and its bucket.
    pub ends: Vec<(usize, u32)>,
}

impl Buckets {
    /// The buckets that the stages ask for; `None` where no field is a sequence.
    ///
    /// # Errors
    /// Sequences without a stage that says how long they may be, a stage for what is no sequence, lengths that
    /// make no buckets, examples that fit into none.
    pub fn new(data: &Dataset, order: &[usize], stages: &[Stage]) -> Result<Option<Buckets>, DataError> {
        let stage = stages.iter().find_map(|stage| match &stage.kind {
            StageKind::Bucket { lengths, longer } => Some((stage.origin, lengths, *longer)),
            StageKind::Shuffle { .. }
            | StageKind::Split { .. }
            | StageKind::Take { .. }
            | StageKind::Repeat { .. }
            | StageKind::Picture(_)
            | StageKind::Batch { .. }
            | StageKind::Prefetch { .. } => None,
        });
        let ragged = data.columns.iter().any(Column::is_ragged);
        let Some((origin, named, longer)) = stage else {
            if !ragged {
                return Ok(None);
            }
            let origin = stages.last().map_or(0, |stage| stage.origin);
            let reason = "examples of different lengths become batches by `bucket` or `pad`";
            return Err(DataError::new(origin, Fault::Stages { reason }));
        };
        let lengths = lengths_of(data, named).map_err(|fault| DataError::new(origin, fault))?;
        let mut buckets = Buckets { of: vec![None; data.examples], lengths };
        buckets.fill(data, order, longer, origin)?;
        Ok(Some(buckets))
    }

    fn fill(
        &mut self,
        data: &Dataset,
        order: &[usize],
        longer: Longer,
        origin: Origin,
    ) -> Result<(), DataError> {
        let last = (self.lengths.len() - 1) as u32;
        let mut too_long: Option<(usize, usize)> = None;
        let mut seen = vec![false; data.examples];
        for example in order.iter().map(|example| example % data.examples) {
            if std::mem::replace(&mut seen[example], true) {
                continue;
            }
            let first = self.lengths.iter().position(|lengths| {
                let mut columns = data.columns.iter().zip(lengths);
                columns.all(|(column, length)| column.length(example).is_none_or(|found| found <= *length))
            });
            self.of[example] = match (first, longer) {
                (Some(bucket), _) => Some(bucket as u32),
                (None, Longer::Cut) => Some(last),
                (None, Longer::Skip) => None,
                (None, Longer::Refuse) => {
                    too_long = Some(too_long.map_or((1, example), |(count, first)| (count + 1, first)));
                    None
                }
            };
        }
        let Some((examples, first)) = too_long else { return Ok(()) };
        let bounds = &self.lengths[last as usize];
        let over = data.columns.iter().zip(bounds).find_map(|(column, longest)| {
            let length = column.length(first).filter(|length| length > longest)?;
            Some((column.name.to_string(), length, *longest))
        });
        // An example that fits into none is too long for the last.
        let (field, length, longest) = over.unwrap_or_default();
        Err(DataError::new(origin, Fault::TooLong { examples, field, length, longest }))
    }

    /// The bucket of an example, or of a repetition of one.
    fn bucket(&self, example: usize) -> Option<u32> {
        self.of[example % self.of.len()]
    }

    /// Whether an example is kept.
    pub fn keeps(&self, example: usize) -> bool {
        self.bucket(example).is_some()
    }

    /// The steps of each column in a bucket.
    pub fn lengths(&self, bucket: u32) -> &[usize] {
        &self.lengths[bucket as usize]
    }

    /// The sizes that batches have, with their buckets.
    pub fn sizes(&self, order: &Order, batch: usize) -> Vec<(u32, usize)> {
        let sizes = self.counts(order).into_iter().zip(0..).flat_map(|(count, bucket)| {
            let whole = (count / batch > 0).then_some((bucket, batch));
            let rest = (count % batch > 0).then_some((bucket, count % batch));
            whole.into_iter().chain(rest)
        });
        sizes.collect()
    }

    /// Batches of an epoch.
    pub fn batches(&self, order: &Order, batch: usize) -> usize {
        self.counts(order).iter().map(|count| count.div_ceil(batch)).sum()
    }

    /// Examples of an epoch in each bucket.
    fn counts(&self, order: &Order) -> Vec<usize> {
        let mut counts = vec![0; self.lengths.len()];
        for bucket in order.once().iter().filter_map(|example| self.bucket(*example)) {
            counts[bucket as usize] += order.times();
        }
        counts
    }

    /// An epoch cut into batches: an example waits in its bucket until a batch of it is full; what waits at the
    /// end of the epoch makes short batches, the shortest bucket first.
    pub fn cut(&self, order: &[usize], batch: usize) -> Batches {
        let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); self.lengths.len()];
        let mut batches = Batches { examples: Vec::with_capacity(order.len()), ends: Vec::new() };
        for example in order {
            let Some(bucket) = self.bucket(*example) else { continue };
            let queue = &mut waiting[bucket as usize];
            queue.push(*example);
            if queue.len() == batch {
                batches.push(queue, bucket);
            }
        }
        for (queue, bucket) in waiting.iter_mut().zip(0..) {
            if !queue.is_empty() {
                batches.push(queue, bucket);
            }
        }
        batches
    }
}

impl Batches {
    fn push(&mut self, examples: &mut Vec<usize>, bucket: u32) {
        self.examples.append(examples);
        self.ends.push((self.examples.len(), bucket));
    }
}

/// For each bucket the steps of each column. Fields that are not named are as long as their longest.
fn lengths_of(data: &Dataset, named: &[(String, Vec<usize>)]) -> Result<Vec<Vec<usize>>, Fault> {
    let buckets = named.first().map_or(1, |(_, lengths)| lengths.len());
    for (field, lengths) in named {
        if !data.columns.iter().any(|column| *column.name == **field && column.is_ragged()) {
            return Err(Fault::NoSequence { field: field.clone() });
        }
        if lengths.len() != buckets {
            return Err(Fault::Buckets {
                reason: "expected as many lengths for each field: a bucket has one of each",
            });
        }
        if lengths.first().is_none_or(|first| *first == 0) || !lengths.is_sorted() {
            return Err(Fault::Buckets { reason: "expected the lengths of buckets to ascend from 1" });
        }
    }
    let longest = |column: &Column| (0..data.examples).filter_map(|at| column.length(at)).max().unwrap_or(0);
    let longest: Vec<usize> = data.columns.iter().map(longest).collect();
    let of_bucket = |bucket: usize| {
        let of_column = |(column, longest): (&Column, &usize)| {
            let own = named.iter().find(|(field, _)| **field == *column.name);
            own.map_or((*longest).max(1), |(_, lengths)| lengths[bucket])
        };
        data.columns.iter().zip(&longest).map(of_column).collect()
    };
    Ok((0..buckets).map(of_bucket).collect())
}
