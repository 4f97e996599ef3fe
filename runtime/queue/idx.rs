//! The head of idx files: two zeros, an element type, the number of axes, their sizes; big-endian elements
//! follow.

use std::io::Read;

use super::arrays::{Head, Trouble, read_most};
use super::error::Fault;
use super::facts::Element;

/// What every idx file begins with; the element type and the number of axes follow.
pub const MAGIC: [u8; 2] = [0, 0];

/// Reads a file's head, of which the first four bytes are `magic`.
pub fn head(magic: [u8; 4], reader: &mut dyn Read) -> Result<Head, Trouble> {
    let (element, axes) = match magic {
        [0, 0, code, axes @ 1..=255] => (Element::from_code(code), usize::from(axes)),
        _ => (None, 0),
    };
    let Some(element) = element else {
        return Err(Fault::NotAnArray { found: magic.to_vec() }.into());
    };
    let sizes = read_most(reader, 4 * axes)?;
    if sizes.len() < 4 * axes {
        return Err(Fault::ArrayLength { expected: 4 * axes as u64, found: sizes.len() as u64 }.into());
    }
    let sizes: Vec<usize> =
        sizes.as_chunks().0.iter().map(|size: &[u8; 4]| u32::from_be_bytes(*size) as usize).collect();
    Head::new(element, true, false, sizes)
}
