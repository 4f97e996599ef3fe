//! Makes the data of `specs/pointer.model` and `specs/tour.model`, and says how good what a model made is:
//! `cargo run --release -p strata-tests --example points -- make`

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use strata_tests::points::{
    Numbers, Point, area, hull, is_simple, length, line, positions, read, shortest_tour,
};

const USAGE: &str = "\
points make [FOLDER]            writes hulls.tsv (500,000 lines), tours.tsv (390,000), hulls_test.tsv and
                                tours_test.tsv (10,000 each); the folder is specs/data/pointer if none is given
points score hulls DATA MADE    what `strata generate` made of DATA: how many are valid, how much area they cover
points score tours DATA MADE    the same: how many are valid, how long they are beside the shortest";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["make"] => {
            let here = Path::new(env!("CARGO_MANIFEST_DIR"));
            make(&here.parent().unwrap_or(here).join("specs/data/pointer"))
        }
        ["make", folder] => make(Path::new(folder)),
        ["score", "hulls", data, made] => score(data, made, score_hulls),
        ["score", "tours", data, made] => score(data, made, score_tours),
        _ => Err(USAGE.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// Makes one line after the other.
type Lines = fn(&mut Numbers) -> String;

fn make(folder: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    // A file, what its lines are, how many, and the seed.
    let files: [(&str, Lines, u64, u64); 4] = [
        ("hulls.tsv", hull_line, 500_000, 1),
        ("hulls_test.tsv", hull_line, 10_000, 2),
        ("tours.tsv", tour_line, 390_000, 1),
        ("tours_test.tsv", tour_line, 10_000, 2),
    ];
    for (name, line, count, seed) in files {
        let (whole, part) = (folder.join(name), folder.join(format!("{name}.part")));
        let write = || {
            let mut numbers = Numbers::new(seed);
            let mut out = BufWriter::new(File::create(&part)?);
            for _ in 0..count {
                writeln!(out, "{}", line(&mut numbers))?;
            }
            out.flush()?;
            fs::rename(&part, &whole)
        };
        write().map_err(|error| failed(&whole, error))?;
        println!("{} of {count} examples", whole.display());
    }
    Ok(())
}

/// 5 to 10 points and the corners of their hull: positions from 1, then 0.
fn hull_line(numbers: &mut Numbers) -> String {
    let many = numbers.between(5, 10);
    let points = numbers.points(many);
    let corners = hull(&points).into_iter().map(|at| at + 1).chain([0]);
    line(&points, &corners.collect::<Vec<_>>())
}

/// 10 points and the shortest tour through them: positions from 0.
fn tour_line(numbers: &mut Numbers) -> String {
    let points = numbers.points(10);
    line(&points, &shortest_tour(&points))
}

/// An example: its points, the right answer, what was made.
type Example = (Vec<Point>, Vec<usize>, Vec<usize>);

fn score(data: &str, made: &str, each: fn(&[Example])) -> Result<(), String> {
    let text = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (data_text, made_text) = (text(data)?, text(made)?);
    let (lines, answers) = (data_text.lines().count(), made_text.lines().count());
    if lines != answers || lines == 0 {
        return Err(format!("{data} has {lines} examples, {made} has {answers}"));
    }
    let mut examples = Vec::with_capacity(lines);
    for (at, (line, answer)) in (1..).zip(data_text.lines().zip(made_text.lines())) {
        let (points, right) = read(line).map_err(|error| format!("{data}, line {at}: {error}"))?;
        let found = positions(answer).map_err(|error| format!("{made}, line {at}: {error}"))?;
        examples.push((points, right, found));
    }
    each(&examples);
    Ok(())
}

fn percent(part: f64, of: usize) -> f64 {
    100.0 * part / of as f64
}

fn score_hulls(examples: &[Example]) {
    let (mut valid, mut exact, mut covered) = (0, 0, 0.0);
    for (points, right, found) in examples {
        // A 0 ends the data's answers, and what was made has none.
        let corners = |answer: &[usize]| {
            let kept = answer.iter().filter(|at| **at > 0);
            kept.map(|at| at - 1).collect::<Vec<_>>()
        };
        let (right, found) = (corners(right), corners(found));
        exact += usize::from(right == found);
        if is_simple(points, &found) {
            valid += 1;
            covered += area(points, &found).abs() / area(points, &right);
        }
    }
    let n = examples.len();
    println!("{n} hulls");
    println!("  valid (simple polygons)         {:6.2} %", percent(valid as f64, n));
    println!("  area covered, of the valid      {:6.2} %", percent(covered, valid));
    println!("  area covered, invalid ones as 0 {:6.2} %", percent(covered, n));
    println!("  exactly the hull                {:6.2} %", percent(exact as f64, n));
}

fn score_tours(examples: &[Example]) {
    let (mut valid, mut exact) = (0, 0);
    let (mut ratios, mut own, mut best) = (0.0, 0.0, 0.0);
    for (points, right, found) in examples {
        let mut sorted = found.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..points.len()) {
            continue;
        }
        let (a, b) = (length(points, found), length(points, right));
        valid += 1;
        exact += usize::from(a <= b * (1.0 + 1e-9));
        ratios += a / b;
        own += a;
        best += b;
    }
    let n = examples.len();
    println!("{n} tours");
    println!("  valid (each point once)      {:6.2} %", percent(f64::from(valid), n));
    println!(
        "  longer than the shortest by  {:6.2} % (mean of the ratios)",
        percent(ratios, valid as usize) - 100.0
    );
    println!("  all together longer by       {:6.2} %", 100.0 * (own / best - 1.0));
    println!("  as short as can be           {:6.2} %", percent(exact as f64, n));
}
