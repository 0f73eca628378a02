//! The heap profile: the list that begins at `runtime.mbuckets` (`runtime/mprof.go`).
//!
//! A bucket is made once, with its stack, and never freed or changed but for its counts; new ones stand before the others.
//! So a reading walks to the first bucket that the reading before knew, and reads only counts of the rest.

use std::collections::HashSet;
use std::sync::Arc;

use super::layout::BucketLayout;
use super::memory::{Memory, Pages, half, number};
use super::{TRIES, Unread, wait};
use crate::go::heap::{Bucket, HeapProfile};

/// Most buckets of one process: at 20 calls each 300 MB of its memory.
const MAX_BUCKETS: usize = 1_000_000;
/// Words of buckets that are learnt in the life of a process: what the most of them have at 20 calls each. Headers may lie within
/// the stacks of others where a process wants that, and its list may be another one each time.
const MAX_WORDS: u64 = 32 << 20;
/// Of each bucket, beside its stack.
const HEADER_WORDS: u64 = 8;
/// Most calls of a stack (`maxProfStackDepth`, of which the runtime keeps 128 unless told otherwise).
const MAX_STACK: u64 = 1024;
/// A bucket's kind (`memProfile`).
const MEM_PROFILE: u64 = 1;
/// What lies at most between two records that are read at once, and the most that is read at once.
const MAX_GAP_BYTES: u64 = 4096;
const MAX_RUN_BYTES: u64 = 256 << 10;

/// Where a process keeps its profile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    /// `runtime.mbuckets`.
    pub(super) list: u64,
    /// `runtime.MemProfileRate`.
    pub(super) rate: u64,
    /// `runtime.mProfCycle`, if it was found.
    pub(super) cycle: Option<u64>,
}

/// The profile of one process, and what earlier readings know of it.
#[derive(Debug)]
pub(super) struct Profile {
    at: Addresses,
    layout: BucketLayout,
    known: Known,
    /// Words of all buckets that were ever found.
    words: u64,
}

/// Buckets that were found, ordered by their records' addresses.
#[derive(Debug, Default)]
struct Known {
    /// The first of the list when it was walked last; 0 is none.
    head: u64,
    buckets: Vec<Found>,
}

/// What never changes of a bucket.
#[derive(Clone, Debug)]
struct Found {
    address: u64,
    size_bytes: u64,
    stack: Arc<[u64]>,
    /// Where its counts are.
    record: u64,
}

/// Allocations and frees, of one cycle or published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cycle {
    allocs: u64,
    frees: u64,
}

/// The counts of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    active: Cycle,
    future: [Cycle; 3],
}

/// Which cycle collects now, and whether its counts are published (`mProfCycleHolder`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Now {
    cycle: u32,
    flushed: bool,
}

impl Profile {
    pub(super) fn new(at: Addresses, layout: BucketLayout) -> Self {
        Self { at, layout, known: Known::default(), words: 0 }
    }

    /// Mean bytes between samples now; `None` if the runtime takes none.
    pub(super) fn interval(&self, memory: &Memory) -> Result<Option<u64>, Unread> {
        // It is Go's `int`: what is negative takes no samples either (`runtime/malloc.go`).
        let rate = memory.word(self.at.rate)?;
        Ok((1..=i64::MAX as u64).contains(&rate).then_some(rate))
    }

    /// Whether anything was sampled so far.
    pub(super) fn has_samples(&self, memory: &Memory) -> bool {
        memory.word(self.at.list).is_ok_and(|first| first != 0)
    }

    /// Reads it.
    ///
    /// Published counts (`active`) only ever grow, and only by a flush, which adds a finished cycle to one bucket after the
    /// other. All counts are read twice, the second time after all of the first. Where a published count is the same both
    /// times, it was so all the time between: the last moment of the first reading had exactly these counts, in all buckets
    /// at once. If one differs, the later reading is compared with a further one. A flush that has begun and not ended is
    /// seen too, where its thread stands still meanwhile: counts of the cycle that `mProfCycle` says is published are then
    /// left. What can be off: the second flush of a collection, after its sweep (`mProf_PostSweep`), leaves no such trace;
    /// where its thread stands still for both readings, some buckets are as of one collection later than others, each
    /// right for itself.
    pub(super) fn read(&mut self, memory: &Memory) -> Result<HeapProfile, Unread> {
        let interval = self.interval(memory)?.ok_or_else(|| Unread::Missing(super::RATE_IS_0.to_owned()))?;
        self.walk(memory)?;
        let mut before = self.counts(memory)?;
        for retries in 0..TRIES {
            let now = self.now(memory)?;
            let after = self.counts(memory)?;
            let is_same = before.iter().zip(&after).all(|(before, after)| before.active == after.active);
            let is_whole = after.iter().all(|counts| counts.active.frees <= counts.active.allocs);
            if is_same && is_whole && now == self.now(memory)? && now.is_none_or(|now| !now.is_torn(&after)) {
                let buckets =
                    self.known.buckets.iter().zip(&after).map(|(found, counts)| found.bucket(counts));
                let is_behind = now.is_none_or(|now| now.has_unpublished(&after));
                return Ok(HeapProfile {
                    interval_bytes: interval,
                    buckets: buckets.collect(),
                    is_behind,
                    retries,
                });
            }
            before = after;
            wait(retries);
        }
        Err(Unread::Torn)
    }

    fn now(&self, memory: &Memory) -> Result<Option<Now>, Unread> {
        let Some(address) = self.at.cycle else { return Ok(None) };
        let value = half(&memory.bytes(address, 4)?, 0).unwrap_or_default();
        Ok(Some(Now { cycle: value >> 1, flushed: value & 1 == 1 }))
    }

