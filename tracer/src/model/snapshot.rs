//! What every view reads, and the JSON document itself: field names and order are the contract.
//!
//! A number that a mode cannot know is `None`, never 0. Counts are objects, sizes are bytes.

mod allocator;
mod gc;
mod quality;
mod recent;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use allocator::{Allocator, AllocatorTotals, Probe};
pub use gc::{
    Gc, LONG_STOPS_MAX, LongStop, PAUSE_BOUNDS_SECONDS, PauseBucket, StopSums, WorldStops, keep_longest,
};
pub use quality::{Comparison, Quality, SelfCheck, Verdict};
pub use recent::{SiteRecent, TREND_POINTS, TREND_STEP_SECONDS, Timeline, TimelinePoint};

pub use crate::frame::{Frame, Frames};
pub use crate::mode::Mode;
use crate::symbolize::NOT_YET;

/// The value of `schema`.
pub const SCHEMA: &str = "tracer/1";

/// One moment of one tracer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// This program.
    pub tool: Tool,
    /// This machine.
    pub host: Host,
    /// When counting began, RFC 3339.
    pub started_at: jiff::Timestamp,
    /// From the start of the tracer's work to the snapshot.
    pub duration_seconds: f64,
    /// While events counted.
    pub attached_seconds: f64,
    /// What was traced.
    pub mode: Mode,
    /// Mean bytes between samples; 0 is every allocation.
    pub sample_bytes: u64,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// The processes.
    pub targets: Vec<Target>,
    /// The call sites of all of them. In documents the largest in-use bytes (mode `alloc`: allocated bytes) come first; the
    /// live view sorts them itself ([`Snapshot::sort_sites`]).
    pub sites: Vec<CallSite>,
    /// What tracing cost the targets.
    pub overhead: Overhead,
    /// How good the numbers are.
    pub quality: Quality,
}

/// This program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its version.
    pub version: String,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// `uname -r`.
    pub kernel: String,
    /// `uname -m`.
    pub arch: String,
    /// Online processors.
    pub cpus: u32,
}

/// A traced process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// As the tracer's pid namespace sees it.
    pub pid: u32,
    /// Clock ticks since boot: with `pid` it names a process for good.
    pub start_time: u64,
    /// Kernel's short name.
    pub comm: String,
    /// Path of the program, as the target sees it.
    pub exe: String,
    /// Build-id of the program in hex.
    pub build_id: Option<String>,
    /// Labels of this target.
    pub labels: BTreeMap<String, String>,
    /// Processes in this entry.
    pub processes: u32,
    /// User and system time since the attach.
    pub cpu_seconds: f64,
    /// What tracing added to it, as predicted from the hits and what each costs; where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing_cpu_seconds: Option<f64>,
    /// How long its events counted: until its end, if it has ended. Documents of others have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_seconds: Option<f64>,
    /// How long what is in use was counted: since its program or its mode has changed, if it has; what a runtime alone
    /// knows, since its program began. Documents of others have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inuse_seconds: Option<f64>,
    /// Resident set when last seen alive.
    pub resident_bytes: u64,
    /// Why tracing of this target ended, if it did before the tracer: `ended`, `executed another program`, in `run` how CMD exited.
    pub ended: Option<String>,
    /// What its memory comes from.
    pub allocators: Vec<Allocator>,
    /// Sums over all sites.
    pub totals: Totals,
    /// Its garbage collections, where its runtime tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gc: Option<Gc>,
    /// How it went; where it was looked at more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
}

/// Sums of one target. What is exact depends on the mode: `docs/accuracy.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Allocations.
    pub alloc_objects: u64,
    /// Their bytes.
    pub alloc_bytes: u64,
    /// Free events, of known and of unknown blocks.
    pub free_objects: Option<u64>,
    /// Bytes of known blocks that were freed.
    pub free_bytes: Option<u64>,
    /// Known blocks that are live.
    pub inuse_objects: Option<u64>,
    /// Their bytes.
    pub inuse_bytes: Option<u64>,
    /// Of the numbers that are estimated, by name; empty if none is.
    pub standard_error: BTreeMap<String, f64>,
    /// By the name of the function.
    pub by_function: BTreeMap<String, FunctionTotals>,
    /// Not cumulative.
    pub size_histogram: Vec<SizeBucket>,
    /// Not cumulative; of freed blocks.
    pub lifetime_histogram: Option<Vec<LifetimeBucket>>,
}

/// Exact counts of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionTotals {
    /// Calls that count.
    pub calls: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Calls that failed.
    pub failed: Option<u64>,
}

/// Sizes up to `le` and above the bound before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SizeBucket {
    /// Inclusive bound in bytes; `None` is without bound.
    pub le: Option<u64>,
    /// Allocations.
    pub count: u64,
}

/// Lifetimes up to `le_seconds` and above the bound before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LifetimeBucket {
    /// Inclusive bound in seconds; `None` is without bound.
    pub le_seconds: Option<f64>,
    /// Freed blocks.
    pub count: u64,
}

