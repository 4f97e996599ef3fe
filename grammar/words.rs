//! The words and operators of the grammar, read off the grammar itself: for editors and their grammars.

use std::sync::OnceLock;

const GRAMMAR: &str = include_str!("model.pest");

/// Every keyword, in alphabetical order. A keyword is one only where the grammar expects it; elsewhere it is a name.
pub fn keywords() -> &'static [&'static str] {
    static WORDS: OnceLock<Vec<&'static str>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let rules = GRAMMAR.lines().filter(|line| line.starts_with("k_"));
        let mut words: Vec<&str> = rules.filter_map(|line| literals(line).next()).collect();
        words.sort_unstable();
        words
    })
}

/// Every unit without a prefix, longest first, as in `seconds` and `bit/s`; prefixes are [`PREFIXES`].
pub fn units() -> &'static [&'static str] {
    static WORDS: OnceLock<Vec<&'static str>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let mut units: Vec<&str> = rule("unit")
            .filter(|unit| *unit != "i" && !PREFIXES.iter().any(|p| unit.strip_prefix(*p) == Some("")))
            .collect();
        units.sort_by_key(|unit| (std::cmp::Reverse(unit.len()), *unit));
        units
    })
}

/// What may stand before `B`, `bit/s` and `FLOP/s`, perhaps with an `i` after it.
pub const PREFIXES: [char; 4] = ['K', 'M', 'G', 'T'];

/// Every operator that is no word, longest first.
pub fn operators() -> &'static [&'static str] {
    static SIGNS: OnceLock<Vec<&'static str>> = OnceLock::new();
    SIGNS.get_or_init(|| {
        let mut signs: Vec<&str> = rule("operator").filter(|sign| !matches!(*sign, "=" | ",")).collect();
        signs.push("=");
        signs.sort_by_key(|sign| (std::cmp::Reverse(sign.len()), *sign));
        signs
    })
}

/// The literals of a rule, which may go over several lines.
fn rule(name: &str) -> impl Iterator<Item = &'static str> {
    let head = GRAMMAR.lines().position(|line| line.split_whitespace().next() == Some(name));
    let lines = GRAMMAR.lines().skip(head.unwrap_or(usize::MAX));
    let mut ended = false;
    let body = lines.take_while(move |line| {
        let more = !ended;
        ended |= line.trim_end().ends_with('}');
        more
    });
    body.flat_map(literals)
}

/// What stands in quotes on a line.
fn literals(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split('"').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::{keywords, operators, units};

    #[test]
    fn words_are_read_off_the_grammar() {
        assert!(keywords().contains(&"model") && keywords().contains(&"within"), "{:?}", keywords());
        assert!(keywords().len() > 70);
        assert_eq!(operators()[..3], ["!=", "..", "<="]);
        assert!(operators().contains(&"|>") && !operators().contains(&","));
        assert_eq!(units()[0], "examples");
        assert!(units().contains(&"FLOP/s") && units().contains(&"ms"), "{:?}", units());
    }
}
