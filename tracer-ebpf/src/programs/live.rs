//! Mode `live`: the entry remembers the call, the return counts it, the free ends the block.
//!
//! Where every allocation is followed, its return counts it, so that only successes count. Where it is sampled,
//! the entry counts the attempt and decides; a call that is no sample leaves nothing behind, unless other probed
//! functions may be called from it (they must find it) or it moves a block.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    programs::{ProbeContext, RetProbeContext},
};
use tracer_ebpf::abi::{
    Argument, Call, Cookie, Counter, LiveBlock, Slot,
    record::{CALL_COUNTED, CALL_INNER, CALL_MAY_LEAVE, CALL_MOVES, CALL_SAMPLED, LOWEST_BLOCK, block_key},
};

use super::{
    blocks::{self, Kept},
    call::{self, Request},
    calls::{ANY_FUNCTION, Calls, Taken},
    count, sample,
    sites::{self, Site},
    user::{self, Registers},
    walk::{self, Caller},
};

/// Entry of an allocating function: the work of every call.
#[inline(always)]
pub(crate) fn enter(ctx: &ProbeContext) {
    let bits = user::cookie_bits(ctx);
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    let interval = sample::interval(slot);
    if (has_calls() || interval != 0 && call::passes_on(slot)) && is_inner(ctx, bits, interval != 0) {
        if interval != 0 && cookie.may_tail_jump {
            remember_inner(ctx, bits);
        }
        return count::event(&cookie, Counter::SkippedEntries);
    }
    if interval == 0 {
        return remember(ctx, bits, CALL_SAMPLED, 0);
    }
    let size_bytes = Request::of(Registers::of(ctx), cookie.argument).size_bytes;
    if count::allocation(&cookie, size_bytes, interval) {
        remember(ctx, bits, CALL_COUNTED | CALL_SAMPLED, interval);
    } else if cookie.is_outer || cookie.argument.moves() {
        remember(ctx, bits, CALL_COUNTED, interval);
    }
}

/// Whether this thread has a call in flight. A subprogram, because what runs at every call has little stack.
#[inline(never)]
fn has_calls() -> bool {
    Calls::of(bpf_get_current_pid_tgid()).is_some_and(|calls| calls.any())
}

/// Keeps the call for its return.
#[inline(never)]
fn remember(ctx: &ProbeContext, cookie: u64, flags: u16, interval: u32) {
    let Some(cookie) = Cookie::from_bits(cookie) else { return };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return };
    let registers = Registers::of(ctx);
    let sp = registers.sp() + u64::from(cookie.shift_bytes);
    let Request { size_bytes, pointer } = Request::of(registers, cookie.argument);
    let function = u16::from(cookie.function);
    let may_leave = cookie.has_ret_sites && cookie.may_tail_jump;
    let flags = if may_leave { flags | CALL_MAY_LEAVE } else { flags };
    let call = Call { sp, size_bytes, pointer, function, flags, interval, old: LiveBlock::default() };
    if !(calls.keep(&call) || make_room(&cookie, calls, sp) && calls.keep(&call)) {
        return count::lost(ctx, &cookie, Counter::InFlightFull);
    }
    // At the return another thread may own the old block's address.
    let mut old = LiveBlock::default();
    if cookie.argument.moves()
        && pointer >= LOWEST_BLOCK
        && blocks::remove(block_key(u32::from(cookie.slot), pointer), &mut old)
    {
        calls.moves(sp, &old);
    }
}

/// Keeps a part of another call for what it may jump to.
#[inline(never)]
fn remember_inner(ctx: &ProbeContext, cookie: u64) {
    let Some(cookie) = &Cookie::from_bits(cookie) else { return };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return };
    let sp = Registers::of(ctx).sp() + u64::from(cookie.shift_bytes);
    let call = Call { sp, function: u16::from(cookie.function), flags: CALL_INNER, ..Call::default() };
    if !calls.has(sp) && !calls.keep(&call) {
        count::lost(ctx, cookie, Counter::InFlightFull);
    }
}

/// Gives up a call of this thread that was left.
#[inline(never)]
fn make_room(cookie: &Cookie, calls: Calls, sp: u64) -> bool {
    let mut left = Call::default();
    if !calls.take_stale(sp, &mut left) {
        return false;
    }
    count::event(cookie, Counter::Abandoned);
    put_back(cookie, &left);
    true
}

