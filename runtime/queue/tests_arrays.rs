//! Arrays as numpy writes them, and as it does not.

use std::fs;
use std::io::{Cursor as Bytes, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::DType;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A file as numpy 1 and 2 write it.
fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend(data);
    bytes
}

fn npz(arrays: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Bytes::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method).large_file(true);
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn field(path: &Path, member: Option<&str>, shape: &[usize], dtype: DType) -> ArrayField {
    ArrayField {
        name: "x".to_string(),
        path: path.to_path_buf(),
        member: member.map(str::to_string),
        shape: shape.to_vec(),
        dtype,
        arithmetic: vec![],
        classes: None,
        origin: 3,
    }
}

fn open(field: ArrayField) -> Result<Input, DataError> {
    let stages = vec![Stage { kind: StageKind::Batch { size: 100 }, origin: 4 }];
    Input::open(&Recipe { source: Source::Arrays { fields: vec![field] }, stages }, 0)
}

/// The one batch of a file, as numbers.
fn numbers(path: &Path, member: Option<&str>, shape: &[usize]) -> Result<Vec<f64>, DataError> {
    let input = open(field(path, member, shape, DType::F64))?;
    let batch = input.pass()?.next().unwrap()?;
    let elements = batch.tensor("x").unwrap().bytes().as_chunks().0;
    Ok(elements.iter().map(|element: &[u8; 8]| f64::from_ne_bytes(*element)).collect())
}

#[test]
fn every_kind_of_number_in_either_byte_order() {
    let folder = folder();
    let file = |descr: &str, data: &[u8]| put(&folder, "x.npy", &npy(descr, false, "(2,)", data));
    macro_rules! both {
        ($code:literal, $a:expr, $b:expr) => {
            for big in [false, true] {
                let bytes = if big {
                    [$a.to_be_bytes(), $b.to_be_bytes()]
                } else {
                    [$a.to_le_bytes(), $b.to_le_bytes()]
                };
                let descr = format!("{}{}", if big { '>' } else { '<' }, $code);
                let path = file(&descr, &bytes.concat());
                assert_eq!(numbers(&path, None, &[]).unwrap(), [3.0, 200.0], "{descr}");
                assert_eq!(inspect_array(&path, 0).unwrap().range.unwrap().max, 200.0, "{descr}");
            }
        };
    }
    both!("u2", 3u16, 200u16);
    both!("i2", 3i16, 200i16);
    both!("u4", 3u32, 200u32);
    both!("i4", 3i32, 200i32);
    both!("u8", 3u64, 200u64);
    both!("i8", 3i64, 200i64);
    both!("f2", half::f16::from_f32(3.0), half::f16::from_f32(200.0));
    both!("f4", 3f32, 200f32);
    both!("f8", 3f64, 200f64);
    assert_eq!(numbers(&file("|u1", &[3, 200]), None, &[]).unwrap(), [3.0, 200.0]);
    assert_eq!(numbers(&file("|i1", &[3, 200]), None, &[]).unwrap(), [3.0, -56.0]);
    assert_eq!(numbers(&file("|b1", &[0, 1]), None, &[]).unwrap(), [0.0, 1.0]);
}

#[test]
fn whole_numbers_that_would_lose_digits_are_refused() {
    let folder = folder();
    let file = |descr, number: [u8; 8]| put(&folder, "x.npy", &npy(descr, false, "(1,)", &number));
    let exact = 1i64 << 53;
    assert_eq!(numbers(&file("<i8", exact.to_le_bytes()), None, &[]).unwrap(), [exact as f64]);
    for (descr, bytes) in [("<i8", (exact + 1).to_le_bytes()), ("<u8", u64::MAX.to_le_bytes())] {
        let error = numbers(&file(descr, bytes), None, &[]).unwrap_err();
        assert!(matches!(error.fault, Fault::NotExact { .. }), "{error}");
        assert_eq!((error.origin, error.place.example), (3, Some(0)));
    }
}

