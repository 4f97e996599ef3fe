//! One sequence an example: the likeliest token each time, or a drawn one.

use super::score::{draw, likeliest, log_probabilities};
use super::{Decoder, GenerateError, Hypothesis, Rules, Sampling};
use crate::kernels::random::{Draw, stream_of};

pub fn generate<D: Decoder>(
    decoder: &mut D,
    rules: &Rules,
    sampling: Option<&Sampling>,
) -> Result<Vec<Vec<Hypothesis>>, GenerateError<D::Error>> {
    let count = rules.most.len();
    let mut found = vec![Hypothesis::default(); count];
    let mut open: Vec<bool> = rules.most.iter().map(|most| *most > 0).collect();
    if !open.contains(&true) {
        return Ok(found.into_iter().map(|h| vec![h]).collect());
    }
    let temperature = sampling.map_or(1.0, |sampling| sampling.temperature);
    let mut scores = decoder.begin()?;
    let rows: Vec<usize> = (0..count).collect();
    loop {
        // What is finished goes on with any token, so that every step has the same rows.
        let mut tokens = vec![0; count];
        for example in 0..count {
            if !open[example] {
                continue;
            }
            let hypothesis = &mut found[example];
            let at = hypothesis.tokens.len();
            if let Some(token) = rules.prefix(example).get(at) {
                if *token as usize >= scores.classes {
                    return Err(GenerateError::Prefix { example, token: *token, classes: scores.classes });
                }
                hypothesis.tokens.push(*token);
            } else {
                let used = |token: u32| {
                    rules.no_repeats && Some(token) != rules.stop && hypothesis.tokens.contains(&token)
                };
                let row = scores.row(example);
                let logs = log_probabilities(row, temperature, used)
                    .ok_or(GenerateError::NoChoice { example, tokens: at })?;
                let token = match sampling {
                    Some(sampling) => {
                        // A function of seed, example and position alone.
                        let numbers = Draw::new(rules.seed, stream_of("generate"), example as u64);
                        draw(&logs, sampling, f64::from(numbers.bits32(at as u64)) / 4_294_967_296.0)
                    }
                    None => likeliest(&logs),
                };
                hypothesis.log_probability += logs[token as usize];
                if Some(token) == rules.stop {
                    open[example] = false;
                } else {
                    hypothesis.tokens.push(token);
                }
            }
            tokens[example] = hypothesis.tokens.last().copied().unwrap_or(0);
            open[example] &= hypothesis.tokens.len() < rules.most[example];
        }
        if !open.contains(&true) {
            return Ok(found.into_iter().map(|h| vec![h]).collect());
        }
        scores = decoder.next(&rows, &tokens)?;
    }
}
