//! Tensors to other devices and from them: copies between a device's memory and what the channels hold.

use crate::channels::{Left, Links};

/// One end of a channel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TransferDesc {
    /// Which channel: an index into `Program::channels`.
    pub channel: u64,
    /// Size of the tensor.
    pub bytes: u64,
}

/// Hands a tensor on. What was sent before by this channel must have been taken, which is waited for.
///
/// # Errors
/// When the step must be left.
///
/// # Safety
/// The tensor must have as many bytes as `desc` says.
pub unsafe fn send(desc: &TransferDesc, tensor: *const u8, links: &Links) -> Result<(), Left> {
    // SAFETY: the caller's; an address of no bytes is never null in a plan.
    let tensor = unsafe { std::slice::from_raw_parts(tensor, desc.bytes as usize) };
    links.send(desc.channel as usize, tensor)
}

/// Takes a tensor, which is waited for.
///
/// # Errors
/// When the step must be left.
///
/// # Safety
/// The tensor must have as many bytes as `desc` says, and nobody else may touch it.
pub unsafe fn receive(desc: &TransferDesc, tensor: *mut u8, links: &Links) -> Result<(), Left> {
    // SAFETY: the caller's; an address of no bytes is never null in a plan.
    let tensor = unsafe { std::slice::from_raw_parts_mut(tensor, desc.bytes as usize) };
    links.receive(desc.channel as usize, tensor)
}
