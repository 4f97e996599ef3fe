//! Pictures as Pillow reads them (`samples/make.py`), and as they should not be.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::decode::decode;
use super::pixels::Pixels;
use crate::DType;
use crate::queue::*;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("queue/pictures/samples").join(name)
}

/// What Pillow has read.
fn expected(name: &str, shape: &[usize]) -> Vec<u8> {
    let field = ArrayField {
        name: "x".to_string(),
        path: sample(name),
        member: None,
        shape: shape.to_vec(),
        dtype: DType::U8,
        arithmetic: vec![],
        classes: None,
        origin: 0,
    };
    let stages = vec![Stage { kind: StageKind::Batch { size: 1000 }, origin: 0 }];
    let input = Input::open(&Recipe { source: Source::Arrays { fields: vec![field] }, stages }, 0).unwrap();
    input.pass().unwrap().next().unwrap().unwrap().tensors[0].1.bytes().to_vec()
}

/// The largest and the mean difference.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let all = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    (all.clone().max().unwrap(), all.map(f64::from).sum::<f64>() / a.len() as f64)
}

#[test]
fn pictures_read_as_pillow_reads_them() {
    for (name, channels, most, mean) in [
        ("plain.png", 3, 0, 0.0),
        ("alpha.png", 3, 0, 0.0),
        ("palette.png", 3, 0, 0.0),
        ("grey.png", 1, 0, 0.0),
        ("plain.jpg", 3, 3, 0.7),
        ("progressive.jpg", 3, 3, 0.7),
        ("coarse.jpg", 3, 12, 2.0),
        ("grey.jpg", 1, 2, 0.5),
        ("cmyk.jpg", 3, 4, 1.0),
    ] {
        let found = decode(&sample(name), channels).unwrap();
        assert_eq!((found.height, found.width, found.channels), (20, 28, channels), "{name}");
        let shape: &[usize] = if channels == 1 { &[28] } else { &[28, 3] };
        let (largest, average) = difference(&found.bytes, &expected(&format!("{name}.npy"), shape));
        assert!(largest <= most && average <= mean, "{name}: {largest}, {average}");
    }
    // Grey as colours, and colours as grey.
    let grey = decode(&sample("grey.png"), 3).unwrap();
    assert!(grey.bytes.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    let turned = decode(&sample("plain.png"), 1).unwrap();
    let (largest, _) = difference(&turned.bytes, &expected("grey.png.npy", &[28]));
    assert!(largest <= 1, "{largest}");
}

#[test]
fn sizes_change_as_pillow_changes_them() {
    let picture = decode(&sample("plain.png"), 3).unwrap();
    for (name, height, width) in [("bilinear.npy", 7, 9), ("larger.npy", 33, 41)] {
        let (largest, _) = difference(&picture.resized(height, width).bytes, &expected(name, &[width, 3]));
        assert!(largest <= 1, "{name}: {largest}");
    }
}

#[test]
fn a_picture_that_is_cut_short_is_an_error_and_one_that_is_altered_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["plain.jpg", "progressive.jpg", "grey.jpg", "plain.png", "palette.png"] {
        let whole = fs::read(sample(name)).unwrap();
        decode(&sample(name), 3).unwrap();
        let path = folder.path().join("cut");
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(decode(&path, 3).is_err(), "{name} cut at {length}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x24;
            fs::write(&path, &bytes).unwrap();
            // A JPEG has no checksum: what comes out may differ, but it comes out.
            let found: Result<Pixels, Fault> = decode(&path, 3);
            if let (Ok(found), true) = (found, name.ends_with("png")) {
                assert_eq!(found.bytes.len(), found.height * found.width * 3, "{name} byte {at}");
            }
        }
    }
}

