//! TensorBoard's events files: records with checksums around messages of a few fields.
//!
//! A record is its length (8 bytes), a checksum of the length, the message, a checksum of the message. The
//! messages are protocol buffers `Event { wall_time = 1, step = 2, file_version = 3, summary = 5,
//! session_log = 7 }`, few enough to be encoded by hand.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An events file that grows.
pub struct Events {
    /// Where it lies.
    pub path: PathBuf,
    to: BufWriter<File>,
}

impl Events {
    /// Begins a file in `folder`. A run that goes on after `resumed` steps has a file for each time; readers
    /// then forget what older files say of later steps.
    pub fn create(folder: &Path, now: SystemTime, resumed: Option<u64>) -> io::Result<Events> {
        let (path, file) = new_file(folder, now)?;
        let mut events = Events { path, to: BufWriter::new(file) };
        let version = bytes_field(3, b"brain.Event:2");
        events.record(&[time_field(now), version].concat())?;
        if let Some(step) = resumed {
            // `SessionLog { status = START }`, before the first step that will come.
            let start = bytes_field(7, &[0x08, 1]);
            events.record(&[time_field(now), number_field(2, step + 1), start].concat())?;
        }
        events.flush()?;
        Ok(events)
    }

    /// Adds one number.
    pub fn scalar(&mut self, now: SystemTime, tag: &str, step: u64, value: f64) -> io::Result<()> {
        // `Summary { value = [Value { tag = 1, simple_value = 2 }] }`.
        let simple = [vec![2 << 3 | 5], (value as f32).to_le_bytes().to_vec()].concat();
        let value = bytes_field(1, &[bytes_field(1, tag.as_bytes()), simple].concat());
        self.record(&[time_field(now), number_field(2, step), bytes_field(5, &value)].concat())
    }

    /// Hands what was added to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn record(&mut self, message: &[u8]) -> io::Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        self.to.write_all(&length)?;
        self.to.write_all(&masked_sum(&length).to_le_bytes())?;
        self.to.write_all(message)?;
        self.to.write_all(&masked_sum(message).to_le_bytes())
    }
}

/// Readers know the files by the beginning of their names, and read them in the order of the names.
fn new_file(folder: &Path, now: SystemTime) -> io::Result<(PathBuf, File)> {
    let seconds = since_1970(now).as_secs();
    for count in 0.. {
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.{count}.strata"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done.map(|file| (path, file)),
        }
    }
    Err(io::Error::other("every name is taken"))
}

fn since_1970(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The format masks its checksums, as a checksum of data that holds its own checksum is weak.
fn masked_sum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn time_field(now: SystemTime) -> Vec<u8> {
    [vec![1 << 3 | 1], since_1970(now).as_secs_f64().to_le_bytes().to_vec()].concat()
}

fn number_field(field: u8, number: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    append_number(number, &mut bytes);
    bytes
}

fn bytes_field(field: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 2];
    append_number(content.len() as u64, &mut bytes);
    bytes.extend(content);
    bytes
}

/// Seven bits a byte, low ones first, the eighth set on all but the last.
fn append_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The messages of a file, their checksums verified.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let (sum, rest) = rest.split_at(4);
            assert_eq!(sum, masked_sum(length).to_le_bytes());
            let (message, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (sum, rest) = rest.split_at(4);
            assert_eq!(sum, masked_sum(message).to_le_bytes());
            records.push(message.to_vec());
            bytes = rest;
        }
        records
    }

    fn read_number(bytes: &mut &[u8]) -> u64 {
        let end = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let number = bytes[..=end].iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f));
        *bytes = &bytes[end + 1..];
        number
    }

    /// Numbers and contents of the fields of a message.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = read_number(&mut bytes);
            let content = match key & 7 {
                0 => read_number(&mut bytes).to_le_bytes().to_vec(),
                kind => {
                    let length = [0, 8, 0, 0, 0, 4][kind as usize];
                    let length = if kind == 2 { read_number(&mut bytes) as usize } else { length };
                    let (content, rest) = bytes.split_at(length);
                    bytes = rest;
                    content.to_vec()
                }
            };
            fields.push((key >> 3, content));
        }
        fields
    }

    fn field(message: &[u8], number: u64) -> Vec<u8> {
        fields(message).into_iter().find(|(found, _)| *found == number).unwrap().1
    }

    #[test]
    fn a_reader_finds_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let now = UNIX_EPOCH + Duration::from_millis(1_500);
        let mut events = Events::create(folder.path(), now, Some(6)).unwrap();
        events.scalar(now, "train/loss", 300, 0.25).unwrap();
        events.flush().unwrap();
        let records = records(&fs::read(&events.path).unwrap());
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|record| field(record, 1) == 1.5f64.to_le_bytes()));
        assert_eq!(field(&records[0], 3), b"brain.Event:2");
        assert_eq!(field(&records[1], 2), 7u64.to_le_bytes());
        assert_eq!(field(&field(&records[1], 7), 1), 1u64.to_le_bytes());
        assert_eq!(field(&records[2], 2), 300u64.to_le_bytes());
        let value = field(&field(&records[2], 5), 1);
        assert_eq!(field(&value, 1), b"train/loss");
        assert_eq!(field(&value, 2), 0.25f32.to_le_bytes());
        let second = Events::create(folder.path(), now, None).unwrap();
        assert_ne!(second.path, events.path);
    }

    #[test]
    fn the_checksum_is_the_one_of_the_format() {
        // Every events file of TensorFlow begins with these bytes: the length of a record, and its checksum.
        assert_eq!(masked_sum(&24u64.to_le_bytes()).to_le_bytes(), [0xa3, 0x7f, 0x4b, 0x22]);
    }
}
