//! Files of examples of every kind, in and out, through the real command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use strata_runtime::DType;
use strata_runtime::queue::npy_head;
use support::{TINY, root, run_folder, strata, tensors, tiny, tiny_csv};

/// The inputs of the tiny model's examples.
fn rows() -> Vec<Vec<f32>> {
    let cells = |line: &str| line.split(',').take(4).map(|cell| cell.parse().unwrap()).collect();
    tiny_csv().lines().map(cells).collect()
}

fn npy(shape: &[usize], numbers: impl Iterator<Item = f32>) -> Vec<u8> {
    let mut bytes = npy_head(DType::F32, shape).unwrap();
    numbers.for_each(|number| bytes.extend(number.to_ne_bytes()));
    bytes
}

/// The numbers of an npy file of f32, and the text of its head.
fn read_npy(path: &Path) -> (String, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let head = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
    let numbers = bytes[10 + length..].as_chunks().0.iter().map(|b: &[u8; 4]| f32::from_ne_bytes(*b));
    (head, numbers.collect())
}

/// A folder with a trained tiny model, and its parameters.
fn trained() -> (tempfile::TempDir, String) {
    let folder = tiny();
    strata(folder.path(), &["train", "tiny.model", "--quiet", "--steps", "20"]).good();
    let params = run_folder(folder.path()).join("final.safetensors").to_string_lossy().into_owned();
    (folder, params)
}

#[test]
fn predictions_do_not_depend_on_the_kind_of_file() {
    let (folder, params) = trained();
    let file = |name: &str| folder.path().join(name);
    let predict = |args: &[&str]| {
        strata(folder.path(), &[&["predict", "tiny.model", "--params", &params, "--data"], args].concat())
    };
    let line = |row: &Vec<f32>| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    fs::write(file("new.csv"), rows().iter().map(|row| line(row) + "\n").collect::<String>()).unwrap();
    fs::write(file("new.npy"), npy(&[150, 4], rows().into_iter().flatten())).unwrap();
    fs::write(
        file("new.jsonl"),
        rows().iter().map(|row| format!("{{\"x\": [{}]}}\n", line(row))).collect::<String>(),
    )
    .unwrap();
    let listed: Vec<String> =
        rows().iter().map(|row| format!("{{\"id\": 7, \"x\": [{}]}}", line(row))).collect();
    fs::write(file("new.json"), format!("[{}]", listed.join(",\n"))).unwrap();
    let expected = predict(&["new.csv"]).good().out;
    assert_eq!(expected.lines().count(), 151);
    let named = ["x=new.npy", "x=new.json", "x=new.jsonl", "x=new.csv"];
    for name in ["new.npy", "new.json", "new.jsonl"].into_iter().chain(named) {
        assert_eq!(predict(&[name]).good().out, expected, "{name}");
    }
    // And out again, in every form.
    assert_eq!(predict(&["new.npy", "--out", "out.npy"]).good().out, "");
    let (head, numbers) = read_npy(&file("out.npy"));
    assert!(head.contains("'shape': (150, 3,)"), "{head}");
    let first: Vec<f32> = expected
        .lines()
        .skip(1)
        .flat_map(|line| line.split(',').take(3))
        .map(|cell| cell.parse().unwrap())
        .collect();
    assert_eq!(numbers, first);
    predict(&["new.npy", "--out", "out.jsonl"]).good();
    let json = fs::read_to_string(file("out.jsonl")).unwrap();
    assert_eq!(json, predict(&["new.csv", "--json"]).good().out);
    predict(&["new.npy", "--out", "out.csv"]).good();
    assert_eq!(fs::read_to_string(file("out.csv")).unwrap(), expected);
    assert_eq!(predict(&["new.npy", "--out", "out.npy", "--json"]).code, Some(2));
}

