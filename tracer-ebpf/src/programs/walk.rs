//! Walks the user stack by frame pointers, in a copy of it.
//!
//! The direct caller is known from the probe and always kept. Each further frame needs an aligned frame pointer
//! that lies above the last one, and a return address in an executable mapping; user space also checks that a
//! call stands before that address. What does not pass ends the stack: no garbage frame is kept.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_loop;
use tracer_ebpf::{
    abi::{EventHeader, MAX_FRAMES, Range, Slot, StackEvent, StopReason, TextRanges},
    stack_hash::StackHash,
};

use super::{
    atomic,
    maps::{HAS_BPF_LOOP, SCRATCH, SCRATCH_SLOTS, TEXT},
    user::read_into,
};

/// Words of stack that one copy holds: 1 KiB reaches 16 and more frames at the usual frame sizes.
const WINDOW_WORDS: usize = 128;
const WINDOW_BYTES: u64 = 768;
const PAGE_BYTES: u64 = 4096;
/// User addresses lie below (5-level page tables).
const USER_ADDRESSES: u64 = 1 << 57;
/// Steps of a walk: each takes a run of frames and one more. Nearly every stack needs fewer than the first ones,
/// which are a plain loop; `bpf_loop`, which calls a function for each, goes on.
const FIRST_STEPS: u32 = 4;
const MORE_STEPS: u32 = MAX_FRAMES as u32;
/// The same where the kernel has no `bpf_loop`: what its verifier has patience for.
const MORE_STEPS_WITHOUT_LOOP: u32 = 24;
/// Frames that [`run`] takes at most. The verifier follows 8,192 branches that it has not seen both ways of, and
/// each frame of each step has two.
const RUN_FRAMES: u32 = 24;
/// Room for frames; a power of two.
const FRAME_PLACES: usize = 256;
const _: () = assert!(MAX_FRAMES < FRAME_PLACES / 2 && RUN_FRAMES as usize <= FRAME_PLACES / 2);
/// Offset of the last frame that a window holds whole.
const LAST_FRAME: u64 = WINDOW_BYTES - 16;
/// No frame is larger: a frame pointer that leaps further is not one.
const FRAME_BYTES_MAX: u64 = 8 << 20;

