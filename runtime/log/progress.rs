//! What the terminal shows while a run goes on: a bar that moves, or plain lines now and then.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long a bar stands still at least.
const REDRAW: Duration = Duration::from_millis(100);
/// How long plain lines are apart within an epoch.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// How far back speed is measured.
const SPEED_OVER: Duration = Duration::from_secs(8);
/// Weight of what was before in the value that a bar shows; about the last twenty steps count.
const MEMORY: f64 = 0.95;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A bar that is drawn over and over.
    Bar,
    /// A line at the end of each epoch, and every ten seconds.
    Lines,
    /// Nothing.
    Quiet,
}

impl Look {
    /// A bar on a terminal, lines in a file or a pipe.
    pub fn for_stderr() -> Look {
        if io::stderr().is_terminal() { Look::Bar } else { Look::Lines }
    }
}

/// How long a run will be, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// All its steps, those of before it was resumed too.
    pub steps: Option<u64>,
    /// All its epochs.
    pub epochs: Option<u64>,
}

/// A step that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a> {
    /// The epoch it belonged to, from 0.
    pub epoch: u64,
    /// Whether it was the last of it.
    pub ends_epoch: bool,
    /// Steps taken, this one too.
    pub step: u64,
    /// Examples it used.
    pub examples: u64,
    /// Loss and metrics; none where they were not measured.
    pub values: &'a [(&'a str, f64)],
}

/// Progress of a run on the standard error.
pub struct Progress {
    meter: Meter,
    screen: Screen,
}

enum Screen {
    Bar { bar: ProgressBar, drawn: Option<Instant> },
    Lines { to: Box<dyn Write + Send>, written: Instant },
    Quiet,
}

impl Progress {
    /// Begins, after `done` steps of before.
    pub fn start(look: Look, total: Total, done: u64) -> Progress {
        let screen = match look {
            Look::Bar => Screen::Bar { bar: bar(total, done), drawn: None },
            Look::Lines => Screen::Lines { to: Box::new(io::stderr()), written: Instant::now() },
            Look::Quiet => Screen::Quiet,
        };
        Progress { meter: Meter::new(total, done, Instant::now()), screen }
    }

    /// Takes in a step, and shows it when it is time to.
    pub fn step(&mut self, status: &Status<'_>) {
        self.step_at(status, Instant::now());
    }

    fn step_at(&mut self, status: &Status<'_>, now: Instant) {
        self.meter.step(status, now);
        match &mut self.screen {
            Screen::Bar { bar, drawn } => {
                if drawn.is_none_or(|drawn| now.duration_since(drawn) >= REDRAW) {
                    *drawn = Some(now);
                    bar.set_position(status.step);
                    bar.set_message(self.meter.text(Values::Recent));
                }
            }
            Screen::Lines { to, written } => {
                if status.ends_epoch || now.duration_since(*written) >= BETWEEN_LINES {
                    *written = now;
                    // There is nobody to tell when the standard error is gone.
                    let _ = writeln!(to, "{}", self.meter.text(Values::SinceLine));
                    self.meter.forget_line();
                }
            }
            Screen::Quiet => {}
        }
    }

    /// Shows a line that stays, above the bar: what an evaluation gave, where a checkpoint lies.
    pub fn say(&mut self, line: &str) {
        match &mut self.screen {
            Screen::Bar { bar, .. } => bar.suspend(|| {
                let _ = writeln!(io::stderr(), "{line}");
            }),
            Screen::Lines { to, .. } => {
                let _ = writeln!(to, "{line}");
            }
            Screen::Quiet => {}
        }
    }

    /// Examples per second in the last seconds; `None` before there is a measurement.
    pub fn speed(&self) -> Option<f64> {
        self.meter.speed().map(|speed| speed.examples)
    }
}

impl Drop for Progress {
    /// Takes the bar away, so that what is written next begins on a clean line.
    fn drop(&mut self) {
        match &self.screen {
            Screen::Bar { bar, .. } => bar.finish_and_clear(),
            Screen::Lines { .. } | Screen::Quiet => {}
        }
    }
}

fn bar(total: Total, done: u64) -> ProgressBar {
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(total.steps, target).with_position(done);
    let template =
        if total.steps.is_some() { "{bar:10.cyan/dim} {wide_msg}" } else { "{spinner} {wide_msg}" };
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    bar.with_style(style.progress_chars("━━─"))
}

