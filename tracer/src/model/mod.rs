//! From counts to the picture that every view reads.
//!
//! One task owns it. Call stacks that differ in the kernel only by what was cut off them are one site here.

mod ages;
mod check;
mod estimate;
mod history;
mod hits;
mod known;
pub mod ledger;
pub mod node;
mod quality;
mod shapes;
mod sites;
pub mod snapshot;
mod sums;
pub mod tally;
mod totals;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::collect::runtime::ProfiledSite;
use crate::collect::{SiteCounts, SlotCounts};
use crate::frame::Frame;
use crate::mode::Mode;
use crate::symbolize::{PlaceId, Symbols};
pub use ages::Ages;
pub use estimate::{FEW_SAMPLES, interval_95};
use history::History;
pub use hits::ModeCosts;
use known::KnownSites;
pub use known::SiteStack;
use node::TargetId;
pub use snapshot::HitCosts;
use snapshot::{Host, Overhead, SCHEMA, Snapshot, Target, Tool};
pub use sums::SiteSums;

/// One image of a process, as far as the kernel counted it.
#[derive(Clone, Debug)]
pub struct SlotState {
    /// Its index.
    pub index: u32,
    /// The process still runs this image, or ended in it: an exec ends the heap of the one before.
    pub is_last_image: bool,
    /// What is traced in it.
    pub mode: Mode,
    /// It was sampled at any time: the counts of its sites are estimates, and a call is counted at its entry.
    pub was_sampled: bool,
    /// Who has counted.
    pub source: Source,
    /// Its functions, in the order of their counts.
    pub functions: Vec<ProbedFunction>,
    /// Its allocators.
    pub allocators: Vec<snapshot::Allocator>,
    /// Its counts.
    pub counts: SlotCounts,
}

/// Who has counted in an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Probes: each event is one hit or more.
    #[default]
    Probes,
    /// Its runtime, by itself.
    Runtime {
        /// Objects and bytes that it holds, exact.
        in_use: (u64, u64),
        /// Objects and bytes that were allocated while its samples were drawn, exact, without those that share a block with
        /// others: they are in no sample. `None` where its samples are not in this moment.
        profiled: Option<(u64, u64)>,
    },
}

/// A function of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedFunction {
    /// The name that it is counted under.
    pub name: String,
    /// It frees.
    pub frees: bool,
    /// Which of the image's allocators it belongs to.
    pub allocator: usize,
}

impl SlotState {
    /// The functions that free, or those that allocate, with their counts.
    fn functions_that(
        &self,
        free: bool,
    ) -> impl Iterator<Item = (&ProbedFunction, &crate::collect::FunctionCounts)> {
        self.functions.iter().zip(&self.counts.functions).filter(move |(function, _)| function.frees == free)
    }

    /// Old blocks of successful reallocs.
    fn moved_objects(&self) -> u64 {
        self.counts.functions.iter().map(|counts| counts.moved_objects).sum()
    }
}

/// A process and its images.
#[derive(Clone, Debug)]
pub struct TargetState {
    /// What identifies and describes it; the totals are filled in here.
    pub target: Target,
    /// In the order of their execs.
    pub slots: Vec<SlotState>,
}

/// One moment, raw.
#[derive(Debug)]
pub struct Moment {
    /// When counting began.
    pub started_at: jiff::Timestamp,
    /// From the start of the tracer's work.
    pub duration: Duration,
    /// While events counted.
    pub attached: Duration,
    /// What was traced.
    pub mode: Mode,
    /// Mean bytes between samples at present; 0 is every allocation.
    pub sample_bytes: u64,
    /// Any of the targets was sampled at any time.
    pub was_sampled: bool,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// The machine.
    pub host: Host,
    /// The processes.
    pub targets: Vec<TargetState>,
    /// Counts of the sites of these targets.
    pub sites: Vec<SiteCounts>,
    /// Samples that runtimes have drawn by themselves.
    pub profiled: Vec<ProfiledSite>,
    /// Both, added up.
    pub sums: SiteSums,
    /// Of the live blocks (mode `live`).
    pub ages: Ages,
    /// Calls that have not returned.
    pub calls_in_flight: u64,
    /// Records that this version does not know.
    pub unknown_records: u64,
    /// What hits cost, as far as it was measured.
    pub hit_costs: ModeCosts,
    /// Kernel memory of the BPF maps, if the kernel says it.
    pub map_bytes: Option<u64>,
    /// Probes that could not be placed, by reason.
    pub attach_failures: BTreeMap<String, u64>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

impl TargetState {
    /// Which process it is.
    #[must_use]
    pub const fn id(&self) -> TargetId {
        TargetId { pid: self.target.pid, start_time: self.target.start_time }
    }

