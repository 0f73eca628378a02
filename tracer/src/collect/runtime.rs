//! What Go's runtime says, counted from when counting began: exact totals, samples that `model::estimate` turns into numbers,
//! pauses.

use std::collections::HashMap;

use tracer_ebpf::abi::Counter;
use tracer_ebpf::histogram::{LIFETIME_BUCKETS, SIZE_BUCKETS, size_bucket};

use super::{FunctionCounts, SlotCounts};
use crate::go::{Bucket, GcState, HeapProfile, HeapTotals, SizeClass};

/// Of a tiny object (`maxTinySize` of Go's runtime/sizeclasses.go, less one).
const TINY_BYTES_MAX: u64 = 15;
/// Changes of the interval after which samples are still told apart: a program sets its rate once, or now and then by hand.
const CLOSED_MAX: usize = 8;

/// The samples of one call stack of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfiledSite {
    /// The key of its stack.
    pub key: u64,
    /// The number of its image.
    pub slot: u32,
    /// Its sizes, each once.
    pub sizes: Vec<ProfiledSize>,
}

/// Samples of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfiledSize {
    /// Bytes of each object.
    pub size_bytes: u64,
    /// Mean bytes between samples; 1 or less is every allocation.
    pub interval_bytes: u64,
    /// Allocations that were sampled.
    pub allocated: u64,
    /// Sampled objects that were found dead.
    pub freed: u64,
    /// Sampled objects that are live, whenever they were allocated.
    pub live: u64,
}

/// What of a profile [`profiled`] counts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Allocated and freed samples by the bucket's address.
    samples: HashMap<u64, (u64, u64)>,
    /// Samples of times when their interval was another one.
    closed: Vec<Closed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Closed {
    interval_bytes: u64,
    /// As in [`Marks`].
    samples: HashMap<u64, (u64, u64)>,
}

impl Marks {
    /// Counts from this reading on.
    #[must_use]
    pub fn of(profile: &HeapProfile) -> Self {
        let samples = profile.buckets.iter().map(|bucket| (bucket.address, (bucket.allocated, bucket.freed)));
        Self { samples: samples.collect(), closed: Vec::new() }
    }

    /// The program samples at another interval from now on: what came up to the last reading keeps that of then. `false`: that
    /// was so too often, and what comes is weighed with what is there.
    pub fn close(&mut self, last: &HeapProfile) -> bool {
        if self.closed.len() >= CLOSED_MAX {
            return false;
        }
        let new = last.buckets.iter().map(|bucket| (bucket.address, self.since(bucket)));
        let samples = new.filter(|&(_, since)| since != (0, 0)).collect();
        self.closed.push(Closed { interval_bytes: last.interval_bytes, samples });
        self.samples = Self::of(last).samples;
        true
    }

    /// Allocated and freed samples of a bucket.
    fn since(&self, bucket: &Bucket) -> (u64, u64) {
        let (allocated, freed) = self.samples.get(&bucket.address).copied().unwrap_or_default();
        (bucket.allocated.saturating_sub(allocated), bucket.freed.saturating_sub(freed))
    }
}

/// Samples by call stack since an earlier reading, with what is live now. `key_of` is the key of a bucket's stack.
#[must_use]
pub fn profiled(
    now: &HeapProfile,
    start: &Marks,
    slot: u32,
    key_of: impl Fn(&Bucket) -> u64,
) -> Vec<ProfiledSite> {
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut sites: Vec<ProfiledSite> = Vec::new();
    for bucket in &now.buckets {
        let sized = |interval_bytes, (allocated, freed), live| ProfiledSize {
            size_bytes: bucket.size_bytes,
            interval_bytes,
            allocated,
            freed,
            live,
        };
        let closed = start.closed.iter().filter_map(|closed| {
            Some(sized(closed.interval_bytes, *closed.samples.get(&bucket.address)?, 0))
        });
        let present = sized(now.interval_bytes, start.since(bucket), bucket.live);
        let mut sizes = closed.chain([present]).filter(|size| size.allocated > 0 || size.live > 0).peekable();
        if sizes.peek().is_none() {
            continue;
        }
        let key = key_of(bucket);
        let place = *places.entry(key).or_insert_with(|| {
            sites.push(ProfiledSite { key, slot, sizes: Vec::new() });
            sites.len() - 1
        });
        sites[place].sizes.extend(sizes);
    }
    sites
}