#[test]
fn what_is_wrong_with_new_examples_is_said_and_leaves_no_file() {
    let (folder, params) = trained();
    let wrong = |name: &str, bytes: &[u8], words: &[&str]| {
        fs::write(folder.path().join(name), bytes).unwrap();
        let args = ["predict", "tiny.model", "--params", &params, "--data", name, "--out", "out.npy"];
        strata(folder.path(), &args).bad(words);
        let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!left.into_iter().any(|name| name.to_string_lossy().contains("out.npy")), "{name}");
    };
    wrong("a.npy", &npy(&[2, 5], (0..10).map(|n| n as f32)), &["a.npy", "4 elements", "found 5"]);
    wrong("a.npy", &npy(&[2, 4], (0..7).map(|n| n as f32)), &["a.npy", "promises 32", "cut short"]);
    wrong("a.npy", &npy(&[1, 4], [1.0, f32::NAN, 0.0, 0.0].into_iter()), &["a.npy", "example 0", "finite"]);
    wrong("a.npy", b"hello, world", &["a.npy", "expected an array"]);
    wrong("a.npz", b"PK\x03\x04 nothing", &["a.npz", "damaged"]);
    wrong(
        "a.jsonl",
        b"{\"x\": [1, 2, 3, 4]}\n{\"x\": [1, 2, 3]}\n",
        &["a.jsonl", "example 1", "list of 4", "list of 3"],
    );
    wrong("a.jsonl", b"{\"x\": [1, 2, 3, \"four\"]}", &["example 0", "expected a number in `x`", "\"four\""]);
    wrong(
        "a.jsonl",
        b"{\"x\": [1, 2, 3, 4]}\n{\"x\": [1, 2, 3, 9007199254740993]}\n",
        &["a.jsonl, example 1: 9007199254740993 is beyond 2^53"],
    );
    wrong("a.jsonl", b"{\"y\": 1}", &["example 0", "expected a member `x`, found y"]);
    wrong("a.json", b"[{\"x\": [1, 2, 3, 4]}, ", &["a.json", "EOF"]);
    wrong("a.json", b"3", &["a.json", "expected an object, found 3"]);
    wrong("a.json", b"[]", &["a.json", "not a single example"]);
    wrong("a.csv", b"1,2\n", &["a.csv", "column"]);
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    wrong("a.json", nested.as_bytes(), &["a.json", "recursion limit"]);
}

#[test]
fn results_take_the_place_of_the_file_they_are_to_be_and_of_no_other() {
    let (folder, params) = trained();
    let file = |name: &str| folder.path().join(name);
    let predict = |out: &str| {
        let args = ["predict", "tiny.model", "--params", &params, "--data", "tiny.csv", "--out", out];
        strata(folder.path(), &args)
    };
    fs::write(file("a.csv.part"), "mine").unwrap();
    fs::write(file("a.csv"), "before").unwrap();
    predict("a.csv").good();
    assert_eq!(fs::read_to_string(file("a.csv")).unwrap().lines().count(), 151);
    assert_eq!(fs::read_to_string(file("a.csv.part")).unwrap(), "mine");
    fs::create_dir(file("folder.csv")).unwrap();
    predict("folder.csv").bad(&["folder.csv: expected a file, found a folder"]);
    assert_eq!(fs::read_dir(file("folder.csv")).unwrap().count(), 0);
    predict("none/a.csv").bad(&["none/a.csv: "]);
    #[cfg(unix)]
    {
        fs::write(file("far.csv"), "before").unwrap();
        std::os::unix::fs::symlink("far.csv", file("link.csv")).unwrap();
        predict("link.csv").good();
        assert!(fs::symlink_metadata(file("link.csv")).unwrap().is_symlink());
        assert_eq!(fs::read(file("far.csv")).unwrap(), fs::read(file("a.csv")).unwrap());
    }
    #[cfg(target_os = "linux")]
    predict("/dev/full").bad(&["/dev/full: No space left"]);
}

/// A spec over the arrays of numpy's files.
const ARRAYS: &str = r#"model Flower {
  input size: f32[batch, side = 2]
  input kind: i32[batch]
  logits = size |> dense(3)
  loss cross_entropy(logits, kind)
}
data train = npz("flowers.npz", size: array("size") / 4, kind: array("kind"))
train Flower {
  feed     train |> shuffle(4) |> repeat(3) |> batch(2)
  optimize sgd(rate: 0.1)
  stop     after 2 epochs
}
"#;

