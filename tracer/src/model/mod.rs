//! From counts to the picture that every view reads.
//!
//! One task owns it. Call stacks that differ in the kernel only by what was cut off them are one site here.

mod ages;
mod check;
mod estimate;
mod hits;
mod quality;
mod sites;
pub mod snapshot;
mod totals;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use regex::Regex;

use crate::collect::{SiteCounts, SlotCounts};
use crate::mode::Mode;
use crate::symbolize::{Stack, Symbolizer};
pub use ages::Ages;
pub use estimate::{FEW_SAMPLES, interval_95};
pub use snapshot::HitCosts;
use snapshot::{CallSite, Host, Overhead, SCHEMA, Snapshot, Target, Tool};

/// One image of a process, as far as the kernel counted it.
#[derive(Clone, Debug)]
pub struct SlotState {
    /// Its index.
    pub index: u32,
    /// The process still runs this image, or ended in it: an exec ends the heap of the one before.
    pub is_last_image: bool,
    /// Its functions, in the order of their counts.
    pub functions: Vec<ProbedFunction>,
    /// Its allocators.
    pub allocators: Vec<snapshot::Allocator>,
    /// Its counts.
    pub counts: SlotCounts,
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
    /// It was above 0 at any time: the counts of sites are estimates, and a call is counted at its entry.
    pub was_sampled: bool,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// The machine.
    pub host: Host,
    /// The processes.
    pub targets: Vec<TargetState>,
    /// Counts of all sites of all slots.
    pub sites: Vec<SiteCounts>,
    /// Of the live blocks (mode `live`).
    pub ages: Ages,
    /// Calls that have not returned.
    pub calls_in_flight: u64,
    /// Records that this version does not know.
    pub unknown_records: u64,
    /// What hits cost, if it was measured.
    pub hit_costs: Option<HitCosts>,
    /// Kernel memory of the BPF maps, if the kernel says it.
    pub map_bytes: Option<u64>,
    /// Probes that could not be placed, by reason.
    pub attach_failures: BTreeMap<String, u64>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

impl Moment {
    /// Without those of the calibration, which is no target.
    fn sites_of_targets(&self) -> impl Iterator<Item = &SiteCounts> {
        let slots: HashSet<u32> =
            self.targets.iter().flat_map(|state| &state.slots).map(|slot| slot.index).collect();
        self.sites.iter().filter(move |site| slots.contains(&site.slot))
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

/// The stacks that are known so far.
#[derive(Debug, Default)]
pub struct Model {
    stacks: HashMap<u64, Stack>,
}

impl Model {
    /// Remembers a stack under its key.
    pub fn learn(&mut self, key: u64, stack: Stack) {
        self.stacks.insert(key, stack);
    }

    /// The picture of a moment.
    #[must_use]
    pub fn snapshot(&self, moment: Moment, filter: &Filter, symbolizer: &mut Symbolizer) -> Snapshot {
        let quality = quality::of(&moment);
        let (sites, truncated) = self.sites(&moment, filter, symbolizer);
        let hits = hits::of(&moment);
        let targets: Vec<Target> = moment.targets.iter().map(|state| totals::fill(state, &moment)).collect();
        let cpu_seconds: f64 = targets.iter().map(|target| target.cpu_seconds).sum();
        let cost_ns = moment.hit_costs.map_or(0.0, |costs| hits.cost_ns(&costs));
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
                hit_costs: moment.hit_costs,
                map_bytes: moment.map_bytes,
            },
            quality: quality::complete(quality, &sites, truncated, moment.was_sampled),
            sites,
        }
    }

    fn sites(
        &self,
        moment: &Moment,
        filter: &Filter,
        symbolizer: &mut Symbolizer,
    ) -> (Vec<CallSite>, BTreeMap<String, u64>) {
        sites::Builder::new(&self.stacks, moment, filter).build(symbolizer)
    }
}

#[cfg(test)]
mod tests;
