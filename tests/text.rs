//! The text side holds for any text: no panic, spans within the text, time bounded; formatting is idempotent and
//! keeps the tree; a broken token costs its own statement.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed};
use strata_grammar::ast::{File, Item, Statement, StatementKind};
use strata_grammar::{Code, FileId, Parsed, Source, parse, print};
use strata_tests::{fenced, model_files, root, without_annotations};

/// Generous: a debug build on a busy machine takes a fraction of it for the texts below.
const TIME: Duration = Duration::from_secs(20);

fn read(text: &str) -> (Source, Parsed) {
    let source = Source::new("test.model", text);
    let parsed = parse(FileId(0), &source);
    (source, parsed)
}

/// A tree as text, without places.
fn shape(tree: &impl std::fmt::Debug) -> String {
    let shown = format!("{tree:?}");
    let mut out = String::with_capacity(shown.len());
    let mut rest = shown.as_str();
    while let Some(at) = rest.find("Span {") {
        out += &rest[..at];
        rest = rest[at..].split_once(" }").map_or("", |(_, after)| after);
    }
    out + rest
}

/// The places in a tree or in diagnostics.
fn places(shown: &str) -> Vec<(usize, usize)> {
    let number =
        |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>();
    let spans = shown.split("Span { file: FileId(0), start: ").skip(1);
    spans
        .map(|text| {
            let (start, end) = text.split_once(", end: ").expect("a span has an end");
            (number(start).expect("a number"), number(end).expect("a number"))
        })
        .collect()
}

/// What must hold for any text.
fn check_any(text: &str) {
    let began = Instant::now();
    let (source, parsed) = read(text);
    assert!(began.elapsed() < TIME, "{:?} for {} bytes", began.elapsed(), text.len());
    let shown = format!("{:?}{:?}", parsed.file, parsed.diagnostics);
    for (start, end) in places(&shown) {
        assert!(start <= end && end <= text.len(), "{start}..{end} in {} bytes", text.len());
        assert!(
            text.is_char_boundary(start) && text.is_char_boundary(end),
            "{start}..{end} cuts a character"
        );
    }
    let first =
        parsed.diagnostics.iter().map(|found| (found.primary.span.start, &found.message)).collect::<Vec<_>>();
    for pair in first.windows(2) {
        assert!(pair[0] != pair[1], "said twice: {:?}", pair[0]);
    }
    let has_bad = shape(&parsed.file).contains("Bad");
    assert!(!has_bad || !parsed.diagnostics.is_empty(), "text was skipped without a word");
    assert_eq!(print(&parsed, &source).is_some(), parsed.diagnostics.is_empty());
    check_format(&source, &parsed);
}

/// What must hold for formatting a text without mistakes.
fn check_format(source: &Source, parsed: &Parsed) {
    let Some(printed) = print(parsed, source) else { return };
    let (again, reparsed) = read(&printed);
    assert!(reparsed.diagnostics.is_empty(), "{:?}\n{printed}", reparsed.diagnostics);
    assert_eq!(
        shape(&parsed.file.items),
        shape(&reparsed.file.items),
        "formatting changed the tree:\n{printed}"
    );
    let comments = |source: &Source, file: &File| -> Vec<String> {
        file.comments.iter().map(|comment| source.text[comment.span.range()].trim_end().to_string()).collect()
    };
    assert_eq!(comments(source, &parsed.file), comments(&again, &reparsed.file), "a comment was lost");
    assert_eq!(
        print(&reparsed, &again).as_deref(),
        Some(printed.as_str()),
        "formatting again changes the text"
    );
}

/// The texts of every sound file of the project: all that it ships, and of the cases those without a mistake.
fn sound_texts() -> Vec<String> {
    let mut texts = Vec::new();
    for (folder, all) in [("specs", true), ("compiler", true), ("tests", false)] {
        for path in model_files(&root().join(folder)) {
            let text = std::fs::read_to_string(&path).expect("a model file is text");
            let text = without_annotations(&text);
            let found = read(&text).1.diagnostics;
            assert!(found.is_empty() || !all, "{}: {}", path.display(), found[0].message);
            if found.is_empty() {
                texts.push(text);
            }
        }
    }
    texts
}

#[test]
fn every_sound_file_survives_formatting() {
    for text in sound_texts() {
        let (source, parsed) = read(&text);
        check_format(&source, &parsed);
    }
}

