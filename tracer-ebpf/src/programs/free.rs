//! Mode `live`, freeing functions: a call ends the block, unless another probed function has made it.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, programs::ProbeContext};
use tracer_ebpf::abi::{
    Call, Cookie, Counter, LiveBlock, Slot,
    record::{CALL_FREES, LOWEST_BLOCK, block_key},
};

use super::{
    blocks, call,
    calls::Calls,
    count,
    live::end,
    sample,
    user::{self, Registers},
};

/// A jump instruction that leads from one freeing function to another, at the same SP. The cookie's shift is 1 + the
/// condition code of a jump that does not always happen.
#[inline(always)]
pub(crate) fn jump(ctx: &ProbeContext) {
    let bits = user::cookie_bits(ctx);
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    if call::counting_slot(&cookie).is_some()
        && (cookie.shift_bytes == 0 || Registers::of(ctx).fulfil(cookie.shift_bytes - 1))
    {
        announce_free(ctx, bits);
    }
}

#[inline(never)]
fn announce_free(ctx: &ProbeContext, cookie: u64) {
    let Some(cookie) = Cookie::from_bits(cookie) else { return };
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return };
    let (sp, function) = (Registers::of(ctx).sp(), u16::from(cookie.function));
    if !calls.keep(&Call { sp, function, flags: CALL_FREES, ..Call::default() }) {
        count::lost(ctx, &cookie, Counter::InFlightFull);
    }
}

/// Entry of a freeing function.
#[inline(always)]
pub(crate) fn enter(ctx: &ProbeContext) {
    let bits = user::cookie_bits(ctx);
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    if Registers::of(ctx).argument::<0>() == 0 {
        return count::event(&cookie, Counter::SkippedFrees);
    }
    freed(ctx, bits, slot);
}

/// A free of a block.
#[inline(never)]
fn freed(ctx: &ProbeContext, cookie: u64, slot: *const Slot) {
    let Some(cookie) = Cookie::from_bits(cookie) else { return };
    let registers = Registers::of(ctx);
    let address = registers.argument::<0>();
    let mut block = LiveBlock::default();
    if address >= LOWEST_BLOCK && blocks::remove(block_key(u32::from(cookie.slot), address), &mut block) {
        count::freeing_call(&cookie, block.size_bytes);
        return end(&cookie, &block);
    }
    let Some(calls) = Calls::of(bpf_get_current_pid_tgid()) else { return };
    if calls.any() {
        let sp = registers.sp() + u64::from(cookie.shift_bytes);
        let mut left = Call::default();
        if calls.take_left(address, sp, &mut left) {
            // A realloc of the block was left by longjmp: the block was never moved, and ends here.
            count::event(&cookie, Counter::Abandoned);
            count::freeing_call(&cookie, left.old.size_bytes);
            return end(&cookie, &left.old);
        }
        if calls.take_freeing(sp) || is_inner_free(slot, calls, sp) {
            return count::event(&cookie, Counter::SkippedFrees);
        }
    } else if (cookie.is_inner || call::passes_on(slot)) && is_called_by_another(&cookie, slot, registers) {
        return count::event(&cookie, Counter::SkippedFrees);
    }
    count::freeing_call(&cookie, 0);
    if sample::interval(slot) == 0 {
        count::event(&cookie, Counter::FreesUnmatched);
    }
}

/// Whether another probed function, one that frees, called here: it has taken the block out itself.
#[inline(always)]
fn is_called_by_another(cookie: &Cookie, slot: *const Slot, registers: Registers) -> bool {
    let sp = registers.sp() + u64::from(cookie.shift_bytes);
    user::read_u64(sp).is_some_and(|return_address| call::is_nested(slot, return_address))
}

/// Whether another probed function called or jumped here: it has taken the block out itself.
#[inline(always)]
fn is_inner_free(slot: *const Slot, calls: Calls, sp: u64) -> bool {
    let Some(return_address) = user::read_u64(sp) else { return false };
    // SAFETY: a pointer into the map's value.
    let trampoline = unsafe { (*slot).trampoline };
    call::is_nested(slot, return_address) || return_address == trampoline && calls.has(sp)
}
