//! The part of the JSON document that says what a garbage collector did.

use serde::{Deserialize, Serialize};

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
