//! The `strata` command as its users meet it: run in a folder of its own, judged by what it says and leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use strata_runtime::Tensor;
use strata_runtime::checkpoint;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The command, to be run in `folder`.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strata"));
    command.current_dir(folder).args(args).env_remove("STRATA_DATA").env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What came of a command.
#[derive(Debug)]
pub struct Done {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let done = Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!done.err.contains("panicked at"), "{}", done.err);
        done
    }
}

impl Done {
    /// Asserts that it went well.
    pub fn good(self) -> Done {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// Asserts that it failed with exit code 1, saying all of `words`.
    pub fn bad(self, words: &[&str]) -> Done {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "no `{word}` in\n{}", self.err);
        }
        self
    }

    /// The objects on the standard output, one a line.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs the command in `folder`.
pub fn strata(folder: &Path, args: &[&str]) -> Done {
    command(folder, args).output().unwrap().into()
}

/// A small classifier with everything a run can have: dropout, momentum, shuffles, a short last batch.
pub const TINY: &str = r#"model Tiny(units: axis = 16) {
  input x: f32[batch, 4]
  input y: i32[batch]

  hidden = x |> dense(units) |> relu |> dropout(0.2)
  logits = hidden |> dense(3)

  loss cross_entropy(logits, y)
  metric accuracy(logits, y)
}

data all         = csv("tiny.csv", x: columns(0..4), y: column(4))
data train, test = all |> shuffle(150, seed: 1) |> split(at: 110)

train Tiny {
  feed     train |> shuffle(110) |> batch(16)
  optimize momentum(rate: 0.1, momentum: 0.9)
  evaluate test every 1 epoch
  stop     after 6 epochs
}
"#;

/// 150 rows of three classes that are easy to tell apart.
pub fn tiny_csv() -> String {
    let row = |i: u32| {
        let class = i % 3;
        let wobble = |k: u32| f64::from((i * 7 + k * 13) % 11) / 20.0;
        let x: Vec<String> =
            (0..4).map(|k| (if k == class { 1.0 + wobble(k) } else { wobble(k) }).to_string()).collect();
        format!("{},{class}\n", x.join(","))
    };
    (0..150).map(row).collect()
}

/// A folder with `tiny.model` and its data.
pub fn tiny() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.model"), TINY).unwrap();
    std::fs::write(folder.path().join("tiny.csv"), tiny_csv()).unwrap();
    folder
}

/// The tiny spec with a part of it replaced.
pub fn tiny_with(from: &str, to: &str) -> tempfile::TempDir {
    assert!(TINY.contains(from), "{from}");
    let folder = tiny();
    std::fs::write(folder.path().join("tiny.model"), TINY.replace(from, to)).unwrap();
    folder
}

/// Words of two letters and the same from behind.
pub const PAIRS: &str = r#"model Pairs {
  input source: i32[batch, ragged place]
  input target: i32[batch, ragged time]

  x, state = lstm(embedding(source, 9, 16), 16)
  y, _     = lstm(embedding(shift(target, with: START), 9, 16), 16, from: state)
  scores   = dense(y, 9)

  loss cross_entropy(scores, target)
  metric exact_sequence(scores, target)

  generate target { greedy; stop at END; at most 6 }
}

data pairs       = text("pairs.tsv", source: column(0), target: column(1)) |> tokens(characters)
data train, test = pairs |> split(at: 20)

train Pairs {
  feed     train |> pad |> batch(8)
  optimize adam(rate: 0.02)
  evaluate test every 4 epochs
  stop     after 8 epochs
}
"#;

/// A folder with `pairs.model` and its data.
pub fn pairs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let letters = ['a', 'b', 'c', 'd', 'e'];
    let line = |i: usize| {
        let (first, second) = (letters[i % 5], letters[(i / 5 + i) % 5]);
        format!("{first}{second}\t{second}{first}\n")
    };
    std::fs::write(folder.path().join("pairs.tsv"), (0..25).map(line).collect::<String>()).unwrap();
    std::fs::write(folder.path().join("pairs.model"), PAIRS).unwrap();
    folder
}

/// The only run's folder under `folder/runs`.
pub fn run_folder(folder: &Path) -> PathBuf {
    run_folder_in(&folder.join("runs"))
}

/// The only run's folder under `out`.
pub fn run_folder_in(out: &Path) -> PathBuf {
    let runs: Vec<PathBuf> = folders(out).iter().flat_map(|name| folders(name)).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// The tensors of a checkpoint in order of name, without what may differ between equal runs.
pub fn tensors(file: &Path) -> Vec<(String, Tensor)> {
    let (mut tensors, _) = checkpoint::load(file).unwrap();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    tensors
}