/// Which values to show.
#[derive(Clone, Copy)]
enum Values {
    /// Of the last steps, near ones counting more.
    Recent,
    /// The mean of all steps since the last line.
    SinceLine,
}

/// What is known of a run's progress. Has no clock: it is told the time.
struct Meter {
    total: Total,
    epoch: u64,
    step: u64,
    values: Vec<Value>,
    /// Moments of the last seconds, oldest first.
    marks: Vec<Mark>,
}

struct Value {
    name: String,
    recent: f64,
    sum: f64,
    count: u32,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    step: u64,
    /// Examples since the beginning.
    examples: u64,
}

/// Per second.
struct Speed {
    steps: f64,
    examples: f64,
}

impl Meter {
    fn new(total: Total, done: u64, now: Instant) -> Meter {
        let start = Mark { at: now, step: done, examples: 0 };
        Meter { total, epoch: 0, step: done, values: Vec::new(), marks: vec![start, start] }
    }

    fn step(&mut self, status: &Status<'_>, now: Instant) {
        self.epoch = status.epoch;
        self.step = status.step;
        for (name, value) in status.values {
            match self.values.iter_mut().find(|known| known.name == *name) {
                Some(known) => known.add(*value),
                None => self.values.push(Value::new(name, *value)),
            }
        }
        self.mark(status, now);
    }

    /// Moves the newest mark, or begins another after a sixteenth of the time that speed is measured over.
    fn mark(&mut self, status: &Status<'_>, now: Instant) {
        let newest = self.marks.len() - 1;
        let examples = self.marks[newest].examples + status.examples;
        let mark = Mark { at: now, step: status.step, examples };
        if now.duration_since(self.marks[newest - 1].at) < SPEED_OVER / 16 {
            self.marks[newest] = mark;
        } else {
            self.marks.push(mark);
        }
        let old = |mark: &Mark| now.duration_since(mark.at) > SPEED_OVER;
        // The newest of the old ones is where the measurement begins.
        let begin = self.marks.iter().take_while(|mark| old(mark)).count().saturating_sub(1);
        self.marks.drain(..begin.min(self.marks.len() - 2));
    }

    fn forget_line(&mut self) {
        self.values.iter_mut().for_each(|value| (value.sum, value.count) = (0.0, 0));
    }

    fn speed(&self) -> Option<Speed> {
        let (first, last) = (self.marks.first()?, self.marks.last()?);
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        let per_second = |count: u64| count as f64 / seconds;
        (seconds > 0.0).then(|| Speed {
            steps: per_second(last.step.saturating_sub(first.step)),
            examples: per_second(last.examples - first.examples),
        })
    }

    /// `epoch 3/20 · step 72/480 · loss 0.1234 · 12,345 examples/s · 3 s left`; beside a bar shorter, so that
    /// it fits into 80 columns.
    fn text(&self, which: Values) -> String {
        let of = |total: Option<u64>| total.map_or(String::new(), |total| format!("/{}", grouped(total)));
        let mut text = format!("epoch {}{}", grouped(self.epoch + 1), of(self.total.epochs));
        let examples = match which {
            Values::Recent => "ex/s",
            Values::SinceLine => "examples/s",
        };
        if matches!(which, Values::SinceLine) || self.total.epochs.is_none() {
            // Writing to a string cannot fail.
            let _ = write!(text, " · step {}{}", grouped(self.step), of(self.total.steps));
        }
        for value in &self.values {
            let shown = match which {
                Values::SinceLine if value.count > 0 => value.sum / f64::from(value.count),
                Values::SinceLine | Values::Recent => value.recent,
            };
            let _ = write!(text, " · {} {}", value.name, number(shown));
        }
        let Some(speed) = self.speed() else { return text };
        let _ = write!(text, " · {} {examples}", grouped(speed.examples.round() as u64));
        if let Some(left) = self.total.steps.map(|total| total.saturating_sub(self.step))
            && left > 0
            && speed.steps > 0.0
        {
            let _ = write!(text, " · {} left", duration(left as f64 / speed.steps));
        }
        text
    }
}

impl Value {
    fn new(name: &str, value: f64) -> Value {
        Value { name: name.to_string(), recent: value, sum: value, count: 1 }
    }

