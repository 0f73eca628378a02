//! What user space tells the stack walk about the code of each target.

/// Entries of the array of code ranges, of all targets.
pub const CODE_RANGES: u32 = 1 << 16;
/// Ranges of one target.
pub const MAX_CODE_RANGES: u32 = (1 << 13) - 1;

/// One executable range of a target; those of one target stand together, sorted by address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CodeRange {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Where the first page of its unwind table lies in the process; it may lie outside of the address space.
    pub first_page: u64,
    /// The table's first block in the arena of tables.
    pub table: u32,
    /// The table's generation.
    pub generation: u16,
    /// A [`CodeKind`].
    pub kind: u8,
    /// Place of the slot that it is of: what finds another's ranges in their place sees it by this.
    pub owner: u8,
}

/// How the caller of code in a range is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CodeKind {
    /// By a table that is not there: not yet, or not any more.
    NoTable = 0,
    /// By its table; once in a row by the frame pointer where that has a hole.
    Table = 1,
    /// By the frame pointer: nothing else is known (code written at run time, objects without frame descriptions).
    FramePointers = 2,
    /// By its table, and by frame pointers where that has a hole: Go beside C.
    TableOrFramePointers = 3,
}

/// Blocks in a chunk of the arena of tables.
pub const CHUNK_BLOCKS: u32 = 128;
/// Chunks of the arena, 1 MiB each.
pub const MAX_CHUNKS: u32 = 1024;

/// Where the ranges of a slot are, in one word: the first one, and how many.
#[inline(always)]
#[must_use]
pub const fn code_word(first: u32, count: u32) -> u64 {
    (first as u64) << 32 | count as u64
}

/// The parts of a [`code_word`].
#[inline(always)]
#[must_use]
pub const fn code_of_word(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

const _: () = assert!(size_of::<CodeRange>() == 32);
