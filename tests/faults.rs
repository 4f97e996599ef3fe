//! What can go wrong around a run, through the real command: each ends with a message that says where, what was
//! expected and what was found, with exit code 1, without a panic, and with nothing lost that was kept before.
//!
//! What this machine cannot play through (a disk of our own that fills up needs the right to mount one) is counted
//! as ignored, never as passed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use strata_runtime::checkpoint::{self, Meta};
use support::{TINY, command, run_folder, strata, tensors, tiny, tiny_csv, tiny_with};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let test = |name: &str, run: fn()| {
        let run = move || -> Result<(), Failed> {
            run();
            Ok(())
        };
        Trial::test(name.to_string(), run)
    };
    let mut trials = vec![
        test("spec/no text", spec_no_text),
        test("data/missing", data_missing),
        test("data/empty", data_empty),
        test("data/truncated", data_truncated),
        test("data/corrupt", data_corrupt),
        test("data/label out of range", data_label_out_of_range),
        test("data/word or nan in a cell", data_word_in_a_cell),
        test("data/short row", data_short_row),
        test("data/changed under a run", data_changed_under_a_run),
        test("data/a folder", data_a_folder),
        test("data/damaged idx", data_damaged_idx),
        test("data/damaged text", data_damaged_text),
        test("data/a text that changed under a run", data_text_changed_under_a_run),
        test("checkpoint/missing", checkpoint_missing),
        test("checkpoint/of another model", checkpoint_of_another_model),
        test("checkpoint/from a newer version", checkpoint_from_a_newer_version),
        test("checkpoint/truncated or damaged", checkpoint_damaged),
        test("checkpoint/parameters only", checkpoint_parameters_only),
        test("numbers/a loss that is not finite", loss_not_finite),
        test("numbers/nothing kept is touched", loss_not_finite_after_keeping),
        test("output/nobody can write to /dev/full", output_full),
    ];
    let unix = [
        test("folder/a file is in the way", folder_is_a_file),
        test("folder/files may not grow", files_may_not_grow),
        test("kill/at any moment of saving", killed_while_saving),
    ];
    trials.extend(unix.map(|trial| trial.with_ignored_flag(!cfg!(unix))));
    trials.push(
        test("folder/no leave to write", folder_without_leave).with_ignored_flag(!leave_can_be_taken()),
    );
    trials.push(test("folder/a full disk", full_disk).with_ignored_flag(!can_mount()));
    libtest_mimic::run(&arguments, trials).exit_code()
}

// ---- specs ----

fn spec_no_text() {
    let folder = tiny();
    let path = folder.path().join("tiny.model");
    let old: Vec<u8> = "// größe\n".chars().map(|c| c as u8).chain(TINY.bytes()).collect();
    for (bytes, word) in [
        (old.clone(), "tiny.model:1:6: error[not-utf8]: byte 0xF6 in line 1, at offset 5"),
        (vec![0xff, 0xfe, b'm', 0], "UTF-16"),
        (fs::read(std::env::current_exe().unwrap()).unwrap(), "tiny.model:"),
    ] {
        fs::write(&path, &bytes).unwrap();
        for name in ["check", "train", "fmt"] {
            let done = strata(folder.path(), &[name, "tiny.model", "--format", "short"]);
            let done = done.bad(&["error[not-utf8]", word]);
            assert_eq!(done.err.lines().count(), 1, "{}", done.err);
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    fs::write(folder.path().join("old.model"), old).unwrap();
    let text = TINY.replace("dense(3)", "block(3)");
    fs::write(&path, format!("use \"old.model\"\n{text}")).unwrap();
    let done = strata(folder.path(), &["check", "tiny.model"]).bad(&["old.model:1:6", "tiny.model:1:5"]);
    assert_eq!(done.err.matches("error[").count(), 1, "{}", done.err);
}

// ---- data ----

fn data_missing() {
    let folder = tiny();
    fs::remove_file(folder.path().join("tiny.csv")).unwrap();
    for name in ["check", "train"] {
        strata(folder.path(), &[name, "tiny.model"]).bad(&["tiny.csv", "tiny.model:12:24"]);
    }
}

fn data_empty() {
    let folder = tiny();
    fs::write(folder.path().join("tiny.csv"), "").unwrap();
    strata(folder.path(), &["train", "tiny.model"]).bad(&["tiny.csv", "tiny.model:12:"]);
}

/// The rows as gzip packs them.
fn packed() -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(tiny_csv().as_bytes()).unwrap();
    to.finish().unwrap()
}

fn with_packed(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tiny();
    fs::remove_file(folder.path().join("tiny.csv")).unwrap();
    fs::write(folder.path().join("tiny.csv.gz"), bytes).unwrap();
    folder
}

fn data_truncated() {
    let whole = packed();
    strata(with_packed(&whole).path(), &["check", "tiny.model"]).good();
    let folder = with_packed(&whole[..whole.len() / 2]);
    strata(folder.path(), &["train", "tiny.model"]).bad(&["tiny.csv", "gzip", "tiny.model:12:"]);
}

fn data_corrupt() {
    let mut bytes = packed();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xff);
    let folder = with_packed(&bytes);
    strata(folder.path(), &["train", "tiny.model"]).bad(&["tiny.csv", "gzip", "tiny.model:12:"]);
}

