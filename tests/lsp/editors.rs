//! The settings for editors: the TextMate grammar is made of the language's own, so it cannot drift from it.
//!
//! `BLESS=1` writes it anew.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use strata_grammar::lex::{TokenKind, lex};
use strata_grammar::words;

use crate::support;

const PATH: &str = "grammar/editors/vscode/strata.tmLanguage.json";

/// Keywords that are followed by the name they bind.
const BINDING: [&str; 9] =
    ["cluster", "const", "data", "input", "layer", "machine", "model", "param", "state"];

/// Words in a regular expression, each as it is.
fn any(words: &[&str]) -> String {
    let plain = |word: &&str| {
        let letters =
            word.chars().map(|c| if c.is_alphanumeric() { c.to_string() } else { format!("\\{c}") });
        letters.collect::<String>()
    };
    words.iter().map(plain).collect::<Vec<_>>().join("|")
}

/// Keywords that begin an item or a statement, those inside of one, and operators in letters.
fn parts() -> (Vec<&'static str>, Vec<&'static str>, Vec<&'static str>) {
    const LETTERS: [&str; 3] = ["and", "not", "or"];
    const TRUTH: [&str; 2] = ["true", "false"];
    let all = words::keywords().iter().copied();
    let (letters, rest): (Vec<&str>, Vec<&str>) = all.partition(|word| LETTERS.contains(word));
    let (truth, words): (Vec<&str>, Vec<&str>) = rest.into_iter().partition(|word| TRUTH.contains(word));
    (words, truth, letters)
}

/// The grammar as the language's own makes it.
fn grammar() -> Value {
    let (words, truth, letters) = parts();
    let prefixed: Vec<&str> = words::units()
        .iter()
        .copied()
        .filter(|unit| matches!(*unit, "B/s" | "bit/s" | "B" | "FLOP/s"))
        .collect();
    let plain: Vec<&str> = words::units().iter().copied().filter(|unit| !prefixed.contains(unit)).collect();
    let prefixes: String = words::PREFIXES.iter().collect();
    let number = "(?<![A-Za-z0-9_])[0-9][0-9_]*(?:\\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_])";
    let units = format!("(?:[{prefixes}]?i?(?:{})|{})(?![A-Za-z0-9_])", any(&prefixed), any(&plain));
    // A word is a keyword at the head of a statement, unless `=` or `,` follows; inside of one it may be a name, so
    // only words between others are taken for keywords there.
    let start = "(?:(?<=[{;}])|^)\\s*";
    let head = format!("{start}({})(?![A-Za-z0-9_])(?!\\s*[=,])", any(&words));
    // What follows these is the name that they bind.
    let binding: Vec<&str> = words.iter().copied().filter(|word| BINDING.contains(word)).collect();
    assert_eq!(binding.len(), BINDING.len(), "all of them are keywords");
    let inside = format!("(?<=\\s)({})(?![A-Za-z0-9_])(?=\\s+[\\w\"(\\[])", any(&words));
    json!({
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "comment": "Made of grammar/model.pest by the tests (BLESS=1); do not edit.",
        "name": "Strata",
        "scopeName": "source.strata",
        "fileTypes": ["model"],
        "patterns": [
            { "name": "comment.line.documentation.strata", "match": "///.*$" },
            { "name": "comment.line.double-slash.strata", "match": "//.*$" },
            {
                "name": "string.quoted.double.strata", "begin": "\"", "end": "\"|$",
                "patterns": [{ "name": "constant.character.escape.strata", "match": "\\\\." }],
            },
            {
                "match": format!("({number})\\s*({units})"),
                "captures": { "1": { "name": "constant.numeric.strata" }, "2": { "name": "keyword.other.unit.strata" } },
            },
            { "name": "constant.numeric.strata", "match": number },
            {
                "match": format!("{start}({})\\s+([A-Za-z_][A-Za-z0-9_]*)", any(&binding)),
                "captures": { "1": { "name": "keyword.control.strata" }, "2": { "name": "entity.name.strata" } },
            },
            { "match": head, "captures": { "1": { "name": "keyword.control.strata" } } },
            { "name": "keyword.control.strata", "match": inside },
            { "name": "constant.language.strata", "match": format!("(?<![A-Za-z0-9_])({})(?![A-Za-z0-9_])", any(&truth)) },
            { "name": "keyword.operator.word.strata", "match": format!("(?<![A-Za-z0-9_])({})(?![A-Za-z0-9_])", any(&letters)) },
            { "name": "storage.type.strata", "match": "(?<![A-Za-z0-9_])(f32|f64|bf16|f16|i32|i64|u8|bool|float|int|tensor|axis|axes|ints|string|init|padding|dtype)(?![A-Za-z0-9_])" },
            {
                "match": "([A-Za-z_][A-Za-z0-9_]*)(?=\\s*:)",
                "captures": { "1": { "name": "variable.parameter.strata" } },
            },
            {
                "match": "([A-Za-z_][A-Za-z0-9_]*)(?=\\()",
                "captures": { "1": { "name": "entity.name.function.strata" } },
            },
            { "name": "keyword.operator.strata", "match": any(words::operators()) },
        ],
    })
}

