//! Atomic operations on map memory.
//!
//! The stock BPF target has no `AtomicU64::fetch_add`; the intrinsics lower to the BPF instructions. A relaxed
//! fetch-and-add whose result is used is miscompiled silently (it returns the addend), so [`add`] returns
//! nothing and [`fetch_add`] is AcqRel.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

/// Adds to a counter.
#[inline(always)]
pub(crate) fn add(counter: *mut u64, value: u64) {
    // SAFETY: callers pass a pointer into a map value, aligned to 8 bytes.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, value) };
}

/// Subtracts from a counter.
#[inline(always)]
pub(crate) fn sub(counter: *mut u64, value: u64) {
    add(counter, value.wrapping_neg());
}

/// Adds to a counter and returns what it was.
#[inline(always)]
pub(crate) fn fetch_add(counter: *mut u64, value: u64) -> u64 {
    // SAFETY: as in `add`.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(counter, value) }
}

/// Replaces `old` by `new`: true if it was there.
#[inline(always)]
pub(crate) fn replace(word: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: as in `add`.
    let (_, replaced) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::AcqRel }, { AtomicOrdering::Acquire }>(word, old, new)
    };
    replaced
}

/// Claims a flag: true if it was 0 and is now 1.
#[inline(always)]
pub(crate) fn claim(flag: *mut u64) -> bool {
    replace(flag, 0, 1)
}

/// Gives a claimed flag back.
#[inline(always)]
pub(crate) fn release(flag: *mut u64) {
    // SAFETY: as in `add`.
    unsafe { core::ptr::write_volatile(flag, 0) };
}
