//! Points in the unit square, with what a pointer network learns of them: the exact convex hull, the exact shortest
//! tour. And how good what it made is.

use std::fmt::Write as _;

/// Where something lies.
pub type Point = [f64; 2];

/// Numbers that follow from a seed alone (Steele et al. 2014, SplitMix64).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number from `low` to `high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// Points with five digits behind the point, no two alike.
    pub fn points(&mut self, count: usize) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::with_capacity(count);
        while points.len() < count {
            let point = [0, 1].map(|_| (self.next() % 100_000) as f64 / 1e5);
            if !points.contains(&point) {
                points.push(point);
            }
        }
        points
    }
}

/// Twice the area of a triangle; positive where it is run through counter-clockwise.
fn turn(a: Point, b: Point, c: Point) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// The corners of the convex hull, counter-clockwise from the one with the smallest position (Andrew 1979).
/// Points on an edge are no corners.
pub fn hull(points: &[Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*a].partial_cmp(&points[*b]).expect("coordinates are numbers"));
    let chain = |order: &mut dyn Iterator<Item = usize>| {
        let mut chain: Vec<usize> = Vec::new();
        for next in order {
            while let [.., a, b] = chain[..]
                && turn(points[a], points[b], points[next]) <= 0.0
            {
                chain.pop();
            }
            chain.push(next);
        }
        // The other chain begins with it.
        chain.pop();
        chain
    };
    let lower = chain(&mut order.iter().copied());
    let upper = chain(&mut order.iter().rev().copied());
    let mut corners = [lower, upper].concat();
    let first = (0..corners.len()).min_by_key(|at| corners[*at]).unwrap_or(0);
    corners.rotate_left(first);
    corners
}

/// The area that a polygon encloses; negative where it is run through clockwise.
pub fn area(points: &[Point], corners: &[usize]) -> f64 {
    let edges = corners.iter().zip(corners.iter().cycle().skip(1));
    edges.map(|(a, b)| points[*a][0] * points[*b][1] - points[*b][0] * points[*a][1]).sum::<f64>() / 2.0
}

/// Whether a polygon has three different corners or more, and no two of its edges meet elsewhere than in a corner that
/// they share.
pub fn is_simple(points: &[Point], corners: &[usize]) -> bool {
    let n = corners.len();
    let mut sorted = corners.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if n < 3 || sorted.len() < n || sorted.last().is_some_and(|last| *last >= points.len()) {
        return false;
    }
    let edge = |at: usize| (points[corners[at]], points[corners[(at + 1) % n]]);
    (0..n).all(|i| {
        (i + 1..n).all(|j| {
            let ((a, b), (c, d)) = (edge(i), edge(j));
            let next = j == i + 1 || (i == 0 && j == n - 1);
            if next {
                // Neighbours share a corner; they may not lie on each other.
                let (before, corner, after) = if j == i + 1 { (a, b, d) } else { (c, d, b) };
                let back = (before[0] - corner[0]) * (after[0] - corner[0])
                    + (before[1] - corner[1]) * (after[1] - corner[1]);
                turn(before, corner, after) != 0.0 || back < 0.0
            } else {
                !meet(a, b, c, d)
            }
        })
    })
}

/// Whether two edges have a point in common.
fn meet(a: Point, b: Point, c: Point, d: Point) -> bool {
    let sides = [turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)];
    let apart = |x: f64, y: f64| (x > 0.0 && y > 0.0) || (x < 0.0 && y < 0.0);
    if apart(sides[0], sides[1]) || apart(sides[2], sides[3]) {
        return false;
    }
    // On one line they meet where their extents do.
    sides != [0.0; 4] || (0..2).all(|k| a[k].min(b[k]) <= c[k].max(d[k]) && c[k].min(d[k]) <= a[k].max(b[k]))
}

/// How long the way along `tour` and back to its beginning is.
pub fn length(points: &[Point], tour: &[usize]) -> f64 {
    let edges = tour.iter().zip(tour.iter().cycle().skip(1));
    edges.map(|(a, b)| (points[*a][0] - points[*b][0]).hypot(points[*a][1] - points[*b][1])).sum()
}

/// The shortest tour, by what is shortest for each set of points and last point (Held & Karp 1962). It begins with the
/// first point; of both directions it takes the one whose second point has the smaller position.
///
/// # Panics
/// With more points than 16: sets of them are counted.
pub fn shortest_tour(points: &[Point]) -> Vec<usize> {
    let n = points.len();
    assert!(n <= 16, "{n} points have too many sets");
    if n < 3 {
        return (0..n).collect();
    }
    let way = |a: usize, b: usize| (points[a][0] - points[b][0]).hypot(points[a][1] - points[b][1]);
    // Sets of the points 1.. as bits; the last point of a way from point 0 through all of the set.
    let (sets, others) = (1_usize << (n - 1), n - 1);
    let mut best = vec![(f64::INFINITY, 0_usize); sets * others];
    for set in 1..sets {
        for last in (0..others).filter(|last| set >> last & 1 == 1) {
            let rest = set & !(1 << last);
            best[set * others + last] = if rest == 0 {
                (way(0, last + 1), 0)
            } else {
                (0..others)
                    .filter(|before| rest >> before & 1 == 1)
                    .map(|before| (best[rest * others + before].0 + way(before + 1, last + 1), before))
                    .fold((f64::INFINITY, 0), |a, b| if b.0 < a.0 { b } else { a })
            };
        }
    }
    let mut set = sets - 1;
    let total = |last: usize| best[set * others + last].0 + way(last + 1, 0);
    let mut last = (0..others).fold(0, |a, b| if total(b) < total(a) { b } else { a });
    let mut tour = vec![0];
    while set != 0 {
        tour.push(last + 1);
        let before = best[set * others + last].1;
        set &= !(1 << last);
        last = before;
    }
    if tour[1] > tour[n - 1] {
        tour[1..].reverse();
    }
    tour
}

