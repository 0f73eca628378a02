//! The one loop body behind `attach` and `run`: targets come in, stacks are drained, a snapshot comes out.

pub(super) mod calibrate;
mod choice;
mod deep_stack;
pub(super) mod image;
mod place;
pub(super) mod planned;
mod report;
mod traced;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Failure;
use super::events::Events;
use super::messages::Messages;
use crate::collect::{self, NewStack};
use crate::kernel::attach::Links;
use crate::kernel::{Kernel, LoadOptions, RING_BYTES, btf, preflight};
use crate::mode::Mode;
use crate::model::snapshot::Snapshot;
use crate::model::{HitCosts, Model};
use crate::options::TraceOptions;
use crate::symbolize::{Symbolizer, Unmapped};
use crate::target::Target;
use crate::target::mappings::{FileCache, Mappings};
use planned::PlanCache;
use traced::Traced;

/// A new stack waits for this many looks at the mappings at most.
const LOOKS_FOR_MAPPING: u32 = 2;
/// New stacks that are decoded at a time.
const BATCH_BYTES: u64 = 1 << 20;

/// Functions that are counted apart: room for this many at least.
const FUNCTIONS_MIN: u32 = 2048 - calibrate::FUNCTIONS;
/// What a target with jemalloc beside libc has.
const FUNCTIONS_PER_TARGET: u32 = 48;
/// A cookie has 16 bits for the index.
const FUNCTIONS_MAX: u32 = 65_536 - calibrate::FUNCTIONS;

/// Everything that lives while targets are traced.
pub struct Session {
    kernel: Kernel,
    mode: Mode,
    sample_bytes: u64,
    was_sampled: bool,
    choice: crate::options::Choice,
    seed: u64,
    files: FileCache,
    plans: PlanCache,
    traced: Vec<Traced>,
    given: BTreeSet<u32>,
    model: Model,
    symbolizer: Symbolizer,
    waiting: Vec<(NewStack, u32)>,
    next_slot: u32,
    next_total: u32,
    /// Totals of functions that there are for targets.
    totals: u32,
    started: Instant,
    counting_since: Option<(jiff::Timestamp, Instant)>,
    counted: Duration,
    /// When counting stopped, on the clock of the blocks' births.
    stopped_ns: Option<u64>,
    attach_failures: BTreeMap<String, u64>,
    unknown_records: u64,
    hit_costs: Option<HitCosts>,
    notes: Vec<String>,
}

impl Session {
    /// Loads the programs for targets like these.
    ///
    /// # Errors
    ///
    /// Privileges or kernel features are missing; the message says which and what helps.
    pub fn open(options: &TraceOptions, targets: &[Target], messages: &Messages) -> Result<Self, Failure> {
        preflight::check_privileges().map_err(Failure::CannotTrace)?;
        let mut notes = Vec::new();
        let kind = choice::kind(options.attach, &mut notes)?;
        let mode = choice::mode(options.mode, targets, kind, &mut notes)?;
        let task = if options.follow_forks {
            btf::task_offsets(std::path::Path::new(btf::KERNEL_BTF))
                .map_err(|reason| notes.push(format!("children are not followed: {reason}")))
                .ok()
        } else {
            None
        };
        for note in &notes {
            messages.warn(note);
        }
        let totals = FUNCTIONS_MIN.max(FUNCTIONS_PER_TARGET * targets.len() as u32).min(FUNCTIONS_MAX);
        let load = LoadOptions {
            max_stacks: options.max_stacks,
            functions: totals + calibrate::FUNCTIONS,
            max_live: options.max_live,
            mode,
            kind,
            task,
            log: messages.is_verbose(),
        };
        Ok(Self {
            kernel: Kernel::load(&load)?,
            mode,
            sample_bytes: options.sample_bytes,
            was_sampled: options.sample_bytes > 0,
            choice: options.choice.clone(),
            seed: random_seed(),
            files: FileCache::default(),
            plans: PlanCache::default(),
            traced: Vec::new(),
            given: BTreeSet::new(),
            model: Model::default(),
            symbolizer: Symbolizer::default(),
            waiting: Vec::new(),
            next_slot: 0,
            next_total: 0,
            totals,
            started: Instant::now(),
            counting_since: None,
            counted: Duration::ZERO,
            stopped_ns: None,
            attach_failures: BTreeMap::new(),
            unknown_records: 0,
            hit_costs: None,
            notes,
        })
    }

    /// The loaded programs, for what only one command needs.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Learns of the execs, forks and library loads of followed processes from now on.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or the reader cannot be started.
    pub fn watch_processes(&mut self, events: &Events) -> Result<(), Failure> {
        self.kernel.attach_process_events()?;
        if let Some(ring) = self.kernel.take_process_events() {
            events.take_notices(ring).map_err(anyhow::Error::from)?;
        }
        Ok(())
    }

    /// Adds a process that the user named.
    ///
    /// # Errors
    ///
    /// As [`Self::add`].
    pub fn add_given(&mut self, target: Target) -> Result<(), Failure> {
        self.given.insert(target.pid);
        self.add(target, 0)
    }

    /// Whether the user named another process, and this one came from it.
    #[must_use]
    pub fn is_child(&self, pid: u32) -> bool {
        !self.given.contains(&pid)
    }

