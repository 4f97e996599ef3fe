//! Elementary functions: a dense sweep over all exponents, special values, and bits.

use super::super::isa::Isa;
use super::super::math::{self, Function};
use super::{bits, numbers};

/// Every 4099th number of both signs: 2048 per exponent.
fn sweep() -> Vec<f32> {
    (0..=u32::MAX).step_by(4099).map(f32::from_bits).collect()
}

/// The distance from `want` in units of the last place that f32 has there.
fn ulps(got: f32, want: f64) -> f64 {
    if got.is_nan() && want.is_nan() || f64::from(got) == want || got == want as f32 {
        return ((f64::from(got) - want).abs() / unit(want)).min(0.5);
    }
    (f64::from(got) - want).abs() / unit(want)
}

/// The last place of f32 at `x`.
fn unit(x: f64) -> f64 {
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    2f64.powi(exponent - 23)
}

fn exact(function: Function, x: f64) -> f64 {
    match function {
        Function::Exp => x.exp(),
        Function::Log => x.ln(),
        Function::Tanh => x.tanh(),
        Function::Sigmoid if x < 0.0 => x.exp() / (1.0 + x.exp()),
        Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Function::Erf => erf(x),
        Function::Sin => x.sin(),
        Function::Cos => x.cos(),
    }
}

/// The error function by its series, or by the continued fraction of its complement.
fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size > 7.0 {
        return x.signum();
    }
    if size > 2.5 {
        let fraction = (1..=60).rev().fold(0.0, |rest, i| f64::from(i) / 2.0 / (size + rest));
        let rest = (-size * size).exp() / (size + fraction) / std::f64::consts::PI.sqrt();
        return (1.0 - rest).copysign(x);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..60 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn apply(isa: Isa, function: Function, x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    // SAFETY: both have as many elements.
    unsafe { math::apply_as(isa, function, out.as_mut_ptr(), x.as_ptr(), x.len()) };
    out
}

#[test]
fn errors_are_as_stated() {
    let x = sweep();
    for (function, bound) in [
        (Function::Exp, 1.2),
        (Function::Log, 1.2),
        (Function::Tanh, 2.5),
        (Function::Sigmoid, 2.5),
        (Function::Erf, 2.0),
        (Function::Sin, 0.52),
        (Function::Cos, 0.52),
    ] {
        let mut worst = (0.0, 0.0);
        for (&x, &got) in x.iter().zip(&apply(Isa::best(), function, &x)) {
            let error = ulps(got, exact(function, f64::from(x)));
            assert!(!error.is_nan(), "{function:?}({x:e}) is {got:e}");
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{function:?}: {:.3} ulp at {:e}", worst.0, worst.1);
        assert!(worst.0 <= bound, "{function:?}: {} ulp at {:e}", worst.0, worst.1);
    }
}

#[test]
fn bits_do_not_depend_on_place_or_instructions() {
    let mut x = sweep();
    x.truncate(x.len() / 7 * 7);
    for function in Function::ALL {
        let want = apply(Isa::Portable, function, &x[..20_000]);
        for isa in Isa::available() {
            assert_eq!(bits(&apply(isa, function, &x[..20_000])), bits(&want), "{function:?} {isa:?}");
        }
        let whole = apply(Isa::best(), function, &x);
        let parts: Vec<f32> = x.chunks(7).flat_map(|x| apply(Isa::best(), function, x)).collect();
        let alone: Vec<f32> = x.iter().map(|&x| function.of(x)).collect();
        let mut in_place = x.clone();
        // SAFETY: one array for both.
        unsafe { math::apply(function, in_place.as_mut_ptr(), in_place.as_ptr(), in_place.len()) };
        for other in [&parts, &alone, &in_place] {
            for ((&want, &got), &x) in whole.iter().zip(other).zip(&x) {
                let same = want.to_bits() == got.to_bits() || want.is_nan() && got.is_nan();
                assert!(same, "{function:?}({x:e}): {want:e} or {got:e}");
            }
        }
    }
}

#[test]
fn special_values() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let tiny = f32::from_bits(1);
    for (function, x, want) in [
        (Function::Exp, inf, inf),
        (Function::Exp, -inf, 0.0),
        (Function::Exp, 0.0, 1.0),
        (Function::Exp, -104.0, 0.0),
        (Function::Exp, -103.0, tiny),
        (Function::Exp, tiny, 1.0),
        (Function::Log, 0.0, -inf),
        (Function::Log, -0.0, -inf),
        (Function::Log, 1.0, 0.0),
        (Function::Log, inf, inf),
        (Function::Log, -1.0, nan),
        (Function::Log, -tiny, nan),
        (Function::Tanh, inf, 1.0),
        (Function::Tanh, -inf, -1.0),
        (Function::Tanh, -0.0, -0.0),
        (Function::Tanh, tiny, tiny),
        (Function::Sigmoid, inf, 1.0),
        (Function::Sigmoid, -inf, 0.0),
        (Function::Sigmoid, 0.0, 0.5),
        (Function::Erf, inf, 1.0),
        (Function::Erf, -inf, -1.0),
        (Function::Erf, -0.0, -0.0),
        (Function::Sin, -0.0, -0.0),
        (Function::Sin, inf, nan),
        (Function::Cos, 0.0, 1.0),
        (Function::Cos, -inf, nan),
    ] {
        let got = function.of(x);
        let same = want.to_bits() == got.to_bits() || want.is_nan() && got.is_nan();
        assert!(same, "{function:?}({x:e}) is {got:e}, not {want:e}");
    }
    for function in Function::ALL {
        assert!(function.of(nan).is_nan(), "{function:?}");
    }
}

#[test]
fn powers() {
    let specials = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, f32::INFINITY, f32::MAX, 16_777_215.0, 16_777_216.0];
    let mut values: Vec<f32> = specials.iter().flat_map(|&x| [x, -x]).collect();
    values.extend([f32::NAN, f32::MIN_POSITIVE, f32::from_bits(1), 8_388_609.0, -8_388_609.0]);
    values.extend(numbers(120, 3).iter().map(|x| x * 4.0));
    values.extend(sweep().iter().step_by(4001));
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (&a, &b) in values.iter().flat_map(|a| values.iter().map(move |b| (a, b))) {
        x.push(a);
        y.push(b);
    }
    let mut got = vec![0.0; x.len()];
    // SAFETY: all three have as many elements.
    unsafe { math::apply_pow(got.as_mut_ptr(), x.as_ptr(), y.as_ptr(), x.len()) };
    let mut worst = 0f64;
    for ((&x, &y), &got) in x.iter().zip(&y).zip(&got) {
        let alone = math::pow(x, y);
        assert!(alone.to_bits() == got.to_bits() || alone.is_nan() && got.is_nan(), "{x:e} ^ {y:e}");
        let want = f64::from(x).powf(f64::from(y));
        let rounded = want as f32;
        if rounded == 0.0 || rounded.is_infinite() || rounded.is_nan() {
            let same = rounded.to_bits() == got.to_bits() || rounded.is_nan() && got.is_nan();
            assert!(same, "{x:e} ^ {y:e} is {got:e}, not {rounded:e}");
        } else {
            let error = ulps(got, want);
            assert!(error < 0.52, "{x:e} ^ {y:e} is {got:e}, not {rounded:e}: {error} ulp");
            worst = worst.max(error);
        }
    }
    println!("pow: {worst:.3} ulp");
}
