//! `// model`: the text form of the models in a spec, in comments at its end; nothing may be wrong with it but that
//! data files are missing.

use strata::check::check;
use strata_grammar::Report;
use strata_runtime::queue::Recipe;
use strata_tests::Case;
use strata_tests::spec::{facts_of, load_case, settings};

pub fn run(case: &Case) -> Result<String, String> {
    let spec: String = case.text.split_inclusive('\n').filter(|line| !line.starts_with("//= ")).collect();
    let loaded = load_case(&case.path, &spec);
    let settings = settings(&case.arguments);
    let mut facts = facts_of(&case.path, &loaded, &settings);
    facts.sources.retain(|_, found| found.is_ok());
    let (checked, diagnostics) = check(&loaded, &facts, &settings);
    if let Some(found) = loaded.diagnostics.iter().chain(&diagnostics).next() {
        return Err(Report::new(found, &loaded.sources).short());
    }
    let mut out = spec;
    let trained = checked.runs.iter().map(|run| &run.model);
    for model in checked.models.iter().chain(trained) {
        for line in model.to_text().lines() {
            out += &format!("//= {line}\n");
        }
        for variable in &model.variables {
            out += &format!(
                "//= {:?} {}: {} = {:?}\n",
                variable.kind, variable.name, variable.ty, variable.init
            );
        }
    }
    for run in &checked.runs {
        let stages =
            |recipe: &Recipe| recipe.stages.iter().map(|stage| stage.kind.clone()).collect::<Vec<_>>();
        let size = |size: &Option<usize>| size.map_or("ragged".to_string(), |size| size.to_string());
        let fields = run.feed.source.fields();
        let fields = fields.iter().map(|field| {
            let shape: Vec<String> = field.shape.iter().map(size).collect();
            format!("({:?}, [{}], {:?})", field.name, shape.join(", "), field.dtype)
        });
        let fields: Vec<String> = fields.collect();
        out += &format!("//= feed [{}] {:?}\n", fields.join(", "), stages(&run.feed));
        for evaluate in &run.evaluate {
            out += &format!(
                "//= evaluate {} {:?} {:?}\n",
                evaluate.name,
                stages(&evaluate.data),
                evaluate.every
            );
        }
        out += &format!("//= stop {:?} save {:?} seed {}\n", run.stop, run.save_every, run.seed);
    }
    Ok(out)
}
