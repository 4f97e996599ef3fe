//! Convolutions and their gradients.

use super::super::convolve::{ConvolveDesc, convolve_with, input_gradient_with, weight_gradient_with};
use super::super::isa::Isa;
use super::super::micro::Micro;
use super::super::product::RELU;
use super::{assert_near, bits, numbers, pick, scratch};

/// Everything a convolution and its gradients touch.
struct Case {
    desc: ConvolveDesc,
    x: Vec<f32>,
    w: Vec<f32>,
    y: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Case {
    fn new(desc: ConvolveDesc, seed: u64) -> Case {
        let [height, width] = desc.output();
        let y = (desc.images * height * width * desc.channels_out) as usize;
        let x = (desc.images * desc.size[0] * desc.size[1] * desc.channels_in) as usize;
        let w = (desc.weight_rows() * desc.channels_out) as usize;
        let bias = (pick(seed, 50, 2) == 0).then(|| numbers(desc.channels_out as usize, seed + 3));
        Case { desc, x: numbers(x, seed), w: numbers(w, seed + 1), y: numbers(y, seed + 2), bias }
    }

    /// Calls `visit` with the index into x, w and y of every product that is summed.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let d = self.desc;
        let [height, width] = d.output();
        let (ci, co) = (d.channels_in / d.groups, d.channels_out / d.groups);
        for image in 0..d.images {
            for (i, j) in (0..height).flat_map(|i| (0..width).map(move |j| (i, j))) {
                for (a, b) in (0..d.kernel[0]).flat_map(|a| (0..d.kernel[1]).map(move |b| (a, b))) {
                    let row = (i * d.stride[0] + a * d.dilation[0]) as i64 - d.low[0];
                    let column = (j * d.stride[1] + b * d.dilation[1]) as i64 - d.low[1];
                    if row < 0 || column < 0 || row >= d.size[0] as i64 || column >= d.size[1] as i64 {
                        continue;
                    }
                    let x = ((image * d.size[0] + row as u64) * d.size[1] + column as u64) * d.channels_in;
                    let w = (a * d.kernel[1] + b) * ci;
                    let y = ((image * height + i) * width + j) * d.channels_out;
                    for group in 0..d.groups {
                        for (c, o) in (0..ci).flat_map(|c| (0..co).map(move |o| (c, o))) {
                            let (c_all, o_all) = (group * ci + c, group * co + o);
                            visit(
                                (x + c_all) as usize,
                                ((w + c) * d.channels_out + o_all) as usize,
                                (y + o_all) as usize,
                            );
                        }
                    }
                }
            }
        }
    }

    fn check(&self, seed: u64) {
        self.check_forward(seed);
        self.check_input_gradient(seed);
        self.check_weight_gradient(seed);
    }

    fn check_forward(&self, seed: u64) {
        let d = &self.desc;
        let mut want = vec![0.0; self.y.len()];
        self.each(|x, w, y| want[y] += f64::from(self.x[x]) * f64::from(self.w[w]));
        for (i, want) in want.iter_mut().enumerate() {
            *want += self.bias.as_ref().map_or(0.0, |b| f64::from(b[i % d.channels_out as usize]));
            *want = if d.flags & RELU != 0 && *want < 0.0 { 0.0 } else { *want };
        }
        let bias = self.bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr());
        self.same(
            seed,
            &self.y,
            d.images,
            d.forward_scratch_bytes(),
            &want,
            d.weight_rows(),
            |m, y, part, s| {
                // SAFETY: `new` made everything as large as the shape asks for.
                unsafe { convolve_with(m, d, self.x.as_ptr(), self.w.as_ptr(), y, bias, part, s) }
            },
        );
    }

    fn check_input_gradient(&self, seed: u64) {
        let d = &self.desc;
        let mut want = vec![0.0; self.x.len()];
        self.each(|x, w, y| want[x] += f64::from(self.y[y]) * f64::from(self.w[w]));
        let terms = d.kernel[0] * d.kernel[1] * d.channels_out;
        self.same(
            seed,
            &self.x,
            d.images,
            d.input_gradient_scratch_bytes(),
            &want,
            terms,
            |m, dx, part, s| {
                // SAFETY: `new` made everything as large as the shape asks for.
                unsafe { input_gradient_with(m, d, self.y.as_ptr(), self.w.as_ptr(), dx, part, s) }
            },
        );
    }

    fn check_weight_gradient(&self, seed: u64) {
        let d = &self.desc;
        let mut want = vec![0.0; self.w.len()];
        self.each(|x, w, y| want[w] += f64::from(self.x[x]) * f64::from(self.y[y]));
        let terms = (self.y.len() as u64).div_ceil(d.channels_out.max(1));
        let (rows, bytes) = (d.weight_rows(), d.weight_gradient_scratch_bytes());
        self.same(seed, &self.w, rows, bytes, &want, terms, |m, dw, part, s| {
            // SAFETY: `new` made everything as large as the shape asks for.
            unsafe { weight_gradient_with(m, d, self.x.as_ptr(), self.y.as_ptr(), dw, part, s) }
        });
    }

    /// Right, and with the same bits on every instruction set, whole and cut in three.
    #[expect(clippy::too_many_arguments, reason = "what three checks share")]
    fn same(
        &self,
        seed: u64,
        held: &[f32],
        parts: u64,
        bytes: usize,
        want: &[f64],
        terms: u64,
        run: impl Fn(&'static Micro, *mut f32, std::ops::Range<usize>, *mut u8),
    ) {
        let parts = parts as usize;
        let (i, j) = (pick(seed, 60, parts + 1), pick(seed, 61, parts + 1));
        let cuts = [0, i.min(j), i.max(j), parts];
        let mut first = None;
        for isa in Isa::available() {
            for cuts in [&[0, parts][..], &cuts[..]] {
                let (mut out, mut scratch) = (held.to_vec(), scratch(bytes));
                for cut in cuts.windows(2) {
                    run(Micro::of(isa), out.as_mut_ptr(), cut[0]..cut[1], scratch.as_mut_ptr());
                }
                let first = first.get_or_insert_with(|| {
                    assert_near(&out, want, terms as usize, &self.desc);
                    bits(&out)
                });
                assert_eq!(&bits(&out), first, "{isa:?} {:?} {cuts:?}", self.desc);
            }
        }
    }
}