/// Whether a call is part of one that this thread has in flight. What lies at its own SP and has not jumped here
/// was left by longjmp.
#[inline(never)]
fn is_inner(ctx: &ProbeContext, bits: u64, with_nested: bool) -> bool {
    let Some(cookie) = &Cookie::from_bits(bits) else { return false };
    let sp = Registers::of(ctx).sp() + u64::from(cookie.shift_bytes);
    let Some(slot) = call::slot(cookie) else { return false };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return false };
    let return_address = user::read_u64(sp);
    if calls.has(sp) {
        // SAFETY: a pointer into the map's value.
        if return_address == Some(unsafe { (*slot).trampoline }) {
            return true;
        }
        let Request { size_bytes, .. } = Request::of(Registers::of(ctx), cookie.argument);
        if calls.adopt(sp, size_bytes, u16::from(cookie.function)) {
            return true;
        }
        let mut left = Call::default();
        calls.take(sp, ANY_FUNCTION, &mut left);
        count::event(cookie, Counter::Abandoned);
        put_back(cookie, &left);
    }
    match return_address {
        Some(address) => with_nested && call::is_nested(slot, address),
        None => {
            count::lost(ctx, cookie, Counter::ReadFault);
            false
        }
    }
}

/// A realloc that did not happen: its old block is where it was.
#[inline(never)]
fn put_back(cookie: &Cookie, call: &Call) {
    if call.flags & CALL_MOVES == 0 {
        return;
    }
    let key = block_key(u32::from(cookie.slot), call.pointer);
    if blocks::keep(key, &call.old, &mut LiveBlock::default()) == Kept::Full {
        count::event(cookie, Counter::LiveFull);
        if let Some(site) = Site::at(call.old.site) {
            site.unfollowed(&call.old);
        }
    }
}

/// Return of an allocating function: the work of every call.
#[inline(always)]
pub(crate) fn leave(ctx: &RetProbeContext) {
    let bits = user::cookie_bits(ctx);
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return };
    if calls.any() { returned(ctx, bits, slot) } else { unknown(&cookie, slot, Registers::of(ctx)) }
}

/// The return of a call that may be in flight.
#[inline(never)]
fn returned(ctx: &RetProbeContext, cookie: u64, slot: *const Slot) {
    let Some(cookie) = Cookie::from_bits(cookie) else { return };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return };
    let registers = Registers::of(ctx);
    let mut call = Call::default();
    match calls.take(registers.sp() - 8, u16::from(cookie.function), &mut call) {
        Taken::None => return unknown(&cookie, slot, registers),
        // A tail jump: this is the return of the inner function, and the call belongs to the outer one.
        Taken::OfAnother => return count::event(&cookie, Counter::SkippedReturns),
        Taken::Here => {}
    }
    let caller = Caller { return_address: registers.ip(), sp: registers.sp(), fp: registers.fp() };
    over(ctx, &cookie, slot, &call, &caller);
}

/// A `ret` instruction of an allocating function that may have no return probe, or of one that it jumps to: SP is
/// what it was at the entry. Others may come here too.
#[inline(always)]
pub(crate) fn leave_at_ret(ctx: &ProbeContext) {
    let bits = user::cookie_bits(ctx);
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    if call::counting_slot(&cookie).is_some() && has_calls() {
        returned_at_ret(ctx, bits);
    }
}

/// The end of a call that may be in flight.
#[inline(never)]
fn returned_at_ret(ctx: &ProbeContext, cookie: u64) {
    let Some(cookie) = Cookie::from_bits(cookie) else { return };
    let Some(slot) = call::slot(&cookie) else { return };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return };
    let registers = Registers::of(ctx);
    let mut call = Call::default();
    if calls.take(registers.sp(), u16::from(cookie.function), &mut call) != Taken::Here {
        return;
    }
    match user::read_u64(registers.sp()) {
        Some(return_address) => {
            let caller = Caller { return_address, sp: registers.sp() + 8, fp: registers.fp() };
            over(ctx, &cookie, slot, &call, &caller);
        }
        None => count::lost(ctx, &cookie, Counter::ReadFault),
    }
}

/// The end of a call that was in flight.
#[inline(always)]
fn over<C: EbpfContext>(ctx: &C, cookie: &Cookie, slot: *const Slot, call: &Call, caller: &Caller) {
    if call.flags & CALL_INNER != 0
        || call.flags & CALL_COUNTED == 0 && call::is_nested(slot, caller.return_address)
    {
        return count::event(cookie, Counter::SkippedReturns);
    }
    finish(ctx, cookie, call, caller);
}

/// The return of a call that left nothing behind: no sample, or its entry came before counting began.
#[inline(always)]
fn unknown(cookie: &Cookie, slot: *const Slot, registers: Registers) {
    let sampled = sample::interval(slot) != 0;
    if sampled && !has_failed(cookie, registers.returned(), 0) {
        return;
    }
    match (call::is_nested(slot, registers.ip()), sampled) {
        (true, _) => count::event(cookie, Counter::SkippedReturns),
        (false, true) => count::failure(cookie),
        (false, false) => count::event(cookie, Counter::EarlyReturn),
    }
}

