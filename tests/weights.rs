//! Parameters that come from files, and variables that go into them, through the real command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use strata_runtime::checkpoint::{self, Meta};
use strata_runtime::{DType, Tensor};
use support::{TINY, root, run_folder, run_folder_in, strata, tensors, tiny, tiny_with};

/// A tensor of floats that count up from `first`.
fn counting(shape: &[usize], first: f32) -> Tensor {
    let numbers: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| first + i as f32).collect();
    Tensor::from_bytes(DType::F32, shape, bytemuck::cast_slice(&numbers)).unwrap()
}

/// A safetensors file as PyTorch's users write it: without anything of ours in it.
fn foreign(path: &Path, tensors: &[(&str, Tensor)]) {
    let (mut header, mut bytes) = (serde_json::Map::new(), Vec::new());
    for (name, tensor) in tensors {
        let start = bytes.len();
        bytes.extend_from_slice(tensor.bytes());
        let dtype = match tensor.dtype() {
            DType::F64 => "F64",
            DType::I64 => "I64",
            DType::F32 | DType::Bf16 | DType::F16 | DType::I32 | DType::U8 | DType::Bool => "F32",
        };
        let info = serde_json::json!({ "dtype": dtype, "shape": tensor.shape(), "data_offsets": [start, bytes.len()] });
        header.insert((*name).to_string(), info);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(bytes);
    fs::write(path, file).unwrap();
}

fn number(tensor: &Tensor, index: &[usize]) -> f32 {
    let at = index.iter().zip(tensor.shape()).fold(0, |at, (i, size)| at * size + i);
    tensor.as_f32().unwrap()[at]
}

fn named<'t>(tensors: &'t [(String, Tensor)], name: &str) -> &'t Tensor {
    &tensors.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// The tiny spec, which begins from a file and learns nothing more.
const BEGINS: (&str, &str) = (
    "  optimize momentum(rate: 0.1, momentum: 0.9)",
    "  init from \"start.safetensors\"\n  optimize sgd(rate: 0)",
);

#[test]
fn a_run_begins_with_the_parameters_of_another() {
    let folder = tiny();
    strata(folder.path(), &["train", "tiny.model", "--steps", "5"]).good();
    let first = run_folder(folder.path());
    for file in ["final.safetensors", "last.safetensors"] {
        fs::copy(first.join(file), folder.path().join("start.safetensors")).unwrap();
        fs::write(folder.path().join("next.model"), TINY.replace(BEGINS.0, BEGINS.1)).unwrap();
        strata(folder.path(), &["train", "next.model", "--steps", "2", "--out", "next"]).good();
        let next = run_folder_in(&folder.path().join("next"));
        assert_eq!(tensors(&next.join("final.safetensors")), tensors(&first.join("final.safetensors")));
        // What is resumed goes on from its own state, whatever becomes of the file.
        let start = folder.path().join("start.safetensors");
        let on = ["train", "next.model", "--steps", "4", "--resume", next.to_str().unwrap()];
        fs::write(&start, b"").unwrap();
        strata(folder.path(), &on).good();
        fs::remove_file(&start).unwrap();
        let on = on.map(|word| if word == "4" { "6" } else { word });
        strata(folder.path(), &on).good();
        let (_, meta) = checkpoint::load(&next.join("final.safetensors")).unwrap();
        assert_eq!(meta.step, 6);
        assert_eq!(tensors(&next.join("final.safetensors")), tensors(&first.join("final.safetensors")));
        fs::remove_dir_all(folder.path().join("next")).unwrap();
    }
}

#[cfg_attr(not(feature = "pictures"), ignore = "built without pictures")]
#[test]
fn a_run_goes_on_without_the_picture_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("photo.png");
    fs::copy(root().join("runtime/queue/pictures/samples/plain.png"), &photo).unwrap();
    let spec = r#"
