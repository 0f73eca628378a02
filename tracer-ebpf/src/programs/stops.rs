//! Stops of the world by Go's runtime: from the entry of `stopTheWorldWithSema` to the entry of `startTheWorldWithSema`.
//!
//! Both run on the stack of the thread (`systemstack`), whose frames do not lead to the goroutine that asked. The
//! runtime has saved where that one left its own stack (`g.sched`, `gosave_systemstack_switch` in `runtime/asm_amd64.s`),
//! and the walk begins there. It comes before the clock is read: the world is not stopped yet, and is not kept waiting.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{
        bpf_ktime_get_ns,
        generated::{bpf_probe_read_kernel, bpf_ringbuf_output},
    },
    programs::ProbeContext,
};
use tracer_ebpf::abi::{
    Cookie, EventHeader, EventKind, MAX_FRAMES, Slot, StopReason, StopSlot, StopStack, slot_place,
    stop::{BOUNDS_NS, BUCKETS, CAUSES, REASONS, STARTS, entry, reason},
};

use super::{
    atomic, call,
    maps::{STACKS, STOPS},
    user::{self, Registers},
    walk::{self, Caller},
};

/// Bits of a goroutine's address that are 0: its structure is aligned.
const CAUSE_BITS: u64 = 7;

/// One of the three functions is entered.
#[inline(always)]
pub(crate) fn enter(ctx: &ProbeContext) {
    let bits = user::cookie_bits(ctx);
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    let Some(slot) = call::counting_slot(&cookie) else { return };
    let Some(stops) = STOPS.get_ptr_mut(slot_place(u32::from(cookie.slot))) else { return };
    match cookie.function {
        entry::COLLECT => collects(ctx, stops),
        entry::STOP => begins(ctx, bits, slot, stops),
        _ => ends(&cookie, slot, stops),
    }
}

/// Where a goroutine that is about to collect is remembered.
#[inline(always)]
fn start_of(stops: *mut StopSlot, goroutine: u64) -> *mut u64 {
    // The structure of a goroutine is larger than 256 bytes.
    let place = (goroutine >> 8 ^ goroutine >> 12) as usize & (STARTS - 1);
    // SAFETY: a pointer into the map's value; the index is below the array's length.
    unsafe { &raw mut (*stops).starts[place] }
}

/// `gcStart(trigger)`: whether it will collect is not known yet, so the goroutine is remembered with its cause.
#[inline(always)]
fn collects(ctx: &ProbeContext, stops: *mut StopSlot) {
    let registers = Registers::of(ctx);
    let goroutine = registers.goroutine();
    let kind = registers.go_argument();
    let cause = if kind < CAUSES as u64 - 1 { kind + 1 } else { 0 };
    // SAFETY: a pointer into the map's value.
    unsafe { core::ptr::write_volatile(start_of(stops, goroutine), goroutine & !CAUSE_BITS | cause) };
}

/// Why this goroutine collects; 0 if another has taken its place.
#[inline(always)]
fn cause_of(stops: *mut StopSlot, goroutine: u64) -> u64 {
    // SAFETY: a pointer into the map's value.
    let start = unsafe { core::ptr::read_volatile(start_of(stops, goroutine)) };
    if goroutine != 0 && start & !CAUSE_BITS == goroutine & !CAUSE_BITS { start & CAUSE_BITS } else { 0 }
}

