//! Random numbers.

use super::super::random::{Draw, philox, stream_of};
use super::bits;

#[test]
fn known_answers() {
    // The vectors that the authors of Philox publish for 4×32-10.
    let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
    for (counter, key, want) in [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([!0; 4], [!0; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
    ] {
        assert_eq!(philox(counter, key), want);
    }
    // FNV-1a of nothing, and of "a".
    assert_eq!(stream_of(""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(stream_of("a"), 0xaf63_dc4c_8601_ec8c);
}

#[test]
fn elements_are_functions_of_their_index() {
    let draw = Draw::new(7, stream_of("layer/w"), 3);
    let start = (1 << 40) + 1;
    let (mut uniform, mut normal) = (vec![0.0; 1000], vec![0.0; 1000]);
    draw.fill_uniform(&mut uniform, start);
    draw.fill_normal(&mut normal, start);
    let indices = || start..start + 1000;
    assert_eq!(bits(&uniform), bits(&indices().map(|i| draw.uniform(i)).collect::<Vec<_>>()));
    assert_eq!(bits(&normal), bits(&indices().map(|i| draw.normal(i)).collect::<Vec<_>>()));
    for (from, len) in [(0, 0), (0, 1), (1, 130), (3, 257), (500, 500)] {
        let mut part = vec![0.0; len];
        draw.fill_uniform(&mut part, start + from as u64);
        assert_eq!(bits(&part), bits(&uniform[from..from + len]));
        draw.fill_normal(&mut part, start + from as u64);
        assert_eq!(bits(&part), bits(&normal[from..from + len]));
    }
    assert_eq!(draw.bits64(5), u64::from(draw.bits32(10)) | u64::from(draw.bits32(11)) << 32);
}

#[test]
fn key_stream_and_step_all_matter() {
    let draws =
        [(1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (1, 3, 2), (1, 2 | 1 << 40, 3), (1 | 1 << 40, 2, 3)];
    let words: std::collections::HashSet<u64> =
        draws.iter().map(|&(key, stream, step)| Draw::new(key, stream, step).bits64(0)).collect();
    assert_eq!(words.len(), draws.len());
}

#[test]
fn moments() {
    let draw = Draw::new(11, 5, 0);
    let n = 1 << 20;
    let mut x = vec![0.0; n];
    let moment = |x: &[f32], power| x.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / n as f64;
    draw.fill_uniform(&mut x, 0);
    assert!(x.iter().all(|x| (0.0..1.0).contains(x)));
    for power in 1..5 {
        assert!((moment(&x, power) - 1.0 / f64::from(power + 1)).abs() < 2e-3, "uniform, power {power}");
    }
    draw.fill_normal(&mut x, 0);
    for (power, want) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
        assert!((moment(&x, power) - want).abs() < 2e-2, "normal, power {power}");
    }
    assert!(x.iter().all(|x| x.is_finite()));
    // Neighbours are not related.
    let related: f64 = x.windows(2).map(|x| f64::from(x[0]) * f64::from(x[1])).sum::<f64>() / n as f64;
    assert!(related.abs() < 5e-3);
}

#[test]
fn below_covers_its_range() {
    let draw = Draw::new(1, 2, 3);
    let mut seen = [0; 7];
    for i in 0..7000 {
        seen[draw.below(i, 7) as usize] += 1;
    }
    assert!(seen.iter().all(|&n| n > 850), "{seen:?}");
    assert_eq!(draw.below(0, 0), 0);
}
