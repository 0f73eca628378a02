//! Mode `alloc`: everything happens at the entry, and every attempt counts.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, programs::ProbeContext};
use tracer_ebpf::abi::{Cookie, Counter, InFlight, Slot, ThreadKey};

use super::{
    atomic, call, count,
    maps::IN_FLIGHT,
    site,
    user::{self, Registers},
    walk::Caller,
};

/// Entry of an allocating function.
#[inline(always)]
pub(crate) fn enter(ctx: &ProbeContext) {
    let Some(cookie) = user::cookie(ctx) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    count::event(&cookie, Counter::Hits);
    let registers = Registers::of(ctx);
    let sp = registers.sp() + u64::from(cookie.shift_bytes);
    let Some(return_address) = user::read_u64(sp) else {
        count::lost(ctx, &cookie, Counter::ReadFault);
        return;
    };
    if call::is_nested(slot, return_address) || announced(slot, sp) {
        return;
    }
    if cookie.may_tail_jump && call::jumps_away(registers, cookie.argument) {
        announce(ctx, &cookie, slot, sp);
    }
    let request = call::Request::of(registers, cookie.argument);
    count::allocation(&cookie, request.size_bytes);
    let caller = Caller { return_address, sp: sp + 8, fp: registers.fp() };
    if let Some(site) = site::of_caller(ctx, &cookie, slot, caller) {
        site.allocated(request.size_bytes);
    }
}

/// Tells the inner function, which this one is about to jump to at the same SP, that it is counted.
#[inline(always)]
fn announce(ctx: &ProbeContext, cookie: &Cookie, slot: *mut Slot, sp: u64) {
    let key = ThreadKey { pid_tgid: bpf_get_current_pid_tgid(), sp };
    let outer = InFlight { size_bytes: 0, pointer: 0, function: u32::from(cookie.function), _reserved: 0 };
    // SAFETY: a pointer into the map's value.
    let pending = unsafe { &raw mut (*slot).pending_tails };
    atomic::add(pending, 1);
    if IN_FLIGHT.insert(&key, &outer, 0).is_err() {
        atomic::sub(pending, 1);
        count::lost(ctx, cookie, Counter::InFlightFull);
    }
}

/// Whether an outer function that was counted has jumped here.
#[inline(always)]
fn announced(slot: *mut Slot, sp: u64) -> bool {
    // SAFETY: a pointer into the map's value.
    let pending = unsafe { &raw mut (*slot).pending_tails };
    // SAFETY: as above; a stale value is at least this thread's own announcement.
    if unsafe { core::ptr::read_volatile(pending) } == 0 {
        return false;
    }
    let key = ThreadKey { pid_tgid: bpf_get_current_pid_tgid(), sp };
    if IN_FLIGHT.remove(&key).is_err() {
        return false;
    }
    atomic::sub(pending, 1);
    true
}
