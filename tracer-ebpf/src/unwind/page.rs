//! Where the row of an address lies: a table has one group of rows per page of code, found by an index.
//!
//! A table is a run of blocks of [`BLOCK_WORDS`] words. The first ones are the index: a [`PageEntry`] for each page.
//! The others hold rows. The rows of one page are sorted, lie in one block, and the first one holds from the page's
//! first byte on, so that no search leaves its page.

use super::Row;

/// Words of 32 bits in a block: 8 KiB, for the densest pages have more than 1,024 rows (functions of 11 bytes with 3 each).
pub const BLOCK_WORDS: usize = 2048;
/// Bytes of code that one group of rows covers.
pub const PAGE_BYTES: u64 = 4096;
/// Entries of the index in one block.
pub const ENTRIES_PER_BLOCK: usize = BLOCK_WORDS / 2;

/// One block, as it lies in the map.
pub type Block = [u32; BLOCK_WORDS];

/// Where the rows of a page are: two words of the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageEntry {
    /// Number of the first row, from the first word of the table's first block.
    pub first: u32,
    /// Rows; at least 1.
    pub count: u16,
    /// Of the table: what finds another table in its place sees it by this.
    pub generation: u16,
}

impl PageEntry {
    /// The two words.
    #[must_use]
    pub const fn to_words(self) -> [u32; 2] {
        [self.first, (self.generation as u32) << 16 | self.count as u32]
    }

    /// The entry of a page in its block of the index.
    #[inline(always)]
    #[must_use]
    pub const fn of(block: &Block, page: u64) -> Self {
        let at = (page as usize % ENTRIES_PER_BLOCK) * 2;
        let (first, second) = (block[at % BLOCK_WORDS], block[(at + 1) % BLOCK_WORDS]);
        Self { first, count: second as u16, generation: (second >> 16) as u16 }
    }

    /// Which block of the table holds its rows.
    #[inline(always)]
    #[must_use]
    pub const fn block(self) -> u32 {
        self.first / BLOCK_WORDS as u32
    }
}

/// The last row of a group that begins at an offset in the page or before it. `zero` is 0; a BPF program reads it from
/// memory, so that the verifier takes all that comes out of the search for unknown and follows one way through it.
#[inline(always)]
#[must_use]
pub fn search(block: &Block, entry: PageEntry, page_offset: u32, zero: u32) -> Row {
    let (base, count) = (entry.first, u32::from(entry.count));
    let mut low = zero;
    let mut step = BLOCK_WORDS as u32 / 2;
    while step > 0 {
        let middle = low + step;
        let row = Row(block[(base.wrapping_add(middle)) as usize % BLOCK_WORDS]);
        if middle < count && row.page_offset() <= page_offset {
            low = middle;
        }
        low %= BLOCK_WORDS as u32;
        step /= 2;
    }
    Row(block[base.wrapping_add(low) as usize % BLOCK_WORDS])
}