#[test]
fn the_textmate_grammar_is_that_of_the_language() {
    let file = support::root().join(PATH);
    let mut made = serde_json::to_string_pretty(&grammar()).unwrap();
    made.push('\n');
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == made, "{PATH} is not what the grammar makes; write it with BLESS=1");
}

#[test]
fn keywords_are_words_of_the_specs_and_dtypes_are_all_there() {
    // Each dtype of the runtime has a colour.
    let text = std::fs::read_to_string(support::root().join(PATH)).unwrap();
    for dtype in strata_runtime::DType::ALL {
        assert!(
            text.contains(&format!("|{}|", dtype.name())) || text.contains(&format!("({}|", dtype.name())),
            "{dtype:?}"
        );
    }
    // The specs' words at the head of a line, where nothing but a name or a keyword can stand, are told apart.
    let (words, ..) = parts();
    let keywords: BTreeSet<&str> = words.into_iter().collect();
    let mut met = BTreeSet::new();
    for entry in std::fs::read_dir(support::root().join("specs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "model") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let tokens: Vec<_> = lex(&text).filter(|token| token.kind != TokenKind::Comment).collect();
        for pair in tokens.windows(2) {
            let (word, next) = (&text[pair[0].start..pair[0].end], &text[pair[1].start..pair[1].end]);
            let head = pair[0].first && pair[0].kind == TokenKind::Word && pair[1].kind == TokenKind::Word;
            if head && !matches!(next, "as" | "in") {
                assert!(keywords.contains(word), "{}: `{word}` stands before `{next}`", path.display());
                met.insert(word.to_string());
            }
        }
    }
    for word in ["model", "input", "loss", "metric", "data", "train", "feed", "optimize", "evaluate", "stop"]
    {
        assert!(met.contains(word), "no spec has a line that begins with `{word}`");
    }
}

#[test]
fn the_settings_start_the_server() {
    let read =
        |name: &str| std::fs::read_to_string(support::root().join("grammar/editors").join(name)).unwrap();
    let package: Value = serde_json::from_str(&read("vscode/package.json")).unwrap();
    assert_eq!(package["contributes"]["languages"][0]["extensions"], json!([".model"]));
    assert_eq!(package["contributes"]["grammars"][0]["path"], "strata.tmLanguage.json");
    let _: Value = serde_json::from_str(&read("vscode/language-configuration.json")).unwrap();
    for (file, words) in [
        ("neovim.lua", "\"strata\", \"lsp\""),
        ("helix.toml", "args = [\"lsp\"]"),
        ("emacs.el", "\"strata\" \"lsp\""),
        ("vscode/extension.js", "args: [\"lsp\"]"),
    ] {
        assert!(read(file).contains(words), "{file}");
        assert!(read("README.md").contains(file.split('/').next().unwrap()), "{file}");
    }
}