/// The tiny data with one line (from 1) replaced.
fn with_line(number: usize, line: &str) -> tempfile::TempDir {
    let folder = tiny();
    let csv = tiny_csv();
    let mut lines: Vec<&str> = csv.lines().collect();
    lines[number - 1] = line;
    fs::write(folder.path().join("tiny.csv"), lines.join("\n")).unwrap();
    folder
}

fn data_label_out_of_range() {
    let folder = with_line(77, "1,0,0,0,3");
    strata(folder.path(), &["train", "tiny.model"]).bad(&["label-range", "3", "tiny.model:"]);
    let folder = with_line(77, "1,0,0,0,1.5");
    strata(folder.path(), &["train", "tiny.model"]).bad(&["not whole numbers", "tiny.model:12:"]);
}

fn data_word_in_a_cell() {
    for word in ["abc", "NaN", "", "1e999"] {
        let folder = with_line(77, &format!("1,0,{word},0,1"));
        strata(folder.path(), &["train", "tiny.model"]).bad(&["line 77", "tiny.model:12:"]);
    }
}

fn data_short_row() {
    let folder = with_line(77, "1,0,0,1");
    strata(folder.path(), &["train", "tiny.model"]).bad(&["line 77", "5", "4"]);
}

fn data_changed_under_a_run() {
    let folder = tiny_with("feed     train |> shuffle(110)", "feed     all |> shuffle(150)");
    strata(folder.path(), &["train", "tiny.model", "--steps", "9", "--quiet"]).good();
    let run = run_folder(folder.path());
    let before = tensors(&run.join("last.safetensors"));
    let fewer: String = tiny_csv().lines().take(115).map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("tiny.csv"), fewer).unwrap();
    let run_name = run.display().to_string();
    let again = ["train", "tiny.model", "--steps", "20", "--quiet", "--resume", &run_name];
    strata(folder.path(), &again).bad(&["after 144 examples", "has 115"]);
    assert_eq!(tensors(&run.join("last.safetensors")), before);
}

fn data_a_folder() {
    let folder = tiny();
    fs::remove_file(folder.path().join("tiny.csv")).unwrap();
    fs::create_dir(folder.path().join("tiny.csv")).unwrap();
    strata(folder.path(), &["train", "tiny.model"]).bad(&["tiny.csv", "tiny.model:12:"]);
}

/// A spec over idx files, and the bytes of two sound ones.
fn with_idx(images: &[u8], labels: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = r#"idx(x: array("images", as: [4]) / 255, y: array("labels"))"#;
    let text = TINY.replace(r#"csv("tiny.csv", x: columns(0..4), y: column(4))"#, source);
    fs::write(folder.path().join("tiny.model"), text).unwrap();
    fs::write(folder.path().join("images"), images).unwrap();
    fs::write(folder.path().join("labels"), labels).unwrap();
    folder
}

fn idx() -> (Vec<u8>, Vec<u8>) {
    let header = |sizes: &[u32]| {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes
    };
    let mut images = header(&[150, 2, 2]);
    images.extend((0..600_u32).map(|i| (i * 37 % 256) as u8));
    let mut labels = header(&[150]);
    labels.extend((0..150).map(|i| i % 3));
    (images, labels)
}

fn data_damaged_idx() {
    let (images, labels) = idx();
    strata(with_idx(&images, &labels).path(), &["train", "tiny.model", "--steps", "2", "--quiet"]).good();
    let train = |images: &[u8], labels: &[u8], words: &[&str]| {
        strata(with_idx(images, labels).path(), &["train", "tiny.model"]).bad(words);
    };
    train(&images[..500], &labels, &["images", "600", "484"]);
    train(&images, &labels[..100], &["labels", "150", "92"]);
    train(b"hello, world", &labels, &["images"]);
    train(&[], &labels, &["images"]);
    let mut wrong = labels.clone();
    wrong[50] = 9;
    train(&images, &wrong, &["9"]);
}

/// A model of words, two columns of a text.
const WORDS: &str = r#"model Words(vocab: axis) {
  input a: i32[batch, time]
  input b: i32[batch, time]
  logits = cast(a, f32) |> new_axis(at: 2) |> dense(vocab)
  loss cross_entropy(logits, b)
}
data pairs = text("words.tsv", a: column(0), b: column(1)) |> tokens(words)
train Words(vocab: size(b)) {
  feed     pairs |> shuffle(9) |> pad(5) |> batch(4)
  optimize sgd(rate: 0.1)
  stop     after 2 epochs
}
"#;

