//! The one loop body behind `attach` and `run`: targets come in, stacks are drained, a snapshot comes out.

mod ages;
pub(super) mod calibrate;
mod choice;
mod deep_stack;
pub(super) mod go;
pub(super) mod image;
mod late;
mod leave;
mod pictures;
mod place;
pub(super) mod planned;
mod processes;
mod report;
mod slots;
mod stacks;
mod tally;
mod traced;
pub(super) mod unwinding;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Failure;
use super::messages::Messages;
use crate::collect::NewStack;
use crate::kernel::attach::{Kind, Links};
use crate::kernel::{Kernel, LoadOptions, btf, preflight};
use crate::mode::{Mode, Tracing};
use crate::model::{ModeCosts, Model};
use crate::options::{TraceOptions, Unwind};
use crate::symbolize::Symbols;
use crate::target::mappings::{FileCache, Mappings};
use crate::target::{Target, loader};
use ages::AgePasses;
use leave::{Gone, Leaving};
use planned::PlanCaches;
use slots::Slots;
pub use tally::Standing;
use traced::Traced;
use unwinding::Unwinding;

/// Functions that are counted apart: room for this many at least.
const FUNCTIONS_MIN: u32 = 2048 - calibrate::FUNCTIONS;
/// What a target with jemalloc beside libc has.
const FUNCTIONS_PER_TARGET: u32 = 48;
/// Targets at a time where they come and go, as expected before any is known.
const TARGETS_SELECTED: u32 = 200;
/// A cookie has 16 bits for the index.
const FUNCTIONS_MAX: u32 = 65_536 - calibrate::FUNCTIONS;
/// Between two looks at the mappings of a process of which nothing is heard.
const REFRESH: Duration = Duration::from_secs(1);
/// Processes whose usage is read at a look: all in ten looks.
const USAGE_LOOKS: usize = 10;
/// Different reasons and notes that are kept: they name files.
const MAX_REASONS: usize = 200;

/// Everything that lives while targets are traced.
pub struct Session {
    kernel: Kernel,
    /// Of what is added without saying how.
    tracing: Tracing,
    /// This kernel does not kill what has a seccomp filter at a return probe, or nobody asks for it.
    is_live_safe: bool,
    ages: AgePasses,
    choice: crate::options::Choice,
    /// From here on a stop of the world is recorded; `None`: stops are not probed.
    gc_threshold: Option<Duration>,
    seed: u64,
    files: FileCache,
    plans: PlanCaches,
    go_programs: go::Programs,
    loaders: loader::Known,
    /// `None` where stacks are walked by frame pointers.
    unwinding: Option<Unwinding>,
    traced: Vec<Traced>,
    given: BTreeSet<u32>,
    model: Model,
    symbols: Symbols,
    waiting: Vec<(NewStack, u32)>,
    slots: Slots,
    max_stacks: u32,
    /// Slots whose probes are being removed.
    leaving: Vec<Leaving>,
    /// Whose usage is read next.
    next_usage: usize,
    /// Whose mappings were read last, and when.
    next_refresh: usize,
    refreshed: Instant,
    started: Instant,
    counting_since: Option<(jiff::Timestamp, Instant)>,
    counted: Duration,
    /// When counting stopped, on the clock of the blocks' births.
    stopped_ns: Option<u64>,
    attach_failures: BTreeMap<String, u64>,
    unknown_records: u64,
    hit_costs: ModeCosts,
    notes: Vec<String>,
    /// Where what has ended is forgotten: the daemon's way.
    gone: Option<Gone>,
}