/// Totals since an earlier reading, as those of a slot with two functions: the one that allocates, and the sweep. `sizes` are
/// those that [`add_sizes`] has added up since then.
#[must_use]
pub fn slot_counts(now: &HeapTotals, start: &HeapTotals, sizes: &[u64]) -> SlotCounts {
    let counts = |calls: u64, bytes: u64| FunctionCounts { calls, bytes, ..FunctionCounts::default() };
    SlotCounts {
        functions: vec![
            counts(
                now.alloc_objects.saturating_sub(start.alloc_objects),
                now.alloc_bytes.saturating_sub(start.alloc_bytes),
            ),
            counts(
                now.free_objects.saturating_sub(start.free_objects),
                now.free_bytes.saturating_sub(start.free_bytes),
            ),
        ],
        events: vec![0; Counter::ALL.len()],
        sizes: sizes.to_vec(),
        lifetimes: vec![0; LIFETIME_BUCKETS],
    }
}

/// No allocation of any size.
#[must_use]
pub fn no_sizes() -> Vec<u64> {
    vec![0; SIZE_BUCKETS]
}

/// Adds the allocations between two readings to a histogram of sizes. Of the large ones only the sum of their bytes is known: they
/// are as large as their mean. Tiny ones have less than 16 bytes.
pub fn add_sizes(sizes: &mut [u64], now: &HeapTotals, before: &HeapTotals) {
    let mut add = |bytes: u64, objects: u64| {
        if let Some(count) = sizes.get_mut(size_bucket(bytes)) {
            *count += objects;
        }
    };
    for class in &now.sizes {
        let known = before.sizes.iter().find(|other| other.bytes == class.bytes);
        let objects = class.objects.saturating_sub(known.map_or(0, |class| class.objects));
        if let Some(bytes) = class.bytes.or_else(|| large_bytes(now, before).checked_div(objects)) {
            add(bytes, objects);
        }
    }
    add(TINY_BYTES_MAX, now.tiny_objects.saturating_sub(before.tiny_objects));
}

/// Bytes of objects without a size class.
fn large_bytes(now: &HeapTotals, start: &HeapTotals) -> u64 {
    let of_classes = |totals: &HeapTotals| {
        let bytes = |class: &SizeClass| class.bytes.unwrap_or(0).saturating_mul(class.objects);
        totals.sizes.iter().map(bytes).fold(0, u64::saturating_add)
    };
    let all = now.alloc_bytes.saturating_sub(start.alloc_bytes);
    all.saturating_sub(of_classes(now).saturating_sub(of_classes(start)))
}

/// The pauses of all cycles that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// Each, in nanoseconds, by how many cycles had it: they are told apart by the histogram that reads them.
    pub buckets: Vec<u64>,
    /// Of one cycle.
    pub longest_ns: Option<u64>,
    /// Cycles that had left the runtime's ring of 256 before it was read.
    pub missed: u64,
    /// The last cycle that is in the numbers.
    last_cycle: u32,
}

impl Pauses {
    /// Counts from this reading on.
    #[must_use]
    pub fn from(gc: &GcState, bounds: usize) -> Self {
        Self { buckets: vec![0; bounds + 1], last_cycle: gc.cycles, ..Self::default() }
    }

