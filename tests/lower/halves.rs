//! Half floats: every number of theirs is read and written as it is, and everything else is rounded to the nearest,
//! of two equally near to the even one.

use std::sync::Arc;

use strata::graph::{Graph, OriginId, Output, ValueId};
use strata::lower::{LowerOptions, layout, lower};
use strata::model::Input;
use strata::ops::{Binary, InputId, Op};
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;
use strata_runtime::Tensor;
use strata_runtime::session::Session;

/// What a graph over one input of `count` elements gives.
fn compute(
    from: DType,
    count: usize,
    bytes: &[u8],
    build: impl Fn(&mut Graph, ValueId) -> ValueId,
) -> Tensor {
    let ty = Type::new(from, vec![Axis::sized(count as u64)]);
    let input = Input { name: "x".into(), ty, span: Span::default() };
    let mut graph = Graph::new(Arc::new([input]), Arc::new([]));
    let x = graph.add(Op::Input(InputId(0)), &[], OriginId(0));
    let value = build(&mut graph, x);
    graph.outputs.push(Output { name: "y".into(), value });
    let layout = layout(&graph.variables);
    let plan = lower(&graph, &layout, &LowerOptions::default());
    let mut session = Session::new(layout, 1).expect("threads can be had");
    let executable = session.load(plan).expect("the plan was made here");
    let tensor = Tensor::from_bytes(from, &[count], bytes).expect("as many bytes as elements");
    session.run(&executable, 0, 0, &[("x", &tensor)]).expect("the input fits").remove(0)
}

fn cast(from: DType, to: DType, count: usize, bytes: &[u8]) -> Tensor {
    compute(from, count, bytes, |graph, x| graph.add(Op::Cast(to), &[x], OriginId(0)))
}

fn words(tensor: &Tensor) -> Vec<u16> {
    tensor.bytes().as_chunks::<2>().0.iter().map(|b| u16::from_ne_bytes(*b)).collect()
}

fn bytes32(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_ne_bytes()).collect()
}

fn is_nan(dtype: DType, bits: u16) -> bool {
    if dtype == DType::Bf16 {
        half::bf16::from_bits(bits).is_nan()
    } else {
        half::f16::from_bits(bits).is_nan()
    }
}

fn to_f32(dtype: DType, bits: u16) -> f32 {
    if dtype == DType::Bf16 {
        half::bf16::from_bits(bits).to_f32()
    } else {
        half::f16::from_bits(bits).to_f32()
    }
}

fn from_f32(dtype: DType, x: f32) -> u16 {
    if dtype == DType::Bf16 { half::bf16::from_f32(x).to_bits() } else { half::f16::from_f32(x).to_bits() }
}

const HALVES: [DType; 2] = [DType::Bf16, DType::F16];

#[test]
fn every_half_is_read_and_written_as_it_is() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let stored: Vec<u8> = all.iter().flat_map(|bits| bits.to_ne_bytes()).collect();
    for dtype in HALVES {
        let wide = cast(dtype, DType::F32, all.len(), &stored);
        let wide = wide.as_f32().expect("it was cast");
        for (bits, x) in all.iter().zip(wide) {
            let wanted = to_f32(dtype, *bits);
            assert!(
                x.to_bits() == wanted.to_bits() || x.is_nan() && wanted.is_nan(),
                "{dtype} {bits:#x}: {x}"
            );
        }
        let back = words(&cast(DType::F32, dtype, all.len(), &bytes32(wide)));
        for (bits, found) in all.iter().zip(back) {
            let both = is_nan(dtype, *bits) && is_nan(dtype, found);
            assert!(*bits == found || both, "{dtype} {bits:#x} came back as {found:#x}");
        }
    }
}

