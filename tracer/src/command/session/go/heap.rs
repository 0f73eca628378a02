//! What the Go runtime of an image says: read at each look, counted from when counting began.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::NAME;
use crate::collect::runtime::{self, Pauses, ProfiledSite};
use crate::go::{Bucket, GcState, HeapProfile, HeapTotals, Runtime, Unread};
use crate::mode::Mode;
use crate::model::snapshot::{Allocator, Gc, PAUSE_BOUNDS_SECONDS, PauseBucket};
use crate::model::{ProbedFunction, SlotState, Source};

/// The numbers of images have 32 bits, and those of slots and of images without one stay below this.
const NUMBER_OF_RUNTIME: u32 = 1 << 31;
/// A profile is read no sooner than after so many times what its last reading took, but for a report.
const PAUSE_PER_READING: u32 = 20;

/// What the runtime of an image says.
pub(crate) struct GoHeap {
    pid: u32,
    runtime: Runtime,
    version: Option<String>,
    path: String,
    /// When counting began.
    start: Option<Start>,
    totals: Option<HeapTotals>,
    profile: Option<HeapProfile>,
    gc: Option<GcState>,
    pauses: Option<Pauses>,
    /// Of the profile: when, and how long it took.
    read: Option<(Instant, Duration)>,
    /// When anything was read last.
    seen: SystemTime,
    /// It will not change any more.
    is_over: bool,
    /// The keys of its stacks, by the bucket's address.
    keys: HashMap<u64, u64>,
    /// Stacks that nobody has learnt of yet.
    new: Vec<Calls>,
    /// Readings that failed, by reason.
    failures: BTreeMap<String, u64>,
}

/// A stack that a runtime has named.
pub(crate) struct Calls {
    pub(crate) key: u64,
    /// In the process, the allocation first.
    pub(crate) addresses: Arc<[u64]>,
}

/// What everything counts from.
#[derive(Default)]
struct Start {
    totals: Option<HeapTotals>,
    /// [`runtime::marks`].
    profile: Option<HashMap<u64, (u64, u64)>>,
    gc: Option<GcState>,
}