/// One example as a line: the points, a tab, what is to be made of them.
pub fn line(points: &[Point], answer: &[usize]) -> String {
    let mut line = String::new();
    for (at, [x, y]) in points.iter().enumerate() {
        let blank = if at > 0 { " " } else { "" };
        write!(line, "{blank}{x:.5} {y:.5}").expect("a text grows");
    }
    let answer: Vec<String> = answer.iter().map(ToString::to_string).collect();
    write!(line, "\t{}", answer.join(" ")).expect("a text grows");
    line
}

/// What `line` wrote.
///
/// # Errors
/// In words, where it is none of its lines.
pub fn read(line: &str) -> Result<(Vec<Point>, Vec<usize>), String> {
    let (points, answer) = line.split_once('\t').ok_or("no tab stands between points and answer")?;
    let number = |word: &str| word.parse::<f64>().map_err(|_| format!("`{word}` is no number"));
    let numbers: Vec<f64> = points.split_whitespace().map(number).collect::<Result<_, _>>()?;
    if numbers.len() % 2 == 1 {
        return Err("a point has two numbers".into());
    }
    Ok((numbers.chunks(2).map(|pair| [pair[0], pair[1]]).collect(), positions(answer)?))
}

/// Positions with blanks between them.
///
/// # Errors
/// In words, where something is no position.
pub fn positions(text: &str) -> Result<Vec<usize>, String> {
    text.split_whitespace().map(|word| word.parse().map_err(|_| format!("`{word}` is no position"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the shortest tour, by trying all.
    fn shortest(points: &[Point], tour: &mut Vec<usize>) -> f64 {
        if tour.len() == points.len() {
            return length(points, tour);
        }
        let mut best = f64::INFINITY;
        for next in 0..points.len() {
            if !tour.contains(&next) {
                tour.push(next);
                best = best.min(shortest(points, tour));
                tour.pop();
            }
        }
        best
    }

    #[test]
    fn no_tour_is_shorter() {
        let mut numbers = Numbers::new(3);
        for count in 1..8 {
            for _ in 0..20 {
                let points = numbers.points(count);
                let tour = shortest_tour(&points);
                let mut sorted = tour.clone();
                sorted.sort_unstable();
                assert!(sorted.iter().copied().eq(0..count), "{tour:?}");
                assert!(tour[0] == 0 && (count < 3 || tour[1] < tour[count - 1]), "{tour:?}");
                let best = shortest(&points, &mut vec![0]);
                assert!((length(&points, &tour) - best).abs() < 1e-9, "{points:?}: {tour:?}");
            }
        }
    }

    #[test]
    fn every_point_lies_within_the_hull() {
        let mut numbers = Numbers::new(4);
        for _ in 0..200 {
            let count = numbers.between(3, 12);
            let points = numbers.points(count);
            let corners = hull(&points);
            assert_eq!(corners.iter().min(), corners.first(), "{corners:?}");
            assert!(is_simple(&points, &corners) && area(&points, &corners) > 0.0);
            for (at, from) in corners.iter().enumerate() {
                let to = corners[(at + 1) % corners.len()];
                let others = (0..count).filter(|p| p != from && *p != to);
                for other in others {
                    assert!(turn(points[*from], points[to], points[other]) > 0.0, "{points:?}: {corners:?}");
                }
            }
        }
    }

    #[test]
    fn points_on_an_edge_are_no_corners() {
        let square = [[0.0, 0.0], [1.0, 1.0], [0.5, 0.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]];
        assert_eq!(hull(&square), [0, 4, 1, 3]);
        assert_eq!(area(&square, &[0, 4, 1, 3]), 1.0);
    }

    #[test]
    fn polygons_that_cross_or_repeat_are_not_simple() {
        let points = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.0], [0.5, 0.5]];
        let simple = |corners: &[usize]| is_simple(&points, corners);
        // Either way round, and not convex.
        assert!(
            simple(&[0, 1, 2, 3]) && simple(&[3, 2, 1, 0]) && simple(&[0, 1, 5, 3]) && simple(&[0, 4, 1, 2])
        );
        // A bow, too few corners, one that repeats, one that is none, and an edge that goes back on itself.
        assert!(!simple(&[0, 2, 1, 3]) && !simple(&[0, 1]) && !simple(&[]) && !simple(&[0, 1, 2, 1]));
        assert!(!simple(&[0, 1, 9]) && !simple(&[0, 1, 4, 3]) && !simple(&[0, 5, 2]));
        // A corner on an edge that it is no end of.
        assert!(!simple(&[0, 1, 2, 4, 3]));
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let points = Numbers::new(5).points(4);
        assert_eq!(read(&line(&points, &[1, 3, 0])), Ok((points, vec![1, 3, 0])));
        assert!(read("0.1 0.2 0.3\t1").is_err() && read("0.1 0.2").is_err() && positions("1 x").is_err());
    }
}