model Paint {
  param canvas: f32[height = 4, width = 4, channel = 3] = image("photo.png")
  loss mean(canvas * canvas)
}
train Paint { optimize sgd(rate: 0.1); stop after 2 steps }
"#;
    fs::write(folder.path().join("paint.model"), spec).unwrap();
    strata(folder.path(), &["train", "paint.model"]).good();
    fs::remove_file(photo).unwrap();
    let run = run_folder(folder.path());
    strata(folder.path(), &["train", "paint.model", "--steps", "3", "--resume", run.to_str().unwrap()])
        .good();
    let (_, meta) = checkpoint::load(&run.join("final.safetensors")).unwrap();
    assert_eq!(meta.step, 3);
}

/// PyTorch's layout: `[out, in]`, doubles where its user had them.
fn torch_like(folder: &Path) {
    let double: Vec<u8> = (0..16).flat_map(|i| (f64::from(i) / 3.0).to_ne_bytes()).collect();
    foreign(
        &folder.join("start.safetensors"),
        &[
            ("net.hidden.weight", counting(&[16, 4], 0.0)),
            ("net.hidden.bias", Tensor::from_bytes(DType::F64, &[16], &double).unwrap()),
            ("net.out.weight", counting(&[3, 16], 100.0)),
            ("net.out.bias", counting(&[3], 200.0)),
            ("net.norm.num_batches_tracked", Tensor::zeros(DType::I64, &[])),
        ],
    );
}

const NAMES: &str = "
names Tiny {
  \"*/dense/w\"      = \"net.*.weight\" |> transpose
  \"hidden/dense/b\" = \"net.hidden.bias\"
  \"logits/dense/b\" = \"net.out.bias\"
  unused \"*.num_batches_tracked\"
}
";

#[test]
fn foreign_names_and_layouts() {
    let folder = tiny_with(BEGINS.0, BEGINS.1);
    torch_like(folder.path());
    let path = folder.path().join("tiny.model");
    let text = fs::read_to_string(&path).unwrap();
    let names = NAMES.replace("\"*/dense/w\"      = \"net.*.weight\" |> transpose", "\"hidden/dense/w\" = transpose(\"net.hidden.weight\", axes: [1, 0])\n  \"logits/dense/w\" = 2 * \"net.out.weight\" |> transpose");
    fs::write(&path, format!("{text}{names}")).unwrap();
    strata(folder.path(), &["train", "tiny.model", "--steps", "1"]).good();
    let found = tensors(&run_folder(folder.path()).join("final.safetensors"));
    let (w, b) = (named(&found, "hidden/dense/w"), named(&found, "hidden/dense/b"));
    assert_eq!((w.shape(), number(w, &[1, 0]), number(w, &[3, 15])), (&[4, 16][..], 1.0, 63.0));
    assert_eq!(number(b, &[1]), 1.0_f32 / 3.0);
    let w = named(&found, "logits/dense/w");
    assert_eq!((w.shape(), number(w, &[1, 0]), number(w, &[0, 1])), (&[16, 3][..], 202.0, 232.0));
    assert_eq!(number(named(&found, "logits/dense/b"), &[2]), 202.0);
}