/// One call stack that allocates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallSite {
    /// Its number in this run: the same in every snapshot of it. Documents of others have 0.
    #[serde(default)]
    pub id: u32,
    /// The process.
    pub pid: u32,
    /// The name of the thread, where call sites are told apart by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Arc<str>>,
    /// The name of the allocator that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocator: Option<Arc<str>>,
    /// The function of it that was called: `realloc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<Arc<str>>,
    /// Allocations.
    pub alloc_objects: u64,
    /// Their bytes.
    pub alloc_bytes: u64,
    /// Blocks of this site that were freed.
    pub free_objects: Option<u64>,
    /// Blocks of this site that are live.
    pub inuse_objects: Option<u64>,
    /// Their bytes.
    pub inuse_bytes: Option<u64>,
    /// Age of the oldest live block.
    pub oldest_seconds: Option<f64>,
    /// Standard errors of the four numbers; 0 where exact.
    pub standard_error: SiteErrors,
    /// What contains the truth with a probability of 95 %; where sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_95: Option<Arc<SiteIntervals>>,
    /// Allocations whose stack was walked.
    pub samples: u64,
    /// Those of them that are in use; where sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inuse_samples: Option<u64>,
    /// How it went lately; where it was looked at more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<SiteRecent>,
    /// Why the stack ends before the thread's start.
    pub truncated: Option<String>,
    /// Frame pointers led to some of its frames: a call stands before each, but callers may be missing between them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_frame_pointers: bool,
    /// Leaf (the direct caller of the allocator function) first.
    pub frames: Frames,
}

/// Standard errors of a site's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteErrors {
    /// Of `alloc_objects`.
    pub alloc_objects: f64,
    /// Of `alloc_bytes`.
    pub alloc_bytes: f64,
    /// Of `inuse_objects`.
    pub inuse_objects: Option<f64>,
    /// Of `inuse_bytes`.
    pub inuse_bytes: Option<f64>,
}

/// Lower and upper bounds of a site's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteIntervals {
    /// Of `alloc_objects`.
    pub alloc_objects: [f64; 2],
    /// Of `alloc_bytes`.
    pub alloc_bytes: [f64; 2],
    /// Of `inuse_objects`.
    pub inuse_objects: Option<[f64; 2]>,
    /// Of `inuse_bytes`.
    pub inuse_bytes: Option<[f64; 2]>,
}

/// What tracing cost the targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// Probe hits.
    pub hits: u64,
    /// Mean cost of one.
    pub ns_per_hit: f64,
    /// Hits times cost, over the targets' CPU time.
    pub target_cpu_ratio: Option<f64>,
    /// What each kind of hit costs on this machine, as far as it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit_costs: Option<HitCosts>,
    /// Kernel memory of the BPF maps.
    #[serde(default)]
    pub map_bytes: Option<u64>,
}

/// Costs of hits in nanoseconds of the target's time, the trap included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HitCosts {
    /// Entry of an allocating function whose stack is not walked.
    pub entry_ns: f64,
    /// Its return (`live`).
    pub return_ns: f64,
    /// A free of a block that is not followed (`live`).
    pub free_ns: f64,
    /// What a walked stack of 16 frames adds, and in mode `live` a followed block.
    pub sample_ns: f64,
    /// What the end of a followed block adds.
    pub sample_free_ns: f64,
}

impl Snapshot {
    /// Puts the largest sites first.
    pub fn sort_sites(&mut self) {
        let weight =
            |site: &CallSite| Reverse((site.inuse_bytes.unwrap_or(0), site.alloc_bytes, site.alloc_objects));
        let address = |site: &CallSite| {
            let digits = site.frames.first().and_then(|frame| frame.address.strip_prefix("0x"));
            digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
        };
        self.sites.sort_by_cached_key(|site| (weight(site), address(site), site.id));
    }

    /// Numbers the sites of a document that does not, or not sensibly: no two have the same number then, and none is far
    /// above their count.
    pub fn number_sites(&mut self) {
        let most = 65_536 + 64 * self.sites.len() as u64;
        let numbers: HashSet<u32> = self.sites.iter().map(|site| site.id).collect();
        if numbers.len() == self.sites.len() && numbers.iter().all(|&id| u64::from(id) < most) {
            return;
        }
        for (site, id) in self.sites.iter_mut().zip(0..) {
            site.id = id;
        }
    }

    /// Whether the numbers of sites are estimates.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        let mut allocators = self.targets.iter().flat_map(|target| &target.allocators);
        self.sample_bytes > 0
            || self.quality.self_check.is_some()
            || self.quality.verdict == Verdict::Sampled
            || allocators.any(|allocator| allocator.sample_bytes.is_some_and(|bytes| bytes > 1))
    }
}

/// One of pprof's four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Live bytes.
    InuseSpace,
    /// Live blocks.
    InuseObjects,
    /// Allocated bytes.
    AllocSpace,
    /// Allocations.
    AllocObjects,
}

impl Dimension {
    /// pprof's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InuseSpace => "inuse_space",
            Self::InuseObjects => "inuse_objects",
            Self::AllocSpace => "alloc_space",
            Self::AllocObjects => "alloc_objects",
        }
    }
}

impl Target {
    /// How long it was counted, of the `attached_seconds` of its document: less where it came later or has ended before.
    #[must_use]
    pub fn seconds_of(&self, attached_seconds: f64) -> f64 {
        self.counted_seconds
            .filter(|&own| own > 0.0)
            .map_or(attached_seconds, |own| own.min(attached_seconds))
    }
}

impl CallSite {
    /// Whether names of its stack are still being looked up: under what it is called until then it would be another one.
    #[must_use]
    pub fn awaits_names(&self) -> bool {
        self.frames.iter().any(|frame| frame.reason.as_deref() == Some(NOT_YET))
    }

    /// The site's number in a dimension; 0 where the mode does not know it.
    #[must_use]
    pub fn value(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::InuseSpace => self.inuse_bytes.unwrap_or(0),
            Dimension::InuseObjects => self.inuse_objects.unwrap_or(0),
            Dimension::AllocSpace => self.alloc_bytes,
            Dimension::AllocObjects => self.alloc_objects,
        }
    }
}
