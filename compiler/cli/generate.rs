//! `strata generate SPEC --params FILE`: sequences that a trained model makes.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use serde_json::json;
use strata::decode::Steps;
use strata::machine::{Machine, binding};
use strata::model::{Decoder, Model};
use strata::run::Run;
use strata::sequences::Sequences;
use strata::types::Size;
use strata_runtime::Tensor;
use strata_runtime::generate::{GenerateError, Hypothesis, Rules, Strategy, generate};
use strata_runtime::queue::{
    Batch, Input, Source, TextContent, Tokens, UNKNOWN, Unit, Vocabulary, VocabularySource, vocabulary,
};
use strata_runtime::train::MachineError;

use crate::eval::{self, parameters};
use crate::front::{DataArgs, Spec, SpecArgs};
use crate::messages::{self, Failure, Format};
use crate::{examples, signal, train};

/// Write sequences that a trained model makes
#[derive(clap::Args)]
#[command(after_help = "\
The model's `generate` statement says how tokens are chosen and when a sequence ends. What else the model looks at
comes from `--from`, read as the `data` that the `train` block feeds, or is `data` of the spec that `--on` names; a
model that looks at nothing else makes `--count` sequences.

Each sequence is a line; a text of several lines is followed by one of three dashes. With `--on` a tab and what stands
in the data follow each sequence, and the last word is how many are the same.

Examples:
  strata generate specs/char_rnn.model --params final.safetensors --prefix \"It is \" --count 3
  strata generate specs/translate.model --params final.safetensors --from dates.txt
  strata generate specs/translate.model --params final.safetensors --from dates.txt --best 4 --json
  strata generate specs/translate.model --params final.safetensors --on test")]
pub struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Parameters that a run has kept.
    #[arg(long, value_name = "FILE")]
    params: PathBuf,
    /// What the model looks at besides the sequence. `NAME=FILE` for one input of several.
    #[arg(long = "from", value_name = "FILE")]
    files: Vec<String>,
    /// `data` of the spec to look at, and to hold what is made against.
    #[arg(long, value_name = "DATA", conflicts_with = "files")]
    on: Option<String>,
    /// Which input to make, where the model can make several.
    #[arg(long, value_name = "NAME")]
    sequence: Option<String>,
    /// How many sequences, where the model looks at nothing else.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=4096))]
    count: u32,
    /// What each sequence begins with: a text where the sequence is one, else numbers with blanks between.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// How many hypotheses of a beam to write.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    best: u32,
    /// Decides what is drawn.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many threads share a step.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// One JSON object for each sequence.
    #[arg(long)]
    json: bool,
}

/// Writes one line for each sequence.
pub fn run(args: &Args, format: Format) -> Result<(), Failure> {
    signal::catch()?;
    let spec = args.spec.read_with(&args.data.folders, &args.params, format)?;
    let run = spec.run()?;
    let decoder = decoder(args, &run.model)?;
    let steps = steps(&run.model, decoder)?;
    let alphabet = Alphabet::of(run, &run.model.inputs[decoder.input.0 as usize].name)
        .map_err(|error| train::wrong_data(&error, run, &spec, format))?;
    let seed = args.seed.unwrap_or(run.seed);
    let mut machine = Machine::placed(&run.model, run.placement.as_ref(), seed, train::threads(args.threads))
        .map_err(messages::machine)?;
    machine.set(&parameters(&args.params, &run.model)?).map_err(messages::machine)?;
    let needed = steps.inputs();
    let mut out = BufWriter::new(io::stdout().lock());
    let job = Job { args, run, spec: &spec, format, decoder, steps, alphabet, seed };
    if needed.is_empty() {
        let given = [("--from", !args.files.is_empty()), ("--on", args.on.is_some())];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            let text = format!("`{}` looks at nothing but what it makes: leave out {option}", run.model.name);
            return Err(Failure::Usage(text));
        }
        _ = job.make(&mut machine, None, args.count as usize, &mut out)?;
        return Ok(out.flush()?);
    }
    let recipe = match &args.on {
        Some(data) => eval::named(data, &spec)?.clone(),
        None if args.files.is_empty() => {
            let needed = needed.join(" and ");
            let text =
                format!("`{}` looks at {needed}: give it by --from FILE, or --on DATA", run.model.name);
            return Err(Failure::Usage(text));
        }
        None => examples::recipe(&args.files, run, &needed, "--from")?,
    };
    let mut tally = Tally::default();
    let show = |error| train::wrong_data(&error, run, &spec, format);
    let input = Input::open(&recipe, run.seed).map_err(show)?;
    messages::left_out(&[&input]);
    for batch in input.pass().map_err(show)? {
        let batch = batch.map_err(show)?;
        tally.add(&job.make(&mut machine, Some(&batch), batch.examples, &mut out)?);
        out.flush()?;
        if signal::asked() {
            return Err(Failure::Interrupted);
        }
    }
    if let Some(data) = &args.on {
        tally.tell(data, args.json, &mut out)?;
    }
    Ok(out.flush()?)
}

