//! Site records to call sites: joined with their stacks, merged, filtered, named, sorted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tracer_ebpf::abi::StopReason;

use super::ages::SiteAges;
use super::estimate::{Estimate, Estimates};
use super::snapshot::{CallSite, SiteErrors, SiteIntervals};
use super::{Filter, Moment};
use crate::frame::Frame;
use crate::mode::Mode;
use crate::symbolize::{PlaceId, Stack, Symbolizer};

/// The functions that a thread begins in (glibc and musl): a stack that reaches one is whole.
const THREAD_STARTS: [&str; 10] = [
    "_start",
    "__libc_start_main",
    "libc_start_main_stage2",
    "__libc_start_call_main",
    "__libc_start_main_impl",
    "start_thread",
    "clone",
    "clone3",
    "__clone3",
    "_dl_start_user",
];
/// What `truncated` says of the site that holds what has no stack of its own.
const NO_STACK: &str = "no_stack";

/// A process and a stack in it.
type SiteKey<'a> = (u32, &'a [PlaceId]);

/// Counts of sites that are one to the reader.
#[derive(Default)]
struct Merged<'a> {
    sums: Estimates,
    ages: SiteAges,
    stack: Option<&'a Stack>,
}

pub(super) struct Builder<'a> {
    stacks: &'a HashMap<u64, Stack>,
    moment: &'a Moment,
    filter: &'a Filter,
    /// Slot index to pid, and whether its heap still exists.
    slots: HashMap<u32, (u32, bool)>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(stacks: &'a HashMap<u64, Stack>, moment: &'a Moment, filter: &'a Filter) -> Self {
        let slots = moment.targets.iter().flat_map(|state| {
            state.slots.iter().map(|slot| (slot.index, (state.target.pid, slot.is_last_image)))
        });
        Self { stacks, moment, filter, slots: slots.collect() }
    }

    /// The sites, and how many stacks that were walked are truncated, by reason.
    pub(super) fn build(&self, symbolizer: &mut Symbolizer) -> (Vec<CallSite>, BTreeMap<String, u64>) {
        let mut truncated = BTreeMap::new();
        let mut sites = Vec::new();
        for ((pid, _), merged) in self.merge() {
            let site = self.site(pid, &merged, symbolizer);
            if let Some(reason) = &site.truncated {
                *truncated.entry(reason.clone()).or_insert(0) += site.samples;
            }
            if self.wanted(&site) {
                sites.push(site);
            }
        }
        let weight = |site: &CallSite| (site.inuse_bytes.unwrap_or(0), site.alloc_bytes, site.alloc_objects);
        sites.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| address(a).cmp(address(b))));
        (sites, truncated)
    }

    fn merge(&self) -> BTreeMap<SiteKey<'a>, Merged<'a>> {
        let mut merged: BTreeMap<SiteKey<'a>, Merged<'a>> = BTreeMap::new();
        for counts in &self.moment.sites {
            let Some(&(pid, is_last_image)) = self.slots.get(&counts.slot) else { continue };
            let mut sums = Estimates::of(counts);
            if !is_last_image {
                (sums.inuse_objects, sums.inuse_bytes) = (Estimate::default(), Estimate::default());
                sums.inuse_samples = 0;
            }
            let stack = self.stacks.get(&counts.key);
            let places = stack.map_or(&[][..], |stack| &stack.frames);
            let entry = merged.entry((pid, places)).or_default();
            if is_last_image {
                entry.ages = entry.ages + self.moment.ages.of_site(counts.index);
            }
            entry.sums = entry.sums + sums;
            entry.stack = entry.stack.or(stack);
        }
        merged
    }

    fn site(&self, pid: u32, merged: &Merged<'_>, symbolizer: &mut Symbolizer) -> CallSite {
        let is_live = self.moment.mode == Mode::Live;
        let places = merged.stack.map_or(&[][..], |stack| &stack.frames);
        let mut frames = Vec::with_capacity(places.len());
        for &place in places {
            frames.extend(symbolizer.frames(place).iter().cloned());
        }
        let sums = merged.sums;
        let in_use = if self.filter.older_than.is_some() { merged.ages.old } else { sums };
        let live = |estimate: Estimate| is_live.then(|| estimate.rounded());
        let error = |estimate: Estimate| is_live.then(|| estimate.standard_error());
        let interval = |estimate: Estimate| estimate.interval(sums.samples);
        let interval_in_use = |estimate: Estimate| is_live.then(|| estimate.interval(in_use.inuse_samples));
        CallSite {
            pid,
            alloc_objects: sums.alloc_objects.rounded(),
            alloc_bytes: sums.alloc_bytes.rounded(),
            free_objects: live(sums.free_objects),
            inuse_objects: live(in_use.inuse_objects),
            inuse_bytes: live(in_use.inuse_bytes),
            oldest_seconds: (in_use.inuse_objects.value > 0.0 && !merged.ages.oldest.is_zero())
                .then_some(merged.ages.oldest.as_secs_f64()),
            standard_error: SiteErrors {
                alloc_objects: sums.alloc_objects.standard_error(),
                alloc_bytes: sums.alloc_bytes.standard_error(),
                inuse_objects: error(in_use.inuse_objects),
                inuse_bytes: error(in_use.inuse_bytes),
            },
            interval_95: self.moment.was_sampled.then(|| SiteIntervals {
                alloc_objects: interval(sums.alloc_objects),
                alloc_bytes: interval(sums.alloc_bytes),
                inuse_objects: interval_in_use(in_use.inuse_objects),
                inuse_bytes: interval_in_use(in_use.inuse_bytes),
            }),
            samples: sums.samples,
            inuse_samples: (is_live && self.moment.was_sampled).then_some(in_use.inuse_samples),
            truncated: truncated(merged.stack, &frames),
            by_frame_pointers: merged.stack.is_some_and(|stack| stack.by_pointer),
            frames,
        }
    }

    fn wanted(&self, site: &CallSite) -> bool {
        let matches = |pattern: &regex::Regex| {
            site.frames.iter().any(|frame| {
                [&frame.function, &frame.module].into_iter().flatten().any(|text| pattern.is_match(text))
            })
        };
        self.filter.include.as_ref().is_none_or(matches) && !self.filter.exclude.as_ref().is_some_and(matches)
    }
}

