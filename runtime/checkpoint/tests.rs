//! Saved and loaded; damaged in every way; killed at any moment.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// In memory where there is such a place: some disks take their time over thousands of small files.
fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn meta(step: u64) -> Meta {
    Meta {
        step,
        cursor: Cursor { epoch: 3, position: u64::MAX },
        seed: u64::MAX,
        fingerprint: "sha256:ab".to_string(),
        extra: BTreeMap::from([("spec".to_string(), "specs/digits.model\n\"x\"".to_string())]),
    }
}

fn tensors(step: u64) -> Vec<(String, Tensor)> {
    let weights: Vec<f32> = (0..6).map(|n| (n + step) as f32).collect();
    vec![
        ("flags".to_string(), Tensor::from_bytes(DType::Bool, &[3], &[1, 0, 1]).unwrap()),
        ("dense/weight".to_string(), Tensor::from_f32(&[2, 3], &weights).unwrap()),
        ("empty".to_string(), Tensor::zeros(DType::F32, &[0, 4])),
        ("scale".to_string(), Tensor::from_bytes(DType::F64, &[], &f64::NAN.to_ne_bytes()).unwrap()),
    ]
}

fn save_step(path: &Path, step: u64) -> Result<(), CheckpointError> {
    let tensors = tensors(step);
    let borrowed: Vec<(String, &Tensor)> = tensors.iter().map(|(name, t)| (name.clone(), t)).collect();
    save(path, &borrowed, &meta(step))
}

fn sorted(mut tensors: Vec<(String, Tensor)>) -> Vec<(String, DType, Vec<usize>, Vec<u8>)> {
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors.into_iter().map(|(n, t)| (n, t.dtype(), t.shape().to_vec(), t.bytes().to_vec())).collect()
}

fn is_step(path: &Path, step: u64) {
    let (found, found_meta) = load(path).unwrap();
    assert_eq!(found_meta, meta(step));
    assert_eq!(sorted(found), sorted(tensors(step)));
}

#[test]
fn what_is_loaded_is_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    for step in [1, 2] {
        save_step(&path, step).unwrap();
        is_step(&path, step);
    }
    let names: Vec<String> = load(&path).unwrap().0.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["scale", "dense/weight", "empty", "flags"], "wider first, else in the order given");
    let others = fs::read(&path).unwrap();
    let others = safetensors::SafeTensors::deserialize(&others).unwrap();
    assert_eq!(others.tensor("dense/weight").unwrap().shape(), [2, 3]);
}

#[test]
fn any_cut_and_any_changed_bit_is_an_error() {
    let folder = quick_folder();
    let (path, damaged) = (folder.path().join("a"), folder.path().join("b"));
    save_step(&path, 1).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&damaged, &whole[..length]).unwrap();
        let fault = load(&damaged).unwrap_err().fault;
        assert!(matches!(fault, CheckpointFault::Truncated { .. }), "cut at {length}: {fault}");
    }
    fs::write(&damaged, [whole.as_slice(), b"x"].concat()).unwrap();
    assert!(matches!(load(&damaged).unwrap_err().fault, CheckpointFault::Corrupt { .. }));
    for at in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[at / 8] ^= 1 << (at % 8);
        fs::write(&damaged, &changed).unwrap();
        assert!(load(&damaged).is_err(), "bit {at} of {:?}", String::from_utf8_lossy(&whole));
    }
}

#[test]
fn files_of_others_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    assert_eq!(load(&path).unwrap_err().fault, CheckpointFault::Missing);
    assert!(matches!(load(folder.path()).unwrap_err().fault, CheckpointFault::Unreadable { .. }));
    assert!(matches!(load(Path::new("/dev/zero")).unwrap_err().fault, CheckpointFault::Unreadable { .. }));

    fs::write(&path, b"%PDF-1.4 and so on").unwrap();
    assert!(matches!(load(&path).unwrap_err().fault, CheckpointFault::Corrupt { .. }));

    let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![2], &[0; 8]).unwrap();
    fs::write(&path, safetensors::serialize([("w", view)], None).unwrap()).unwrap();
    assert_eq!(load(&path).unwrap_err().fault, CheckpointFault::Foreign);
    assert_eq!(load_tensors(&path).unwrap(), [("w".to_string(), Tensor::zeros(DType::F32, &[2]))]);

    let view = safetensors::tensor::TensorView::new(Dtype::U16, vec![4], &[0; 8]).unwrap();
    fs::write(&path, safetensors::serialize([("w", view)], None).unwrap()).unwrap();
    assert!(matches!(load_tensors(&path).unwrap_err().fault, CheckpointFault::Dtype { .. }));
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    // Whatever else a newer program writes.
    let text = r#"{"format":"strata checkpoint","version":2,"steps":{"a":1}}"#.to_string();
    let entries = HashMap::from([("strata".to_string(), text)]);
    let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![2], &[0; 8]).unwrap();
    fs::write(&path, safetensors::serialize([("w", view)], Some(entries)).unwrap()).unwrap();
    let error = load(&path).unwrap_err();
    assert_eq!(error.fault, CheckpointFault::Newer { version: 2, known: 1 });
    assert!(error.to_string().contains("newer program"));
}