/// The decoder that is asked for.
fn decoder<'m>(args: &Args, model: &'m Model) -> Result<&'m Decoder, Failure> {
    let name = |decoder: &Decoder| model.inputs[decoder.input.0 as usize].name.as_str();
    match (&args.sequence, &model.decoders[..]) {
        (None, [only]) => Ok(only),
        (_, []) => {
            let text = format!("`{}` has no `generate` statement: add one to the model", model.name);
            Err(Failure::Usage(text))
        }
        (wanted, all) => {
            let found = all.iter().find(|decoder| wanted.as_deref() == Some(name(decoder)));
            let names: Vec<&str> = all.iter().map(name).collect();
            let text = || format!("say which sequence to make: --sequence with one of {}", names.join(", "));
            found.ok_or_else(|| Failure::Usage(text()))
        }
    }
}

fn steps<'m>(model: &'m Model, decoder: &Decoder) -> Result<Steps<'m>, Failure> {
    Steps::new(model, decoder).map_err(|refusal| Failure::Message(refusal.what))
}

/// What is the same for all batches.
struct Job<'a, 'm> {
    args: &'a Args,
    run: &'m Run,
    spec: &'a Spec,
    format: Format,
    decoder: &'m Decoder,
    steps: Steps<'m>,
    alphabet: Alphabet,
    seed: u64,
}

