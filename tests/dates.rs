//! The task of `specs/translate.model`: dates as people write them, and the same in ISO 8601.
//!
//! Promise: the lines are a function of how many are asked for. Each is another day of the years 1950 to 2049, so that
//! no day of the last lines stands among the first in any form; two digits of a year therefore mean one of these.

use std::fmt::Write as _;

use crate::random::Choices;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const YEARS: std::ops::Range<u32> = 1950..2050;

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    year: u32,
    /// From 1.
    month: u32,
    /// From 1.
    day: u32,
    /// From 0, a Monday.
    weekday: usize,
}

/// So many lines: a date, a tab, and the same as `1994-09-27`.
///
/// # Panics
/// There are fewer days.
pub fn lines(count: usize) -> String {
    let days = days();
    let mut choices = Choices::new(19_940_927);
    let order = choices.order(days.len());
    let mut text = String::new();
    for index in &order[..count] {
        let day = days[*index];
        let iso = format!("{}-{:02}-{:02}", day.year, day.month, day.day);
        writeln!(text, "{}\t{iso}", written(day, &mut choices)).expect("a text takes everything");
    }
    text
}

/// All days of these years.
fn days() -> Vec<Day> {
    let mut days = Vec::new();
    for year in YEARS {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for month in 1..=12 {
            let length = match month {
                2 => 28 + u32::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            for day in 1..=length {
                // The first of January 1950 was a Sunday.
                let weekday = (days.len() + 6) % 7;
                days.push(Day { year, month, day, weekday });
            }
        }
    }
    days
}

/// One of the ways in which people write a day.
fn written(of: Day, choices: &mut Choices) -> String {
    let Day { year, month, day, weekday } = of;
    let name = MONTHS[month as usize - 1];
    let (short, weekday) = (&name[..3], WEEKDAYS[weekday]);
    let (two, ending) = (year % 100, ending(day));
    let text = match choices.below(16) {
        0 => format!("{name} {day}, {year}"),
        1 => format!("{short} {day}, {year}"),
        2 => format!("{day} {name} {year}"),
        3 => format!("{day} {short} {year}"),
        4 => format!("{weekday}, {name} {day}, {year}"),
        5 => format!("{}, {day} {short} {year}", &weekday[..3]),
        6 => format!("{name} {day}{ending}, {year}"),
        7 => format!("the {day}{ending} of {name} {year}"),
        8 => format!("{weekday} the {day}{ending} of {name}, {year}"),
        // The month comes first where there are slashes, the day where there are points.
        9 => format!("{month}/{day}/{two:02}"),
        10 => format!("{month}/{day}/{year}"),
        11 => format!("{day}.{month}.{year}"),
        12 => format!("{day:02}.{month:02}.{two:02}"),
        13 => format!("{day:02}-{short}-{two:02}"),
        14 => format!("{short} {day} '{two:02}"),
        _ => format!("{year}/{month:02}/{day:02}"),
    };
    match choices.below(4) {
        0 => text.to_lowercase(),
        1 => text.to_uppercase(),
        _ => text,
    }
}

fn ending(day: u32) -> &'static str {
    match day {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read as _;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_shipped_lines_are_these() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/data/dates.tsv.gz");
        let packed = std::fs::File::open(path).expect("it is shipped");
        let mut shipped = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut shipped).expect("it is gzip");
        assert_eq!(shipped, lines(shipped.lines().count()));
    }

    #[test]
    fn weekdays_are_right_and_no_day_comes_twice() {
        let day = |year, month, day| {
            *days().iter().find(|d| (d.year, d.month, d.day) == (year, month, day)).expect("it is one")
        };
        assert_eq!(WEEKDAYS[day(1994, 9, 27).weekday], "Tuesday");
        assert_eq!(WEEKDAYS[day(2000, 2, 29).weekday], "Tuesday");
        assert_eq!(WEEKDAYS[day(2049, 12, 31).weekday], "Friday");
        let text = lines(20_000);
        let dates: HashSet<&str> =
            text.lines().map(|line| line.split_once('\t').expect("two cells").1).collect();
        assert_eq!(dates.len(), 20_000);
    }
}
