//! Vocabularies: which number stands for which word or character.
//!
//! In: how often each occurs. Out: a vocabulary that depends on nothing else, the most frequent first and ties
//! in the order of their text.

use std::collections::HashMap;

use super::recipe::Unit;

/// Fills sequences up to the length of their batch.
pub const PAD: i32 = 0;
/// Stands before the first token where a model looks one step back.
pub const START: i32 = 1;
/// Follows the last token.
pub const END: i32 = 2;
/// Stands for what the vocabulary does not have.
pub const UNKNOWN: i32 = 3;
/// The first number of a vocabulary's own.
pub const RESERVED: usize = 4;

/// How often each word or character occurs, in the order of their text.
pub type Counts = Vec<(String, u64)>;

/// Which number stands for which word or character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// What the numbers from 4 on stand for.
    entries: Vec<String>,
    numbers: HashMap<String, i32>,
    unit: Unit,
}

impl Vocabulary {
    /// The vocabulary over some counts: at most `size` numbers, the reserved ones included; what occurs less
    /// often than `least` is left out.
    pub fn new(unit: Unit, counts: &[&Counts], size: Option<usize>, least: u64) -> Vocabulary {
        let mut entries = kept(counts, least);
        entries.truncate(room(size));
        Vocabulary::of(unit, entries.into_iter().map(|(text, _)| text.to_string()).collect())
    }

    /// The vocabulary with these entries.
    pub fn of(unit: Unit, entries: Vec<String>) -> Vocabulary {
        let number = |at: usize| i32::try_from(at + RESERVED).unwrap_or(UNKNOWN);
        let numbers = entries.iter().enumerate().map(|(at, text)| (text.clone(), number(at))).collect();
        Vocabulary { entries, numbers, unit }
    }

    /// Numbers it has, the reserved ones included.
    pub fn size(&self) -> usize {
        self.entries.len() + RESERVED
    }

    /// What it is made of.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// What the numbers from 4 on stand for.
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// The numbers of a text's tokens.
    pub fn encode(&self, text: &str, to: &mut Vec<i32>) {
        each_token(self.unit, text, |token| to.push(self.numbers.get(token).copied().unwrap_or(UNKNOWN)));
    }

    /// What a number stands for; the reserved ones by their names.
    pub fn text(&self, number: i32) -> Option<&str> {
        match number {
            PAD => Some("PAD"),
            START => Some("START"),
            END => Some("END"),
            UNKNOWN => Some("UNKNOWN"),
            own => {
                let at = usize::try_from(own).ok()?.checked_sub(RESERVED)?;
                self.entries.get(at).map(String::as_str)
            }
        }
    }
}

/// The size that [`Vocabulary::new`] would give.
pub fn vocabulary_size(counts: &[&Counts], size: Option<usize>, least: u64) -> usize {
    kept(counts, least).len().min(room(size)) + RESERVED
}

/// How many numbers of its own a vocabulary of that size has; more than `i32` counts are never handed out.
fn room(size: Option<usize>) -> usize {
    size.unwrap_or(usize::MAX).min(i32::MAX as usize).saturating_sub(RESERVED)
}

/// What occurs often enough, the most frequent first.
fn kept<'a>(counts: &[&'a Counts], least: u64) -> Vec<(&'a str, u64)> {
    let mut sums: HashMap<&str, u64> = HashMap::new();
    for (text, count) in counts.iter().copied().flatten() {
        *sums.entry(text).or_insert(0) += count;
    }
    let mut entries: Vec<(&str, u64)> = sums.into_iter().filter(|(_, count)| *count >= least).collect();
    entries.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    entries
}

/// Counts tokens.
#[derive(Default)]
pub struct Counter {
    counts: HashMap<String, u64>,
    /// Tokens of the longest text.
    pub longest: usize,
}

impl Counter {
    /// Counts the tokens of one text.
    pub fn add(&mut self, unit: Unit, text: &str) {
        let mut length = 0;
        each_token(unit, text, |token| {
            length += 1;
            // A lookup before an insertion: most tokens are known, and keys are made only for those that are not.
            match self.counts.get_mut(token) {
                Some(count) => *count += 1,
                None => _ = self.counts.insert(token.to_string(), 1),
            }
        });
        self.longest = self.longest.max(length);
    }

    /// What was counted.
    pub fn finish(self) -> Counts {
        let mut counts: Counts = self.counts.into_iter().collect();
        counts.sort_unstable();
        counts
    }
}

/// The tokens of a text, in order.
pub fn each_token(unit: Unit, text: &str, mut each: impl FnMut(&str)) {
    match unit {
        Unit::Characters => {
            text.char_indices().for_each(|(at, c)| each(&text[at..at + c.len_utf8()]));
        }
        Unit::Words => {
            let mut start = None;
            for (at, c) in text.char_indices() {
                if is_letter(c) {
                    start = start.or(Some(at));
                    continue;
                }
                if let Some(start) = start.take() {
                    each(&text[start..at]);
                }
                if !c.is_whitespace() {
                    each(&text[at..at + c.len_utf8()]);
                }
            }
            if let Some(start) = start {
                each(&text[start..]);
            }
        }
    }
}

/// What words are made of: letters and digits, and marks that stand over the letter before them.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(unit: Unit, texts: &[&str]) -> Counts {
        let mut counter = Counter::default();
        texts.iter().for_each(|text| counter.add(unit, text));
        counter.finish()
    }

    #[test]
    fn the_most_frequent_come_first_and_ties_by_text() {
        let counts = counts(Unit::Words, &["b a c", "c b, a", "c!"]);
        let vocabulary = Vocabulary::new(Unit::Words, &[&counts], None, 1);
        let all: Vec<&str> = (0..9).map(|n| vocabulary.text(n).unwrap()).collect();
        assert_eq!(all, ["PAD", "START", "END", "UNKNOWN", "c", "a", "b", "!", ","]);
        assert_eq!((vocabulary.text(9), vocabulary.text(-1), vocabulary.size()), (None, None, 9));
        let mut numbers = Vec::new();
        vocabulary.encode("a d, c", &mut numbers);
        assert_eq!(numbers, [5, UNKNOWN, 8, 4]);
    }

    #[test]
    fn size_and_least_leave_out_the_rare() {
        let counts = counts(Unit::Characters, &["aaabbc"]);
        for (size, least, expected) in
            [(None, 1, 7), (Some(6), 1, 6), (None, 2, 6), (Some(2), 1, 4), (None, 9, 4)]
        {
            assert_eq!(Vocabulary::new(Unit::Characters, &[&counts], size, least).size(), expected);
            assert_eq!(vocabulary_size(&[&counts], size, least), expected);
        }
        assert_eq!(vocabulary_size(&[&counts, &vec![("d".to_string(), 1)]], None, 1), 8);
    }

    #[test]
    fn words_are_letters_and_digits_that_stand_together() {
        let mut found = Vec::new();
        each_token(Unit::Words, "Déjà-vu, l’été 42nd\u{a0}Straße…\n", |token| {
            found.push(token.to_string())
        });
        assert_eq!(found, ["Déjà", "-", "vu", ",", "l", "’", "été", "42nd", "Straße", "…"]);
    }
}
