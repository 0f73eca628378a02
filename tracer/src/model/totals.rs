//! Exact counts of a target's slots to its totals.

use std::collections::BTreeMap;
use std::ops::Add;

use tracer_ebpf::histogram::{lifetime_bound_ns, size_bound_bytes};

use super::estimate::{Estimate, Estimates};
use super::snapshot::{
    Allocator, AllocatorTotals, FunctionTotals, LifetimeBucket, SizeBucket, Target, Totals,
};
use super::{Moment, SlotState, Source, TargetState};
use crate::collect::FunctionCounts;
use crate::mode::Mode;

/// The target with its totals, and its allocators with theirs.
pub(super) fn fill(state: &TargetState, moment: &Moment) -> Target {
    let mut target = Target { totals: totals(state, moment), ..state.target.clone() };
    // An image that has the allocator of an earlier one (a fork's exec, a server's reload) goes on with it.
    for slot in &state.slots {
        for (index, allocator) in slot.allocators.iter().enumerate() {
            let totals = of_allocator(slot, index);
            let is_same = |other: &&mut Allocator| {
                (&other.name, &other.object, &other.prefix)
                    == (&allocator.name, &allocator.object, &allocator.prefix)
            };
            match target.allocators.iter_mut().find(is_same) {
                Some(known) => {
                    let totals = known.totals.take().unwrap_or_default() + totals;
                    *known = Allocator { totals: Some(totals), ..allocator.clone() };
                }
                None => target.allocators.push(Allocator { totals: Some(totals), ..allocator.clone() }),
            }
        }
    }
    target
}

fn totals(state: &TargetState, moment: &Moment) -> Totals {
    let live = state.mode() == Mode::Live;
    let probed = || state.slots.iter().filter(|slot| slot.source == Source::Probes);
    let was_sampled = probed().any(|slot| slot.was_sampled);
    let sum = state
        .slots
        .iter()
        .flat_map(|slot| (0..slot.allocators.len().max(1)).map(|index| of_allocator(slot, index)))
        .fold(AllocatorTotals::default(), Add::add);
    let (in_use, freed) = estimates(state, moment);
    let mut totals = Totals {
        alloc_objects: sum.alloc_objects,
        alloc_bytes: sum.alloc_bytes,
        free_objects: sum.free_objects,
        free_bytes: sum.free_bytes,
        inuse_objects: live.then(|| in_use.inuse_objects.rounded()),
        inuse_bytes: live.then(|| in_use.inuse_bytes.rounded()),
        standard_error: BTreeMap::new(),
        by_function: sum.by_function,
        size_histogram: sizes(state),
        lifetime_histogram: live.then(|| lifetimes(state)),
    };
    // What mode `live` has counted before stays known in mode `alloc`.
    let has_followed = probed().any(|slot| slot.mode == Mode::Live);
    if has_followed && was_sampled {
        totals.free_bytes = Some(freed.free_bytes.rounded());
        let of_blocks = [("inuse_objects", in_use.inuse_objects), ("inuse_bytes", in_use.inuse_bytes)];
        totals.standard_error = of_blocks
            .into_iter()
            .filter(|_| live)
            .chain([("free_bytes", freed.free_bytes)])
            .map(|(name, estimate)| (name.to_owned(), estimate.standard_error()))
            .collect();
    }
    totals
}

/// Sums of one allocator of one image.
fn of_allocator(slot: &SlotState, index: usize) -> AllocatorTotals {
    let live = slot.mode == Mode::Live;
    let of = |free: bool| slot.functions_that(free).filter(move |(function, _)| function.allocator == index);
    let moved = |value: fn(&FunctionCounts) -> u64| of(false).map(move |(_, counts)| value(counts));
    let sum = |values: &mut dyn Iterator<Item = u64>| values.fold(0, u64::wrapping_add);
    let free_objects =
        sum(&mut of(true).map(|(_, counts)| counts.calls).chain(moved(|counts| counts.moved_objects)));
    let free_bytes =
        sum(&mut of(true).map(|(_, counts)| counts.bytes).chain(moved(|counts| counts.moved_bytes)));
    let functions = of(false).chain(of(true)).map(|(function, counts)| {
        let is_seen = live && slot.source == Source::Probes && !function.frees;
        let failed = is_seen.then_some(counts.failed);
        (function.name.clone(), FunctionTotals { calls: counts.calls, bytes: counts.bytes, failed })
    });
    AllocatorTotals {
        alloc_objects: sum(&mut of(false).map(|(_, counts)| counts.calls)),
        alloc_bytes: sum(&mut of(false).map(|(_, counts)| counts.bytes)),
        free_objects: live.then_some(free_objects),
        free_bytes: (live && (!slot.was_sampled || slot.source != Source::Probes)).then_some(free_bytes),
        by_function: functions.collect(),
    }
}