#[test]
fn pages_of_the_text_show_what_they_speak_of() {
    for code in [Code::SyntaxError, Code::UnmatchedBracket, Code::NestedTooDeep] {
        let example = |fence: &str| fenced(code.page(), fence).expect("the page has such an example");
        let found: Vec<Code> = read(example("```model\n")).1.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(found, [code], "the example of {}", code.name());
        let fixed = read(example("```model fixed\n")).1;
        assert!(
            fixed.diagnostics.is_empty(),
            "the mended example of {}: {:?}",
            code.name(),
            fixed.diagnostics
        );
    }
}

// ---- a broken token costs its own statement ------------------------------------------------------------------------

/// The statements and lines of a file without the blocks in them, as text without places.
fn statements(file: &File) -> Vec<String> {
    fn collect(statements: &[Statement], out: &mut Vec<String>) {
        for statement in statements {
            match &statement.kind {
                StatementKind::For { var: _, over: _, body } | StatementKind::Group { name: _, body } => {
                    collect(&body.statements, out);
                }
                StatementKind::Scan(scan) => collect(&scan.body.statements, out),
                other @ (StatementKind::Input { .. }
                | StatementKind::Declare { .. }
                | StatementKind::Update { .. }
                | StatementKind::Loss(_)
                | StatementKind::Metric(_)
                | StatementKind::Return(_)
                | StatementKind::Generate { .. }
                | StatementKind::Layer(_)
                | StatementKind::LayerBind { .. }
                | StatementKind::Bind { .. }
                | StatementKind::Value(_)
                | StatementKind::Bad) => out.push(shape(other)),
            }
        }
    }
    let mut out = Vec::new();
    for item in &file.items {
        match item {
            Item::Model(definition) | Item::Layer(definition) => {
                collect(&definition.body.statements, &mut out)
            }
            Item::Devices(devices) => out.extend(devices.body.iter().map(|line| shape(&line.kind))),
            Item::Place(place) => out.extend(place.body.iter().map(|line| shape(&line.kind))),
            Item::Replicas(replicas) => out.extend(replicas.body.iter().map(|line| shape(&line.kind))),
            Item::Names(names) => out.extend(names.body.iter().map(|line| shape(&line.kind))),
            Item::Train(train) => out.extend(train.body.iter().map(|line| shape(&line.kind))),
            Item::Use(_) | Item::Data(_) | Item::Bad(_) => out.push(shape(item)),
        }
    }
    out
}

/// How many of `before` are not in `after`, in order.
fn lost(before: &[String], after: &[String]) -> usize {
    let mut rest = after.iter();
    let mut lost = 0;
    for one in before {
        let mut ahead = rest.clone();
        if ahead.any(|other| other == one) {
            rest = ahead;
        } else {
            lost += 1;
        }
    }
    lost
}

/// The tokens of a text, roughly: words, texts and single symbols, with their places.
fn tokens(text: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if let Some(inner) = rest.strip_prefix('"') {
            inner.find('"').map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("|>") || rest.starts_with("..") {
            2
        } else {
            let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            word.max(rest.chars().next().map_or(1, char::len_utf8))
        };
        if !rest.starts_with(char::is_whitespace) {
            out.push((at, at + length));
        }
        at += length;
    }
    out
}

#[test]
fn a_missing_token_costs_its_statement() {
    let (mut brackets, mut bracket_losses) = (0, 0);
    for path in model_files(&root().join("tests/parse/specs")) {
        let text = std::fs::read_to_string(&path).expect("a model file is text");
        let before = statements(&read(&text).1.file);
        for (start, end) in tokens(&text) {
            let token = &text[start..end];
            let broken = format!("{}{}", &text[..start], &text[end..]);
            let (_, parsed) = read(&broken);
            let lost = lost(&before, &statements(&parsed.file));
            let context = || format!("{} without `{token}` at {start}: {lost} lost", path.display());
            match token {
                "(" | ")" | "[" | "]" | "{" | "}" => {
                    brackets += 1;
                    bracket_losses += lost;
                    assert!(lost <= 4, "{}", context());
                }
                // Two statements become one.
                ";" => assert!(lost <= 2, "{}", context()),
                _ => assert!(lost <= 1 || is_head(&text, start), "{}", context()),
            }
        }
    }
    assert!(bracket_losses <= brackets, "{bracket_losses} statements lost by {brackets} brackets");
}

