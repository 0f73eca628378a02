//! The copy of the stack that a walk reads: one call of the kernel for many frames.

use super::Scratch;
use crate::programs::user::read_into;

/// Words of stack that one copy has room for: 1 KiB reaches 16 and more frames at the usual frame sizes.
pub(super) const WORDS: usize = 128;
/// Bytes that are copied.
pub(super) const BYTES: u64 = 768;
/// Offset of the last word of a copy.
pub(super) const LAST_WORD: u64 = BYTES - 8;

const PAGE_BYTES: u64 = 4096;
/// A copy that begins at an address far above SP begins this much below it: a frame's saved registers lie below its
/// return address.
const BELOW: u64 = 128;

/// Copies the stack from `sp` on; the first word, or `None` if it cannot be read.
#[inline(always)]
pub(crate) fn copy(scratch: &mut Scratch, sp: u64) -> Option<u64> {
    if !refill(scratch, sp, sp) {
        return None;
    }
    Some(scratch.window[(sp.wrapping_sub(scratch.base) >> 3) as usize & (WORDS - 1)])
}

/// Copies the stack from `sp` if `wanted` is near, else from there; 16 bytes from `wanted` on are in it.
#[inline(always)]
pub(super) fn refill(scratch: &mut Scratch, sp: u64, wanted: u64) -> bool {
    let base = if wanted.wrapping_sub(sp) <= LAST_WORD - 8 { sp & !7 } else { wanted };
    scratch.base = base;
    if read_into(&mut scratch.window, BYTES as u32, base) {
        return true;
    }
    // The window reaches beyond the stack's last page: take what is left of this one, as the window's end.
    let left = PAGE_BYTES - (base & (PAGE_BYTES - 1));
    let missing = BYTES.wrapping_sub(left) & 0x3f8;
    scratch.base = 0;
    if left >= BYTES
        || wanted.wrapping_sub(base) + 16 > left
        || !read_into(&mut scratch.window[(missing >> 3) as usize..], (left & 0x3f8) as u32, base)
    {
        return false;
    }
    scratch.base = base - missing;
    true
}

/// Reads a word of the stack into `word`, out of the copy if it is there; false if it cannot be read.
#[inline(never)]
pub(super) fn fetch(scratch: &mut Scratch, address: u64) -> bool {
    if address & 7 != 0 {
        return false;
    }
    if address.wrapping_sub(scratch.base) > LAST_WORD {
        let sp = scratch.sp;
        let near = address.wrapping_sub(BELOW);
        let from = match address.wrapping_sub(sp) {
            0..=LAST_WORD => sp,
            _ if near > sp && near < address => near,
            _ => address,
        };
        if !refill(scratch, from, from) || address.wrapping_sub(scratch.base) > LAST_WORD {
            return false;
        }
    }
    scratch.word = scratch.window[(address.wrapping_sub(scratch.base) >> 3) as usize & (WORDS - 1)];
    true
}