#[test]
fn archives_of_numpy_train_and_feed_predictions() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.model"), ARRAYS).unwrap();
    fs::copy(root().join("tests/check/data/flowers.npz"), folder.path().join("flowers.npz")).unwrap();
    let train = strata(folder.path(), &["train", "a.model", "--json"]).good().json();
    // Four examples, three times, in twos, twice.
    assert_eq!(train.last().unwrap()["step"], 12);
    let params = run_folder(folder.path()).join("final.safetensors").to_string_lossy().into_owned();
    let predict = |data: &str| {
        strata(folder.path(), &["predict", "a.model", "--params", &params, "--data", data]).good().out
    };
    fs::write(folder.path().join("b.csv"), "0,0.5\n1,1.5\n2,2.5\n3,3.5\n").unwrap();
    assert_eq!(predict("flowers.npz"), predict("b.csv"));
    assert_eq!(predict("size=flowers.npz"), predict("b.csv"));
    fs::write(folder.path().join("c.csv"), "0,0.5,7\n").unwrap();
    let args = ["predict", "a.model", "--params", &params, "--data", "c.csv"];
    strata(folder.path(), &args).bad(&["c.csv", "2 of `size`", "found 3 columns"]);
}

/// A spec over a parquet file, or a csv file with the same numbers.
const PARQUET: &str = r#"model Flower {
  input size: f32[batch, 2]
  input kind: i32[batch]
  logits = size |> dense(3)
  loss cross_entropy(logits, kind)
  metric accuracy(logits, kind)
}
data flowers = parquet("flowers.parquet", size: columns(0..2), kind: column("kind"))
train Flower {
  feed     flowers |> shuffle(60, seed: 1) |> batch(8)
  optimize sgd(rate: 0.5)
  evaluate flowers
  stop     after 30 epochs
}
"#;

fn flowers(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.model"), text).unwrap();
    fs::copy(root().join("tests/data/flowers.parquet"), folder.path().join("flowers.parquet")).unwrap();
    folder
}

#[cfg_attr(feature = "parquet", ignore = "built with parquet")]
#[test]
fn a_program_built_without_parquet_says_how_to_get_it() {
    let folder = flowers(PARQUET);
    strata(folder.path(), &["check", "a.model"]).bad(&["flowers.parquet", "--features parquet", "a.model:8"]);
}

#[cfg_attr(not(feature = "parquet"), ignore = "built without parquet")]
#[test]
fn parquet_trains_as_csv_with_the_same_numbers_does() {
    let train = |text: &str, csv: &str| {
        let folder = flowers(text);
        fs::write(folder.path().join("flowers.csv"), csv).unwrap();
        let done = strata(folder.path(), &["train", "a.model", "--json"]).good().json();
        (folder, done)
    };
    let size = |row: u32, column: u32| {
        f64::from(u8::from(row % 3 == column)) + f64::from((row * 7 + column * 13) % 11) / 20.0
    };
    let rows: Vec<String> = (0..60).map(|row| format!("{},{}", size(row, 0), size(row, 1))).collect();
    let labelled: Vec<String> = rows.iter().zip(0..).map(|(row, at)| format!("{row},{}\n", at % 3)).collect();
    let (folder, done) = train(PARQUET, "");
    let accuracy = &done.last().unwrap()["reached"]["flowers"]["accuracy"];
    assert!(accuracy.as_f64().unwrap() > 0.9, "{done:?}");
    let text = PARQUET.replace("parquet(\"flowers.parquet\"", "csv(\"flowers.csv\"");
    let (other, _) = train(&text.replace("column(\"kind\")", "column(2)"), &labelled.concat());
    let last = |folder: &Path| tensors(&run_folder(folder).join("last.safetensors"));
    assert_eq!(last(folder.path()), last(other.path()));
    let params = run_folder(folder.path()).join("final.safetensors").to_string_lossy().into_owned();
    let predict = |data: &str| {
        let args = ["predict", "a.model", "--params", &params, "--data", data];
        strata(folder.path(), &args).good().out
    };
    let json: Vec<String> = rows.iter().map(|row| format!("{{\"size\": [{row}]}}\n")).collect();
    fs::write(folder.path().join("b.jsonl"), json.concat()).unwrap();
    assert_eq!(predict("flowers.parquet"), predict("b.jsonl"));
    assert_eq!(predict("size=flowers.parquet"), predict("b.jsonl"));
    for (from, to, told) in [
        ("columns(0..2)", "columns(5..7)", "column 6 holds `9007199254740993` in line 42, beyond 2^53"),
        ("column(\"kind\")", "column(\"gap\")", "column 7 holds an empty cell in line 6"),
        ("column(\"kind\")", "column(\"knid\")", "kind"),
    ] {
        fs::write(folder.path().join("a.model"), PARQUET.replace(from, to)).unwrap();
        strata(folder.path(), &["check", "a.model"]).bad(&[told, "a.model:8"]);
    }
}

