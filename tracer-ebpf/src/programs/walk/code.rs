//! Whether an address is code of the target, and which rule holds there.

use tracer_ebpf::{
    abi::{
        CodeKind, CodeRange, Slot,
        code::{CHUNK_BLOCKS, CODE_RANGES, MAX_CODE_RANGES, code_of_word},
        event::FRAME_INTERRUPTED,
    },
    unwind::{
        Row,
        cache::{Place, is_cacheable, place_of_key},
        page::{ENTRIES_PER_BLOCK, PAGE_BYTES, PageEntry, search},
    },
};

use super::{Scratch, sign_mask};
use crate::programs::maps::{CODE, KEEP_ROWS, ROWS, TABLES};

/// User addresses lie below (5-level page tables).
const USER_ADDRESSES: u64 = 1 << 57;

/// A rule, or why there is none: above the bits of a rule.
pub(super) const NO_MAPPING: u32 = 1 << 24;
/// No table, or another one than the range's.
pub(super) const NO_TABLE: u32 = 1 << 25;

/// Finds the range of code that holds an address; it is in `range` then.
#[inline(never)]
pub(super) fn find_range(scratch: &mut Scratch, slot: *const Slot, address: u64) -> bool {
    // SAFETY: a pointer into the map's value; user space replaces the word as a whole.
    let (first, count) = code_of_word(unsafe { core::ptr::read_volatile(&raw const (*slot).code) });
    let mut low = scratch.zero as u32;
    let mut step = MAX_CODE_RANGES.div_ceil(2);
    while step > 0 {
        let middle = (low + step) & MAX_CODE_RANGES;
        let Some(range) = CODE.get_ptr(first.wrapping_add(middle) & (CODE_RANGES - 1)) else { return false };
        // SAFETY: a pointer into the map's value.
        let start = unsafe { (*range).start };
        // Arithmetic instead of branches: the verifier would follow each of them. All are below 2^63.
        let beyond = sign_mask(u64::from(count).wrapping_sub(1).wrapping_sub(u64::from(middle)))
            | sign_mask((address & (USER_ADDRESSES - 1)).wrapping_sub(start));
        low += step & !(beyond as u32);
        step /= 2;
    }
    let Some(range) = CODE.get_ptr(first.wrapping_add(low) & (CODE_RANGES - 1)) else { return false };
    // SAFETY: as above.
    scratch.range = unsafe { *range };
    let owner = place_of_key(scratch.row_key);
    low < count && u32::from(scratch.range.owner) == owner && contains(&scratch.range, address)
}

#[inline(always)]
pub(super) fn contains(range: &CodeRange, address: u64) -> bool {
    address.wrapping_sub(range.start) < range.end.wrapping_sub(range.start)
}

/// The rule of `pc`, kept for the next time it is met; or [`NO_MAPPING`], or [`NO_TABLE`].
#[inline(never)]
pub(super) fn rule(scratch: &mut Scratch, slot: *const Slot) -> u32 {
    let pc = scratch.pc;
    let is_exact = scratch.marks & FRAME_INTERRUPTED != 0;
    let is_kept = KEEP_ROWS.load() != 0 && !is_exact && is_cacheable(pc);
    let place = Place::of(scratch.row_key, pc);
    let Some(rows) = ROWS.get_ptr_mut(0) else { return NO_TABLE };
    // SAFETY: the index is less than the array's length; words of it are read and written as a whole.
    let entry = unsafe { (&raw mut *rows).cast::<u64>().add(place.index) };
    if is_kept {
        // SAFETY: as above.
        if let Some(row) = place.rule_in(unsafe { core::ptr::read_volatile(entry) }) {
            return row.0;
        }
    }
    let address = if is_exact { pc } else { pc.wrapping_sub(1) };
    if !contains(&scratch.range, address) && !find_range(scratch, slot, address) {
        return NO_MAPPING;
    }
    let found = match scratch.range.kind {
        kind if kind == CodeKind::FramePointers as u8 => Row::FRAME_POINTER.0,
        kind if kind == CodeKind::NoTable as u8 => return NO_TABLE,
        _ => look_up(scratch, address),
    };
    if is_kept && found < NO_MAPPING && found & Row::RULE_MASK != Row::GAP.0 {
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(entry, place.entry(Row(found))) };
    }
    found
}

/// The rule of an address in the table of its range.
#[inline(always)]
fn look_up(scratch: &Scratch, address: u64) -> u32 {
    let (table, generation) = (scratch.range.table, scratch.range.generation);
    let offset = address.wrapping_sub(scratch.range.first_page);
    let page = offset / PAGE_BYTES;
    let index_block = table.wrapping_add((page / ENTRIES_PER_BLOCK as u64) as u32);
    let Some(index) = TABLES.get_value(index_block / CHUNK_BLOCKS, &(index_block % CHUNK_BLOCKS)) else {
        return NO_TABLE;
    };
    let entry = PageEntry::of(index, page);
    if entry.generation != generation {
        return NO_TABLE;
    }
    let block = table.wrapping_add(entry.block());
    let Some(rows) = TABLES.get_value(block / CHUNK_BLOCKS, &(block % CHUNK_BLOCKS)) else { return NO_TABLE };
    search(rows, entry, (offset % PAGE_BYTES) as u32, scratch.zero as u32).0 & Row::RULE_MASK
}
