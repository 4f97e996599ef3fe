//! The table through which generated code calls kernels.
//!
//! Generated code is position-independent and knows no address: it is given a `*const Table`, loads the pointer
//! at [`Entry::offset`] and calls it by the C convention of the machine. All integers are 64 bits, pointers are
//! the machine's. Entries that threads may share take a part `lo..hi` of one axis:
//!
//! | entry | the axis |
//! |---|---|
//! | `product` | rows of C |
//! | `product_columns` | columns of C |
//! | `convolve`, `convolve_input_gradient`, pooling and its gradients | images |
//! | `product_plain`, `product_plain_columns` | rows, columns of C |
//! | `windows_convolve`, `windows_input`, `windows_pool`, `windows_pool_input` | images |
//! | `windows_kernel` | rows of the weights (`WindowsDesc::weight_rows`) |
//! | `order`, `cumulate` | indices before the axis |
//! | `gather`, `scatter_add` | slices of the result (`RowsDesc::picked`, `RowsDesc::summed`) |
//! | `convolve_weight_gradient` | rows of the weights (`ConvolveDesc::weight_rows`) |
//!
//! `send` and `receive` share nothing: one thread makes the whole transfer.
//!
//! The table only ever grows at its end, and [`VERSION`] counts its changes.

use std::ops::Range;

use super::convolve::{self, ConvolveDesc};
use super::element::Kind;
use super::lines::{self, LinesDesc};
use super::math::{self, Function};
use super::plain::{self, PlainDesc};
use super::pool::{self, PoolDesc};
use super::product::{self, ProductDesc};
use super::random::Draw;
use super::rows::{self, RowsDesc};
use super::transfer::{self, TransferDesc};
use super::wide;
use super::windows::{self, WindowsDesc};
use crate::channels::Links;
use crate::faults::Faults;
use crate::threads::Barrier;

/// The table's version. Code compiled for a newer one must not run with an older.
pub const VERSION: u64 = 5;

/// (desc, a, b, c, bias or null, lo, hi, scratch); see [`product::product`].
pub type Product =
    unsafe extern "C" fn(*const ProductDesc, *const f32, *const f32, *mut f32, *const f32, u64, u64, *mut u8);

/// (desc, x, w, y, bias or null, lo, hi, scratch); see [`convolve::convolve`].
pub type Convolve = unsafe extern "C" fn(
    *const ConvolveDesc,
    *const f32,
    *const f32,
    *mut f32,
    *const f32,
    u64,
    u64,
    *mut u8,
);

/// (desc, dy, w, dx, lo, hi, scratch) or (desc, x, dy, dw, lo, hi, scratch).
pub type ConvolveGradient =
    unsafe extern "C" fn(*const ConvolveDesc, *const f32, *const f32, *mut f32, u64, u64, *mut u8);

/// (desc, x, y, lo, hi) or (desc, dy, dx, lo, hi).
pub type Pool = unsafe extern "C" fn(*const PoolDesc, *const f32, *mut f32, u64, u64);

/// (desc, x, dy, dx, lo, hi).
pub type PoolGradient = unsafe extern "C" fn(*const PoolDesc, *const f32, *const f32, *mut f32, u64, u64);

/// (out, x, n): `out` may be `x`.
pub type Map = unsafe extern "C" fn(*mut f32, *const f32, u64);

/// (out, x, y, n): `out` may be `x` or `y`.
pub type Map2 = unsafe extern "C" fn(*mut f32, *const f32, *const f32, u64);

/// (out, x, n) of f64: `out` may be `x`.
pub type Map64 = unsafe extern "C" fn(*mut f64, *const f64, u64);

/// (out, x, y, n) of f64: `out` may be `x` or `y`.
pub type Map264 = unsafe extern "C" fn(*mut f64, *const f64, *const f64, u64);

/// (out, n, key, stream, step, start): element i of `out` is element `start + i` of the draw.
pub type Random = unsafe extern "C" fn(*mut f32, u64, u64, u64, u64, u64);

/// (desc, x, positions, y, lo, hi, faults).
pub type Gather =
    unsafe extern "C" fn(*const RowsDesc, *const u8, *const u8, *mut u8, u64, u64, *const Faults);

