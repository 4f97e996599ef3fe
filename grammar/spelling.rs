//! Near names: what a misspelt word may have meant.

use crate::habits::called_here;

/// The candidate that `word` was probably meant to be, or `None` if nothing is near: what another language calls so,
/// or one slip (a letter wrong, missing, extra or swapped with its neighbour) for every three letters, and never fewer
/// than half of the letters right. Of equally near candidates the first wins.
pub fn did_you_mean<'a, I>(word: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let candidates: Vec<&'a str> = candidates.into_iter().collect();
    let habit = called_here(word).iter().find_map(|ours| candidates.iter().find(|known| *known == ours));
    habit.copied().or_else(|| near(word, candidates))
}

/// By spelling alone.
fn near<'a>(word: &str, candidates: Vec<&'a str>) -> Option<&'a str> {
    let letters: Vec<char> = word.chars().collect();
    if letters.is_empty() || letters.len() > 64 {
        return None;
    }
    let slips_allowed = (letters.len() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.chars().take(128).collect();
        if candidate == word || other.len().abs_diff(letters.len()) > slips_allowed {
            continue;
        }
        let slips = if candidate.eq_ignore_ascii_case(word) { 0 } else { distance(&letters, &other) };
        let longest = letters.len().max(other.len());
        if slips <= slips_allowed && slips * 2 <= longest && best.is_none_or(|(least, _)| slips < least) {
            best = Some((slips, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != y);
            row[j + 1] = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn finds_near_names_only() {
        let words = ["input", "optimize", "relu", "softmax", "x"];
        assert_eq!(did_you_mean("inptu", words), Some("input"));
        assert_eq!(did_you_mean("optimise", words), Some("optimize"));
        assert_eq!(did_you_mean("ReLU", words), Some("relu"));
        assert_eq!(did_you_mean("sofmax", words), Some("softmax"));
        assert_eq!(did_you_mean("y", words), None);
        assert_eq!(did_you_mean("banana", words), None);
        assert_eq!(did_you_mean("relu", words), None);
        assert_eq!(did_you_mean("", words), None);
        assert_eq!(did_you_mean("cat", ["cast", "concat"]), Some("concat"));
        assert_eq!(did_you_mean("cat", ["cast"]), Some("cast"));
    }
}
