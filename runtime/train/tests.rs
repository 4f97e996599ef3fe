//! The crank against a machine that is a few lines of arithmetic.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::sync::Arc;

use super::*;
use crate::DType;
use crate::queue::{CsvField, Recipe, Shapes, Source, Stage, StageKind};

/// Moves `w` towards the mean of each batch; `rate` above 2 makes it explode.
struct Toy {
    w: f64,
    rate: f64,
    compiled: Vec<(Phase, usize)>,
}

impl Machine for Toy {
    type Program = (Phase, usize);

    fn compile(&mut self, phase: Phase, shapes: &Shapes) -> Result<(Phase, usize), MachineError> {
        let examples = shapes.get("x").unwrap()[0];
        self.compiled.push((phase, examples));
        Ok((phase, examples))
    }

    fn run(&mut self, made: &mut (Phase, usize), batch: &Batch, _: Turn) -> Result<Outputs, MachineError> {
        assert_eq!(made.1, batch.examples);
        let x = batch.tensor("x").unwrap().as_f32().unwrap();
        let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / x.len() as f64;
        let loss = (self.w - mean) * (self.w - mean);
        if made.0 == Phase::Train {
            self.w -= self.rate * (self.w - mean);
        }
        Ok(vec![(Arc::from("loss"), loss), (Arc::from("mean"), mean)])
    }

    fn read(&self) -> Variables {
        vec![("w".into(), Tensor::from_bytes(DType::F64, &[], &self.w.to_ne_bytes()).unwrap())]
    }

    fn write(&mut self, variables: &Variables) {
        self.w = f64::from_ne_bytes(variables[0].1.bytes().try_into().unwrap());
    }

    fn tell(&mut self, _: &str, _: f64) -> bool {
        false
    }

    fn examine(&mut self, _: Phase, _: &Batch, _: Turn) -> Result<Option<Suspect>, MachineError> {
        assert!(self.w.is_finite());
        Ok(Some(Suspect { name: "loss".into(), id: 3, found: "inf".into(), index: vec![] }))
    }
}

fn toy(rate: f64) -> Toy {
    Toy { w: 0.0, rate, compiled: Vec::new() }
}

/// The numbers 0 to 22 in batches of 5, shuffled anew in each epoch.
fn input(file: &tempfile::NamedTempFile) -> Input {
    let field = CsvField {
        name: "x".into(),
        columns: 0..1,
        shape: vec![],
        dtype: DType::F32,
        arithmetic: vec![],
        classes: None,
        origin: 0,
    };
    let source =
        Source::Csv { path: file.path().into(), header: Some(false), fields: vec![field], origin: 0 };
    let stage = |kind| Stage { kind, origin: 0 };
    let stages =
        vec![stage(StageKind::Shuffle { window: 23, seed: None }), stage(StageKind::Batch { size: 5 })];
    Input::open(&Recipe { source, stages }, 9).unwrap()
}

fn file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    (0..23).for_each(|n| writeln!(file, "{n}").unwrap());
    file
}

fn job(file: &tempfile::NamedTempFile, stop: Vec<Stop>, every: Option<Every>) -> Job {
    let evaluate = vec![EvaluateJob { name: "test".into(), input: input(file), every }];
    Job { input: input(file), evaluate, stop, save_every: None, writes: Vec::new(), accumulate: 1 }
}

/// Runs until `asked` says so after as many questions; gives the end, the kept state, and what was evaluated.
struct Outcome {
    end: Result<(Place, End), TrainError>,
    kept: Option<(Progress, Variables)>,
    evaluated: Vec<(u64, f64)>,
    steps: Vec<u64>,
}

fn run(machine: &mut Toy, job: &Job, progress: Progress, questions: usize) -> Outcome {
    let kept = RefCell::new(None);
    let (mut evaluated, mut steps) = (Vec::new(), Vec::new());
    let left = Cell::new(questions);
    let end = train(
        machine,
        job,
        progress,
        &mut Hooks {
            event: &mut |event| match event {
                Event::Step { place, .. } => steps.push(place.step),
                Event::Evaluated { place, outputs, .. } => evaluated.push((place.step, outputs[1].1)),
            },
            save: &mut |progress, variables| {
                *kept.borrow_mut() = Some((*progress, variables.clone()));
                Ok(())
            },
            write: &mut |_, _, _| Ok(()),
            asked: &|| {
                left.set(left.get().saturating_sub(1));
                left.get() == 0
            },
        },
    );
    Outcome { end, kept: kept.into_inner(), evaluated, steps }
}

#[test]
fn wherever_it_is_stopped_it_goes_on_bit_for_bit() {
    let file = file();
    let job = job(&file, vec![Stop::After(Every::Epochs(4.5))], Some(Every::Epochs(0.5)));
    let whole = run(&mut toy(0.3), &job, Progress::default(), usize::MAX);
    // 4.5 epochs of 23 examples: 4 epochs of 5 steps, and 11.5 examples in 3 steps.
    assert_eq!(whole.end.unwrap(), (whole.kept.as_ref().unwrap().0.at, End::Limit(Every::Epochs(4.5))));
    assert_eq!(whole.steps.len(), 23);
    assert_eq!(total_steps(&job.stop, 23, 5), Some(23));
    assert_eq!(whole.evaluated.len(), 9);
    for (_, mean) in &whole.evaluated {
        assert!((mean - 11.0).abs() < 1e-12, "short batches must count by their examples: {mean}");
    }
    let expected = &whole.kept.as_ref().unwrap().1;
    let mut pieces = 0;
    for questions in 1..75 {
        let first = run(&mut toy(0.3), &job, Progress::default(), questions);
        if first.end.unwrap().1 != End::Asked {
            continue;
        }
        pieces += 1;
        let (progress, variables) = first.kept.unwrap();
        let mut machine = toy(0.3);
        machine.write(&variables);
        let second = run(&mut machine, &job, progress, usize::MAX);
        assert_eq!(&second.kept.unwrap().1, expected);
        let evaluated = [first.evaluated, second.evaluated].concat();
        assert_eq!(evaluated, whole.evaluated, "stopped at question {questions}");
    }
    assert!(pieces > 40);
}

