//! `// parse`: what is wrong with a text, said under the lines where it is.

use strata_grammar::parse;
use strata_tests::{Case, with_annotations};

pub fn run(case: &Case) -> Result<String, String> {
    let (sources, file) = case.source();
    let parsed = parse(file, sources.get(file));
    Ok(with_annotations(&sources, file, &parsed.diagnostics))
}
