//! Texts as they should be, and as they should not; sequences in buckets.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::DType;

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn stage(kind: StageKind) -> Stage {
    Stage { kind, origin: 50 }
}

fn tokens(unit: Unit, path: &Path, parts: &[Part], end: bool) -> TextContent {
    let over = parts.iter().map(|part| TextPart { path: path.into(), part: *part, origin: 20 }).collect();
    TextContent::Tokens(Tokens {
        vocabulary: VocabularySource::Counted { unit, over, size: None, least: 1 },
        end,
    })
}

fn field(name: &str, part: Part, content: TextContent) -> TextField {
    TextField { name: name.into(), part, content, dtype: DType::I32, origin: 11 }
}

/// Two columns as `a` and `b`, words of one vocabulary.
fn pairs(path: &Path, stages: Vec<StageKind>) -> Recipe {
    let parts = [Part::Cell(0), Part::Cell(1)];
    let content = || tokens(Unit::Words, path, &parts, true);
    let fields = vec![field("a", parts[0], content()), field("b", parts[1], content())];
    let source = Source::Text { path: path.into(), fields, windows: None, origin: 10 };
    Recipe { source, stages: stages.into_iter().map(stage).collect() }
}

fn buckets(a: &[usize], b: &[usize], longer: Longer) -> StageKind {
    StageKind::Bucket { lengths: vec![("a".into(), a.to_vec()), ("b".into(), b.to_vec())], longer }
}

fn batch(size: usize) -> StageKind {
    StageKind::Batch { size }
}

fn all(recipe: &Recipe) -> Vec<Batch> {
    Input::open(recipe, 0).unwrap().pass().unwrap().map(Result::unwrap).collect()
}

fn ints<'a>(batch: &'a Batch, name: &str) -> (&'a [usize], &'a [i32]) {
    let tensor = batch.tensor(name).unwrap();
    (tensor.shape(), tensor.as_i32().unwrap())
}

fn error(recipe: &Recipe) -> DataError {
    Input::open(recipe, 0).err().expect("the data should be refused")
}

fn said(recipe: &Recipe) -> String {
    let text = error(recipe).to_string();
    text.rsplit_once('/').map_or(text.clone(), |(_, rest)| rest.to_string())
}

#[test]
fn words_become_sequences_with_their_lengths() {
    let folder = tempfile::tempdir().unwrap();
    // x: 3, y: 2, z: 1; the mark at the front and the empty line are nothing.
    let path = put(&folder, "a.tsv", "\u{feff}x y\tx\r\n\ny\tx z\r\n".as_bytes());
    let pad = StageKind::Bucket { lengths: vec![], longer: Longer::Refuse };
    let batches = all(&pairs(&path, vec![pad, batch(2)]));
    assert_eq!(batches.len(), 1);
    assert_eq!(ints(&batches[0], "a"), (&[2, 3][..], &[4, 5, END, 5, END, PAD][..]));
    assert_eq!(ints(&batches[0], "a.length"), (&[2][..], &[3, 2][..]));
    assert_eq!(ints(&batches[0], "b"), (&[2, 3][..], &[4, END, PAD, 4, 6, END][..]));
    assert_eq!(ints(&batches[0], "b.length"), (&[2][..], &[2, 3][..]));
    assert_eq!(
        Input::open(&pairs(&path, vec![buckets(&[9], &[9], Longer::Cut), batch(2)]), 0).unwrap().shapes(),
        [batches_shapes(&[("a", &[2, 9]), ("a.length", &[2]), ("b", &[2, 9]), ("b.length", &[2])])]
    );
}

fn batches_shapes(shapes: &[(&str, &[usize])]) -> Shapes {
    Shapes(shapes.iter().map(|(name, shape)| ((*name).into(), shape.to_vec())).collect())
}

#[test]
fn windows_cut_one_long_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "book.txt", b"abcabcabca\n");
    let recipe = |length, stride| {
        let content = tokens(Unit::Characters, &path, &[Part::Whole], false);
        let windows = Some(Windows { length, stride, origin: 12 });
        let fields = vec![field("c", Part::Whole, content)];
        let source = Source::Text { path: path.clone(), fields, windows, origin: 10 };
        Recipe { source, stages: vec![stage(batch(2))] }
    };
    let (a, b, c, end) = (4, 5, 6, 7);
    let batches = all(&recipe(4, 3));
    assert_eq!(batches.len(), 2);
    assert_eq!(ints(&batches[0], "c"), (&[2, 4][..], &[a, b, c, a, a, b, c, a][..]));
    assert_eq!(ints(&batches[1], "c"), (&[1, 4][..], &[a, b, c, a][..]));
    assert_eq!(batches[0].tensors.len(), 1, "equally long examples have no lengths");
    assert_eq!(ints(&all(&recipe(11, 11))[0], "c").1, [a, b, c, a, b, c, a, b, c, a, end]);
    assert_eq!(error(&recipe(12, 1)).fault, Fault::TooShort { expected: 12, found: 11 });
    assert_eq!(error(&recipe(12, 1)).origin, 12);
}

