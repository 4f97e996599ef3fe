//! LeNet on MNIST reaches what its twin in PyTorch reaches (`tests/peers/torch_twin.py`: 99.0 to 99.1 % after three
//! epochs, median of three seeds), give or take 0.15 points.
//!
//! MNIST is not shipped: `STRATA_DATA` says where `mnist/` lies. Without it this counts as ignored.

mod support;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use support::{Done, command, root};

/// The lower end of the twin's medians, less what is granted.
const ENOUGH: f64 = 0.990 - 0.0015;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let data = std::env::var("STRATA_DATA").unwrap_or_default();
    let there = Path::new(&data).join("mnist").is_dir();
    let lenet = Trial::test("LeNet, three epochs, median of three seeds", move || lenet(&data));
    libtest_mimic::run(&arguments, vec![lenet.with_ignored_flag(!there)]).exit_code()
}

fn lenet(data: &str) -> Result<(), Failed> {
    let out = tempfile::tempdir()?;
    let out = out.path().display().to_string();
    let run = |seed: &str| {
        let train = ["train", "specs/mnist_lenet.model", "--epochs", "3", "--seed", seed];
        let train = [&train[..], &["--data", data, "--out", &out, "--json"]].concat();
        let lines = Done::from(command(&root(), &train).output()?).good().json();
        let last = lines.last().ok_or("the run said nothing")?;
        last["reached"]["test"]["accuracy"].as_f64().ok_or_else(|| Failed::from(last.to_string()))
    };
    let mut found = ["1", "2", "3"].into_iter().map(run).collect::<Result<Vec<f64>, Failed>>()?;
    found.sort_by(f64::total_cmp);
    if found[1] >= ENOUGH { Ok(()) } else { Err(format!("accuracies {found:?}, expected {ENOUGH}").into()) }
}