#[test]
fn everything_that_does_not_fit_is_said_at_once() {
    let folder = tiny_with(BEGINS.0, BEGINS.1);
    torch_like(folder.path());
    let path = folder.path().join("tiny.model");
    let text = fs::read_to_string(&path).unwrap();
    // Without a table nothing fits.
    let done = strata(folder.path(), &["train", "tiny.model"]).bad(&[
        "error[weights-mismatch]: `start.safetensors` does not fit `Tiny`: 4 tensors are missing, 5 tensors are left over",
        "tiny.model:17:13",
        "missing: `hidden/dense/w`",
        "left over: `net.norm.num_batches_tracked` i64[]",
        "names Tiny {",
    ]);
    assert_eq!(done.err.matches("error[").count(), 1, "{}", done.err);
    assert!(!folder.path().join("runs").exists(), "nothing was begun");
    // With a wrong one, each difference and what would mend it.
    let names = NAMES
        .replace(" |> transpose", "")
        .replace("net.out.bias", "net.out.bais")
        .replace(
            "\"*/dense/w\"      = \"net.*.weight\"",
            "\"hidden/dense/w\" = \"net.hidden.weight\"\n  \"logits/dense/w\" = \"net.out.weight\"",
        )
        .replace("  unused", "  // unused");
    fs::write(&path, format!("{text}{names}")).unwrap();
    strata(folder.path(), &["check", "tiny.model"]).bad(&[
        "1 tensor is missing, 2 tensors have another shape, 2 tensors are left over",
        "missing: `logits/dense/b`, in the file `net.out.bais`; did you mean `net.out.bias`?",
        "another shape: `hidden/dense/w` is f32[4, 16], and `net.hidden.weight` is f32[16, 4]; `|> transpose` would fit",
        "another shape: `logits/dense/w` is f32[16, 3], and `net.out.weight` is f32[3, 16]",
    ]);
    // Lines about what the model does not have.
    fs::write(&path, format!("{text}{}", NAMES.replace("\"hidden/dense/b\"", "\"hiden/dense/b\""))).unwrap();
    strata(folder.path(), &["check", "tiny.model"]).bad(&[
        "error[unknown-name]: `Tiny` has no parameter `hiden/dense/b`",
        "did you mean `hidden/dense/b`?",
    ]);
    fs::write(&path, format!("{text}{}", NAMES.replace("net.*.weight", "*.*.weight"))).unwrap();
    strata(folder.path(), &["check", "tiny.model"]).bad(&["error[bad-value]: this name has 2 stars"]);
    fs::write(&path, format!("{text}{}", NAMES.replace("names Tiny", "names Tini"))).unwrap();
    strata(folder.path(), &["check", "tiny.model"]).bad(&["there is no model called `Tini`"]);
}

#[test]
fn a_part_may_begin_anew() {
    let folder = tiny_with(BEGINS.0, BEGINS.1);
    torch_like(folder.path());
    let path = folder.path().join("tiny.model");
    let text = fs::read_to_string(&path).unwrap();
    let names = "names Tiny { new \"logits/*\"; \"*/dense/w\" = \"net.*.weight\" |> transpose\n \"*/dense/b\" = \"net.*.bias\"\n unused \"net.out.*\", \"net.norm.*\" }\n";
    fs::write(&path, format!("{text}{names}")).unwrap();
    strata(folder.path(), &["train", "tiny.model", "--steps", "1"]).good();
    let found = tensors(&run_folder(folder.path()).join("final.safetensors"));
    assert_eq!(number(named(&found, "hidden/dense/w"), &[1, 0]), 1.0);
    assert!(named(&found, "logits/dense/w").as_f32().unwrap().iter().all(|x| x.abs() < 2.0));
}