#[test]
fn a_save_that_fails_says_so_and_keeps_what_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    save_step(&path, 1).unwrap();
    let twice = [
        ("w".to_string(), &Tensor::zeros(DType::F32, &[2])),
        ("w".to_string(), &Tensor::zeros(DType::F32, &[2])),
    ];
    assert!(matches!(save(&path, &twice, &meta(2)).unwrap_err().fault, CheckpointFault::Unwritable { .. }));
    is_step(&path, 1);
    for place in ["none/a", "a/b", ""] {
        let error = save_step(&folder.path().join(place), 2).unwrap_err();
        assert!(matches!(error.fault, CheckpointFault::Unwritable { .. }), "{error}");
    }
}

/// Accepts so many bytes, then the disk is full.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_fills_at_any_byte_is_an_error() {
    let tensors = tensors(1);
    let borrowed: Vec<(String, &Tensor)> = tensors.iter().map(|(name, t)| (name.clone(), t)).collect();
    let layout = Layout::new(&borrowed, &meta(1)).unwrap();
    let mut whole = Vec::new();
    layout.write(&mut whole).unwrap();
    for room in 0..whole.len() {
        assert_eq!(layout.write(&mut Full(room)).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
    layout.write(&mut Full(whole.len())).unwrap();
    if let Ok(mut full) = File::options().write(true).open("/dev/full") {
        assert!(layout.write(&mut full).is_err());
    }
}

/// Set in the process that saves until it is killed.
const SAVE_HERE: &str = "STRATA_TEST_SAVE_HERE";

#[test]
fn a_kill_at_any_moment_leaves_a_whole_file() {
    // Large enough that most kills come while a file is being written, small enough to be quick.
    let save_large = |path: &Path, step: u64| {
        let values = vec![step as f32; 1 << 17];
        let tensor = Tensor::from_f32(&[1 << 17], &values).unwrap();
        save(path, &[("w".to_string(), &tensor)], &meta(step)).unwrap();
    };
    if let Some(path) = std::env::var_os(SAVE_HERE) {
        for step in 1.. {
            save_large(Path::new(&path), step);
        }
    }
    let folder = quick_folder();
    let path = folder.path().join("a.safetensors");
    save_large(&path, 0);
    let mut steps = Vec::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "checkpoint::tests::a_kill_at_any_moment_leaves_a_whole_file", "--nocapture"])
            .env(SAVE_HERE, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        // Wait for its first save, then some more.
        while load(&path).unwrap().1.step == 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(100 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let (tensors, meta) = load(&path).unwrap();
        assert!(tensors[0].1.as_f32().unwrap().iter().all(|value| *value == meta.step as f32));
        steps.push(meta.step);
        save_large(&path, 0);
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "what the kill left was cleared");
    }
    assert!(steps.iter().all(|step| *step > 0), "{steps:?}");
}

#[test]
fn another_model_is_described() {
    let expected = |name: &str, dtype, shape: &[usize]| (name.to_string(), dtype, shape.to_vec());
    let found = tensors(0);
    let fits: Vec<Expected> = found.iter().map(|(n, t)| expected(n, t.dtype(), t.shape())).collect();
    assert!(compare(&fits, &found).is_empty());
    let other = [
        expected("dense/weight", DType::F32, &[3, 2]),
        expected("flags", DType::U8, &[3]),
        expected("bias", DType::F32, &[3]),
    ];
    assert_eq!(
        compare(&other, &found).to_string(),
        "missing: bias\nleft over: empty\nleft over: scale\nmisshapen: dense/weight, expected f32[3, 2], found \
         f32[2, 3]\nmisshapen: flags, expected u8[3], found bool[3]"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_loaded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), header in "[{}\"a-z:0-9\\[\\], ]{0,60}") {
        let folder = quick_folder();
        let path = folder.path().join("a");
        let framed = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes].concat();
        for bytes in [&bytes, &framed] {
            fs::write(&path, bytes).unwrap();
            prop_assert!(load(&path).is_err());
            drop(load_tensors(&path));
        }
    }
}