#[test]
fn columns_are_called_by_name_in_predictions_too() {
    let named = TINY.replace("columns(0..4)", "columns(1..5)").replace("column(4)", "column(\"kind\")");
    let folder = tiny();
    let rows: String = tiny_csv().lines().map(|line| format!("0,{line}\n")).collect();
    fs::write(folder.path().join("tiny.csv"), format!("row,a,b,c,d,kind\n{rows}")).unwrap();
    fs::write(folder.path().join("tiny.model"), named).unwrap();
    strata(folder.path(), &["train", "tiny.model", "--quiet", "--steps", "20"]).good();
    let params = run_folder(folder.path()).join("final.safetensors").to_string_lossy().into_owned();
    fs::copy(folder.path().join("tiny.csv"), folder.path().join("new.csv")).unwrap();
    let predict =
        || strata(folder.path(), &["predict", "tiny.model", "--params", &params, "--data", "new.csv"]);
    assert_eq!(predict().good().out.lines().count(), 151);
    fs::remove_file(folder.path().join("tiny.csv")).unwrap();
    predict().bad(&["what the `train` block is fed with cannot be made out"]);
}

#[test]
fn a_file_of_one_input_is_not_one_of_all() {
    let two = TINY.replace("input x: f32[batch, 4]", "input x: f32[batch, 2]\n  input z: f32[batch, 2]");
    let two = two.replace("= x |> dense", "= concat(x, z) |> dense");
    let two = two.replace("x: columns(0..4)", "x: columns(0..2), z: columns(2..4)");
    let folder = tiny();
    fs::write(folder.path().join("tiny.model"), two).unwrap();
    strata(folder.path(), &["train", "tiny.model", "--quiet", "--steps", "20"]).good();
    let params = run_folder(folder.path()).join("final.safetensors").to_string_lossy().into_owned();
    let predict = |files: &[&str]| {
        let files = files.iter().flat_map(|file| ["--data", file]);
        let all = ["predict", "tiny.model", "--params", &params].into_iter().chain(files);
        strata(folder.path(), &all.collect::<Vec<_>>())
    };
    let expected = predict(&["tiny.csv"]).good().out;
    let half = |at: usize| npy(&[150, 2], rows().into_iter().flat_map(|row| [row[at], row[at + 1]]));
    fs::write(folder.path().join("x.npy"), half(0)).unwrap();
    fs::write(folder.path().join("z.npy"), half(2)).unwrap();
    assert_eq!(predict(&["z=z.npy", "x=x.npy"]).good().out, expected);
    for (files, missing) in [(["x=x.npy"], "z"), (["z=tiny.csv"], "x"), (["x.npy"], "x")] {
        let done = predict(&files);
        assert_eq!(done.code, Some(2), "{files:?}");
        assert!(
            done.err.contains(&format!("no file for the input `{missing}`: --data {missing}=FILE")),
            "{}",
            done.err
        );
    }
}

