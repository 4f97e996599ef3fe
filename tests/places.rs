//! Specs over several devices as their users meet them: the same numbers wherever parts run.

mod support;

use std::fs;
use std::path::Path;

use support::{TINY, run_folder_in, strata, tensors, tiny};

/// Ways to place the tiny model.
const PLACES: [&str; 5] = [
    "devices { cpu[2] }\nplace Tiny { hidden on cpu[0]; logits on cpu[1] }\n",
    "devices { cpu[3] }\nplace Tiny { hidden, logits split over cpu[0..3] by batch }\n",
    "devices { cpu[2] }\nplace Tiny { hidden split over cpu[0..2] by units }\n",
    "devices { cpu[4] }\nplace Tiny { hidden split over cpu[0..4] by batch, units\n logits on cpu[2] }\n",
    "devices { gpu[8] }\nplace Tiny { hidden on gpu[7] }\n",
];

fn place(folder: &Path, place: &str) {
    fs::write(folder.join("tiny.model"), format!("{TINY}\n{place}")).expect("the folder can be written to");
}

#[test]
fn a_placed_model_learns_the_same_bits() {
    let folder = tiny();
    strata(folder.path(), &["train", "tiny.model", "--quiet", "--out", "one"]).good();
    let wanted = tensors(&run_folder_in(&folder.path().join("one")).join("final.safetensors"));
    for (at, line) in PLACES.iter().enumerate() {
        place(folder.path(), line);
        let out = format!("placed{at}");
        strata(folder.path(), &["train", "tiny.model", "--quiet", "--out", &out]).good();
        let found = tensors(&run_folder_in(&folder.path().join(&out)).join("final.safetensors"));
        assert_eq!(found, wanted, "{line}");
    }
}

#[test]
fn a_run_goes_on_wherever_its_parts_run_then() {
    let folder = tiny();
    strata(folder.path(), &["train", "tiny.model", "--quiet", "--out", "one"]).good();
    let wanted = tensors(&run_folder_in(&folder.path().join("one")).join("final.safetensors"));
    place(folder.path(), PLACES[1]);
    strata(folder.path(), &["train", "tiny.model", "--quiet", "--out", "part", "--epochs", "3"]).good();
    let begun = run_folder_in(&folder.path().join("part"));
    place(folder.path(), PLACES[2]);
    let resume = begun.to_string_lossy();
    strata(folder.path(), &["train", "tiny.model", "--quiet", "--resume", &resume]).good();
    assert_eq!(tensors(&begun.join("final.safetensors")), wanted);
}

#[test]
fn plans_tell_and_verification_agrees() {
    let folder = tiny();
    for line in PLACES {
        place(folder.path(), line);
        let plan = strata(folder.path(), &["plan", "tiny.model"]).good();
        assert!(plan.out.contains("pu["), "{}", plan.out);
        let json = strata(folder.path(), &["plan", "tiny.model", "--json"]).good().json();
        assert!(!json.is_empty());
        let same = strata(folder.path(), &["verify", "tiny.model", "--steps", "2"]).good();
        assert!(same.out.contains("bit for bit"), "{}", same.out);
    }
}

#[test]
fn what_does_not_fit_is_said_before_anything_runs() {
    let folder = tiny();
    place(folder.path(), "devices { cpu[2]: 1 KiB }\nplace Tiny { hidden on cpu[0]; logits on cpu[1] }\n");
    for command in ["plan", "train"] {
        strata(folder.path(), &[command, "tiny.model"]).bad(&["device-memory", "needs", "cpu["]);
    }
}
