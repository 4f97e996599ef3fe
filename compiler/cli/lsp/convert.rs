//! Between the protocol's places and ours: positions in the agreed encoding, addresses of files.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use lsp_types::{Position, PositionEncodingKind, Range, Uri};
use strata_grammar::{LineColumn, Source, Span};

/// In what unit the client counts columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 units, which every client can do.
    Utf16,
}

impl Encoding {
    /// Bytes where the client offers them.
    pub fn among(offered: Option<&[PositionEncodingKind]>) -> Encoding {
        let bytes = offered.is_some_and(|kinds| kinds.contains(&PositionEncodingKind::UTF8));
        if bytes { Encoding::Utf8 } else { Encoding::Utf16 }
    }

    /// Its name in the protocol.
    pub fn kind(self) -> PositionEncodingKind {
        match self {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
        }
    }

    /// The byte at a position.
    pub fn offset(self, source: &Source, at: Position) -> usize {
        let at = LineColumn { line: at.line as usize, column: at.character as usize };
        match self {
            Encoding::Utf8 => source.offset_bytes(at),
            Encoding::Utf16 => source.offset_utf16(at),
        }
    }

    /// The position of a byte.
    pub fn position(self, source: &Source, offset: usize) -> Position {
        let LineColumn { line, column } = match self {
            Encoding::Utf8 => source.line_column(offset),
            Encoding::Utf16 => source.line_column_utf16(offset),
        };
        Position::new(line as u32, column as u32)
    }

    /// The range of a place.
    pub fn range(self, source: &Source, span: Span) -> Range {
        Range::new(self.position(source, span.start as usize), self.position(source, span.end as usize))
    }

    /// How long a stretch of text is.
    pub fn length(self, text: &str) -> u32 {
        match self {
            Encoding::Utf8 => text.len() as u32,
            Encoding::Utf16 => text.encode_utf16().count() as u32,
        }
    }
}

/// The file that a `file:` address names; nothing for other addresses, and for those of other machines.
pub fn path_of(uri: &Uri) -> Option<PathBuf> {
    let path = uri.as_str().strip_prefix("file://")?;
    let path = path.strip_prefix("localhost").unwrap_or(path);
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: u8| char::from(b).to_digit(16);
        bytes.push((digit(rest.next()?)? * 16 + digit(rest.next()?)?) as u8);
    }
    let path = String::from_utf8(bytes).ok()?;
    // On Windows an address reads `/c:/…`.
    let drive = path.strip_prefix('/').filter(|p| cfg!(windows) && p.as_bytes().get(1) == Some(&b':'));
    Some(PathBuf::from(drive.unwrap_or(&path)))
}

/// The address of an absolute path.
pub fn uri_of(path: &Path) -> Option<Uri> {
    let path = path.to_str()?.replace('\\', "/");
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "file:///" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    Uri::from_str(&uri).ok()
}