#[test]
fn a_head_that_promises_more_than_the_file_can_hold_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head");
    let said = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        decode(&path, 3).unwrap_err().to_string()
    };
    let mut png = fs::read(sample("plain.png")).unwrap();
    for (width, height) in [(40_000_u32, 40_000_u32), (1 << 20, 1 << 30)] {
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let mut sum = flate2::Crc::new();
        sum.update(&png[12..29]);
        png[29..33].copy_from_slice(&sum.sum().to_be_bytes());
        let told = format!("it says that it has {height} × {width} pixels, which its {} bytes", png.len());
        assert!(said(&png).contains(&told), "{}", said(&png));
    }
    let mut jpeg = fs::read(sample("plain.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|mark| mark == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x3e, 0x80, 0x3e, 0x80]);
    assert!(said(&jpeg).contains("16000 × 16000 pixels, which its"), "{}", said(&jpeg));
}

/// Pictures of 20 × 28 in two folders, some of them copies of the same.
fn folders(pictures: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (to, from) in pictures {
        let to = folder.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(sample(from), to).unwrap();
    }
    folder
}

fn flowers() -> TempDir {
    folders(&[("rose/a.png", "plain.png"), ("rose/b.PNG", "palette.png"), ("lily/z.jpg", "plain.jpg")])
}

fn recipe(path: &Path, shape: [usize; 3], dtype: DType, skip: bool, stages: &[StageKind]) -> Recipe {
    let pixels = PictureContent::Pixels { shape, arithmetic: vec![] };
    let folder = PictureContent::Folder { classes: Some(2) };
    let fields = vec![
        PictureField { name: "image".into(), content: pixels, dtype, origin: 1 },
        PictureField { name: "label".into(), content: folder, dtype: DType::I32, origin: 2 },
    ];
    let stages = stages.iter().chain([&StageKind::Batch { size: 2 }]).cloned();
    let stages = stages.zip(10..).map(|(kind, origin)| Stage { kind, origin }).collect();
    Recipe { source: Source::Pictures { path: path.to_path_buf(), fields, skip, origin: 3 }, stages }
}

fn step(step: PictureStep) -> StageKind {
    StageKind::Picture(step)
}

fn images(batch: &Batch) -> Vec<u8> {
    batch.tensor("image").unwrap().bytes().to_vec()
}

#[test]
fn folders_are_classes_by_name() {
    let folder = flowers();
    fs::write(folder.path().join("rose/notes.txt"), "no picture").unwrap();
    fs::write(folder.path().join("rose/.hidden.png"), "no picture").unwrap();
    let facts = inspect_pictures(folder.path(), true, 0).unwrap();
    assert_eq!((facts.classes, facts.pictures), (vec!["lily".to_string(), "rose".to_string()], 3));
    let input = Input::open(&recipe(folder.path(), [20, 28, 3], DType::U8, false, &[]), 0).unwrap();
    let batches: Vec<Batch> = input.pass().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches[0].tensor("label").unwrap().as_i32().unwrap(), [0, 1]);
    assert_eq!(batches[1].tensor("label").unwrap().as_i32().unwrap(), [1]);
    assert_eq!(images(&batches[0])[20 * 28 * 3..], decode(&sample("plain.png"), 3).unwrap().bytes);
    assert!(input.files().unwrap()[2].ends_with("rose/b.PNG"));
}

#[test]
fn chance_is_a_function_of_seed_epoch_and_example() {
    let folder = flowers();
    let stages = [
        StageKind::Shuffle { window: 3, seed: None },
        step(PictureStep::RandomCrop { height: 6, width: 5, seed: None }),
        step(PictureStep::Flip { seed: None }),
    ];
    let recipe = recipe(folder.path(), [6, 5, 3], DType::U8, false, &stages);
    let batches = |recipe: &Recipe, seed, from: Cursor| -> Vec<Batch> {
        let mut feed = Feed::open(recipe, seed, from).unwrap();
        (0..12).map(|_| feed.next().unwrap()).collect()
    };
    let first = batches(&recipe, 5, Cursor::default());
    assert_eq!(first, batches(&recipe, 5, Cursor::default()));
    assert_ne!(first, batches(&recipe, 6, Cursor::default()));
    // Wherever it goes on, and whoever prepares the batches, it goes on with the same.
    for at in 0..11 {
        assert_eq!(batches(&recipe, 5, first[at].cursor)[..11 - at], first[at + 1..]);
    }
    let ahead = Recipe {
        stages: [recipe.stages.clone(), vec![Stage { kind: StageKind::Prefetch { batches: 2 }, origin: 20 }]]
            .concat(),
        ..recipe.clone()
    };
    assert_eq!(batches(&ahead, 5, Cursor::default()), first);
    let epochs: Vec<Vec<u8>> = first.iter().map(images).collect();
    let different = (1..6).filter(|epoch| epochs[epoch * 2] != epochs[0]).count();
    assert!(different >= 4, "epochs differ");
}

#[test]
fn a_piece_comes_from_anywhere_and_half_are_mirrored() {
    let folder = folders(&[("a/x.png", "plain.png"), ("b/x.png", "plain.png")]);
    let whole = decode(&sample("plain.png"), 3).unwrap();
    let crop = PictureStep::RandomCrop { height: 18, width: 26, seed: Some(9) };
    let recipe_ = recipe(
        folder.path(),
        [18, 26, 3],
        DType::U8,
        false,
        &[step(crop), step(PictureStep::Flip { seed: None })],
    );
    let mut feed = Feed::open(&recipe_, 1, Cursor::default()).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..300 {
        let batch = feed.next().unwrap();
        for picture in images(&batch).chunks_exact(18 * 26 * 3) {
            *seen.entry(picture.to_vec()).or_insert(0) += 1;
        }
    }
    // Three by three places, mirrored or not.
    assert_eq!(seen.len(), 18);
    assert!(seen.values().all(|count| (10..70).contains(count)), "{:?}", seen.values().collect::<Vec<_>>());
    for top in 0..3 {
        for left in 0..3 {
            let mut piece = whole.cropped(top, left, 18, 26);
            assert!(seen.contains_key(&piece.bytes));
            piece.flip();
            assert!(seen.contains_key(&piece.bytes));
        }
    }
    // What stands before a split happens once.
    let fixed =
        [step(PictureStep::RandomCrop { height: 3, width: 3, seed: None }), StageKind::Take { count: 2 }];
    let mut feed =
        Feed::open(&recipe(folder.path(), [3, 3, 3], DType::U8, false, &fixed), 1, Cursor::default())
            .unwrap();
    let first = images(&feed.next().unwrap());
    assert!((0..5).all(|_| images(&feed.next().unwrap()) == first));
    // Repetitions have chances of their own.
    let twice =
        [StageKind::Repeat { times: 8 }, step(PictureStep::RandomCrop { height: 3, width: 3, seed: None })];
    let input = Input::open(&recipe(folder.path(), [3, 3, 3], DType::U8, false, &twice), 1).unwrap();
    assert_eq!(input.examples(), 16);
    let mut pieces: Vec<Vec<u8>> = input.pass().unwrap().map(|batch| images(&batch.unwrap())).collect();
    pieces.sort();
    pieces.dedup();
    assert!(pieces.len() > 4);
}