/// `stopTheWorldWithSema`.
#[inline(never)]
fn begins(ctx: &ProbeContext, bits: u64, slot: *mut Slot, stops: *mut StopSlot) {
    let registers = Registers::of(ctx);
    // SAFETY: a pointer into the map's value.
    let setup = unsafe { &raw const (*stops).setup };
    // SAFETY: as above.
    let (g_m, m_curg, m_preemptoff, heap_live) =
        unsafe { ((*setup).g_m, (*setup).m_curg, (*setup).m_preemptoff, (*setup).heap_live) };
    let thread = user::read_u64(registers.goroutine().wrapping_add(u64::from(g_m))).unwrap_or(0);
    let goroutine = user::read_u64(thread.wrapping_add(u64::from(m_curg))).unwrap_or(0);
    let number = match m_preemptoff {
        0 => u32::from(registers.go_argument() as u8),
        offset => named(thread.wrapping_add(u64::from(offset))),
    };
    let number = if number > reason::LAST { reason::OTHER } else { number };
    if number != reason::MARK_TERMINATION {
        let is_collection = number == reason::SWEEP_TERMINATION;
        // SAFETY: pointers into the map's value.
        let stack = unsafe { &raw mut (*stops).stacks[usize::from(!is_collection)] };
        let cause = if is_collection { cause_of(stops, goroutine) } else { 0 };
        // SAFETY: as above.
        unsafe {
            (*stack).event.cause = cause as u32;
            (*stack).event.frames = 0;
            (*stack).event.stop = StopReason::ReadFault as u32;
        }
        if let Some(caller) = caller_of(stops, thread, goroutine) {
            keep_stack(bits, slot, stack, caller);
        }
    }
    let heap = if heap_live == 0 { None } else { user::read_u64(heap_live) };
    // SAFETY: pointers into the map's value, of which one stop at a time is written.
    unsafe {
        (*stops).has_heap = u64::from(heap.is_some());
        (*stops).heap_before = heap.unwrap_or(0);
        (*stops).reason = u64::from(number);
        (*stops).since_ns = bpf_ktime_get_ns();
    }
}

/// Where a goroutine left its stack; `None` if what stands there is not of this thread.
#[inline(always)]
fn caller_of(stops: *const StopSlot, thread: u64, goroutine: u64) -> Option<Caller> {
    // SAFETY: a pointer into the map's value.
    let setup = unsafe { &(*stops).setup };
    let word = |offset: u32| user::read_u64(goroutine.wrapping_add(u64::from(offset)));
    if thread == 0 || word(setup.g_m)? != thread {
        return None;
    }
    let (sp, fp) = (word(setup.g_sp)?, word(setup.g_bp)?);
    if sp == 0 {
        return None;
    }
    // Since Go 1.21 `systemstack` has a frame of its own, at whose end it is.
    if sp == fp {
        let (return_address, fp) = (user::read_u64(sp.wrapping_add(8))?, user::read_u64(sp)?);
        return Some(Caller { return_address, sp: sp.wrapping_add(16), fp });
    }
    Some(Caller { return_address: user::read_u64(sp)?, sp: sp.wrapping_add(8), fp })
}

/// Walks a stack and keeps it; without memory for a walk there is none.
#[inline(never)]
fn keep_stack(bits: u64, slot: *mut Slot, stack: *mut StopStack, caller: Caller) {
    let Some(cookie) = Cookie::from_bits(bits) else { return };
    let Some(scratch) = walk::claim() else { return };
    if walk::copy(scratch, caller.sp).is_some() {
        let walked = walk::walk(scratch, &cookie, slot, caller);
        // SAFETY: both are map memory of at least this size.
        unsafe {
            bpf_probe_read_kernel(
                (&raw mut (*stack).frames).cast(),
                (MAX_FRAMES * 8) as u32,
                (&raw const scratch.frames).cast(),
            );
            (*stack).event.frames = walked.frames;
            (*stack).event.stop = walked.stop;
        }
    }
    walk::release(scratch);
}

