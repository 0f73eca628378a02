//! What one hit of each kind costs on this machine: the same programs, attached to this process for a moment.
//!
//! Each cost is a difference of two runs of the same calls: nothing attached, entries and frees, returns too, and
//! then with every call a sample. Frames are taken from a stack 16 calls deep ([`super::deep_stack`]).

use std::hint::black_box;
use std::time::Duration;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use tracer_ebpf::abi::MAX_SLOTS;
use tracer_ebpf::sampling::MAX_SAMPLE_BYTES;

use super::Session;
use super::deep_stack;
use super::image;
use super::planned::PlanCache;
use super::unwinding::{self, Unwinding, Uses};
use crate::collect;
use crate::command::Failure;
use crate::kernel::Kernel;
use crate::kernel::attach::Points;
use crate::mode::Mode;
use crate::model::HitCosts;
use crate::options::Choice;
use crate::target::mappings::{FileCache, Mappings};

/// The last slot is kept for it.
pub(super) const SLOT: u32 = MAX_SLOTS - 1;
/// Totals of functions that are kept for it, behind all others: those of this program's allocator.
pub(crate) const FUNCTIONS: u32 = 64;
/// Times that a run allocates and frees.
const PASSES: u32 = 4;
/// Calls of a run: a few milliseconds, far above the clock's noise.
const CALLS: usize = 2_000;
/// As most are: several cache lines of sizes, 16 … 1024 bytes.
const SIZES: [usize; 7] = [16, 32, 64, 128, 256, 512, 1024];

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calibration {
    pub(crate) costs: HitCosts,
    /// Calls of malloc that the programs have counted: all of them, if they work.
    pub(crate) counted: u64,
}

/// CPU time per call of a run, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Run {
    malloc_ns: f64,
    free_ns: f64,
}

impl Session {
    /// Measures what one hit costs here, on this process, once the targets are free again.
    pub fn calibrate(&mut self) {
        let probed = self.traced.iter().flat_map(|traced| &traced.images).filter(|image| image.has_probes());
        let modes: Vec<Mode> = probed.map(|image| image.mode).collect();
        for mode in [Mode::Alloc, Mode::Live] {
            if modes.contains(&mode) || (modes.is_empty() && mode == self.tracing.mode) {
                self.calibrate_mode(mode);
            }
        }
    }

    pub(super) fn calibrate_mode(&mut self, mode: Mode) {
        match measure(&mut self.kernel, mode, self.unwinding.as_ref()) {
            Ok(calibration) => self.hit_costs.set(mode, calibration.costs),
            Err(failure) => self.notes.push(format!("the cost of a hit was not measured: {failure}")),
        }
    }
}

/// Attaches to this process, allocates, and takes the time that the hits took.
pub(crate) fn measure(
    kernel: &mut Kernel,
    mode: Mode,
    unwinding: Option<&Unwinding>,
) -> Result<Calibration, Failure> {
    let pid = std::process::id();
    let mut files = FileCache::default();
    let mappings = Mappings::read(pid, &mut files)
        .map_err(|error| anyhow::anyhow!("failed to read this process's mappings: {error}"))?;
    let found = image::prepare(&mappings, &Choice::default(), mode, pid, &mut PlanCache::default())?;
    // This program has one allocator.
    let object = found.objects.first().context("this process has no allocator")?;
    let first_total = kernel.functions() - FUNCTIONS;
    let Points { allocating, freeing, returning, .. } = object.points(SLOT, 0, first_total);
    let entries = Points { allocating, freeing, ..Points::default() };
    let returns = Points { returning, ..Points::default() };
    kernel.set_slot(SLOT, &image::slot(&found.objects, pid, 0, MAX_SAMPLE_BYTES, &mappings));
    let mut uses = Uses::default();
    unwinding::publish(unwinding, kernel, SLOT, &mappings, &mut uses);
    if let Some(tables) = unwinding {
        tables.wait();
        unwinding::publish(unwinding, kernel, SLOT, &mappings, &mut uses);
    }
    let by_tables = unwinding.is_some();
    let bare = run(by_tables)?;
    let mut links = kernel.attach(pid, mode, &object.file.file, &entries)?;
    kernel.set_counting(SLOT, true);
    let entered = run(by_tables)?;
    if mode == Mode::Live {
        links.extend(kernel.attach(pid, mode, &object.file.file, &returns)?);
    }
    let returned = if mode == Mode::Live { run(by_tables)? } else { entered };
    kernel.set_sample_bytes(SLOT, 0);
    let sampled = run(by_tables)?;
    kernel.set_counting(SLOT, false);
    links.detach();
    let functions = object.functions(first_total, 0);
    let functions = functions.iter().map(|function| (function.total, function.function.frees));
    let counts = collect::slot(kernel, SLOT, functions)?;
    unwinding::release(unwinding, &mut uses);
    let costs = HitCosts {
        entry_ns: (entered.malloc_ns - bare.malloc_ns).max(0.0),
        return_ns: (returned.malloc_ns - entered.malloc_ns).max(0.0),
        free_ns: (entered.free_ns - bare.free_ns).max(0.0),
        sample_ns: (sampled.malloc_ns - returned.malloc_ns).max(0.0),
        sample_free_ns: (sampled.free_ns - returned.free_ns).max(0.0),
    };
    Ok(Calibration { costs, counted: counts.sizes.iter().sum() })
}

/// Allocates, then frees, in a thread of its own, whose stack is no deeper than it is meant to be.
fn run(by_tables: bool) -> Result<Run, Failure> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("tracer-calibrate".to_owned());
        let started = thread.spawn_scoped(scope, || passes(by_tables));
        let thread = started.context("failed to start a thread")?;
        Ok(thread.join().map_err(|_| anyhow::anyhow!("the thread that allocates has panicked"))?)
    })
}

/// Allocates, then frees, several times, and takes the best: the first time warms the allocator and the programs up, and
/// what else runs on the machine makes some slower.
fn passes(by_tables: bool) -> Run {
    let mut blocks = Vec::with_capacity(CALLS);
    let mut top = None;
    let mut best = Run { malloc_ns: f64::MAX, free_ns: f64::MAX };
    for _ in 0..PASSES {
        let started = thread_cpu_time();
        for call in 0..CALLS {
            blocks.push(deep_stack::allocate(black_box(SIZES[call % SIZES.len()]), by_tables));
        }
        let allocated = thread_cpu_time();
        // Above the others: else the allocator gives their memory back to the kernel each time.
        top.get_or_insert_with(|| deep_stack::allocate(SIZES[0], by_tables));
        let emptying = thread_cpu_time();
        blocks.clear();
        let per_call = |time: Duration| time.as_nanos() as f64 / CALLS as f64;
        let freed = thread_cpu_time();
        best = Run {
            malloc_ns: best.malloc_ns.min(per_call(allocated.saturating_sub(started))),
            free_ns: best.free_ns.min(per_call(freed.saturating_sub(emptying))),
        };
    }
    best
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
