//! A folder for each run: `runs/<name>/<time>/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes a new folder for a run that starts `now`. Two runs never get the same.
pub fn create(root: &Path, name: &str, now: SystemTime) -> io::Result<PathBuf> {
    let parent = root.join(as_file_name(name));
    fs::create_dir_all(&parent)?;
    let time = time_name(now);
    for attempt in 1.. {
        let folder = if attempt == 1 { time.clone() } else { format!("{time}-{attempt}") };
        let folder = parent.join(folder);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done.map(|()| folder),
        }
    }
    Err(io::Error::other("every name is taken"))
}

/// `name` without what a file's name may not hold on every system.
fn as_file_name(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    if name.chars().all(|c| c == '.') { format!("run{name}") } else { name }
}

/// UTC to the second, so that names sort by time: `2026-11-23T01-14-37`.
fn time_name(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_of_month(year, month) {
        days -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}-{minute:02}-{second:02}", days + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds| time_name(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00-00-00");
        assert_eq!(at(951_782_399), "2000-02-28T23-59-59");
        assert_eq!(at(951_782_400), "2000-02-29T00-00-00");
        assert_eq!(at(1_795_396_477), "2026-11-23T01-14-37");
        assert_eq!(at(4_107_542_400), "2100-03-01T00-00-00");
    }

    #[test]
    fn no_two_runs_share_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_795_396_477);
        let folders: Vec<PathBuf> = (0..3).map(|_| create(root.path(), "digits", now).unwrap()).collect();
        let names: Vec<_> =
            folders.iter().map(|f| f.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
        let time = "digits/2026-11-23T01-14-37";
        assert_eq!(names, [time.to_string(), format!("{time}-2"), format!("{time}-3")]);
    }

    #[test]
    fn a_name_stays_below_its_root() {
        assert_eq!(as_file_name("../a b/c"), ".._a_b_c");
        assert_eq!(as_file_name(".."), "run..");
        assert_eq!(as_file_name(""), "run");
    }
}
