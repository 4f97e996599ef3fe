//! A picture in memory, and what can be done to it.

use super::Fault;

/// Rows from the top, pixels from the left, channels of a pixel side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub bytes: Vec<u8>,
}

impl Pixels {
    /// How far a piece of this size can be moved, down and to the right.
    ///
    /// # Errors
    /// A piece larger than the picture.
    pub fn room(&self, piece: [usize; 2]) -> Result<(usize, usize), Fault> {
        match (self.height.checked_sub(piece[0]), self.width.checked_sub(piece[1])) {
            (Some(down), Some(right)) => Ok((down, right)),
            _ => Err(Fault::PictureTooSmall { wanted: piece, found: [self.height, self.width] }),
        }
    }

    /// A piece that lies within.
    pub fn cropped(&self, top: usize, left: usize, height: usize, width: usize) -> Pixels {
        let row = self.width * self.channels;
        let (from, length) = (left * self.channels, width * self.channels);
        let rows = self.bytes.chunks_exact(row.max(1)).skip(top).take(height);
        let bytes = rows.flat_map(|row| &row[from..from + length]).copied().collect();
        Pixels { height, width, channels: self.channels, bytes }
    }

    /// Left and right change places.
    pub fn flip(&mut self) {
        let channels = self.channels;
        for row in self.bytes.chunks_exact_mut(self.width * channels) {
            for left in 0..self.width / 2 {
                let right = self.width - 1 - left;
                (0..channels).for_each(|c| row.swap(left * channels + c, right * channels + c));
            }
        }
    }

    /// The size at which the shorter side has so many pixels.
    pub fn shorter(&self, size: usize) -> (usize, usize) {
        let long = |long: usize, short: usize| ((long * size + short / 2) / short).max(1);
        if self.height <= self.width {
            (size, long(self.width, self.height))
        } else {
            (long(self.height, self.width), size)
        }
    }

    /// The same picture with another size. A pixel is the mean of those around its place, weighted by a triangle that
    /// reaches as far as a pixel of the coarser of the two pictures: what Pillow calls bilinear.
    pub fn resized(&self, height: usize, width: usize) -> Pixels {
        if (height, width) == (self.height, self.width) {
            return self.clone();
        }
        let channels = self.channels;
        let across = Weights::new(self.width, width);
        let mut wide = vec![0_f32; self.height * width * channels];
        let rows = self.bytes.chunks_exact(self.width * channels);
        for (to, from) in wide.chunks_exact_mut(width * channels).zip(rows) {
            for (to, (first, weights)) in to.chunks_exact_mut(channels).zip(&across.0) {
                for (from, weight) in from[first * channels..].chunks_exact(channels).zip(weights) {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * f32::from(*from));
                }
            }
        }
        let mut bytes = Vec::with_capacity(height * width * channels);
        let mut row = vec![0_f32; width * channels];
        for (first, weights) in &Weights::new(self.height, height).0 {
            row.fill(0.0);
            for (from, weight) in wide[first * row.len()..].chunks_exact(width * channels).zip(weights) {
                row.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
            }
            bytes.extend(row.iter().map(|value| (value + 0.5).clamp(0.0, 255.0) as u8));
        }
        Pixels { height, width, channels, bytes }
    }

    /// Mean and deviation of all elements, bytes standing for `numbers`. The deviation is taken no smaller than that of
    /// so many elements of which one is 1 and the others are 0, so that a picture of one colour becomes zeros.
    pub fn spread(&self, numbers: &[f64]) -> (f64, f64) {
        let mut counts = [0_u64; 256];
        self.bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        let n = self.bytes.len() as f64;
        let mean_of = |value: &dyn Fn(f64) -> f64| {
            let weighted = counts.iter().zip(numbers).filter(|(count, _)| **count > 0);
            weighted.map(|(count, number)| *count as f64 * value(*number)).sum::<f64>() / n
        };
        let mean = mean_of(&|x| x);
        let variance = mean_of(&|x| (x - mean) * (x - mean));
        (mean, variance.sqrt().max(1.0 / n.sqrt()))
    }
}

/// For each pixel of a line the first of those it is made of, and their weights.
struct Weights(Vec<(usize, Vec<f32>)>);

impl Weights {
    fn new(from: usize, to: usize) -> Weights {
        let scale = from as f64 / to as f64;
        let reach = scale.max(1.0);
        let of = |at: usize| {
            let centre = (at as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            let weight = |at: usize| (1.0 - ((at as f64 + 0.5 - centre) / reach).abs()).max(0.0);
            let sum: f64 = (first..end).map(weight).sum();
            (first, (first..end).map(|at| (weight(at) / sum) as f32).collect())
        };
        Weights((0..to).map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, bytes: &[u8]) -> Pixels {
        Pixels { height, width, channels: 1, bytes: bytes.to_vec() }
    }

    #[test]
    fn pieces_and_mirrors() {
        let picture = Pixels { height: 2, width: 3, channels: 2, bytes: (0..12).collect() };
        assert_eq!(picture.cropped(1, 1, 1, 2).bytes, [8, 9, 10, 11]);
        assert_eq!(picture.room([2, 1]), Ok((0, 2)));
        assert!(picture.room([3, 1]).is_err());
        let mut mirrored = picture.clone();
        mirrored.flip();
        assert_eq!(mirrored.bytes, [4, 5, 2, 3, 0, 1, 10, 11, 8, 9, 6, 7]);
    }

    #[test]
    fn sizes_change_as_in_pillow() {
        // PIL.Image.resize(…, BILINEAR) of the same rows.
        let row = grey(1, 4, &[0, 100, 200, 40]);
        assert_eq!(row.resized(1, 2).bytes, [71, 117]);
        assert_eq!(row.resized(1, 8).bytes, [0, 25, 75, 125, 175, 160, 80, 40]);
        assert_eq!(grey(3, 3, &[9; 9]).resized(7, 2).bytes, [9; 14]);
        assert_eq!(grey(2, 5, &[0; 10]).shorter(4), (4, 10));
        assert_eq!(grey(5, 2, &[0; 10]).shorter(1), (3, 1));
    }

    #[test]
    fn white_has_mean_zero_and_variance_one() {
        let picture = grey(1, 4, &[0, 0, 2, 2]);
        let numbers: Vec<f64> = (0..256).map(f64::from).collect();
        assert_eq!(picture.spread(&numbers), (1.0, 1.0));
        assert_eq!(grey(2, 2, &[7; 4]).spread(&numbers), (7.0, 0.5));
    }
}