fn with_text(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("words.model"), WORDS).unwrap();
    fs::write(folder.path().join("words.tsv"), bytes).unwrap();
    folder
}

fn words() -> String {
    (0..10).map(|row| format!("w{row} a b\tb a w{}\n", row % 3)).collect()
}

fn data_damaged_text() {
    let train = |bytes: &[u8], words: &[&str]| {
        strata(with_text(bytes).path(), &["train", "words.model"]).bad(words);
    };
    let run = ["train", "words.model", "--quiet"];
    strata(with_text(words().as_bytes()).path(), &run).good();
    train(b"", &["words.tsv", "not a single example", "words.model:7:"]);
    train(b"a\tb\nonly one\n", &["line 2", "expected 2 cells", "found 1", "words.model:7:"]);
    train(b"one\nother\n", &["no column 1", "the lines have 1", "words.model:7:"]);
    train(b"a\tb\na\t\xff\n", &["line 2", "UTF-8", "0xff", "words.model:7:"]);
    train(b"a\tb\na b c d e f\tb\n", &["up to 7 steps", "room is for 5", "words.model:9:"]);
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(words().as_bytes()).unwrap();
    let packed = to.finish().unwrap();
    strata(with_text(&packed).path(), &run).good();
    train(&packed[..packed.len() / 2], &["gzip", "cut short", "words.model:7:"]);
    let folder = with_text(b"");
    fs::remove_file(folder.path().join("words.tsv")).unwrap();
    strata(folder.path(), &["check", "words.model"]).bad(&["words.tsv", "no such file", "words.model:7:"]);
    fs::create_dir(folder.path().join("words.tsv")).unwrap();
    strata(folder.path(), &["check", "words.model"]).bad(&["words.tsv", "words.model:7:"]);
    let folder = with_text(words().as_bytes());
    fs::write(folder.path().join("words.model"), WORDS.replace("tokens(words)", "tokens(\"t.json\")"))
        .unwrap();
    strata(folder.path(), &["check", "words.model"]).bad(&["t.json", "no such file", "words.model:7:"]);
}

/// Another text has another vocabulary, and so another model.
fn data_text_changed_under_a_run() {
    let folder = with_text(words().as_bytes());
    strata(folder.path(), &["train", "words.model", "--steps", "3", "--quiet"]).good();
    let runs = fs::read_dir(folder.path().join("runs/words")).unwrap().next().unwrap().unwrap().path();
    let run = runs.display().to_string();
    let again = ["train", "words.model", "--steps", "9", "--quiet", "--resume", &run];
    strata(folder.path(), &again).good();
    fs::write(folder.path().join("words.tsv"), words().replace("w7", "w77 w78")).unwrap();
    strata(folder.path(), &again).bad(&["data-mismatch", "12 tokens then, 13 now", "such as \"w77\""]);
    // Where the run's vocabulary is lost, shapes tell.
    fs::remove_file(folder.path().join(&run).join("vocabulary.json")).unwrap();
    strata(folder.path(), &again).bad(&["misshapen: ", "[1, 17]", "[1, 16]"]);
}

// ---- checkpoints ----

/// A folder with a finished run, and the path of a file in it.
fn trained(file: &str) -> (tempfile::TempDir, String) {
    let folder = tiny();
    strata(folder.path(), &["train", "tiny.model", "--steps", "5", "--quiet"]).good();
    let path = run_folder(folder.path()).join(file).display().to_string();
    (folder, path)
}

fn checkpoint_missing() {
    let folder = tiny();
    strata(folder.path(), &["train", "tiny.model", "--resume", "no/such/run"]).bad(&["no/such/run"]);
    fs::create_dir(folder.path().join("killed")).unwrap();
    strata(folder.path(), &["train", "tiny.model", "--resume", "killed"])
        .bad(&["killed: ", "no state was kept"]);
    strata(folder.path(), &["eval", "tiny.model", "--params", "no.safetensors"]).bad(&["no.safetensors"]);
}