#[test]
fn white_pictures_have_mean_zero_and_variance_one() {
    let folder = flowers();
    let stages = [step(PictureStep::Resize(Resize::To { height: 10, width: 11 })), step(PictureStep::Whiten)];
    let recipe = recipe(folder.path(), [10, 11, 3], DType::F32, false, &stages);
    for batch in Input::open(&recipe, 0).unwrap().pass().unwrap() {
        let batch = batch.unwrap();
        for picture in batch.tensor("image").unwrap().as_f32().unwrap().chunks_exact(330) {
            let mean = picture.iter().map(|x| f64::from(*x)).sum::<f64>() / 330.0;
            let square = picture.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / 330.0;
            assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-5, "{mean} {square}");
        }
    }
}

#[test]
fn what_cannot_be_read_names_its_file_or_is_left_out() {
    let folder = flowers();
    let broken = folder.path().join("rose/aa.jpg");
    let whole = fs::read(sample("plain.jpg")).unwrap();
    for (bytes, said) in [
        (&whole[..whole.len() / 2], "this picture is damaged"),
        (b"GIF89a", "expected a JPEG or PNG picture"),
        (b"", "this file is empty"),
    ] {
        fs::write(&broken, bytes).unwrap();
        let plain = Input::open(&recipe(folder.path(), [20, 28, 3], DType::F32, false, &[]), 0).unwrap();
        let error = plain.pass().unwrap().find_map(Result::err).unwrap();
        assert_eq!((error.origin, error.place.file.as_deref()), (1, Some(broken.as_path())));
        assert!(error.to_string().contains(said), "{error}");
        let skip = Input::open(&recipe(folder.path(), [20, 28, 3], DType::F32, true, &[]), 0).unwrap();
        assert_eq!((skip.examples(), skip.left_out().len()), (3, 1));
        assert!(skip.left_out()[0].to_string().contains("aa.jpg: "));
        assert_eq!(skip.pass().unwrap().map(Result::unwrap).count(), 2);
    }
    fs::write(&broken, whole).unwrap();
    let sized = |stages: &[StageKind]| {
        let input = Input::open(&recipe(folder.path(), [21, 28, 3], DType::F32, false, stages), 0).unwrap();
        input.pass().unwrap().find_map(Result::err).unwrap()
    };
    let error = sized(&[step(PictureStep::Crop { height: 21, width: 28 })]);
    assert_eq!(
        (error.origin, &error.fault),
        (10, &Fault::PictureTooSmall { wanted: [21, 28], found: [20, 28] })
    );
    assert!(matches!(sized(&[]).fault, Fault::PictureSize { .. }));
}

#[test]
fn folders_that_are_not_as_they_should_be() {
    let folder = flowers();
    let fault = |path: &Path, classes| inspect_pictures(path, classes, 0).unwrap_err();
    fs::copy(sample("plain.png"), folder.path().join("loose.png")).unwrap();
    let loose = fault(folder.path(), true);
    assert_eq!(loose.fault, Fault::NoClass);
    assert!(loose.to_string().contains("loose.png"));
    assert_eq!(inspect_pictures(folder.path(), false, 0).unwrap().pictures, 4);
    fs::remove_file(folder.path().join("loose.png")).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let empty = fault(folder.path(), true);
    assert_eq!((empty.fault, empty.place.file), (Fault::NoPictures, Some(folder.path().join("empty"))));
    assert_eq!(fault(&folder.path().join("rose/a.png"), true).fault, Fault::NotAFolder);
    assert!(matches!(fault(&folder.path().join("none"), true).fault, Fault::Missing { .. }));
    assert_eq!(fault(&folder.path().join("empty"), false).fault, Fault::NoPictures);
    assert_eq!(inspect_pictures(&folder.path().join("rose/a.png"), false, 0).unwrap().pictures, 1);
}
