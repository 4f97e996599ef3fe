//! Calls of the runtime's kernels that need nothing but a descriptor and their operands as they lie in memory.

use strata_runtime::kernels::Entry;

/// One call: `(descriptor, operands, lo, hi, [scratch,] [faults])`.
#[derive(Clone, Debug, PartialEq)]
pub struct TableCall {
    /// The kernel.
    pub entry: Entry,
    /// Its descriptor.
    pub desc: Vec<u8>,
    /// The descriptor for people.
    pub text: String,
    /// Length of the axis that threads share: equal stretches of the result, one behind the other.
    pub count: usize,
    /// Bytes of a thread's own scratch, where it takes any.
    pub scratch: Option<usize>,
    /// Whether it may find something wrong with its numbers.
    pub faults: bool,
}