/// (desc, positions, dy, x, lo, hi, scratch, faults).
pub type ScatterAdd =
    unsafe extern "C" fn(*const RowsDesc, *const u8, *const u8, *mut u8, u64, u64, *mut u8, *const Faults);

/// (desc, x, places, lo, hi, scratch), of any dtype but half floats.
pub type Order = unsafe extern "C" fn(*const LinesDesc, *const u8, *mut i32, u64, u64, *mut u8);

/// (desc, x, y, lo, hi), of any dtype but half floats.
pub type Cumulate = unsafe extern "C" fn(*const LinesDesc, *const u8, *mut u8, u64, u64);

/// (desc, a, b, c, null, lo, hi, scratch), of any dtype but half floats.
pub type ProductPlain =
    unsafe extern "C" fn(*const PlainDesc, *const u8, *const u8, *mut u8, *const u8, u64, u64, *mut u8);

/// (desc, operands, result, lo, hi), of `f32` or `f64`.
pub type Windows2 = unsafe extern "C" fn(*const WindowsDesc, *const u8, *const u8, *mut u8, u64, u64);

/// (desc, dy, w, dx, lo, hi, scratch), of `f32` or `f64`.
pub type WindowsInput =
    unsafe extern "C" fn(*const WindowsDesc, *const u8, *const u8, *mut u8, u64, u64, *mut u8);

/// (desc, x, y, lo, hi), of `f32` or `f64`.
pub type Windows1 = unsafe extern "C" fn(*const WindowsDesc, *const u8, *mut u8, u64, u64);

/// (desc, tensor, lo, hi, links): 0 to go on, 1 when the step must be left at once.
pub type Send = unsafe extern "C" fn(*const TransferDesc, *const u8, u64, u64, *const Links) -> u32;

/// (desc, tensor, lo, hi, links): 0 to go on, 1 when the step must be left at once.
pub type Receive = unsafe extern "C" fn(*const TransferDesc, *mut u8, u64, u64, *const Links) -> u32;

/// (barrier): 0 to go on, 1 when another thread failed and the step must be left at once.
pub type Wait = unsafe extern "C" fn(*const Barrier) -> u32;

/// (to, from, bytes); no overlap.
pub type Copy = unsafe extern "C" fn(*mut u8, *const u8, u64);

/// (to, bytes).
pub type Zero = unsafe extern "C" fn(*mut u8, u64);

macro_rules! table {
    ($($entry:ident, $name:ident: $kind:ty = $function:expr;)*) => {
        /// What generated code is given.
        #[repr(C)]
        pub struct Table { pub version: u64, $(pub $name: $kind),* }

        /// The kernels of this process.
        pub static TABLE: Table = Table { version: VERSION, $($name: $function),* };

        /// An entry of [`Table`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Entry { $($entry),* }

        impl Entry {
            /// Every entry, in the order of the table.
            pub const ALL: &[Entry] = &[$(Entry::$entry),*];

            /// Bytes from the table's start to the pointer.
            pub const fn offset(self) -> usize {
                match self { $(Entry::$entry => std::mem::offset_of!(Table, $name)),* }
            }

            /// The entry's name in a plan's text form.
            pub const fn name(self) -> &'static str {
                match self { $(Entry::$entry => stringify!($name)),* }
            }
        }
    };
}

