//! The language as text: `parse` turns a source into a tree and diagnostics, `print` a tree into canonical text.

pub mod ast;
pub mod diagnostic;
mod encoding;
pub mod habits;
pub mod lex;
mod parse;
mod print;
mod scan;
mod shift;
pub mod source;
pub mod spelling;
pub mod words;

pub use diagnostic::{Code, Diagnostic, Edit, Label, Report, Severity};
pub use encoding::{NotUtf8, decode};
pub use parse::{Memory, Parsed, parse, parse_again};
pub use print::print;
pub use source::{FileId, LineColumn, Source, Sources, Span};
pub use spelling::did_you_mean;
