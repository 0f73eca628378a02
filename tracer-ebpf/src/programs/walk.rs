//! Walks the user stack by frame pointers, in a copy of it.
//!
//! The direct caller is known from the probe and always kept. Each further frame needs an aligned frame pointer
//! that lies above the last one, and a return address in an executable mapping; user space also checks that a
//! call stands before that address. What does not pass ends the stack: no garbage frame is kept.

use tracer_ebpf::{
    abi::{EventHeader, MAX_FRAMES, Slot, StackEvent, StopReason, TextRanges},
    stack_hash::StackHash,
};

use super::{
    atomic,
    maps::{SCRATCH, SCRATCH_SLOTS, TEXT},
    user::read_into,
};

/// Words of stack that one copy holds: 1 KiB reaches 16 and more frames at the usual frame sizes.
const WINDOW_WORDS: usize = 128;
const WINDOW_BYTES: u64 = (WINDOW_WORDS * 8) as u64;
const PAGE_BYTES: u64 = 4096;
/// Frames after the direct caller.
const STEPS: u32 = MAX_FRAMES as u32 - 1;
/// No frame is larger: a frame pointer that leaps further is not one.
const FRAME_BYTES_MAX: u64 = 8 << 20;

/// Memory of one walk. What changes from frame to frame lies here and not in registers: to the verifier it is
/// unknown at each step, so it looks at one step and not at 126.
#[repr(C)]
pub(crate) struct Scratch {
    /// 1 while claimed.
    busy: u64,
    /// Always 0: a 0 that the verifier does not know, so that the paths of the search merge.
    zero: u64,
    /// SP after the return from the frame before.
    sp: u64,
    /// Frame pointer: where the next frame's FP and return address lie.
    fp: u64,
    /// The hashes of the frames so far.
    hash: StackHash,
    /// Frames so far.
    count: u64,
    /// A [`StopReason`].
    stop: u64,
    /// The return trampoline of the target.
    trampoline: u64,
    /// The executable range that held the last return address.
    text_start: u64,
    text_end: u64,
    /// Address of the first word of `window`.
    base: u64,
    /// Bytes of `window` that are valid.
    valid: u64,
    /// The copy of the stack.
    window: [u64; WINDOW_WORDS],
    /// The record for the ring buffer: header …
    pub(crate) event: StackEvent,
    /// … and return addresses, leaf first.
    pub(crate) frames: [u64; MAX_FRAMES + 1],
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

/// Walks from the direct caller.
#[inline(always)]
pub(crate) fn walk(scratch: &mut Scratch, slot_index: u32, slot: *const Slot, caller: Caller) -> Walked {
    // SAFETY: a pointer into the map's value.
    let (seed, trampoline) = unsafe { ((*slot).seed, (*slot).trampoline) };
    let start = StackHash::new(seed, slot_index);
    if caller.return_address == trampoline {
        return Walked { hash: start, frames: 0, stop: StopReason::ForeignReturnProbe as u32 };
    }
    scratch.hash = start.frame(caller.return_address);
    scratch.frames[0] = caller.return_address;
    scratch.count = 1;
    scratch.stop = StopReason::NoFramePointer as u64;
    scratch.trampoline = trampoline;
    (scratch.text_start, scratch.text_end, scratch.valid) = (0, 0, 0);
    (scratch.sp, scratch.fp) = (caller.sp, caller.fp);
    if let Some(text) = TEXT.get(slot_index) {
        scratch.stop = StopReason::Depth as u64;
        for _ in 0..STEPS {
            if !advance(scratch, text) {
                break;
            }
        }
    }
    Walked { hash: scratch.hash, frames: scratch.count as u32, stop: scratch.stop as u32 }
}

/// Takes one frame; false at the end, with the reason in `stop`.
#[inline(always)]
fn advance(scratch: &mut Scratch, text: &TextRanges) -> bool {
    let (sp, fp) = (scratch.sp, scratch.fp);
    if fp == 0 {
        return end(scratch, StopReason::Complete);
    }
    if fp < sp || fp - sp > FRAME_BYTES_MAX || fp & 7 != 0 {
        return end(scratch, StopReason::NoFramePointer);
    }
    let offset = fp.wrapping_sub(scratch.base);
    if (fp < scratch.base || offset + 16 > scratch.valid) && !refill(scratch, sp, fp) {
        return end(scratch, StopReason::ReadFault);
    }
    let word = (fp.wrapping_sub(scratch.base) >> 3) as usize & (WINDOW_WORDS - 1);
    let return_address = scratch.window[(word + 1) & (WINDOW_WORDS - 1)];
    if return_address == scratch.trampoline {
        return end(scratch, StopReason::ForeignReturnProbe);
    }
    if return_address < scratch.text_start || return_address >= scratch.text_end {
        let (start, end_of_text) = find_text(text, scratch.zero, return_address);
        if return_address < start || return_address >= end_of_text {
            return end(scratch, StopReason::NoFramePointer);
        }
        (scratch.text_start, scratch.text_end) = (start, end_of_text);
    }
    scratch.frames[scratch.count as usize & MAX_FRAMES] = return_address;
    scratch.hash = scratch.hash.frame(return_address);
    scratch.count += 1;
    scratch.sp = fp + 16;
    scratch.fp = scratch.window[word];
    true
}

#[inline(always)]
fn end(scratch: &mut Scratch, reason: StopReason) -> bool {
    scratch.stop = reason as u64;
    false
}

/// Copies the stack from `sp` if `fp` is near, else from `fp`.
#[inline(always)]
fn refill(scratch: &mut Scratch, sp: u64, fp: u64) -> bool {
    let base = if fp - sp + 16 <= WINDOW_BYTES { sp & !7 } else { fp };
    scratch.base = base;
    scratch.valid = WINDOW_BYTES;
    if read_into(&mut scratch.window, WINDOW_BYTES as u32, base) {
        return true;
    }
    // The window reaches beyond the stack's last page: take what is left of this one.
    let left = PAGE_BYTES - (base & (PAGE_BYTES - 1));
    if left >= WINDOW_BYTES || fp - base + 16 > left {
        scratch.valid = 0;
        return false;
    }
    scratch.valid = left;
    read_into(&mut scratch.window, (left & (WINDOW_BYTES - 1)) as u32, base)
}

/// The executable range that would hold an address; branch-free, so that the verifier sees one path.
#[inline(always)]
fn find_text(text: &TextRanges, zero: u64, address: u64) -> (u64, u64) {
    const MASK: usize = tracer_ebpf::abi::slot::MAX_TEXT - 1;
    let mut index = zero as usize & MASK;
    let mut step = MASK.div_ceil(2);
    while step > 0 {
        let candidate = (index + step) & MASK;
        if text.ranges[candidate].start <= address {
            index = candidate;
        }
        step /= 2;
    }
    let range = &text.ranges[index & MASK];
    (range.start, range.end)
}

impl Scratch {
    /// Fills the record's header; its length in bytes with the frames.
    #[inline(always)]
    pub(crate) fn seal(&mut self, slot: u32, tgid: u32, walked: &Walked) -> u64 {
        self.event = StackEvent {
            header: EventHeader {
                kind: tracer_ebpf::abi::EventKind::Stack as u32,
                tgid,
                value: walked.hash.key,
            },
            slot,
            frames: walked.frames,
            stop: walked.stop,
            _reserved: 0,
        };
        size_of::<StackEvent>() as u64 + u64::from(walked.frames & MAX_FRAMES as u32) * 8
    }
}
