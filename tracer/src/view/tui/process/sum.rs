//! Several processes as one.

use std::collections::BTreeMap;

use crate::model::snapshot::{FunctionTotals, Gc, LifetimeBucket, SizeBucket, Target, TimelinePoint, Totals};
use crate::view::totals::functions;
use crate::view::tui::picture::Picture;

/// What the wanted processes add up to.
pub(super) struct Sum<'a> {
    pub(super) targets: Vec<&'a Target>,
    pub(super) totals: Totals,
    /// Garbage collections of those that tell of them.
    pub(super) gc: Option<Gc>,
    pub(super) resident_bytes: u64,
    pub(super) cpu_seconds: f64,
    /// The most called first.
    pub(super) functions: Vec<(String, FunctionTotals)>,
    pub(super) points: Vec<TimelinePoint>,
}

impl<'a> Sum<'a> {
    pub(super) fn of(picture: &Picture<'a>) -> Self {
        let targets: Vec<&Target> = picture.targets().collect();
        let mut totals = Totals::default();
        let mut calls: BTreeMap<String, FunctionTotals> = BTreeMap::new();
        for target in &targets {
            add(&mut totals, &target.totals);
            for (name, function) in functions(target) {
                let sum = calls.entry(name).or_default();
                sum.calls += function.calls;
                sum.bytes = sum.bytes.saturating_add(function.bytes);
                sum.failed = both(sum.failed, function.failed);
            }
        }
        let mut functions: Vec<(String, FunctionTotals)> = calls.into_iter().collect();
        functions.sort_by_key(|(_, function)| std::cmp::Reverse(function.calls));
        Self {
            gc: targets.iter().filter_map(|target| target.gc.clone()).reduce(collected),
            resident_bytes: targets.iter().map(|target| target.resident_bytes).sum(),
            cpu_seconds: targets.iter().map(|target| target.cpu_seconds).sum(),
            points: points(&targets),
            targets,
            totals,
            functions,
        }
    }
}

/// Their sum, as far as they are known.
pub(super) fn both(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
    }
}

fn add(sum: &mut Totals, other: &Totals) {
    sum.alloc_objects += other.alloc_objects;
    sum.alloc_bytes = sum.alloc_bytes.saturating_add(other.alloc_bytes);
    sum.free_objects = both(sum.free_objects, other.free_objects);
    sum.free_bytes = both(sum.free_bytes, other.free_bytes);
    sum.inuse_objects = both(sum.inuse_objects, other.inuse_objects);
    sum.inuse_bytes = both(sum.inuse_bytes, other.inuse_bytes);
    for (name, error) in &other.standard_error {
        let sum = sum.standard_error.entry(name.clone()).or_default();
        *sum = sum.hypot(*error);
    }
    for bucket in &other.size_histogram {
        match sum.size_histogram.iter_mut().find(|known| known.le == bucket.le) {
            Some(known) => known.count += bucket.count,
            None => sum.size_histogram.push(SizeBucket { ..*bucket }),
        }
    }
    for bucket in other.lifetime_histogram.iter().flatten() {
        let buckets = sum.lifetime_histogram.get_or_insert_default();
        match buckets.iter_mut().find(|known| known.le_seconds == bucket.le_seconds) {
            Some(known) => known.count += bucket.count,
            None => buckets.push(LifetimeBucket { ..*bucket }),
        }
    }
}

/// The collections of two processes; of gauges that have no sum, what both agree on.
fn collected(mut sum: Gc, other: Gc) -> Gc {
    for bucket in &other.pause_histogram {
        match sum.pause_histogram.iter_mut().find(|known| known.le_seconds == bucket.le_seconds) {
            Some(known) => known.count += bucket.count,
            None => sum.pause_histogram.push(*bucket),
        }
    }
    if let Some(stops) = &other.stops {
        sum.stops.get_or_insert_default().add(stops);
    }
    let longest = [sum.longest_pause_seconds, other.longest_pause_seconds];
    Gc {
        cycles: sum.cycles + other.cycles,
        forced_cycles: sum.forced_cycles + other.forced_cycles,
        pause_seconds: sum.pause_seconds + other.pause_seconds,
        longest_pause_seconds: longest.into_iter().flatten().reduce(f64::max),
        pauses_missed: sum.pauses_missed + other.pauses_missed,
        cpu_ratio: None,
        heap_goal_bytes: both(sum.heap_goal_bytes, other.heap_goal_bytes),
        heap_live_bytes: both(sum.heap_live_bytes, other.heap_live_bytes),
        gc_percent: sum.gc_percent.filter(|_| sum.gc_percent == other.gc_percent),
        last_cycle_age_seconds: None,
        ..sum
    }
}

/// At the times of the longest timeline; who was not looked at then, because it had not begun or was over, has nothing.
fn points(targets: &[&Target]) -> Vec<TimelinePoint> {
    let timelines = || targets.iter().filter_map(|target| target.timeline.as_ref());
    let Some(longest) = timelines().max_by_key(|timeline| timeline.points.len()) else { return Vec::new() };
    if targets.len() == 1 {
        return longest.points.clone();
    }
    let at = |seconds: f64| {
        let mut sum = TimelinePoint { seconds, ..TimelinePoint::default() };
        for timeline in timelines() {
            let known = timeline.points.partition_point(|point| point.seconds <= seconds);
            let step = timeline.step_seconds.max(longest.step_seconds);
            let point = known.checked_sub(1).map(|last| timeline.points[last]);
            let Some(point) = point.filter(|point| seconds - point.seconds <= 2.0 * step) else { continue };
            sum.alloc_bytes_per_second += point.alloc_bytes_per_second;
            sum.alloc_objects_per_second += point.alloc_objects_per_second;
            sum.inuse_bytes = both(sum.inuse_bytes, point.inuse_bytes);
            sum.resident_bytes += point.resident_bytes;
        }
        sum
    };
    longest.points.iter().map(|point| at(point.seconds)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::Timeline;
    use crate::view::sample;
    use crate::view::tui::testing::Shown;

    #[test]
    fn processes_add_up_and_those_that_have_ended_do_not_go_on() {
        let mut snapshot = sample::two_targets();
        let point = |seconds: u32, bytes| TimelinePoint {
            seconds: seconds.into(),
            inuse_bytes: Some(bytes),
            resident_bytes: 2 * bytes,
            ..TimelinePoint::default()
        };
        let timeline =
            |points: &[TimelinePoint]| Some(Timeline { step_seconds: 1.0, points: points.to_vec() });
        snapshot.targets[0].timeline = timeline(&[0, 1, 2, 3, 4, 5].map(|at| point(at, 10)));
        snapshot.targets[1].timeline = timeline(&[point(1, 5), point(2, 7)]);
        let mut shown = Shown::new(snapshot);
        let bytes = |shown: &Shown| {
            Sum::of(&shown.picture()).points.iter().filter_map(|point| point.inuse_bytes).collect::<Vec<_>>()
        };
        assert_eq!(bytes(&shown), [10, 15, 17, 17, 17, 10]);
        let picture = shown.picture();
        let sum = Sum::of(&picture);
        assert_eq!((sum.totals.alloc_objects, sum.totals.inuse_objects), (6200, Some(4020)));
        assert_eq!(sum.functions[0].1.calls, 6200);
        shown.pid = Some(4343);
        assert_eq!(bytes(&shown), [5, 7]);
    }
}