    /// Finds the buckets that are new since the last walk.
    fn walk(&mut self, memory: &Memory) -> Result<(), Unread> {
        let head = memory.word(self.at.list)?;
        let new = match self.found(memory, head, self.known.head) {
            // The list that was known is not in this one: it is damaged, or was when it was walked.
            Err(Unread::Damaged(_)) if self.known.head != 0 => {
                self.known = Known::default();
                self.found(memory, head, 0)?
            }
            new => new?,
        };
        self.known.head = head;
        if !new.is_empty() {
            self.known.buckets.extend(new);
            self.known.buckets.sort_unstable_by_key(|found| found.record);
        }
        Ok(())
    }

    /// The buckets from `head` on, until the one that is known already (0: to the end).
    fn found(&mut self, memory: &Memory, head: u64, known: u64) -> Result<Vec<Found>, Unread> {
        let mut pages = Pages::of(memory);
        let mut seen = HashSet::new();
        let (mut found, mut next) = (Vec::new(), head);
        while next != known {
            let is_new = next != 0 && seen.insert(next);
            if !is_new || self.known_count(known) + seen.len() > MAX_BUCKETS {
                return Err(damaged(
                    next,
                    "leads nowhere, in a circle, or through more than a million buckets",
                ));
            }
            let header = pages.bytes(next, self.layout.bytes)?;
            let field = |offset| number(&header, offset).ok_or_else(|| damaged(next, "is cut short"));
            let (typ, nstk) = (field(self.layout.typ)?, field(self.layout.nstk)?);
            if typ != MEM_PROFILE || nstk > MAX_STACK {
                return Err(damaged(
                    next,
                    &format!("is no bucket: its kind is {typ}, its stack has {nstk} calls"),
                ));
            }
            self.words += nstk + HEADER_WORDS;
            if self.words > MAX_WORDS {
                return Err(damaged(
                    next,
                    "is one of too many: they have changed again and again, or are too large",
                ));
            }
            let too_high = || damaged(next, "is no bucket: its address is too high");
            let stack_at = next.checked_add(self.layout.bytes).ok_or_else(too_high)?;
            let stack = pages.bytes(stack_at, nstk * 8)?;
            let (words, _) = stack.as_chunks::<8>();
            found.push(Found {
                address: next,
                size_bytes: field(self.layout.size)?,
                stack: words.iter().map(|word| u64::from_le_bytes(*word)).collect(),
                record: stack_at.checked_add(nstk * 8).ok_or_else(too_high)?,
            });
            next = field(self.layout.allnext)?;
        }
        Ok(found)
    }

    fn known_count(&self, known: u64) -> usize {
        if known == 0 { 0 } else { self.known.buckets.len() }
    }

    /// The counts of all known buckets, in their order: records that lie close together by one read.
    fn counts(&self, memory: &Memory) -> Result<Vec<Counts>, Unread> {
        let mut counts = Vec::with_capacity(self.known.buckets.len());
        let mut rest = self.known.buckets.as_slice();
        while let Some(first) = rest.first() {
            let (run, bytes) = self.run(rest, first.record);
            let data = memory.bytes(first.record, bytes)?;
            let (now, later) = rest.split_at(run);
            for found in now {
                let record = self.record(&data, found.record - first.record);
                counts.push(record.ok_or_else(|| damaged(found.address, "is cut short"))?);
            }
            rest = later;
        }
        Ok(counts)
    }

    /// How many of these records are read at once, and their bytes.
    fn run(&self, records: &[Found], first: u64) -> (usize, u64) {
        let (mut run, mut bytes) = (0, 0);
        for found in records {
            let begin = found.record - first;
            let end = begin.saturating_add(self.layout.record_bytes);
            if run > 0 && (begin > bytes + MAX_GAP_BYTES || end > MAX_RUN_BYTES) {
                break;
            }
            (run, bytes) = (run + 1, end);
        }
        (run, bytes)
    }

    fn record(&self, data: &[u8], offset: u64) -> Option<Counts> {
        let cycle = |at: u64| {
            let at = offset + at;
            Some(Cycle {
                allocs: number(data, at + self.layout.allocs)?,
                frees: number(data, at + self.layout.frees)?,
            })
        };
        let future = |index: u64| cycle(self.layout.future + index * self.layout.cycle_bytes);
        Some(Counts { active: cycle(self.layout.active)?, future: [future(0)?, future(1)?, future(2)?] })
    }
}

impl Now {
    /// Whether the last finished cycle has counts of its own still: they are published when the next one has finished.
    fn has_unpublished(self, counts: &[Counts]) -> bool {
        self.has_counts(self.cycle.wrapping_add(1), counts)
    }

    fn has_counts(self, cycle: u32, counts: &[Counts]) -> bool {
        let index = (cycle % 3) as usize;
        let has = |counts: &Counts| counts.future.get(index).is_some_and(|cycle| *cycle != Cycle::default());
        counts.iter().any(has)
    }

    /// Whether the cycle that is being published has counts left: its flush is not over.
    fn is_torn(self, counts: &[Counts]) -> bool {
        self.flushed && self.has_counts(self.cycle, counts)
    }
}

impl Found {
    fn bucket(&self, counts: &Counts) -> Bucket {
        let active = counts.active;
        Bucket {
            address: self.address,
            size_bytes: self.size_bytes,
            allocated: counts
                .future
                .iter()
                .fold(active.allocs, |sum, cycle| sum.saturating_add(cycle.allocs)),
            freed: active.frees,
            live: active.allocs.saturating_sub(active.frees),
            stack: Arc::clone(&self.stack),
        }
    }
}

fn damaged(address: u64, what: &str) -> Unread {
    Unread::Damaged(format!("the list of the heap profile's buckets is damaged: {address:#x} {what}"))
}

#[cfg(test)]
mod tests;
