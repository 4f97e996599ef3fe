//! Pooling.

use super::super::pool::{self, PoolDesc};
use super::{bits, numbers, pick};
use std::ops::Range;

/// The pixels of x that window (i, j) covers, in order.
fn window(d: &PoolDesc, i: u64, j: u64) -> Vec<usize> {
    let mut pixels = Vec::new();
    for (a, b) in (0..d.window[0]).flat_map(|a| (0..d.window[1]).map(move |b| (a, b))) {
        let (row, column) =
            ((i * d.stride[0] + a) as i64 - d.low[0], (j * d.stride[1] + b) as i64 - d.low[1]);
        if row >= 0 && column >= 0 && row < d.size[0] as i64 && column < d.size[1] as i64 {
            pixels.push(row as usize * d.size[1] as usize + column as usize);
        }
    }
    pixels
}

/// y of the maximum and of the sum, dx of both, by plain loops.
fn plain(d: &PoolDesc, x: &[f32], dy: &[f32]) -> [Vec<f32>; 4] {
    let [height, width] = d.output();
    let channels = d.channels as usize;
    let pixels = (d.size[0] * d.size[1]) as usize;
    let (mut dx_max, mut dx_sum) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut max, mut sum) = (Vec::new(), Vec::new());
    for image in 0..d.images as usize {
        for (i, j) in (0..height).flat_map(|i| (0..width).map(move |j| (i, j))) {
            for c in 0..channels {
                let at = |pixel: usize| (image * pixels + pixel) * channels + c;
                let dy = dy[max.len()];
                let (mut best, mut place, mut total) = (f32::NEG_INFINITY, None, 0.0);
                for pixel in window(d, i, j) {
                    let x = x[at(pixel)];
                    if place.is_none() || x > best {
                        (best, place) = (x, Some(at(pixel)));
                    }
                    total += x;
                    dx_sum[at(pixel)] += dy;
                }
                if let Some(place) = place {
                    dx_max[place] += dy;
                }
                max.push(best);
                sum.push(total);
            }
        }
    }
    [max, sum, dx_max, dx_sum]
}

/// The same by the kernels, one part of the images after another.
fn kernels(d: &PoolDesc, x: &[f32], dy: &[f32], held: &[f32], parts: &[Range<usize>]) -> [Vec<f32>; 4] {
    let (mut max, mut sum) = (vec![9.0; dy.len()], vec![9.0; dy.len()]);
    let (mut dx_max, mut dx_sum) = (held.to_vec(), held.to_vec());
    for part in parts {
        // SAFETY: all are as large as the shape asks for.
        unsafe {
            pool::max(d, x.as_ptr(), max.as_mut_ptr(), part.clone());
            pool::sum(d, x.as_ptr(), sum.as_mut_ptr(), part.clone());
            pool::max_gradient(d, x.as_ptr(), dy.as_ptr(), dx_max.as_mut_ptr(), part.clone());
            pool::sum_gradient(d, dy.as_ptr(), dx_sum.as_mut_ptr(), part.clone());
        }
    }
    [max, sum, dx_max, dx_sum]
}

#[test]
fn any_shape() {
    for seed in 0..300 {
        let size = |index, bound| 1 + pick(seed, index, bound) as u64;
        let pad = |index| pick(seed, index, 4) as i64 - 1;
        let d = PoolDesc {
            images: size(1, 4),
            size: [size(2, 9), size(3, 9)],
            channels: size(4, 150),
            window: [size(5, 4), size(6, 4)],
            stride: [size(7, 3), size(8, 3)],
            low: [pad(9), pad(10)],
            high: [pad(11), pad(12)],
        };
        let [height, width] = d.output();
        // Few different numbers, so that windows have several maxima.
        let few =
            |n: u64, seed| numbers(n as usize, seed).iter().map(|x| (x * 4.0).round()).collect::<Vec<_>>();
        let x = few(d.images * d.size[0] * d.size[1] * d.channels, seed);
        let dy = few(d.images * height * width * d.channels, seed + 1);
        let held = few(x.len() as u64, seed + 2);
        let want = plain(&d, &x, &dy).map(|x| bits(&x));
        let images = d.images as usize;
        let cut = pick(seed, 14, images + 1);
        for cut in [0, cut] {
            let parts = [0..cut, cut..images];
            assert_eq!(kernels(&d, &x, &dy, &held, &parts).map(|x| bits(&x)), want, "{d:?} {parts:?}");
        }
    }
}

#[test]
fn not_a_number_wins() {
    let d = PoolDesc {
        images: 1,
        size: [1, 3],
        channels: 1,
        window: [1, 3],
        stride: [1, 1],
        ..PoolDesc::default()
    };
    let x = [1.0, f32::NAN, 2.0];
    let [max, _, dx, _] = kernels(&d, &x, &[5.0], &[0.0; 3], std::slice::from_ref(&(0..1)));
    assert!(max[0].is_nan());
    assert_eq!(dx, [0.0, 5.0, 0.0]);
}
