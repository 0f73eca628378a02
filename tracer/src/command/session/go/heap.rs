//! What the Go runtime of an image says: read at each look, counted from when counting began.

mod collections;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{NAME, Stops};
use crate::collect::runtime::{self, Marks, Pauses, ProfiledSite};
use crate::collect::{FunctionCounts, SlotCounts};
use crate::go::{Bucket, GcState, HeapProfile, HeapTotals, Runtime, Unread};
use crate::mode::Mode;
use crate::model::snapshot::{Allocator, PAUSE_BOUNDS_SECONDS};
use crate::model::{ProbedFunction, SlotState, Source};

/// The numbers of images have 32 bits, and those of slots and of images without one stay below this.
const NUMBER_OF_RUNTIME: u32 = 1 << 31;
/// A profile is read no sooner than after so many times what its last reading took, but for a report.
const PAUSE_PER_READING: u32 = 20;
/// Reasons why readings failed that are kept: they name addresses.
const REASONS_MAX: usize = 20;
/// Changes of its interval that are told.
const RATES_MAX: usize = 10;
const PROFILE: &str = "heap profile";

/// What the runtime of an image says.
pub(crate) struct GoHeap {
    pid: u32,
    /// `None` when it is over.
    runtime: Option<Runtime>,
    version: Option<String>,
    path: String,
    /// Probes count what is allocated, and know the call sites: neither is read here.
    is_probed: bool,
    /// When counting began.
    start: Option<Start>,
    totals: Option<HeapTotals>,
    profile: Option<HeapProfile>,
    gc: Option<GcState>,
    pauses: Option<Pauses>,
    /// Allocations by size since counting began.
    sizes: Vec<u64>,
    /// Of the profile: when, and how long it took.
    read: Option<(Instant, Duration)>,
    /// When the collection ended that the profile is as of, nanoseconds since 1970.
    as_of_unix_ns: Option<u64>,
    /// Objects that can be samples, and bytes, when the first and the last profile were read.
    window: Option<[(u64, u64); 2]>,
    /// What of it cannot be read now, and why.
    missing: BTreeMap<&'static str, String>,
    /// When anything was read last.
    seen: SystemTime,
    /// Tells its stacks from those of all others.
    seed: RandomState,
    /// The keys of its stacks, by the bucket's address.
    keys: HashMap<u64, u64>,
    /// Stacks that nobody has learnt of yet.
    new: Vec<Calls>,
    /// Changes of its interval, from and to, and whether samples of before keep theirs.
    rates: Vec<(u64, u64, bool)>,
    /// Readings that failed, by reason.
    failures: BTreeMap<String, u64>,
    /// The stops of its world.
    pub(crate) stops: Stops,
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
    profile: Option<Marks>,
    gc: Option<GcState>,
}

impl GoHeap {
    /// The heap of a runtime that was found; nothing of it is read yet.
    pub(super) fn new(
        pid: u32,
        runtime: Runtime,
        version: Option<String>,
        path: String,
        stops: Stops,
    ) -> Self {
        Self {
            pid,
            runtime: Some(runtime),
            version,
            path,
            is_probed: false,
            start: None,
            totals: None,
            profile: None,
            gc: None,
            pauses: None,
            sizes: runtime::no_sizes(),
            read: None,
            as_of_unix_ns: None,
            window: None,
            missing: BTreeMap::new(),
            seen: SystemTime::now(),
            seed: RandomState::new(),
            keys: HashMap::new(),
            new: Vec::new(),
            rates: Vec::new(),
            failures: BTreeMap::new(),
            stops,
        }
    }

    /// Leaves what is allocated, and the call sites, to probes.
    pub(super) const fn leave_to_probes(&mut self) {
        self.is_probed = true;
    }

    /// Whether probes count what is allocated.
    pub(crate) const fn is_probed(&self) -> bool {
        self.is_probed
    }

    /// Whether the program takes samples of its allocations; `is_read`: something in it reads them.
    pub(super) fn has_profile(&mut self, is_read: bool) -> bool {
        self.runtime.as_mut().is_none_or(|runtime| runtime.takes_samples(is_read))
    }

    /// Its version of Go, and the file that brings it.
    pub(crate) fn describe(&self) -> (Option<&str>, &str) {
        (self.version.as_deref(), &self.path)
    }

    /// What of it cannot be read, and why.
    pub(crate) fn missing(&self) -> Vec<String> {
        let missing = self.runtime.iter().flat_map(Runtime::missing);
        missing.map(|reason| format!("{}: {reason}", self.path)).collect()
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
        let Some(runtime) = self.runtime.as_mut().filter(|_| !self.is_probed) else { return };
        let at = Instant::now();
        match runtime.profile() {
            Ok(profile) => self.take_profile(profile),
            Err(error) => self.failed(PROFILE, &error),
        }
        self.read = Some((at, at.elapsed()));
    }

    fn take_profile(&mut self, profile: HeapProfile) {
        self.learn(&profile);
        if let Some(start) = &mut self.start {
            let marks = start.profile.get_or_insert_with(|| Marks::of(&profile));
            let last = self.profile.as_ref();
            if let Some(last) = last.filter(|last| last.interval_bytes != profile.interval_bytes) {
                self.rates.push((last.interval_bytes, profile.interval_bytes, marks.close(last)));
                self.rates.truncate(RATES_MAX);
            }
        }
        let exact = self
            .totals
            .as_ref()
            .map(|totals| (totals.alloc_objects.saturating_sub(totals.tiny_objects), totals.alloc_bytes));
        if let Some(exact) = exact {
            let from = self.window.map_or(exact, |[from, _]| from);
            self.window = Some([from, exact]);
        }
        let pauses = self.gc.iter().flat_map(|gc| gc.pauses.iter().rev());
        let mut ends = pauses.map(|pause| pause.end_unix_ns);
        self.as_of_unix_ns = if profile.is_behind { ends.nth(1) } else { ends.next() };
        self.missing.remove(PROFILE);
        self.profile = Some(profile);
    }