    /// Takes the cycles that are new. `bounds_seconds` are the inclusive upper bounds of the buckets.
    pub fn take(&mut self, gc: &GcState, bounds_seconds: &[f64]) {
        let new = gc.cycles.saturating_sub(self.last_cycle);
        let mut seen = 0;
        for pause in gc.pauses.iter().filter(|pause| pause.cycle > self.last_cycle) {
            seen += 1;
            let seconds = pause.nanoseconds as f64 * 1e-9;
            let bucket = bounds_seconds.partition_point(|&bound| bound < seconds);
            if let Some(count) = self.buckets.get_mut(bucket) {
                *count += 1;
            }
            self.longest_ns = self.longest_ns.max(Some(pause.nanoseconds));
        }
        self.missed += u64::from(new.saturating_sub(seen));
        self.last_cycle = gc.cycles.max(self.last_cycle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::Pause;

    fn bucket(address: u64, size_bytes: u64, allocated: u64, freed: u64, live: u64) -> Bucket {
        Bucket { address, size_bytes, allocated, freed, live, stack: [address / 10].into() }
    }

    #[test]
    fn samples_count_from_the_start_and_what_is_live_counts_whole() {
        let profile = |buckets| HeapProfile { interval_bytes: 512, buckets, ..HeapProfile::default() };
        let before = profile(vec![bucket(10, 48, 5, 1, 3), bucket(20, 96, 7, 7, 0)]);
        let now = profile(vec![
            bucket(10, 48, 9, 2, 6),
            bucket(11, 64, 2, 0, 2),
            bucket(20, 96, 7, 7, 0),
            bucket(30, 8, 1, 1, 0),
        ]);
        let sites = profiled(&now, &Marks::of(&before), 3, |bucket| bucket.stack[0]);
        let size = |size_bytes, allocated, freed, live| ProfiledSize {
            size_bytes,
            interval_bytes: 512,
            allocated,
            freed,
            live,
        };
        assert_eq!(
            sites,
            [
                // Two sizes of one stack are one site.
                ProfiledSite { key: 1, slot: 3, sizes: vec![size(48, 4, 1, 6), size(64, 2, 0, 2)] },
                ProfiledSite { key: 3, slot: 3, sizes: vec![size(8, 1, 1, 0)] },
            ]
        );
    }

    #[test]
    fn samples_keep_the_interval_of_their_time() {
        let profile =
            |interval_bytes, buckets| HeapProfile { interval_bytes, buckets, ..HeapProfile::default() };
        let mut marks = Marks::of(&profile(512, vec![bucket(10, 48, 5, 1, 3)]));
        assert!(marks.close(&profile(512, vec![bucket(10, 48, 9, 2, 6)])));
        let now = profile(4096, vec![bucket(10, 48, 20, 3, 8), bucket(20, 64, 1, 0, 1)]);
        let sites = profiled(&now, &marks, 3, |bucket| bucket.stack[0]);
        let sizes: Vec<_> = sites
            .iter()
            .flat_map(|site| &site.sizes)
            .map(|size| (size.interval_bytes, size.allocated, size.freed, size.live))
            .collect();
        assert_eq!(sizes, [(512, 4, 1, 0), (4096, 11, 1, 8), (4096, 1, 0, 1)]);
        let closed = (0..2 * CLOSED_MAX).filter(|_| marks.close(&now)).count();
        assert_eq!(closed, CLOSED_MAX - 1, "one was there");
    }

    #[test]
    fn totals_count_from_the_start_and_large_objects_are_as_large_as_their_mean() {
        let class = |bytes, objects| SizeClass { bytes, objects };
        let start = HeapTotals {
            alloc_objects: 10,
            alloc_bytes: 1000,
            free_objects: 4,
            free_bytes: 300,
            sizes: vec![class(Some(48), 5), class(None, 0)],
            ..HeapTotals::default()
        };
        let now = HeapTotals {
            alloc_objects: 15,
            alloc_bytes: 1000 + 3 * 48 + 2 * 40_000,
            free_objects: 6,
            free_bytes: 400,
            tiny_objects: 6,
            sizes: vec![class(Some(48), 8), class(None, 2)],
            ..HeapTotals::default()
        };
        let mut sizes = no_sizes();
        add_sizes(&mut sizes, &now, &start);
        let later = HeapTotals {
            alloc_bytes: now.alloc_bytes + 200_000,
            sizes: vec![class(Some(48), 8), class(None, 3)],
            ..now.clone()
        };
        add_sizes(&mut sizes, &later, &now);
        let counts = slot_counts(&now, &start, &sizes);
        let functions: Vec<_> =
            counts.functions.iter().map(|function| (function.calls, function.bytes)).collect();
        assert_eq!(functions, [(5, 80_144), (2, 100)]);
        let sizes: Vec<_> = counts
            .sizes
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(at, &n)| (at, n))
            .collect();
        // What is counted stays where it is, whatever is allocated later.
        assert_eq!(
            sizes,
            [(size_bucket(15), 6), (size_bucket(48), 3), (size_bucket(40_000), 2), (size_bucket(200_000), 1)]
        );
    }

    #[test]
    fn pauses_are_counted_once_and_those_that_left_the_ring_are_said() {
        let bounds = [1e-3, 5e-3];
        let pause =
            |cycle, micros: u64| Pause { cycle, nanoseconds: micros * 1000, end_unix_ns: u64::from(cycle) };
        let gc = |cycles, pauses| GcState { cycles, pauses, ..GcState::default() };
        let mut pauses = Pauses::from(&gc(7, vec![pause(7, 100)]), bounds.len());
        pauses.take(&gc(9, vec![pause(7, 100), pause(8, 1000), pause(9, 7000)]), &bounds);
        pauses.take(&gc(9, vec![pause(9, 7000)]), &bounds);
        assert_eq!(
            (pauses.buckets.as_slice(), pauses.longest_ns, pauses.missed),
            (&[1, 0, 1][..], Some(7_000_000), 0)
        );
        pauses.take(&gc(309, vec![pause(308, 2000), pause(309, 2000)]), &bounds);
        assert_eq!((pauses.buckets.as_slice(), pauses.missed), (&[1, 2, 1][..], 298));
    }
}
