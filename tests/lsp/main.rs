//! The language server against a scripted client, over its standard input and output.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod complete;
mod conduct;
mod editors;
mod long;
mod names;
mod shapes;
mod speed;
mod text;
mod typing;
mod wire;
