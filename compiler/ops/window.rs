//! How windows move over an axis: what convolution and pooling share.

use super::{Convolution, Pooling, Problem};
use crate::types::{Axis, Size, Type};
use strata_runtime::kernels::windows::SPATIAL;

/// Windows along one axis: output `o` sees inputs `o * stride - low + tap * dilation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Number of taps.
    pub taps: u64,
    /// Distance between neighbouring windows.
    pub stride: u64,
    /// Distance between neighbouring taps.
    pub dilation: u64,
    /// How far the first window reaches over the beginning.
    pub low: u64,
    /// How far a window may reach over the end.
    pub high: u64,
}

impl Window {
    /// From a window's first tap to just behind its last.
    pub fn extent(self) -> u64 {
        if self.taps == 0 { 0 } else { (self.taps - 1) * self.dilation + 1 }
    }

    /// Which of `size` inputs tap `tap` of window `output` sees; `None` in the padding.
    pub fn input(self, output: usize, tap: usize, size: usize) -> Option<usize> {
        let reach = output as u64 * self.stride + tap as u64 * self.dilation;
        let input = reach.checked_sub(self.low)?;
        (input < size as u64).then_some(input as usize)
    }

    /// The axis of windows over `input`: one where it fits wholly into the padded input.
    pub fn over(self, input: &Axis) -> Axis {
        // Adding one stride first gives 0, not 1, where not even one window fits.
        let room = input.size.add(&Size::Known(self.low + self.high + self.stride));
        let windows = room.sub(&Size::Known(self.extent())).div(&Size::Known(self.stride));
        Axis { size: windows, name: input.name.clone(), ragged: input.ragged }
    }
}

/// Sizes beyond this are no convolution's; it keeps sums within 64 bits.
const MOST: u64 = 1 << 32;

/// That windows move over no more axes than kernels do.
fn few(axes: usize) -> Result<(), Problem> {
    if axes <= SPATIAL {
        return Ok(());
    }
    Err(Problem::Other(format!("windows move over at most {SPATIAL} axes, not {axes}")))
}

fn usable(window: Window) -> Result<Window, Problem> {
    let wrong = |text: String| Err(Problem::Other(text));
    match window {
        Window { stride: 0, .. } => wrong("the stride is 0".into()),
        Window { dilation: 0, .. } => wrong("the dilation is 0".into()),
        Window { taps: 0, .. } => wrong("the window is empty".into()),
        Window { taps, stride, dilation, low, high }
            if [taps, stride, dilation, low, high].into_iter().any(|n| n > MOST) =>
        {
            wrong("a size of the window is above 2^32".into())
        }
        Window { taps, dilation, .. } if taps.saturating_mul(dilation) > MOST => {
            wrong("the window reaches over more than 2^32 elements".into())
        }
        _ => Ok(window),
    }
}

/// That the windows along each axis of `x` fit in somewhere.
pub(super) fn fits(x: &Type, y: &Type) -> Result<(), Problem> {
    for (i, (from, to)) in x.axes.iter().zip(&y.axes).enumerate() {
        if to.size == Size::Known(0) && from.size != Size::Known(0) {
            return Err(Problem::Other(format!(
                "the window is larger than axis {i} of {x} with its padding"
            )));
        }
    }
    Ok(())
}

impl Convolution {
    /// The window along each spatial axis, for a kernel with these spatial sizes.
    pub fn windows(&self, kernel: &[Axis]) -> Result<Vec<Window>, Problem> {
        let rank = kernel.len();
        few(rank)?;
        if self.stride.len() != rank || self.dilation.len() != rank || self.padding.len() != rank {
            return Err(Problem::Other(format!(
                "stride, dilation and padding must be given for {rank} axes"
            )));
        }
        let mut windows = Vec::with_capacity(rank);
        for (i, axis) in kernel.iter().enumerate() {
            let Some(taps) = axis.size.known() else {
                return Err(Problem::Other("the kernel's size depends on a free axis".into()));
            };
            let (low, high) = self.padding[i];
            let window = Window { taps, stride: self.stride[i], dilation: self.dilation[i], low, high };
            windows.push(usable(window)?);
        }
        Ok(windows)
    }
}

impl Pooling {
    /// The window along each spatial axis.
    pub fn windows(&self) -> Result<Vec<Window>, Problem> {
        let rank = self.window.len();
        few(rank)?;
        if self.stride.len() != rank || self.padding.len() != rank {
            return Err(Problem::Other(format!("stride and padding must be given for {rank} axes")));
        }
        let mut windows = Vec::with_capacity(rank);
        for (i, taps) in self.window.iter().enumerate() {
            let (low, high) = self.padding[i];
            let window = Window { taps: *taps, stride: self.stride[i], dilation: 1, low, high };
            if low >= *taps || high >= *taps {
                return Err(Problem::Other(
                    "padding as wide as the window leaves windows without elements".into(),
                ));
            }
            windows.push(usable(window)?);
        }
        Ok(windows)
    }
}
