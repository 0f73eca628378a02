//! Exact counts of a target's slots to its totals.

use std::collections::BTreeMap;
use std::ops::Add;

use tracer_ebpf::histogram::{lifetime_bound_ns, size_bound_bytes};

use super::estimate::Estimates;
use super::snapshot::{FunctionTotals, LifetimeBucket, SizeBucket, Target, Totals};
use super::{Moment, SlotState, TargetState};
use crate::collect::FunctionCounts;
use crate::mode::Mode;

/// The target with its totals.
pub(super) fn fill(state: &TargetState, moment: &Moment) -> Target {
    Target { totals: totals(state, moment), ..state.target.clone() }
}

fn totals(state: &TargetState, moment: &Moment) -> Totals {
    let live = moment.mode == Mode::Live;
    let allocated = |value: fn(&FunctionCounts) -> u64| of_functions(state, false, value);
    let moved = |value: fn(&SlotState) -> u64| state.slots.iter().map(value).sum::<u64>();
    let free_objects =
        of_functions(state, true, |totals| totals.calls) + moved(|slot| slot.counts.moved_objects);
    let (in_use, freed) = estimates(state, moment);
    let mut totals = Totals {
        alloc_objects: allocated(|totals| totals.calls),
        alloc_bytes: allocated(|totals| totals.bytes),
        free_objects: live.then_some(free_objects),
        free_bytes: live.then(|| {
            of_functions(state, true, |totals| totals.bytes)
                .wrapping_add(moved(|slot| slot.counts.moved_bytes))
        }),
        inuse_objects: live.then(|| in_use.inuse_objects.rounded()),
        inuse_bytes: live.then(|| in_use.inuse_bytes.rounded()),
        standard_error: BTreeMap::new(),
        by_function: by_function(state, moment),
        size_histogram: sizes(state),
        lifetime_histogram: live.then(|| lifetimes(state)),
    };
    if live && moment.was_sampled {
        totals.free_bytes = Some(freed.free_bytes.rounded());
        totals.standard_error = [
            ("free_bytes", freed.free_bytes),
            ("inuse_objects", in_use.inuse_objects),
            ("inuse_bytes", in_use.inuse_bytes),
        ]
        .into_iter()
        .map(|(name, estimate)| (name.to_owned(), estimate.standard_error()))
        .collect();
    }
    totals
}

/// Sum over the functions that free, or those that allocate.
fn of_functions(state: &TargetState, freeing: bool, value: fn(&FunctionCounts) -> u64) -> u64 {
    let slots = state.slots.iter();
    slots
        .flat_map(|slot| slot.functions.iter().zip(&slot.counts.functions))
        .filter(|((_, frees), _)| *frees == freeing)
        .map(|(_, totals)| value(totals))
        .fold(0, u64::wrapping_add)
}

/// What the sites of the last image hold, and what those of all images have freed.
fn estimates(state: &TargetState, moment: &Moment) -> (Estimates, Estimates) {
    let of = |wanted: &dyn Fn(&SlotState) -> bool| {
        let is_wanted = |slot: u32| state.slots.iter().any(|ours| ours.index == slot && wanted(ours));
        let sites = moment.sites.iter().filter(|site| is_wanted(site.slot));
        sites.map(Estimates::of).fold(Estimates::default(), Estimates::add)
    };
    (of(&|slot| slot.is_last_image), of(&|_| true))
}

fn by_function(state: &TargetState, moment: &Moment) -> BTreeMap<String, FunctionTotals> {
    let live = moment.mode == Mode::Live;
    let mut by_function: BTreeMap<String, FunctionTotals> = BTreeMap::new();
    for slot in &state.slots {
        for ((name, frees), counts) in slot.functions.iter().zip(&slot.counts.functions) {
            let entry = by_function.entry(name.clone()).or_default();
            entry.calls += counts.calls;
            entry.bytes = entry.bytes.wrapping_add(counts.bytes);
            if live && !frees {
                entry.failed = Some(entry.failed.unwrap_or(0) + counts.failed);
            }
        }
    }
    by_function
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
