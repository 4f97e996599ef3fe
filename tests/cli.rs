//! Every command as a user meets it: what it says, what it leaves, how it ends.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{TINY, command, pairs, root, run_folder, strata, tensors, tiny, tiny_with};

#[test]
fn every_command_has_examples() {
    let help = strata(&root(), &["--help"]).good().out;
    assert!(help.contains("Examples:"));
    for name in [
        "check", "compile", "train", "eval", "predict", "generate", "bench", "plan", "verify", "fmt",
        "explain",
    ] {
        assert!(help.contains(name), "{help}");
        let help = strata(&root(), &[name, "--help"]).good().out;
        assert!(help.contains("Examples:") && help.contains(&format!("strata {name}")), "{help}");
    }
    strata(&root(), &["lsp", "--help"]).good();
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = tiny();
    for args in [
        &["train"][..],
        &["frobnicate"],
        &["explain", "no-such-code"],
        &["train", "tiny.model", "--model", "Huge"],
        &["train", "tiny.model", "--epochs", "1", "--steps", "1"],
        &["train", "tiny.model", "--threads", "0"],
        &["train", "tiny.model", "--epochs", "0"],
        &["train", "tiny.model", "--epochs", "nan"],
        &["train", "tiny.model", "--steps", "0"],
        &["train", "tiny.model", "--set", "units"],
        &["train", "tiny.model", "--set", "unit=3"],
        &["check", "tiny.model", "--json", "--set", "depth=3"],
        &["check", "tiny.model", "--model", "Huge"],
    ] {
        let done = strata(folder.path(), args);
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.err);
        assert!(!done.err.is_empty());
    }
}

#[test]
fn a_run_that_is_not_there_is_never_passed_over() {
    let folder = tiny();
    let params = ["--params", "none.safetensors"];
    for (command, more) in [
        ("check", &[][..]),
        ("check", &["--json"]),
        ("compile", &["--emit", "ast"]),
        ("compile", &["--emit", "model"]),
        ("train", &[]),
        ("bench", &[]),
        ("eval", &params),
        ("generate", &params),
        ("predict", &[&params[..], &["--data", "tiny.csv"]].concat()),
    ] {
        let done = strata(folder.path(), &[&[command, "tiny.model", "--run", "tune"], more].concat());
        assert_eq!(done.code, Some(2), "{command}: {}", done.err);
        let told = "--run tune: the spec has no `train` block `tune`; there is Tiny";
        assert!(done.err.contains(told), "{command}: {}", done.err);
        let near = strata(folder.path(), &[&[command, "tiny.model", "--run", "Tiney"], more].concat());
        assert!(near.err.contains("did you mean `Tiny`?"), "{command}: {}", near.err);
    }
    strata(folder.path(), &["check", "tiny.model", "--run", "Tiny"]).good();
    // What is wrong with the spec comes first: the block may be in what could not be read.
    let text = TINY.replace("train Tiny {", "train Tiny { }}");
    fs::write(folder.path().join("tiny.model"), text).unwrap();
    for format in [&["--json"][..], &[]] {
        let done =
            strata(folder.path(), &[&["check", "tiny.model", "--run", "tune"], format].concat()).bad(&[]);
        assert!(!done.err.contains("--run"), "{}", done.err);
    }
}

#[test]
fn check_says_everything_in_every_format() {
    let folder = tiny();
    let out = strata(folder.path(), &["check", "tiny.model"]).good().out;
    assert!(out.starts_with("model Tiny\n") && out.contains("131 parameters"), "{out}");
    let text = TINY.replace("dense(3)", "dense(three)").replace("accuracy(logits, y)", "accuracy(logit, y)");
    fs::write(folder.path().join("tiny.model"), text).unwrap();
    let long = strata(folder.path(), &["check", "tiny.model"]).bad(&["three", "logit", "2 errors"]);
    assert!(!long.err.contains('\u{1b}'), "no colours where there is no terminal");
    assert!(long.err.starts_with("error[unknown-name]: "), "{}", long.err);
    let short = strata(folder.path(), &["check", "tiny.model", "--format", "short"]).bad(&[]);
    let lines: Vec<&str> = short.err.lines().collect();
    assert!(lines[0].starts_with("tiny.model:6:28: error[unknown-name]: "), "{lines:?}");
    assert!(lines[1].starts_with("tiny.model:9:19: error[unknown-name]: "), "{lines:?}");
    let json = strata(folder.path(), &["check", "tiny.model", "--json"]).bad(&[]).json();
    assert_eq!(json.len(), 2);
    assert_eq!(json[0]["code"], "unknown-name");
    assert_eq!((&json[0]["at"]["line"], &json[0]["at"]["column"]), (&6.into(), &28.into()));
}