/// Memory of one walk. What changes from frame to frame lies here and not in registers: to the verifier it is
/// unknown at each step, so it looks at one step and not at 126.
#[repr(C)]
pub(crate) struct Scratch {
    /// 1 while claimed.
    busy: u64,
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
    /// Where most frames lie that are not the program's.
    library: Range,
    /// Address of the first word of `window`; 0 if nothing was copied.
    base: u64,
    /// The copy of the stack. Only the first half is used: the verifier takes a start and a length for independent.
    window: [u64; 2 * WINDOW_WORDS],
    /// The record for the ring buffer: header …
    pub(crate) event: StackEvent,
    /// … and return addresses, leaf first.
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

/// Copies the stack from `sp` on; the first word, or `None` if it cannot be read.
#[inline(always)]
pub(crate) fn copy(scratch: &mut Scratch, sp: u64) -> Option<u64> {
    if !refill(scratch, sp, sp) {
        return None;
    }
    Some(scratch.window[(sp.wrapping_sub(scratch.base) >> 3) as usize & (WINDOW_WORDS - 1)])
}

/// Walks from the direct caller, in what [`copy`] has copied as far as that reaches.
#[inline(always)]
pub(crate) fn walk(scratch: &mut Scratch, slot_index: u32, slot: *const Slot, caller: Caller) -> Walked {
    // SAFETY: a pointer into the map's value.
    let (seed, trampoline, program) = unsafe { ((*slot).seed, (*slot).trampoline, (*slot).program) };
    // SAFETY: as above.
    scratch.library = unsafe { (*slot).library };
    let start = StackHash::new(seed, slot_index);
    if caller.return_address == trampoline {
        return Walked { hash: start.finish(), frames: 0, stop: StopReason::ForeignReturnProbe as u32 };
    }
    scratch.hash = start.frame(caller.return_address);
    scratch.frames[0] = caller.return_address;
    scratch.count = 1;
    scratch.stop = StopReason::NoFramePointer as u64;
    scratch.trampoline = trampoline;
    (scratch.text_start, scratch.text_end) = (program.start, program.end);
    (scratch.sp, scratch.fp) = (caller.sp, caller.fp);
    if let Some(text) = TEXT.get(tracer_ebpf::abi::slot_place(slot_index)) {
        scratch.stop = StopReason::Depth as u64;
        let mut more = true;
        for _ in 0..FIRST_STEPS {
            more = more && step(scratch, text);
        }
        if more {
            go_on(scratch, text);
        }
    }
    Walked { hash: scratch.hash.finish(), frames: scratch.count as u32, stop: scratch.stop as u32 }
}

/// The rest of a stack that the first steps did not finish.
#[inline(never)]
fn go_on(scratch: &mut Scratch, text: &TextRanges) {
    if HAS_BPF_LOOP.load() == 0 {
        for _ in 0..MORE_STEPS_WITHOUT_LOOP {
            if !step(scratch, text) {
                break;
            }
        }
        return;
    }
    let mut walk = (scratch as *mut Scratch, core::ptr::from_ref(text));
    // SAFETY: the callback has the signature that the helper calls, and takes what is passed here.
    unsafe { bpf_loop(MORE_STEPS, step_of_loop as *const () as *mut c_void, (&raw mut walk).cast(), 0) };
}

/// One step for `bpf_loop`, which ends at 1.
unsafe extern "C" fn step_of_loop(_index: u32, walk: *mut c_void) -> i64 {
    // SAFETY: what `go_on` passes.
    let (scratch, text) = unsafe { *walk.cast::<(*mut Scratch, *const TextRanges)>() };
    // SAFETY: pointers into map values.
    i64::from(!step(unsafe { &mut *scratch }, unsafe { &*text }))
}

/// A run of frames, and the next one, whatever it needs; false at the end.
#[inline(never)]
fn step(scratch: &mut Scratch, text: &TextRanges) -> bool {
    run(scratch);
    if scratch.count >= MAX_FRAMES as u64 {
        scratch.count = MAX_FRAMES as u64;
        return false;
    }
    advance(scratch, text)
}

/// Takes frames as long as nothing is needed but the window and the present executable range: what nearly all
/// frames need, with all of its state in registers. A frame pointer that is not aligned is not refused here: what it
/// leads to is cut by user space, as all that no call stands before.
#[inline(always)]
fn run(scratch: &mut Scratch) {
    let base = scratch.base;
    // Offsets in the window: of the frame, and of the end of the one before.
    let (mut frame, mut lowest) = (scratch.fp.wrapping_sub(base), scratch.sp.wrapping_sub(base));
    let text_start = scratch.text_start;
    let text_bytes = scratch.text_end.wrapping_sub(text_start);
    let mut hash = scratch.hash;
    let window = (&raw const scratch.window).cast::<u8>();
    // SAFETY: the index is masked, and a run is shorter than what lies behind it.
    let mut place = unsafe {
        (&raw mut scratch.frames).cast::<u64>().add(scratch.count as usize & (FRAME_PLACES / 2 - 1))
    };
    let mut taken = 0;
    for _ in 0..RUN_FRAMES {
        if frame > LAST_FRAME || frame < lowest {
            break;
        }
        // SAFETY: two words at an offset that was checked.
        let (next, return_address) = unsafe {
            let words = window.add(frame as usize);
            (words.cast::<u64>().read(), words.add(8).cast::<u64>().read())
        };
        if return_address.wrapping_sub(text_start) >= text_bytes {
            break;
        }
        // SAFETY: as above.
        unsafe {
            place.write(return_address);
            place = place.add(1);
        }
        hash = hash.frame(return_address);
        taken += 1;
        lowest = frame + 16;
        frame = next.wrapping_sub(base);
    }
    (scratch.sp, scratch.fp) = (base.wrapping_add(lowest), base.wrapping_add(frame));
    scratch.hash = hash;
    scratch.count += taken;
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
    if fp.wrapping_sub(scratch.base) > LAST_FRAME && !refill(scratch, sp, fp) {
        return end(scratch, StopReason::ReadFault);
    }
    let word = (fp.wrapping_sub(scratch.base) >> 3) as usize & (WINDOW_WORDS - 1);
    let return_address = scratch.window[word + 1];
    if return_address == scratch.trampoline {
        return end(scratch, StopReason::ForeignReturnProbe);
    }
    if return_address.wrapping_sub(scratch.text_start) >= scratch.text_end.wrapping_sub(scratch.text_start) {
        let (start, end_of_text) =
            if return_address >= scratch.library.start && return_address < scratch.library.end {
                (scratch.library.start, scratch.library.end)
            } else {
                find_text(text, return_address)
            };
        if return_address < start || return_address >= end_of_text {
            return end(scratch, StopReason::NoFramePointer);
        }
        (scratch.text_start, scratch.text_end) = (start, end_of_text);
    }
    scratch.frames[scratch.count as usize & (FRAME_PLACES - 1)] = return_address;
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
    let base = if fp - sp <= LAST_FRAME { sp & !7 } else { fp };
    scratch.base = base;
    if read_into(&mut scratch.window, WINDOW_BYTES as u32, base) {
        return true;
    }
    // The window reaches beyond the stack's last page: take what is left of this one, as the window's end.
    let left = PAGE_BYTES - (base & (PAGE_BYTES - 1));
    let missing = WINDOW_BYTES.wrapping_sub(left) & 0x3f8;
    scratch.base = 0;
    if left >= WINDOW_BYTES
        || fp - base + 16 > left
        || !read_into(&mut scratch.window[(missing >> 3) as usize..], (left & 0x3f8) as u32, base)
    {
        return false;
    }
    scratch.base = base - missing;
    true
}

/// The executable range that would hold an address, by binary search. Arithmetic instead of branches: the verifier
/// would follow each of them.
#[inline(always)]
fn find_text(text: &TextRanges, address: u64) -> (u64, u64) {
    const MASK: u64 = tracer_ebpf::abi::slot::MAX_TEXT as u64 - 1;
    let mut index = 0;
    let mut step = MASK.div_ceil(2);
    while step > 0 {
        let start = text.ranges[((index + step) & MASK) as usize].start;
        // Both are below 2^63, so the sign says which is larger.
        index += step & !sign_mask((address & (USER_ADDRESSES - 1)).wrapping_sub(start));
        step /= 2;
    }
    let range = &text.ranges[(index & MASK) as usize];
    (range.start, range.end)
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
