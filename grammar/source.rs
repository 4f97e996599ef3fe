//! Text with a name, and places in it.

use std::ops::Range;
use std::sync::Arc;

/// Which source a span lies in: an index into [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A stretch of bytes of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The source it lies in.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        let clip = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { file, start: clip(start), end: clip(end) }
    }

    /// The stretch from the beginning of `self` to the end of `other`; both lie in one source.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The bytes as a range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether the byte at `offset` lies in it, its end included.
    pub fn touches(self, offset: usize) -> bool {
        self.start as usize <= offset && offset <= self.end as usize
    }
}

/// A place as people count: both from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// Line, from 0.
    pub line: usize,
    /// Column in the unit asked for (bytes or UTF-16 units), from 0.
    pub column: usize,
}

/// One text: its name as the user knows it, and where its lines begin.
#[derive(Debug)]
pub struct Source {
    /// Shown in messages: a path as the user gave it, or `std/conv.model` for the standard library.
    pub name: String,
    /// The whole text.
    pub text: String,
    lines: Vec<u32>,
}

impl Source {
    /// A text and its line table.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        let text = text.into();
        let newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let lines = std::iter::once(0).chain(newlines.map(|(at, _)| at as u32 + 1)).collect();
        Source { name: name.into(), text, lines }
    }

    /// Number of lines, counting an empty last one.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The text of line `line` (from 0) without its newline.
    pub fn line(&self, line: usize) -> &str {
        let Some(&start) = self.lines.get(line) else { return "" };
        let end = self.lines.get(line + 1).map_or(self.text.len(), |&next| next as usize - 1);
        self.text[start as usize..end].trim_end_matches('\r')
    }

    /// Line and column in bytes of a byte offset; offsets beyond the text count as its end.
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|&start| start as usize <= offset) - 1;
        LineColumn { line, column: offset - self.lines[line] as usize }
    }

    /// Line and column in UTF-16 units, as editors count.
    pub fn line_column_utf16(&self, offset: usize) -> LineColumn {
        let LineColumn { line, column } = self.line_column(offset);
        let start = self.lines[line] as usize;
        let mut end = start + column;
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        LineColumn { line, column: self.text[start..end].encode_utf16().count() }
    }

    /// Byte offset of a line and column in bytes; what lies beyond a line counts as its end, what lies within a
    /// character as its beginning.
    pub fn offset_bytes(&self, at: LineColumn) -> usize {
        let Some(&start) = self.lines.get(at.line) else { return self.text.len() };
        let mut offset = start as usize + at.column.min(self.line(at.line).len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// Byte offset of a line and column in UTF-16 units; what lies beyond a line counts as its end.
    pub fn offset_utf16(&self, at: LineColumn) -> usize {
        let Some(&start) = self.lines.get(at.line) else { return self.text.len() };
        let mut left = at.column;
        for (offset, c) in self.line(at.line).char_indices() {
            if left < c.len_utf16() {
                return start as usize + offset;
            }
            left -= c.len_utf16();
        }
        start as usize + self.line(at.line).len()
    }
}

/// All texts of one compilation; a [`FileId`] is an index.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Arc<Source>>,
}

impl Sources {
    /// Adds a text and returns its id.
    pub fn add(&mut self, source: Source) -> FileId {
        self.files.push(Arc::new(source));
        FileId(self.files.len() as u32 - 1)
    }

    /// The text of `file`, which must come from this table.
    pub fn get(&self, file: FileId) -> &Arc<Source> {
        &self.files[file.0 as usize]
    }

    /// The text that `span` covers.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).text.get(span.range()).unwrap_or("")
    }

    /// All texts with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Arc<Source>)> {
        self.files.iter().enumerate().map(|(at, source)| (FileId(at as u32), source))
    }
}