/// A spec over two folders of pictures.
const PHOTOS: &str = r#"model Photos {
  input image: f32[batch, height = 16, width = 16, channel = 3]
  input label: i32[batch]
  logits = image |> conv(4, kernel: 3) |> relu |> max_pool(4) |> flatten |> dense(2)
  loss cross_entropy(logits, label)
  metric accuracy(logits, label)
}
data photos = images("photos", labels: folder) |> skip(bad) |> resize(20)
train Photos {
  feed     photos |> random_crop(16, 16) |> flip |> whiten |> shuffle(8) |> batch(3) |> prefetch(2)
  optimize momentum(rate: 0.05, momentum: 0.9)
  evaluate photos |> crop(16, 16) |> whiten every 1 epoch
  stop     after 4 epochs
}
"#;

fn sample(name: &str) -> PathBuf {
    root().join("runtime/queue/pictures/samples").join(name)
}

/// Coloured pictures in one folder, grey ones in the other.
fn photos() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("photos.model"), PHOTOS).unwrap();
    for (class, names) in [
        ("coloured", ["plain.png", "plain.jpg", "coarse.jpg", "palette.png"]),
        ("grey", ["grey.png", "grey.jpg", "grey.png", "grey.jpg"]),
    ] {
        let to = folder.path().join("photos").join(class);
        fs::create_dir_all(&to).unwrap();
        for (at, name) in names.iter().enumerate() {
            fs::copy(sample(name), to.join(format!("{at}{name}"))).unwrap();
        }
    }
    folder
}

#[cfg_attr(not(feature = "pictures"), ignore = "built without pictures")]
#[test]
fn pictures_train_and_a_stopped_run_ends_with_the_same_bits() {
    let run = |steps: &[&str]| {
        let folder = photos();
        let mut last = PathBuf::new();
        for (at, steps) in steps.iter().enumerate() {
            let name = last.to_string_lossy().into_owned();
            let resume: &[&str] = if at == 0 { &[] } else { &["--resume", &name] };
            let args = [&["train", "photos.model", "--quiet", "--steps", steps], resume].concat();
            strata(folder.path(), &args).good();
            last = run_folder(folder.path());
        }
        tensors(&last.join("last.safetensors"))
    };
    let whole = run(&["12"]);
    assert_eq!(run(&["4", "5", "12"]), whole);
    assert_ne!(run(&["11"]), whole);
}

#[cfg_attr(not(feature = "pictures"), ignore = "built without pictures")]
#[test]
fn broken_pictures_are_named_or_left_out() {
    let folder = photos();
    let whole = fs::read(sample("plain.jpg")).unwrap();
    fs::write(folder.path().join("photos/grey/9.jpg"), &whole[..500]).unwrap();
    let done = strata(folder.path(), &["train", "photos.model", "--epochs", "1"]).good();
    let told = "left out 1 picture that cannot be read";
    assert_eq!(done.err.matches(told).count(), 1, "{}", done.err);
    assert!(done.err.contains("9.jpg: this picture is damaged"), "{}", done.err);
    let params = run_folder(folder.path()).join("final.safetensors").to_string_lossy().into_owned();
    for args in
        [&["eval", "photos.model", "--params", &params][..], &["bench", "photos.model", "--steps", "1"]]
    {
        let done = strata(folder.path(), args).good();
        assert_eq!(done.err.matches(told).count(), 1, "{args:?}: {}", done.err);
    }
    let strict = PHOTOS.replace(" |> skip(bad)", "");
    fs::write(folder.path().join("photos.model"), strict).unwrap();
    let done = strata(folder.path(), &["train", "photos.model", "--epochs", "1"]);
    let done = done.bad(&["bad-data", "photos/grey/9.jpg: this picture is damaged", "photos.model:8"]);
    assert!(!done.err.contains("left out"));
}

#[cfg(target_os = "linux")]
#[cfg_attr(not(feature = "pictures"), ignore = "built without pictures")]
#[test]
fn a_run_goes_on_where_nothing_can_be_told() {
    let folder = photos();
    fs::write(folder.path().join("photos/grey/9.jpg"), b"").unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut train = support::command(folder.path(), &["train", "photos.model", "--epochs", "1"]);
    assert!(train.stderr(full).status().unwrap().success());
    assert!(run_folder(folder.path()).join("final.safetensors").exists());
}