#[test]
fn numbers_become_sequences_of_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = |text: &str| {
        let path = put(&folder, "points.tsv", text.as_bytes());
        let content = TextContent::Numbers { shape: vec![2], arithmetic: vec![(Arithmetic::Multiply, 2.0)] };
        let mut points = field("p", Part::Cell(1), content);
        points.dtype = DType::F32;
        let source = Source::Text { path, fields: vec![points], windows: None, origin: 10 };
        let pad = StageKind::Bucket { lengths: vec![], longer: Longer::Refuse };
        Recipe { source, stages: vec![stage(pad), stage(batch(9))] }
    };
    let batches = all(&recipe("-\t1 2, 3 4\n-\t\n-\t0.5 5\n"));
    let points = batches[0].tensor("p").unwrap();
    assert_eq!(points.shape(), [3, 2, 2]);
    assert_eq!(points.as_f32().unwrap(), [2., 4., 6., 8., 0., 0., 0., 0., 1., 10., 0., 0.]);
    assert_eq!(ints(&batches[0], "p.length").1, [2, 0, 1]);
    assert_eq!(
        said(&recipe("-\t1 2\n-\t1 2 3\n")),
        "points.tsv, line 2: 3 numbers cannot be cut into steps of 2"
    );
    assert_eq!(said(&recipe("-\t1 two\n")), "points.tsv, line 1: expected a number, found `two`");
    assert_eq!(said(&recipe("-\t1 nan\n")), "points.tsv, line 1: expected a finite number, found `nan`");
}

#[test]
fn texts_that_are_wrong_are_located() {
    let folder = tempfile::tempdir().unwrap();
    let pad = || vec![StageKind::Bucket { lengths: vec![], longer: Longer::Refuse }, batch(1)];
    let put = |bytes: &[u8]| pairs(&put(&folder, "a.tsv", bytes), pad());
    assert_eq!(
        said(&put(b"a\tb\nonly one\n")),
        "a.tsv, line 2: there is no column 1: this line has 1 cell, counted from 0 and separated by tabs"
    );
    assert_eq!(said(&put(b"")), "a.tsv: there is not a single example in it");
    assert_eq!(said(&put(b"\n\n")), "a.tsv: there is not a single example in it");
    assert_eq!(
        said(&put(b"a\tb\n\n\xffa\tb")),
        "a.tsv, line 3: expected a text in UTF-8, found the byte 0xff where no character begins"
    );
    assert!(matches!(error(&pairs(Path::new("/nowhere.tsv"), pad())).fault, Fault::Missing { .. }));
    assert_eq!(error(&pairs(folder.path(), pad())).fault, Fault::NotAFile);
    let sound = folder.path().join("a.tsv");
    fs::write(&sound, "a b c\tb\na\tb b b\n").unwrap();
    let fault = |stages: Vec<StageKind>| error(&pairs(&sound, stages)).fault;
    assert!(matches!(fault(vec![batch(1)]), Fault::Stages { .. }));
    assert!(matches!(fault(vec![batch(1), buckets(&[9], &[9], Longer::Cut)]), Fault::Stages { .. }));
    let twice = vec![buckets(&[9], &[9], Longer::Cut), buckets(&[9], &[9], Longer::Cut), batch(1)];
    assert!(matches!(fault(twice), Fault::Stages { .. }));
    assert!(matches!(fault(vec![buckets(&[9, 3], &[9, 9], Longer::Cut), batch(1)]), Fault::Buckets { .. }));
    assert!(matches!(fault(vec![buckets(&[0], &[9], Longer::Cut), batch(1)]), Fault::Buckets { .. }));
    assert!(matches!(fault(vec![buckets(&[9], &[9, 9], Longer::Cut), batch(1)]), Fault::Buckets { .. }));
    assert_eq!(
        fault(vec![buckets(&[3], &[3], Longer::Refuse), batch(1)]),
        Fault::TooLong { examples: 2, field: "a".into(), length: 4, longest: 3 }
    );
    let unknown = StageKind::Bucket { lengths: vec![("c".into(), vec![3])], longer: Longer::Cut };
    assert_eq!(fault(vec![unknown, batch(1)]), Fault::NoSequence { field: "c".into() });
    let none = error(&pairs(&sound, vec![buckets(&[1], &[1], Longer::Skip), batch(1)]));
    assert_eq!((none.fault, none.origin), (Fault::NoneLeft, 50));
}

#[test]
fn examples_too_long_are_skipped_or_cut_where_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "a.tsv", b"a a a a\ta\na\ta\n");
    let cut = all(&pairs(&path, vec![buckets(&[3], &[2], Longer::Cut), batch(2)]));
    assert_eq!(ints(&cut[0], "a"), (&[2, 3][..], &[4, 4, 4, 4, END, PAD][..]));
    assert_eq!(ints(&cut[0], "a.length").1, [3, 2]);
    let skipped = all(&pairs(&path, vec![buckets(&[3], &[2], Longer::Skip), batch(2)]));
    assert_eq!((skipped.len(), skipped[0].examples), (1, 1));
    assert_eq!(ints(&skipped[0], "a").1, [4, END, PAD]);
}

