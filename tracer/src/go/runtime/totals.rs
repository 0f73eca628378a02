//! The exact totals: the counters in `memstats.heapStats` (`runtime/mstats.go`).
//!
//! Three sets of counters belong together: the program writes to one, and its own readers (`runtime/metrics`) turn to the next
//! one and then move the counts of one into another. Their sum is what the runtime takes for its totals too (`unsafeRead`).

use super::gc::Controller;
use super::layout::{CLASS_BYTES, CLASS_SPAN_BYTES, DeltaLayout, MstatsLayout};
use super::memory::{Memory, half, number};
use super::{TRIES, Unread, wait};
use crate::go::heap::{HeapTotals, SizeClass};

/// Sets of counters.
const DELTAS: u64 = 3;
/// Each class has a span for objects with pointers and one for those without (`numSpanClasses`, `runtime/mheap.go`).
const SPANS_PER_CLASS: u64 = 2;
/// More processors than Go lets a program have (`runtime/runtime2.go` had 1024 until 1.10; since then memory is the bound).
const MAX_PROCESSORS: u64 = 1 << 20;

/// Where a process keeps its totals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    /// `runtime.memstats`.
    pub(super) memstats: u64,
    pub(super) mstats: MstatsLayout,
    pub(super) delta: DeltaLayout,
    /// `runtime.allp`, if it was found.
    pub(super) processors: Option<u64>,
    /// `runtime.gcController`, if it was found.
    pub(super) controller: Option<Controller>,
}

/// Sums of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    tiny: u64,
    large_alloc: [u64; 2],
    large_free: [u64; 2],
    small_alloc: Vec<u64>,
    small_free: Vec<u64>,
}

/// Objects and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    objects: u64,
    bytes: u64,
}

impl Totals {
    /// Reads them.
    ///
    /// Each counter only ever grows but while one of the program's own readers moves counts from one set to another: in the
    /// middle of that, some are there twice. The runtime counts bytes a second time, in `gcController`, right after it has
    /// counted them here. So what is read here is at least what stands there before, and at most what stands there
    /// afterwards; all else is torn, and is read again. Without `gcController`, three readings must follow each other without
    /// a counter that falls or a turn. What can be off: counts of objects by as much as their bytes agree by chance.
    pub(super) fn read(&self, memory: &Memory) -> Result<HeapTotals, Unread> {
        let lag_bytes = self.lag_bytes(memory)?;
        for retry in 0..TRIES {
            let sums = match &self.controller {
                Some(controller) if controller.counts_bytes() => self.between(memory, controller)?,
                _ => self.steady(memory)?,
            };
            if let Some(sums) = sums {
                return Ok(sums.totals(lag_bytes));
            }
            wait(retry);
        }
        Err(Unread::Torn)
    }

    /// A reading that `gcController` confirms.
    fn between(&self, memory: &Memory, controller: &Controller) -> Result<Option<Sums>, Unread> {
        let before = controller.byte_counts(memory)?;
        let (_, sums) = self.sums(memory)?;
        let after = controller.byte_counts(memory)?;
        let read = (sums.allocated().bytes, sums.freed().bytes);
        let is_inside = |before: u64, read: u64, after: u64| before <= read && read <= after;
        let is_whole = is_inside(before.0, read.0, after.0) && is_inside(before.1, read.1, after.1);
        Ok(is_whole.then_some(sums))
    }

    /// A reading between two others, none of which is below the one before.
    fn steady(&self, memory: &Memory) -> Result<Option<Sums>, Unread> {
        let [first, middle, last] = [self.sums(memory)?, self.sums(memory)?, self.sums(memory)?];
        let is_steady = first.0 == last.0 && first.1.is_below(&middle.1) && middle.1.is_below(&last.1);
        Ok(is_steady.then_some(middle.1))
    }

