//! The table, as generated code sees it.

use super::super::product::ProductDesc;
use super::super::table::{Entry, TABLE, Table, VERSION};
use super::{bits, numbers, scratch};
use crate::threads::{Pinning, Threads};

#[test]
fn entries_are_pointers_in_order() {
    for (i, entry) in Entry::ALL.iter().enumerate() {
        assert_eq!(entry.offset(), 8 + 8 * i, "{}", entry.name());
    }
    assert_eq!(size_of::<Table>(), 8 + 8 * Entry::ALL.len());
    assert_eq!(TABLE.version, VERSION);
    // Offsets are written into plans: an entry may never move.
    assert_eq!((Entry::Product.offset(), Entry::Zero.offset()), (8, 176));
}

#[test]
fn threads_share_a_product_through_the_table() {
    let (m, n, k) = (37, 50, 300);
    let desc = ProductDesc::row_major(m, n, k);
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let run = |count: usize, entry: Entry, size: usize| {
        let mut c = vec![0f32; m * n];
        let shared = c.as_mut_ptr() as usize;
        let mut threads = Threads::new(count, Pinning::Free).unwrap();
        let barrier = std::ptr::from_ref(threads.barrier()) as usize;
        let each = |index: usize| {
            let mut scratch = scratch(desc.scratch_bytes());
            let (lo, hi) = ((size * index / count) as u64, (size * (index + 1) / count) as u64);
            // SAFETY: the table's entry at that offset has this type; threads write different parts.
            unsafe {
                let at = (&raw const TABLE).cast::<u8>().add(entry.offset());
                let product = *at.cast::<super::super::table::Product>();
                let c = shared as *mut f32;
                product(&desc, a.as_ptr(), b.as_ptr(), c, std::ptr::null(), lo, hi, scratch.as_mut_ptr());
                assert_eq!((TABLE.barrier)(barrier as *const _), 0);
            }
        };
        threads.run(each).unwrap();
        bits(&c)
    };
    let want = run(1, Entry::Product, m);
    for count in 1..=3 {
        assert_eq!(run(count, Entry::Product, m), want, "{count} threads, by rows");
        assert_eq!(run(count, Entry::ProductColumns, n), want, "{count} threads, by columns");
    }
}