#[test]
fn facts_say_how_often_each_token_occurs() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(&folder, "a.tsv", b"b a b\tc\nb\tc c\n");
    let facts = inspect_text(&path, Part::Cell(0), &[Unit::Words], 0).unwrap();
    assert_eq!((facts.rows, facts.parts.len()), (2, 2));
    assert_eq!(facts.parts[0].words, (3, vec![("a".into(), 1), ("b".into(), 3)]));
    assert_eq!(facts.parts[1].words, (2, vec![("c".into(), 3)]));
    assert_eq!(facts.parts[0].characters, (0, vec![]), "what nobody asks for is not counted");
    let whole = inspect_text(&path, Part::Whole, &[Unit::Characters], 0).unwrap();
    assert_eq!((whole.rows, whole.parts[0].characters.0), (1, 14));
    let ragged = put(&folder, "b.tsv", b"a\tb\nc\n");
    let fault = inspect_text(&ragged, Part::Cell(0), &[], 0).unwrap_err();
    assert_eq!((fault.fault, fault.place.line), (Fault::RowLength { expected: 2, found: 1 }, Some(2)));
    let fault = inspect_text(&put(&folder, "c.tsv", b"a\nb\tc\n"), Part::Cell(0), &[], 0).unwrap_err();
    assert_eq!((fault.fault, fault.place.line), (Fault::RowLength { expected: 1, found: 2 }, Some(2)));
}

/// Sentences of 1 to 9 words, shuffled anew in each epoch, in three buckets.
fn sentences(folder: &TempDir, prefetch: bool) -> Recipe {
    let word = |n: usize| "w ".repeat(n);
    let rows: String = (0..57).map(|row| format!("{}\t{}\n", word(row % 9 + 1), word(row % 4 + 1))).collect();
    let path = put(folder, "a.tsv", rows.as_bytes());
    let mut stages = vec![
        StageKind::Shuffle { window: 100, seed: None },
        buckets(&[4, 7, 10], &[3, 5, 5], Longer::Refuse),
        batch(4),
    ];
    stages.extend(prefetch.then_some(StageKind::Prefetch { batches: 3 }));
    pairs(&path, stages)
}

#[test]
fn bucketed_feeds_go_on_exactly_and_say_all_shapes() {
    let folder = tempfile::tempdir().unwrap();
    for prefetch in [false, true] {
        let recipe = sentences(&folder, prefetch);
        let input = Input::open(&recipe, 3).unwrap();
        let mut feed = input.feed(Cursor::default()).unwrap();
        let all: Vec<Batch> = (0..3 * input.batches()).map(|_| feed.next().unwrap()).collect();
        let shapes = input.shapes();
        let mut seen: Vec<Shapes> = Vec::new();
        for (at, found) in all.iter().enumerate() {
            assert_eq!(found.ends_epoch, (at + 1) % input.batches() == 0);
            assert!(shapes.contains(&found.shapes()), "{:?}", found.shapes());
            seen.push(found.shapes());
        }
        assert!(shapes.iter().all(|shapes| seen.contains(shapes)), "no shape is promised in vain");
        let examples: usize = all[..input.batches()].iter().map(|batch| batch.examples).sum();
        assert_eq!(examples, 57);
        assert_ne!(all[0].tensors, all[input.batches()].tensors, "each epoch has its own order");
        for at in [0, 3, input.batches() - 1, input.batches() + 2] {
            let mut resumed = Feed::open(&recipe, 3, all[at].cursor).unwrap();
            assert!(all[at + 1..].iter().all(|expected| resumed.next().unwrap() == *expected));
        }
        let between = Cursor { epoch: 0, position: 1 };
        let error = input.feed(between).unwrap().next().unwrap_err();
        assert_eq!(error.fault, Fault::Cursor { position: 1, examples: 57 });
    }
}

#[test]
fn an_example_goes_to_the_first_bucket_it_fits() {
    let folder = tempfile::tempdir().unwrap();
    for found in all(&sentences(&folder, false)) {
        let (shape, room) = (ints(&found, "a").0[1], ints(&found, "b").0[1]);
        for (a, b) in ints(&found, "a.length").1.iter().zip(ints(&found, "b.length").1) {
            let (a, b) = (*a as usize, *b as usize);
            let first = [(4, 3), (7, 5), (10, 5)].into_iter().find(|(x, y)| a <= *x && b <= *y);
            assert_eq!(first, Some((shape, room)));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[ab\\t\\n\\r ]{0,60}") {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&bytes[..], text.as_bytes()] {
            let path = put(&folder, "a.tsv", bytes);
            let pad = StageKind::Bucket { lengths: vec![], longer: Longer::Refuse };
            if let Ok(input) = Input::open(&pairs(&path, vec![pad, batch(2)]), 0) {
                input.pass().unwrap().for_each(|batch| drop(batch.unwrap()));
            }
            for part in [Part::Whole, Part::Line, Part::Cell(0)] {
                drop(inspect_text(&path, part, &[Unit::Words, Unit::Characters], 0));
            }
        }
    }
}
