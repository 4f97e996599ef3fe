//! Turns a number from a file into the bytes of an element.

use half::{bf16, f16};

use super::error::Fault;
use super::recipe::Arithmetic;
use crate::DType;

/// The largest magnitude up to which f64 holds every whole number.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// A whole number of a file, as all numbers are until they become elements.
///
/// # Errors
/// One that would lose digits.
pub fn exact(whole: impl Into<i128>) -> Result<f64, Fault> {
    let whole = whole.into();
    if whole.unsigned_abs() <= u128::from(EXACT) {
        Ok(whole as f64)
    } else {
        Err(Fault::NotExact { found: whole.to_string() })
    }
}

/// What becomes of each number of a field.
pub struct Conversion<'a> {
    pub arithmetic: &'a [(Arithmetic, f64)],
    pub dtype: DType,
    pub classes: Option<u64>,
}

impl Conversion<'_> {
    /// Appends the element made of `raw` (native byte order) to `bytes`.
    ///
    /// # Errors
    /// A result that is not finite, no label where labels are wanted, or beyond what the dtype holds.
    pub fn append(&self, raw: f64, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        let value = self.arithmetic.iter().fold(raw, |value, (op, number)| op.apply(value, *number));
        if !value.is_finite() {
            return Err(Fault::NotFinite { found: value.to_string() });
        }
        let whole = value.fract() == 0.0;
        if let Some(classes) = self.classes
            && !(whole && value >= 0.0 && value < classes as f64)
        {
            return Err(Fault::NotALabel { classes, found: value });
        }
        let between = |low: f64, high: f64| whole && (low..=high).contains(&value);
        let fits = match self.dtype {
            DType::F64 => true,
            DType::F32 => (value as f32).is_finite(),
            DType::Bf16 => bf16::from_f64(value).is_finite(),
            DType::F16 => f16::from_f64(value).is_finite(),
            DType::I32 => between(f64::from(i32::MIN), f64::from(i32::MAX)),
            DType::I64 => between(-(EXACT as f64), EXACT as f64),
            DType::U8 => between(0.0, 255.0),
            DType::Bool => between(0.0, 1.0),
        };
        if !fits {
            return Err(Fault::NoFit { dtype: self.dtype, found: value });
        }
        match self.dtype {
            DType::F64 => bytes.extend(value.to_ne_bytes()),
            DType::F32 => bytes.extend((value as f32).to_ne_bytes()),
            DType::Bf16 => bytes.extend(bf16::from_f64(value).to_ne_bytes()),
            DType::F16 => bytes.extend(f16::from_f64(value).to_ne_bytes()),
            DType::I32 => bytes.extend((value as i32).to_ne_bytes()),
            DType::I64 => bytes.extend((value as i64).to_ne_bytes()),
            DType::U8 | DType::Bool => bytes.push(value as u8),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(dtype: DType, classes: Option<u64>, raw: f64) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let conversion = Conversion { arithmetic: &[(Arithmetic::Divide, 2.0)], dtype, classes };
        conversion.append(raw, &mut bytes).map(|()| bytes)
    }

    #[test]
    fn whole_numbers_keep_their_digits_or_are_refused() {
        let most = 1_i64 << 53;
        assert_eq!((exact(most), exact(-most)), (Ok(most as f64), Ok(-most as f64)));
        assert_eq!(exact(-most - 1), Err(Fault::NotExact { found: "-9007199254740993".into() }));
        assert_eq!(exact(u64::MAX), Err(Fault::NotExact { found: "18446744073709551615".into() }));
        assert_eq!(exact(i64::MIN), Err(Fault::NotExact { found: "-9223372036854775808".into() }));
    }

    #[test]
    fn arithmetic_comes_first() {
        assert_eq!(convert(DType::F32, None, 3.0).unwrap(), 1.5f32.to_ne_bytes());
        assert_eq!(convert(DType::I32, None, 6.0).unwrap(), 3i32.to_ne_bytes());
        assert_eq!(convert(DType::Bf16, None, 3.0).unwrap(), bf16::from_f32(1.5).to_ne_bytes());
    }

    #[test]
    fn what_does_not_fit_is_a_fault() {
        assert_eq!(convert(DType::I32, None, 1.0), Err(Fault::NoFit { dtype: DType::I32, found: 0.5 }));
        assert_eq!(convert(DType::U8, None, 512.0), Err(Fault::NoFit { dtype: DType::U8, found: 256.0 }));
        assert_eq!(convert(DType::F32, None, 1e300), Err(Fault::NoFit { dtype: DType::F32, found: 5e299 }));
        assert_eq!(convert(DType::F16, None, 2e5), Err(Fault::NoFit { dtype: DType::F16, found: 1e5 }));
        assert_eq!(convert(DType::I32, Some(3), 6.0), Err(Fault::NotALabel { classes: 3, found: 3.0 }));
        assert_eq!(convert(DType::I32, Some(3), -2.0), Err(Fault::NotALabel { classes: 3, found: -1.0 }));
        let by_zero =
            Conversion { arithmetic: &[(Arithmetic::Divide, 0.0)], dtype: DType::F32, classes: None };
        assert!(matches!(by_zero.append(1.0, &mut Vec::new()), Err(Fault::NotFinite { .. })));
    }
}