fn checkpoint_of_another_model() {
    let (folder, params) = trained("final.safetensors");
    let other = ["eval", "tiny.model", "--set", "units=7", "--params", &params];
    strata(folder.path(), &other).bad(&["Tiny", "[4, 7]", "[4, 16]"]);
    let run = Path::new(&params).parent().unwrap().display().to_string();
    let other = ["train", "tiny.model", "--set", "units=7", "--resume", &run];
    strata(folder.path(), &other).bad(&[
        "not a checkpoint of `Tiny`",
        "misshapen: hidden/dense/w, expected f32[4, 7], found f32[4, 16]",
    ]);
    let text = TINY.replace("dense(3)", "dense(3) as head");
    fs::write(folder.path().join("tiny.model"), text).unwrap();
    strata(folder.path(), &["eval", "tiny.model", "--params", &params])
        .bad(&["missing: head/", "left over: "]);
}

fn checkpoint_from_a_newer_version() {
    let (folder, last) = trained("last.safetensors");
    let bytes = fs::read(&last).unwrap();
    let old = br#"\"version\":1"#;
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    let mut newer = bytes.clone();
    newer[at + old.len() - 1] = b'7';
    fs::write(&last, newer).unwrap();
    for how in [["train", "--resume"], ["eval", "--params"]] {
        strata(folder.path(), &[how[0], "tiny.model", how[1], &last]).bad(&["version 7", "up to 1"]);
    }
}

fn checkpoint_damaged() {
    let (folder, last) = trained("last.safetensors");
    let bytes = fs::read(&last).unwrap();
    for (damaged, word) in [
        (bytes[..bytes.len() / 2].to_vec(), "expected at least"),
        (bytes[..4].to_vec(), "expected at least"),
        (Vec::new(), "expected at least"),
        (b"not a checkpoint at all, just some text".to_vec(), "last.safetensors"),
        (flipped(&bytes), "checksum"),
    ] {
        fs::write(&last, damaged).unwrap();
        // Parameters of others are taken too, but none of ours that is not whole.
        for how in [["train", "--resume"], ["eval", "--params"]] {
            strata(folder.path(), &[how[0], "tiny.model", how[1], &last]).bad(&[&last, word]);
        }
    }
}

/// One bit of the last number is another.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

fn checkpoint_parameters_only() {
    let (folder, params) = trained("final.safetensors");
    let resume = ["train", "tiny.model", "--resume", &params];
    strata(folder.path(), &resume).bad(&[&params, "missing: "]);
}

// ---- numbers ----

fn loss_not_finite() {
    let folder = tiny_with("rate: 0.1", "rate: 1e20");
    let done = strata(folder.path(), &["train", "tiny.model"]);
    let done = done.bad(&["not-finite", "step ", "of epoch 1", "tiny.model:"]);
    assert!(["NaN", "inf", "-inf"].iter().any(|word| done.err.contains(word)), "{}", done.err);
    // The line is one of the model's own: where the first tensor that was not finite is computed.
    let line = done.err.split("tiny.model:").nth(1).unwrap();
    let line: usize = line.split(':').next().unwrap().parse().unwrap();
    assert!((5..=9).contains(&line), "{}", done.err);
}

