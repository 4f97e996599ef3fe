//! Files as they should be, and as they should not.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

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

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn stage(kind: StageKind) -> Stage {
    Stage { kind, origin: 50 }
}

/// Two columns as `x`, halved, and a third as the label `y` of three classes.
fn csv(path: &Path, stages: Vec<Stage>) -> Recipe {
    let field = |name: &str, columns, shape, dtype, arithmetic, classes, origin| CsvField {
        name: String::from(name),
        columns,
        shape,
        dtype,
        arithmetic,
        classes,
        origin,
    };
    let fields = vec![
        field("x", 0..2, vec![2], DType::F32, vec![(Arithmetic::Divide, 2.0)], None, 11),
        field("y", 2..3, vec![], DType::I32, vec![], Some(3), 12),
    ];
    Recipe { source: Source::Csv { path: path.to_path_buf(), header: None, fields, origin: 10 }, stages }
}

/// Name, file, shape, dtype, classes.
type Idx<'a> = (&'a str, &'a Path, &'a [usize], DType, Option<u64>);

/// Origins count from 0.
fn idx(fields: &[Idx<'_>], stages: Vec<Stage>) -> Recipe {
    let field = |(origin, (name, path, shape, dtype, classes)): (usize, &Idx<'_>)| ArrayField {
        name: (*name).to_string(),
        path: path.to_path_buf(),
        member: None,
        shape: shape.to_vec(),
        dtype: *dtype,
        arithmetic: vec![],
        classes: *classes,
        origin: origin as Origin,
    };
    Recipe { source: Source::Arrays { fields: fields.iter().enumerate().map(field).collect() }, stages }
}

fn batch(size: usize) -> Vec<Stage> {
    vec![stage(StageKind::Batch { size })]
}

fn idx_bytes(code: u8, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn error(recipe: &Recipe) -> DataError {
    Input::open(recipe, 0).err().expect("the data should be refused")
}

fn csv_error(text: &str) -> DataError {
    let folder = folder();
    error(&csv(&put(&folder, "a.csv", text.as_bytes()), batch(2)))
}

fn xs(batch: &Batch) -> Vec<f32> {
    batch.tensor("x").unwrap().as_f32().unwrap().to_vec()
}

#[test]
fn rows_become_tensors() {
    let folder = folder();
    let text = "1,2,0\n3,4,1\n5,6,2\n";
    let with_names = format!("left,right,class\n{text}");
    let marked = format!("\u{feff}\"left\", right , class\r\n{}", text.replace('\n', "\r\n"));
    let files = [
        put(&folder, "plain.csv", text.as_bytes()),
        put(&folder, "names.csv", with_names.as_bytes()),
        put(&folder, "marked.csv", marked.as_bytes()),
        put(&folder, "packed.csv.gz", &gzip(text.as_bytes())),
        put(&folder, "two.csv.gz", &[gzip(b"1,2,0\n3,4"), gzip(b",1\n5,6,2")].concat()),
    ];
    for file in &files {
        let batches: Vec<Batch> =
            Input::open(&csv(file, batch(2)), 0).unwrap().pass().unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.len(), 2, "{file:?}");
        assert_eq!(batches[0].tensor("x").unwrap().shape(), [2, 2]);
        assert_eq!(xs(&batches[0]), [0.5, 1.0, 1.5, 2.0]);
        assert_eq!(batches[0].tensor("y").unwrap().as_i32().unwrap(), [0, 1]);
        assert_eq!(xs(&batches[1]), [2.5, 3.0]);
        assert_eq!((batches[1].examples, batches[1].ends_epoch), (1, true));
        assert_eq!(batches[1].cursor, Cursor { epoch: 1, position: 0 });
    }
}

#[test]
fn a_packed_file_is_found_by_its_plain_name_and_the_other_way_round() {
    let folder = folder();
    put(&folder, "a.csv.gz", &gzip(b"1,2,0\n"));
    put(&folder, "b.csv", b"1,2,0\n");
    for name in ["a.csv", "b.csv.gz"] {
        assert_eq!(Input::open(&csv(&folder.path().join(name), batch(1)), 0).unwrap().examples(), 1);
        assert_ne!(locate(&folder.path().join(name)), None);
    }
}

#[test]
fn a_missing_file_names_what_was_tried() {
    assert_eq!(locate(Path::new("/nowhere/a.csv")), None);
    let error = error(&csv(Path::new("/nowhere/a.csv"), batch(2)));
    assert_eq!(error.origin, 10);
    assert_eq!(
        error.to_string(),
        "/nowhere/a.csv: no such file; looked for /nowhere/a.csv and /nowhere/a.csv.gz"
    );
}

#[test]
fn what_is_not_a_file_is_refused_without_waiting() {
    let folder = folder();
    assert_eq!(error(&csv(folder.path(), batch(2))).fault, Fault::NotAFile);
    assert_eq!(error(&csv(Path::new("/dev/zero"), batch(2))).fault, Fault::NotAFile);
}

#[test]
fn bad_cells_are_located() {
    let display = |text: &str| {
        let error = csv_error(text);
        let text = error.to_string();
        (error.origin, text[text.find("a.csv").unwrap()..].to_string())
    };
    let expect = |text: &str, origin, message: &str| assert_eq!(display(text), (origin, message.to_string()));
    expect("1,2,0\n\n1,abc,0\n", 11, "a.csv, line 3, column 2: expected a number, found `abc`");
    expect("\n1,2,0\r\n\r\n\n1,abc,0", 11, "a.csv, line 5, column 2: expected a number, found `abc`");
    expect("\u{feff}1,2,0\n\n1,abc,0", 11, "a.csv, line 3, column 2: expected a number, found `abc`");
    expect("1,\"2\n\",0\n1,abc,0", 11, "a.csv, line 3, column 2: expected a number, found `abc`");
    expect("1,2,0\n1,,0\n", 11, "a.csv, line 2, column 2: expected a number, found an empty cell");
    expect("1,2,0\nNaN,2,0\n", 11, "a.csv, line 2, column 1: expected a finite number, found `NaN`");
    expect("1,2,0\n1,-inf,0\n", 11, "a.csv, line 2, column 2: expected a finite number, found `-inf`");
    expect("1,2,0\n1,1e999,0\n", 11, "a.csv, line 2, column 2: expected a finite number, found `1e999`");
    expect(
        "1,2,0\n1,1e99,0\n",
        11,
        &format!("a.csv, line 2, column 2: {} cannot be held as f32", 1e99 / 2.0),
    );
    expect("1,2,3\n", 12, "a.csv, line 1, column 3: expected a label, a whole number from 0 to 2, found 3");
    expect(
        "1,2,0.5\n",
        12,
        "a.csv, line 1, column 3: expected a label, a whole number from 0 to 2, found 0.5",
    );
    expect("1,2,0\n1,2\n", 10, "a.csv, line 2: expected 3 cells as in the first row, found 2");
    expect("1,2,0\n1,2,0,9\n", 10, "a.csv, line 2: expected 3 cells as in the first row, found 4");
    expect("x,y,z\n1,2\n", 10, "a.csv, line 2: expected 3 cells as in the first row, found 2");
    expect("1,2\n", 12, "a.csv: there is no column 2: it has 2 columns, counted from 0");
    expect("", 10, "a.csv: there is not a single example in it");
    expect("x,y,z\n", 10, "a.csv: there is not a single example in it");
    expect("1,2,0\n\"1,2,0\n1,2,0\n", 10, "a.csv, line 2: expected 3 cells as in the first row, found 1");
}

#[test]
fn bytes_that_are_no_text_are_a_bad_cell() {
    let folder = folder();
    let error = error(&csv(&put(&folder, "a.csv", b"1,2,0\n\xff\xfe\x00,2,0\n"), batch(2)));
    assert!(matches!(error.fault, Fault::NotANumber { .. }), "{error}");
}

#[test]
fn a_packed_file_cut_anywhere_is_an_error() {
    let folder = folder();
    let rows: String = (0..50).map(|row| format!("{row},{},{}\n", row * 7, row % 3)).collect();
    let whole = gzip(rows.as_bytes());
    for length in 0..whole.len() {
        let error = error(&csv(&put(&folder, "a.csv.gz", &whole[..length]), batch(2)));
        let expected = match length {
            0 => matches!(error.fault, Fault::Empty),
            1 => matches!(error.fault, Fault::GzipCorrupt { .. }),
            _ => matches!(error.fault, Fault::GzipTruncated),
        };
        assert!(expected, "cut at {length}: {error}");
    }
}

#[test]
fn a_damaged_packed_file_is_an_error() {
    let folder = folder();
    let rows: String = (0..2000).map(|row| format!("{row},{},{}\n", row * 7, row % 3)).collect();
    let whole = gzip(rows.as_bytes());
    for at in (10..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        // Damage may show as bad rows before the checksum at the end is reached.
        error(&csv(&put(&folder, "a.csv.gz", &damaged), batch(2)));
    }
    let unpacked = error(&csv(&put(&folder, "b.csv.gz", rows.as_bytes()), batch(2)));
    assert!(matches!(unpacked.fault, Fault::GzipCorrupt { .. }));
}

#[test]
fn a_recipe_that_makes_no_batches_is_an_error() {
    let folder = folder();
    let path = put(&folder, "a.csv", b"1,2,0\n3,4,1\n");
    let fault = |stages: Vec<StageKind>| error(&csv(&path, stages.into_iter().map(stage).collect())).fault;
    let batch = |size| StageKind::Batch { size };
    assert_eq!(fault(vec![batch(0)]), Fault::Zero { what: "a batch" });
    assert_eq!(
        fault(vec![batch(1), StageKind::Prefetch { batches: 0 }]),
        Fault::Zero { what: "a number of batches" }
    );
    assert!(matches!(fault(vec![]), Fault::Stages { .. }));
    assert!(matches!(fault(vec![batch(1), batch(1)]), Fault::Stages { .. }));
    assert!(matches!(fault(vec![StageKind::Prefetch { batches: 1 }, batch(1)]), Fault::Stages { .. }));
    let split = StageKind::Split { bounds: vec![2], part: 0 };
    assert_eq!(fault(vec![split, batch(1)]), Fault::SplitBound { bound: 2, examples: 2 });
}

#[test]
fn a_field_fills_its_shape() {
    let folder = folder();
    let mut recipe = csv(&put(&folder, "a.csv", b"1,2,0\n"), batch(1));
    if let Source::Csv { fields, .. } = &mut recipe.source {
        fields[0].shape = vec![3];
    }
    assert_eq!(error(&recipe).fault, Fault::FieldShape { columns: 2, shape: vec![3] });
}

#[test]
fn every_idx_element_type_is_read() {
    let folder = folder();
    let numbers = [1.0, 0.0, 2.0, 3.0f64];
    let each = |bytes: &dyn Fn(f64) -> Vec<u8>| numbers.iter().flat_map(|n| bytes(*n)).collect::<Vec<u8>>();
    let files = [
        (0x08, each(&|n| vec![n as u8])),
        (0x09, each(&|n| vec![n as i8 as u8])),
        (0x0b, each(&|n| (n as i16).to_be_bytes().to_vec())),
        (0x0c, each(&|n| (n as i32).to_be_bytes().to_vec())),
        (0x0d, each(&|n| (n as f32).to_be_bytes().to_vec())),
        (0x0e, each(&|n| n.to_be_bytes().to_vec())),
    ];
    for (code, data) in files {
        let path = put(&folder, "a.idx", &idx_bytes(code, &[2, 2], &data));
        for dtype in [DType::F32, DType::F64, DType::F16, DType::Bf16, DType::I32, DType::I64, DType::U8] {
            let recipe = idx(&[("x", &path, &[2, 1], dtype, None)], batch(2));
            let found = Input::open(&recipe, 0).unwrap().pass().unwrap().next().unwrap().unwrap();
            let tensor = found.tensor("x").unwrap();
            assert_eq!(tensor.shape(), [2, 2, 1]);
            let three: &[u8] = match dtype {
                DType::F32 => &3f32.to_ne_bytes(),
                DType::F64 => &3f64.to_ne_bytes(),
                DType::F16 => &half::f16::from_f64(3.0).to_ne_bytes(),
                DType::Bf16 => &half::bf16::from_f64(3.0).to_ne_bytes(),
                DType::I32 => &3i32.to_ne_bytes(),
                DType::I64 => &3i64.to_ne_bytes(),
                DType::U8 | DType::Bool => &[3],
            };
            assert_eq!(tensor.bytes()[3 * dtype.bytes()..], *three, "{code:#x} as {dtype}");
        }
        let facts = inspect_array(&path, 1).unwrap();
        assert_eq!((facts.sizes, facts.range), (vec![2, 2], None));
    }
}

#[test]
fn damaged_idx_files_are_errors() {
    let folder = folder();
    let fault = |name: &str, bytes: &[u8], shape: &[usize], classes| {
        error(&idx(&[("x", &put(&folder, name, bytes), shape, DType::I32, classes)], batch(1)))
    };
    let good = idx_bytes(8, &[3, 2], &[0, 1, 2, 0, 1, 2]);
    for length in 0..good.len() {
        for bytes in [good[..length].to_vec(), gzip(&good[..length])] {
            let fault = fault("cut", &bytes, &[2], None).fault;
            let expected = match length {
                0 => matches!(fault, Fault::Empty),
                1..4 => matches!(fault, Fault::NotAnArray { .. }),
                _ => matches!(fault, Fault::ArrayLength { expected, found } if found < expected),
            };
            assert!(expected, "cut at {length}: {fault}");
        }
    }
    let fault_of = |bytes: &[u8]| fault("bad", bytes, &[2], None).fault;
    assert_eq!(fault_of(&idx_bytes(8, &[3, 2], &[0; 7])), Fault::ArrayLength { expected: 6, found: 7 });
    assert_eq!(fault_of(&[0, 0, 7, 1, 0, 0, 0, 0]), Fault::NotAnArray { found: vec![0, 0, 7, 1] });
    assert_eq!(fault_of(b"%PDF-1.4"), Fault::NotAnArray { found: b"%PDF".to_vec() });
    assert_eq!(fault_of(&idx_bytes(8, &[], &[])), Fault::NotAnArray { found: vec![0, 0, 8, 0] });
    assert_eq!(fault_of(&idx_bytes(8, &[0, 2], &[])), Fault::Empty);
    assert_eq!(
        fault_of(&idx_bytes(8, &[1, 3], &[0; 3])),
        Fault::ArrayShape { expected: vec![2], found: vec![3] }
    );
    // Promises of an exabyte take no memory.
    let huge = idx_bytes(8, &[u32::MAX, 2], &[0; 7]);
    assert_eq!(fault_of(&huge), Fault::ArrayLength { expected: 2 * u64::from(u32::MAX), found: 7 });
    assert_eq!(fault_of(&gzip(&huge)), Fault::ArrayLength { expected: 2 * u64::from(u32::MAX), found: 7 });
    let beyond = idx_bytes(14, &[u32::MAX, u32::MAX, 2], &[]);
    assert!(matches!(
        fault("bad", &beyond, &[u32::MAX as usize * 2], None).fault,
        Fault::ArrayTooLarge { .. }
    ));
    let label = fault("labels", &idx_bytes(8, &[3], &[0, 1, 9]), &[], Some(9));
    assert_eq!(label.place.example, Some(2));
    assert!(
        label
            .to_string()
            .ends_with("labels, example 2: expected a label, a whole number from 0 to 8, found 9")
    );
    let nan = fault("nan", &idx_bytes(13, &[1], &f32::NAN.to_be_bytes()), &[], None);
    assert_eq!(nan.fault, Fault::NotFinite { found: "NaN".to_string() });
}

#[test]
fn fields_of_different_lengths_are_an_error() {
    let folder = folder();
    let images = put(&folder, "images", &idx_bytes(8, &[3, 2], &[0; 6]));
    let labels = put(&folder, "labels", &idx_bytes(8, &[2], &[0; 2]));
    let error = error(&idx(
        &[("image", &images, &[2], DType::F32, None), ("label", &labels, &[], DType::I32, None)],
        batch(1),
    ));
    assert_eq!(error.origin, 1);
    assert!(error.to_string().ends_with("labels: `image` has 3 examples, `label` has 2 examples"));
}

#[test]
fn facts_say_what_is_in_a_file() {
    let folder = folder();
    let path = put(&folder, "a.csv", b"age,name,size\n1,Bob,0.5\n7,Eve,2\n");
    let facts = inspect_csv(&path, None, 0).unwrap();
    assert_eq!(facts.rows, 2);
    let [age, name, size] = facts.columns.as_slice() else { panic!("{facts:?}") };
    assert_eq!(age.name.as_deref(), Some("age"));
    assert_eq!(age.range, Some(Range { min: 1.0, max: 7.0, whole: true }));
    assert_eq!(name.word, Some(Word { line: 2, text: "Bob".to_string() }));
    assert_eq!(size.range, Some(Range { min: 0.5, max: 2.0, whole: false }));
    assert_eq!(inspect_csv(&path, Some(false), 0).unwrap().rows, 3);

    let labels = put(&folder, "labels", &idx_bytes(8, &[3], &[4, 0, 9]));
    let facts = inspect_array(&labels, 0).unwrap();
    assert_eq!(facts.range, Some(Range { min: 0.0, max: 9.0, whole: true }));
    assert_eq!((facts.element, facts.sizes), (Element::U8, vec![3]));
}

/// 23 examples whose `x` is their number, shuffled anew in each epoch.
fn counted(folder: &TempDir, prefetch: Option<usize>) -> Recipe {
    let rows: String = (0..23).map(|row| format!("{row},0,0\n")).collect();
    let path = put(folder, "a.csv", rows.as_bytes());
    let mut stages = vec![
        stage(StageKind::Shuffle { window: 23, seed: Some(1) }),
        stage(StageKind::Split { bounds: vec![20], part: 0 }),
        stage(StageKind::Shuffle { window: 6, seed: None }),
        stage(StageKind::Batch { size: 8 }),
    ];
    stages.extend(prefetch.map(|batches| stage(StageKind::Prefetch { batches })));
    csv(&path, stages)
}

#[test]
fn a_feed_opened_at_a_cursor_goes_on_exactly() {
    let folder = folder();
    for prefetch in [None, Some(1), Some(3), Some(usize::MAX)] {
        let recipe = counted(&folder, prefetch);
        let input = Input::open(&recipe, 9).unwrap();
        assert_eq!((input.examples(), input.batches(), input.batch_sizes()), (20, 3, vec![8, 4]));
        let mut feed = input.feed(Cursor::default()).unwrap();
        let all: Vec<Batch> = (0..10).map(|_| feed.next().unwrap()).collect();
        assert_eq!(
            all.iter().map(|batch| batch.examples).collect::<Vec<_>>(),
            [8, 8, 4, 8, 8, 4, 8, 8, 4, 8]
        );
        assert_eq!(all.iter().map(|batch| batch.epoch).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
        for (at, before) in all[..9].iter().enumerate() {
            let mut resumed = Feed::open(&recipe, 9, before.cursor).unwrap();
            assert!(all[at + 1..].iter().all(|expected| resumed.next().unwrap() == *expected));
        }
        let epoch = |n: usize| all[3 * n..3 * n + 3].iter().flat_map(xs).step_by(2).collect::<Vec<_>>();
        assert_ne!(epoch(0), epoch(1));
        let sorted = |mut examples: Vec<f32>| {
            examples.sort_by(f32::total_cmp);
            examples
        };
        assert_eq!(sorted(epoch(0)), sorted(epoch(1)));
        let other = Input::open(&recipe, 10).unwrap().pass().unwrap().next().unwrap().unwrap();
        assert_ne!(other.tensors, all[0].tensors, "another seed, another order");
    }
}

#[test]
fn the_end_of_an_epoch_is_the_start_of_the_next() {
    let folder = folder();
    let input = Input::open(&counted(&folder, None), 0).unwrap();
    let [end, start] = [Cursor { epoch: 4, position: 20 }, Cursor { epoch: 5, position: 0 }];
    assert_eq!(input.feed(end).unwrap().next().unwrap(), input.feed(start).unwrap().next().unwrap());
    let beyond = input.feed(Cursor { epoch: 0, position: 21 }).err().unwrap();
    assert_eq!(beyond.fault, Fault::Cursor { position: 21, examples: 20 });
}

#[test]
fn consumers_do_not_disturb_each_other() {
    let folder = folder();
    let input = Input::open(&counted(&folder, Some(2)), 0).unwrap();
    let alone: Vec<Batch> = input.pass().unwrap().map(Result::unwrap).collect();
    assert_eq!(alone.len(), 3);
    let (mut first, mut second) = (input.pass().unwrap(), input.feed(Cursor::default()).unwrap());
    for expected in &alone {
        assert_eq!(first.next().unwrap().unwrap(), *expected);
        assert_eq!(second.next().unwrap(), *expected);
    }
    assert!(first.next().is_none());
    assert_eq!(second.next().unwrap().epoch, 1);
}

#[test]
fn parts_share_their_data_until_the_file_changes() {
    let folder = folder();
    let path = put(&folder, "a.csv", b"1,2,0\n3,4,1\n");
    let part = |part| {
        let split = stage(StageKind::Split { bounds: vec![1], part });
        Input::open(&csv(&path, [vec![split], batch(1)].concat()), 0).unwrap()
    };
    let (train, test) = (part(0), part(1));
    let first = |input: &Input| xs(&input.pass().unwrap().next().unwrap().unwrap());
    assert_eq!((first(&train), first(&test)), (vec![0.5, 1.0], vec![1.5, 2.0]));
    assert!(train.shares_data_with(&test));
    fs::write(&path, b"1,2,0\n8,8,1\n9,9,0\n").unwrap();
    let later = part(1);
    assert!(!train.shares_data_with(&later));
    assert_eq!(first(&later), [4.0, 4.0]);
    assert_eq!(first(&test), [1.5, 2.0]);
}

#[test]
fn recipes_are_plain_data() {
    let recipe = csv(Path::new("a.csv"), batch(3));
    let text = serde_json::to_string(&recipe).unwrap();
    assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe);
    let field = |name, shape, dtype| FieldShape { name, shape, dtype };
    assert_eq!(
        recipe.source.fields(),
        [field("x", vec![Some(2)], DType::F32), field("y", vec![], DType::I32)]
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), text in "[0-9,.\n\"eE-]{0,80}") {
        let folder = folder();
        for (name, bytes) in [("a.csv", &bytes[..]), ("b.csv", text.as_bytes())] {
            let path = put(&folder, name, bytes);
            if let Ok(input) = Input::open(&csv(&path, batch(2)), 0) {
                input.pass().unwrap().for_each(|batch| drop(batch.unwrap()));
            }
            drop(inspect_csv(&path, None, 0));
            drop(inspect_array(&path, 0));
        }
        let code = [8, 9, 11, 12, 13, 14][bytes.len() % 6];
        let path = put(&folder, "c", &[&[0, 0, code, 1, 0, 0, 0], &bytes[..]].concat());
        if let Ok(input) = Input::open(&idx(&[("x", &path, &[], DType::F32, None)], batch(2)), 0) {
            input.pass().unwrap().for_each(|batch| drop(batch.unwrap()));
        }
    }
}
