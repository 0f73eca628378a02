//! Exact counts of a target's slots to its totals.

use std::collections::BTreeMap;

use tracer_ebpf::histogram::{lifetime_bound_ns, size_bound_bytes};

use super::snapshot::{FunctionTotals, LifetimeBucket, SizeBucket, Target, Totals};
use super::{Moment, SlotState, TargetState};
use crate::mode::Mode;

/// The target with its totals.
pub(super) fn fill(state: &TargetState, moment: &Moment) -> Target {
    Target { totals: totals(state, moment), ..state.target.clone() }
}

fn totals(state: &TargetState, moment: &Moment) -> Totals {
    let live = moment.mode == Mode::Live;
    let sum = |value: fn(&SlotState) -> u64| state.slots.iter().map(value).sum::<u64>();
    let by_function = by_function(state, live);
    let allocated = |value: fn(&tracer_ebpf::abi::FunctionTotals) -> u64| -> u64 {
        let slots = state.slots.iter();
        slots
            .flat_map(|slot| slot.functions.iter().zip(&slot.counts.functions))
            .filter(|((_, frees), _)| !frees)
            .map(|(_, totals)| value(totals))
            .fold(0, u64::wrapping_add)
    };
    let (inuse_objects, inuse_bytes) = in_use(state, moment);
    Totals {
        alloc_objects: allocated(|totals| totals.calls),
        alloc_bytes: allocated(|totals| totals.bytes),
        free_objects: live.then(|| sum(|slot| slot.counts.free_objects)),
        free_bytes: live.then(|| sum(|slot| slot.counts.free_bytes)),
        inuse_objects: live.then_some(inuse_objects),
        inuse_bytes: live.then_some(inuse_bytes),
        standard_error: BTreeMap::new(),
        by_function,
        size_histogram: sizes(state),
        lifetime_histogram: live.then(|| lifetimes(state)),
    }
}

/// What the sites of the last image hold.
fn in_use(state: &TargetState, moment: &Moment) -> (u64, u64) {
    let is_ours = |slot: u32| state.slots.iter().any(|ours| ours.index == slot && ours.is_last_image);
    moment
        .sites
        .iter()
        .filter(|site| is_ours(site.slot))
        .fold((0, 0), |(objects, bytes), site| (objects + site.inuse_objects, bytes + site.inuse_bytes))
}

fn by_function(state: &TargetState, live: bool) -> BTreeMap<String, FunctionTotals> {
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