table! {
    Product, product: Product = product_rows;
    ProductColumns, product_columns: Product = product_columns;
    Convolve, convolve: Convolve = convolve_images;
    ConvolveInputGradient, convolve_input_gradient: ConvolveGradient = convolve_input_gradient;
    ConvolveWeightGradient, convolve_weight_gradient: ConvolveGradient = convolve_weight_gradient;
    MaxPool, max_pool: Pool = max_pool;
    SumPool, sum_pool: Pool = sum_pool;
    MaxPoolGradient, max_pool_gradient: PoolGradient = max_pool_gradient;
    SumPoolGradient, sum_pool_gradient: Pool = sum_pool_gradient;
    Exp, exp: Map = exp;
    Log, log: Map = log;
    Tanh, tanh: Map = tanh;
    Sigmoid, sigmoid: Map = sigmoid;
    Erf, erf: Map = erf;
    Sin, sin: Map = sin;
    Cos, cos: Map = cos;
    Pow, pow: Map2 = pow;
    Uniform, uniform: Random = uniform;
    Normal, normal: Random = normal;
    Barrier, barrier: Wait = barrier;
    Copy, copy: Copy = copy;
    Zero, zero: Zero = zero;
    Rem, rem: Map2 = rem;
    Exp64, exp64: Map64 = exp64;
    Log64, log64: Map64 = log64;
    Tanh64, tanh64: Map64 = tanh64;
    Sigmoid64, sigmoid64: Map64 = sigmoid64;
    Erf64, erf64: Map64 = erf64;
    Sin64, sin64: Map64 = sin64;
    Cos64, cos64: Map64 = cos64;
    Pow64, pow64: Map264 = pow64;
    Rem64, rem64: Map264 = rem64;
    Gather, gather: Gather = gather;
    ScatterAdd, scatter_add: ScatterAdd = scatter_add;
    Order, order: Order = order;
    Cumulate, cumulate: Cumulate = cumulate;
    ProductPlain, product_plain: ProductPlain = product_plain;
    ProductPlainColumns, product_plain_columns: ProductPlain = product_plain_columns;
    WindowsConvolve, windows_convolve: Windows2 = windows_convolve;
    WindowsInput, windows_input: WindowsInput = windows_input;
    WindowsKernel, windows_kernel: Windows2 = windows_kernel;
    WindowsPool, windows_pool: Windows1 = windows_pool;
    WindowsPoolInput, windows_pool_input: Windows2 = windows_pool_input;
    Send, send: Send = send;
    Receive, receive: Receive = receive;
}

unsafe extern "C" fn product_rows(
    desc: *const ProductDesc,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    bias: *const f32,
    lo: u64,
    hi: u64,
    scratch: *mut u8,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe {
        let desc = &*desc;
        product::product(desc, a, b, c, bias, part(lo, hi), 0..desc.n as usize, scratch);
    }
}

unsafe extern "C" fn product_columns(
    desc: *const ProductDesc,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    bias: *const f32,
    lo: u64,
    hi: u64,
    scratch: *mut u8,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe {
        let desc = &*desc;
        product::product(desc, a, b, c, bias, 0..desc.m as usize, part(lo, hi), scratch);
    }
}

unsafe extern "C" fn convolve_images(
    desc: *const ConvolveDesc,
    x: *const f32,
    w: *const f32,
    y: *mut f32,
    bias: *const f32,
    lo: u64,
    hi: u64,
    scratch: *mut u8,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { convolve::convolve(&*desc, x, w, y, bias, part(lo, hi), scratch) }
}

unsafe extern "C" fn convolve_input_gradient(
    desc: *const ConvolveDesc,
    dy: *const f32,
    w: *const f32,
    dx: *mut f32,
    lo: u64,
    hi: u64,
    scratch: *mut u8,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { convolve::convolve_input_gradient(&*desc, dy, w, dx, part(lo, hi), scratch) }
}

unsafe extern "C" fn convolve_weight_gradient(
    desc: *const ConvolveDesc,
    x: *const f32,
    dy: *const f32,
    dw: *mut f32,
    lo: u64,
    hi: u64,
    scratch: *mut u8,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { convolve::convolve_weight_gradient(&*desc, x, dy, dw, part(lo, hi), scratch) }
}

unsafe extern "C" fn max_pool(desc: *const PoolDesc, x: *const f32, y: *mut f32, lo: u64, hi: u64) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { pool::max(&*desc, x, y, part(lo, hi)) }
}

unsafe extern "C" fn sum_pool(desc: *const PoolDesc, x: *const f32, y: *mut f32, lo: u64, hi: u64) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { pool::sum(&*desc, x, y, part(lo, hi)) }
}