    /// Places the probes in a process's present image; they do not count yet. `hold` says where the process stops
    /// from now on (`tracer_ebpf::abi::slot::HOLD_AT_EXEC`).
    ///
    /// # Errors
    ///
    /// No allocator, no slot left, the process is gone, or the kernel refuses.
    pub fn add(&mut self, target: Target, hold: u32) -> Result<(), Failure> {
        let pid = target.pid;
        let index = match self.traced.iter().position(|traced| traced.pid() == pid) {
            Some(index) => index,
            None => {
                self.traced.push(Traced::new(target));
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

    /// Learns when the process's loader changes its mappings.
    pub fn watch_loader(&mut self, pid: u32, links: Links) {
        if let Some(traced) = self.traced.iter_mut().find(|traced| traced.pid() == pid) {
            traced.watch_loader(links);
        }
    }

    /// Begins to count in every image that does not yet.
    pub fn count(&mut self) {
        for traced in &mut self.traced {
            traced.set_counting(&self.kernel, true);
        }
        self.counting_since.get_or_insert_with(|| (jiff::Timestamp::now(), Instant::now()));
    }

    /// Changes the mean bytes between samples, from now on; 0 is every allocation. Numbers stay unbiased: each
    /// sample carries the weight of its own time.
    pub fn set_sample_bytes(&mut self, sample_bytes: u64) {
        self.sample_bytes = sample_bytes;
        self.was_sampled |= sample_bytes > 0;
        for traced in &self.traced {
            traced.set_sample_bytes(&self.kernel, sample_bytes);
        }
    }

    /// Stops counting: from here on the numbers stand still.
    pub fn stop(&mut self) {
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
        for (stack, _) in std::mem::take(&mut self.waiting) {
            self.locate(&stack, Unmapped::Stays);
        }
    }

    /// Takes the stacks that are new since the last time, one ring buffer full at most; their bytes.
    pub fn drain(&mut self) -> u64 {
        self.kernel.flush_log();
        let mut bytes = 0;
        loop {
            let batch = collect::stacks(&mut self.kernel, BATCH_BYTES);
            self.unknown_records += batch.unknown_records;
            for stack in batch.stacks {
                if !self.locate(&stack, Unmapped::Waits) {
                    self.waiting.push((stack, 0));
                }
            }
            bytes += batch.bytes;
            if batch.bytes < BATCH_BYTES || bytes >= RING_BYTES {
                break;
            }
        }
        bytes
    }

    /// Looks at the processes: at their mappings, if a stack waits for them, and at what they use.
    pub fn look(&mut self) {
        if !self.waiting.is_empty() {
            for index in 0..self.traced.len() {
                self.refresh_mappings(index);
            }
            for (stack, looks) in std::mem::take(&mut self.waiting) {
                let looks = looks + 1;
                let is_last = looks >= LOOKS_FOR_MAPPING;
                if !self.locate(&stack, if is_last { Unmapped::Stays } else { Unmapped::Waits }) {
                    self.waiting.push((stack, looks));
                }
            }
        }
        for traced in &mut self.traced {
            traced.update_usage();
        }
    }

    /// Reads the mappings of a process again.
    pub fn mappings_changed(&mut self, pid: u32) {
        if let Some(index) = self.traced.iter().position(|traced| traced.pid() == pid) {
            self.refresh_mappings(index);
        }
    }

    fn refresh_mappings(&mut self, index: usize) {
        let pid = self.traced[index].pid();
        let Ok(mappings) = Mappings::read(pid, &mut self.files) else { return };
        // A process that is about to be gone has no mappings left: the last ones stay.
        if mappings.iter().next().is_some() {
            self.attach_new_objects(index, &mappings);
            self.traced[index].update_mappings(&mut self.kernel, mappings);
        }
    }

    /// Remembers a stack with its places; false if it waits for its mapping.
    fn locate(&mut self, stack: &NewStack, unmapped: Unmapped) -> bool {
        let Some(known) = self.traced.iter_mut().find_map(|traced| traced.code_of(stack.slot)) else {
            return true;
        };
        let Some(located) = self.symbolizer.locate(stack, known.mappings, known.cache, unmapped) else {
            return false;
        };
        self.model.learn(stack.key, located);
        true
    }

    /// Whether all targets have ended.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        self.traced.iter().all(|traced| !traced.is_running())
    }

    /// Notes that a process has ended or been replaced.
    pub fn ended(&mut self, pid: u32, how: &str) {
        self.kernel.unfollow(pid);
        if let Some(traced) = self.traced.iter_mut().find(|traced| traced.pid() == pid) {
            traced.end(how);
        }
    }

    /// Notes that a process has executed another program: the heap of the old one is gone.
    pub fn replaced(&mut self, pid: u32) {
        if let Some(traced) = self.traced.iter_mut().find(|traced| traced.pid() == pid) {
            traced.image_ended();
        }
    }

    /// Counts something that could not be attached to.
    pub fn count_failure(&mut self, reason: &str) {
        *self.attach_failures.entry(reason.to_owned()).or_insert(0) += 1;
    }

    /// Adds a sentence to the quality block.
    pub fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// The picture of this moment.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn snapshot(&mut self, options: &TraceOptions) -> Result<Snapshot, Failure> {
        let moment = report::moment(self, options)?;
        Ok(self.model.snapshot(moment, &options.filter, &mut self.symbolizer))
    }

    /// Measures what one hit costs here, on this process, once the targets are free again.
    pub fn calibrate(&mut self) {
        match calibrate::measure(&mut self.kernel, self.mode) {
            Ok(calibration) => self.hit_costs = Some(calibration.costs),
            Err(failure) => self.notes.push(format!("the cost of a hit was not measured: {failure}")),
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

/// A random seed for the stack hashes, so that no target can prepare collisions.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