impl GoHeap {
    /// The heap of a runtime that was found; nothing of it is read yet.
    pub(super) fn new(pid: u32, runtime: Runtime, version: Option<String>, path: String) -> Self {
        Self {
            pid,
            runtime,
            version,
            path,
            start: None,
            totals: None,
            profile: None,
            gc: None,
            pauses: None,
            read: None,
            seen: SystemTime::now(),
            is_over: false,
            keys: HashMap::new(),
            new: Vec::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Its version of Go, and the file that brings it.
    pub(crate) fn describe(&self) -> (Option<&str>, &str) {
        (self.version.as_deref(), &self.path)
    }

    /// What of it cannot be read, and why.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.runtime.missing().into_iter().map(|reason| format!("{}: {reason}", self.path)).collect()
    }

    /// Counts from now on: from the first reading of each source that gives something.
    pub(crate) fn begin(&mut self) {
        if self.start.is_none() {
            self.start = Some(Start::default());
            self.read_all();
        }
    }

    /// Reads what is cheap, and the profile where that was not read a moment ago.
    pub(crate) fn look(&mut self, with_profile: bool) {
        let is_due = self.read.is_none_or(|(at, took)| at.elapsed() > took * PAUSE_PER_READING);
        if with_profile && is_due {
            self.read_all();
        } else {
            self.read_counters();
        }
    }

    /// Reads everything.
    pub(crate) fn read_all(&mut self) {
        self.read_counters();
        if self.is_over {
            return;
        }
        let at = Instant::now();
        match self.runtime.profile() {
            Ok(profile) => {
                self.learn(&profile);
                if let Some(start) = &mut self.start {
                    start.profile.get_or_insert_with(|| runtime::marks(&profile));
                }
                self.profile = Some(profile);
            }
            Err(error) => self.failed("heap profile", &error),
        }
        self.read = Some((at, at.elapsed()));
    }

    /// Reads it for the last time.
    pub(crate) fn finish(&mut self) {
        if self.start.is_some() {
            self.read_all();
        }
        self.is_over = true;
    }

    fn read_counters(&mut self) {
        if self.is_over {
            return;
        }
        match self.runtime.totals() {
            Ok(totals) => {
                if let Some(start) = &mut self.start {
                    start.totals.get_or_insert_with(|| totals.clone());
                }
                self.totals = Some(totals);
                self.seen = SystemTime::now();
            }
            Err(error) => self.failed("totals", &error),
        }
        match self.runtime.gc() {
            Ok(gc) => {
                if let Some(start) = &mut self.start {
                    start.gc.get_or_insert_with(|| gc.clone());
                    let first = || Pauses::from(&gc, PAUSE_BOUNDS_SECONDS.len());
                    self.pauses.get_or_insert_with(first).take(&gc, &PAUSE_BOUNDS_SECONDS);
                }
                self.gc = Some(gc);
            }
            Err(error) => self.failed("collections", &error),
        }
    }

    fn failed(&mut self, what: &str, error: &Unread) {
        match error {
            Unread::Gone => self.is_over = true,
            // Said when it was found.
            Unread::Missing(_) => {}
            Unread::Torn | Unread::Damaged(_) => {
                *self.failures.entry(format!("{what}: {error}")).or_insert(0) += 1;
            }
        }
    }

    fn learn(&mut self, profile: &HeapProfile) {
        let (new, pid) = (&mut self.new, self.pid);
        for bucket in &profile.buckets {
            self.keys.entry(bucket.address).or_insert_with(|| {
                let key = key_of(&bucket.stack, pid);
                new.push(Calls { key, addresses: Arc::clone(&bucket.stack) });
                key
            });
        }
    }

    /// The stacks that are new since the last time.
    pub(crate) fn take_stacks(&mut self) -> Vec<Calls> {
        std::mem::take(&mut self.new)
    }

    /// The keys of all stacks.
    pub(crate) fn keys(&self) -> HashSet<u64> {
        self.keys.values().copied().collect()
    }

    /// Samples of its call sites, under this image's number.
    pub(crate) fn sites(&self, slot: u32) -> Vec<ProfiledSite> {
        let start = self.start.as_ref().and_then(|start| start.profile.as_ref());
        let (Some(profile), Some(start)) = (&self.profile, start) else { return Vec::new() };
        let key = |bucket: &Bucket| self.keys.get(&bucket.address).copied().unwrap_or_default();
        runtime::profiled(profile, start, number(slot), key)
    }

    /// Its totals, as those of an image of its own.
    pub(crate) fn slot(&self, slot: u32, is_last_image: bool, mode: Mode, has_profile: bool) -> SlotState {
        let zero = HeapTotals::default();
        let totals = self.totals.as_ref().unwrap_or(&zero);
        // Before counting began nothing is counted.
        let start = self.start.as_ref().and_then(|start| start.totals.as_ref()).unwrap_or(totals);
        let in_use = (
            totals.alloc_objects.saturating_sub(totals.free_objects),
            totals.alloc_bytes.saturating_sub(totals.free_bytes),
        );
        let interval = self.profile.as_ref().map(|profile| profile.interval_bytes);
        let function = |name: &str, frees| ProbedFunction { name: name.to_owned(), frees, allocator: 0 };
        SlotState {
            index: number(slot),
            is_last_image,
            mode,
            was_sampled: interval.is_some_and(|interval| interval > 1),
            source: Source::Runtime {
                in_use,
                has_profile: has_profile && self.profile.is_some(),
                tiny_objects: totals.tiny_objects.saturating_sub(start.tiny_objects),
            },
            functions: vec![function("mallocgc", false), function("sweep", true)],
            allocators: vec![self.allocator(interval, totals.lag_bytes)],
            counts: runtime::slot_counts(totals, start),
        }
    }

    fn allocator(&self, interval: Option<u64>, lag_bytes: Option<u64>) -> Allocator {
        let last_cycle = self.gc.as_ref().map(|gc| gc.last_end_unix_ns).filter(|&at| at > 0);
        Allocator {
            name: NAME.to_owned(),
            object: self.path.clone(),
            version: self.version.clone(),
            prefix: String::new(),
            source: "runtime".to_owned(),
            sample_bytes: interval,
            profile_age_seconds: last_cycle.map(|at| self.since(at)),
            lag_bytes,
            totals: None,
            probes: Vec::new(),
        }
    }

    /// Mean bytes between its samples.
    pub(crate) fn interval_bytes(&self) -> Option<u64> {
        self.profile.as_ref().map(|profile| profile.interval_bytes)
    }

    /// Seconds from a moment to the last reading.
    fn since(&self, unix_ns: u64) -> f64 {
        let seen = self.seen.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as f64;
        ((seen - unix_ns as f64) * 1e-9).max(0.0)
    }

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
            last_cycle_age_seconds: (now.last_end_unix_ns > 0).then(|| self.since(now.last_end_unix_ns)),
        })
    }

    /// What the report should say of its readings.
    pub(crate) fn notes(&self) -> Vec<String> {
        let pid = self.pid;
        let failed = |(reason, times): (&String, &u64)| {
            format!(
                "{times} readings of process {pid}'s Go runtime gave nothing: {reason}; earlier ones stand"
            )
        };
        self.failures.iter().map(failed).collect()
    }
}

/// The share of collections in the CPU time between two readings: the runtime keeps it as a share of the time since the
/// process began (`gc_cpu_fraction` in Go's runtime/mstats.go, set at the end of a cycle), so each is taken times its age.
fn cpu_ratio(start: &GcState, now: &GcState, started: f64) -> Option<f64> {
    let age = |gc: &GcState| (gc.last_end_unix_ns as f64 * 1e-9 - started).max(0.0);
    let (from, to) = if start.cycles == 0 { (0.0, age(now)) } else { (age(start), age(now)) };
    if now.cycles == 0 {
        return None;
    }
    let taken = now.cpu_fraction * to - start.cpu_fraction * from;
    Some(if to > from { (taken / (to - from)).clamp(0.0, 1.0) } else { 0.0 })
}

/// The number of the runtime of an image.
const fn number(slot: u32) -> u32 {
    NUMBER_OF_RUNTIME | slot
}

/// Stacks of two processes are never one record.
fn key_of(stack: &[u64], pid: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (pid, stack).hash(&mut hasher);
    hasher.finish()
}
