//! One tensor as a file that other programs read: a picture, NumPy's format, or safetensors. The end of the file's name
//! says which.

use std::io::{self, Write};
use std::path::Path;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use crate::checkpoint::{self, Meta};
use crate::queue::npy_head;
use crate::{DType, Tensor, files};

/// How a file holds a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorFile {
    /// A picture of 8 bits a channel: `[height, width, 1 or 3]` behind axes of size 1; floats run from 0 to 1.
    Png,
    /// NumPy's format.
    Npy,
    /// A safetensors file with this tensor alone.
    Safetensors,
}

impl TensorFile {
    /// What the name of a file asks for.
    pub fn of(path: &Path) -> Option<TensorFile> {
        let end = path.extension()?.to_str()?;
        [("png", TensorFile::Png), ("npy", TensorFile::Npy), ("safetensors", TensorFile::Safetensors)]
            .into_iter()
            .find(|(known, _)| end.eq_ignore_ascii_case(known))
            .map(|(_, kind)| kind)
    }
}

/// Writes a tensor; the file is whole, or as it was.
///
/// # Errors
/// In words: a tensor that is no picture, a dtype that the format does not have, what the system says.
pub fn save_tensor(path: &Path, name: &str, tensor: &Tensor) -> Result<(), String> {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match TensorFile::of(path) {
        None => Err(fail(&"its name does not say how it is written")),
        Some(TensorFile::Safetensors) => {
            checkpoint::save(path, &[(name.to_string(), tensor)], &Meta::default()).map_err(|e| e.to_string())
        }
        Some(TensorFile::Npy) => {
            let head = npy_head(tensor.dtype(), tensor.shape()).ok_or_else(|| fail(&"NumPy has no bf16"))?;
            let write = |to: &mut dyn Write| to.write_all(&head).and_then(|()| to.write_all(tensor.bytes()));
            files::replace(path, write).map_err(|error| fail(&error))
        }
        Some(TensorFile::Png) => {
            let png = png(tensor).map_err(|error| fail(&error))?;
            files::replace(path, |to| to.write_all(&png)).map_err(|error| fail(&error))
        }
    }
}

fn png(tensor: &Tensor) -> Result<Vec<u8>, String> {
    let shape = tensor.shape();
    let &[ref ones @ .., height, width, channels @ (1 | 3)] = shape else {
        return Err(format!("a picture is [height, width, 1 or 3], not {shape:?}"));
    };
    let (Ok(wide), Ok(high)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(format!("{width} × {height} are too many for a picture"));
    };
    if ones.iter().any(|size| *size != 1) || wide == 0 || high == 0 {
        return Err(format!("one picture is [height, width, 1 or 3], not {shape:?}"));
    }
    let pixels =
        bytes(tensor).ok_or_else(|| format!("a picture is of floats or u8, not {}", tensor.dtype()))?;
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in pixels.chunks_exact(width * channels) {
        // Each row begins with the number of a filter: none.
        rows.write_all(&[0]).and_then(|()| rows.write_all(row)).map_err(|error| error.to_string())?;
    }
    let rows = rows.finish().map_err(|error: io::Error| error.to_string())?;
    let colours = if channels == 3 { 2 } else { 0 };
    let mut head = [wide.to_be_bytes(), high.to_be_bytes()].concat();
    head.extend([8, colours, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", head), (b"IDAT", rows), (b"IEND", Vec::new())] {
        let length = u32::try_from(data.len()).map_err(|_| "it is too large for a picture".to_string())?;
        out.extend(length.to_be_bytes());
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(&data);
        out.extend(name);
        out.extend(data);
        out.extend(sum.sum().to_be_bytes());
    }
    Ok(out)
}

/// Each number as a byte: `u8` as it is, floats from 0 to 1; what lies beyond is the nearest of the two.
fn bytes(tensor: &Tensor) -> Option<Vec<u8>> {
    let byte = |x: f32| (x.clamp(0.0, 1.0) * 255.0).round() as u8;
    let raw = tensor.bytes();
    Some(match tensor.dtype() {
        DType::U8 => raw.to_vec(),
        DType::F32 => tensor.as_f32()?.iter().map(|x| byte(*x)).collect(),
        DType::F64 => raw.as_chunks::<8>().0.iter().map(|b| byte(f64::from_ne_bytes(*b) as f32)).collect(),
        DType::F16 => {
            raw.as_chunks::<2>().0.iter().map(|b| byte(half::f16::from_ne_bytes(*b).to_f32())).collect()
        }
        DType::Bf16 => {
            raw.as_chunks::<2>().0.iter().map(|b| byte(half::bf16::from_ne_bytes(*b).to_f32())).collect()
        }
        DType::I32 | DType::I64 | DType::Bool => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_picture_holds_its_pixels() {
        let numbers = [0.0_f32, 0.5, 1.0, -3.0, 7.0, 0.2];
        let tensor = Tensor::from_bytes(DType::F32, &[1, 1, 2, 3], bytemuck::cast_slice(&numbers)).unwrap();
        let png = png(&tensor).unwrap();
        assert_eq!(&png[16..24], [0, 0, 0, 2, 0, 0, 0, 1]);
        let at = png.windows(4).position(|four| four == b"IDAT").unwrap();
        let mut row = Vec::new();
        flate2::read::ZlibDecoder::new(&png[at + 4..]).read_to_end(&mut row).unwrap();
        assert_eq!(row, [0, 0, 128, 255, 0, 255, 51]);
        assert!(super::png(&Tensor::zeros(DType::F32, &[2, 3])).is_err());
        assert!(super::png(&Tensor::zeros(DType::F32, &[2, 4, 4, 3])).is_err());
        assert!(super::png(&Tensor::zeros(DType::I32, &[4, 4, 3])).is_err());
    }

    #[test]
    fn names_say_how() {
        assert_eq!(TensorFile::of(Path::new("a/b.PNG")), Some(TensorFile::Png));
        assert_eq!(TensorFile::of(Path::new("b.gif")), None);
        assert_eq!(TensorFile::of(Path::new("png")), None);
    }
}
