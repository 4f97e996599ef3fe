//! Lines -> text: columns that the author aligned in neighbouring lines stay aligned, as do trailing comments.

use std::collections::HashMap;

use super::layout::{Anchor, Begins, Line};

/// Blanks before a trailing comment, at least.
const COMMENT_GAP: usize = 2;

/// Rounds in which columns may push each other. What has not settled then is not aligned at all.
const ROUNDS: usize = 64;

pub(super) fn render(lines: &[Line<'_>]) -> String {
    let groups = groups(lines);
    let columns = settle(lines, &groups).unwrap_or_else(|| place(lines, &Groups::default(), &[]).0);
    let comments = comments(lines, &columns);
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        if line.blank_before && at > 0 {
            out.push('\n');
        }
        let mut column = 0;
        for (piece, &start) in line.pieces.iter().zip(&columns[at]) {
            out.extend(std::iter::repeat_n(' ', start - column));
            out += piece.text;
            column = start + width(piece.text);
        }
        if let Some(comment) = &line.comment {
            out.extend(std::iter::repeat_n(' ', comments[&at] - column));
            out += comment.text;
        }
        out.push('\n');
    }
    out
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Pieces that stand in one column of neighbouring lines.
#[derive(Default)]
struct Groups {
    /// The group of a piece (line, index).
    of: HashMap<(usize, usize), usize>,
    count: usize,
}

/// Pieces of one class that stood in one column of neighbouring lines of one bracket, at least one of them with more
/// than one blank before it.
fn groups(lines: &[Line<'_>]) -> Groups {
    let mut members: Vec<Vec<(usize, usize)>> = Vec::new();
    // The last line of each bracket around, innermost last; numbers of brackets grow inwards.
    let mut above: Vec<Above> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.blank_before {
            above.clear();
        }
        if line.begins == Begins::Comment {
            continue;
        }
        let is_statement = line.begins == Begins::Statement;
        while above.last().is_some_and(|above| above.frame > line.frame) {
            above.pop();
        }
        let neighbour = above.pop_if(|above| is_statement && above.frame == line.frame);
        above.iter_mut().for_each(|above| above.cut(line.anchor));
        if !is_statement {
            continue;
        }
        let first = line.pieces.first().and_then(|piece| piece.origin);
        let mut groups_here = HashMap::new();
        for (index, piece) in line.pieces.iter().enumerate().skip(1) {
            let Some(origin) =
                piece.origin.filter(|origin| first.is_some_and(|first| first.line == origin.line))
            else {
                continue;
            };
            if piece.gap != 1 {
                continue;
            }
            let joined = neighbour.as_ref().and_then(|above| {
                let &(group, other) = above.groups.get(&origin.column)?;
                let is_alike = lines[above.line].pieces[other].class == piece.class;
                (other < above.limit && is_alike).then_some(group)
            });
            let group = joined.unwrap_or_else(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            members[group].push((at, index));
            groups_here.insert(origin.column, (group, index));
        }
        above.push(Above { frame: line.frame, line: at, groups: groups_here, limit: usize::MAX });
    }
    let is_wide = |&(line, piece): &(usize, usize)| {
        let origin = lines[line].pieces[piece].origin;
        origin.is_some_and(|origin| origin.wide)
    };
    members.retain(|group| group.len() > 1 && group.iter().any(is_wide));
    let count = members.len();
    let of = members
        .into_iter()
        .enumerate()
        .flat_map(|(group, pieces)| pieces.into_iter().map(move |p| (p, group)));
    Groups { of: of.collect(), count }
}

/// The last line of a bracket.
struct Above {
    frame: usize,
    line: usize,
    /// Its pieces and their groups, by column in the source.
    groups: HashMap<usize, (usize, usize)>,
    /// Pieces from here on are cut off from what comes below by lines in between.
    limit: usize,
}

impl Above {
    /// A line comes in between. What hangs on a piece of this line leaves the pieces left of that in sight.
    fn cut(&mut self, anchor: Anchor) {
        match anchor {
            Anchor::Piece(line, piece, _) | Anchor::Operand(line, piece, _) if line == self.line => {
                self.limit = self.limit.min(piece);
            }
            Anchor::Piece(line, ..) | Anchor::Operand(line, ..) if line > self.line => {}
            Anchor::Fixed(_) | Anchor::Line(..) | Anchor::Piece(..) | Anchor::Operand(..) => self.limit = 0,
        }
    }
}

/// The columns of all pieces, with each group in one column; `None` if they do not settle.
fn settle(lines: &[Line<'_>], groups: &Groups) -> Option<Vec<Vec<usize>>> {
    let mut wanted = vec![0; groups.count];
    for _ in 0..ROUNDS {
        let (columns, reached) = place(lines, groups, &wanted);
        if reached == wanted {
            return Some(columns);
        }
        wanted = reached;
    }
    None
}

/// The columns of all pieces if each group begins at least where it is `wanted`, and where each then begins.
fn place(lines: &[Line<'_>], groups: &Groups, wanted: &[usize]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut columns: Vec<Vec<usize>> = Vec::with_capacity(lines.len());
    let mut reached = wanted.to_vec();
    for (at, line) in lines.iter().enumerate() {
        let first_of =
            |line: usize| columns.get(line).and_then(|pieces| pieces.first()).copied().unwrap_or(0);
        let piece_of = |line: usize, piece: usize| {
            columns.get(line).and_then(|pieces: &Vec<usize>| pieces.get(piece)).copied().unwrap_or(0)
        };
        let mut column = match line.anchor {
            Anchor::Fixed(column) => column,
            Anchor::Line(line, further) => first_of(line) + further,
            Anchor::Piece(line, piece, further) => piece_of(line, piece) + further,
            Anchor::Operand(line, piece, operator) => {
                piece_of(line, piece).saturating_sub(operator + 1).max(first_of(line) + 2)
            }
        };
        let mut pieces = Vec::with_capacity(line.pieces.len());
        for (index, piece) in line.pieces.iter().enumerate() {
            column += piece.gap;
            if let Some(&group) = groups.of.get(&(at, index)) {
                column = column.max(wanted[group]);
                reached[group] = reached[group].max(column);
            }
            pieces.push(column);
            column += width(piece.text);
        }
        columns.push(pieces);
    }
    (columns, reached)
}

/// The columns of trailing comments. Those that stood in one column, with no empty line between them, stay in one,
/// as far from the longest of their lines as they were.
fn comments(lines: &[Line<'_>], columns: &[Vec<usize>]) -> HashMap<usize, usize> {
    let mut out = HashMap::new();
    let mut run: Vec<usize> = Vec::new();
    let column_of = |at: usize| lines[at].comment.as_ref().map_or(0, |comment| comment.column);
    for (at, line) in lines.iter().enumerate() {
        let Some(comment) = &line.comment else {
            if line.blank_before {
                end_run(&mut run, lines, columns, &mut out);
            }
            continue;
        };
        if line.blank_before || run.last().is_some_and(|&last| column_of(last) != comment.column) {
            end_run(&mut run, lines, columns, &mut out);
        }
        run.push(at);
    }
    end_run(&mut run, lines, columns, &mut out);
    out
}

fn end_run(
    run: &mut Vec<usize>,
    lines: &[Line<'_>],
    columns: &[Vec<usize>],
    out: &mut HashMap<usize, usize>,
) {
    let end_of = |at: usize| {
        let last = lines[at].pieces.last().zip(columns[at].last());
        last.map_or(0, |(piece, &column)| column + width(piece.text))
    };
    let comments = || run.iter().filter_map(|&at| lines[at].comment.as_ref());
    let longest_before = comments().map(|comment| comment.code_end).max().unwrap_or(0);
    let gap = comments().next().map_or(0, |comment| comment.column.saturating_sub(longest_before));
    let longest = run.iter().map(|&at| end_of(at)).max().unwrap_or(0);
    for at in run.drain(..) {
        out.insert(at, longest + gap.max(COMMENT_GAP));
    }
}
