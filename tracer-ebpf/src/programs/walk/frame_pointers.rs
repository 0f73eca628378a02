//! The walk by frame pointers: as cheap as a walk can be, right where all code keeps them.
//!
//! Each further frame needs an aligned frame pointer that lies above the last one, and a return address in code; user
//! space also checks that a call stands before that address.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_loop;
use tracer_ebpf::{
    abi::{CodeRange, MAX_FRAMES, Slot, StopReason, event::FRAME_BY_POINTER},
    unwind::MAX_FRAME_BYTES,
};

use super::{
    FRAME_PLACES, Scratch,
    code::{contains, find_range},
    end, keep,
    window::{BYTES, WORDS, refill},
};
use crate::programs::maps::HAS_BPF_LOOP;

/// Steps of a walk: each takes a run of frames and one more. Nearly every stack needs fewer than the first ones,
/// which are a plain loop; `bpf_loop`, which calls a function for each, goes on.
const FIRST_STEPS: u32 = 4;
const MORE_STEPS: u32 = MAX_FRAMES as u32;
/// The same where the kernel has no `bpf_loop`: what its verifier has patience for.
const MORE_STEPS_WITHOUT_LOOP: u32 = 24;
/// Frames that [`run`] takes at most. The verifier follows 8,192 branches that it has not seen both ways of, and
/// each frame of each step has two.
const RUN_FRAMES: u32 = 24;
const _: () = assert!(MAX_FRAMES + RUN_FRAMES as usize <= FRAME_PLACES);
/// Offset of the last frame that a window holds whole.
const LAST_FRAME: u64 = BYTES - 16;

/// Walks from a return address, whose SP and FP are in the scratch.
#[inline(always)]
pub(super) fn walk(scratch: &mut Scratch, slot: *const Slot, return_address: u64) {
    // SAFETY: pointers into the map's value.
    let program = unsafe { (*slot).program };
    // SAFETY: as above.
    scratch.library = unsafe { (*slot).library };
    scratch.range = CodeRange { start: program.start, end: program.end, ..CodeRange::default() };
    keep(scratch, return_address, 0);
    let mut more = true;
    for _ in 0..FIRST_STEPS {
        more = more && step(scratch, slot);
    }
    if more {
        go_on(scratch, slot);
    }
}

/// The rest of a stack that the first steps did not finish.
#[inline(never)]
fn go_on(scratch: &mut Scratch, slot: *const Slot) {
    if HAS_BPF_LOOP.load() == 0 {
        for _ in 0..MORE_STEPS_WITHOUT_LOOP {
            if !step(scratch, slot) {
                break;
            }
        }
        return;
    }
    let mut walk = (scratch as *mut Scratch, slot);
    // SAFETY: the callback has the signature that the helper calls, and takes what is passed here.
    unsafe { bpf_loop(MORE_STEPS, step_of_loop as *const () as *mut c_void, (&raw mut walk).cast(), 0) };
}

/// One step for `bpf_loop`, which ends at 1.
unsafe extern "C" fn step_of_loop(_index: u32, walk: *mut c_void) -> i64 {
    // SAFETY: what `go_on` passes.
    let (scratch, slot) = unsafe { *walk.cast::<(*mut Scratch, *const Slot)>() };
    // SAFETY: pointers into map values.
    i64::from(!step(unsafe { &mut *scratch }, slot))
}

/// A run of frames, and the next one, whatever it needs; false at the end.
#[inline(never)]
fn step(scratch: &mut Scratch, slot: *const Slot) -> bool {
    run(scratch);
    if scratch.count >= MAX_FRAMES as u64 {
        scratch.count = MAX_FRAMES as u64;
        return false;
    }
    advance(scratch, slot)
}

/// Takes frames as long as nothing is needed but the window and the present range of code: what nearly all
/// frames need, with all of its state in registers. A frame pointer that is not aligned is not refused here: what it
/// leads to is cut by user space, as all that no call stands before.
#[inline(never)]
fn run(scratch: &mut Scratch) {
    let base = scratch.base;
    // Offsets in the window: of the frame, and of the end of the one before.
    let (mut frame, mut lowest) = (scratch.fp.wrapping_sub(base), scratch.sp.wrapping_sub(base));
    let text_start = scratch.range.start;
    let text_bytes = scratch.range.end.wrapping_sub(text_start);
    let mut hash = scratch.hash;
    let window = (&raw const scratch.window).cast::<u8>();
    // SAFETY: the index is masked, and a run is shorter than what lies behind it.
    let mut place =
        unsafe { (&raw mut scratch.frames).cast::<u64>().add(scratch.count as usize & (MAX_FRAMES - 1)) };
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
            place.write(return_address | FRAME_BY_POINTER);
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
fn advance(scratch: &mut Scratch, slot: *const Slot) -> bool {
    let (sp, fp) = (scratch.sp, scratch.fp);
    if fp == 0 {
        return end(scratch, StopReason::FramePointerZero);
    }
    if fp < sp || fp - sp > MAX_FRAME_BYTES || fp & 7 != 0 {
        return end(scratch, StopReason::NoFramePointer);
    }
    if fp.wrapping_sub(scratch.base) > LAST_FRAME && !refill(scratch, sp, fp) {
        return end(scratch, StopReason::ReadFault);
    }
    let word = (fp.wrapping_sub(scratch.base) >> 3) as usize & (WORDS - 1);
    let return_address = scratch.window[word + 1];
    if return_address == scratch.trampoline {
        return end(scratch, StopReason::ForeignReturnProbe);
    }
    if !contains(&scratch.range, return_address) {
        let library = scratch.library;
        if return_address >= library.start && return_address < library.end {
            (scratch.range.start, scratch.range.end) = (library.start, library.end);
        } else if !find_range(scratch, slot, return_address) {
            return end(scratch, StopReason::NoFramePointer);
        }
    }
    keep(scratch, return_address, FRAME_BY_POINTER);
    scratch.sp = fp + 16;
    scratch.fp = scratch.window[word];
    true
}
