//! Sequences from a trained model, token after token: the most likely one, the best of several kept side by side, or
//! one that is drawn.
//!
//! In: a [`Decoder`] that scores the next token, and [`Rules`]. Out: for each example its hypotheses, the best first.
//! Promises: what comes out is a function of the scores, the rules and the seed, whatever the order of the
//! examples and however many there are; it ends after the given number of tokens.

mod beam;
mod score;
mod single;

#[cfg(test)]
mod tests;

/// What scores the next token of sequences that it goes on with side by side.
pub trait Decoder {
    /// Why it could not.
    type Error;

    /// Scores of the first token, one row an example; rows are classes long. Higher is likelier; the exponentials
    /// of a row, divided by their sum, are probabilities.
    ///
    /// # Errors
    /// Whatever may happen in a step.
    fn begin(&mut self) -> Result<Scores, Self::Error>;

    /// Scores of the next token of new rows: row `i` goes on from row `from[i]` of the call before by `tokens[i]`.
    ///
    /// # Errors
    /// Whatever may happen in a step.
    fn next(&mut self, from: &[usize], tokens: &[u32]) -> Result<Scores, Self::Error>;
}

/// Scores of every token for several rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Row after row.
    pub numbers: Vec<f32>,
    /// Length of a row.
    pub classes: usize,
}

impl Scores {
    /// The scores of one row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.classes..(row + 1) * self.classes]
    }
}

/// How the next token is chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// The likeliest.
    Greedy,
    /// The likeliest sequences are kept side by side.
    Beam {
        /// How many.
        width: usize,
        /// Hypotheses are compared by their log-probability over `((5 + tokens) / 6) ^ length` (Wu et al. 2016).
        length: f64,
    },
    /// By chance.
    Sample(Sampling),
}

/// How a token is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Scores are divided by it: below 1 the likely become likelier.
    pub temperature: f64,
    /// Only so many of the likeliest.
    pub top: Option<usize>,
    /// Only the likeliest whose probabilities add up to this (Holtzman et al. 2019).
    pub nucleus: Option<f64>,
}

/// What a decoder's rules say, with everything bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How the next token is chosen.
    pub strategy: Strategy,
    /// The token that ends a sequence; it is not part of it.
    pub stop: Option<u32>,
    /// By example: no sequence has more tokens.
    pub most: Vec<usize>,
    /// Whether a token stands at most once in a sequence.
    pub no_repeats: bool,
    /// By example: what a sequence begins with. Empty, or one an example.
    pub prefixes: Vec<Vec<u32>>,
    /// Decides what is drawn.
    pub seed: u64,
}

impl Rules {
    fn prefix(&self, example: usize) -> &[u32] {
        self.prefixes.get(example).map_or(&[], Vec::as_slice)
    }
}

/// A sequence and how likely it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, the stopping one left out.
    pub tokens: Vec<u32>,
    /// The logarithm of its probability, that of the stopping token included and of the prefix left out.
    pub log_probability: f64,
}

/// Why nothing could be generated.
#[derive(Clone, Debug, PartialEq)]
pub enum GenerateError<E> {
    /// A step failed.
    Step(E),
    /// No score of a row was a number that could be chosen.
    NoChoice {
        /// The example.
        example: usize,
        /// Tokens so far.
        tokens: usize,
    },
    /// A token of a prefix is none of the model's.
    Prefix {
        /// The example.
        example: usize,
        /// The token.
        token: u32,
        /// How many tokens there are.
        classes: usize,
    },
}

impl<E> From<E> for GenerateError<E> {
    fn from(error: E) -> GenerateError<E> {
        GenerateError::Step(error)
    }
}

/// For each example (there are as many as `rules.most` has lengths) its hypotheses, the best first.
///
/// # Errors
/// See [`GenerateError`].
pub fn generate<D: Decoder>(
    decoder: &mut D,
    rules: &Rules,
) -> Result<Vec<Vec<Hypothesis>>, GenerateError<D::Error>> {
    match &rules.strategy {
        Strategy::Greedy => single::generate(decoder, rules, None),
        Strategy::Sample(sampling) => single::generate(decoder, rules, Some(sampling)),
        Strategy::Beam { width, length } => beam::generate(decoder, rules, (*width).max(1), *length),
    }
}
