//! Mode `live`: the entry remembers the call, the return counts it, the free ends the block.
//!
//! A call is known by its thread and its SP: whatever enters in between (a nested call, a signal handler) has
//! another SP, except a tail jump, which finds the outer call at its own SP and leaves the counting to it.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    programs::{ProbeContext, RetProbeContext},
};
use tracer_ebpf::abi::{
    Argument, Cookie, Counter, InFlight, LiveBlock, LiveKey, Moved, SiteRecord, Slot, ThreadKey,
};

use super::{
    atomic, call, count,
    maps::{IN_FLIGHT, LIVE, MOVED, SITES, get},
    site,
    user::{self, Registers},
    walk::Caller,
};

/// `-EEXIST`.
const ALREADY_THERE: i32 = -17;

/// Entry of an allocating function.
#[inline(always)]
pub(crate) fn enter(ctx: &ProbeContext) {
    let Some(cookie) = user::cookie(ctx) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    count::event(&cookie, Counter::Hits);
    let registers = Registers::of(ctx);
    let key = ThreadKey {
        pid_tgid: bpf_get_current_pid_tgid(),
        sp: registers.sp() + u64::from(cookie.shift_bytes),
    };
    let request = call::Request::of(registers, cookie.argument);
    let in_flight = InFlight {
        size_bytes: request.size_bytes,
        pointer: request.pointer,
        function: u32::from(cookie.function),
        _reserved: 0,
    };
    match IN_FLIGHT.insert(&key, &in_flight, u64::from(BPF_NOEXIST)) {
        Ok(()) => {}
        Err(ALREADY_THERE) => {
            // SAFETY: a pointer into the map's value.
            if user::read_u64(key.sp) == Some(unsafe { (*slot).trampoline }) {
                return;
            }
            count::event(&cookie, Counter::Abandoned);
            put_back_abandoned(&cookie, &key);
            if IN_FLIGHT.insert(&key, &in_flight, 0).is_err() {
                return count::lost(ctx, &cookie, Counter::InFlightFull);
            }
        }
        Err(_) => return count::lost(ctx, &cookie, Counter::InFlightFull),
    }
    if cookie.argument == Argument::OldSize && request.pointer != 0 {
        take_out(ctx, &cookie, &key, request.pointer);
    }
}

/// Takes a realloc's old block out: at the return another thread may own its address.
#[inline(always)]
fn take_out(ctx: &ProbeContext, cookie: &Cookie, key: &ThreadKey, address: u64) {
    let live_key = LiveKey { address, slot: u64::from(cookie.slot) };
    let Some(block) = get(&LIVE, &live_key) else { return };
    if MOVED.insert(key, &Moved { block }, 0).is_err() {
        return count::lost(ctx, cookie, Counter::InFlightFull);
    }
    let _ = LIVE.remove(&live_key);
}

/// A realloc that was left by longjmp: its old block is where it was.
#[inline(always)]
fn put_back_abandoned(cookie: &Cookie, key: &ThreadKey) {
    if let (Some(moved), Some(in_flight)) = (get(&MOVED, key), get(&IN_FLIGHT, key)) {
        let live_key = LiveKey { address: in_flight.pointer, slot: u64::from(cookie.slot) };
        let _ = MOVED.remove(key);
        if LIVE.insert(&live_key, &moved.block, u64::from(BPF_NOEXIST)).is_err() {
            count::event(cookie, Counter::LiveFull);
            forget(&moved.block);
        }
    }
}

/// Return of an allocating function.
#[inline(always)]
pub(crate) fn leave(ctx: &RetProbeContext) {
    let Some(cookie) = user::cookie(ctx) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    count::event(&cookie, Counter::Hits);
    let registers = Registers::of(ctx);
    let return_address = registers.ip();
    let key = ThreadKey { pid_tgid: bpf_get_current_pid_tgid(), sp: registers.sp() - 8 };
    let Some(in_flight) = get(&IN_FLIGHT, &key) else {
        if !call::is_nested(slot, return_address) {
            count::event(&cookie, Counter::EarlyReturn);
        }
        return;
    };
    // A tail jump: this is the return of the inner function, and the call belongs to the outer one.
    if in_flight.function != u32::from(cookie.function) {
        return;
    }
    let _ = IN_FLIGHT.remove(&key);
    if call::is_nested(slot, return_address) {
        return;
    }
    let address = match outcome(ctx, &cookie, &in_flight, registers.returned()) {
        Outcome::Failed => {
            count::failure(&cookie);
            return undo_move(ctx, &cookie, &key, in_flight.pointer);
        }
        Outcome::Freed => return finish_move(&cookie, &key),
        Outcome::Block(address) => address,
    };
    if cookie.argument == Argument::OldSize && in_flight.pointer != 0 {
        finish_move(&cookie, &key);
    }
    count::allocation(&cookie, in_flight.size_bytes);
    let caller = Caller { return_address, sp: registers.sp(), fp: registers.fp() };
    if let Some(site) = site::of_caller(ctx, &cookie, slot, caller) {
        site.allocated(in_flight.size_bytes);
        follow(ctx, &cookie, &site, address, in_flight.size_bytes);
    }
}

/// What came of a call.
enum Outcome {
    Failed,
    /// `realloc(p, 0)` that returned NULL.
    Freed,
    Block(u64),
}

