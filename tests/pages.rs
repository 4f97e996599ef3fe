//! The pages of the checker's messages: the example of each raises its code and no other, and what the page says
//! about the repair is true.

use std::path::Path;

use strata_grammar::{Code, Diagnostic};
use strata_tests::spec;

/// The text of the first fenced block that opens with `fence`.
fn fenced<'a>(page: &'a str, fence: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(fence)?;
    rest.split_once("\n```").map(|(text, _)| text)
}

fn said(text: &str) -> Vec<Diagnostic> {
    // Examples speak of the data that is shipped beside the specs.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/spec.model");
    spec::diagnostics(&path, text, "").1
}

#[test]
fn examples_raise_their_code_and_no_other() {
    for code in Code::ALL {
        let name = code.name();
        let Some(example) = fenced(code.page(), "```model\n") else {
            assert!(NO_TEXT.contains(&name), "{name}: the page has no example");
            continue;
        };
        let found = said(example);
        assert!(!found.is_empty(), "{name}: nothing is said of the example");
        for found in found {
            assert_eq!(found.code, *code, "{name}: {}", found.message);
        }
    }
}

#[test]
fn repairs_are_right() {
    for code in Code::ALL {
        let Some(fixed) = fenced(code.page(), "```model fixed\n") else { continue };
        let found = said(fixed);
        assert!(found.is_empty(), "{}: {:?}", code.name(), found[0].message);
    }
}

/// Codes that no text of a spec raises: only running does, or only what is no text.
const NO_TEXT: &[&str] = &["not-finite", "index-range", "not-utf8"];