#[test]
fn files_of_weights_that_are_none() {
    let folder = tiny_with(BEGINS.0, BEGINS.1);
    strata(folder.path(), &["train", "tiny.model"])
        .bad(&["error[bad-data]: `start.safetensors`: no such file", "tiny.model:17:13"]);
    let path = folder.path().join("start.safetensors");
    for bytes in [&b""[..], b"abc", &[255; 64], b"\x02\0\0\0\0\0\0\0{}more"] {
        fs::write(&path, bytes).unwrap();
        strata(folder.path(), &["train", "tiny.model"])
            .bad(&["error[bad-data]: `start.safetensors`: cannot be read as safetensors"]);
    }
    torch_like(folder.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    strata(folder.path(), &["check", "tiny.model"]).bad(&["it was cut short"]);
}

/// A model without inputs that looks through another, frozen one.
const THROUGH: &str = r#"
model Look(units: axis = 2) {
  input x: f32[batch, 3]
  input y: i32[batch]
  first { a = x |> dense(units) as one }
  logits = a |> dense(4) as two
  loss cross_entropy(logits, y)
}

model Dream {
  param canvas: f32[1, 3] = 0
  frozen layer net = Look(weights: "look.safetensors")
  loss mse(net(canvas)["first"], ones(1, 2))
}

train Dream { optimize sgd(rate: 0.1); stop after 200 steps; save canvas to "seen/canvas-{step}.npy" every 100 steps }
"#;

#[test]
fn a_trained_model_is_a_layer_of_another() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("dream.model"), THROUGH).unwrap();
    let eye = [1.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0];
    let eye = Tensor::from_bytes(DType::F32, &[3, 2], bytemuck::cast_slice(&eye)).unwrap();
    let look = [
        ("first/one/w".to_string(), eye),
        ("first/one/b".to_string(), counting(&[2], 0.0)),
        ("two/w".to_string(), counting(&[2, 4], 0.0)),
        ("two/b".to_string(), counting(&[4], 0.0)),
    ];
    let look: Vec<(String, &Tensor)> = look.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    let file = folder.path().join("look.safetensors");
    checkpoint::save(&file, &look, &Meta::default()).unwrap();
    let done = strata(folder.path(), &["train", "dream.model", "--json"]).good();
    let last = done.json().pop().unwrap();
    assert_eq!(last["step"], 200);
    let run = run_folder(folder.path());
    let found = tensors(&run.join("final.safetensors"));
    assert_eq!(named(&found, "net/first/one/w"), look[0].1, "what is frozen stays as the file says");
    let canvas = named(&found, "canvas");
    // Its bias is (0, 1), so that the first number alone has to move.
    assert!(
        (number(canvas, &[0, 0]) - 1.0).abs() < 1e-4 && number(canvas, &[0, 1]).abs() < 1e-4,
        "{canvas:?}"
    );
    for step in [100, 200] {
        let npy = fs::read(run.join(format!("seen/canvas-{step}.npy"))).unwrap();
        assert_eq!(&npy[..6], b"\x93NUMPY");
        assert_eq!(npy.len() % 64, 12);
    }
    // The same is known before anything runs, but where a run goes on.
    fs::write(&file, b"").unwrap();
    let on = ["train", "dream.model", "--steps", "202", "--resume", run.to_str().unwrap()];
    let done = strata(folder.path(), &on).good();
    assert!(!done.err.contains("note: the model computes something else"), "{}", done.err);
    let found = tensors(&run.join("final.safetensors"));
    assert_eq!(named(&found, "net/first/one/w"), look[0].1, "what is frozen stays as it was");
    strata(folder.path(), &["check", "dream.model"])
        .bad(&["error[bad-data]: `look.safetensors`", "dream.model:12:36"]);
    checkpoint::save(&file, &look[1..], &Meta::default()).unwrap();
    strata(folder.path(), &["check", "dream.model"])
        .bad(&["`look.safetensors` does not fit `Look`: 1 tensor is missing", "missing: `first/one/w`"]);
    // A path that only the program knows cannot be checked.
    let text = THROUGH
        .replace("model Dream {", "model Dream(file: string = \"look.safetensors\") {")
        .replace("weights: \"look.safetensors\"", "weights: file");
    fs::write(folder.path().join("dream.model"), text).unwrap();
    strata(folder.path(), &["check", "dream.model"]).bad(&["a file of weights is named by a text in quotes"]);
}