impl Add for AllocatorTotals {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for (name, counts) in other.by_function {
            let entry = self.by_function.entry(name).or_default();
            entry.calls += counts.calls;
            entry.bytes = entry.bytes.wrapping_add(counts.bytes);
            entry.failed = plus(entry.failed, counts.failed);
        }
        Self {
            alloc_objects: self.alloc_objects + other.alloc_objects,
            alloc_bytes: self.alloc_bytes.wrapping_add(other.alloc_bytes),
            free_objects: plus(self.free_objects, other.free_objects),
            free_bytes: plus(self.free_bytes, other.free_bytes),
            by_function: self.by_function,
        }
    }
}

/// What is known of either.
fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.zip(b).map(|(a, b)| a.wrapping_add(b)).or(a).or(b)
}

/// What the sites of the last image hold, and what those of all images have freed.
fn estimates(state: &TargetState, moment: &Moment) -> (Estimates, Estimates) {
    let of = |wanted: &dyn Fn(&SlotState) -> bool| {
        let slots = state.slots.iter().filter(|slot| wanted(slot));
        slots.map(|slot| of_slot(slot, moment)).fold(Estimates::default(), Estimates::add)
    };
    // Probes in mode `alloc` see nothing end: what is in use is what a runtime beside them says.
    let holds = |slot: &SlotState| slot.source != Source::Probes || slot.mode == Mode::Live;
    (of(&|slot| slot.is_last_image && holds(slot)), of(&|_| true))
}

/// What the sites of a slot hold and have freed; a runtime knows that without them.
fn of_slot(slot: &SlotState, moment: &Moment) -> Estimates {
    let exact = |value: u64| Estimate { value: value as f64, variance: 0.0 };
    match slot.source {
        Source::Probes => moment.sums.slot(slot.index),
        Source::Runtime { in_use: (objects, bytes), .. } => {
            let freed = slot.functions_that(true).fold((0, 0), |sum: (u64, u64), (_, counts)| {
                (sum.0 + counts.calls, sum.1.wrapping_add(counts.bytes))
            });
            Estimates {
                inuse_objects: exact(objects),
                inuse_bytes: exact(bytes),
                free_objects: exact(freed.0),
                free_bytes: exact(freed.1),
                ..Estimates::default()
            }
        }
    }
}

/// Adds the slots' histograms, up to the last bucket that holds something.
fn histogram(state: &TargetState, values: fn(&SlotState) -> &[u64]) -> Vec<u64> {
    let mut sums = vec![0; state.slots.iter().map(|slot| values(slot).len()).max().unwrap_or(0)];
    for slot in &state.slots {
        for (sum, value) in sums.iter_mut().zip(values(slot)) {
            *sum += value;
        }
    }
    let used = sums.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
    sums.truncate(used);
    sums
}

fn sizes(state: &TargetState) -> Vec<SizeBucket> {
    let counts = histogram(state, |slot| &slot.counts.sizes);
    counts
        .iter()
        .enumerate()
        .map(|(bucket, &count)| SizeBucket { le: size_bound_bytes(bucket), count })
        .collect()
}

fn lifetimes(state: &TargetState) -> Vec<LifetimeBucket> {
    let counts = histogram(state, |slot| &slot.counts.lifetimes);
    let bound = |bucket| lifetime_bound_ns(bucket).map(|ns| ns as f64 * 1e-9);
    counts
        .iter()
        .enumerate()
        .map(|(bucket, &count)| LifetimeBucket { le_seconds: bound(bucket), count })
        .collect()
}