fn address(site: &CallSite) -> &str {
    site.frames.first().map_or("", |frame| &frame.address)
}

/// Whether a frame without a symbol lies where threads start: in a stripped libc or loader.
fn is_libc_start(frame: &Frame) -> bool {
    let is_libc = |module: &String| {
        let name = module.rsplit('/').next().unwrap_or_default();
        name.starts_with("libc.so") || name.starts_with("libc-") || name.starts_with("ld-")
    };
    frame.reason.is_some() && frame.module.as_ref().is_some_and(is_libc)
}

/// Why a stack ends before the thread's start.
fn truncated(stack: Option<&Stack>, frames: &[Arc<Frame>]) -> Option<String> {
    let Some(stack) = stack else { return Some(NO_STACK.to_owned()) };
    let outermost = frames.last().and_then(|frame| frame.function.as_deref());
    if outermost.is_some_and(|name| THREAD_STARTS.contains(&name)) {
        return None;
    }
    let reason = match stack.stop {
        // FP is 0 at a thread's start; elsewhere it is any number, 0 too, in code that keeps no frame pointer.
        StopReason::Complete => return None,
        StopReason::FramePointerZero
            if frames.last().is_some_and(|frame| is_libc_start(frame)) && stack.frames.len() > 1 =>
        {
            return None;
        }
        StopReason::Depth => "depth",
        StopReason::NoFramePointer | StopReason::FramePointerZero => "no_frame_pointer",
        StopReason::ReadFault => "read_fault",
        StopReason::ForeignReturnProbe => "foreign_return_probe",
        StopReason::NoTable => "no_table",
        StopReason::BadCfa => "bad_cfa",
        StopReason::NoMapping => "no_mapping",
        StopReason::UnsupportedRule => "unsupported_rule",
    };
    Some(reason.to_owned())
}