fn loss_not_finite_after_keeping() {
    let text = TINY.replace("rate: 0.1", "rate: 3.5e3").replace("momentum: 0.9", "momentum: 0.99");
    let text = text.replace("stop     after 6 epochs", "save     every 1 step\n  stop     after 500 epochs");
    let text = text.replace("|> relu |> dropout(0.2)", "");
    let folder = tiny();
    fs::write(folder.path().join("tiny.model"), text).unwrap();
    let done =
        strata(folder.path(), &["train", "tiny.model"]).bad(&["not-finite", "holds the state after step"]);
    let number_after = |word: &str| -> u64 {
        let rest = done.err.split(word).nth(1).unwrap();
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let (failed, kept) = (number_after("step "), number_after("state after step "));
    assert!(kept >= 1 && kept < failed, "{}", done.err);
    let (kept, _) = checkpoint::load(&run_folder(folder.path()).join("last.safetensors")).unwrap();
    for (name, tensor) in kept {
        assert!(tensor.as_f32().unwrap().iter().all(|x| x.is_finite()), "{name}");
    }
}

// ---- files ----

fn output_full() {
    let (folder, params) = trained("final.safetensors");
    let out = ["predict", "tiny.model", "--params", &params, "--data", "tiny.csv", "--out", "/dev/full"];
    if Path::new("/dev/full").exists() {
        strata(folder.path(), &out).bad(&["No space left"]);
    }
}

fn folder_is_a_file() {
    let folder = tiny();
    fs::write(folder.path().join("runs"), "").unwrap();
    strata(folder.path(), &["train", "tiny.model"]).bad(&["runs"]);
}

fn folder_without_leave() {
    let folder = tiny();
    fs::create_dir(folder.path().join("runs")).unwrap();
    let mut permissions = fs::metadata(folder.path().join("runs")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(folder.path().join("runs"), permissions).unwrap();
    strata(folder.path(), &["train", "tiny.model"]).bad(&["runs", "Permission denied"]);
}

/// Root may write everywhere.
fn leave_can_be_taken() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut permissions = fs::metadata(folder.path()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(folder.path(), permissions).is_ok() && fs::write(folder.path().join("a"), "").is_err()
}

/// A limit on the size of files stops a write half way, as a full disk does, and any user can set one.
fn files_may_not_grow() {
    let folder = tiny_with("units: axis = 16", "units: axis = 4000");
    let strata = command(folder.path(), &[]).get_program().to_os_string();
    let script = format!("trap '' XFSZ; ulimit -f 100; exec '{}' train tiny.model --quiet", strata.display());
    let mut shell = Command::new("sh");
    shell.current_dir(folder.path()).args(["-c", &script]);
    let done = support::Done::from(shell.output().unwrap()).bad(&["last.safetensors", "too large"]);
    assert!(done.err.contains("no state was kept"), "{}", done.err);
    let run = run_folder(folder.path());
    let left: Vec<_> = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("safetensors")), "{left:?}");
}

/// A disk of our own of so many bytes; unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(bytes: usize) -> Option<Disk> {
        let folder = tempfile::tempdir().ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Disk(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

fn can_mount() -> bool {
    Disk::mount(1 << 16).is_some()
}

fn full_disk() {
    let folder = tiny_with("stop     after 6 epochs", "save     every 1 step\n  stop     after 500 epochs");
    let disk = Disk::mount(1 << 20).unwrap();
    let out = disk.0.path().display().to_string();
    let train = ["train", "tiny.model", "--quiet", "--set", "units=2000", "--out", &out];
    // The run's numbers fill the disk in the end; whatever was kept before must still be whole.
    fs::write(disk.0.path().join("ballast"), vec![0; 700 << 10]).unwrap();
    let done = strata(folder.path(), &train).bad(&["No space left"]);
    let runs = fs::read_dir(disk.0.path().join("tiny")).unwrap();
    for run in runs {
        let last = run.unwrap().path().join("last.safetensors");
        assert_eq!(last.exists(), done.err.contains("holds the state after step"), "{}", done.err);
        if last.exists() {
            checkpoint::load(&last).unwrap();
        }
    }
}

/// Kills a run that keeps its state after every step, at moments spread over its saves; whatever is there then
/// must load, and the run must go on from it to the same bits.
fn killed_while_saving() {
    let text = TINY.replace("stop     after 6 epochs", "save     every 1 step\n  stop     after 200 steps");
    let spec = |folder: &Path| fs::write(folder.join("tiny.model"), &text).unwrap();
    let whole = tiny();
    spec(whole.path());
    let start = Instant::now();
    strata(whole.path(), &["train", "tiny.model", "--quiet", "--threads", "1"]).good();
    let length = start.elapsed();
    let expected = tensors(&run_folder(whole.path()).join("last.safetensors"));
    let mut found = 0;
    for part in 1..=8 {
        let folder = tiny();
        spec(folder.path());
        let mut child =
            command(folder.path(), &["train", "tiny.model", "--quiet", "--threads", "1"]).spawn().unwrap();
        std::thread::sleep(length * part / 9 + Duration::from_micros(317 * u64::from(part)));
        child.kill().unwrap();
        child.wait().unwrap();
        let run = run_folder(folder.path());
        let last = run.join("last.safetensors");
        if !last.exists() {
            continue; // killed before the first save was whole
        }
        let (_, Meta { step, .. }) = checkpoint::load(&last).unwrap();
        assert!(step >= 1);
        found += 1;
        let run = run.display().to_string();
        strata(folder.path(), &["train", "tiny.model", "--quiet", "--resume", &run]).good();
        assert_eq!(tensors(&last), expected, "killed after step {step}");
    }
    assert!(found >= 4, "only {found} of 8 kills came after a save");
}