impl Session {
    /// Loads the programs for targets like these.
    ///
    /// # Errors
    ///
    /// Privileges or kernel features are missing; the message says which and what helps.
    pub fn open(options: &TraceOptions, targets: &[Target], messages: &Messages) -> Result<Self, Failure> {
        preflight::check_privileges().map_err(Failure::CannotTrace)?;
        let mut notes = preflight::restrictions();
        let kind = choice::kind(options.attach, &mut notes)?;
        let watch_all = options.watch_all;
        let more_may_come = targets.is_empty() || watch_all || options.follow_forks;
        let mode = choice::mode(options.mode, targets, more_may_come, kind, &mut notes)?;
        let task = if options.follow_forks || watch_all {
            btf::task_offsets(std::path::Path::new(btf::KERNEL_BTF))
                .map_err(|reason| notes.push(format!("children are not followed: {reason}")))
                .ok()
        } else {
            None
        };
        notes.iter().for_each(|note| messages.warn(note));
        let expected = if watch_all { TARGETS_SELECTED } else { targets.len() as u32 };
        let totals = FUNCTIONS_MIN.max(FUNCTIONS_PER_TARGET * expected).min(FUNCTIONS_MAX);
        let load = LoadOptions { kind, task, log: messages.is_verbose(), ..load_options(options, totals) };
        let mut kernel = Kernel::load(&load)?;
        let unwinding = match options.unwind {
            Unwind::Tables => Unwinding::start(&mut kernel).map_err(anyhow::Error::from)?,
            Unwind::FramePointers => None,
        };
        Ok(Self {
            kernel,
            unwinding,
            tracing: Tracing { mode, sample_bytes: options.sample_bytes, go: options.go },
            is_live_safe: mode == options.mode,
            ages: AgePasses::default(),
            choice: options.choice.clone(),
            gc_threshold: options.gc_threshold,
            seed: random_seed(),
            files: FileCache::default(),
            plans: PlanCaches::default(),
            go_programs: go::Programs::default(),
            loaders: loader::Known::default(),
            traced: Vec::new(),
            given: BTreeSet::new(),
            model: Model::default(),
            symbols: Symbols::default(),
            waiting: Vec::new(),
            slots: Slots::new(totals),
            max_stacks: options.max_stacks,
            leaving: Vec::new(),
            next_usage: 0,
            next_refresh: 0,
            refreshed: Instant::now(),
            started: Instant::now(),
            counting_since: None,
            counted: Duration::ZERO,
            stopped_ns: None,
            attach_failures: BTreeMap::new(),
            unknown_records: 0,
            hit_costs: ModeCosts::default(),
            notes,
            gone: None,
        })
    }

    /// The loaded programs, for what only one command needs.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Places the probes in a process's present image; they do not count yet. `hold` says where the process stops
    /// from now on (`tracer_ebpf::abi::slot::HOLD_AT_EXEC`).
    ///
    /// # Errors
    ///
    /// No allocator, no slot left, the process is gone, or the kernel refuses.
    pub fn add(&mut self, target: Target, hold: u32) -> Result<(), Failure> {
        self.add_with(target, hold, self.tracing)
    }

    /// The same, traced in a way of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::add`].
    pub fn add_with(&mut self, target: Target, hold: u32, tracing: Tracing) -> Result<(), Failure> {
        let pid = target.pid;
        let tracing = self.allowed(target.seccomp_filtered, tracing);
        let index = match self.traced.iter().position(|traced| traced.is(&target)) {
            Some(index) => {
                self.traced[index].tracing = tracing;
                index
            }
            None => {
                self.traced.push(Traced::new(target, tracing));
                self.traced.len() - 1
            }
        };
        let attached = self.attach_image(index, hold).map_err(|failure| {
            // A process that is gone has no allocator, no mappings and no place for a probe: this is why.
            match self.traced[index].is_alive() {
                true => failure,
                false => Failure::NotFound(format!("process {pid} ended while it was attached to")),
            }
        });
        if attached.is_err() && self.traced[index].images.is_empty() {
            self.traced.remove(index);
        }
        attached
    }

    /// Begins to count in every image that does not yet.
    pub fn count(&mut self) {
        if let (None, Some(unwinding)) = (self.counting_since, &self.unwinding) {
            unwinding.wait();
        }
        self.take_tables();
        for traced in &mut self.traced {
            traced.set_counting(&self.kernel, true);
        }
        self.counting_since.get_or_insert_with(|| (jiff::Timestamp::now(), Instant::now()));
    }

    /// Changes the mean bytes between samples, from now on; 0 is every allocation. Numbers stay unbiased: each
    /// sample carries the weight of its own time.
    pub fn set_sample_bytes(&mut self, sample_bytes: u64) {
        self.tracing.sample_bytes = sample_bytes;
        for traced in &mut self.traced {
            traced.set_sample_bytes(&self.kernel, sample_bytes);
        }
    }

