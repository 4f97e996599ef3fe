use super::*;

/// A chain: the scores of the next token depend on the last one alone.
struct Chain {
    /// Logarithms of probabilities: first of the first token, then after each token.
    first: Vec<f32>,
    after: Vec<Vec<f32>>,
    examples: usize,
    /// The last token of each row; `usize::MAX` before the first.
    rows: Vec<usize>,
}

impl Chain {
    fn new(examples: usize, first: &[f64], after: &[&[f64]]) -> Chain {
        let log = |row: &[f64]| row.iter().map(|p| p.ln() as f32).collect::<Vec<f32>>();
        let after = after.iter().map(|row| log(row)).collect();
        Chain { first: log(first), after, examples, rows: vec![usize::MAX; examples] }
    }

    fn scores(&self) -> Scores {
        let of = |last: &usize| if *last == usize::MAX { &self.first } else { &self.after[*last] };
        Scores { numbers: self.rows.iter().flat_map(of).copied().collect(), classes: self.first.len() }
    }
}

impl Decoder for Chain {
    type Error = String;

    fn begin(&mut self) -> Result<Scores, String> {
        self.rows = vec![usize::MAX; self.examples];
        Ok(self.scores())
    }

    fn next(&mut self, from: &[usize], tokens: &[u32]) -> Result<Scores, String> {
        assert!(from.iter().all(|row| *row < self.rows.len()), "a row that was not there");
        self.rows = tokens.iter().map(|token| *token as usize).collect();
        Ok(self.scores())
    }
}

/// Greedy takes 1 first and can then do no better than 0.3; 2 is less likely first, but certain to end.
fn misleading(examples: usize) -> Chain {
    Chain::new(examples, &[0.0, 0.6, 0.4], &[&[0.0, 0.0, 0.0], &[0.3, 0.35, 0.35], &[1.0, 0.0, 0.0]])
}

fn rules(strategy: Strategy, most: &[usize]) -> Rules {
    Rules { strategy, stop: Some(0), most: most.to_vec(), no_repeats: false, prefixes: Vec::new(), seed: 1 }
}

#[test]
fn greedy_takes_the_likeliest_each_time() {
    let found = generate(&mut misleading(2), &rules(Strategy::Greedy, &[3, 1])).expect("it can");
    assert_eq!(found[0][0].tokens, [1, 1, 1]);
    assert_eq!(found[1][0].tokens, [1]);
}

#[test]
fn a_beam_finds_what_greedy_misses_and_ranks_all() {
    let beam = Strategy::Beam { width: 2, length: 0.0 };
    let found = generate(&mut misleading(1), &rules(beam, &[4])).expect("it can");
    assert_eq!(found[0][0].tokens, [2]);
    assert!((found[0][0].log_probability - 0.4f64.ln()).abs() < 1e-6);
    assert!(found[0].windows(2).all(|pair| pair[0].log_probability >= pair[1].log_probability));
}

/// Every sequence up to a length, by brute force.
fn every(chain: &Chain, most: usize, no_repeats: bool) -> Vec<Hypothesis> {
    let mut done = Vec::new();
    let mut open = vec![Hypothesis::default()];
    while let Some(hypothesis) = open.pop() {
        if hypothesis.tokens.len() == most {
            done.push(hypothesis);
            continue;
        }
        let row = hypothesis.tokens.last().map_or(&chain.first, |last| &chain.after[*last as usize]);
        let used = |t: u32| no_repeats && t != 0 && hypothesis.tokens.contains(&t);
        let Some(logs) = score::log_probabilities(row, 1.0, used) else { continue };
        for (token, log) in logs.iter().enumerate().filter(|(_, log)| log.is_finite()) {
            let mut next = hypothesis.clone();
            next.log_probability += log;
            if token == 0 {
                done.push(next);
            } else {
                next.tokens.push(token as u32);
                open.push(next);
            }
        }
    }
    done
}

