//! What a side of a comparison is made of.

use std::sync::Arc;

use crate::frame::Frame;
use crate::mode::Mode;
use crate::model::snapshot::CallSite;

use super::Per;

/// Fewer units of a side say nothing of how units differ.
pub(super) const FEWEST_UNITS: usize = 3;
/// Fewer samples say nothing of a site.
pub(super) const FEWEST_SAMPLES: u64 = 10;

/// A side.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What it is called: files, pids or labels, as given.
    pub name: String,
    /// Processes or runs.
    pub units: Vec<Unit>,
}

/// A process or a run: what varies between units is independent; windows of one process are one unit.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its file, its pid, or its pod.
    pub name: String,
    /// The same for all windows of one process, and for no other: host, pid and start time. `None`: a run of its own.
    pub process: Option<(String, u32, u64)>,
    /// Processes in it.
    pub processes: u32,
    /// How long it was observed; `None` where the profile does not say.
    pub seconds: Option<f64>,
    /// When that was, in seconds since 1970; where the profile says it.
    pub times: Option<(f64, f64)>,
    /// Its own CPU time meanwhile, without what tracing added to it.
    pub cpu_seconds: Option<f64>,
    /// The part of all its CPU time that tracing added, as predicted.
    pub tracing_share: f64,
    /// Requests meanwhile, where they were given.
    pub requests: Option<f64>,
    /// What was traced; `None` for profiles of other programs.
    pub mode: Option<Mode>,
    /// Mean bytes between samples.
    pub sample_bytes: u64,
    /// Exact totals, where they are known: bytes, objects.
    pub exact: Option<(u64, u64)>,
    /// In use as the totals say it, with its standard error.
    pub inuse_bytes: Option<(u64, f64)>,
    /// For how long what is in use was counted; windows of a process count it since it was attached to.
    pub inuse_seconds: Option<f64>,
    /// Something of it was lost or could not be probed: its numbers may be too low.
    pub is_lossy: bool,
    /// Call sites of the allocating functions.
    pub sites: Vec<CallSite>,
}

/// How to compare.
#[derive(Clone, Debug)]
pub struct Options {
    /// What amounts are divided by; `None`: CPU time where both sides have it, else processes and time, else runs.
    pub per: Option<Per>,
    /// 1 - the probability that an unchanged pair is called changed.
    pub confidence: f64,
    /// Tolerated by the gate, and the width of `same`.
    pub max_increase: f64,
    /// A verdict without three units a side.
    pub sampling_error_suffices: bool,
    /// Smaller sites are not tested one by one.
    pub min_share: f64,
    /// Which frame of a stack says most of it: a matter of taste, which views have.
    pub telling: fn(&[Arc<Frame>]) -> Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            per: None,
            confidence: 0.99,
            max_increase: 0.05,
            sampling_error_suffices: false,
            min_share: 0.001,
            telling: |frames| frames.iter().position(|frame| frame.function.is_some()),
        }
    }
}

/// Two sides that no comparison is possible of: what, why, what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotCompare(pub String);
