//! The code of the targets, as the stack walk knows it.

use std::mem::offset_of;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aya::maps::Map;
use tracer_ebpf::abi::code::{CODE_RANGES, MAX_CODE_RANGES, code_of_word, code_word};
use tracer_ebpf::abi::{CodeKind, CodeRange, MAX_SLOTS, Slot, slot_place};
use tracer_ebpf::unwind::cache::{EPOCHS, PLACES, slot_key};

use super::runs::Runs;
use super::table::Table;
use super::{Kernel, KernelError};

/// A program that found the old ranges of a slot has read them long before: it runs for microseconds.
const STALE: Duration = Duration::from_secs(2);

/// The array of code ranges, and who has which part of it.
pub(super) struct Code {
    ranges: Table<CodeRange>,
    rows: Table<[u64; PLACES]>,
    free: Runs,
    /// Parts that programs may still read.
    stale: Vec<(Instant, u64)>,
    /// How often the code of each place has changed.
    epochs: [u8; MAX_SLOTS as usize],
}

impl Code {
    pub(super) fn of(ranges: Option<Map>, rows: Option<Map>) -> Result<Self, KernelError> {
        Ok(Self {
            ranges: Table::of(ranges, "CODE", CODE_RANGES)?,
            rows: Table::of(rows, "ROWS", 1)?,
            free: Runs::new(CODE_RANGES),
            stale: Vec::new(),
            epochs: [0; MAX_SLOTS as usize],
        })
    }

    /// What the keys of a slot's rows have in common from now on: rows that were kept so far are not found again.
    fn next_key(&mut self, place: u32) -> u64 {
        let epoch = &mut self.epochs[place as usize];
        *epoch = (*epoch + 1) % EPOCHS;
        if *epoch == 0 {
            for row in 0..PLACES {
                self.rows.word(0, row * 8).store(0, Ordering::Relaxed);
            }
        }
        slot_key(place, *epoch)
    }

    /// Writes ranges where no program reads; the word that says where.
    fn write(&mut self, place: u32, ranges: &[CodeRange]) -> Option<u64> {
        let now = Instant::now();
        let (old, young) = self.stale.iter().partition(|(since, _)| now.duration_since(*since) > STALE);
        self.stale = young;
        let old: Vec<(Instant, u64)> = old;
        for (_, word) in old {
            let (first, count) = code_of_word(word);
            self.free.give_back(first, count);
        }
        let count = ranges.len() as u32;
        let first = self.free.take(count)?;
        for (index, range) in (first..).zip(ranges) {
            self.ranges.write(index, &CodeRange { owner: place as u8, ..*range });
        }
        Some(code_word(first, count))
    }
}

impl Kernel {
    /// Tells the walk which code a slot has: sorted ranges, of which it takes [`MAX_CODE_RANGES`] at most. Stacks end,
    /// and say so, at those that do not fit.
    pub fn set_code(&mut self, slot: u32, ranges: &[CodeRange]) {
        let place = slot_place(slot);
        let taken = &ranges[..ranges.len().min(MAX_CODE_RANGES as usize)];
        let word = self.slots.word(place, offset_of!(Slot, code));
        let old = word.load(Ordering::Acquire);
        let (first, count) = code_of_word(old);
        let plain = |range: CodeRange| CodeRange { owner: 0, ..range };
        let before: Vec<CodeRange> =
            (first..first + count).map(|at| plain(self.code.ranges.read(at))).collect();
        if before == taken {
            return;
        }
        let written = self.code.write(place, taken);
        if let Some(new) = written {
            word.store(new, Ordering::Release);
            self.code.stale.push((Instant::now(), old));
        }
        if !before.iter().all(|range| is_still_right(range, taken)) {
            let key = self.code.next_key(place);
            self.slots.word(place, offset_of!(Slot, row_key)).store(key, Ordering::Release);
        }
    }

    /// What the keys of a new slot's rows have in common.
    pub(super) fn new_row_key(&mut self, slot: u32) -> u64 {
        let place = slot_place(slot);
        let old = self.slots.word(place, offset_of!(Slot, code)).swap(0, Ordering::AcqRel);
        self.code.stale.push((Instant::now(), old));
        self.code.next_key(place)
    }
}

/// Whether the rows that were kept of a range are those that its code has now.
fn is_still_right(before: &CodeRange, now: &[CodeRange]) -> bool {
    if before.kind == CodeKind::NoTable as u8 {
        return true;
    }
    let found = now.binary_search_by_key(&before.start, |range| range.start).map(|at| now[at]);
    found.is_ok_and(|range| {
        let is_same = (range.end, range.first_page) == (before.end, before.first_page);
        // A table that had to make room was right.
        is_same && (range.kind == before.kind || range.kind == CodeKind::NoTable as u8)
    })
}