/// The reason by the text in `m.preemptoff` (Go before 1.21), a pointer and a length: none at the begin of a collection,
/// else what `stopTheWorld` and `gcMarkDone` were given (`runtime/proc.go`, `runtime/mgc.go` and their callers).
#[inline(always)]
fn named(at: u64) -> u32 {
    let (text, length) = match (user::read_u64(at), user::read_u64(at.wrapping_add(8))) {
        (Some(text), Some(length)) => (text, length),
        _ => return reason::UNKNOWN,
    };
    if length == 0 {
        return reason::SWEEP_TERMINATION;
    }
    let Some(word) = user::read_u64(text) else { return reason::UNKNOWN };
    let word = if length < 8 { word & ((1 << (length * 8)) - 1) } else { word };
    const fn begin(text: [u8; 8]) -> u64 {
        u64::from_le_bytes(text)
    }
    const GCING: u64 = begin(*b"gcing\0\0\0");
    const HEAP_DUMP: u64 = begin(*b"write he");
    const PROFILE: u64 = begin(*b"profile\0");
    const CLEANUP: u64 = begin(*b"profile ");
    const STACKS_OF_ALL: u64 = begin(*b"stack tr");
    const MEM_STATS: u64 = begin(*b"read mem");
    const SYSCALL: u64 = begin(*b"doAllThr");
    const PROCESSORS: u64 = begin(*b"GOMAXPRO");
    const TRACE: u64 = begin(*b"start tr");
    const END_OF_TRACE: u64 = begin(*b"stop tra");
    match word {
        GCING => reason::MARK_TERMINATION,
        HEAP_DUMP => 3,
        PROFILE => 4,
        CLEANUP => 5,
        STACKS_OF_ALL => 6,
        MEM_STATS => 7,
        SYSCALL => 8,
        PROCESSORS => 9,
        TRACE => 10,
        END_OF_TRACE => 11,
        _ => reason::OTHER,
    }
}

/// `startTheWorldWithSema`. A stop that began before counting did is none.
#[inline(never)]
fn ends(cookie: &Cookie, slot: *const Slot, stops: *mut StopSlot) {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: pointers into the map's value.
    let (since, number) = unsafe { ((*stops).since_ns, (*stops).reason as u32) };
    if since == 0 {
        return;
    }
    // SAFETY: as above.
    unsafe { (*stops).since_ns = 0 };
    let nanoseconds = now.wrapping_sub(since);
    let mut bucket = 0;
    for bound in BOUNDS_NS {
        bucket += usize::from(nanoseconds > bound);
    }
    let place = number as usize & (REASONS - 1);
    let is_other = number != reason::MARK_TERMINATION && number != reason::SWEEP_TERMINATION;
    // SAFETY: as above; the indices are below the arrays' lengths.
    unsafe {
        let totals = &raw mut (*stops).totals;
        atomic::add(&raw mut (*totals).buckets[place][bucket & (BUCKETS - 1)], 1);
        atomic::add(&raw mut (*totals).nanoseconds[place], nanoseconds);
        if number == reason::SWEEP_TERMINATION {
            let cause = (*stops).stacks[0].event.cause as usize & (CAUSES - 1);
            atomic::add(&raw mut (*totals).causes[cause], 1);
        }
        if nanoseconds >= (*stops).setup.threshold_ns {
            let stack = &raw mut (*stops).stacks[usize::from(is_other)];
            let heap_live = (*stops).setup.heap_live;
            let heap = if heap_live == 0 { None } else { user::read_u64(heap_live) };
            let event = &raw mut (*stack).event;
            (*event).header = EventHeader { kind: EventKind::Stop as u32, tgid: (*slot).tgid, value: since };
            (*event).slot = u32::from(cookie.slot);
            (*event).reason = number;
            (*event).has_heap = u32::from((*stops).has_heap != 0 && heap.is_some());
            (*event).nanoseconds = nanoseconds;
            (*event).heap_before = (*stops).heap_before;
            (*event).heap_after = heap.unwrap_or(0);
            send(stops, stack);
        }
    }
}

/// Hands a record to user space.
#[inline(always)]
fn send(stops: *mut StopSlot, stack: *mut StopStack) {
    // SAFETY: `bytes` covers the header and at most `MAX_FRAMES` of the frames behind it.
    unsafe {
        let frames = (*stack).event.frames.min(MAX_FRAMES as u32);
        (*stack).event.frames = frames;
        let bytes = size_of::<tracer_ebpf::abi::StopEvent>() as u64 + u64::from(frames) * 8;
        let ring = (&raw const STACKS).cast_mut().cast();
        if bpf_ringbuf_output(ring, stack.cast(), bytes, u64::from(BPF_RB_NO_WAKEUP)) != 0 {
            atomic::add(&raw mut (*stops).totals.lost, 1);
        }
    }
}
