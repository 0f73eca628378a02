//! Mode `alloc`: everything happens at the entry, and every attempt counts.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, programs::ProbeContext};
use tracer_ebpf::abi::{Argument, Call, Cookie, Counter, Slot, record::CALL_JUMPS};

use super::{
    atomic, call,
    calls::{ANY_FUNCTION, Calls, Taken},
    count, sample, sites,
    user::{self, Registers},
    walk::{self, Caller},
};

/// Entry of an allocating function: the work of every call.
#[inline(always)]
pub(crate) fn enter(ctx: &ProbeContext) {
    let bits = user::cookie_bits(ctx);
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    let is_go = matches!(cookie.argument, Argument::GoSize | Argument::GoSizeAtCheck);
    if is_go && is_no_event_of_go(ctx, &cookie, slot) {
        return;
    }
    let interval = sample::interval(slot);
    let mut size_bytes = 0;
    if interval != 0 {
        if (any_outer(slot) || call::passes_on(slot)) && is_inner(ctx, bits, slot) {
            return count::event(&cookie, Counter::SkippedEntries);
        }
        let registers = Registers::of(ctx);
        if cookie.is_outer {
            announce(ctx, bits, slot);
        }
        size_bytes = call::Request::of(registers, cookie.argument).size_bytes;
        if !count::allocation(&cookie, size_bytes, interval) {
            return;
        }
    }
    walked(ctx, bits, slot, size_bytes, interval);
}

/// Go gives every object of no bytes the same address and counts none (`mallocgc` in `runtime/malloc.go`); and it passes
/// small sizes on to other probed functions, whose return address says so.
#[inline(always)]
fn is_no_event_of_go(ctx: &ProbeContext, cookie: &Cookie, slot: *const Slot) -> bool {
    /// The condition code of `jbe`, by which a function goes to have its stack moved.
    const BELOW_OR_EQUAL: u8 = 6;
    let registers = Registers::of(ctx);
    if cookie.argument == Argument::GoSizeAtCheck && registers.fulfil(BELOW_OR_EQUAL) {
        return true;
    }
    let size_bytes = call::Request::of(registers, cookie.argument).size_bytes;
    if size_bytes != 0 && !cookie.is_inner {
        return false;
    }
    if size_bytes != 0
        && !user::read_u64(entry_sp(ctx, cookie)).is_some_and(|address| call::is_nested(slot, address))
    {
        return false;
    }
    count::event(cookie, Counter::SkippedEntries);
    true
}

/// SP at the function's entry, where its return address lies.
#[inline(always)]
fn entry_sp(ctx: &ProbeContext, cookie: &Cookie) -> u64 {
    Registers::of(ctx).sp() + u64::from(cookie.shift_bytes)
}

/// A call whose stack is walked. Where that is every call (`interval` 0), one copy of the stack serves the check of
/// the caller too, so that the call is counted here and not before.
#[inline(never)]
fn walked(ctx: &ProbeContext, bits: u64, slot: *mut Slot, mut size_bytes: u64, interval: u32) {
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    let sp = entry_sp(ctx, &cookie);
    let mut scratch = walk::claim();
    let return_address = match &mut scratch {
        Some(scratch) => walk::copy(scratch, sp),
        None => user::read_u64(sp),
    };
    let counted = match return_address {
        Some(_) if interval != 0 => true,
        Some(return_address)
            if call::is_nested(slot, return_address) || any_outer(slot) && has_jumped(slot, sp) =>
        {
            count::event(&cookie, Counter::SkippedEntries);
            false
        }
        Some(_) => {
            let registers = Registers::of(ctx);
            // A call of another function is known by its return address here, a jump is not.
            if cookie.may_tail_jump && (!cookie.tells_jump || call::jumps_away(registers, cookie.argument)) {
                announce(ctx, bits, slot);
            }
            size_bytes = call::Request::of(registers, cookie.argument).size_bytes;
            true
        }
        None => {
            count::lost(ctx, &cookie, Counter::ReadFault);
            false
        }
    };
    if counted {
        let caller = Caller {
            return_address: return_address.unwrap_or_default(),
            sp: sp + 8,
            fp: Registers::of(ctx).fp(),
        };
        let site = sites::of_caller(ctx, &cookie, slot, scratch.as_deref_mut(), caller);
        // After the walk: an atomic operation waits for the copy of the stack to be written, the walk less so.
        if interval == 0 {
            count::allocation(&cookie, size_bytes, 0);
        }
        if let Some(site) = site {
            site.allocated(size_bytes, interval);
        }
    }
    if let Some(scratch) = scratch {
        walk::release(scratch);
    }
}

