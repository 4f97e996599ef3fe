//! Beam search: the likeliest unfinished sequences of each example are kept side by side until none of them can still
//! become better than the finished ones.

use super::score::{log_probabilities, ranked};
use super::{Decoder, GenerateError, Hypothesis, Rules, Scores};

/// One example's search.
struct Beam {
    /// Unfinished, with the row of the last step that each has come from.
    live: Vec<(Hypothesis, usize)>,
    finished: Vec<Hypothesis>,
}

pub fn generate<D: Decoder>(
    decoder: &mut D,
    rules: &Rules,
    width: usize,
    length: f64,
) -> Result<Vec<Vec<Hypothesis>>, GenerateError<D::Error>> {
    let count = rules.most.len();
    let start = |example: usize| {
        let none = Hypothesis::default();
        let done = rules.most[example] == 0;
        Beam {
            live: if done { Vec::new() } else { vec![(none.clone(), example)] },
            finished: if done { vec![none] } else { Vec::new() },
        }
    };
    let mut beams: Vec<Beam> = (0..count).map(start).collect();
    if beams.iter().all(|beam| beam.live.is_empty()) {
        return Ok(beams.into_iter().map(|beam| beam.finished).collect());
    }
    let mut scores = decoder.begin()?;
    loop {
        for (example, beam) in beams.iter_mut().enumerate() {
            beam.advance(&scores, rules, example, width, length)?;
        }
        if beams.iter().all(|beam| beam.live.is_empty()) {
            return Ok(beams.into_iter().map(|beam| beam.finished).collect());
        }
        // Every step has the same rows; where fewer are left, some run along.
        let (mut from, mut tokens) = (Vec::new(), Vec::new());
        for (example, beam) in beams.iter_mut().enumerate() {
            for slot in 0..width {
                let row = example * width + slot;
                let (parent, token) = match beam.live.get_mut(slot) {
                    Some((hypothesis, parent)) => {
                        let token = hypothesis.tokens.last().copied().unwrap_or(0);
                        (std::mem::replace(parent, row), token)
                    }
                    None => (from.last().copied().unwrap_or(0), 0),
                };
                from.push(parent);
                tokens.push(token);
            }
        }
        scores = decoder.next(&from, &tokens)?;
    }
}

impl Beam {
    /// Each hypothesis by one token; the best remain.
    fn advance<E>(
        &mut self,
        scores: &Scores,
        rules: &Rules,
        example: usize,
        width: usize,
        length: f64,
    ) -> Result<(), GenerateError<E>> {
        let most = rules.most[example];
        let mut candidates: Vec<(Hypothesis, usize, bool)> = Vec::new();
        for (hypothesis, row) in &self.live {
            let at = hypothesis.tokens.len();
            if let Some(token) = rules.prefix(example).get(at) {
                if *token as usize >= scores.classes {
                    return Err(GenerateError::Prefix { example, token: *token, classes: scores.classes });
                }
                candidates.push((with(hypothesis, *token, 0.0), *row, false));
                continue;
            }
            let used = |token: u32| {
                rules.no_repeats && Some(token) != rules.stop && hypothesis.tokens.contains(&token)
            };
            let logs = log_probabilities(scores.row(*row), 1.0, used)
                .ok_or(GenerateError::NoChoice { example, tokens: at })?;
            for token in ranked(&logs).into_iter().take(width + 1) {
                let log = logs[token as usize];
                let stops = Some(token) == rules.stop;
                let next = if stops {
                    let log_probability = hypothesis.log_probability + log;
                    Hypothesis { log_probability, ..hypothesis.clone() }
                } else {
                    with(hypothesis, token, log)
                };
                candidates.push((next, *row, stops));
            }
        }
        // Stable, so that ties go to the earlier hypothesis and the smaller token.
        candidates.sort_by(|a, b| b.0.log_probability.total_cmp(&a.0.log_probability));
        self.live.clear();
        for (hypothesis, row, stops) in candidates {
            if self.live.len() == width {
                break;
            }
            if stops || hypothesis.tokens.len() >= most {
                self.finished.push(hypothesis);
            } else {
                self.live.push((hypothesis, row));
            }
        }
        self.finished.sort_by(|a, b| value(b, length).total_cmp(&value(a, length)));
        self.finished.truncate(width);
        // The best that an unfinished one can become: no further loss, and the most forgiving length.
        let best = self.live.iter().map(|(h, _)| h.log_probability / penalty(most, length).max(1.0));
        let best = best.fold(f64::NEG_INFINITY, f64::max);
        let worst = self.finished.last().map(|h| value(h, length));
        if self.finished.len() == width && worst.is_some_and(|worst| worst >= best) {
            self.live.clear();
        }
        Ok(())
    }
}

fn with(hypothesis: &Hypothesis, token: u32, log: f64) -> Hypothesis {
    let tokens = hypothesis.tokens.iter().copied().chain([token]).collect();
    Hypothesis { tokens, log_probability: hypothesis.log_probability + log }
}

fn penalty(tokens: usize, length: f64) -> f64 {
    ((5.0 + tokens as f64) / 6.0).powf(length)
}

/// What hypotheses are compared by.
fn value(hypothesis: &Hypothesis, length: f64) -> f64 {
    hypothesis.log_probability / penalty(hypothesis.tokens.len(), length)
}
