//! The exact totals and the counters: atomic, because a program can be preempted on its CPU.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::warn;
use tracer_ebpf::{
    abi::{Cookie, Counter, FunctionTotals, SlotTotals, slot_place},
    histogram::{LIFETIME_PLACES, SIZE_BUCKETS, lifetime_bucket, size_bucket},
};

use super::{
    atomic,
    maps::{FUNCTION_TOTALS, SLOT_TOTALS},
    sample,
};

#[inline(always)]
fn slot_totals(cookie: &Cookie) -> Option<*mut SlotTotals> {
    SLOT_TOTALS.get_ptr_mut(slot_place(u32::from(cookie.slot)))
}

#[inline(always)]
fn function_totals(cookie: &Cookie) -> Option<*mut FunctionTotals> {
    FUNCTION_TOTALS.get_ptr_mut(u32::from(cookie.totals))
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

/// Counts a call of an allocating function: a success in mode `live` where every allocation is followed, else an
/// attempt. Whether it is a sample; with `interval` 0 it is.
#[inline(always)]
pub(crate) fn allocation(cookie: &Cookie, size_bytes: u64, interval: u32) -> bool {
    let Some(totals) = function_totals(cookie) else { return true };
    let bucket = size_bucket(size_bytes) & (SIZE_BUCKETS - 1);
    // SAFETY: pointers into the map's value; the index is masked.
    let (calls, position) = unsafe { (&raw mut (*totals).sizes[bucket], &raw mut (*totals).position) };
    atomic::add(calls, 1);
    if size_bytes == 0 {
        // SAFETY: as above.
        atomic::add(unsafe { &raw mut (*totals).empty_calls }, 1);
    }
    let step = if size_bytes == 0 { 1 } else { size_bytes };
    if interval == 0 {
        atomic::add(position, step);
        return true;
    }
    let begin = atomic::fetch_add(position, step);
    sample::takes(totals, begin, begin.wrapping_add(step), interval)
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
        atomic::add(unsafe { &raw mut (*totals).sizes[0] }, 1);
        if size_bytes != 0 {
            // SAFETY: as above.
            atomic::add(unsafe { &raw mut (*totals).position }, size_bytes);
        }
    }
}

/// Counts the old block of a successful realloc.
#[inline(always)]
pub(crate) fn moved(cookie: &Cookie, size_bytes: u64) {
    if let Some(totals) = function_totals(cookie) {
        // SAFETY: pointers into the map's value.
        atomic::add(unsafe { &raw mut (*totals).moved_objects }, 1);
        // SAFETY: as above.
        atomic::add(unsafe { &raw mut (*totals).moved_bytes }, size_bytes);
    }
}

/// Counts how long a block lived.
#[inline(always)]
pub(crate) fn lifetime(cookie: &Cookie, lifetime_ns: u64) {
    let bucket = lifetime_bucket(lifetime_ns) & (LIFETIME_PLACES - 1);
    if let Some(totals) = slot_totals(cookie) {
        // SAFETY: a pointer into the map's value; the index is masked.
        atomic::add(unsafe { &raw mut (*totals).lifetimes[bucket] }, 1);
    }
}
