//! The unwind table of an object, as the kernel side searches it. The layout is that of `tracer_ebpf::unwind::page`.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use tracer_ebpf::unwind::page::{self, BLOCK_WORDS, ENTRIES_PER_BLOCK, PAGE_BYTES, PageEntry};
use tracer_ebpf::unwind::{Row, Rule};

use super::fill::{Seen, fill};
use super::frames::{Form, Frames};
use super::pack::block_at;
use super::pages::{Pages, Span};
use super::rules::Unsupported;
use super::trampoline;
use crate::elf::Image;
use crate::units::{Bytes, ElfVaddr};

/// The rule of every byte of an object's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnwindTable {
    words: Vec<u32>,
    span: Span,
    statistics: Statistics,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Rows of the table.
    pub rows: usize,
    /// Size of the table.
    pub bytes: Bytes,
    /// Rows of the frame descriptions, before neighbours with equal rules became one.
    pub source_rows: u64,
    unsupported: [u64; Unsupported::ALL.len()],
}

impl Statistics {
    /// Rows of the frame descriptions that a table cannot hold, for one reason.
    #[must_use]
    pub fn unsupported(&self, why: Unsupported) -> u64 {
        self.unsupported[why as usize]
    }

    /// And for all.
    #[must_use]
    pub fn all_unsupported(&self) -> u64 {
        self.unsupported.iter().sum()
    }
}

/// What a table is built from; two sources with one fingerprint give one table.
#[derive(Debug, Hash)]
pub struct UnwindSource {
    frames: Frames,
    span: Span,
    trampolines: Vec<std::ops::Range<u64>>,
}

/// Keys of this process: nobody can make a file with another one's fingerprint.
static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);

impl UnwindSource {
    /// Reads the frame descriptions: `.eh_frame`; where that has none, `.debug_frame`. `None` if there are none.
    ///
    /// # Errors
    /// What cannot be read, or is too large, and why.
    pub fn load(image: &Image) -> Result<Option<Self>, String> {
        let has_some = |frames: &Frames| !frames.index().is_empty();
        let found = match Frames::loaded(image).filter(has_some) {
            Some(frames) => Some(frames),
            None => Frames::debug(image).map_err(|why| format!(".debug_frame: {why}"))?.filter(has_some),
        };
        let Some(mut frames) = found else { return Ok(None) };
        frames.complete();
        let span = Span::of(image)?;
        // Whoever needs another library uses that one's trampoline; Go has its own in any case.
        let may_have_trampolines = image.needed().is_empty() || frames.form() == Form::Debug;
        let trampolines = if may_have_trampolines { trampoline::find(image, &span) } else { Vec::new() };
        Ok(Some(Self { frames, span, trampolines }))
    }

    /// The same for equal sources, different for others, whatever a file says of itself. Only within this process.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        let [high, low] = KEYS.each_ref().map(|keys| u128::from(keys.hash_one(self)));
        high << 64 | low
    }

    /// The table.
    ///
    /// # Errors
    /// What is too large.
    pub fn build(self) -> Result<UnwindTable, String> {
        let Self { frames, span, trampolines } = self;
        let mut pages = Pages::new(&span, trampolines);
        let seen = fill(&frames, span.addresses(), &mut pages)?;
        UnwindTable::of_pages(pages, span, seen)
    }
}

impl UnwindTable {
    /// Reads an object's frame descriptions and builds its table; `None` if it has none.
    ///
    /// # Errors
    /// What cannot be read, or is too large, and why.
    pub fn build(image: &Image) -> Result<Option<Self>, String> {
        UnwindSource::load(image)?.map(UnwindSource::build).transpose()
    }

    /// Blocks of [`BLOCK_WORDS`] words: the index, then the rows.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Number of the first page with code: its address in the file's address space by 4096.
    #[must_use]
    pub fn first_page(&self) -> u64 {
        self.span.first_page
    }

    /// Pages from the first to the last with code.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.span.pages
    }

    /// What it holds.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Writes the generation into every entry of the index.
    pub fn stamp(&mut self, generation: u16) {
        let index_words = self.span.pages.div_ceil(ENTRIES_PER_BLOCK) * BLOCK_WORDS;
        for word in self.words[..index_words].iter_mut().skip(1).step_by(2) {
            *word = u32::from(generation) << 16 | *word & 0xffff;
        }
    }

    /// The row of an address: found as the kernel side finds it.
    #[must_use]
    pub fn row_at(&self, address: ElfVaddr) -> Row {
        self.find(address).or_else(|| Row::pack(0, Rule::Gap)).unwrap_or_default()
    }

    /// Of pages that are filled.
    pub(super) fn of_pages(pages: Pages, span: Span, seen: Seen) -> Result<Self, String> {
        let Seen { rows: source_rows, mut unsupported } = seen;
        let (packer, crowded) = pages.finish()?;
        unsupported[Unsupported::Crowded as usize] = crowded;
        let rows = packer.rows();
        let words = packer.finish()?;
        let bytes = Bytes(size_of_val(&words[..]) as u64);
        Ok(Self { words, span, statistics: Statistics { rows, bytes, source_rows, unsupported } })
    }

    fn find(&self, address: ElfVaddr) -> Option<Row> {
        let page = (address.0 / PAGE_BYTES).checked_sub(self.span.first_page)?;
        let number = usize::try_from(page).ok().filter(|page| *page < self.span.pages)?;
        let entry = PageEntry::of(block_at(&self.words, number / ENTRIES_PER_BLOCK)?, page);
        let rows = block_at(&self.words, entry.block() as usize)?;
        Some(page::search(rows, entry, (address.0 % PAGE_BYTES) as u32, 0))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod truth;
#[cfg(test)]
mod truth_tests;
