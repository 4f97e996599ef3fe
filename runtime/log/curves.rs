//! Curves of a run as one picture: a panel for each quantity, a line for each part of the data.

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::coord::{Shift, combinators::IntoLogRange};
use plotters::prelude::*;

use super::progress::number;

/// Points kept of a curve; beyond, neighbours are averaged. More than a picture has columns.
const POINTS: usize = 2048;
/// Pixels.
const WIDTH: u32 = 860;
const PANEL: u32 = 300;
const TITLE: u32 = 44;
/// A quantity that spans more than this factor is drawn on a logarithmic axis.
const WIDE: f64 = 50.0;
/// Colours that people with any kind of sight tell apart: blue, orange, green, purple, red.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 95, 168),
    RGBColor(222, 120, 0),
    RGBColor(0, 140, 100),
    RGBColor(170, 80, 150),
    RGBColor(200, 40, 40),
];
const GREY: RGBColor = RGBColor(110, 110, 110);

/// All numbers of a run, as many as a picture can show.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    curves: Vec<Curve>,
}

/// One quantity of one part of the data.
#[derive(Clone, Debug)]
struct Curve {
    part: String,
    quantity: String,
    /// Each the mean of `every` neighbours.
    points: Vec<Dot>,
    every: u32,
    /// The sum of the `gathered` that do not yet make a point.
    sum: Dot,
    gathered: u32,
    /// As given, not averaged.
    last: f64,
    lowest: f64,
    highest: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Dot {
    step: f64,
    epoch: f64,
    value: f64,
}

impl Curves {
    /// Takes in a number; one that is not finite leaves a gap.
    pub fn add(&mut self, part: &str, quantity: &str, step: u64, epoch: f64, value: f64) {
        if !(value.is_finite() && epoch.is_finite()) {
            return;
        }
        // Beyond this the arithmetic of axes overflows; such a curve has no shape anyway.
        let value = value.clamp(-1e30, 1e30);
        let found = self.curves.iter().position(|c| c.part == part && c.quantity == quantity);
        let at = found.unwrap_or_else(|| {
            self.curves.push(Curve::new(part, quantity));
            self.curves.len() - 1
        });
        self.curves[at].add(Dot { step: step as f64, epoch, value });
    }

    /// The picture, or `None` while there is nothing to draw.
    ///
    /// # Errors
    /// What the drawing library says.
    pub fn svg(&self, title: &str) -> Result<Option<String>, String> {
        let mut quantities: Vec<&str> = Vec::new();
        for curve in self.curves.iter().filter(|curve| !curve.drawn().is_empty()) {
            if !quantities.contains(&curve.quantity.as_str()) {
                quantities.push(&curve.quantity);
            }
        }
        if quantities.is_empty() {
            return Ok(None);
        }
        let mut svg = String::new();
        self.draw(&mut svg, title, &quantities).map_err(|error| error.to_string())?;
        Ok(Some(svg))
    }

    fn draw(&self, svg: &mut String, title: &str, quantities: &[&str]) -> Result<(), Failure> {
        let size = (WIDTH, TITLE + PANEL * quantities.len() as u32);
        let picture = SVGBackend::with_string(svg, size).into_drawing_area();
        picture.fill(&WHITE)?;
        let style = ("sans-serif", 20).into_font().color(&BLACK);
        picture.draw(&Text::new(title.to_string(), (24, 16), style))?;
        let (_, panels) = picture.split_vertically(TITLE);
        let across = Across::of(&self.curves);
        for (panel, quantity) in panels.split_evenly((quantities.len(), 1)).iter().zip(quantities) {
            let curves: Vec<&Curve> = self.curves.iter().filter(|c| c.quantity == *quantity).collect();
            draw_panel(panel, quantity, &curves, &across)?;
        }
        picture.present()?;
        Ok(())
    }
}

type Failure = Box<dyn std::error::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The axis that all panels share.
struct Across {
    in_epochs: bool,
    end: f64,
}

impl Across {
    /// Epochs, unless the run ended within the first.
    fn of(curves: &[Curve]) -> Across {
        let dots = || curves.iter().flat_map(Curve::drawn);
        let epochs = dots().map(|dot| dot.epoch).fold(0.0, f64::max);
        let steps = dots().map(|dot| dot.step).fold(1.0, f64::max);
        let in_epochs = epochs >= 1.0;
        Across { in_epochs, end: if in_epochs { epochs } else { steps } }
    }

