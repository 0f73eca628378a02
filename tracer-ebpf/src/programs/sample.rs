//! Which allocations are sampled: the process of points of `tracer_ebpf::sampling`, one per function and CPU (a sum
//! of Poisson processes is one).
//!
//! Whoever moves the position across the next point is the sample: positions are handed out by one atomic
//! addition, so it is one. Who finds a point that lies behind it, or that was drawn with another mean, decides by a
//! fresh draw: the process has no memory, so this is as likely as it should be.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use tracer_ebpf::{
    abi::{FunctionTotals, Slot},
    sampling::gap,
};

/// The mean that is asked for at present; 0 is every allocation.
#[inline(always)]
pub(crate) fn interval(slot: *const Slot) -> u32 {
    // SAFETY: a pointer into the map's value; user space writes the word as a whole, within `MAX_SAMPLE_BYTES`.
    let sample_bytes = unsafe { core::ptr::read_volatile(&raw const (*slot).sample_bytes) };
    sample_bytes as u32
}

/// Whether the allocation that has moved the position from `begin` to `end` is a sample.
#[inline(always)]
pub(crate) fn takes(totals: *mut FunctionTotals, begin: u64, end: u64, interval: u32) -> bool {
    // SAFETY: pointers into the map's value.
    let (next, drawn_with) = unsafe {
        let drawn_with = core::ptr::read_volatile(&raw const (*totals).drawn_with);
        (core::ptr::read_volatile(&raw const (*totals).next_sample), drawn_with)
    };
    if drawn_with == u64::from(interval) && next > end {
        return false;
    }
    decide(totals, begin, end, interval, drawn_with == u64::from(interval) && next > begin)
}

#[inline(never)]
fn decide(totals: *mut FunctionTotals, begin: u64, end: u64, interval: u32, reached: bool) -> bool {
    let is_sample = reached || begin + draw(interval) <= end;
    let next = end + draw(interval);
    // SAFETY: pointers into the map's value. The point first: who comes between takes it for one of another mean.
    unsafe {
        core::ptr::write_volatile(&raw mut (*totals).next_sample, next);
        core::ptr::write_volatile(&raw mut (*totals).drawn_with, u64::from(interval));
    }
    is_sample
}

#[inline(always)]
fn draw(interval: u32) -> u64 {
    // SAFETY: a helper without arguments.
    let (high, low) = unsafe { (bpf_get_prandom_u32(), bpf_get_prandom_u32()) };
    gap::bytes(u64::from(interval), u64::from(high) << 32 | u64::from(low))
}
