//! Dtypes as kernels tell them apart that work on several.

use crate::DType;

/// What an element is, as a number in a descriptor. Half floats are only moved about, never computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One byte: `u8`, `bool`.
    U8,
    /// Two bytes: `bf16`, `f16`.
    Half,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `f32`
    F32,
    /// `f64`
    F64,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::U8, Kind::Half, Kind::I32, Kind::I64, Kind::F32, Kind::F64];

    /// The kind that `code` stands for.
    ///
    /// # Panics
    /// If it stands for none: then the plan is damaged.
    pub fn of(code: u64) -> Kind {
        Kind::ALL[code as usize]
    }

    /// The number that stands for it.
    pub fn code(self) -> u64 {
        self as u64
    }

    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            Kind::U8 => 1,
            Kind::Half => 2,
            Kind::I32 | Kind::F32 => 4,
            Kind::I64 | Kind::F64 => 8,
        }
    }
}

impl From<DType> for Kind {
    fn from(dtype: DType) -> Kind {
        match dtype {
            DType::F32 => Kind::F32,
            DType::F64 => Kind::F64,
            DType::Bf16 | DType::F16 => Kind::Half,
            DType::I32 => Kind::I32,
            DType::I64 => Kind::I64,
            DType::U8 | DType::Bool => Kind::U8,
        }
    }
}

/// Numbers that kernels compute with. Integers wrap around; floats are rounded once an operation.
pub trait Element: Copy + PartialEq + Send + Sync + 'static {
    /// What sums begin with.
    const ZERO: Self;
    /// The smallest number there is: what maxima begin with.
    const LEAST: Self;

    /// `self + other`
    fn plus(self, other: Self) -> Self;

    /// `self · a + b`; of floats rounded once.
    fn times_plus(self, a: Self, b: Self) -> Self;

    /// The larger; NaN if either is.
    fn larger(self, other: Self) -> Self;

    /// Whether it comes before `other` where the largest is sought: a NaN before all numbers.
    fn beats(self, other: Self) -> bool;

    /// A whole number that orders elements as `<` does; a NaN above all, and both zeros alike.
    fn rank(self) -> u64;
}

macro_rules! float {
    ($ty:ident, $bits:ident) => {
        impl Element for $ty {
            const ZERO: $ty = 0.0;
            const LEAST: $ty = $ty::NEG_INFINITY;

            #[inline(always)]
            fn plus(self, other: $ty) -> $ty {
                self + other
            }

            #[inline(always)]
            fn times_plus(self, a: $ty, b: $ty) -> $ty {
                self.mul_add(a, b)
            }

            #[inline(always)]
            fn larger(self, other: $ty) -> $ty {
                if self.is_nan() || self > other { self } else { other }
            }

            #[inline(always)]
            fn beats(self, other: $ty) -> bool {
                self > other || (self.is_nan() && !other.is_nan())
            }

            #[inline(always)]
            fn rank(self) -> u64 {
                if self.is_nan() {
                    return u64::MAX;
                }
                // Adding a zero makes both zeros one.
                let bits = (self + 0.0).to_bits();
                let negative = bits >> ($bits::BITS - 1) == 1;
                u64::from(if negative { !bits } else { bits | 1 << ($bits::BITS - 1) })
            }
        }
    };
}
float!(f32, u32);
float!(f64, u64);

macro_rules! whole {
    ($($ty:ident)*) => {$(
        impl Element for $ty {
            const ZERO: $ty = 0;
            const LEAST: $ty = $ty::MIN;

            #[inline(always)]
            fn plus(self, other: $ty) -> $ty {
                self.wrapping_add(other)
            }

            #[inline(always)]
            fn times_plus(self, a: $ty, b: $ty) -> $ty {
                self.wrapping_mul(a).wrapping_add(b)
            }

            #[inline(always)]
            fn larger(self, other: $ty) -> $ty {
                self.max(other)
            }

            #[inline(always)]
            fn beats(self, other: $ty) -> bool {
                self > other
            }

            #[inline(always)]
            fn rank(self) -> u64 {
                (i128::from(self) - i128::from($ty::MIN)) as u64
            }
        }
    )*};
}
whole!(i32 i64 u8);