#[test]
fn what_is_saved_on_the_way_is_checked() {
    for (from, to, words) in [
        ("save canvas", "save canvs", "did you mean `canvas`?"),
        ("seen/canvas-{step}.npy", "canvas.gif", "error[bad-value]: the end of a file's name"),
        ("seen/canvas-{step}.npy", "../canvas.npy", "leads out of it"),
        ("seen/canvas-{step}.npy", "final.safetensors", "the run keeps its parameters in"),
        (
            "seen/canvas-{step}.npy",
            "canvas.png",
            "error[shape-mismatch]: a picture is [height, width, 1 or 3]",
        ),
        (
            "save canvas to \"seen/canvas-{step}.npy\" every",
            "save canvas every",
            "does not say to which file",
        ),
        ("train Dream {", "train Dream { feed d |> batch(3);", "`Dream` takes no input"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text = THROUGH.replace("(weights: \"look.safetensors\")", "()");
        assert!(text.contains(from), "{from}");
        fs::write(folder.path().join("d.csv"), "1,2\n").unwrap();
        let text = format!("{}\ndata d = csv(\"d.csv\", x: column(0))\n", text.replace(from, to));
        fs::write(folder.path().join("dream.model"), text).unwrap();
        strata(folder.path(), &["check", "dream.model"]).bad(&[words]);
    }
}

/// Variables that begin with what is computed from others.
const COMPUTED: &str = r#"
model Net {
  input x: f32[batch, 3]
  const scale: f32[3]    = [1, 2, 4]
  const table: f32[2, 3] = [[1, 2, 3], [4, 5, 6]]
  param a: f32[3] = 3 * scale + 1
  param b: f32[3] = normal(0.5)
  param c: f32[3] = 2 * b
  state d: f32[3] = a - 2 * c
  state e: f32[2] = table @ a
  update d = d
  update e = e
  loss mean(x * a + b * c + d) + sum(e)
}

data rows = csv("rows.csv", x: columns(0..3))

train Net { feed rows |> batch(2); optimize sgd(rate: 0); average 0.9; stop after 3 steps }
"#;

#[test]
fn variables_begin_with_what_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.model"), COMPUTED).unwrap();
    fs::write(folder.path().join("rows.csv"), "1,2,3\n4,5,6\n").unwrap();
    strata(folder.path(), &["train", "net.model"]).good();
    let found = tensors(&run_folder(folder.path()).join("final.safetensors"));
    let numbers = |name: &str| named(&found, name).as_f32().unwrap().to_vec();
    assert_eq!(numbers("a"), [4.0, 7.0, 13.0]);
    let b = numbers("b");
    assert!(b.iter().all(|x| *x != 0.0));
    let c: Vec<f32> = b.iter().map(|x| 2.0 * x).collect();
    assert_eq!(numbers("c"), c);
    let d: Vec<f32> = numbers("a").iter().zip(&c).map(|(a, c)| a - 2.0 * c).collect();
    assert_eq!(numbers("d"), d);
    assert_eq!(numbers("e"), [57.0, 129.0]);
    for (from, to, words) in [
        ("3 * scale + 1", "mean(x, axis: 0)", "`a` begins with what depends on the input `x`"),
        ("[1, 2, 4]", "[1, 2]", "`scale` is f32[3], and begins with f32[2]"),
        ("[[1, 2, 3], [4, 5, 6]]", "[[1, 2, 3], [4, 5]]", "lists of equally many"),
        ("table @ a", "cast(table @ a, i32)", "error[dtype-mismatch]: `e` is f32[2], and begins with i32[2]"),
    ] {
        assert!(COMPUTED.contains(from), "{from}");
        fs::write(folder.path().join("net.model"), COMPUTED.replace(from, to)).unwrap();
        strata(folder.path(), &["check", "net.model"]).bad(&[words]);
    }
}

#[test]
fn a_file_may_hold_several_runs() {
    let text = TINY.to_string();
    let again = &text[text.find("train Tiny {").unwrap()..];
    let second = again
        .replace("train Tiny {", "train Tiny(units: 16) as tune {\n  init from \"start.safetensors\"")
        .replace("after 6 epochs", "after 2 epochs");
    let folder = tiny();
    let path = folder.path().join("tiny.model");
    fs::write(&path, format!("{text}\n{second}")).unwrap();
    fs::write(folder.path().join("start.safetensors"), b"").unwrap();
    // Until the first is trained, the second cannot begin; the message says so.
    strata(folder.path(), &["check", "tiny.model"]).bad(&["start.safetensors"]);
    fs::write(&path, &text).unwrap();
    strata(folder.path(), &["train", "tiny.model"]).good();
    let first = run_folder(folder.path());
    fs::copy(first.join("final.safetensors"), folder.path().join("start.safetensors")).unwrap();
    fs::write(&path, format!("{text}\n{second}")).unwrap();
    let done = strata(folder.path(), &["train", "tiny.model"]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("more than one `train` block: choose with --run Tiny | tune"), "{}", done.err);
    strata(folder.path(), &["train", "tiny.model", "--run", "tune", "--out", "next"]).good();
    let next = run_folder_in(&folder.path().join("next"));
    assert!(next.to_string_lossy().contains("tiny-tune"), "{next:?}");
    let params = first.join("final.safetensors");
    let args = ["eval", "tiny.model", "--run", "tune", "--params", params.to_str().unwrap()];
    strata(folder.path(), &args).good();
    let done = strata(folder.path(), &["train", "tiny.model", "--run", "tone"]);
    assert_eq!(done.code, Some(2), "{}", done.err);
    // Two of one name cannot be told apart.
    fs::write(&path, format!("{text}\n{}", second.replace(" as tune", ""))).unwrap();
    strata(folder.path(), &["check", "tiny.model"])
        .bad(&["error[duplicate-name]: two `train` blocks are called `Tiny`"]);
    // A mistake in the model is said once.
    let wrong = format!("{text}\n{second}").replace("dense(3)", "dense(three)");
    fs::write(&path, wrong).unwrap();
    let done = strata(folder.path(), &["check", "tiny.model"]).bad(&["three"]);
    assert_eq!(done.err.matches("error[").count(), 1, "{}", done.err);
}

