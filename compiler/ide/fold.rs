//! Stretches of lines that an editor can fold away.

use strata_grammar::lex::{TokenKind, lex};

/// Lines that fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fold {
    /// The line that stays.
    pub first: usize,
    /// The last line that goes.
    pub last: usize,
    /// Whether it is a comment.
    pub comment: bool,
}

/// Brackets over several lines, and comments over several lines. The line with a block's closing bracket stays.
pub fn folds(text: &str) -> Vec<Fold> {
    let mut found = Vec::new();
    let mut open: Vec<(u8, usize)> = Vec::new();
    let mut comment: Option<(usize, usize)> = None;
    let end_comment = |comment: &mut Option<(usize, usize)>, found: &mut Vec<Fold>| {
        if let Some((first, last)) = comment.take()
            && last > first
        {
            found.push(Fold { first, last, comment: true });
        }
    };
    for token in lex(text) {
        if token.kind == TokenKind::Comment && token.first {
            match &mut comment {
                Some((_, last)) if *last + 1 == token.line => *last = token.line,
                _ => {
                    end_comment(&mut comment, &mut found);
                    comment = Some((token.line, token.line));
                }
            }
            continue;
        }
        end_comment(&mut comment, &mut found);
        let byte = text.as_bytes()[token.start];
        if token.kind == TokenKind::Open {
            open.push((byte, token.line));
        } else if token.kind == TokenKind::Close {
            let partner = match byte {
                b')' => b'(',
                b']' => b'[',
                _ => b'{',
            };
            // What has no partner is passed over; what it closes closes what was left open in it.
            if let Some(at) = open.iter().rposition(|(bracket, _)| *bracket == partner) {
                let (_, first) = open[at];
                open.truncate(at);
                if token.line > first + 1 {
                    found.push(Fold { first, last: token.line - 1, comment: false });
                }
            }
        }
    }
    end_comment(&mut comment, &mut found);
    found.sort_unstable();
    found.dedup_by_key(|fold| fold.first);
    found
}