unsafe extern "C" fn max_pool_gradient(
    desc: *const PoolDesc,
    x: *const f32,
    dy: *const f32,
    dx: *mut f32,
    lo: u64,
    hi: u64,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { pool::max_gradient(&*desc, x, dy, dx, part(lo, hi)) }
}

unsafe extern "C" fn sum_pool_gradient(
    desc: *const PoolDesc,
    dy: *const f32,
    dx: *mut f32,
    lo: u64,
    hi: u64,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { pool::sum_gradient(&*desc, dy, dx, part(lo, hi)) }
}

macro_rules! map {
    ($($name:ident $function:ident),*) => {$(
        unsafe extern "C" fn $name(out: *mut f32, x: *const f32, n: u64) {
            // SAFETY: the caller's.
            unsafe { math::apply(Function::$function, out, x, n as usize) }
        }
    )*};
}
map!(exp Exp, log Log, tanh Tanh, sigmoid Sigmoid, erf Erf, sin Sin, cos Cos);

unsafe extern "C" fn pow(out: *mut f32, x: *const f32, y: *const f32, n: u64) {
    // SAFETY: the caller's.
    unsafe { math::apply_pow(out, x, y, n as usize) }
}

// Functions of f64 are for the few numbers that need them, such as powers in optimizers. They come from `libm`,
// so they are the same on every system.
macro_rules! map64 {
    ($($name:ident $function:expr),* $(,)?) => {$(
        unsafe extern "C" fn $name(out: *mut f64, x: *const f64, n: u64) {
            let function: fn(f64) -> f64 = $function;
            for i in 0..n as usize {
                // SAFETY: the caller vouches for n elements.
                unsafe { *out.add(i) = function(*x.add(i)) };
            }
        }
    )*};
}
map64!(
    exp64 libm::exp,
    log64 libm::log,
    tanh64 libm::tanh,
    sigmoid64 |x| 1.0 / (1.0 + libm::exp(-x)),
    erf64 libm::erf,
    sin64 libm::sin,
    cos64 libm::cos,
);

unsafe extern "C" fn pow64(out: *mut f64, x: *const f64, y: *const f64, n: u64) {
    for i in 0..n as usize {
        // SAFETY: the caller vouches for n elements.
        unsafe { *out.add(i) = libm::pow(*x.add(i), *y.add(i)) };
    }
}

/// The exact remainder, with the sign of `x`.
unsafe extern "C" fn rem64(out: *mut f64, x: *const f64, y: *const f64, n: u64) {
    for i in 0..n as usize {
        // SAFETY: the caller vouches for n elements.
        unsafe { *out.add(i) = *x.add(i) % *y.add(i) };
    }
}

/// The exact remainder, with the sign of `x`.
unsafe extern "C" fn rem(out: *mut f32, x: *const f32, y: *const f32, n: u64) {
    for i in 0..n as usize {
        // SAFETY: the caller vouches for n elements.
        unsafe { *out.add(i) = *x.add(i) % *y.add(i) };
    }
}

unsafe extern "C" fn uniform(out: *mut f32, n: u64, key: u64, stream: u64, step: u64, start: u64) {
    // SAFETY: the caller vouches for n elements.
    let out = unsafe { elements(out, n) };
    Draw::new(key, stream, step).fill_uniform(out, start);
}

unsafe extern "C" fn normal(out: *mut f32, n: u64, key: u64, stream: u64, step: u64, start: u64) {
    // SAFETY: the caller vouches for n elements.
    let out = unsafe { elements(out, n) };
    Draw::new(key, stream, step).fill_normal(out, start);
}

/// Calls a macro with the Rust type of a descriptor's elements.
macro_rules! by_number {
    ($code:expr, $of:ident) => {
        match Kind::of($code) {
            Kind::F32 => $of!(f32),
            Kind::F64 => $of!(f64),
            Kind::I32 => $of!(i32),
            Kind::I64 => $of!(i64),
            Kind::U8 => $of!(u8),
            Kind::Half => unreachable!("half floats are computed with as f32"),
        }
    };
}