#[test]
fn a_wide_beam_finds_the_best_of_all_sequences() {
    let chain = || {
        let after: [&[f64]; 4] =
            [&[0.25; 4], &[0.1, 0.2, 0.3, 0.4], &[0.05, 0.6, 0.05, 0.3], &[0.3, 0.3, 0.3, 0.1]];
        Chain::new(3, &[0.1, 0.2, 0.3, 0.4], &after)
    };
    for no_repeats in [false, true] {
        let all = every(&chain(), 3, no_repeats);
        let best = all.iter().map(|h| h.log_probability).fold(f64::NEG_INFINITY, f64::max);
        let beam = Strategy::Beam { width: 64, length: 0.0 };
        let rules = Rules { no_repeats, ..rules(beam, &[3, 3, 0]) };
        let found = generate(&mut chain(), &rules).expect("it can");
        assert!((found[0][0].log_probability - best).abs() < 1e-9, "{no_repeats}: {:?}", found[0][0]);
        assert_eq!(found[0][0], found[1][0]);
        assert!(found[2][0].tokens.is_empty());
        for hypothesis in found[0].iter().filter(|_| no_repeats) {
            let mut tokens = hypothesis.tokens.clone();
            tokens.sort_unstable();
            tokens.dedup();
            assert_eq!(tokens.len(), hypothesis.tokens.len());
        }
    }
}

#[test]
fn length_normalisation_prefers_longer_sequences() {
    // Ending at once costs 0.5; three more tokens cost a little more together.
    let chain = || Chain::new(1, &[0.5, 0.5], &[&[0.0, 0.0], &[0.1, 0.9]]);
    let short = Strategy::Beam { width: 4, length: 0.0 };
    let long = Strategy::Beam { width: 4, length: 3.0 };
    let found = |strategy| generate(&mut chain(), &rules(strategy, &[3])).expect("it can")[0][0].tokens.len();
    assert_eq!(found(short), 0);
    assert_eq!(found(long), 3);
}

#[test]
fn prefixes_are_forced_and_count() {
    for strategy in [Strategy::Greedy, Strategy::Beam { width: 2, length: 0.0 }] {
        let rules = Rules { prefixes: vec![vec![2, 1]], ..rules(strategy, &[3]) };
        let found = generate(&mut misleading(1), &rules).expect("it can");
        assert_eq!(found[0][0].tokens[..2], [2, 1]);
        assert!(found[0][0].tokens.len() <= 3);
        let wrong = Rules { prefixes: vec![vec![9]], ..rules };
        let error = generate(&mut misleading(1), &wrong).expect_err("there is no token 9");
        assert_eq!(error, GenerateError::Prefix { example: 0, token: 9, classes: 3 });
    }
}

#[test]
fn draws_follow_the_probabilities_and_the_rules() {
    let sample = |temperature, top, nucleus| Strategy::Sample(Sampling { temperature, top, nucleus });
    let chain = |n| Chain::new(n, &[0.1, 0.2, 0.7], &[&[0.0, 0.5, 0.5], &[0.0, 0.5, 0.5], &[0.0, 0.5, 0.5]]);
    let firsts = |strategy: Strategy| {
        let found = generate(&mut chain(4000), &rules(strategy, &[1; 4000])).expect("it can");
        let mut counts = [0i32; 3];
        for hypotheses in found {
            counts[hypotheses[0].tokens.first().map_or(0, |t| *t as usize)] += 1;
        }
        counts
    };
    let plain = firsts(sample(1.0, None, None));
    for (count, expected) in plain.iter().zip([400, 800, 2800]) {
        assert!((count - expected).abs() < 150, "{plain:?}");
    }
    assert_eq!(firsts(sample(1.0, Some(1), None))[2], 4000);
    let top = firsts(sample(1.0, Some(2), None));
    assert!(top[0] == 0 && top[1] > 600, "{top:?}");
    let nucleus = firsts(sample(1.0, None, Some(0.8)));
    assert!(nucleus[0] == 0 && nucleus[1] > 600, "{nucleus:?}");
    assert!(firsts(sample(0.2, None, None))[2] > 3950);
    // What an example draws does not depend on how many there are.
    let few = generate(&mut chain(3), &rules(sample(1.0, None, None), &[5; 3])).expect("it can");
    let many = generate(&mut chain(9), &rules(sample(1.0, None, None), &[5; 9])).expect("it can");
    assert_eq!(few[..], many[..3]);
}

#[test]
fn where_nothing_can_be_chosen_it_says_so() {
    for strategy in [Strategy::Greedy, Strategy::Beam { width: 2, length: 0.0 }] {
        // Token 0 does not stop here, and after 1 and 2 nothing new is left.
        let rules = Rules { stop: None, no_repeats: true, ..rules(strategy, &[5]) };
        let mut chain = Chain::new(1, &[0.0, 0.5, 0.5], &[&[1.0; 3], &[0.0, 0.5, 0.5], &[0.0, 0.5, 0.5]]);
        let error = generate(&mut chain, &rules).expect_err("no token is left");
        assert_eq!(error, GenerateError::NoChoice { example: 0, tokens: 2 });
    }
}
