//! What the daemon knows of its node at one moment: what `/metrics`, `/targets` and the status page read. Profiles are
//! [`super::snapshot::Snapshot`]s, made when they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::snapshot::{Allocator, Gc, PAUSE_BOUNDS_SECONDS, StopSums};
use crate::mode::Mode;
use crate::target::kubernetes::Standing;
use crate::target::labels::LabelSet;

/// The picture of a node.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// When it was made.
    pub at: jiff::Timestamp,
    /// When the daemon started.
    pub started_at: jiff::Timestamp,
    /// Processes that are traced, by pid.
    pub targets: Vec<NodeTarget>,
    /// What is exported of them, one entry per label set, in their order. What had no room is in the one whose service is
    /// [`OTHER`].
    pub series: Vec<Series>,
    /// Of the daemon itself.
    pub own: Own,
}

/// `service` of the series that holds what had no room of its own.
pub const OTHER: &str = "__other__";

/// A process that is traced.
#[derive(Clone, Debug, Default)]
pub struct NodeTarget {
    /// Which.
    pub id: TargetId,
    /// Kernel's short name.
    pub comm: String,
    /// Path of its program as it sees it.
    pub exe: String,
    /// Name of the configuration's rule that wants it.
    pub rule: String,
    /// What its series are told apart by.
    pub labels: LabelSet,
    /// Its pod, if that is known.
    pub pod: Option<PodName>,
    /// What is traced.
    pub mode: Mode,
    /// Mean bytes between samples at present, the greatest of its sources; 0 is every allocation.
    pub sample_bytes: u64,
    /// Names of its allocators.
    pub allocators: Vec<String>,
    /// What its runtime counts by itself.
    pub runtime: Option<RuntimeHeap>,
    /// Its garbage collections, where its runtime tells.
    pub gc: Option<Gc>,
    /// In the last seconds.
    pub gc_cycles_per_second: Option<f64>,
    /// While its events counted.
    pub counted_seconds: f64,
    /// Since counting began.
    pub alloc_objects: u64,
    /// Since counting began.
    pub alloc_bytes: u64,
    /// In the last seconds.
    pub alloc_objects_per_second: f64,
    /// In the last seconds.
    pub alloc_bytes_per_second: f64,
    /// Live blocks that were seen born; `None` in mode `alloc`.
    pub inuse_objects: Option<u64>,
    /// Their bytes.
    pub inuse_bytes: Option<u64>,
    /// Of `inuse_bytes`, where it is an estimate.
    pub inuse_bytes_standard_error: Option<f64>,
    /// Resident set.
    pub resident_bytes: u64,
    /// Memory limit of its control group, if there is one.
    pub memory_limit_bytes: Option<u64>,
    /// What tracing adds to its CPU time, as predicted, in the last seconds.
    pub overhead_ratio: Option<f64>,
    /// Events that were lost, by reason, those above 0.
    pub lost: BTreeMap<String, u64>,
}

/// The heap that a runtime manages and counts by itself: how good its numbers are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RuntimeHeap {
    /// Name of the allocator: `go`.
    pub name: String,
    /// Of the runtime.
    pub version: Option<String>,
    /// Mean bytes between its own samples; 1 is every allocation. `None` if it takes none.
    pub sample_bytes: Option<u64>,
    /// How old its profile of what is in use is: as of the last garbage collection that has finished.
    pub profile_age_seconds: Option<f64>,
    /// At most so many bytes are allocated and not in the totals yet.
    pub lag_bytes: Option<u64>,
}

impl RuntimeHeap {
    /// Of an allocator whose numbers come from a runtime; `None` if probes count it.
    #[must_use]
    pub fn of(allocator: &Allocator) -> Option<Self> {
        (allocator.source == "runtime").then(|| Self {
            name: allocator.name.clone(),
            version: allocator.version.clone(),
            sample_bytes: allocator.sample_bytes.filter(|&bytes| bytes > 0),
            profile_age_seconds: allocator.profile_age_seconds,
            lag_bytes: allocator.lag_bytes,
        })
    }
}

/// Names a process's pod, and what was made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PodName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The process's container; `None` while that is not known.
    pub container: Option<Arc<str>>,
    /// The image of that.
    pub image: Option<Arc<str>>,
    /// `KIND/NAME` of what it belongs to.
    pub owner: Arc<str>,
    /// Its labels, as they are: `labels` of a process are made of them.
    pub labels: BTreeMap<String, String>,
}

/// Names a process for as long as the machine runs: a pid comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId {
    /// Its pid.
    pub pid: u32,
    /// Clock ticks since boot.
    pub start_time: u64,
}

