//! The exact totals and the counters: atomic, because a program can be preempted on its CPU.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::warn;
use tracer_ebpf::{
    abi::{Cookie, Counter, FunctionTotals, MAX_FUNCTIONS, SlotTotals},
    histogram::{LIFETIME_BUCKETS, SIZE_BUCKETS, lifetime_bucket, size_bucket},
};

use super::{
    atomic,
    maps::{FUNCTION_TOTALS, SLOT_TOTALS},
};

#[inline(always)]
fn slot_totals(cookie: &Cookie) -> Option<*mut SlotTotals> {
    SLOT_TOTALS.get_ptr_mut(u32::from(cookie.slot))
}

#[inline(always)]
fn function_totals(cookie: &Cookie) -> Option<*mut FunctionTotals> {
    FUNCTION_TOTALS.get_ptr_mut(u32::from(cookie.slot) * MAX_FUNCTIONS + u32::from(cookie.function))
}

/// Counts an event of the slot.
#[inline(always)]
pub(crate) fn event(cookie: &Cookie, counter: Counter) {
    if let Some(totals) = slot_totals(cookie) {
        // SAFETY: a pointer into the map's value; the index is below the array's length.
        atomic::add(unsafe { &raw mut (*totals).events[counter as usize] }, 1);
    }
}

/// Counts something that is missing from the results, and tells the log at the 1st, 2nd, 4th, 8th … time.
#[inline(never)]
pub(crate) fn lost<C: EbpfContext>(ctx: &C, cookie: &Cookie, counter: Counter) {
    let Some(totals) = slot_totals(cookie) else { return };
    // SAFETY: as in `event`.
    let times = atomic::fetch_add(unsafe { &raw mut (*totals).events[counter as usize & 15] }, 1) + 1;
    if times & (times - 1) == 0 {
        warn!(ctx, "slot {}: lost by reason {}: {} times on this CPU", cookie.slot, counter as u32, times);
    }
}

/// Counts a call of an allocating function (mode `alloc`: an attempt, mode `live`: a success).
#[inline(always)]
pub(crate) fn allocation(cookie: &Cookie, size_bytes: u64) {
    if let Some(totals) = function_totals(cookie) {
        // SAFETY: pointers into the map's value.
        atomic::add(unsafe { &raw mut (*totals).calls }, 1);
        // SAFETY: as above.
        atomic::add(unsafe { &raw mut (*totals).bytes }, size_bytes);
    }
    let bucket = size_bucket(size_bytes);
    if let Some(totals) = slot_totals(cookie)
        && bucket < SIZE_BUCKETS
    {
        // SAFETY: as above; the index was checked.
        atomic::add(unsafe { &raw mut (*totals).sizes[bucket] }, 1);
    }
}

/// Counts a failed call.
#[inline(always)]
pub(crate) fn failure(cookie: &Cookie) {
    if let Some(totals) = function_totals(cookie) {
        // SAFETY: a pointer into the map's value.
        atomic::add(unsafe { &raw mut (*totals).failed }, 1);
    }
}

/// Counts a call of a freeing function.
#[inline(always)]
pub(crate) fn freeing_call(cookie: &Cookie, size_bytes: u64) {
    if let Some(totals) = function_totals(cookie) {
        // SAFETY: pointers into the map's value.
        atomic::add(unsafe { &raw mut (*totals).calls }, 1);
        // SAFETY: as above.
        atomic::add(unsafe { &raw mut (*totals).bytes }, size_bytes);
    }
}

/// Counts the end of a known block.
#[inline(always)]
pub(crate) fn freed(cookie: &Cookie, size_bytes: u64, lifetime_ns: u64) {
    let bucket = lifetime_bucket(lifetime_ns);
    if let Some(totals) = slot_totals(cookie) {
        // SAFETY: pointers into the map's value; the index is checked.
        atomic::add(unsafe { &raw mut (*totals).free_objects }, 1);
        // SAFETY: as above.
        atomic::add(unsafe { &raw mut (*totals).free_bytes }, size_bytes);
        if bucket < LIFETIME_BUCKETS {
            // SAFETY: as above.
            atomic::add(unsafe { &raw mut (*totals).lifetimes[bucket] }, 1);
        }
    }
}

/// Counts the end of a block that is older than the attach.
#[inline(always)]
pub(crate) fn freed_unknown(cookie: &Cookie) {
    if let Some(totals) = slot_totals(cookie) {
        // SAFETY: a pointer into the map's value.
        atomic::add(unsafe { &raw mut (*totals).free_objects }, 1);
    }
    event(cookie, Counter::FreesUnmatched);
}
