//! From scores to log-probabilities, and choices among them. All in `f64`, ties to the smaller token.

use super::Sampling;

/// The logarithm of each token's probability; tokens that are `excluded` share none of it. What is no number counts as
/// impossible. `None` if nothing is left.
pub fn log_probabilities(
    scores: &[f32],
    temperature: f64,
    excluded: impl Fn(u32) -> bool,
) -> Option<Vec<f64>> {
    let score = |(token, score): (usize, &f32)| {
        let out = score.is_nan() || excluded(token as u32);
        if out { f64::NEG_INFINITY } else { f64::from(*score) / temperature }
    };
    let mut logs: Vec<f64> = scores.iter().enumerate().map(score).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return None;
    }
    let total: f64 = logs.iter().map(|x| (x - largest).exp()).sum();
    let norm = largest + total.ln();
    logs.iter_mut().for_each(|x| *x -= norm);
    Some(logs)
}

/// The likeliest token.
pub fn likeliest(logs: &[f64]) -> u32 {
    (1..logs.len()).fold(0, |best, at| if logs[at] > logs[best] { at } else { best }) as u32
}

/// Tokens from the likeliest on; the impossible are left out.
pub fn ranked(logs: &[f64]) -> Vec<u32> {
    let mut tokens: Vec<u32> =
        (0..logs.len() as u32).filter(|t| logs[*t as usize] > f64::NEG_INFINITY).collect();
    tokens.sort_by(|a, b| logs[*b as usize].total_cmp(&logs[*a as usize]).then(a.cmp(b)));
    tokens
}

/// The token at `chance` (in [0, 1)) of those that the rules allow.
pub fn draw(logs: &[f64], sampling: &Sampling, chance: f64) -> u32 {
    let mut tokens = ranked(logs);
    tokens.truncate(sampling.top.unwrap_or(usize::MAX).max(1));
    let weight = |token: &u32| logs[*token as usize].exp();
    if let Some(nucleus) = sampling.nucleus {
        let total: f64 = tokens.iter().map(weight).sum();
        let mut sum = 0.0;
        let enough = tokens.iter().position(|token| {
            sum += weight(token);
            sum >= nucleus * total
        });
        tokens.truncate(enough.map_or(usize::MAX, |at| at + 1));
    }
    let total: f64 = tokens.iter().map(weight).sum();
    let mut rest = chance * total;
    for token in &tokens {
        rest -= weight(token);
        if rest < 0.0 {
            return *token;
        }
    }
    // Rounding may leave a little at the end.
    tokens.last().copied().unwrap_or(0)
}