/// Whether a token stands before the `{` of its line: a block's head, without which the block may be lost.
fn is_head(text: &str, at: usize) -> bool {
    let line = text[at..].lines().next().unwrap_or("");
    line.contains('{')
}

// ---- any text ------------------------------------------------------------------------------------------------------

#[test]
fn large_hostile_texts_end_in_diagnostics() {
    const MANY: usize = 100_000;
    let texts = [
        format!("model M {{\n x = {}\n}}\n", "(".repeat(MANY) + &")".repeat(MANY)),
        format!("model M {{\n x = {}", "[".repeat(MANY)),
        "{".repeat(MANY),
        "}".repeat(MANY),
        "f(x) {".repeat(MANY / 6),
        "f(x) {\n".repeat(MANY / 7),
        format!("model M {{\n{}", "f(x) {".repeat(MANY)),
        format!("model M {{ x = 1{} }}", " + 1".repeat(MANY)),
        format!("model M {{ x = f{} }}", " |> f".repeat(MANY)),
        format!("model M {{ x = {}1 }}", "-".repeat(MANY)),
        format!("model M {{ x = {}1 }}", "not ".repeat(MANY)),
        format!("model M {{ x = f{} }}", "()".repeat(MANY)),
        format!(
            "model M {{\n{}{}{}}}",
            "fro i in x {\n".repeat(60),
            "a = 3\n".repeat(14_000),
            "}\n".repeat(60)
        ),
        format!("model M {{\n{}{}{}}}", "foo bar {\n".repeat(60), "a = 3\n".repeat(14_000), "}\n".repeat(60)),
        format!("model M {{\n{}}}", "a = = 3\n".repeat(MANY / 8)),
        format!("{{\n{}{}", "(".repeat(MANY / 2), "}".repeat(MANY / 2)),
        "({[".repeat(MANY / 3),
        "model M {\n".repeat(MANY / 10),
        "\"".repeat(MANY),
        "\0".repeat(MANY),
        "\u{1}\u{4}\u{5}\u{6}\u{7}".repeat(MANY / 5),
        "\n".repeat(MANY),
    ];
    for text in &texts {
        check_any(text);
    }
}

#[test]
fn strange_texts_end_in_diagnostics() {
    let texts = [
        "",
        "\u{feff}",
        "\u{feff}model M { a = 1 }",
        "\r\n\r\n",
        "model M {\r\n  a = 1\r\n}\r\n",
        "\r",
        "//",
        "///",
        "\"",
        "\"\\",
        "\\",
        "é",
        "model",
        "model ",
        "model M",
        "model M {",
        "model M {\u{4}}",
        "model M {\u{6}\n}",
        "model M\n  \u{5}",
        "use",
        "data",
        "data d =",
        "train T(",
        "model M(",
        "layer f(x: f32[",
        "model M { x = \"a\\\" }",
        "model M { a[ }",
        "model M { for i in x",
        "model M { scan",
        "model M { generate w {",
        "model M {\n  x = y\n\n  // c\n\n  |> z\n}",
        "model M { \u{7} a = 1 \u{7} }",
        "model M { a = 1 \u{ffff} }",
        "  model M { a = 1 }",
        "}model M { a = 1 }",
        "model M { a = (1,) }",
        "model M { a = () }",
        "model M { a = [] }",
        "model M { a = f(1,) }",
        "model M { a = x[..,] }",
        "model M { a = x[1, ..] }",
        "model M { a = 1..-2 }",
        "model M { a = x - -y }",
        "model M {\n a\n -b\n}",
        "model M {\n a = x\n  and y\n  or not z\n}",
        "model M { and = 1\n or = 2 }",
        "model M { a = b\nand, c = 3 }",
        "model M { x = f() as g[i] }",
        "model M { x = f()()[1][2](3) }",
        "place M { pipeline [a] over g }",
        "place M { pipeline[0] on g }",
        "devices { gpu[2]: 80 GiB, 3 TFLOP/s; }",
        "model M { x = 3 B/s\n y = B/s }",
    ];
    for text in texts {
        check_any(text);
    }
}

fn config(cases: u32) -> Config {
    Config {
        cases,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..Config::default()
    }
}

