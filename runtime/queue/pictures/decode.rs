//! JPEG and PNG files as pixels, by the libraries of the feature `pictures`.

use std::fs;
use std::path::Path;

use super::Fault;
use super::pixels::Pixels;

/// Whether this program can read pictures.
pub const CAN_READ: bool = cfg!(feature = "pictures");

/// What names of picture files end in. Those of formats that cannot be read are here too: such a file is no silence, but
/// a picture that cannot be read.
const ENDINGS: [&str; 10] = ["jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "heic", "avif"];

/// Whether a file's name says that it is a picture.
pub fn looks_like(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// Reads a picture as red, green and blue, or as grey where one channel is wanted. What is transparent is shown as if
/// it were not.
///
/// # Errors
/// A file that cannot be read, is no JPEG or PNG picture, or is damaged anywhere.
pub fn decode(path: &Path, channels: usize) -> Result<Pixels, Fault> {
    let bytes = fs::read(path).map_err(|error| Fault::Unreadable { reason: error.to_string() })?;
    match bytes.as_slice() {
        [] => Err(Fault::NotAPicture { found: Vec::new() }),
        [0xff, 0xd8, ..] => implementation::jpeg(&bytes),
        [0x89, b'P', b'N', b'G', ..] => implementation::png(&bytes),
        other => Err(Fault::NotAPicture { found: other.iter().take(4).copied().collect() }),
    }
    .map(|pixels| with_channels(pixels, channels))
}

/// The same picture with one channel, or three.
fn with_channels(pixels: Pixels, channels: usize) -> Pixels {
    let Pixels { height, width, channels: found, bytes } = pixels;
    // The last of two or four channels says what is transparent.
    let colours = if found < 3 { 1 } else { 3 };
    let each = bytes.chunks_exact(found);
    let bytes: Vec<u8> = match (colours, channels) {
        (1, 1) => each.map(|pixel| pixel[0]).collect(),
        (1, _) => each.flat_map(|pixel| [pixel[0]; 3]).collect(),
        (_, 1) => each.map(|pixel| grey([pixel[0], pixel[1], pixel[2]])).collect(),
        (_, _) => each.flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
    };
    Pixels { height, width, channels: if channels == 1 { 1 } else { 3 }, bytes }
}

/// How bright a colour is, by ITU-R BT.601.
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    ((sum + 500) / 1000) as u8
}

#[cfg(not(feature = "pictures"))]
mod implementation {
    use super::{Fault, Pixels};

    pub fn jpeg(_: &[u8]) -> Result<Pixels, Fault> {
        Err(Fault::NotBuilt { feature: "pictures" })
    }

    pub fn png(_: &[u8]) -> Result<Pixels, Fault> {
        Err(Fault::NotBuilt { feature: "pictures" })
    }
}

#[cfg(feature = "pictures")]
mod implementation {
    use std::io::Cursor;

    use png::{Decoder, Transformations};
    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::bytestream::ZCursor;
    use zune_jpeg::zune_core::colorspace::ColorSpace;
    use zune_jpeg::zune_core::options::DecoderOptions;

    use super::{Fault, Pixels};

    /// Bytes of pixels that a byte of a file can stand for: deflate packs 1032 to 1 at best, and a bit may choose a colour of
    /// four bytes. No JPEG file comes near it.
    const MOST: u128 = 1032 * 32;

    /// Refuses a head that promises more than the file can hold, before there is room made for it.
    fn can_hold(file: &[u8], height: usize, width: usize, channels: usize) -> Result<(), Fault> {
        let promised = height as u128 * width as u128 * channels as u128;
        if promised <= file.len() as u128 * MOST {
            return Ok(());
        }
        let bytes = file.len();
        let reason =
            format!("it says that it has {height} × {width} pixels, which its {bytes} bytes cannot hold");
        Err(Fault::PictureDamaged { reason })
    }

    fn damaged(error: &impl ToString) -> Fault {
        Fault::PictureDamaged { reason: error.to_string() }
    }

    pub fn jpeg(bytes: &[u8]) -> Result<Pixels, Fault> {
        // The decoder fills up what is missing with grey.
        if !ends(bytes) {
            return Err(Fault::PictureDamaged { reason: "it ends too early; it was cut short".to_string() });
        }
        let options = DecoderOptions::default().set_strict_mode(true);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|error| damaged(&error))?;
        let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
        let wanted = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
        let channels = if grey { 1 } else { 3 };
        decoder.set_options(options.jpeg_set_out_colorspace(wanted));
        let (width, height) = decoder.dimensions().unwrap_or_default();
        can_hold(bytes, height, width, channels)?;
        let pixels = decoder.decode().map_err(|error| damaged(&error))?;
        whole(height, width, channels, pixels)
    }

    /// Whether a JPEG file has the mark of its end. Marks are a byte 255 and one that says what follows: most often the
    /// length of a stretch to be skipped. Within pixels a 255 is followed by a 0, or by what restarts them.
    fn ends(bytes: &[u8]) -> bool {
        let mut at = 2;
        while let (Some(first), Some(second)) = (bytes.get(at), bytes.get(at + 1)) {
            match (*first, *second) {
                (0xff, 0xd9) => return true,
                (0xff, 0xff) => at += 1,
                (0xff, 0x00 | 0x01 | 0xd0..=0xd7) => at += 2,
                (0xff, _) => {
                    let Some(length) = bytes.get(at + 2..at + 4) else { return false };
                    at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
                }
                (_, _) => at += 1,
            }
        }
        false
    }

    pub fn png(bytes: &[u8]) -> Result<Pixels, Fault> {
        let mut decoder = Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(|error| damaged(&error))?;
        let (width, height) = reader.info().size();
        let channels = reader.output_color_type().0.samples();
        can_hold(bytes, height as usize, width as usize, channels)?;
        let size = reader.output_buffer_size().unwrap_or_default();
        let mut pixels = vec![0; size];
        let frame = reader.next_frame(&mut pixels).map_err(|error| damaged(&error))?;
        reader.finish().map_err(|error| damaged(&error))?;
        let (channels, size) = (frame.color_type.samples(), frame.buffer_size());
        pixels.truncate(size);
        whole(frame.height as usize, frame.width as usize, channels, pixels)
    }

    /// That there is a number for each channel of each pixel, and a pixel at all.
    fn whole(height: usize, width: usize, channels: usize, bytes: Vec<u8>) -> Result<Pixels, Fault> {
        if bytes.is_empty() || bytes.len() != height * width * channels {
            let reason = format!("{} numbers for {height} × {width} pixels", bytes.len());
            return Err(Fault::PictureDamaged { reason });
        }
        Ok(Pixels { height, width, channels, bytes })
    }
}
