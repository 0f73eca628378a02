//! What a moment says of each process without its call sites: what the daemon looks at each second.

use std::collections::BTreeMap;

use tracer_ebpf::abi::Counter;
use tracer_ebpf::histogram::size_bound_bytes;

use super::node::{AllocatorCounts, RuntimeHeap, TargetId};
use super::snapshot::Gc;
use super::{Moment, TargetState, hits, quality, totals};
use crate::mode::Mode;

/// The numbers of a process since counting began in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Which.
    pub id: TargetId,
    /// Kernel's short name.
    pub comm: String,
    /// Path of its program as it sees it.
    pub exe: String,
    /// It has ended.
    pub has_ended: bool,
    /// And these are its last numbers.
    pub is_over: bool,
    /// What is traced in it.
    pub mode: Mode,
    /// By the allocator's name.
    pub allocators: BTreeMap<String, AllocatorCounts>,
    /// Allocations by size: power-of-two buckets, not cumulative, each with its last size.
    pub sizes: Vec<(Option<u64>, u64)>,
    /// Live blocks that were seen born; `None` in mode `alloc`.
    pub inuse_objects: Option<u64>,
    /// Their bytes.
    pub inuse_bytes: Option<u64>,
    /// Where estimated, by quantity.
    pub standard_errors: BTreeMap<String, f64>,
    /// Freed bytes, known or estimated.
    pub free_bytes: Option<u64>,
    /// What its runtime counts by itself.
    pub runtime: Option<RuntimeHeap>,
    /// Its garbage collections, where its runtime tells.
    pub gc: Option<Gc>,
    /// CPU time while it was counted in.
    pub cpu_seconds: f64,
    /// What tracing has added to it, as predicted.
    pub overhead_seconds: f64,
    /// Resident set.
    pub resident_bytes: u64,
    /// Allocations and frees that were counted.
    pub events: u64,
    /// What is missing of them, by reason.
    pub lost: BTreeMap<String, u64>,
}

/// Of every process of a moment.
#[must_use]
pub fn of(moment: &Moment) -> Vec<Tally> {
    moment.targets.iter().map(|state| of_target(state, moment)).collect()
}

fn of_target(state: &TargetState, moment: &Moment) -> Tally {
    let target = totals::fill(state, moment);
    let (_, cost_ns) = hits::of(state.slots.iter(), moment);
    let totals = target.totals;
    let mut allocators: BTreeMap<String, AllocatorCounts> = BTreeMap::new();
    for allocator in &target.allocators {
        let Some(counts) = &allocator.totals else { continue };
        let known = allocators.entry(allocator.name.clone()).or_default();
        *known = known.plus(AllocatorCounts {
            alloc_objects: counts.alloc_objects,
            alloc_bytes: counts.alloc_bytes,
            free_objects: counts.free_objects,
            free_bytes: counts.free_bytes,
        });
    }
    // An estimate is of the process: its samples are not told apart by allocator. What a runtime has freed it knows.
    let is_runtime =
        |name: &str| target.allocators.iter().any(|one| one.name == name && one.source == "runtime");
    let of_runtimes = allocators.iter().filter(|(name, _)| is_runtime(name));
    let of_runtimes: u64 = of_runtimes.filter_map(|(_, counts)| counts.free_bytes).sum();
    let mut probed = allocators.iter_mut().filter(|(name, _)| !is_runtime(name)).map(|(_, counts)| counts);
    if let (Some(bytes), Some(only), None) = (totals.free_bytes, probed.next(), probed.next()) {
        only.free_bytes = Some(bytes.saturating_sub(of_runtimes));
        only.free_objects = only.free_objects.or(totals.free_objects);
    }
    Tally {
        id: state.id(),
        comm: target.comm,
        exe: target.exe,
        has_ended: false,
        is_over: false,
        mode: state.mode(),
        allocators,
        runtime: target.allocators.iter().find_map(RuntimeHeap::of),
        sizes: sizes(state),
        inuse_objects: totals.inuse_objects,
        inuse_bytes: totals.inuse_bytes,
        standard_errors: totals.standard_error,
        free_bytes: totals.free_bytes,
        gc: target.gc,
        cpu_seconds: target.cpu_seconds,
        overhead_seconds: cost_ns * 1e-9,
        resident_bytes: target.resident_bytes,
        events: state.slots.iter().map(quality::events).sum(),
        lost: lost(state),
    }
}

fn sizes(state: &TargetState) -> Vec<(Option<u64>, u64)> {
    let buckets = state.slots.iter().map(|slot| slot.counts.sizes.len()).max().unwrap_or(0);
    let count = |bucket| state.slots.iter().filter_map(|slot| slot.counts.sizes.get(bucket)).sum();
    (0..buckets).map(|bucket| (size_bound_bytes(bucket), count(bucket))).collect()
}

fn lost(state: &TargetState) -> BTreeMap<String, u64> {
    let count = |counter: Counter| state.slots.iter().map(|slot| slot.counts.event(counter)).sum::<u64>();
    quality::lost(count)
}

impl Tally {
    /// With the frees of an earlier look where this one knows none: a process that is traced in mode `alloc` now.
    #[must_use]
    pub fn with_frees_of(&self, earlier: &Self) -> Self {
        let mut tally = self.clone();
        for (name, counts) in &mut tally.allocators {
            let known = earlier.allocators.get(name).copied().unwrap_or_default();
            counts.free_objects = counts.free_objects.or(known.free_objects);
            counts.free_bytes = counts.free_bytes.or(known.free_bytes);
        }
        tally
    }
}

impl AllocatorCounts {
    /// Both together; what only one knows is that one's.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let plus = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.wrapping_add(b)).or(a).or(b);
        Self {
            alloc_objects: self.alloc_objects + other.alloc_objects,
            alloc_bytes: self.alloc_bytes.wrapping_add(other.alloc_bytes),
            free_objects: plus(self.free_objects, other.free_objects),
            free_bytes: plus(self.free_bytes, other.free_bytes),
        }
    }

    /// What was added since.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let minus = |a: Option<u64>, b: Option<u64>| a.map(|a| a.saturating_sub(b.unwrap_or(0)));
        Self {
            alloc_objects: self.alloc_objects.saturating_sub(earlier.alloc_objects),
            alloc_bytes: self.alloc_bytes.saturating_sub(earlier.alloc_bytes),
            free_objects: minus(self.free_objects, earlier.free_objects),
            free_bytes: minus(self.free_bytes, earlier.free_bytes),
        }
    }
}