    /// The set that is written to now, and the sums of all.
    fn sums(&self, memory: &Memory) -> Result<(u32, Sums), Unread> {
        let (stats, at_gen) = (self.mstats.stats, self.mstats.r#gen);
        let cut = || Unread::Damaged("the counters of the heap are cut short".to_owned());
        let bytes = self.delta.bytes.checked_mul(DELTAS).ok_or_else(cut)?;
        let data = memory.bytes(self.memstats.wrapping_add(stats), bytes)?;
        let turn = half(&memory.bytes(self.memstats.wrapping_add(at_gen), 4)?, 0).unwrap_or_default();
        if u64::from(turn) >= DELTAS {
            return Err(Unread::Damaged(format!(
                "the counters of the heap are not there: they stand at turn {turn}"
            )));
        }
        let sum = |offset: u64| {
            let at = |delta: u64| number(&data, delta * self.delta.bytes + offset);
            // Moved counts may be taken from a set that has fewer: only the sum means something.
            (0..DELTAS).try_fold(0_u64, |sum, delta| Some(sum.wrapping_add(at(delta)?))).ok_or_else(cut)
        };
        let classes = |offset: u64| -> Result<Vec<u64>, Unread> {
            (0..CLASS_BYTES.len() as u64).map(|class| sum(offset + class * 8)).collect()
        };
        let sums = Sums {
            tiny: sum(self.delta.tiny_alloc_count)?,
            large_alloc: [sum(self.delta.large_alloc_count)?, sum(self.delta.large_alloc)?],
            large_free: [sum(self.delta.large_free_count)?, sum(self.delta.large_free)?],
            small_alloc: classes(self.delta.small_alloc_count)?,
            small_free: classes(self.delta.small_free_count)?,
        };
        Ok((turn, sums))
    }

    /// What all processors may have allocated from their current spans; `None` where their number is not known.
    ///
    /// A span's allocations are counted when its processor has used it up, or gives it back for a collection
    /// (`refill`, `releaseAll` in `runtime/mcache.go`).
    fn lag_bytes(&self, memory: &Memory) -> Result<Option<u64>, Unread> {
        let Some(allp) = self.processors else { return Ok(None) };
        // A slice: address, length, capacity.
        let processors = memory.word(allp.wrapping_add(8))?;
        if processors > MAX_PROCESSORS {
            return Err(Unread::Damaged(format!("{processors} processors are more than a program can have")));
        }
        Ok(Some(processors * SPANS_PER_CLASS * CLASS_SPAN_BYTES.iter().sum::<u64>()))
    }
}

impl Sums {
    fn allocated(&self) -> Amount {
        amount(&self.small_alloc, self.large_alloc)
    }

    fn freed(&self) -> Amount {
        amount(&self.small_free, self.large_free)
    }

    fn all(&self) -> impl Iterator<Item = &u64> {
        let large = self.large_alloc.iter().chain(&self.large_free);
        self.small_alloc.iter().chain(&self.small_free).chain(large).chain([&self.tiny])
    }

    fn is_below(&self, later: &Self) -> bool {
        self.all().zip(later.all()).all(|(before, after)| before <= after)
    }

    /// As the runtime adds them up (`readmemstats_m`): a tiny object counts as allocated and as freed.
    fn totals(&self, lag_bytes: Option<u64>) -> HeapTotals {
        let (allocated, freed) = (self.allocated(), self.freed());
        let small = CLASS_BYTES.iter().zip(&self.small_alloc).skip(1);
        let mut sizes: Vec<SizeClass> =
            small.map(|(&bytes, &objects)| SizeClass { bytes: Some(bytes), objects }).collect();
        sizes.push(SizeClass { bytes: None, objects: self.large_alloc[0] });
        HeapTotals {
            alloc_objects: allocated.objects.saturating_add(self.tiny),
            alloc_bytes: allocated.bytes,
            free_objects: freed.objects.saturating_add(self.tiny),
            free_bytes: freed.bytes,
            tiny_objects: self.tiny,
            sizes,
            lag_bytes,
        }
    }
}

fn amount(small: &[u64], [large_objects, large_bytes]: [u64; 2]) -> Amount {
    let large = Amount { objects: large_objects, bytes: large_bytes };
    small.iter().zip(CLASS_BYTES).fold(large, |sum, (&objects, bytes)| Amount {
        objects: sum.objects.saturating_add(objects),
        bytes: sum.bytes.saturating_add(objects.saturating_mul(bytes)),
    })
}

#[cfg(test)]
mod tests;
