//! Bytes to text: UTF-8, or a message that says which byte is none.

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{FileId, Span};

/// Bytes that are not UTF-8: where, and what can be shown of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUtf8 {
    /// The bytes as far as they are text, with `U+FFFD` where they are not.
    pub shown: String,
    /// The first place that is no text, in bytes of `shown`.
    at: usize,
    message: String,
    help: String,
}

/// The text that `bytes` hold.
///
/// # Errors
/// Where the first byte stands that is not UTF-8.
pub fn decode(bytes: Vec<u8>) -> Result<String, NotUtf8> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes[..] {
            let message = "the file is written in UTF-16, expected UTF-8".to_string();
            return NotUtf8 { shown, at, message, help: "save the file as UTF-8".to_string() };
        }
        let message = format!("byte 0x{:02X} in line {line}, at offset {at}, is not UTF-8", bytes[at]);
        NotUtf8 { shown, at, message, help: help(&bytes) }
    })
}

/// What to do about bytes that are not text, or text in an encoding of its own.
fn help(bytes: &[u8]) -> String {
    let help = if bytes.contains(&0) {
        "this looks like no text at all: name a `.model` file"
    } else {
        "save the file as UTF-8; if it is Latin-1, `iconv -f latin1 -t utf-8` converts it"
    };
    help.to_string()
}

impl NotUtf8 {
    /// The message, where `shown` is the text of `file`.
    pub fn diagnostic(&self, file: FileId) -> Diagnostic {
        let span = Span::new(file, self.at, self.at + char::REPLACEMENT_CHARACTER.len_utf8());
        Diagnostic::error(Code::NotUtf8, span, self.message.clone()).here("here").help(self.help.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::decode;
    use crate::source::FileId;

    fn said(bytes: &[u8]) -> (String, String) {
        let found = decode(bytes.to_vec()).expect_err("it is no UTF-8");
        let diagnostic = found.diagnostic(FileId(0));
        assert_eq!(&found.shown[diagnostic.primary.span.range()], "\u{fffd}");
        (diagnostic.message, diagnostic.help.unwrap_or_default())
    }

    #[test]
    fn text_is_text() {
        assert_eq!(decode("größe".into()).as_deref(), Ok("größe"));
        assert_eq!(decode(Vec::new()).as_deref(), Ok(""));
    }

    #[test]
    fn what_is_none_is_said_where_it_stands() {
        let (message, help) = said(b"// one\n// gr\xf6\xdfe\n");
        assert_eq!(message, "byte 0xF6 in line 2, at offset 12, is not UTF-8");
        assert!(help.contains("latin1"), "{help}");
        assert_eq!(said(b"\xff\xfem\0").0, "the file is written in UTF-16, expected UTF-8");
        assert!(said(b"\x7fELF\0\0\xd0").1.contains("no text"));
        // A character that is cut short at the end.
        assert_eq!(said(b"a\xc3").0, "byte 0xC3 in line 1, at offset 1, is not UTF-8");
    }
}
