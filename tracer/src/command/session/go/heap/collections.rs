//! What a runtime's collections were since counting began.

use super::GoHeap;
use crate::go::GcState;
use crate::model::snapshot::{Gc, PAUSE_BOUNDS_SECONDS, PauseBucket};

impl GoHeap {
    /// Its collections since counting began. `started` is when the process did, seconds since 1970.
    pub(crate) fn gc(&self, started: f64) -> Option<Gc> {
        let (now, pauses) = (self.gc.as_ref()?, self.pauses.as_ref()?);
        let start = self.start.as_ref()?.gc.as_ref()?;
        let bounds = PAUSE_BOUNDS_SECONDS.iter().copied().map(Some).chain([None]);
        Some(Gc {
            cycles: u64::from(now.cycles.saturating_sub(start.cycles)),
            forced_cycles: u64::from(now.forced_cycles.saturating_sub(start.forced_cycles)),
            pause_seconds: now.pause_total_ns.saturating_sub(start.pause_total_ns) as f64 * 1e-9,
            longest_pause_seconds: pauses.longest_ns.map(|ns| ns as f64 * 1e-9),
            pause_histogram: bounds
                .zip(&pauses.buckets)
                .map(|(le_seconds, &count)| PauseBucket { le_seconds, count })
                .collect(),
            pauses_missed: pauses.missed,
            cpu_ratio: cpu_ratio(start, now, started),
            heap_goal_bytes: now.heap_goal_bytes,
            heap_live_bytes: now.heap_marked_bytes,
            gc_percent: now.gc_percent,
            stops: None,
            last_cycle_age_seconds: (now.last_end_unix_ns > 0).then(|| self.since(now.last_end_unix_ns)),
        })
    }
}

/// The share of collections in the CPU time between two readings: the runtime keeps it as a share of the time since the
/// process began (`gc_cpu_fraction` in Go's runtime/mstats.go, set at the end of a cycle), so each is taken times its age.
fn cpu_ratio(start: &GcState, now: &GcState, started: f64) -> Option<f64> {
    let age = |gc: &GcState| {
        let since_started = gc.last_end_unix_ns as f64 * 1e-9 - started;
        gc.age_ns.map_or(since_started, |ns| ns as f64 * 1e-9).max(0.0)
    };
    let (from, to) = if start.cycles == 0 { (0.0, age(now)) } else { (age(start), age(now)) };
    if now.cycles == 0 {
        return None;
    }
    let taken = now.cpu_fraction * to - start.cpu_fraction * from;
    Some(if to > from { (taken / (to - from)).clamp(0.0, 1.0) } else { 0.0 })
}
