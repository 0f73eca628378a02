//! Groups of rows to blocks, and the index of the groups. The layout is that of `tracer_ebpf::unwind::page`.

use std::collections::{BTreeSet, HashMap};

use tracer_ebpf::unwind::page::{BLOCK_WORDS, Block, ENTRIES_PER_BLOCK, PageEntry};
use tracer_ebpf::unwind::{Row, Rule};

/// Most bytes of one table: what three times the largest browser needs.
pub(super) const MAX_BYTES: usize = 16 << 20;

/// A table that is being filled, page by page.
#[derive(Debug)]
pub(super) struct Packer {
    words: Vec<u32>,
    index_words: usize,
    filled: usize,
    /// Blocks by the words that are free at their end.
    free: BTreeSet<(usize, usize)>,
    /// Pages with one row share it with those that have the same.
    single: HashMap<u32, PageEntry>,
}

impl Packer {
    /// For so many pages of code.
    pub(super) fn new(pages: usize) -> Self {
        let index_words = pages.div_ceil(ENTRIES_PER_BLOCK) * BLOCK_WORDS;
        Self {
            words: vec![0; index_words],
            index_words,
            filled: 0,
            free: BTreeSet::new(),
            single: HashMap::new(),
        }
    }

    /// The rows of the next page, 1 to [`BLOCK_WORDS`].
    ///
    /// # Errors
    /// The table has become too large.
    pub(super) fn add(&mut self, group: &[u32]) -> Result<(), String> {
        let entry = match group {
            [row] => match self.single.get(row) {
                Some(entry) => *entry,
                None => *self
                    .single
                    .entry(*row)
                    .insert_entry(place(&mut self.words, &mut self.free, group)?)
                    .get(),
            },
            _ => place(&mut self.words, &mut self.free, group)?,
        };
        if let Some(words) = self.words[..self.index_words].get_mut(self.filled..self.filled + 2) {
            words.copy_from_slice(&entry.to_words());
        }
        self.filled += 2;
        Ok(())
    }

    /// The table. What is not filled of its index leads to no rule.
    pub(super) fn finish(mut self) -> Result<Vec<u32>, String> {
        while self.filled < self.index_words {
            self.add(&[gap()])?;
        }
        self.words.shrink_to_fit();
        Ok(self.words)
    }

    /// Rows, each counted once.
    pub(super) fn rows(&self) -> usize {
        let free: usize = self.free.iter().map(|(words, _)| words).sum();
        self.words.len() - self.index_words - free
    }
}

/// Puts a group where the least is left of a block.
fn place(
    words: &mut Vec<u32>,
    free: &mut BTreeSet<(usize, usize)>,
    group: &[u32],
) -> Result<PageEntry, String> {
    let found = free.range((group.len(), 0)..).next().copied();
    let (left, block) = match found {
        Some(found) => found,
        None if (words.len() + BLOCK_WORDS) * size_of::<u32>() > MAX_BYTES => {
            return Err(format!("its unwind table is larger than {} MiB", MAX_BYTES >> 20));
        }
        None => {
            words.resize(words.len() + BLOCK_WORDS, gap());
            (BLOCK_WORDS, words.len() / BLOCK_WORDS - 1)
        }
    };
    free.remove(&(left, block));
    let first = (block + 1) * BLOCK_WORDS - left;
    words[first..first + group.len()].copy_from_slice(group);
    if left > group.len() {
        free.insert((left - group.len(), block));
    }
    Ok(PageEntry { first: first as u32, count: group.len() as u16, generation: 0 })
}

/// The block with a word.
pub(super) fn block_at(words: &[u32], number: usize) -> Option<&Block> {
    words.get(number.checked_mul(BLOCK_WORDS)?..)?.first_chunk()
}

/// The row of code that no description covers, at the beginning of a page.
pub(super) fn gap() -> u32 {
    bits(Rule::Gap)
}

/// A rule without an offset; a rule that does not fit is unsupported.
pub(super) fn bits(rule: Rule) -> u32 {
    let row = Row::pack(0, rule).or_else(|| Row::pack(0, Rule::Unsupported));
    row.unwrap_or_default().0
}