    fn add(&mut self, value: f64) {
        self.recent = MEMORY * self.recent + (1.0 - MEMORY) * value;
        self.sum += value;
        self.count += 1;
    }
}

/// A number as people like to read it: four digits that count, no zeros at the end.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_string() } else { value.to_string() };
    }
    if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.2e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", without_zeros(digits));
    }
    // The digits before the point count too; a number of six digits has no others.
    let before = size.log10().floor() as i32;
    let decimals = (3 - before).clamp(0, 6) as usize;
    without_zeros(&format!("{value:.decimals$}")).to_string()
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12 s`, `3 min 20 s`, `5 h 2 min`, `3 d 4 h`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{} d {} h", grouped(days), hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 1.0, 0.98765, 2.3021, 0.001234567, 123.456, 99999.4, 1234567.0, 1.5e-7, -0.5];
        let expected =
            ["0", "1", "0.9877", "2.302", "0.001235", "123.5", "99999", "1.23e6", "1.5e-7", "-0.5"];
        assert_eq!(shown.map(number), expected);
        assert_eq!(number(f64::NAN), "NaN");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        let times = [0.2, 59.0, 60.0, 200.0, 7_300.0, 90_000.0].map(duration);
        assert_eq!(times, ["1 s", "59 s", "1 min 0 s", "3 min 20 s", "2 h 1 min", "1 d 1 h"]);
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(total: Total, done: u64, start: Instant) -> (Progress, Shared) {
        let shared = Shared::default();
        let screen = Screen::Lines { to: Box::new(shared.clone()), written: start };
        (Progress { meter: Meter::new(total, done, start), screen }, shared)
    }

    fn written(shared: &Shared) -> Vec<String> {
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_string).collect()
    }

    #[test]
    fn a_line_at_the_end_of_each_epoch() {
        let start = Instant::now();
        let (mut progress, shared) = lines(Total { steps: Some(8), epochs: Some(2) }, 0, start);
        for step in 1..=8 {
            let values = [("loss", step as f64), ("accuracy", 0.5)];
            let status = Status {
                epoch: (step - 1) / 4,
                ends_epoch: step % 4 == 0,
                step,
                examples: 64,
                values: &values,
            };
            progress.step_at(&status, start + Duration::from_millis(250 * step));
        }
        progress.say("done");
        assert_eq!(
            written(&shared),
            [
                "epoch 1/2 · step 4/8 · loss 2.5 · accuracy 0.5 · 256 examples/s · 1 s left",
                "epoch 2/2 · step 8/8 · loss 6.5 · accuracy 0.5 · 256 examples/s",
                "done"
            ]
        );
    }

    #[test]
    fn a_line_every_ten_seconds_of_a_long_epoch() {
        let start = Instant::now();
        let (mut progress, shared) = lines(Total::default(), 1_000, start);
        for second in 1..=25 {
            let status =
                Status { epoch: 0, ends_epoch: false, step: 1_000 + second, examples: 8, values: &[] };
            progress.step_at(&status, start + Duration::from_secs(second));
        }
        assert_eq!(
            written(&shared),
            ["epoch 1 · step 1,010 · 8 examples/s", "epoch 1 · step 1,020 · 8 examples/s"]
        );
    }

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut meter = Meter::new(Total { steps: Some(2_000), epochs: None }, 0, start);
        let mut now = start;
        for step in 1..=1_000 {
            // First slow, then fast.
            now += Duration::from_millis(if step <= 100 { 500 } else { 10 });
            let status = Status { epoch: 0, ends_epoch: false, step, examples: 10, values: &[] };
            meter.step(&status, now);
            assert!(meter.marks.len() < 40);
        }
        let speed = meter.speed().unwrap();
        assert!((speed.examples - 1_000.0).abs() < 20.0, "{}", speed.examples);
        assert!(meter.text(Values::Recent).ends_with("10 s left"), "{}", meter.text(Values::Recent));
    }

    #[test]
    fn quiet_shows_nothing_and_bars_survive_any_order() {
        for look in [Look::Quiet, Look::Bar] {
            let mut progress = Progress::start(look, Total { steps: Some(1), epochs: None }, 5);
            let values = [("loss", f64::NAN)];
            let status =
                Status { epoch: u64::MAX - 1, ends_epoch: true, step: 3, examples: 0, values: &values };
            progress.step(&status);
            progress.step(&status);
        }
    }
}