/// The same for floats.
macro_rules! by_float {
    ($code:expr, $of:ident) => {
        match Kind::of($code) {
            Kind::F32 => $of!(f32),
            Kind::F64 => $of!(f64),
            Kind::I32 | Kind::I64 | Kind::U8 => unreachable!("windows are of floats"),
            Kind::Half => unreachable!("half floats are computed with as f32"),
        }
    };
}

unsafe extern "C" fn order(
    desc: *const LinesDesc,
    x: *const u8,
    y: *mut i32,
    lo: u64,
    hi: u64,
    scratch: *mut u8,
) {
    macro_rules! of {
        ($ty:ty) => {
            lines::order::<$ty>(&*desc, x.cast(), y, part(lo, hi), scratch)
        };
    }
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { by_number!((*desc).element, of) }
}

unsafe extern "C" fn cumulate(desc: *const LinesDesc, x: *const u8, y: *mut u8, lo: u64, hi: u64) {
    macro_rules! of {
        ($ty:ty) => {
            lines::cumulate::<$ty>(&*desc, x.cast(), y.cast(), part(lo, hi))
        };
    }
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe { by_number!((*desc).element, of) }
}

unsafe extern "C" fn product_plain(
    desc: *const PlainDesc,
    a: *const u8,
    b: *const u8,
    c: *mut u8,
    _bias: *const u8,
    lo: u64,
    hi: u64,
    _scratch: *mut u8,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe {
        let desc = &*desc;
        plain_product(desc, [a, b], c, part(lo, hi), 0..desc.product.n as usize);
    }
}

unsafe extern "C" fn product_plain_columns(
    desc: *const PlainDesc,
    a: *const u8,
    b: *const u8,
    c: *mut u8,
    _bias: *const u8,
    lo: u64,
    hi: u64,
    _scratch: *mut u8,
) {
    // SAFETY: the caller's, who also vouches for `desc`.
    unsafe {
        let desc = &*desc;
        plain_product(desc, [a, b], c, 0..desc.product.m as usize, part(lo, hi));
    }
}

/// # Safety
/// The operands must be as `desc` says, and no one else may touch these rows and columns of `c`.
unsafe fn plain_product(
    PlainDesc { product, element }: &PlainDesc,
    [a, b]: [*const u8; 2],
    c: *mut u8,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    macro_rules! of {
        ($ty:ty) => {
            wide::run(plain::Product::<$ty> {
                desc: product,
                a: a.cast(),
                b: b.cast(),
                c: c.cast(),
                rows,
                columns,
            })
        };
    }
    by_number!(*element, of)
}

unsafe extern "C" fn windows_convolve(
    desc: *const WindowsDesc,
    x: *const u8,
    w: *const u8,
    y: *mut u8,
    lo: u64,
    hi: u64,
) {
    // SAFETY: the caller vouches for `desc`.
    let (desc, part) = (unsafe { &*desc }, part(lo, hi));
    macro_rules! of {
        ($ty:ty) => {
            wide::run(windows::Convolve::<$ty> { desc, x: x.cast(), w: w.cast(), y: y.cast(), part })
        };
    }
    by_float!(desc.element, of)
}

unsafe extern "C" fn windows_input(
    desc: *const WindowsDesc,
    dy: *const u8,
    w: *const u8,
    dx: *mut u8,
    lo: u64,
    hi: u64,
    scratch: *mut u8,
) {
    // SAFETY: the caller vouches for `desc`.
    let (desc, part) = (unsafe { &*desc }, part(lo, hi));
    let turned = scratch.wrapping_add(scratch.align_offset(align_of::<f64>()));
    macro_rules! of {
        ($ty:ty) => {
            wide::run(windows::ConvolveInput::<$ty> {
                desc,
                dy: dy.cast(),
                w: w.cast(),
                dx: dx.cast(),
                part,
                turned: turned.cast(),
            })
        };
    }
    by_float!(desc.element, of)
}

unsafe extern "C" fn windows_kernel(
    desc: *const WindowsDesc,
    x: *const u8,
    dy: *const u8,
    dw: *mut u8,
    lo: u64,
    hi: u64,
) {
    // SAFETY: the caller vouches for `desc`.
    let (desc, part) = (unsafe { &*desc }, part(lo, hi));
    macro_rules! of {
        ($ty:ty) => {
            wide::run(windows::ConvolveKernel::<$ty> {
                desc,
                x: x.cast(),
                dy: dy.cast(),
                dw: dw.cast(),
                part,
            })
        };
    }
    by_float!(desc.element, of)
}