#[test]
fn singles_are_rounded_to_the_nearest_half() {
    let mut numbers: Vec<f32> = Vec::new();
    // Around every half: a tie, and just off it on either side.
    for dtype in HALVES {
        for bits in (0..u16::MAX).step_by(7) {
            let (a, b) = (to_f32(dtype, bits), to_f32(dtype, bits + 1));
            if a.is_finite() && b.is_finite() {
                let tie = a + (b - a) / 2.0;
                numbers.extend([
                    tie,
                    f32::from_bits(tie.to_bits() + 1),
                    f32::from_bits(tie.to_bits().wrapping_sub(1)),
                ]);
            }
        }
    }
    numbers.extend((0..200_000u32).map(|i| f32::from_bits(i.wrapping_mul(2_654_435_761))));
    numbers.extend([
        65504.0,
        65519.996,
        65520.0,
        -65520.0,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NAN,
        -0.0,
    ]);
    numbers.extend([f32::MIN_POSITIVE, f32::from_bits(1), 2.9802322e-8, 2.980233e-8]);
    for dtype in HALVES {
        let found = words(&cast(DType::F32, dtype, numbers.len(), &bytes32(&numbers)));
        for (x, found) in numbers.iter().zip(found) {
            let wanted = from_f32(dtype, *x);
            let both = is_nan(dtype, wanted) && is_nan(dtype, found);
            assert!(wanted == found || both, "{dtype} of {x:e}: {found:#x}, should be {wanted:#x}");
        }
    }
}

/// An `f64` just beside a tie becomes a tie where it passes through `f32` carelessly.
#[test]
fn doubles_and_whole_numbers_are_rounded_once() {
    let (low, high, tie) = (1.0, 1.0 + 2f64.powi(-7), 1.0 + 2f64.powi(-8));
    let next = 1.0 + 2f64.powi(-6);
    let above = 1.0 + 3.0 * 2f64.powi(-8);
    let off = 2f64.powi(-40);
    let cases = [
        (tie, low),
        (tie + off, high),
        (tie - off, low),
        (above, next),
        (above - off, high),
        (-tie - off, -high),
    ];
    let bytes: Vec<u8> = cases.iter().flat_map(|(x, _)| x.to_ne_bytes()).collect();
    let found = words(&cast(DType::F64, DType::Bf16, cases.len(), &bytes));
    for ((x, wanted), found) in cases.iter().zip(found) {
        assert_eq!(f64::from(to_f32(DType::Bf16, found)), *wanted, "{x:e}");
    }
    // 2^24 + 2^16 is a tie of bf16, and one more is not; `f32` holds neither.
    let whole = [(1 << 24) + (1 << 16), (1 << 24) + (1 << 16) + 1, 3];
    let bytes: Vec<u8> = whole.iter().flat_map(|x: &i32| x.to_ne_bytes()).collect();
    let found = words(&cast(DType::I32, DType::Bf16, whole.len(), &bytes));
    let found: Vec<f32> = found.into_iter().map(|bits| to_f32(DType::Bf16, bits)).collect();
    assert_eq!(found, [16_777_216.0, 16_908_288.0, 3.0]);
}

/// Each result is rounded, whether it is stored or not; sums are rounded once.
#[test]
fn arithmetic_rounds_every_result() {
    for dtype in HALVES {
        let numbers: Vec<u16> = (0..999u16).map(|i| from_f32(dtype, f32::from(i) * 0.37 - 150.0)).collect();
        let stored: Vec<u8> = numbers.iter().flat_map(|bits| bits.to_ne_bytes()).collect();
        let found = words(&compute(dtype, numbers.len(), &stored, |graph, x| {
            let square = graph.add(Op::Binary(Binary::Mul), &[x, x], OriginId(0));
            graph.add(Op::Binary(Binary::Add), &[square, x], OriginId(0))
        }));
        for (bits, found) in numbers.iter().zip(found) {
            let x = to_f32(dtype, *bits);
            let square = to_f32(dtype, from_f32(dtype, x * x));
            assert_eq!(found, from_f32(dtype, square + x), "{dtype} {x}");
        }
    }
}