impl<'m> Job<'_, 'm> {
    /// Makes and writes the sequences of some examples; what came of each that is held against the data.
    fn make(
        &self,
        machine: &mut Machine<'m>,
        batch: Option<&Batch>,
        examples: usize,
        out: &mut dyn Write,
    ) -> Result<Tally, Failure> {
        let model = &self.run.model;
        let shapes = batch.map(Batch::shapes).unwrap_or_default();
        let mut binding = binding(model, &shapes).map_err(messages::machine)?;
        let sequence = &model.inputs[self.decoder.input.0 as usize];
        if let Size::Free(free) = sequence.ty.axes[0].size {
            binding[free.0 as usize] = examples as u64;
        }
        // What is to be made is not looked at.
        let lengths = format!("{}.length", sequence.name);
        let own = batch.iter().flat_map(|batch| &batch.tensors);
        let own = own.filter(|(name, _)| **name != *sequence.name && **name != *lengths);
        let inputs: Vec<(String, Tensor)> = own.map(|(n, t)| (n.to_string(), t.clone())).collect();
        let rules = Rules {
            strategy: self.decoder.strategy.clone(),
            stop: self.decoder.stop,
            most: (0..examples).map(|example| self.most(batch, &binding, example)).collect(),
            no_repeats: self.decoder.no_repeats,
            prefixes: self.prefixes(batch, examples)?,
            seed: self.seed,
        };
        let mut sequences =
            Sequences::new(machine, model, self.decoder, self.steps.clone(), &binding, inputs);
        let found = generate(&mut sequences, &rules).map_err(|error| self.failed(error))?;
        let mut tally = Tally::default();
        for (example, hypotheses) in found.iter().enumerate() {
            let expected = match (batch, &self.args.on) {
                (Some(batch), Some(_)) => row(batch, &sequence.name, example),
                (Some(_), None) | (None, _) => None,
            };
            let expected = expected.map(|tokens| self.ended(tokens));
            self.write(hypotheses, expected.as_deref(), out)?;
            if let (Some(expected), Some(best)) = (&expected, hypotheses.first()) {
                tally.count(self.same(&best.tokens, expected));
            }
        }
        Ok(tally)
    }

    /// Tokens of the data without the one that ends them.
    fn ended(&self, mut tokens: Vec<u32>) -> Vec<u32> {
        if self.decoder.stop.is_some() && tokens.last().copied() == self.decoder.stop {
            tokens.pop();
        }
        tokens
    }

    /// Whether a sequence is that of the data. What the vocabulary does not have is never made right.
    fn same(&self, made: &[u32], expected: &[u32]) -> bool {
        let known = match self.alphabet {
            Alphabet::Text(..) => !expected.contains(&(UNKNOWN as u32)),
            Alphabet::Numbers => true,
        };
        known && made == expected
    }

    /// The most tokens of an example: axes of its own lengths count as long as they are.
    fn most(&self, batch: Option<&Batch>, binding: &[u64], example: usize) -> usize {
        /// A sequence that never stops must end too.
        const ENOUGH: u64 = 10_000;
        let Some(most) = &self.decoder.most else { return ENOUGH as usize };
        let mut binding = binding.to_vec();
        for input in &self.run.model.inputs {
            let lengths = batch.and_then(|batch| batch.tensor(&format!("{}.length", input.name)));
            let length = lengths.and_then(Tensor::as_i32).and_then(|all| all.get(example));
            let axis = input.ty.axes.iter().find(|axis| axis.ragged).map(|axis| axis.size.clone());
            if let (Some(length), Some(Size::Free(free))) = (length, axis) {
                binding[free.0 as usize] = u64::try_from(*length).unwrap_or(0);
            }
        }
        most.bind(&binding).min(ENOUGH) as usize
    }

    fn prefixes(&self, batch: Option<&Batch>, examples: usize) -> Result<Vec<Vec<u32>>, Failure> {
        if let Some(text) = &self.args.prefix {
            return Ok(vec![self.alphabet.encode(text)?; examples]);
        }
        let Some(input) = self.decoder.prefix else { return Ok(Vec::new()) };
        let name = &self.run.model.inputs[input.0 as usize].name;
        let rows = batch.and_then(|batch| (0..examples).map(|example| row(batch, name, example)).collect());
        rows.ok_or_else(|| Failure::Usage(format!("sequences begin with `{name}`: give it by --from")))
    }

    fn failed(&self, error: GenerateError<MachineError>) -> Failure {
        match error {
            GenerateError::Step(error) => train::wrong_machine(error, self.run, self.spec, self.format),
            GenerateError::NoChoice { example, tokens } => Failure::Message(format!(
                "after {} of example {example} no token is left that could follow: its scores are not finite, or \
                 `no repeats` has used up all",
                messages::count(tokens, "token")
            )),
            GenerateError::Prefix { token, classes, .. } => Failure::Message(format!(
                "the prefix holds the token {token}, and the model knows tokens from 0 to {}",
                classes.saturating_sub(1)
            )),
        }
    }

    fn write(
        &self,
        hypotheses: &[Hypothesis],
        expected: Option<&[u32]>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let best = match self.decoder.strategy {
            Strategy::Beam { .. } => self.args.best as usize,
            Strategy::Greedy | Strategy::Sample(_) => 1,
        };
        for hypothesis in hypotheses.iter().take(best) {
            let text = self.alphabet.decode(&hypothesis.tokens);
            if self.args.json {
                let Hypothesis { tokens, log_probability } = hypothesis;
                let mut line = json!({ "text": text, "tokens": tokens, "log_probability": log_probability });
                if let Some(expected) = expected {
                    line["expected"] = json!(self.alphabet.decode(expected));
                    line["exact"] = json!(self.same(tokens, expected));
                }
                writeln!(out, "{line}")?;
            } else if let Some(expected) = expected {
                writeln!(out, "{text}\t{}", self.alphabet.decode(expected))?;
            } else if text.contains('\n') {
                // Where one ends and the next begins could not be seen.
                writeln!(out, "{text}\n---")?;
            } else {
                writeln!(out, "{text}")?;
            }
        }
        Ok(())
    }
}

