//! Writes dates as people write them, and the same in ISO 8601: the data of `specs/translate.model`.
//! `cargo run --release -p strata-tests --example dates [LINES] | gzip -9n > specs/data/dates.tsv.gz`

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let lines = std::env::args().nth(1).map_or(12_000, |n| n.parse().expect("a number of lines"));
    std::io::stdout().write_all(strata_tests::dates::lines(lines).as_bytes())
}