/// Processes with the same labels.
///
/// Counters keep what processes that are gone have added. What is `None` has no such number: no process is there (gauges),
/// or no mode that knows it.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// What they have in common.
    pub labels: LabelSet,
    /// By the allocator's name.
    pub allocators: BTreeMap<String, AllocatorCounts>,
    /// Allocations by size: power-of-two buckets, not cumulative, each with its last size (`None`: no bound). Their sum is
    /// that of the allocators' `alloc_objects`.
    pub sizes: Vec<(Option<u64>, u64)>,
    /// Processes at present.
    pub processes: u64,
    /// CPU time while they were counted in.
    pub cpu_seconds: f64,
    /// What tracing added to it, as predicted.
    pub overhead_seconds: f64,
    /// The same as a share of their CPU time in the last seconds.
    pub overhead_ratio: Option<f64>,
    /// Live blocks that were seen born.
    pub inuse_objects: Option<u64>,
    /// Their bytes.
    pub inuse_bytes: Option<u64>,
    /// Standard error of an estimate over the estimate, by quantity (`inuse_bytes`, `inuse_objects`, `free_bytes`); an
    /// exact one is not here.
    pub relative_errors: BTreeMap<&'static str, f64>,
    /// Resident sets.
    pub resident_bytes: Option<u64>,
    /// Memory limits, each control group's once; `None` if a process has none.
    pub memory_limit_bytes: Option<u64>,
    /// Mean bytes between samples; the greatest, where they differ.
    pub sample_interval_bytes: Option<u64>,
    /// Part of the processes that a rule wants that is counted in.
    pub attached_ratio: Option<f64>,
    /// Garbage collections, where a runtime has told of them.
    pub gc: Option<GcCounts>,
    /// Share of the CPU time that they could have had which collections took, the mean of the processes that know it.
    pub gc_cpu_ratio: Option<f64>,
    /// Heaps at which the next cycles are to end, of all processes.
    pub gc_heap_goal_bytes: Option<u64>,
    /// What the last cycles found live, of all processes.
    pub gc_heap_live_bytes: Option<u64>,
    /// The top call sites, where they are asked for.
    pub sites: Vec<SiteSeries>,
}

/// Counters of garbage collections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GcCounts {
    /// Finished cycles.
    pub cycles: u64,
    /// Those that the program asked for.
    pub forced_cycles: u64,
    /// Sum of all pauses.
    pub pause_seconds: f64,
    /// Cycles by their pause, not cumulative: up to each of [`PAUSE_BOUNDS_SECONDS`], and above the last.
    pub pauses: [u64; PAUSE_BOUNDS_SECONDS.len() + 1],
    /// Cycles whose pause was not seen.
    pub pauses_missed: u64,
    /// Stops of the world by reason, each by itself, where probes see them.
    pub stops: BTreeMap<String, StopSums>,
    /// Collections by cause, where probes see them.
    pub causes: BTreeMap<String, u64>,
}

/// Counters of one allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocatorCounts {
    /// Allocations.
    pub alloc_objects: u64,
    /// Bytes asked for.
    pub alloc_bytes: u64,
    /// Frees; `None` if no mode has seen them.
    pub free_objects: Option<u64>,
    /// Bytes of freed blocks that were seen born.
    pub free_bytes: Option<u64>,
}

/// One call site of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteSeries {
    /// `function (file:line)` of the caller.
    pub site: String,
    /// A counter.
    pub alloc_bytes: u64,
    /// A gauge; `None` in mode `alloc`.
    pub inuse_bytes: Option<u64>,
}

/// What the daemon says of itself.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Allocations and frees that were counted.
    pub events: u64,
    /// Those of them that are in no call site, or were not followed, by reason; every reason, also those of 0.
    pub lost: BTreeMap<String, u64>,
    /// At present.
    pub probes_attached: u64,
    /// By reason.
    pub attach_failures: BTreeMap<String, u64>,
    /// Taken and most entries, by the map's name.
    pub maps: BTreeMap<&'static str, (u64, u64)>,
    /// Kernel memory of the maps, if the kernel says it.
    pub map_bytes: Option<u64>,
    /// Label sets that had no room of their own, each once.
    pub series_suppressed: u64,
    /// The last reload took the configuration.
    pub config_is_good: bool,
    /// When that last was so.
    pub config_loaded_at: jiff::Timestamp,
    /// What is wrong with it, if it was not taken.
    pub config_error: Option<String>,
    /// How well pods are known; `None` if they are not asked for.
    pub pods: Option<Standing>,
    /// How long the last look took.
    pub look_seconds: f64,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl std::fmt::Display for TargetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.pid, self.start_time)
    }
}

/// It is no `PID-START`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a target is PID-START, as /targets lists it")]
pub struct NoTargetId;

impl std::str::FromStr for TargetId {
    type Err = NoTargetId;

    fn from_str(text: &str) -> Result<Self, NoTargetId> {
        let (pid, start_time) = text.split_once('-').ok_or(NoTargetId)?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !number(pid) || !number(start_time) {
            return Err(NoTargetId);
        }
        match (pid.parse(), start_time.parse()) {
            (Ok(pid), Ok(start_time)) => Ok(Self { pid, start_time }),
            _ => Err(NoTargetId),
        }
    }
}
