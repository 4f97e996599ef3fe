//! `// check`: what the checker says of a spec, under the lines where it is. Data files lie beside the case.

use strata_tests::{Case, spec, with_annotations, without_annotations};

pub fn run(case: &Case) -> Result<String, String> {
    let text = without_annotations(&case.text);
    let (loaded, found) = spec::diagnostics(&case.path, &text, &case.arguments);
    Ok(with_annotations(&loaded.sources, loaded.root(), &found))
}