#[test]
fn a_finished_run_does_no_further_step() {
    let file = file();
    let job = job(&file, vec![Stop::After(Every::Steps(7))], None);
    let first = run(&mut toy(0.3), &job, Progress::default(), usize::MAX);
    let (progress, _) = first.kept.unwrap();
    assert_eq!(progress.at.step, 7);
    let again = run(&mut toy(0.3), &job, progress, usize::MAX);
    assert!(again.steps.is_empty());
    assert_eq!(again.end.unwrap(), (progress.at, End::Limit(Every::Steps(7))));
}

#[test]
fn a_metric_ends_it() {
    let file = file();
    let when = Stop::When { metric: "mean".into(), at_least: true, bound: 10.0 };
    let job = job(&file, vec![Stop::After(Every::Steps(1000)), when], Some(Every::Steps(3)));
    let outcome = run(&mut toy(0.3), &job, Progress::default(), usize::MAX);
    let (place, end) = outcome.end.unwrap();
    assert_eq!(place.step, 3);
    assert!(matches!(end, End::Metric { metric, value } if metric == "mean" && value >= 10.0));
}

#[test]
fn programs_are_made_once_for_each_size() {
    let file = file();
    let job = job(&file, vec![Stop::After(Every::Epochs(3.0))], Some(Every::Epochs(1.0)));
    let mut machine = toy(0.3);
    run(&mut machine, &job, Progress::default(), usize::MAX).end.unwrap();
    machine.compiled.sort_unstable();
    let expected = [(Phase::Train, 3), (Phase::Train, 5), (Phase::Evaluate, 3), (Phase::Evaluate, 5)];
    assert_eq!(machine.compiled, expected);
}

#[test]
fn divergence_names_the_first_bad_step_and_restores_what_was_before_it() {
    let file = file();
    let job = job(&file, vec![Stop::After(Every::Steps(100_000))], None);
    let mut machine = toy(1e10);
    let outcome = run(&mut machine, &job, Progress::default(), usize::MAX);
    let Err(TrainError::Diverged(found)) = outcome.end else { panic!("{:?}", outcome.end) };
    // The weight grows by 1e10 a step and its square leaves f64 first: 1e(20·n) > 1.8e308.
    assert_eq!(found.step, 17);
    assert_eq!(found.epoch, 3);
    assert_eq!(found.suspect.unwrap().id, 3);
    assert!(machine.w.is_finite());
    assert_eq!(outcome.steps.len(), 16);
}

#[test]
fn a_variable_that_is_not_finite_is_never_kept() {
    let file = file();
    let job = job(&file, vec![Stop::After(Every::Steps(3))], None);
    let mut machine = Toy { w: f64::NAN, rate: 0.0, compiled: Vec::new() };
    let outcome = run(&mut machine, &job, Progress::default(), usize::MAX);
    assert!(outcome.kept.is_none());
    let Err(TrainError::Diverged(found)) = outcome.end else { panic!("{:?}", outcome.end) };
    assert_eq!(found.variable.as_deref(), Some("w"));
}

#[test]
fn a_variable_that_is_not_finite_is_never_written() {
    let file = file();
    let mut job = job(&file, vec![Stop::After(Every::Steps(3))], None);
    job.writes = vec![Some(Every::Steps(1))];
    for (w, due) in [(f64::NAN, 0), (0.0, 3)] {
        let mut machine = Toy { w, rate: 0.0, compiled: Vec::new() };
        let mut written = 0;
        let mut hooks = Hooks {
            event: &mut |_| {},
            save: &mut |_, _| Ok(()),
            write: &mut |_, _, _| {
                written += 1;
                Ok(())
            },
            asked: &|| false,
        };
        let end = train(&mut machine, &job, Progress::default(), &mut hooks);
        assert_eq!((end.is_ok(), written), (due > 0, due));
    }
}

#[test]
fn finite_in_every_dtype() {
    let bits = [
        (DType::F32, f32::NAN.to_ne_bytes().to_vec()),
        (DType::F64, f64::NEG_INFINITY.to_ne_bytes().to_vec()),
        (DType::Bf16, half::bf16::INFINITY.to_ne_bytes().to_vec()),
        (DType::F16, half::f16::NAN.to_ne_bytes().to_vec()),
    ];
    for (dtype, odd) in bits {
        let mut tensor = Tensor::zeros(dtype, &[3]);
        assert!(divergence::is_finite(&tensor));
        let at = 2 * dtype.bytes();
        tensor.bytes_mut()[at..].copy_from_slice(&odd);
        assert!(!divergence::is_finite(&tensor));
    }
    let ones = Tensor::from_bytes(DType::I64, &[1], &[0xff; 8]).unwrap();
    assert!(divergence::is_finite(&ones));
}