    /// Reads it for the last time.
    pub(crate) fn finish(&mut self) {
        if self.start.is_some() {
            self.read_all();
        }
        self.runtime = None;
    }

    fn read_counters(&mut self) {
        let Some(runtime) = &mut self.runtime else { return };
        let (totals, gc) = (runtime.totals(), runtime.gc());
        match totals {
            Ok(totals) => self.take_totals(totals),
            Err(error) => self.failed("totals", &error),
        }
        match gc {
            Ok(gc) => self.take_collections(gc),
            Err(error) => self.failed("collections", &error),
        }
    }

    fn take_totals(&mut self, totals: HeapTotals) {
        if let Some(start) = &mut self.start {
            let before = self.totals.as_ref().filter(|_| start.totals.is_some()).unwrap_or(&totals);
            runtime::add_sizes(&mut self.sizes, &totals, before);
            start.totals.get_or_insert_with(|| totals.clone());
        }
        self.totals = Some(totals);
        self.seen = SystemTime::now();
    }

    fn take_collections(&mut self, gc: GcState) {
        if let Some(start) = &mut self.start {
            start.gc.get_or_insert_with(|| gc.clone());
            let first = || Pauses::from(&gc, PAUSE_BOUNDS_SECONDS.len());
            self.pauses.get_or_insert_with(first).take(&gc, &PAUSE_BOUNDS_SECONDS);
        }
        self.gc = Some(gc);
    }

    fn failed(&mut self, what: &'static str, error: &Unread) {
        match error {
            Unread::Gone => self.runtime = None,
            Unread::Missing(why) => {
                self.missing.insert(what, why.clone());
                if what == PROFILE {
                    self.has_no_profile();
                }
            }
            Unread::Torn | Unread::Damaged(_) => {
                let reason = format!("{what}: {error}");
                let has_room = self.failures.contains_key(&reason) || self.failures.len() < REASONS_MAX;
                let reason = if has_room { reason } else { format!("{what}: other reasons") };
                *self.failures.entry(reason).or_insert(0) += 1;
            }
        }
    }

    /// The program takes no samples now. Before it has begun that says nothing: the runtime sets its rate when it starts, and
    /// there is nothing to count from.
    fn has_no_profile(&mut self) {
        let marks = self.start.as_mut().and_then(|start| start.profile.as_mut());
        if let (Some(last), Some(marks)) = (self.profile.take(), marks) {
            self.rates.push((last.interval_bytes, 0, marks.close(&last)));
            self.rates.truncate(RATES_MAX);
        }
        let has_begun = self.totals.as_ref().is_some_and(|totals| totals.alloc_objects > 0);
        if let Some(start) = self.start.as_mut().filter(|_| !has_begun) {
            start.profile.get_or_insert_default();
            self.window.get_or_insert_default();
        }
    }

    fn learn(&mut self, profile: &HeapProfile) {
        let (new, seed) = (&mut self.new, &self.seed);
        for bucket in &profile.buckets {
            self.keys.entry(bucket.address).or_insert_with(|| {
                let key = seed.hash_one(&bucket.stack);
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
                profiled: self
                    .window
                    .filter(|_| has_profile && self.profile.is_some())
                    .map(|[from, to]| (to.0.saturating_sub(from.0), to.1.saturating_sub(from.1))),
            },
            functions: vec![function("mallocgc", false), function("sweep", true)],
            allocators: match self.is_probed {
                true => Vec::new(),
                false => vec![self.allocator(interval, totals.lag_bytes)],
            },
            counts: self.counts(totals, start),
        }
    }

    /// What was allocated is counted once: by probes, where they are in place.
    fn counts(&self, totals: &HeapTotals, start: &HeapTotals) -> SlotCounts {
        let mut counts = runtime::slot_counts(totals, start, &self.sizes);
        if let Some(allocated) = counts.functions.first_mut().filter(|_| self.is_probed) {
            *allocated = FunctionCounts::default();
            counts.sizes = runtime::no_sizes();
        }
        counts
    }

    fn allocator(&self, interval: Option<u64>, lag_bytes: Option<u64>) -> Allocator {
        Allocator {
            name: NAME.to_owned(),
            object: self.path.clone(),
            version: self.version.clone(),
            prefix: String::new(),
            source: "runtime".to_owned(),
            sample_bytes: interval,
            profile_age_seconds: self.as_of_unix_ns.map(|at| self.since(at)),
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

    /// What the report should say of its readings.
    pub(crate) fn notes(&self) -> Vec<String> {
        let pid = self.pid;
        let failed = self.failures.iter().map(|(reason, times)| {
            format!(
                "{times} readings of process {pid}'s Go runtime gave nothing: {reason}; earlier ones stand"
            )
        });
        let missing =
            self.missing.iter().map(|(what, why)| format!("process {pid}: {}: the {what}: {why}", self.path));
        let rates = self.rates.iter().map(|(from, to, is_kept)| {
            let rest = if *is_kept {
                "what is in use, and what was sampled since the last reading before,"
            } else {
                "what was sampled before"
            };
            format!(
                "process {pid} has changed its runtime.MemProfileRate from {from} to {to} meanwhile: {rest} is weighed by the new one"
            )
        });
        failed.chain(missing).chain(rates).collect()
    }
}

/// The number of the runtime of an image.
const fn number(slot: u32) -> u32 {
    NUMBER_OF_RUNTIME | slot
}
