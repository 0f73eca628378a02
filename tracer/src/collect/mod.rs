//! One moment's worth of what the kernel side knows, decoded.

pub mod decode;
pub mod notices;
pub mod runtime;

use std::ops::Range;

use tracer_ebpf::abi::{Counter, SiteRecord, SiteSpread, Sums, Variances};
use tracer_ebpf::histogram::{LIFETIME_BUCKETS, SIZE_BUCKETS};

pub use decode::{FrameAddress, LongStop, NewStack};

use crate::kernel::{Kernel, KernelError, SlotSet};

/// Some of the new stacks since the last time.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each once.
    pub stacks: Vec<NewStack>,
    /// Stops of the world that took long.
    pub long_stops: Vec<LongStop>,
    /// What they took of the ring buffer.
    pub bytes: u64,
    /// Records that this version does not know.
    pub unknown_records: u64,
}

/// What one call stack has, as the kernel side adds it up: sums of weights, which `model::estimate` turns into
/// numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteCounts {
    /// Its index in the table of sites.
    pub index: u32,
    /// The key of its stack; 0 for what has no stack of its own.
    pub key: u64,
    /// Its slot.
    pub slot: u32,
    /// Allocations.
    pub allocated: Sums,
    /// What has left the live map, or never came into it.
    pub gone: Sums,
    /// The part of `gone` that was not freed, in 2^-16.
    pub unfollowed_objects_q16: u64,
    /// Samples that were drawn; 0 where every allocation is walked.
    pub samples: u64,
    /// Those of them whose block is gone.
    pub gone_samples: u64,
    /// Of `allocated`.
    pub allocated_variance: Variances,
    /// Of `gone`.
    pub gone_variance: Variances,
}

/// A block that is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBlock {
    /// Index of its site.
    pub site: u32,
    /// The mean with which it was sampled; 0 for every allocation.
    pub interval: u32,
    /// Bytes asked for.
    pub size_bytes: u64,
    /// On the monotonic clock.
    pub born_ns: u64,
}

/// Exact counts of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionCounts {
    /// Attempts in mode `alloc`, and sampled; successes in mode `live`, every allocation; for a freeing function its
    /// frees.
    pub calls: u64,
    /// Bytes asked for by `calls`; for a freeing function the bytes of known blocks.
    pub bytes: u64,
    /// Calls that failed (`live`).
    pub failed: u64,
    /// Old blocks of successful reallocs.
    pub moved_objects: u64,
    /// Bytes of the known ones.
    pub moved_bytes: u64,
}

/// Exact totals of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotCounts {
    /// By function index.
    pub functions: Vec<FunctionCounts>,
    /// By [`Counter`].
    pub events: Vec<u64>,
    /// By size bucket.
    pub sizes: Vec<u64>,
    /// By lifetime bucket.
    pub lifetimes: Vec<u64>,
}

impl SlotCounts {
    /// A kernel-side counter.
    #[must_use]
    pub fn event(&self, counter: Counter) -> u64 {
        self.events.get(counter as usize).copied().unwrap_or(0)
    }
}

/// Takes new stacks until there is none, or their records were `most_bytes` in all: the memory that they are
/// decoded to is bounded, and the ring buffer is free for others before they are looked at.
pub fn stacks(kernel: &mut Kernel, most_bytes: u64) -> Batch {
    let mut batch = Batch::default();
    kernel.drain_stacks(|record| {
        match decode::stack(record) {
            Some(stack) => batch.stacks.push(stack),
            None => match decode::long_stop(record) {
                Some(stop) => batch.long_stops.push(stop),
                None => batch.unknown_records += 1,
            },
        }
        batch.bytes += record.len() as u64;
        batch.bytes < most_bytes
    });
    batch
}

/// Reads the counts of all sites of these slots that have any; `was_sampled` is whether any of them may be an estimate.
pub fn sites(kernel: &Kernel, slots: &SlotSet, was_sampled: bool) -> impl Iterator<Item = SiteCounts> {
    counted(kernel.sites(slots, was_sampled))
}

/// The same of the sites with these indices.
pub fn some_sites(
    kernel: &Kernel,
    indices: impl Iterator<Item = u32>,
    was_sampled: bool,
) -> impl Iterator<Item = SiteCounts> {
    counted(kernel.records(indices, was_sampled))
}

fn counted(records: impl Iterator<Item = (u32, SiteRecord, SiteSpread)>) -> impl Iterator<Item = SiteCounts> {
    records
        .filter(|(_, record, _)| record.allocated.objects_q16 > 0)
        .map(|(index, record, spread)| site(index, &record, &spread))
}

fn site(index: u32, record: &SiteRecord, spread: &SiteSpread) -> SiteCounts {
    SiteCounts {
        index,
        key: record.key,
        slot: (record.sent as u32).wrapping_sub(1),
        allocated: record.allocated,
        gone: record.gone,
        unfollowed_objects_q16: record.unfollowed_objects,
        samples: spread.samples,
        gone_samples: spread.gone_samples,
        allocated_variance: spread.allocated_variance,
        gone_variance: spread.gone_variance,
    }
}

/// Reads the live blocks of some buckets, one after the other.
pub fn live_blocks(kernel: &Kernel, buckets: Range<u32>) -> impl Iterator<Item = LiveBlock> {
    let block = |block: tracer_ebpf::abi::LiveBlock| LiveBlock {
        site: block.site,
        interval: block.interval,
        size_bytes: block.size_bytes,
        born_ns: block.born_ns,
    };
    kernel.live_blocks(buckets).map(block)
}

/// Reads the totals of one slot, summed over the CPUs. `functions` are the indices of its functions' totals, and whether
/// each frees.
///
/// # Errors
///
/// The kernel's refusal.
pub fn slot(
    kernel: &Kernel,
    slot: u32,
    functions: impl IntoIterator<Item = (u32, bool)>,
) -> Result<SlotCounts, KernelError> {
    let mut counts = SlotCounts {
        functions: Vec::new(),
        events: vec![0; Counter::ALL.len()],
        sizes: vec![0; SIZE_BUCKETS],
        lifetimes: vec![0; LIFETIME_BUCKETS],
    };
    for (index, frees) in functions {
        let mut function = FunctionCounts::default();
        for cpu in kernel.function_totals(index)? {
            function.calls += cpu.sizes.iter().sum::<u64>();
            function.bytes = function.bytes.wrapping_add(cpu.bytes());
            function.failed += cpu.failed;
            function.moved_objects += cpu.moved_objects;
            function.moved_bytes += cpu.moved_bytes;
            if !frees {
                add(&mut counts.sizes, &cpu.sizes);
            }
        }
        counts.functions.push(function);
    }
    for cpu in kernel.slot_totals(slot)? {
        add(&mut counts.events, &cpu.events);
        add(&mut counts.lifetimes, &cpu.lifetimes);
    }
    Ok(counts)
}

fn add(sums: &mut [u64], values: &[u64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