#[inline(always)]
fn outcome(ctx: &RetProbeContext, cookie: &Cookie, in_flight: &InFlight, returned: u64) -> Outcome {
    match cookie.argument {
        Argument::OutAlignSize => {
            // posix_memalign returns an `int`: the upper half of the register means nothing.
            if returned as u32 != 0 {
                return Outcome::Failed;
            }
            match user::read_u64(in_flight.pointer) {
                Some(address) => Outcome::Block(address),
                None => {
                    count::lost(ctx, cookie, Counter::ReadFault);
                    Outcome::Failed
                }
            }
        }
        Argument::OldSize if returned == 0 && in_flight.size_bytes == 0 && in_flight.pointer != 0 => {
            Outcome::Freed
        }
        _ if returned == 0 => Outcome::Failed,
        _ => Outcome::Block(returned),
    }
}

/// The old block of a successful realloc is gone.
#[inline(always)]
fn finish_move(cookie: &Cookie, key: &ThreadKey) {
    match get(&MOVED, key) {
        Some(moved) => {
            let _ = MOVED.remove(key);
            end(cookie, &moved.block);
        }
        None => count::freed_unknown(cookie),
    }
}

/// The old block of a failed realloc is where it was.
#[inline(always)]
fn undo_move(ctx: &RetProbeContext, cookie: &Cookie, key: &ThreadKey, address: u64) {
    if cookie.argument != Argument::OldSize {
        return;
    }
    let Some(moved) = get(&MOVED, key) else { return };
    let _ = MOVED.remove(key);
    let live_key = LiveKey { address, slot: u64::from(cookie.slot) };
    if LIVE.insert(&live_key, &moved.block, 0).is_err() {
        count::lost(ctx, cookie, Counter::LiveFull);
        forget(&moved.block);
    }
}

/// Follows a new block. A site's in-use counts hold what the live map holds, never more.
#[inline(always)]
fn follow<C: EbpfContext>(ctx: &C, cookie: &Cookie, site: &site::Site, address: u64, size_bytes: u64) {
    let live_key = LiveKey { address, slot: u64::from(cookie.slot) };
    // SAFETY: a helper without arguments.
    let block = LiveBlock { site: site.key, size_bytes, born_ns: unsafe { bpf_ktime_get_ns() } };
    match LIVE.insert(&live_key, &block, u64::from(BPF_NOEXIST)) {
        Ok(()) => {}
        Err(ALREADY_THERE) => {
            // The address is handed out again: the free of the last block was not seen.
            if let Some(last) = get(&LIVE, &live_key) {
                forget(&last);
            }
            count::event(cookie, Counter::Replaced);
            let _ = LIVE.insert(&live_key, &block, 0);
        }
        Err(_) => return count::lost(ctx, cookie, Counter::LiveFull),
    }
    // SAFETY: pointers into the map's value.
    atomic::add(unsafe { &raw mut (*site.record).inuse_objects }, 1);
    // SAFETY: as above.
    atomic::add(unsafe { &raw mut (*site.record).inuse_bytes }, size_bytes);
}

/// Takes a block out of its site's in-use counts; the site's record.
#[inline(always)]
fn forget(block: &LiveBlock) -> Option<*mut SiteRecord> {
    let record = SITES.get_ptr_mut(&block.site)?;
    // SAFETY: pointers into the map's value.
    atomic::sub(unsafe { &raw mut (*record).inuse_objects }, 1);
    // SAFETY: as above.
    atomic::sub(unsafe { &raw mut (*record).inuse_bytes }, block.size_bytes);
    Some(record)
}

/// The end of a known block.
#[inline(always)]
fn end(cookie: &Cookie, block: &LiveBlock) {
    if let Some(record) = forget(block) {
        // SAFETY: a pointer into the map's value.
        atomic::add(unsafe { &raw mut (*record).free_objects }, 1);
    }
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    count::freed(cookie, block.size_bytes, now_ns.saturating_sub(block.born_ns));
}

/// Entry of a freeing function.
#[inline(always)]
pub(crate) fn free(ctx: &ProbeContext) {
    let Some(cookie) = user::cookie(ctx) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    count::event(&cookie, Counter::Hits);
    let registers = Registers::of(ctx);
    let address = registers.argument::<0>();
    if address == 0 {
        return;
    }
    let live_key = LiveKey { address, slot: u64::from(cookie.slot) };
    if let Some(block) = get(&LIVE, &live_key)
        && LIVE.remove(&live_key).is_ok()
    {
        count::freeing_call(&cookie, block.size_bytes);
        return end(&cookie, &block);
    }
    if !is_inner_free(&cookie, slot, registers) {
        count::freeing_call(&cookie, 0);
        count::freed_unknown(&cookie);
    }
}

/// Whether another probed function called or jumped here: it has taken the block out itself.
#[inline(always)]
fn is_inner_free(cookie: &Cookie, slot: *const Slot, registers: Registers) -> bool {
    let sp = registers.sp() + u64::from(cookie.shift_bytes);
    let Some(return_address) = user::read_u64(sp) else { return false };
    if call::is_nested(slot, return_address) {
        return true;
    }
    // SAFETY: a pointer into the map's value.
    let trampoline = unsafe { (*slot).trampoline };
    return_address == trampoline
        && IN_FLIGHT.get_ptr(&ThreadKey { pid_tgid: bpf_get_current_pid_tgid(), sp }).is_some()
}
