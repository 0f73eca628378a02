//! Garbage collections of a label set: what processes have added to its counters, and the means and sums of those that are
//! there.

use crate::model::node::GcCounts;
use crate::model::snapshot::{Gc, PAUSE_BOUNDS_SECONDS, WorldStops};
use crate::model::tally::Tally;

/// Adds what a process's collector has done since its last look; nothing if its runtime does not tell.
pub(super) fn add(counts: &mut Option<GcCounts>, now: Option<&Gc>, last: Option<&Gc>) {
    let Some(now) = now else { return };
    let counts = counts.get_or_insert_default();
    let before = |value: fn(&Gc) -> u64| last.map_or(0, value);
    let added = |value: fn(&Gc) -> u64| value(now).saturating_sub(before(value));
    counts.cycles += added(|gc| gc.cycles);
    counts.forced_cycles += added(|gc| gc.forced_cycles);
    counts.pauses_missed += added(|gc| gc.pauses_missed);
    counts.pause_seconds += (now.pause_seconds - last.map_or(0.0, |gc| gc.pause_seconds)).max(0.0);
    add_stops(counts, now.stops.as_ref(), last.and_then(|last| last.stops.as_ref()));
    let (now, last) = (buckets(Some(now)), buckets(last));
    for (sum, (now, last)) in counts.pauses.iter_mut().zip(now.into_iter().zip(last)) {
        *sum += now.saturating_sub(last);
    }
}

/// The same of the stops of the world.
fn add_stops(counts: &mut GcCounts, now: Option<&WorldStops>, last: Option<&WorldStops>) {
    let Some(now) = now else { return };
    for (reason, sums) in &now.by_reason {
        let before = last.and_then(|last| last.by_reason.get(reason)).cloned().unwrap_or_default();
        let own = counts.stops.entry(reason.clone()).or_default();
        own.count += sums.count.saturating_sub(before.count);
        own.seconds += (sums.seconds - before.seconds).max(0.0);
        own.histogram.resize(own.histogram.len().max(sums.histogram.len()), 0);
        let before = before.histogram.into_iter().chain(std::iter::repeat(0));
        for (sum, (now, before)) in own.histogram.iter_mut().zip(sums.histogram.iter().zip(before)) {
            *sum += now.saturating_sub(before);
        }
    }
    for (cause, count) in &now.causes {
        let before = last.and_then(|last| last.causes.get(cause)).copied().unwrap_or(0);
        *counts.causes.entry(cause.clone()).or_insert(0) += count.saturating_sub(before);
    }
}

/// The pauses of a process in the buckets that every process has.
fn buckets(gc: Option<&Gc>) -> [u64; PAUSE_BOUNDS_SECONDS.len() + 1] {
    let mut counts = [0; PAUSE_BOUNDS_SECONDS.len() + 1];
    for bucket in gc.into_iter().flat_map(|gc| &gc.pause_histogram) {
        let at = bucket.le_seconds.map_or(PAUSE_BOUNDS_SECONDS.len(), |le| {
            PAUSE_BOUNDS_SECONDS.partition_point(|&bound| bound < le)
        });
        if let Some(count) = counts.get_mut(at) {
            *count += bucket.count;
        }
    }
    counts
}

/// Of the processes that know their share.
pub(super) fn mean_cpu_ratio<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Option<f64> {
    let ratios = tallies.filter_map(|tally| tally.gc.as_ref()?.cpu_ratio);
    let (sum, count) = ratios.fold((0.0, 0_u32), |(sum, count), ratio| (sum + ratio, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Of those that know it.
pub(super) fn sum<'a>(
    tallies: impl Iterator<Item = &'a Tally>,
    value: fn(&Gc) -> Option<u64>,
) -> Option<u64> {
    tallies.filter_map(|tally| value(tally.gc.as_ref()?)).reduce(u64::saturating_add)
}