/// Where real data lie, or nothing, which is said.
fn squeezenet() -> Option<PathBuf> {
    let data =
        std::env::var_os("STRATA_DATA").map(PathBuf::from).unwrap_or_else(|| root().join("../shared/data"));
    let file = data.join("style/squeezenet_v1.0.safetensors");
    if file.exists() {
        return Some(file);
    }
    eprintln!("skipped: {} is not there", file.display());
    None
}

#[test]
fn squeezenet_as_it_was_published() {
    let Some(file) = squeezenet() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::copy(root().join("specs/squeezenet.model"), folder.path().join("squeezenet.model")).unwrap();
    fs::copy(&file, folder.path().join("squeezenet.safetensors")).unwrap();
    let spec = r#"
use "squeezenet.model"

model Paint {
  const content: f32[1, height = 48, width = 48, channel = 3] = 10
  param canvas:  f32[1, height = 48, width = 48, channel = 3] = 0.5 * content
  frozen layer net = SqueezeNet(height: 48, width: 48, weights: "squeezenet.safetensors")
  loss mse(net(canvas)["fire4"], net(content)["fire4"])
     + 1000 * sum(for l in ["conv1", "fire2", "fire3", "fire5"] { mse(gram(net(canvas)[l]), gram(net(content)[l])) })
}

train Paint { optimize adam(rate: 0.5); stop after 20 steps; save canvas to "painted.png" every 10 steps }
"#;
    fs::write(folder.path().join("paint.model"), spec).unwrap();
    let done = strata(folder.path(), &["train", "paint.model", "--json"]).good();
    let losses: Vec<f64> = done.json().iter().filter_map(|line| line["loss"].as_f64()).collect();
    let most = losses.iter().copied().fold(0.0, f64::max);
    assert!(losses.last().unwrap() < &(0.6 * most), "{losses:?}");
    let run = run_folder(folder.path());
    assert_eq!(&fs::read(run.join("painted.png")).unwrap()[..4], b"\x89PNG");
    let found = tensors(&run.join("final.safetensors"));
    let theirs = checkpoint::load_tensors(&file).unwrap();
    assert_eq!(theirs.len(), 52);
    for (name, tensor) in &theirs {
        let ours = named(&found, &format!("net/{}", name.replace(".weight", "/w").replace(".bias", "/b")));
        if tensor.shape().len() == 1 {
            assert_eq!(ours, tensor, "{name}");
            continue;
        }
        let &[out, into, height, width] = tensor.shape() else { panic!("{name}") };
        assert_eq!(ours.shape(), [height, width, into, out]);
        for (o, i, h, w) in
            [(0, 0, 0, 0), (out - 1, into - 1, height - 1, width - 1), (out / 2, into / 3, 0, width - 1)]
        {
            assert_eq!(number(ours, &[h, w, i, o]), number(tensor, &[o, i, h, w]), "{name}");
        }
    }
}