#[cfg_attr(not(feature = "pictures"), ignore = "built without pictures")]
#[test]
fn a_variable_begins_with_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(sample("plain.png"), folder.path().join("photo.png")).unwrap();
    // Its own size, so nothing is stretched.
    let spec = r#"
model Paint {
  const photo:  f32[height = 33, width = 50, channel = 3] = image("photo.png")
  const bytes:  u8[1, height = 33, width = 50, channel = 3] = image("photo.png")
  const grey:   f16[height = 4, width = 4, channel = 1] = image("photo.png")
  param canvas: f32[height = 33, width = 50, channel = 3] = photo
  loss mse(canvas, canvas |> stop) + 0 * sum(bytes |> cast(f32)) + 0 * sum(grey |> cast(f32))
}
train Paint { optimize sgd(rate: 0.1); stop after 2 steps; save canvas to "painted.png" }
"#;
    let pixels = fs::read(sample("plain.png.npy")).unwrap().split_off(128);
    let size = png_size(&fs::read(sample("plain.png")).unwrap());
    let spec = spec.replace("33", &size[0].to_string()).replace("50", &size[1].to_string());
    fs::write(folder.path().join("paint.model"), spec).unwrap();
    strata(folder.path(), &["train", "paint.model"]).good();
    let run = run_folder(folder.path());
    let found = tensors(&run.join("final.safetensors"));
    let named = |name: &str| &found.iter().find(|(own, _)| own == name).unwrap().1;
    let expected: Vec<f32> = pixels.iter().map(|byte| (f64::from(*byte) / 255.0) as f32).collect();
    assert_eq!(named("photo").as_f32().unwrap(), expected);
    assert_eq!(named("canvas").as_f32().unwrap(), expected);
    assert_eq!(named("bytes").bytes(), pixels);
    assert_eq!((named("grey").dtype(), named("grey").shape()), (DType::F16, &[4, 4, 1][..]));
    // What was saved is the picture again.
    let painted = run.join("painted.png");
    fs::copy(&painted, folder.path().join("photo.png")).unwrap();
    fs::remove_dir_all(folder.path().join("runs")).unwrap();
    strata(folder.path(), &["train", "paint.model"]).good();
    let again = tensors(&run_folder(folder.path()).join("final.safetensors"));
    assert_eq!(again, found);
    // A picture that is gone or cut short is said before anything runs.
    let whole = fs::read(folder.path().join("photo.png")).unwrap();
    fs::write(folder.path().join("photo.png"), &whole[..whole.len() / 2]).unwrap();
    strata(folder.path(), &["train", "paint.model"]).bad(&[
        "bad-data",
        "`photo.png`: this picture is damaged",
        "paint.model:3",
    ]);
}

/// Height and width, as a PNG file's head says them.
fn png_size(bytes: &[u8]) -> [u32; 2] {
    [20, 16].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
}

#[cfg_attr(not(feature = "pictures"), ignore = "built without pictures")]
#[test]
fn predictions_of_pictures_name_their_files() {
    let folder = photos();
    strata(folder.path(), &["train", "photos.model", "--quiet"]).good();
    let params = run_folder(folder.path()).join("final.safetensors").to_string_lossy().into_owned();
    let predict =
        |data: &str| strata(folder.path(), &["predict", "photos.model", "--params", &params, "--data", data]);
    let all = predict("photos").good().out;
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines[0], "file,logits_0,logits_1,logits_largest");
    assert_eq!(lines.len(), 9);
    assert!(lines[1].starts_with("photos/coloured/0plain.png,"), "{}", lines[1]);
    assert_eq!(predict("photos/coloured/0plain.png").good().out.lines().nth(1), Some(lines[1]));
    assert_eq!(predict("photos").good().out, all);
    assert_eq!(predict("image=photos").good().out, all);
    fs::write(folder.path().join("new.npy"), npy(&[1, 16, 16, 3], (0..768).map(|n| n as f32))).unwrap();
    assert_eq!(predict("new.npy").code, Some(2));
    predict("nowhere").bad(&["nowhere: no such file"]);
}