/// Whether the returned value says that the call failed. `posix_memalign` returns an `int`: the upper half of the
/// register means nothing. `xallocx` returns how many bytes the block has now.
#[inline(always)]
fn has_failed(cookie: &Cookie, returned: u64, size_bytes: u64) -> bool {
    match cookie.argument {
        Argument::OutAlignSize => returned as u32 != 0,
        Argument::Resize => returned < size_bytes,
        _ => returned == 0,
    }
}

/// What came of a call.
#[inline(always)]
fn finish<C: EbpfContext>(ctx: &C, cookie: &Cookie, call: &Call, caller: &Caller) {
    let returned = Registers::of(ctx).returned();
    let is_move = cookie.argument.moves() && call.pointer != 0;
    if has_failed(cookie, returned, call.size_bytes) {
        if cookie.argument == Argument::Resize {
            // A block that cannot grow where it is: no failure, the caller asked whether.
            return put_back(cookie, call);
        }
        if is_move && call.size_bytes == 0 {
            // `realloc(p, 0)` that returned NULL: a free.
            count::event(cookie, Counter::SkippedReturns);
            return end_of_old(cookie, call);
        }
        count::failure(cookie);
        if is_move && cookie.argument.frees_on_failure() {
            return end_of_old(cookie, call);
        }
        return put_back(cookie, call);
    }
    if is_move {
        end_of_old(cookie, call);
    }
    if call.flags & CALL_COUNTED == 0 {
        count::allocation(cookie, call.size_bytes, 0);
    }
    if call.flags & CALL_SAMPLED == 0 {
        return;
    }
    let address = match cookie.argument {
        Argument::OutAlignSize => user::read_u64(call.pointer),
        Argument::Resize => Some(call.pointer),
        _ => Some(returned),
    };
    match address {
        Some(address) => follow(ctx, cookie, address, call, site_of(ctx, cookie.to_bits(), caller)),
        None => count::lost(ctx, cookie, Counter::ReadFault),
    }
}

/// The old block of a realloc is gone.
#[inline(always)]
fn end_of_old(cookie: &Cookie, call: &Call) {
    if call.flags & CALL_MOVES != 0 {
        count::moved(cookie, call.old.size_bytes);
        end(cookie, &call.old);
    } else {
        count::moved(cookie, 0);
        count::event(cookie, Counter::FreesUnmatched);
    }
}

/// The site of a sample; [`u32::MAX`] if there is none at all.
#[inline(never)]
fn site_of<C: EbpfContext>(ctx: &C, bits: u64, caller: &Caller) -> u32 {
    let Some(cookie) = Cookie::from_bits(bits) else { return u32::MAX };
    let Some(slot) = call::slot(&cookie) else { return u32::MAX };
    let mut scratch = walk::claim();
    if let Some(scratch) = &mut scratch {
        walk::copy(scratch, caller.sp);
    }
    let site = sites::of_caller(ctx, &cookie, slot, scratch.as_deref_mut(), *caller);
    if let Some(scratch) = scratch {
        walk::release(scratch);
    }
    site.map_or(u32::MAX, |site| site.index)
}

/// Counts a sample at its site, and follows its block.
#[inline(never)]
fn follow<C: EbpfContext>(ctx: &C, cookie: &Cookie, address: u64, call: &Call, site: u32) {
    let Some(site) = Site::at(site) else { return };
    let (size_bytes, interval) = (call.size_bytes, call.interval);
    site.allocated(size_bytes, interval);
    // SAFETY: a helper without arguments.
    let born_ns = unsafe { bpf_ktime_get_ns() };
    let block = LiveBlock { site: site.index, interval, size_bytes, born_ns };
    let mut last = LiveBlock::default();
    match blocks::keep(block_key(u32::from(cookie.slot), address), &block, &mut last) {
        Kept::New => {}
        Kept::Replaced => {
            // The address is handed out again: the free of the last block was not seen.
            count::event(cookie, Counter::Replaced);
            if let Some(site) = Site::at(last.site) {
                site.unfollowed(&last);
            }
        }
        Kept::Full => {
            count::lost(ctx, cookie, Counter::LiveFull);
            site.unfollowed(&block);
        }
    }
}

/// The end of a known block.
#[inline(always)]
pub(crate) fn end(cookie: &Cookie, block: &LiveBlock) {
    if let Some(site) = Site::at(block.site) {
        site.gone(block);
    }
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    count::lifetime(cookie, now_ns.saturating_sub(block.born_ns));
}