unsafe extern "C" fn windows_pool(desc: *const WindowsDesc, x: *const u8, y: *mut u8, lo: u64, hi: u64) {
    // SAFETY: the caller vouches for `desc`.
    let (desc, part) = (unsafe { &*desc }, part(lo, hi));
    macro_rules! of {
        ($ty:ty) => {
            wide::run(windows::Pool::<$ty> { desc, x: x.cast(), y: y.cast(), part })
        };
    }
    by_float!(desc.element, of)
}

unsafe extern "C" fn windows_pool_input(
    desc: *const WindowsDesc,
    x: *const u8,
    dy: *const u8,
    dx: *mut u8,
    lo: u64,
    hi: u64,
) {
    // SAFETY: the caller vouches for `desc`.
    let (desc, part) = (unsafe { &*desc }, part(lo, hi));
    macro_rules! of {
        ($ty:ty) => {
            wide::run(windows::PoolInput::<$ty> { desc, x: x.cast(), dy: dy.cast(), dx: dx.cast(), part })
        };
    }
    by_float!(desc.element, of)
}

unsafe extern "C" fn gather(
    desc: *const RowsDesc,
    x: *const u8,
    positions: *const u8,
    y: *mut u8,
    lo: u64,
    hi: u64,
    faults: *const Faults,
) {
    // SAFETY: the caller's, who also vouches for `desc` and `faults`.
    unsafe { rows::gather(&*desc, x, positions, y, part(lo, hi), &*faults) }
}

unsafe extern "C" fn scatter_add(
    desc: *const RowsDesc,
    positions: *const u8,
    dy: *const u8,
    x: *mut u8,
    lo: u64,
    hi: u64,
    scratch: *mut u8,
    faults: *const Faults,
) {
    macro_rules! of {
        ($ty:ty) => {
            rows::scatter_add::<$ty>(&*desc, positions, dy.cast(), x.cast(), part(lo, hi), scratch, &*faults)
        };
    }
    // SAFETY: the caller's, who also vouches for `desc` and `faults`.
    unsafe { by_number!((*desc).element, of) }
}

unsafe extern "C" fn send(
    desc: *const TransferDesc,
    tensor: *const u8,
    _lo: u64,
    _hi: u64,
    links: *const Links,
) -> u32 {
    // SAFETY: the caller's, who also vouches for `desc` and `links`.
    unsafe { u32::from(transfer::send(&*desc, tensor, &*links).is_err()) }
}

unsafe extern "C" fn receive(
    desc: *const TransferDesc,
    tensor: *mut u8,
    _lo: u64,
    _hi: u64,
    links: *const Links,
) -> u32 {
    // SAFETY: the caller's, who also vouches for `desc` and `links`.
    unsafe { u32::from(transfer::receive(&*desc, tensor, &*links).is_err()) }
}

unsafe extern "C" fn barrier(barrier: *const Barrier) -> u32 {
    // SAFETY: the caller vouches for the barrier.
    match unsafe { &*barrier }.wait() {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

unsafe extern "C" fn copy(to: *mut u8, from: *const u8, bytes: u64) {
    // SAFETY: the caller's.
    unsafe { std::ptr::copy_nonoverlapping(from, to, bytes as usize) }
}

unsafe extern "C" fn zero(to: *mut u8, bytes: u64) {
    // SAFETY: the caller's.
    unsafe { std::ptr::write_bytes(to, 0, bytes as usize) }
}

/// The part of an axis that a call is for.
fn part(lo: u64, hi: u64) -> Range<usize> {
    lo as usize..hi as usize
}

/// `n` elements, which may be none at any address.
unsafe fn elements<'a>(out: *mut f32, n: u64) -> &'a mut [f32] {
    if n == 0 {
        return &mut [];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts_mut(out, n as usize) }
}
