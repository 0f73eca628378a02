//! A call of malloc from 16 calls deep, as the stack walk sees it: by tables that many calls; by frame pointers a chain
//! of them made by hand, because neither this program nor the standard library need keep any.
#![expect(unsafe_code, reason = "sets the frame pointer round a call of malloc")]

use core::arch::asm;
use std::hint::black_box;

/// Frames of the chain.
const DEPTH: usize = 16;
/// Calls that make as many frames, with those of the thread's start.
const CALLS: usize = 9;
/// Words from one frame to the next: 48 bytes, as small functions have.
const FRAME_WORDS: usize = 6;

/// A block, freed when dropped.
pub(super) struct Block(*mut libc::c_void);

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it came from malloc, and nobody else has it.
        unsafe { libc::free(self.0) };
    }
}

/// Allocates `bytes`.
#[inline(never)]
pub(super) fn allocate(bytes: usize, by_tables: bool) -> Block {
    if by_tables { Block(descend(CALLS, bytes)) } else { behind_frame_pointers(bytes) }
}

/// Allocates `bytes`, so many calls below this one.
#[inline(never)]
fn descend(calls: usize, bytes: usize) -> *mut libc::c_void {
    match calls {
        // SAFETY: malloc takes any size.
        0 => unsafe { libc::malloc(bytes) },
        // What is done with the result keeps the call from becoming a jump.
        _ => black_box(descend(black_box(calls - 1), bytes)),
    }
}

#[inline(never)]
fn behind_frame_pointers(bytes: usize) -> Block {
    let mut frames = [0_usize; DEPTH * FRAME_WORDS];
    let base = frames.as_ptr();
    for depth in 0..DEPTH {
        let is_last = depth + 1 == DEPTH;
        // SAFETY: the next frame lies in the array; the address of the last one is not used.
        let next = unsafe { base.add(((depth + 1) * FRAME_WORDS).min(frames.len() - 1)) };
        frames[depth * FRAME_WORDS] = if is_last { 0 } else { next as usize };
        frames[depth * FRAME_WORDS + 1] = behind_frame_pointers as *const () as usize + 1;
    }
    let block: *mut libc::c_void;
    // SAFETY: malloc keeps the frame pointer, which is given back after it; without `nostack` the stack is aligned
    // for a call.
    unsafe {
        asm!(
            "mov r12, rbp",
            "mov rbp, {frames}",
            "call {malloc}",
            "mov rbp, r12",
            frames = in(reg) frames.as_ptr(),
            malloc = sym libc::malloc,
            in("rdi") bytes,
            lateout("rax") block,
            out("r12") _,
            clobber_abi("C"),
        );
    }
    Block(block)
}
