//! Machine code in memory: bytes in, functions out.

use memmap2::{Mmap, MmapMut};
use std::io;

/// Executable bytes. They live as long as this value; functions taken from it must not outlive it.
pub struct Code {
    map: Mmap,
    len: usize,
}

impl Code {
    /// Copies position-independent machine code for this processor into executable memory, which is never
    /// writable and executable at once.
    ///
    /// # Errors
    /// When the system gives no memory or forbids making it executable, and on processors other than x86-64,
    /// whose instruction caches would have to be told.
    pub fn load(bytes: &[u8]) -> io::Result<Code> {
        if !cfg!(target_arch = "x86_64") {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "machine code can be loaded on x86-64 only",
            ));
        }
        let mut map = MmapMut::map_anon(bytes.len().max(1))?;
        map[..bytes.len()].copy_from_slice(bytes);
        Ok(Code { map: map.make_exec()?, len: bytes.len() })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map[..self.len]
    }

    /// Where the byte at `offset` lies; none past the end.
    pub fn address(&self, offset: usize) -> Option<*const u8> {
        self.bytes().get(offset..).filter(|rest| !rest.is_empty()).map(<[u8]>::as_ptr)
    }

    /// The function that begins at `offset`; none past the end. `F` is a function pointer type.
    ///
    /// # Safety
    /// A function of exactly this type must begin there, and not be called once `self` is gone.
    pub unsafe fn function<F: Copy>(&self, offset: usize) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*const u8>(), "F must be a function pointer") }
        let address = self.address(offset)?;
        // SAFETY: the sizes agree; that F fits what lies there is the caller's promise.
        Some(unsafe { std::mem::transmute_copy(&address) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn code_runs() {
        // mov eax, 41; ret — mov eax, 42; ret
        let bytes = [0xb8, 41, 0, 0, 0, 0xc3, 0xb8, 42, 0, 0, 0, 0xc3];
        let code = Code::load(&bytes).unwrap();
        assert_eq!(code.bytes(), bytes);
        // SAFETY: such functions begin at 0 and 6.
        let [first, second] =
            [0, 6].map(|at| unsafe { code.function::<extern "C" fn() -> i32>(at) }.unwrap());
        assert_eq!((first(), second()), (41, 42));
        assert!(code.address(12).is_none());
        assert!(Code::load(&[]).unwrap().address(0).is_none());
    }
}
