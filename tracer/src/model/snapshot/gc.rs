//! The part of the JSON document that says what a garbage collector did.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::frame::Frame;

/// The garbage collections of a process since the attach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gc {
    /// Finished cycles.
    pub cycles: u64,
    /// Those that the program asked for.
    pub forced_cycles: u64,
    /// Sum of the pauses.
    pub pause_seconds: f64,
    /// The longest pause of a cycle; `None` without a cycle.
    pub longest_pause_seconds: Option<f64>,
    /// Pauses of cycles, not cumulative.
    pub pause_histogram: Vec<PauseBucket>,
    /// Cycles whose pause was not seen: more than 256 between two looks.
    pub pauses_missed: u64,
    /// Share of the CPU time that the process could have had which collections took; `None` before the first cycle.
    pub cpu_ratio: Option<f64>,
    /// The heap at which the next cycle is to end.
    pub heap_goal_bytes: Option<u64>,
    /// What the last cycle found live.
    pub heap_live_bytes: Option<u64>,
    /// `GOGC`; negative is off.
    pub gc_percent: Option<i32>,
    /// Age of the last finished cycle; `None` if there was none since the process began.
    pub last_cycle_age_seconds: Option<f64>,
    /// Each stop of the world by itself, as probes see it; `None` where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops: Option<WorldStops>,
}

/// The stops of the world of a process, from the entry of `stopTheWorldWithSema` to that of `startTheWorldWithSema`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorldStops {
    /// By reason, as the runtime calls it (`stwReason` in Go's runtime/proc.go); reasons without a stop are not here.
    pub by_reason: BTreeMap<String, StopSums>,
    /// Collections by cause: `heap`, `time`, `forced`, `unknown`; all of them begin with a stop.
    pub causes: BTreeMap<String, u64>,
    /// From here on a stop is a long one.
    pub threshold_seconds: f64,
    /// The longest of the long ones, the first first; 32 at most.
    pub long: Vec<LongStop>,
    /// Long ones that are not here: shorter than those, or lost on the way.
    pub long_dropped: u64,
}

/// Stops with one reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StopSums {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub seconds: f64,
    /// By duration, not cumulative: up to each of [`PAUSE_BOUNDS_SECONDS`], and above the last.
    pub histogram: Vec<u64>,
}

/// A stop that took long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LongStop {
    /// When it began.
    pub at: jiff::Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// Why the world was stopped.
    pub reason: String,
    /// Why the collection runs; `None` if that is unknown, or it is none.
    pub cause: Option<String>,
    /// What the collector took for live when the stop began (`heapLive`).
    pub heap_before_bytes: Option<u64>,
    /// The same when the world went on: after the end of the marking that is what was found live.
    pub heap_after_bytes: Option<u64>,
    /// Who asked for the collection, or for the stop, leaf first.
    pub frames: Vec<Arc<Frame>>,
    /// Why the stack ends before the goroutine's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<String>,
}

/// Long stops that are kept.
pub const LONG_STOPS_MAX: usize = 32;

impl WorldStops {
    /// Takes in those of another image, or process.
    pub fn add(&mut self, other: &Self) {
        for (reason, sums) in &other.by_reason {
            let own = self.by_reason.entry(reason.clone()).or_default();
            own.count += sums.count;
            own.seconds += sums.seconds;
            own.histogram.resize(own.histogram.len().max(sums.histogram.len()), 0);
            own.histogram.iter_mut().zip(&sums.histogram).for_each(|(own, count)| *own += count);
        }
        for (cause, count) in &other.causes {
            *self.causes.entry(cause.clone()).or_insert(0) += count;
        }
        self.threshold_seconds = self.threshold_seconds.max(other.threshold_seconds);
        self.long_dropped += other.long_dropped;
        self.long.extend(other.long.iter().cloned());
        self.long_dropped += keep_longest(&mut self.long, |stop| stop.seconds);
        self.long.sort_by_key(|stop| stop.at);
    }

    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.by_reason.values().map(|sums| sums.count).sum()
    }
}

/// Leaves the [`LONG_STOPS_MAX`] longest, in their order; how many were left out.
pub fn keep_longest<T>(stops: &mut Vec<T>, seconds: impl Fn(&T) -> f64) -> u64 {
    let mut dropped = 0;
    while stops.len() > LONG_STOPS_MAX {
        let shortest = stops.iter().enumerate().min_by(|a, b| seconds(a.1).total_cmp(&seconds(b.1)));
        let Some((at, _)) = shortest else { break };
        stops.remove(at);
        dropped += 1;
    }
    dropped
}

impl Gc {
    /// With what an earlier image of the process has counted.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        self.cycles += earlier.cycles;
        self.forced_cycles += earlier.forced_cycles;
        self.pause_seconds += earlier.pause_seconds;
        self.pauses_missed += earlier.pauses_missed;
        let longest = [self.longest_pause_seconds, earlier.longest_pause_seconds];
        self.longest_pause_seconds = longest.into_iter().flatten().reduce(f64::max);
        for (bucket, before) in self.pause_histogram.iter_mut().zip(&earlier.pause_histogram) {
            bucket.count += before.count;
        }
        if let Some(stops) = &earlier.stops {
            self.stops.get_or_insert_default().add(stops);
        }
        self
    }
}

/// Pauses up to `le_seconds` and above the bound before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PauseBucket {
    /// Inclusive bound; `None` is without bound.
    pub le_seconds: Option<f64>,
    /// Cycles.
    pub count: u64,
}

/// Upper bounds of the pauses' buckets in seconds: those that `tracer_gc_pause_seconds` has too.
pub const PAUSE_BOUNDS_SECONDS: [f64; 15] = [
    10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stops_are_kept_and_the_others_counted() {
        let stops = |seconds: std::ops::Range<u32>| WorldStops {
            long: seconds
                .map(|number| LongStop {
                    at: jiff::Timestamp::UNIX_EPOCH,
                    seconds: f64::from(number),
                    reason: "GOMAXPROCS".to_owned(),
                    cause: None,
                    heap_before_bytes: None,
                    heap_after_bytes: None,
                    frames: Vec::new(),
                    truncated: None,
                })
                .collect(),
            by_reason: BTreeMap::from([(
                "GOMAXPROCS".to_owned(),
                StopSums { count: 20, seconds: 1.0, histogram: vec![20] },
            )]),
            ..WorldStops::default()
        };
        let mut sum = stops(0..20);
        sum.add(&stops(20..40));
        assert_eq!((sum.long.len(), sum.long_dropped, sum.count()), (32, 8, 40));
        assert_eq!(sum.long[0].seconds, 8.0, "the eight shortest are left out");
        assert_eq!(sum.by_reason["GOMAXPROCS"].histogram, [40]);
    }

    #[test]
    fn counters_of_images_add_up_and_gauges_are_those_of_the_last() {
        let gc = |cycles, longest, counts: [u64; 2], ratio| Gc {
            cycles,
            pause_seconds: 0.5,
            longest_pause_seconds: longest,
            pause_histogram: [Some(1e-3), None]
                .into_iter()
                .zip(counts)
                .map(|(le_seconds, count)| PauseBucket { le_seconds, count })
                .collect(),
            cpu_ratio: ratio,
            ..Gc::default()
        };
        let sum = gc(2, None, [1, 1], Some(0.25)).after(&gc(5, Some(0.2), [3, 2], Some(0.75)));
        assert_eq!(sum, Gc { pause_seconds: 1.0, ..gc(7, Some(0.2), [4, 3], Some(0.25)) });
    }
}