#[test]
fn any_shape_stride_dilation_padding_and_groups() {
    for seed in 0..400 {
        let size = |index, bound| 1 + pick(seed, index, bound) as u64;
        let pad = |index| pick(seed, index, 5) as i64 - 1;
        let groups = [1, 1, 1, 2, 3][pick(seed, 1, 5)];
        let alone = groups > 1 && pick(seed, 19, 2) == 0;
        let desc = ConvolveDesc {
            images: size(2, 3),
            size: [size(3, 9), size(4, 20)],
            channels_in: groups * if alone { 1 } else { size(5, 9) },
            channels_out: groups * if alone { 1 } else { size(6, 20) },
            kernel: [size(7, 4), size(8, 5)],
            stride: [size(9, 3), size(10, 3)],
            dilation: [size(11, 3), size(12, 3)],
            low: [pad(13), pad(14)],
            high: [pad(15), pad(16)],
            groups,
            flags: [0, RELU][pick(seed, 18, 2)],
        };
        Case::new(desc, seed).check(seed);
    }
}

#[test]
fn ordinary_shapes() {
    let like = |size: u64, channels: [u64; 2], kernel: u64, stride: u64| ConvolveDesc {
        images: 2,
        size: [size, size],
        channels_in: channels[0],
        channels_out: channels[1],
        kernel: [kernel, kernel],
        stride: [stride, stride],
        dilation: [1, 1],
        low: [kernel as i64 / 2; 2],
        high: [kernel as i64 / 2; 2],
        groups: 1,
        ..ConvolveDesc::default()
    };
    let line =
        ConvolveDesc { size: [1, 50], kernel: [1, 5], low: [0, 2], high: [0, 2], ..like(1, [7, 9], 1, 1) };
    let depthwise = ConvolveDesc { groups: 40, ..like(9, [40, 40], 3, 1) };
    let strided = ConvolveDesc { groups: 7, flags: RELU, ..like(9, [7, 7], 5, 2) };
    let wide = ConvolveDesc { groups: 3, dilation: [2, 1], ..like(11, [3, 3], 3, 1) };
    let cases = [
        like(28, [1, 32], 5, 1),
        like(14, [3, 70], 3, 2),
        like(12, [64, 64], 3, 1),
        like(7, [130, 40], 1, 2),
        line,
        depthwise,
        strided,
        wide,
    ];
    for (seed, desc) in cases.into_iter().enumerate() {
        Case::new(desc, seed as u64).check(seed as u64);
    }
}

#[test]
fn no_images_and_no_room() {
    let desc = ConvolveDesc {
        images: 0,
        size: [4, 4],
        channels_in: 2,
        channels_out: 3,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        groups: 1,
        ..ConvolveDesc::default()
    };
    Case::new(desc, 1).check(1);
    let too_large = ConvolveDesc { images: 2, kernel: [5, 5], ..desc };
    assert_eq!(too_large.output(), [0, 0]);
    Case::new(too_large, 2).check(2);
}
