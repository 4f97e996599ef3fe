//! Products of any numbers but `f32`: plain loops, for what is seldom large.
//!
//! An element's sum is that of the tiled product, in the order of `sums`. Of integers, whatever the order, what wraps
//! around.

use std::ops::Range;

use super::element::Element;
use super::product::ProductDesc;
use super::sums::leaves;
use super::wide::Job;

/// Columns whose sums are kept in registers.
const STRIP: usize = 32;

/// A product and its dtype.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct PlainDesc {
    /// What is multiplied. Its flags do not count.
    pub product: ProductDesc,
    /// The dtype of elements: a [`super::element::Kind`].
    pub element: u64,
}

/// C = A · B, for some rows and columns of C.
pub struct Product<'a, T> {
    pub desc: &'a ProductDesc,
    pub a: *const T,
    pub b: *const T,
    pub c: *mut T,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

impl<T: Element> Job for Product<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Product { desc, a, b, c, rows, columns } = self;
        let leaves = leaves(&desc.sum);
        let mut waiting: Vec<[T; STRIP]> = Vec::new();
        for start in columns.clone().step_by(STRIP) {
            let width = STRIP.min(columns.end - start);
            for row in rows.clone() {
                let mut first = 0;
                for leaf in &leaves {
                    let mut chain = [T::ZERO; STRIP];
                    for step in first..leaf.end {
                        // SAFETY: row, column and step are those of the operands.
                        unsafe {
                            let x = *a.offset(
                                row as isize * desc.a_row as isize + step as isize * desc.a_column as isize,
                            );
                            let from = b.offset(
                                step as isize * desc.b_row as isize + start as isize * desc.b_column as isize,
                            );
                            if desc.b_column == 1 && width == STRIP {
                                for (j, sum) in chain.iter_mut().enumerate() {
                                    *sum = x.times_plus(*from.add(j), *sum);
                                }
                            } else {
                                for (j, sum) in chain[..width].iter_mut().enumerate() {
                                    *sum =
                                        x.times_plus(*from.offset(j as isize * desc.b_column as isize), *sum);
                                }
                            }
                        }
                    }
                    for other in waiting.drain(waiting.len() - leaf.joins..).rev() {
                        chain.iter_mut().zip(other).for_each(|(sum, other)| *sum = other.plus(*sum));
                    }
                    waiting.push(chain);
                    first = leaf.end;
                }
                let total = waiting.pop().unwrap_or([T::ZERO; STRIP]);
                for (j, sum) in total[..width].iter().enumerate() {
                    // SAFETY: row and column are those of C.
                    unsafe {
                        let column = (start + j) as isize * desc.c_column as isize;
                        *c.offset(row as isize * desc.c_row as isize + column) = *sum;
                    }
                }
            }
        }
    }
}
