//! Neighbouring channels, as many at a time as make a vector.

/// Channels that are handled at once. The compiler makes one vector of so many, and nothing of more.
pub(super) const N: usize = 16;

/// Something to do for some neighbouring channels.
pub(super) trait Stretch {
    /// Does it for the [`N`] channels from `from` on, of which the last may be missing: `len` are there.
    ///
    /// # Safety
    /// The channels must be inside the operands.
    unsafe fn channels(&self, from: usize, len: usize);
}

/// Does something for all channels, in stretches whose length the compiler knows. `channels` must be inlined.
#[inline(always)]
pub(super) unsafe fn stretches<S: Stretch>(channels: usize, stretch: &S) {
    let mut from = 0;
    // SAFETY: the caller's; the stretches are the channels.
    unsafe {
        while from + N <= channels {
            stretch.channels(from, N);
            from += N;
        }
        if from < channels {
            stretch.channels(from, channels - from);
        }
    }
}

/// The first `len` of [`N`] elements; the others are zero.
#[inline(always)]
pub(super) unsafe fn load(from: *const f32, len: usize) -> [f32; N] {
    // SAFETY: the caller vouches for `len` elements.
    unsafe {
        if len == N {
            return from.cast::<[f32; N]>().read_unaligned();
        }
        let mut near = [0.0; N];
        std::ptr::copy_nonoverlapping(from, near.as_mut_ptr(), len);
        near
    }
}

/// Writes the first `len` elements.
#[inline(always)]
pub(super) unsafe fn store(near: [f32; N], to: *mut f32, len: usize) {
    // SAFETY: the caller vouches for `len` elements.
    unsafe {
        if len == N {
            to.cast::<[f32; N]>().write_unaligned(near);
        } else {
            std::ptr::copy_nonoverlapping(near.as_ptr(), to, len);
        }
    }
}