/// Whether any thread has announced an outer call.
#[inline(always)]
fn any_outer(slot: *const Slot) -> bool {
    // SAFETY: a pointer into the map's value; a stale value is at least this thread's own announcement.
    unsafe { core::ptr::read_volatile(&raw const (*slot).announced) != 0 }
}

/// Tells what this function calls, or jumps to at the same SP, that the call is counted.
#[inline(never)]
fn announce(ctx: &ProbeContext, bits: u64, slot: *mut Slot) {
    let Some(cookie) = &Cookie::from_bits(bits) else { return };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return };
    let sp = entry_sp(ctx, cookie);
    // What was announced at this SP, or below it, has returned.
    let gone = if calls.any() { calls.forget_up_to(sp) } else { 0 };
    let jumps =
        cookie.may_tail_jump && cookie.tells_jump && call::jumps_away(Registers::of(ctx), cookie.argument);
    let flags = if jumps { CALL_JUMPS } else { 0 };
    let call = Call { sp, function: u16::from(cookie.function), flags, ..Call::default() };
    // SAFETY: a pointer into the map's value.
    atomic::add(unsafe { &raw mut (*slot).announced }, 1_u64.wrapping_sub(gone));
    if !calls.keep(&call) {
        count::lost(ctx, cookie, Counter::InFlightFull);
    }
}

/// A jump instruction that leads from one probed function to another: the frame is gone, SP is what it was at the
/// entry. The cookie's shift is 1 + the condition code of a jump that does not always happen.
#[inline(always)]
pub(crate) fn jump(ctx: &ProbeContext) {
    let Some(cookie) = Cookie::from_bits(user::cookie_bits(ctx)) else { return };
    let registers = Registers::of(ctx);
    if call::counting_slot(&cookie).is_none()
        || cookie.shift_bytes != 0 && !registers.fulfil(cookie.shift_bytes - 1)
    {
        return;
    }
    if let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) {
        calls.jumps(registers.sp(), u16::from(cookie.function));
    }
}

/// Whether a call is part of one that this thread has announced. An announcement whose frame is gone is taken back.
#[inline(never)]
fn is_inner(ctx: &ProbeContext, bits: u64, slot: *mut Slot) -> bool {
    let Some(cookie) = &Cookie::from_bits(bits) else { return false };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return false };
    let sp = entry_sp(ctx, cookie);
    if calls.any() {
        if has_jumped(slot, sp) {
            return true;
        }
        let gone = calls.forget_up_to(sp);
        // SAFETY: a pointer into the map's value.
        atomic::sub(unsafe { &raw mut (*slot).announced }, gone);
    } else if !call::passes_on(slot) {
        return false;
    }
    match user::read_u64(sp) {
        Some(return_address) => call::is_nested(slot, return_address),
        None => {
            count::lost(ctx, cookie, Counter::ReadFault);
            false
        }
    }
}

/// Whether an outer function that was counted has jumped here.
#[inline(always)]
fn has_jumped(slot: *mut Slot, sp: u64) -> bool {
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return false };
    if !calls.has_jumping(sp) {
        return false;
    }
    let gone = u64::from(calls.take(sp, ANY_FUNCTION, &mut Call::default()) == Taken::Here);
    // SAFETY: a pointer into the map's value.
    atomic::sub(unsafe { &raw mut (*slot).announced }, gone);
    true
}
