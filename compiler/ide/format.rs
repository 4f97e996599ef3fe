//! Formatting: the whole text, or the lines of a range.

use std::ops::Range;

use strata_grammar::{FileId, Source, parse, print};

/// The text as it should be written; nothing where it has mistakes.
pub fn formatted(text: &str) -> Option<String> {
    let source = Source::new("", text);
    print(&parse(FileId(0), &source), &source)
}

/// Lines that are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineEdit {
    /// Which lines of the text, from 0.
    pub lines: Range<usize>,
    /// What stands there instead, each line with its newline.
    pub text: String,
}

/// What formatting changes, line by line, so that an editor keeps its place in what stays. `within`: only what touches
/// these lines. Nothing where the text has mistakes.
pub fn line_edits(text: &str, within: Option<Range<usize>>) -> Option<Vec<LineEdit>> {
    let new = formatted(text)?;
    let edits = difference(text, &new);
    Some(match within {
        Some(range) => {
            let touches = |edit: &LineEdit| {
                edit.lines.start < range.end && range.start < edit.lines.end.max(edit.lines.start + 1)
            };
            edits.into_iter().filter(touches).collect()
        }
        None => edits,
    })
}

/// Beyond this many differing lines on either side a text is replaced in one piece; the table below is quadratic.
const MAX_LINES: usize = 3000;

/// The smallest set of line edits from one text to another. Neighbouring lines that are replaced one by one stay edits
/// of their own.
fn difference(old: &str, new: &str) -> Vec<LineEdit> {
    let (a, b): (Vec<&str>, Vec<&str>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (x, y) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    if x.is_empty() && y.is_empty() {
        return Vec::new();
    }
    if x.len() > MAX_LINES || y.len() > MAX_LINES {
        return vec![LineEdit { lines: head..head + x.len(), text: y.concat() }];
    }
    // common[i][j]: how many lines x[i..] and y[j..] have in common; blanks do not count.
    let bare = |line: &str| line.split_whitespace().collect::<String>();
    let (u, v): (Vec<String>, Vec<String>) =
        (x.iter().map(|l| bare(l)).collect(), y.iter().map(|l| bare(l)).collect());
    let width = v.len() + 1;
    let mut common = vec![0u16; (u.len() + 1) * width];
    for i in (0..u.len()).rev() {
        for j in (0..v.len()).rev() {
            common[i * width + j] = if u[i] == v[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut edits: Vec<LineEdit> = Vec::new();
    // Lines that go and come before the next common one.
    let mut gap = (0, 0);
    let close = |edits: &mut Vec<LineEdit>, gap: &mut (usize, usize), i: usize, j: usize| {
        if *gap != (i, j) {
            edits.push(LineEdit { lines: head + gap.0..head + i, text: y[gap.1..j].concat() });
        }
    };
    while i < u.len() && j < v.len() {
        if u[i] == v[j] {
            close(&mut edits, &mut gap, i, j);
            if x[i] != y[j] {
                edits.push(LineEdit { lines: head + i..head + i + 1, text: y[j].to_string() });
            }
            (i, j) = (i + 1, j + 1);
            gap = (i, j);
        } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    close(&mut edits, &mut gap, u.len(), v.len());
    edits
}
