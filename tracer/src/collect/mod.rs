//! One moment's worth of what the kernel side knows, decoded.

pub mod decode;
pub mod notices;

use tracer_ebpf::abi::{Counter, FunctionTotals, SiteRecord};
use tracer_ebpf::histogram::{LIFETIME_BUCKETS, SIZE_BUCKETS};

pub use decode::NewStack;

use crate::kernel::{Kernel, KernelError};

/// New stacks since the last time.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each once.
    pub stacks: Vec<NewStack>,
    /// Records that this version does not know.
    pub unknown_records: u64,
}

/// Counts of one call stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteCounts {
    /// Its key.
    pub key: u64,
    /// Its slot.
    pub slot: u32,
    /// Allocations.
    pub alloc_objects: u64,
    /// Their bytes.
    pub alloc_bytes: u64,
    /// Freed blocks.
    pub free_objects: u64,
    /// Live blocks.
    pub inuse_objects: u64,
    /// Their bytes.
    pub inuse_bytes: u64,
}

/// A block that is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBlock {
    /// Its slot.
    pub slot: u32,
    /// Key of its site.
    pub site: u64,
    /// Bytes asked for.
    pub size_bytes: u64,
    /// On the monotonic clock.
    pub born_ns: u64,
}

/// Exact totals of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotCounts {
    /// By function index.
    pub functions: Vec<FunctionTotals>,
    /// Free events.
    pub free_objects: u64,
    /// Bytes of known blocks that were freed.
    pub free_bytes: u64,
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

/// Takes the new stacks.
pub fn stacks(kernel: &mut Kernel) -> Batch {
    let mut batch = Batch::default();
    kernel.drain_stacks(|record| match decode::stack(record) {
        Some(stack) => batch.stacks.push(stack),
        None => batch.unknown_records += 1,
    });
    batch
}

/// Reads the counts of all sites that have any.
///
/// # Errors
///
/// The kernel's refusal.
pub fn sites(kernel: &Kernel) -> Result<Vec<SiteCounts>, KernelError> {
    let counted = |&(_, record): &(u64, SiteRecord)| record.alloc_objects > 0;
    Ok(kernel
        .sites()?
        .into_iter()
        .filter(counted)
        .map(|(key, record)| SiteCounts {
            key,
            slot: record.slot,
            alloc_objects: record.alloc_objects,
            alloc_bytes: record.alloc_bytes,
            free_objects: record.free_objects,
            inuse_objects: record.inuse_objects,
            inuse_bytes: record.inuse_bytes,
        })
        .collect())
}

/// Reads all live blocks: for a report, not for every refresh.
///
/// # Errors
///
/// The kernel's refusal.
pub fn live_blocks(kernel: &Kernel) -> Result<Vec<LiveBlock>, KernelError> {
    Ok(kernel
        .live_blocks()?
        .into_iter()
        .map(|(key, block)| LiveBlock {
            slot: key.slot as u32,
            site: block.site,
            size_bytes: block.size_bytes,
            born_ns: block.born_ns,
        })
        .collect())
}

/// Reads the totals of one slot with `functions` functions, summed over the CPUs.
///
/// # Errors
///
/// The kernel's refusal.
pub fn slot(kernel: &Kernel, slot: u32, functions: u32) -> Result<SlotCounts, KernelError> {
    let mut counts = SlotCounts {
        functions: (0..functions)
            .map(|function| kernel.function_totals(slot, function))
            .collect::<Result<_, _>>()?,
        free_objects: 0,
        free_bytes: 0,
        events: vec![0; Counter::ALL.len()],
        sizes: vec![0; SIZE_BUCKETS],
        lifetimes: vec![0; LIFETIME_BUCKETS],
    };
    for cpu in kernel.slot_totals(slot)? {
        counts.free_objects += cpu.free_objects;
        counts.free_bytes += cpu.free_bytes;
        add(&mut counts.events, &cpu.events);
        add(&mut counts.sizes, &cpu.sizes);
        add(&mut counts.lifetimes, &cpu.lifetimes);
    }
    Ok(counts)
}

fn add(sums: &mut [u64], values: &[u64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
