//! One label set: its counters, and the gauges of the processes that are there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::recent::Added;
use super::{Entry, Known, gc};
use crate::model::node::{AllocatorCounts, GcCounts, Series};
use crate::model::tally::Tally;
use crate::target::labels::LabelSet;

/// The counters of a label set.
#[derive(Debug)]
pub(super) struct Account {
    allocators: BTreeMap<String, AllocatorCounts>,
    sizes: Vec<(Option<u64>, u64)>,
    gc: Option<GcCounts>,
    cpu_seconds: f64,
    overhead_seconds: f64,
    /// When a process was last booked here.
    seen_at: f64,
    is_closed: bool,
}

/// Quantities that may be estimates.
const QUANTITIES: [&str; 3] = ["inuse_bytes", "inuse_objects", "free_bytes"];

impl Account {
    pub(super) fn new(now: f64) -> Self {
        Self {
            allocators: BTreeMap::new(),
            sizes: Vec::new(),
            gc: None,
            cpu_seconds: 0.0,
            overhead_seconds: 0.0,
            seen_at: now,
            is_closed: false,
        }
    }

    /// Adds what a process has done since its last look.
    pub(super) fn add(&mut self, tally: &Tally, last: &Tally) {
        for (name, &counts) in &tally.allocators {
            let before = last.allocators.get(name).copied().unwrap_or_default();
            let account = self.allocators.entry(name.clone()).or_default();
            *account = account.plus(counts.since(before));
        }
        if self.sizes.len() < tally.sizes.len() {
            let more = tally.sizes[self.sizes.len()..].iter().map(|&(bound, _)| (bound, 0));
            self.sizes.extend(more);
        }
        for (bucket, &(_, count)) in tally.sizes.iter().enumerate() {
            let before = last.sizes.get(bucket).map_or(0, |&(_, count)| count);
            self.sizes[bucket].1 += count.saturating_sub(before);
        }
        gc::add(&mut self.gc, tally.gc.as_ref(), last.gc.as_ref());
        self.cpu_seconds += (tally.cpu_seconds - last.cpu_seconds).max(0.0);
        self.overhead_seconds += (tally.overhead_seconds - last.overhead_seconds).max(0.0);
    }

    /// A process is booked here.
    pub(super) const fn show(&mut self, now: f64) {
        self.seen_at = now;
        self.is_closed = false;
    }

    /// It is shown no more, until a process comes back.
    pub(super) const fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn is_shown(&self, now: f64, expire_seconds: f64) -> bool {
        !self.is_closed && now - self.seen_at <= expire_seconds
    }

    pub(super) const fn seen_at(&self) -> f64 {
        self.seen_at
    }

    /// With the gauges of its processes; `missing` are those that are wanted and not counted in.
    pub(super) fn series(&self, labels: &LabelSet, processes: &[(&Entry, &Known)], missing: usize) -> Series {
        let tallies = || processes.iter().map(|(entry, _)| &entry.tally);
        let count = processes.len();
        let any = |value: u64| (count > 0).then_some(value);
        let recent =
            processes.iter().map(|(_, known)| known.recent.added()).fold(Added::default(), Added::plus);
        Series {
            labels: labels.clone(),
            allocators: self.allocators.clone(),
            sizes: self.sizes.clone(),
            processes: count as u64,
            cpu_seconds: self.cpu_seconds,
            overhead_seconds: self.overhead_seconds,
            overhead_ratio: recent.overhead_ratio(),
            inuse_objects: sum(tallies().map(|tally| tally.inuse_objects)),
            inuse_bytes: sum(tallies().map(|tally| tally.inuse_bytes)),
            relative_errors: QUANTITIES
                .iter()
                .filter_map(|&quantity| Some((quantity, relative_error(tallies(), quantity)?)))
                .collect(),
            resident_bytes: any(tallies().map(|tally| tally.resident_bytes).sum()),
            memory_limit_bytes: memory_limit(processes),
            sample_interval_bytes: processes.iter().map(|(entry, _)| entry.interval_bytes()).max(),
            attached_ratio: (count + missing > 0).then(|| count as f64 / (count + missing) as f64),
            gc: self.gc.clone(),
            gc_cpu_ratio: gc::mean_cpu_ratio(tallies()),
            gc_heap_goal_bytes: gc::sum(tallies(), |gc| gc.heap_goal_bytes),
            gc_heap_live_bytes: gc::sum(tallies(), |gc| gc.heap_live_bytes),
            sites: Vec::new(),
        }
    }
}

/// Of those that know it.
fn sum(values: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    values.flatten().reduce(|a, b| a + b)
}

/// The processes are independent: variances add up.
fn relative_error<'a>(tallies: impl Iterator<Item = &'a Tally>, quantity: &str) -> Option<f64> {
    let (mut value, mut variance, mut is_estimated) = (0.0, 0.0, false);
    for tally in tallies {
        value += match quantity {
            "inuse_bytes" => tally.inuse_bytes,
            "inuse_objects" => tally.inuse_objects,
            _ => tally.free_bytes,
        }
        .unwrap_or(0) as f64;
        if let Some(error) = tally.standard_errors.get(quantity) {
            variance += error * error;
            is_estimated = true;
        }
    }
    (is_estimated && value > 0.0).then(|| f64::sqrt(variance) / value)
}

/// Of each control group once; `None` if a process has no limit.
fn memory_limit(processes: &[(&Entry, &Known)]) -> Option<u64> {
    let limits: Option<BTreeMap<Arc<str>, u64>> =
        processes.iter().map(|(entry, _)| entry.memory_limit.clone()).collect();
    limits.filter(|limits| !limits.is_empty()).map(|limits| limits.values().sum())
}
