//! What one hit costs on this machine: the same programs, attached to this process for a moment.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracer_ebpf::abi::{Counter, MAX_SLOTS};

use super::image;
use crate::collect;
use crate::command::Failure;
use crate::kernel::Kernel;
use crate::mode::Mode;
use crate::options::Choice;
use crate::target::mappings::{FileCache, Mappings};

/// The last slot is kept for it.
pub(super) const SLOT: u32 = MAX_SLOTS - 1;
/// Pairs of malloc and free: enough to be above the clock's noise, a few milliseconds in all.
const PAIRS: u32 = 4_000;
const BLOCK_BYTES: usize = 64;

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Hits of entries, returns and frees alike.
    pub(crate) hits: u64,
    /// Mean cost of one.
    pub(crate) ns_per_hit: f64,
}

/// Attaches to this process, allocates, and takes the time that the hits took.
pub(crate) fn measure(kernel: &mut Kernel, mode: Mode) -> Result<Cost, Failure> {
    let pid = std::process::id();
    let mut files = FileCache::default();
    let mappings = Mappings::read(pid, &mut files)
        .map_err(|error| anyhow::anyhow!("failed to read this process's mappings: {error}"))?;
    let prepared = image::prepare(&mappings, &Choice::default(), mode, pid)?;
    let mut settings = prepared.slot(pid, 0, &mappings);
    kernel.set_text(SLOT, &mappings.text_ranges(tracer_ebpf::abi::slot::MAX_TEXT))?;
    let bare = allocate();
    let hits_before = hits(kernel, &prepared)?;
    let links = kernel.attach(pid, &prepared.file.file, &prepared.points(SLOT))?;
    settings.counting = 1;
    kernel.set_slot(SLOT, &settings)?;
    let traced = allocate();
    settings.counting = 0;
    kernel.set_slot(SLOT, &settings)?;
    links.detach();
    let hits = hits(kernel, &prepared)? - hits_before;
    let extra = traced.saturating_sub(bare);
    Ok(Cost { hits, ns_per_hit: if hits > 0 { extra.as_nanos() as f64 / hits as f64 } else { 0.0 } })
}

fn hits(kernel: &Kernel, prepared: &image::Prepared) -> Result<u64, Failure> {
    let counts = collect::slot(kernel, SLOT, prepared.functions().len() as u32)?;
    Ok(counts.event(Counter::Hits))
}

/// CPU time of this thread for the pairs.
fn allocate() -> Duration {
    let started = thread_cpu_time();
    for _ in 0..PAIRS {
        drop(black_box(Vec::<u8>::with_capacity(black_box(BLOCK_BYTES))));
    }
    thread_cpu_time().saturating_sub(started)
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