#[test]
fn arrays_that_lie_the_other_way_round_come_out_in_order() {
    let folder = folder();
    // np.arange(24).reshape(4, 2, 3) in Fortran's order.
    let turned: Vec<u8> = (0..24_u8)
        .map(|at| {
            let (i, j, k) = (at % 4, at / 4 % 2, at / 8);
            i * 6 + j * 3 + k
        })
        .collect();
    let path = put(&folder, "x.npy", &npy("|i1", true, "(4, 2, 3)", &turned));
    let expected: Vec<f64> = (0..24).map(f64::from).collect();
    assert_eq!(numbers(&path, None, &[2, 3]).unwrap(), expected);
    assert_eq!(numbers(&path, None, &[6]).unwrap(), expected);
}

#[test]
fn what_the_program_writes_it_reads() {
    let folder = folder();
    let mut bytes = npy_head(DType::F32, &[2, 3]).unwrap();
    (0..6).for_each(|n| bytes.extend((n as f32 / 2.0).to_ne_bytes()));
    let path = put(&folder, "x.npy", &bytes);
    assert_eq!(numbers(&path, None, &[3]).unwrap(), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&bytes).unwrap();
    put(&folder, "y.npy.gz", &packed.finish().unwrap());
    assert_eq!(numbers(&folder.path().join("y.npy"), None, &[3]).unwrap()[5], 2.5);
}

#[test]
fn archives_plain_and_packed() {
    let folder = folder();
    let arrays = [
        ("x", npy("<f4", false, "(2, 1)", &[1.5f32.to_le_bytes(), 2f32.to_le_bytes()].concat())),
        ("kind", npy("|u1", false, "(2,)", &[0, 4])),
        ("things", npy("|O", false, "(2,)", b"not for us")),
    ];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let path = put(&folder, "a.npz", &npz(&arrays, method));
        assert_eq!(numbers(&path, Some("x"), &[1]).unwrap(), [1.5, 2.0]);
        let facts = inspect_npz(&path, 0).unwrap();
        let names: Vec<&str> = facts.arrays.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x", "kind", "things"]);
        let [x, kind, things] = facts.arrays.map_facts();
        assert_eq!(x.unwrap().sizes, [2, 1]);
        assert_eq!(kind.unwrap().range, Some(Range { min: 0.0, max: 4.0, whole: true }));
        assert!(matches!(things, Err(Fault::NpyElement { what: "Python objects", .. })));
        let missing = numbers(&path, Some("y"), &[]).unwrap_err();
        assert!(missing.to_string().ends_with("there is no array `y` in it; there is x, kind, things"));
        let things = numbers(&path, Some("things"), &[]).unwrap_err();
        assert!(things.to_string().contains("array `things`: its elements, `|O`, are Python objects"));
        let whole = numbers(&path, None, &[]).unwrap_err();
        assert_eq!(whole.fault, Fault::IsNpz);
    }
}

trait Facts {
    fn map_facts(self) -> [Result<ArrayFacts, Fault>; 3];
}
impl Facts for Vec<(String, Result<ArrayFacts, Fault>)> {
    fn map_facts(self) -> [Result<ArrayFacts, Fault>; 3] {
        let facts: Vec<_> = self.into_iter().map(|(_, facts)| facts).collect();
        facts.try_into().unwrap_or_else(|_| panic!("there are three"))
    }
}