/// The tokens of one example of a sequence, as many as it has.
fn row(batch: &Batch, name: &str, example: usize) -> Option<Vec<u32>> {
    let rows = batch.tensor(name)?;
    let width = rows.shape().get(1).copied().unwrap_or(1);
    let lengths = batch.tensor(&format!("{name}.length"));
    let own = lengths.and_then(Tensor::as_i32).and_then(|all| all.get(example));
    let length = own.map_or(width, |n| usize::try_from(*n).unwrap_or(0).min(width));
    let tokens = rows.as_i32()?.get(example * width..)?.get(..length)?;
    Some(tokens.iter().filter_map(|token| u32::try_from(*token).ok()).collect())
}

/// How many sequences are just as the data have them.
#[derive(Default)]
struct Tally {
    sequences: usize,
    exact: usize,
}

impl Tally {
    fn count(&mut self, exact: bool) {
        self.sequences += 1;
        self.exact += usize::from(exact);
    }

    fn add(&mut self, other: &Tally) {
        self.sequences += other.sequences;
        self.exact += other.exact;
    }

    /// As the last line of JSON; in words beside the sequences, not among them.
    fn tell(&self, data: &str, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
        let Tally { sequences, exact } = self;
        if json {
            let line = json!({ "event": "end", "on": data, "sequences": sequences, "exact": exact });
            return Ok(writeln!(out, "{line}")?);
        }
        out.flush()?;
        let share = 100.0 * *exact as f64 / (*sequences).max(1) as f64;
        let (exact, all) = (messages::grouped(*exact as u64), messages::grouped(*sequences as u64));
        messages::say(&format!(
            "{data}: {exact} of {all} sequences are exactly as in the data ({share:.2} %)"
        ));
        Ok(())
    }
}

/// What tokens stand for.
enum Alphabet {
    /// Words or characters.
    Text(Unit, Box<Vocabulary>),
    /// Themselves.
    Numbers,
}

impl Alphabet {
    /// The alphabet of a field of the run's data.
    fn of(run: &Run, field: &str) -> Result<Alphabet, strata_runtime::queue::DataError> {
        let Source::Text { fields, .. } = &run.feed.source else { return Ok(Alphabet::Numbers) };
        let Some(field) = fields.iter().find(|f| f.name == field) else { return Ok(Alphabet::Numbers) };
        match &field.content {
            TextContent::Tokens(Tokens {
                vocabulary:
                    source @ (VocabularySource::Counted { unit, .. } | VocabularySource::Kept { unit, .. }),
                ..
            }) => Ok(Alphabet::Text(*unit, Box::new(vocabulary(source)?))),
            TextContent::Tokens(Tokens { vocabulary: VocabularySource::File { .. }, .. })
            | TextContent::Numbers { .. } => Ok(Alphabet::Numbers),
        }
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, Failure> {
        match self {
            Alphabet::Text(_, vocabulary) => {
                let mut numbers = Vec::new();
                vocabulary.encode(text, &mut numbers);
                let unknown = numbers.iter().filter(|number| **number == UNKNOWN).count();
                if unknown > 0 {
                    let tokens = messages::count(unknown, "token");
                    messages::say(&format!(
                        "note: the data's vocabulary does not have {tokens} of the prefix"
                    ));
                }
                Ok(numbers.into_iter().filter_map(|n| u32::try_from(n).ok()).collect())
            }
            Alphabet::Numbers => {
                let wrong =
                    |word: &str| Failure::Usage(format!("--prefix: `{word}` is no number of a token"));
                text.split_whitespace().map(|word| word.parse().map_err(|_| wrong(word))).collect()
            }
        }
    }

    fn decode(&self, tokens: &[u32]) -> String {
        let number = |token: &u32| token.to_string();
        match self {
            Alphabet::Text(unit, vocabulary) => {
                let text = |token: &u32| {
                    let known = i32::try_from(*token).ok().and_then(|n| vocabulary.text(n));
                    known.map_or_else(|| number(token), str::to_string)
                };
                let between = match unit {
                    Unit::Characters => "",
                    Unit::Words => " ",
                };
                tokens.iter().map(text).collect::<Vec<_>>().join(between)
            }
            Alphabet::Numbers => tokens.iter().map(number).collect::<Vec<_>>().join(" "),
        }
    }
}