    /// Whether the numbers stand still.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped_ns.is_some()
    }

    /// Stops counting: from here on the numbers stand still.
    pub fn stop(&mut self) {
        if self.is_stopped() {
            return;
        }
        if let Some((_, since)) = self.counting_since {
            self.counted = since.elapsed();
        }
        self.stopped_ns = Some(report::monotonic_ns());
        for traced in &mut self.traced {
            traced.update_usage();
            traced.set_counting(&self.kernel, false);
        }
        // The probes are silent: what a ring buffer holds is all there is.
        self.drain();
        self.locate_all();
    }

    /// Looks at the processes: at their mappings, if a stack waits for them, and at what they use.
    pub fn look(&mut self) {
        if !self.waiting.is_empty() {
            let slots: BTreeSet<u32> = self.waiting.iter().map(|(stack, _)| stack.slot).collect();
            let waits = |traced: &Traced| traced.images.iter().any(|image| slots.contains(&image.slot));
            let indices: Vec<usize> =
                (0..self.traced.len()).filter(|&index| waits(&self.traced[index])).collect();
            for index in indices {
                self.refresh_mappings(index);
            }
            self.locate_waiting();
        }
        self.refresh_next();
        self.look_at_runtimes(None, self.gone.is_none());
        // What is over has tables that others may have no room for.
        self.free_slots();
        for _ in 0..self.traced.len().div_ceil(USAGE_LOOKS) {
            self.next_usage = (self.next_usage + 1) % self.traced.len();
            self.traced[self.next_usage].update_usage();
        }
    }

    /// Tells the programs of unwind tables that are new.
    pub fn take_tables(&mut self) {
        if self.unwinding.as_mut().is_some_and(Unwinding::has_news) {
            for traced in &mut self.traced {
                traced.take_tables(&mut self.kernel, self.unwinding.as_ref());
            }
        }
    }

    /// Reads the mappings of one process after the other, each about once a second: what is mapped without the loader, and
    /// what is unmapped, is not noticed otherwise.
    fn refresh_next(&mut self) {
        let running: Vec<usize> =
            (0..self.traced.len()).filter(|&index| self.traced[index].is_running()).collect();
        let pause = REFRESH / running.len().max(1) as u32;
        if running.is_empty() || self.refreshed.elapsed() < pause {
            return;
        }
        self.refreshed = Instant::now();
        self.next_refresh = (self.next_refresh + 1) % running.len();
        self.refresh_mappings(running[self.next_refresh]);
    }

    /// Reads the mappings of a process again.
    pub fn mappings_changed(&mut self, pid: u32) {
        if let Some(index) = self.traced.iter().rposition(|traced| traced.pid() == pid) {
            self.refresh_mappings(index);
        }
    }

    fn refresh_mappings(&mut self, index: usize) {
        let pid = self.traced[index].pid();
        // What the programs have seen so far is to be found in the mappings that are known.
        self.drain();
        let Ok(mappings) = Mappings::read(pid, &mut self.files) else { return };
        // A process that is about to be gone has no mappings left: the last ones stay.
        if mappings.iter().next().is_some() {
            self.attach_new_objects(index, &mappings);
            self.find_late_runtime(index, &mappings);
            self.traced[index].update_mappings(&mut self.kernel, self.unwinding.as_ref(), mappings);
        }
    }

    /// Counts something that could not be attached to.
    pub fn count_failure(&mut self, reason: &str) {
        self.count_failures(reason, 1);
    }

    /// The same, in a process that is traced.
    fn count_failure_in(&mut self, index: usize, reason: &str) {
        self.count_failure(reason);
        self.traced[index].count_failure(reason);
    }

    /// Counts several of the same kind.
    pub fn count_failures(&mut self, reason: &str, times: u64) {
        let is_known = self.attach_failures.contains_key(reason);
        let has_room = is_known || self.attach_failures.len() < MAX_REASONS;
        let reason = if has_room { reason } else { "other reasons" };
        *self.attach_failures.entry(reason.to_owned()).or_insert(0) += times;
    }

    /// Adds a sentence to the quality block.
    pub fn note(&mut self, text: String) {
        if !self.notes.contains(&text) && self.notes.len() < MAX_REASONS {
            self.notes.push(text);
        }
    }

    /// Removes the probes.
    pub fn detach(&mut self) {
        let mut links = Links::default();
        for traced in &mut self.traced {
            links.extend(traced.take_links());
        }
        links.detach();
    }
}

/// What the options say of it; how probes are attached is found out beside.
const fn load_options(options: &TraceOptions, totals: u32) -> LoadOptions {
    LoadOptions {
        max_stacks: options.max_stacks,
        functions: totals + calibrate::FUNCTIONS,
        max_live: options.max_live,
        by_tables: matches!(options.unwind, Unwind::Tables),
        by_thread: options.by_thread,
        keep_rows: options.keep_rows,
        bpf_loop: options.bpf_loop,
        stop_one_in: options.stop_one_in,
        max_unwind_bytes: options.max_unwind_bytes,
        may_follow: matches!(options.mode, Mode::Live),
        kind: Kind::Multi,
        task: None,
        watch_all: options.watch_all,
        log: false,
    }
}

/// A random seed for the stack hashes, so that no target can prepare collisions.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
