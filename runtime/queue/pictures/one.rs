//! A picture that is a tensor by itself: what a variable begins with.

use std::path::Path;

use super::super::convert::Conversion;
use super::super::error::DataError;
use super::super::recipe::{Arithmetic, Origin};
use super::decode::decode;
use crate::{DType, Tensor};

/// Looks through a whole picture.
///
/// # Errors
/// A file that cannot be read, is no JPEG or PNG picture, or is damaged anywhere.
pub fn inspect_picture(path: &Path, origin: Origin) -> Result<(), DataError> {
    decode(path, 3).map(|_| ()).map_err(|fault| DataError::in_file(origin, path, fault))
}

/// A picture stretched to `[height, width, channels]`, behind axes of size 1: grey for one channel, else red, green and
/// blue. Floats run from 0 to 1, as `saved` writes them; whole numbers to 255.
///
/// # Errors
/// As [`inspect_picture`]; a shape that is none of a picture.
pub fn read_picture(path: &Path, dtype: DType, shape: &[usize]) -> Result<Tensor, DataError> {
    let at = |fault| DataError::in_file(0, path, fault);
    let [.., height, width, channels] = *shape else { unreachable!("the checker takes pictures alone") };
    let pixels = decode(path, channels).map_err(at)?.resized(height, width);
    let part = [(Arithmetic::Divide, f64::from(u8::MAX))];
    let arithmetic = if dtype.is_float() { &part[..] } else { &[] };
    let conversion = Conversion { arithmetic, dtype, classes: None };
    let mut bytes = Vec::with_capacity(pixels.bytes.len() * dtype.bytes());
    for byte in &pixels.bytes {
        conversion.append(f64::from(*byte), &mut bytes).map_err(at)?;
    }
    Ok(Tensor::from_bytes(dtype, shape, &bytes).expect("as many numbers as the shape has"))
}
