//! How numbers went: rates, trends and timelines. Only who looks more than once knows them: the live view, the daemon.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Points of a trend: a minute.
pub const TREND_POINTS: usize = 20;
/// Between two points of a trend.
pub const TREND_STEP_SECONDS: u64 = 3;

/// How one call site went lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteRecent {
    /// Allocated bytes per second, over the last few seconds.
    pub alloc_bytes_per_second: f64,
    /// Allocations per second, over the same time.
    pub alloc_objects_per_second: f64,
    /// In-use bytes now, less those of a minute ago, or of the first look if that is later; mode `live`.
    pub growth_bytes: Option<i64>,
    /// At steps of [`TREND_STEP_SECONDS`], the newest last, [`TREND_POINTS`] at most: in-use bytes, in mode `alloc`
    /// allocated bytes per second. Shared: between two steps it stays.
    pub trend: Arc<[u64]>,
}

/// How one target went since counting began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Between two points: it doubles when there are too many of them.
    pub step_seconds: f64,
    /// The oldest first.
    pub points: Vec<TimelinePoint>,
}

/// One look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// Since counting began.
    pub seconds: f64,
    /// Allocated bytes per second since the point before.
    pub alloc_bytes_per_second: f64,
    /// Allocations per second since the point before.
    pub alloc_objects_per_second: f64,
    /// Frees per second since the point before; mode `live`.
    pub free_objects_per_second: Option<f64>,
    /// Bytes in use; mode `live`.
    pub inuse_bytes: Option<u64>,
    /// Objects in use; mode `live`.
    pub inuse_objects: Option<u64>,
    /// Resident set.
    pub resident_bytes: u64,
}
