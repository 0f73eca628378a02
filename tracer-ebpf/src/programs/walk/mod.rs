//! Walks the user stack, in a copy of it.
//!
//! The direct caller is known from the probe and always kept. Further frames are found by unwind tables ([`tables`])
//! or by frame pointers ([`frame_pointers`]). A frame is kept only if its code is mapped: what a stack that is being
//! rewritten, or a frame pointer that is none, leads to ends the stack, with the reason.

mod code;
mod frame_pointers;
mod tables;
mod window;

use tracer_ebpf::{
    abi::{CodeRange, Cookie, EventHeader, MAX_FRAMES, Range, Slot, StackEvent, StopReason},
    stack_hash::StackHash,
};

use super::{
    atomic,
    maps::{BY_TABLES, BY_THREAD, SCRATCH, SCRATCH_SLOTS},
    process,
};
pub(crate) use window::copy;

/// Room for frames; a power of two.
const FRAME_PLACES: usize = 256;
const _: () = assert!(MAX_FRAMES <= FRAME_PLACES / 2);

/// Memory of one walk. What changes from frame to frame lies here and not in registers: to the verifier it is
/// unknown at each step, so it looks at one step and not at 127.
#[repr(C)]
pub(crate) struct Scratch {
    /// 1 while claimed.
    busy: u64,
    /// SP in the frame of `pc`; by frame pointers, after the return from the frame before.
    sp: u64,
    /// The frame pointer register there; by frame pointers, where the next frame's FP and return address lie.
    fp: u64,
    /// Code that is not kept yet: the walk by tables looks at its rule first.
    pc: u64,
    /// What is set in it when it is kept ([`tracer_ebpf::abi::event::FRAME_BY_POINTER`]).
    marks: u64,
    /// The hashes of the frames so far.
    hash: StackHash,
    /// Frames so far.
    count: u64,
    /// A [`StopReason`].
    stop: u64,
    /// The return trampoline of the target.
    trampoline: u64,
    /// What the keys of this slot's rows have in common.
    row_key: u64,
    /// Always 0.
    zero: u64,
    /// What [`window::fetch`] has read.
    word: u64,
    /// The range of code that held the last address.
    range: CodeRange,
    /// Where most frames lie that are not the program's.
    library: Range,
    /// Address of the first word of `window`; 0 if nothing was copied.
    base: u64,
    /// The copy of the stack. Only the first half is used: the verifier takes a start and a length for independent.
    window: [u64; 2 * window::WORDS],
    /// The record for the ring buffer: header …
    pub(crate) event: StackEvent,
    /// … and addresses, leaf first.
    pub(crate) frames: [u64; FRAME_PLACES],
}

/// A walked stack.
pub(crate) struct Walked {
    pub(crate) hash: StackHash,
    pub(crate) frames: u32,
    pub(crate) stop: u32,
}

/// Claims scratch memory of this CPU.
#[inline(always)]
pub(crate) fn claim() -> Option<&'static mut Scratch> {
    for index in 0..SCRATCH_SLOTS {
        let scratch = SCRATCH.get_ptr_mut(index)?;
        // SAFETY: a pointer into the map's value; the claim makes it ours alone.
        if atomic::claim(unsafe { &raw mut (*scratch).busy }) {
            // SAFETY: as above.
            return Some(unsafe { &mut *scratch });
        }
    }
    None
}

/// Gives scratch memory back.
#[inline(always)]
pub(crate) fn release(scratch: &mut Scratch) {
    atomic::release(&raw mut scratch.busy);
}

/// Where a walk begins: the direct caller, with SP and FP as they are after the return.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) return_address: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
}

/// Walks from the direct caller, in what [`copy`] has copied as far as that reaches.
#[inline(always)]
pub(crate) fn walk(scratch: &mut Scratch, cookie: &Cookie, slot: *const Slot, caller: Caller) -> Walked {
    let slot_index = u32::from(cookie.slot);
    // SAFETY: a pointer into the map's value.
    let (seed, trampoline) = unsafe { ((*slot).seed, (*slot).trampoline) };
    // One place may call two allocators, by a pointer.
    scratch.hash = StackHash::new(seed, slot_index | u32::from(cookie.totals) << 16);
    if BY_THREAD.load() != 0 {
        process::thread_name(&mut scratch.event.thread);
        let [first, second] = scratch.event.thread;
        scratch.hash = scratch.hash.frame(first).frame(second);
    }
    scratch.count = 0;
    scratch.trampoline = trampoline;
    // SAFETY: as above; user space replaces the word as a whole.
    scratch.row_key = unsafe { core::ptr::read_volatile(&raw const (*slot).row_key) };
    if caller.return_address == trampoline {
        scratch.stop = StopReason::ForeignReturnProbe as u64;
    } else {
        scratch.stop = StopReason::Depth as u64;
        (scratch.sp, scratch.fp) = (caller.sp, caller.fp);
        if BY_TABLES.load() == 0 {
            frame_pointers::walk(scratch, slot, caller.return_address);
        } else {
            tables::walk(scratch, slot, caller.return_address);
        }
    }
    process::stop_for_comparison(slot_index);
    // The same frames with another end are another stack.
    let hash = scratch.hash.frame(scratch.stop).finish();
    Walked { hash, frames: scratch.count as u32, stop: scratch.stop as u32 }
}

#[inline(always)]
fn end(scratch: &mut Scratch, reason: StopReason) -> bool {
    scratch.stop = reason as u64;
    false
}

/// Keeps an address.
#[inline(always)]
fn keep(scratch: &mut Scratch, address: u64, marks: u64) {
    scratch.frames[scratch.count as usize & (FRAME_PLACES - 1)] = address | marks;
    scratch.hash = scratch.hash.frame(address);
    scratch.count += 1;
}

/// All ones if the sign bit is set, else 0. In assembly, because the compiler makes a branch of the shift.
#[inline(always)]
fn sign_mask(value: u64) -> u64 {
    let mut mask = value;
    // SAFETY: a shift of a register.
    unsafe { core::arch::asm!("{0} s>>= 63", inlateout(reg) mask, options(pure, nomem, nostack)) };
    mask
}

impl Scratch {
    /// Fills the record's header; its length in bytes with the frames.
    #[inline(always)]
    pub(crate) fn seal(&mut self, cookie: &Cookie, tgid: u32, walked: &Walked) -> u64 {
        self.event = StackEvent {
            header: EventHeader {
                kind: tracer_ebpf::abi::EventKind::Stack as u32,
                tgid,
                value: walked.hash.key,
            },
            slot: u32::from(cookie.slot),
            frames: walked.frames,
            stop: walked.stop,
            function: u32::from(cookie.totals),
            thread: self.event.thread,
        };
        size_of::<StackEvent>() as u64 + u64::from(walked.frames & (FRAME_PLACES as u32 - 1)) * 8
    }
}
