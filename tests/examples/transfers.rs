//! Lists what travels in a training step of a spec: `transfers FILE BATCH…` (sizes of the free axes).

use std::collections::BTreeMap;

use strata::partition::{Homes, Places, partition};
use strata_runtime::train::Phase;
use strata_tests::spec;

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("a spec is given");
    let binding: Vec<u64> = args.map(|size| size.parse().expect("sizes are numbers")).collect();
    let path = std::path::Path::new(&path);
    let text = std::fs::read_to_string(path).expect("it can be read");
    let loaded = spec::load_case(path, &text);
    let settings = spec::settings("");
    let (checked, found) =
        strata::check::check(&loaded, &spec::facts_of(path, &loaded, &settings), &settings);
    for found in &found {
        println!("{}", found.message);
    }
    let run = checked.runs.first().expect("the spec trains");
    let placement = run.placement.as_ref().expect("it is placed");
    let graph = strata::graph_of(&run.model, &binding, Phase::Train, &[]);
    let homes = Homes::of(&graph, &Places::of(&run.model, placement));
    let cut = partition(&graph, &homes);
    let mut all: BTreeMap<(u64, String), u64> = BTreeMap::new();
    for transfer in &cut.transfers {
        let origin = &run.model.origins[transfer.origin.0 as usize];
        let region = &run.model.regions[origin.region.0 as usize].name;
        let text = format!(
            "{} -> {}: {} bytes {:?} of {region}",
            transfer.from.0, transfer.to.0, transfer.bytes, transfer.piece.0
        );
        *all.entry((transfer.bytes, text)).or_default() += 1;
    }
    let total: u64 = cut.transfers.iter().map(|t| t.bytes).sum();
    for ((_, text), count) in all.iter().rev().take(40) {
        println!("{count} x {text}");
    }
    println!("{} transfers, {total} bytes", cut.transfers.len());
    let sizes: Vec<usize> = cut.programs.iter().map(|p| p.graph.len()).collect();
    println!("values: whole {}, devices {sizes:?}", graph.len());
}