    fn of_dot(&self, dot: &Dot) -> f64 {
        if self.in_epochs { dot.epoch } else { dot.step }
    }
}

impl Curve {
    fn new(part: &str, quantity: &str) -> Curve {
        Curve {
            part: part.to_string(),
            quantity: quantity.to_string(),
            points: Vec::new(),
            every: 1,
            sum: Dot::default(),
            gathered: 0,
            last: 0.0,
            lowest: f64::INFINITY,
            highest: f64::NEG_INFINITY,
        }
    }

    fn add(&mut self, dot: Dot) {
        self.last = dot.value;
        self.lowest = self.lowest.min(dot.value);
        self.highest = self.highest.max(dot.value);
        self.sum = self.sum.plus(dot);
        self.gathered += 1;
        if self.gathered < self.every {
            return;
        }
        self.points.push(self.sum.over(self.gathered));
        self.sum = Dot::default();
        self.gathered = 0;
        if self.points.len() == POINTS {
            self.points = self.points.chunks(2).map(|pair| pair[0].plus(pair[1]).over(2)).collect();
            self.every = self.every.saturating_mul(2);
        }
    }

    /// All points, with what does not yet make one.
    fn drawn(&self) -> Vec<Dot> {
        let rest = (self.gathered > 0).then(|| self.sum.over(self.gathered));
        self.points.iter().copied().chain(rest).collect()
    }

    /// What the legend says.
    fn label(&self) -> String {
        let falls = self.points.first().is_none_or(|first| self.last <= first.value);
        let best = if falls { self.lowest } else { self.highest };
        format!("{}  {} (best {})", self.part, number(self.last), number(best))
    }
}

impl Dot {
    fn plus(self, other: Dot) -> Dot {
        let (step, epoch) = (self.step + other.step, self.epoch + other.epoch);
        Dot { step, epoch, value: self.value + other.value }
    }

    fn over(self, count: u32) -> Dot {
        let count = f64::from(count);
        Dot { step: self.step / count, epoch: self.epoch / count, value: self.value / count }
    }
}

/// The mean over a fortieth of the curve around each point, which shows where a noisy curve goes.
fn smooth(dots: &[Dot]) -> Vec<Dot> {
    let reach = dots.len() / 80;
    let around = |at: usize| {
        // As far to both sides, or the ends would lean inwards.
        let reach = reach.min(at).min(dots.len() - 1 - at);
        let near = &dots[at - reach..=at + reach];
        let sum = near.iter().fold(Dot::default(), |sum, dot| sum.plus(*dot));
        Dot { value: sum.value / near.len() as f64, ..dots[at] }
    };
    (0..dots.len()).map(around).collect()
}

fn draw_panel(area: &Area<'_>, quantity: &str, curves: &[&Curve], across: &Across) -> Result<(), Failure> {
    let values = || curves.iter().flat_map(|curve| curve.drawn()).map(|dot| dot.value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    if low > 0.0 && high / low > WIDE {
        let range = (low / 1.2..high * 1.2).log_scale();
        return draw_on(area, &format!("{quantity} (logarithmic)"), curves, across, range);
    }
    let margin = ((high - low) * 0.06).max(high.abs().max(low.abs()) * 1e-3).max(1e-9);
    // A share ends at 1, a quantity that is never negative at 0.
    let top = if high <= 1.0 && high + margin > 1.0 { 1.0 } else { high + margin };
    let bottom = if low >= 0.0 && low < margin { 0.0 } else { low - margin };
    let top = if top > bottom { top } else { bottom + margin };
    draw_on(area, quantity, curves, across, bottom..top)
}

fn draw_on<Y>(
    area: &Area<'_>,
    title: &str,
    curves: &[&Curve],
    across: &Across,
    range: Y,
) -> Result<(), Failure>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .caption(title, ("sans-serif", 16).into_font().color(&BLACK))
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d::<std::ops::Range<f64>, Y>(0.0..across.end, range)?;
    let small = ("sans-serif", 13).into_font().color(&GREY);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.10))
        .axis_style(GREY.mix(0.6))
        .label_style(small.clone())
        .x_labels(10)
        .y_labels(6)
        .x_desc(if across.in_epochs { "epoch" } else { "step" })
        .axis_desc_style(small.clone())
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        draw_curve(&mut chart, curve, *colour, across)?;
    }
    let rises = curves.iter().any(|curve| curve.points.first().is_some_and(|first| curve.last > first.value));
    chart
        .configure_series_labels()
        .position(if rises { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight })
        .margin(12)
        .label_font(("sans-serif", 13).into_font().color(&BLACK))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.15))
        .legend_area_size(24)
        .draw()?;
    Ok(())
}