#[test]
fn files_that_are_cut_short_are_errors_wherever_they_are_cut() {
    let folder = folder();
    let whole = npy("<i2", false, "(3, 1)", &[1, 0, 2, 0, 3, 0]);
    for length in 0..whole.len() {
        let path = put(&folder, "x.npy", &whole[..length]);
        let fault = numbers(&path, None, &[1]).unwrap_err().fault;
        let expected = match length {
            0 => matches!(fault, Fault::Empty),
            1..4 => matches!(fault, Fault::NotAnArray { .. }),
            n if n < whole.len() - 6 => matches!(fault, Fault::NpyHead { .. }),
            _ => matches!(fault, Fault::ArrayLength { expected: 6, found } if found < 6),
        };
        assert!(expected, "cut at {length}: {fault}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    let fault = numbers(&put(&folder, "x.npy", &longer), None, &[1]).unwrap_err().fault;
    assert_eq!(fault, Fault::ArrayLength { expected: 6, found: 7 });
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let archive = npz(&[("x", whole.clone())], method);
        for length in 0..archive.len() {
            let path = put(&folder, "x.npz", &archive[..length]);
            let error = numbers(&path, Some("x"), &[1]).unwrap_err();
            assert!(matches!(error.fault, Fault::NpzDamaged { .. }), "cut at {length}: {error}");
            assert!(inspect_npz(&path, 0).is_err());
        }
    }
}

#[test]
fn a_flipped_bit_in_an_archive_is_seen() {
    let folder = folder();
    let data: Vec<u8> = (0..200).map(|n| (n * 7 % 256) as u8).collect();
    let whole = npy("|u1", false, "(200,)", &data);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let good = npz(&[("x", whole.clone())], method);
        let expected = numbers(&put(&folder, "good.npz", &good), Some("x"), &[]).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            // Some bits mean nothing, such as a time; none may change a number.
            if let Ok(found) = numbers(&put(&folder, "bad.npz", &bad), Some("x"), &[]) {
                assert_eq!(found, expected, "byte {at}");
            }
        }
    }
}

#[test]
fn what_is_no_array_of_numbers_is_told_apart() {
    let folder = folder();
    let text =
        |bytes: &[u8]| numbers(&put(&folder, "x.npy", bytes), None, &[]).unwrap_err().fault.to_string();
    for (descr, what) in [
        ("|O", "Python objects"),
        ("<c16", "complex numbers"),
        ("<U3", "texts"),
        ("|S7", "texts"),
        ("<M8[ns]", "times"),
        ("|V2", "bytes without a meaning"),
        ("<f16", "something that this program does not know"),
        ("f4", "something that this program does not know"),
        ("", "something that this program does not know"),
    ] {
        assert!(text(&npy(descr, false, "(1,)", &[0; 8])).contains(what), "{descr}");
    }
    assert!(text(&npy("<f4", false, "()", &[0; 4])).contains("a single number"));
    assert!(text(&npy("<f4", false, "(0,)", &[])).contains("not a single example"));
    assert!(text(&npy("<f4", false, "(2, 3)", &[0; 24])).contains("found 3 (3)"));
    assert!(text(&npy("<f4", false, "(1,)", &f32::NAN.to_le_bytes())).contains("finite"));
    // Promises of an exabyte take no memory.
    assert!(text(&npy("<f8", false, "(100000000000000000,)", &[0; 8])).contains("promises"));
    assert!(text(&npy("<f8", false, "(100000000000000000, 100)", &[0; 8])).contains("no machine"));
    assert!(text(b"\x93NUMPY\x09\x00aa").contains("version 9"));
    assert!(text(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("claims to be"));
}

proptest::proptest! {
    #[test]
    fn any_head_is_read_or_refused(head in "[{}()',: a-z0-9<>|TFLrue-]{0,60}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
        let folder = folder();
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((head.len() as u16).to_le_bytes());
        file.extend(head.bytes());
        file.extend(&bytes);
        let zipped = [&b"PK\x03\x04"[..], &bytes].concat();
        for (name, member, bytes) in [("a.npy", None, &file), ("a.npz", Some("x"), &zipped)] {
            let path = put(&folder, name, bytes);
            drop(numbers(&path, member, &[]));
            drop((inspect_array(&path, 0), inspect_npz(&path, 0)));
        }
    }
}