#[test]
fn a_code_is_explained_as_it_was_shown() {
    let page = strata(&root(), &["explain", "label-range"]).good().out;
    for shown in ["[label-range]", "error[label-range]", "error[label-range]:"] {
        assert_eq!(strata(&root(), &["explain", shown]).good().out, page);
    }
}

#[test]
fn a_missing_spec_is_said_plainly() {
    strata(&root(), &["check", "no/such.model"]).bad(&["no/such.model"]);
    strata(&root(), &["fmt", "no/such.model"]).bad(&["no/such.model"]);
}

#[test]
fn explain_knows_every_code() {
    let list = strata(&root(), &["explain"]).good().out;
    for code in strata_grammar::Code::ALL {
        assert!(list.contains(code.name()), "{list}");
    }
    let page = strata(&root(), &["explain", "not-finite"]).good().out;
    assert!(page.contains("not-finite") && page.lines().count() > 3, "{page}");
    let near = strata(&root(), &["explain", "shape-mismach"]);
    assert!(near.err.contains("did you mean `shape-mismatch`"), "{}", near.err);
}

#[test]
fn fmt_rewrites_once() {
    let folder = tiny();
    let path = folder.path().join("tiny.model");
    strata(folder.path(), &["fmt", "--check", "tiny.model"]).good();
    fs::write(&path, TINY.replace("  input y:", "     input    y:")).unwrap();
    strata(folder.path(), &["fmt", "--check", "tiny.model"]).bad(&["1 file not formatted"]);
    assert_eq!(strata(folder.path(), &["fmt", "tiny.model"]).good().out, "tiny.model\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), TINY);
    assert_eq!(strata(folder.path(), &["fmt", "tiny.model"]).good().out, "");
    let broken = TINY.replace("loss cross_entropy(", "loss cross_entropy((");
    fs::write(&path, &broken).unwrap();
    strata(folder.path(), &["fmt", "tiny.model"]).bad(&["tiny.model"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), broken, "a file with mistakes must be left alone");
}

#[test]
fn a_run_leaves_everything_it_names() {
    let folder = tiny();
    let done = strata(folder.path(), &["train", "tiny.model"]).good();
    let run = run_folder(folder.path());
    let names: BTreeSet<String> =
        fs::read_dir(&run).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    for name in ["final.safetensors", "last.safetensors", "curves.svg", "metrics.jsonl", "tiny.model"] {
        assert!(names.contains(name), "no {name} in {names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("events.out.tfevents")), "{names:?}");
    assert_eq!(fs::read_to_string(run.join("tiny.model")).unwrap(), TINY);
    let shown = run.strip_prefix(folder.path()).unwrap().display().to_string();
    for word in ["done after 42 steps", "accuracy", "final.safetensors", &shown] {
        assert!(done.err.contains(word), "no `{word}` in\n{}", done.err);
    }
    assert_eq!(done.out, "", "the standard output is for programs");
    // The commands that it names work as they are written.
    let eval = done.err.lines().find(|line| line.contains(" eval ")).unwrap().trim();
    let words: Vec<&str> = eval.split(' ').skip(1).collect();
    strata(folder.path(), &words).good();
}

#[test]
fn the_numbers_of_all_commands_agree() {
    let folder = tiny();
    let train = strata(folder.path(), &["train", "tiny.model", "--json"]).good().json();
    let last = train.iter().rfind(|line| line["event"] == "evaluate").unwrap();
    let end = train.last().unwrap();
    assert_eq!(end["event"], "end");
    assert_eq!(end["reached"]["test"]["accuracy"], last["accuracy"]);
    assert!(last["accuracy"].as_f64().unwrap() > 0.9, "{last}");
    let params = end["params"].as_str().unwrap();
    for file in [params.to_string(), params.replace("final", "last")] {
        let eval = ["eval", "tiny.model", "--params", &file, "--on", "test", "--json"];
        let eval = strata(folder.path(), &eval).good().json();
        assert_eq!((&eval[0]["loss"], &eval[0]["accuracy"]), (&last["loss"], &last["accuracy"]));
        assert_eq!(eval[0]["examples"], 40);
    }
    // Prediction needs neither labels nor the training data.
    let whole = fs::read_to_string(folder.path().join("tiny.csv")).unwrap();
    let unlabelled: String = whole.lines().map(|l| format!("{}\n", l.rsplit_once(',').unwrap().0)).collect();
    fs::write(folder.path().join("new.csv"), unlabelled).unwrap();
    fs::remove_file(folder.path().join("tiny.csv")).unwrap();
    let predict = ["predict", "tiny.model", "--params", params, "--data", "new.csv"];
    let rows = strata(folder.path(), &predict).good().out;
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows[0], "logits_0,logits_1,logits_2,logits_largest");
    assert_eq!(rows.len(), 151);
    let class = |row: &str| row.rsplit_once(',').unwrap().1.to_string();
    let right = rows[1..].iter().zip(whole.lines()).filter(|(row, line)| class(row) == class(line)).count();
    assert!(right > 140, "{right} of 150");
    let json = [&predict[..], &["--json", "--output", "hidden", "--threads", "1"]].concat();
    let json = strata(folder.path(), &json).good().json();
    assert_eq!(json[149]["hidden"].as_array().unwrap().len(), 16);
    let out = [&predict[..], &["--out", "rows.csv"]].concat();
    strata(folder.path(), &out).good();
    assert_eq!(fs::read_to_string(folder.path().join("rows.csv")).unwrap().lines().collect::<Vec<_>>(), rows);
}

#[test]
fn settings_on_the_command_line_count() {
    let folder = tiny();
    let train =
        ["train", "tiny.model", "--set", "units=5", "--steps", "3", "--seed", "4", "--out", "elsewhere"];
    strata(folder.path(), &train).good();
    let model: Vec<_> = fs::read_dir(folder.path().join("elsewhere/tiny")).unwrap().collect();
    let last = model[0].as_ref().unwrap().path().join("last.safetensors");
    let (tensors, meta) = strata_runtime::checkpoint::load(&last).unwrap();
    assert_eq!((meta.step, meta.seed), (3, 4));
    assert!(tensors.iter().any(|(_, tensor)| tensor.shape() == [4, 5]));
}

#[test]
fn data_are_found_where_they_are_said_to_be() {
    let folder = tiny();
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::rename(folder.path().join("tiny.csv"), folder.path().join("deep/tiny.csv")).unwrap();
    strata(folder.path(), &["check", "tiny.model"]).bad(&["tiny.csv"]);
    strata(folder.path(), &["check", "tiny.model", "--data", "deep"]).good();
    let with = command(folder.path(), &["check", "tiny.model"]).env("STRATA_DATA", "deep").output().unwrap();
    support::Done::from(with).good();
}

#[test]
fn every_stage_has_a_text() {
    let folder = tiny();
    // What code comes of a spec does not depend on data.
    fs::remove_file(folder.path().join("tiny.csv")).unwrap();
    for (stage, word) in [
        ("ast", "Tiny"),
        ("model", "param"),
        ("graph", "f32[batch = 16, 3]"),
        ("plan", "variable"),
        ("clif", "function"),
        ("asm", "ret"),
    ] {
        let out = strata(folder.path(), &["compile", "tiny.model", "--emit", stage]).good().out;
        assert!(out.contains(word), "--emit {stage}:\n{}", &out[..out.len().min(2000)]);
        let again = strata(folder.path(), &["compile", "tiny.model", "--emit", stage]).good().out;
        assert_eq!(out, again, "--emit {stage} must say the same each time");
    }
    let small =
        ["compile", "tiny.model", "--emit", "graph", "--phase", "predict", "--batch", "1", "--svg", "g.svg"];
    assert!(strata(folder.path(), &small).good().out.contains("f32[batch = 1, 3]"));
    assert!(fs::read_to_string(folder.path().join("g.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn bench_measures() {
    let folder = tiny();
    let found = strata(folder.path(), &["bench", "tiny.model", "--steps", "20", "--json"]).good().json();
    assert_eq!(found[0]["batch"], 16);
    assert_eq!(found[0]["steps"], 20);
    for figure in ["median_ms", "examples_per_second", "first_step_s", "compile_s"] {
        assert!(found[0][figure].as_f64().unwrap() > 0.0, "{figure}");
    }
    let text = strata(folder.path(), &["bench", "tiny.model", "--steps", "5", "--kernels"]).good().out;
    assert!(text.contains("examples a second"), "{text}");
}

#[test]
fn nobody_listening_is_no_mistake() {
    let folder = tiny();
    let mut child = command(folder.path(), &["compile", "tiny.model", "--emit", "ast"]).spawn().unwrap();
    drop(child.stdout.take());
    let done = support::Done::from(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
}

#[test]
fn threads_change_no_bit() {
    let run = |threads: &str| {
        let folder = tiny();
        strata(folder.path(), &["train", "tiny.model", "--threads", threads, "--quiet"]).good();
        tensors(&run_folder(folder.path()).join("last.safetensors"))
    };
    let one = run("1");
    assert_eq!(one, run("2"));
    assert_eq!(one, run("3"));
}

#[test]
fn seeds_make_the_difference() {
    let run = |seed: &str| {
        let folder = tiny();
        strata(folder.path(), &["train", "tiny.model", "--seed", seed, "--steps", "5", "--quiet"]).good();
        tensors(&run_folder(folder.path()).join("last.safetensors"))
    };
    assert_eq!(run("1"), run("1"));
    assert_ne!(run("1"), run("2"));
}

/// Interrupts a run again and again, and goes on each time by the command it names.
#[cfg(unix)]
#[test]
fn interrupted_runs_end_with_the_bits_of_the_uninterrupted() {
    let spec = |folder: &Path| {
        let text =
            TINY.replace("after 6 epochs", "after 2500 epochs").replace("every 1 epoch", "every 3.5 epochs");
        fs::write(folder.join("tiny.model"), text).unwrap();
    };
    let whole = tiny();
    spec(whole.path());
    strata(whole.path(), &["train", "tiny.model", "--threads", "1", "--quiet"]).good();
    let expected = tensors(&run_folder(whole.path()).join("last.safetensors"));

    let folder = tiny();
    spec(folder.path());
    let mut args: Vec<String> = ["train", "tiny.model", "--threads", "1"].map(String::from).to_vec();
    let mut interrupted = 0;
    for attempt in 0.. {
        assert!(attempt < 100);
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = command(folder.path(), &words).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        if interrupted < 5 {
            // The first line of progress tells that training is under way.
            lines.next().unwrap().unwrap();
            std::thread::sleep(Duration::from_millis(7 * attempt));
            let kill = format!("kill -INT {}", child.id());
            assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        }
        let said: Vec<String> = lines.map(|line| line.unwrap()).collect();
        match child.wait().unwrap().code() {
            Some(0) => break,
            Some(130) => interrupted += 1,
            other => panic!("{other:?}: {said:?}"),
        }
        let go_on = said.iter().find(|line| line.contains("--resume")).unwrap();
        args = go_on.trim().split(' ').skip(1).map(String::from).collect();
    }
    assert!(interrupted >= 3, "only {interrupted} interruptions: the run is too short to say anything");
    assert_eq!(tensors(&run_folder(folder.path()).join("last.safetensors")), expected);
    // Both runs tell the same story.
    let story = |folder: &Path| -> Vec<(String, u64, String)> {
        let text = fs::read_to_string(run_folder(folder).join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let evaluated = lines.filter(|line| line["part"] == "test");
        evaluated
            .map(|l| (l["part"].to_string(), l["step"].as_u64().unwrap(), l["values"].to_string()))
            .collect()
    };
    assert_eq!(story(folder.path()), story(whole.path()));
}

/// What a run names at its end works as it is written, with what the command line bound and nothing twice.
#[test]
fn a_run_names_commands_that_work() {
    let folder = tiny();
    fs::create_dir(folder.path().join("deep er")).unwrap();
    fs::rename(folder.path().join("tiny.csv"), folder.path().join("deep er/tiny.csv")).unwrap();
    let train = ["train", "tiny.model", "--set", "units=5", "--data", "deep er", "--epochs", "2"];
    let done = strata(folder.path(), &train).good();
    let named = |word: &str| {
        let line =
            done.err.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{}", done.err));
        line.trim().to_string()
    };
    let resume = named("--resume");
    assert_eq!(resume.matches("--epochs").count(), 1, "{resume}");
    for line in [named(" eval "), resume.replace("--epochs N", "--epochs 3")] {
        let mut shell = std::process::Command::new("sh");
        shell.current_dir(folder.path()).args(["-c", &line]).env_remove("STRATA_DATA");
        support::Done::from(shell.output().unwrap()).good();
    }
}

#[test]
fn a_finished_run_can_be_lengthened() {
    let long = tiny();
    strata(long.path(), &["train", "tiny.model", "--epochs", "9", "--quiet"]).good();
    let folder = tiny();
    strata(folder.path(), &["train", "tiny.model", "--quiet"]).good();
    let run = run_folder(folder.path()).display().to_string();
    strata(folder.path(), &["train", "tiny.model", "--quiet", "--epochs", "9", "--resume", &run]).good();
    let last = |folder: &Path| tensors(&run_folder(folder).join("last.safetensors"));
    assert_eq!(last(folder.path()), last(long.path()));
}

#[test]
fn every_optimizer_trains() {
    for optimizer in [
        "sgd(rate: 0.3)",
        "momentum(rate: 0.1, nesterov: true)",
        "adam(rate: 0.02)",
        "adamw(rate: 0.02)",
        "rmsprop(rate: 0.01)",
        "adagrad(rate: 0.1)",
    ] {
        let folder = tiny_with("momentum(rate: 0.1, momentum: 0.9)", optimizer);
        let lines = strata(folder.path(), &["train", "tiny.model", "--json", "--threads", "1"]).good().json();
        let accuracy = lines.last().unwrap()["reached"]["test"]["accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.9, "{optimizer}: {accuracy}");
        let kept = tensors(&run_folder(folder.path()).join("final.safetensors"));
        assert_eq!(kept.len(), 4, "{optimizer}: only parameters are kept at the end");
    }
}

#[test]
fn every_float_learns() {
    for dtype in ["f32", "f64", "bf16", "f16"] {
        let folder = tiny_with("f32[batch, 4]", &format!("{dtype}[batch, 4]"));
        let done = strata(folder.path(), &["train", "tiny.model", "--json"]).good();
        let line = done.json().pop().expect("a run says how it ended");
        let accuracy = line["reached"]["test"]["accuracy"].as_f64().expect("it was measured");
        assert!(accuracy >= 0.9, "{dtype}: {accuracy}");
        let loss = line["reached"]["test"]["loss"].as_f64().expect("a loss of any float is shown");
        assert!(loss.is_finite(), "{dtype}: {loss}");
    }
}

#[test]
fn a_metric_can_end_a_run() {
    let folder =
        tiny_with("stop     after 6 epochs", "stop     when accuracy >= 0.9\n  stop     after 500 epochs");
    let done = strata(folder.path(), &["train", "tiny.model"]).good();
    assert!(done.err.contains("accuracy is 0.9") || done.err.contains("accuracy is 1"), "{}", done.err);
}

/// The first of the README's two commands, and what it promises.
#[test]
fn digits_reach_98_percent_within_a_minute() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().display().to_string();
    let start = Instant::now();
    let lines = strata(&root(), &["train", "specs/digits.model", "--json", "--out", &out]).good().json();
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let accuracy = lines.last().unwrap()["reached"]["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy >= 0.98, "{accuracy}");
}

#[test]
fn a_position_outside_ends_the_run_at_its_line() {
    let picks = "hidden = x |> dense(units) |> relu |> dropout(0.2)";
    let text =
        "param table: f32[rows = 2, units] = normal(0.1)\n  hidden = dense(x, units) + gather(table, y)";
    let folder = tiny_with(picks, text);
    let told = strata(folder.path(), &["train", "tiny.model", "--format", "short"]).bad(&["index-range"]);
    assert!(told.err.contains("tiny.model:6:30: error[index-range]: a position is 2, "), "{}", told.err);
    assert!(told.err.contains("from 0 to 1") && told.err.contains("no state was kept"), "{}", told.err);
    let long = strata(folder.path(), &["train", "tiny.model", "--threads", "2"]).bad(&[]);
    assert!(long.err.contains("2 at index [") && long.err.contains("at least 3"), "{}", long.err);
    let enough = TINY.replace(picks, &text.replace("rows = 2", "rows = 3"));
    fs::write(folder.path().join("tiny.model"), enough).unwrap();
    strata(folder.path(), &["train", "tiny.model"]).good();
}

/// Greedy steps choose what the whole model scores highest, so as many sequences are exact as the metric says.
#[test]
fn what_is_generated_is_held_against_the_data() {
    let folder = pairs();
    let train = strata(folder.path(), &["train", "pairs.model", "--json"]).good().json();
    let params = train.last().unwrap()["params"].as_str().unwrap();
    let (mut exact, mut all) = (0, 0);
    for part in ["train", "test"] {
        let on = ["pairs.model", "--params", params, "--on", part];
        let eval = strata(folder.path(), &[&["eval"][..], &on, &["--json"]].concat()).good().json();
        let share = eval[0]["exact_sequence"].as_f64().unwrap();
        let made = strata(folder.path(), &[&["generate"][..], &on, &["--json"]].concat()).good().json();
        let (end, made) = made.split_last().unwrap();
        let right = made.iter().filter(|line| line["exact"] == true).count();
        assert!(made.iter().all(|line| (line["text"] == line["expected"]) == (line["exact"] == true)));
        assert_eq!((end["event"].as_str(), end["on"].as_str()), (Some("end"), Some(part)));
        assert_eq!(
            (end["sequences"].as_u64(), end["exact"].as_u64()),
            (Some(made.len() as u64), Some(right as u64))
        );
        assert_eq!((share * made.len() as f64).round() as usize, right, "{part}");
        (exact, all) = (exact + right, all + made.len());
        let words = strata(folder.path(), &[&["generate"][..], &on].concat()).good();
        let same =
            words.out.lines().filter(|line| line.split_once('\t').is_some_and(|(a, b)| a == b)).count();
        assert_eq!(same, right, "{}", words.out);
        assert!(words.err.contains(&format!("{part}: {right} of {} sequences", made.len())), "{}", words.err);
    }
    assert!(exact > 0 && exact < all, "{exact} of {all}: a test that cannot tell right from wrong");
    let from = ["generate", "pairs.model", "--params", params, "--from", "new.txt"];
    fs::write(folder.path().join("new.txt"), "ab\nba\n").unwrap();
    let made = strata(folder.path(), &from).good().out;
    assert_eq!(made.lines().count(), 2);
    let named = [&from[..5], &["source=new.txt"]].concat();
    assert_eq!(strata(folder.path(), &named).good().out, made);
    let begun = strata(folder.path(), &[&from[..], &["--prefix", "az"]].concat()).good();
    assert!(begun.out.lines().all(|line| line.starts_with("aUNKNOWN")), "{}", begun.out);
    assert!(begun.err.contains("1 token of the prefix"), "{}", begun.err);
    for wrong in [&["--on", "nowhere"][..], &["--on", "test", "--from", "new.txt"], &[]] {
        let args = [&from[..4], wrong].concat();
        assert_eq!(strata(folder.path(), &args).code, Some(2), "{wrong:?}");
    }
}