type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

/// A curve of few points shows them; one of many is drawn pale, with its mean over it.
fn draw_curve<Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'_, '_, Y>,
    curve: &Curve,
    colour: RGBColor,
    across: &Across,
) -> Result<(), Failure> {
    let dots = curve.drawn();
    let noisy = dots.len() > 160;
    let place = |dots: &[Dot]| dots.iter().map(|dot| (across.of_dot(dot), dot.value)).collect::<Vec<_>>();
    if noisy {
        chart.draw_series(LineSeries::new(place(&dots), colour.mix(0.25).stroke_width(1)))?;
    }
    let main = if noisy { place(&smooth(&dots)) } else { place(&dots) };
    chart
        .draw_series(LineSeries::new(main.clone(), colour.stroke_width(2)))?
        .label(curve.label())
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
    if dots.len() <= 60 {
        chart.draw_series(main.into_iter().map(|at| Circle::new(at, 2.5, colour.filled())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_mean() {
        let mut curves = Curves::default();
        let count = 10 * POINTS as u64 + 5;
        (0..count).for_each(|step| curves.add("train", "loss", step, 0.0, (step % 4) as f64));
        let dots = curves.curves[0].drawn();
        assert!(dots.len() <= POINTS + 1);
        let whole = &dots[..dots.len() - 1];
        assert!(whole.iter().all(|dot| dot.value == 1.5), "each is the mean of whole rounds of 0, 1, 2, 3");
        assert_eq!(curves.curves[0].highest, 3.0);
    }

    #[test]
    fn nothing_to_draw_is_no_picture() {
        let mut curves = Curves::default();
        assert_eq!(curves.svg("a"), Ok(None));
        curves.add("train", "loss", 1, 0.1, f64::NAN);
        curves.add("train", "loss", 2, 0.2, f64::INFINITY);
        assert_eq!(curves.svg("a"), Ok(None));
    }

    #[test]
    fn a_picture_has_a_panel_for_each_quantity_and_a_name_for_each_part() {
        let mut curves = Curves::default();
        for step in 1..=40 {
            curves.add("train", "loss", step, step as f64 / 10.0, 1.0 / step as f64);
            curves.add("test", "accuracy", step, step as f64 / 10.0, 1.0 - 1.0 / step as f64);
        }
        let svg = curves.svg("a <b> & c").unwrap().unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        for text in [
            "loss",
            "accuracy",
            "train  0.025 (best 0.025)",
            "test  0.975 (best 0.975)",
            "epoch",
            "&lt;b&gt;",
        ] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_numbers_are_drawn(
            values in proptest::collection::vec(proptest::num::f64::ANY, 1..30),
            scale in prop_oneof![Just(1.0), Just(0.0), Just(1e-300), Just(1e300)],
        ) {
            let mut curves = Curves::default();
            for (step, value) in values.iter().enumerate() {
                curves.add("train", "loss", step as u64, step as f64 * 0.3, *value);
                curves.add("test", "loss", step as u64, step as f64 * 0.3, (step % 3) as f64 * scale);
            }
            prop_assert!(curves.svg("a").unwrap().is_some());
        }
    }
}