    /// What is traced in it now, or was at its end.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let last = self.slots.iter().rfind(|slot| slot.is_last_image);
        last.map_or_else(Mode::default, |slot| slot.mode)
    }
}

impl Moment {
    fn slots(&self) -> impl Iterator<Item = &SlotState> {
        self.targets.iter().flat_map(|state| &state.slots)
    }
}

/// Which sites a reader wants.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In-use only of blocks at least that old.
    pub older_than: Option<Duration>,
    /// A frame must match.
    pub include: Option<Regex>,
    /// No frame may match.
    pub exclude: Option<Regex>,
}

impl Filter {
    /// Whether a stack is wanted.
    #[must_use]
    pub fn wants(&self, frames: &[Arc<Frame>]) -> bool {
        let matches = |pattern: &Regex| {
            frames.iter().any(|frame| {
                [&frame.function, &frame.module].into_iter().flatten().any(|text| pattern.is_match(text))
            })
        };
        self.include.as_ref().is_none_or(matches) && !self.exclude.as_ref().is_some_and(matches)
    }
}

/// The stacks that are known so far, and what earlier looks saw.
#[derive(Debug, Default)]
pub struct Model {
    known: KnownSites,
    history: Option<History>,
}

impl Model {
    /// Remembers a stack under its key.
    pub fn learn(&mut self, key: u64, stack: SiteStack) {
        self.known.learn(key, stack);
    }

    /// Forgets stacks, whose records are gone.
    pub fn forget_stacks(&mut self, keys: &[u64]) {
        self.known.forget_stacks(keys);
    }

    /// The places that the stacks have which are known.
    #[must_use]
    pub fn places(&self) -> HashSet<PlaceId> {
        self.known.places()
    }

    /// Forgets processes.
    pub fn forget_processes(&mut self, processes: &HashSet<TargetId>) {
        self.known.forget_processes(processes);
    }

    /// Keeps rates, trends and timelines from now on: there is to be a look each `interval`.
    pub fn keep_history(&mut self, mode: Mode, interval: Duration) {
        self.history = Some(History::new(mode, interval.as_secs_f64()));
    }

    /// Waits for the names of every stack of a moment.
    pub fn read_names(&mut self, moment: &Moment, filter: &Filter, symbols: &mut Symbols) {
        sites::ask_names(moment, &mut self.known, filter, symbols);
        symbols.wait();
    }

    /// The picture of a moment, with the names that are known by now; the others are looked up from now on. Its sites are
    /// in the order of their numbers.
    #[must_use]
    pub fn snapshot(&mut self, moment: Moment, filter: &Filter, symbols: &mut Symbols) -> Snapshot {
        let quality = quality::of(&moment);
        symbols.take_names();
        if let Some(history) = &mut self.history {
            history.look(moment.attached.as_secs_f64());
        }
        let sites = sites::of(&moment, &mut self.known, filter, self.history.as_mut(), symbols);
        let (hits, cost_ns) = hits::of(moment.slots(), &moment);
        let mut targets: Vec<Target> = moment.targets.iter().map(|state| target(state, &moment)).collect();
        if let Some(history) = &mut self.history {
            for target in &mut targets {
                target.timeline = Some(history.target(target));
            }
            history.looked();
        }
        let cpu_seconds: f64 = targets.iter().map(|target| target.cpu_seconds).sum();
        Snapshot {
            schema: SCHEMA.to_owned(),
            tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned() },
            host: moment.host,
            started_at: moment.started_at,
            duration_seconds: moment.duration.as_secs_f64(),
            attached_seconds: moment.attached.as_secs_f64(),
            mode: moment.mode,
            sample_bytes: moment.sample_bytes,
            labels: moment.labels,
            targets,
            overhead: Overhead {
                hits: hits.all(),
                ns_per_hit: if hits.all() > 0 { cost_ns / hits.all() as f64 } else { 0.0 },
                target_cpu_ratio: (cpu_seconds > 0.0 && cost_ns > 0.0).then(|| cost_ns * 1e-9 / cpu_seconds),
                hit_costs: moment.hit_costs.of(moment.mode),
                map_bytes: moment.map_bytes,
            },
            quality: quality::complete(quality, &sites, symbols.pending() as u64, moment.was_sampled),
            sites: sites.sites,
        }
    }
}

/// A target with its totals and what tracing has cost it.
fn target(state: &TargetState, moment: &Moment) -> Target {
    let (_, cost_ns) = hits::of(state.slots.iter(), moment);
    let is_known = state.slots.iter().all(|slot| moment.hit_costs.of(slot.mode).is_some());
    Target { tracing_cpu_seconds: is_known.then_some(cost_ns * 1e-9), ..totals::fill(state, moment) }
}

#[cfg(test)]
mod tests;
