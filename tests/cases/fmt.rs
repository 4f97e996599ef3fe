//! `// fmt`: what a text looks like in its canonical form. The file holds the text, a line `// becomes`, and the
//! canonical text; or, without that line, a text that is canonical already.

use strata_grammar::{FileId, Source, parse, print};
use strata_tests::Case;

const BECOMES: &str = "// becomes\n";

pub fn run(case: &Case) -> Result<String, String> {
    let (before, becomes) = match case.text.find(&format!("\n{BECOMES}")) {
        Some(at) => (&case.text[..=at], BECOMES),
        None => (case.text.as_str(), ""),
    };
    let after = format(before)?;
    if format(&after)? != after {
        return Err(format!("formatting the formatted text changes it again:\n{after}"));
    }
    Ok(if becomes.is_empty() { after } else { format!("{before}{becomes}{after}") })
}

fn format(text: &str) -> Result<String, String> {
    let source = Source::new("case.model", text);
    let parsed = parse(FileId(0), &source);
    if let Some(first) = parsed.diagnostics.first() {
        return Err(format!("a text with mistakes has no canonical form: {}", first.message));
    }
    print(&parsed, &source).ok_or_else(|| "a text without mistakes was not formatted".to_string())
}