/// A piece of text that means something to the grammar.
fn fragment() -> impl Strategy<Value = String> {
    const FRAGMENTS: &[&str] = &[
        "model M {",
        "layer f(x: f32[a]) {",
        "train M {",
        "place M {",
        "devices {",
        "replicas M {",
        "names M {",
        "\"a/*\" = \"*.b\" |> transpose",
        "data d =",
        "use \"a\"",
        "input x: f32[batch]",
        "param w: f32[2] = zeros",
        "for i in 0..3 {",
        "scan x over time with (h, c) = s {",
        "generate w {",
        "x = f(a, b: 1, c = 2)",
        "|> dense(3)",
        "as name[i]",
        "loss",
        "return",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        ":",
        ";",
        "\n",
        "\n",
        "\n",
        "// comment\n",
        "/// doc\n",
        "\"text\"",
        "\"",
        "1",
        "2.5e-3",
        "3 epochs",
        "-",
        "+",
        "*",
        "..",
        "@",
        "not",
        "and",
        "x",
        "gpu[0..2]",
        "on",
        "split over",
        "by",
        "every",
        "\u{feff}",
        "\r\n",
        "\t",
        "é",
        "\u{1}",
        "\u{4}",
        "\u{6}",
        "  ",
        "    ",
    ];
    prop_oneof![9 => prop::sample::select(FRAGMENTS).prop_map(str::to_string), 1 => "\\PC{0,3}"]
}

/// The same tokens with other blanks, breaks and comments between them.
fn lay_out(text: &str, choices: &[u8]) -> String {
    let mut choices = choices.iter().copied().cycle();
    let mut choose = |of: u8| choices.next().unwrap_or(0) % of;
    let mut out = String::new();
    let mut open = Vec::new();
    let mut at = 0;
    for (start, end) in tokens(text) {
        let (gap, token) = (&text[at..start], &text[start..end]);
        let in_brackets = matches!(open.last(), Some(&("(" | "[")));
        if gap.contains('\n') {
            out += gap.trim_end_matches(' ');
            for _ in 0..choose(3) {
                out += ["\n", "   // a comment\n", " \r\n"][usize::from(choose(3))];
            }
            out += &" ".repeat(usize::from(choose(6)));
        } else if in_brackets && matches!(out.chars().last(), Some('(' | '[' | ',')) && choose(5) == 0 {
            out += ["\n", " // a comment\n", "\n\n  "][usize::from(choose(3))];
        } else {
            out += gap;
            if !gap.is_empty() && choose(2) == 0 {
                out += &" ".repeat(usize::from(choose(4)));
            }
        }
        out += token;
        match token {
            "(" | "[" | "{" => open.push(token),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
        at = end;
    }
    out + &text[at..]
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check_any(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_fragments(fragments in prop::collection::vec((fragment(), any::<bool>()), 0..80)) {
        let text: String =
            fragments.into_iter().map(|(fragment, blank)| if blank { fragment + " " } else { fragment }).collect();
        check_any(&text);
    }

    #[test]
    fn sound_files_laid_out_anew(
        file in any::<prop::sample::Index>(),
        choices in prop::collection::vec(any::<u8>(), 200..201),
    ) {
        thread_local!(static TEXTS: Vec<String> = sound_texts());
        let text = TEXTS.with(|texts| lay_out(file.get::<String>(texts), &choices));
        let (source, parsed) = read(&text);
        prop_assert!(parsed.diagnostics.is_empty(), "{:?}\n{text}", parsed.diagnostics);
        check_format(&source, &parsed);
    }

    #[test]
    fn mutations_of_sound_files(
        file in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5_u8, fragment()), 1..6),
    ) {
        thread_local!(static TEXTS: Vec<String> = sound_texts());
        let mut text = TEXTS.with(|texts| file.get(texts).clone());
        for (from, to, edit, fragment) in edits {
            let tokens = tokens(&text);
            if tokens.is_empty() {
                break;
            }
            let (start, end) = *from.get(&tokens);
            let (other_start, other_end) = *to.get(&tokens);
            text = match edit {
                0 => format!("{}{}", &text[..start], &text[end..]),
                1 => format!("{}{fragment}{}", &text[..start], &text[start..]),
                2 => format!("{}{} {}", &text[..start], &text[other_start..other_end], &text[start..]),
                3 => format!("{}{fragment}{}", &text[..start], &text[end..]),
                _ => format!("{}{}", &text[..start], text[start..].trim_start_matches(' ').replacen('\n', " ", 1)),
            };
        }
        check_any(&text);
    }
}
