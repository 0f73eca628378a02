//! Site records to call sites: joined with their stacks, merged, filtered, named, sorted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tracer_ebpf::abi::StopReason;

use super::snapshot::{CallSite, SiteErrors};
use super::{Filter, Moment};
use crate::collect::SiteCounts;
use crate::frame::Frame;
use crate::mode::Mode;
use crate::symbolize::{Stack, Symbolizer};

/// The functions that a thread begins in (glibc and musl): a stack that reaches one is whole.
const THREAD_STARTS: [&str; 8] = [
    "_start",
    "__libc_start_main",
    "__libc_start_call_main",
    "__libc_start_main_impl",
    "start_thread",
    "clone",
    "clone3",
    "__clone3",
];
/// What `truncated` says of the site that holds what has no stack of its own.
const NO_STACK: &str = "no_stack";

/// What the live map says of a site.
#[derive(Clone, Copy, Default)]
struct Ages {
    oldest: Duration,
    old_objects: u64,
    old_bytes: u64,
}

/// A process and a stack in it.
type SiteKey = (u32, Vec<u64>);

/// Counts of sites that are one to the reader.
#[derive(Default)]
struct Merged<'a> {
    counts: Vec<SiteCounts>,
    ages: Ages,
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

    /// The sites, and how many allocations have a truncated stack, by reason.
    pub(super) fn build(&self, symbolizer: &mut Symbolizer) -> (Vec<CallSite>, BTreeMap<String, u64>) {
        let mut truncated = BTreeMap::new();
        let mut sites = Vec::new();
        for ((pid, _), merged) in self.merge() {
            let site = self.site(pid, &merged, symbolizer);
            if let Some(reason) = &site.truncated {
                *truncated.entry(reason.clone()).or_insert(0) += site.alloc_objects;
            }
            if self.wanted(&site) {
                sites.push(site);
            }
        }
        let weight = |site: &CallSite| (site.inuse_bytes.unwrap_or(0), site.alloc_bytes, site.alloc_objects);
        sites.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| address(a).cmp(address(b))));
        (sites, truncated)
    }

    fn merge(&self) -> BTreeMap<SiteKey, Merged<'a>> {
        let ages = self.ages();
        let mut merged: BTreeMap<SiteKey, Merged<'a>> = BTreeMap::new();
        for counts in &self.moment.sites {
            let Some(&(pid, is_last_image)) = self.slots.get(&counts.slot) else { continue };
            let mut counts = *counts;
            if !is_last_image {
                (counts.inuse_objects, counts.inuse_bytes) = (0, 0);
            }
            let stack = self.stacks.get(&counts.key);
            let addresses = stack
                .map_or_else(Vec::new, |stack| stack.frames.iter().map(|located| located.address).collect());
            let entry = merged.entry((pid, addresses)).or_default();
            if is_last_image && let Some(age) = ages.get(&counts.key) {
                entry.ages.oldest = entry.ages.oldest.max(age.oldest);
                entry.ages.old_objects += age.old_objects;
                entry.ages.old_bytes += age.old_bytes;
            }
            entry.counts.push(counts);
            entry.stack = entry.stack.or(stack);
        }
        merged
    }

    fn ages(&self) -> HashMap<u64, Ages> {
        let threshold = self.filter.older_than.unwrap_or_default();
        let mut ages: HashMap<u64, Ages> = HashMap::new();
        for block in &self.moment.live {
            let age = Duration::from_nanos(self.moment.now_ns.saturating_sub(block.born_ns));
            let entry = ages.entry(block.site).or_default();
            entry.oldest = entry.oldest.max(age);
            if age >= threshold {
                entry.old_objects += 1;
                entry.old_bytes += block.size_bytes;
            }
        }
        ages
    }

    fn site(&self, pid: u32, merged: &Merged<'_>, symbolizer: &mut Symbolizer) -> CallSite {
        let sum = |value: fn(&SiteCounts) -> u64| merged.counts.iter().map(value).sum::<u64>();
        let live = |value: u64| (self.moment.mode == Mode::Live).then_some(value);
        let located = merged.stack.map_or(&[][..], |stack| &stack.frames);
        let frames: Vec<Frame> = located.iter().flat_map(|located| symbolizer.frames(located)).collect();
        let (inuse_objects, inuse_bytes) = if self.filter.older_than.is_some() {
            (merged.ages.old_objects, merged.ages.old_bytes)
        } else {
            (sum(|counts| counts.inuse_objects), sum(|counts| counts.inuse_bytes))
        };
        let samples = sum(|counts| counts.alloc_objects);
        CallSite {
            pid,
            alloc_objects: samples,
            alloc_bytes: sum(|counts| counts.alloc_bytes),
            free_objects: live(sum(|counts| counts.free_objects)),
            inuse_objects: live(inuse_objects),
            inuse_bytes: live(inuse_bytes),
            oldest_seconds: (inuse_objects > 0 && !merged.ages.oldest.is_zero())
                .then_some(merged.ages.oldest.as_secs_f64()),
            standard_error: SiteErrors {
                inuse_objects: live(0).map(|_| 0.0),
                inuse_bytes: live(0).map(|_| 0.0),
                ..SiteErrors::default()
            },
            samples,
            truncated: truncated(merged.stack, &frames),
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
fn truncated(stack: Option<&Stack>, frames: &[Frame]) -> Option<String> {
    let Some(stack) = stack else { return Some(NO_STACK.to_owned()) };
    let outermost = frames.last().and_then(|frame| frame.function.as_deref());
    if outermost.is_some_and(|name| THREAD_STARTS.contains(&name)) {
        return None;
    }
    let reason = match stack.stop {
        // FP is 0 at a thread's start; elsewhere it is any number, 0 too, in code that keeps no frame pointer.
        StopReason::Complete if frames.last().is_some_and(is_libc_start) && stack.frames.len() > 1 => {
            return None;
        }
        StopReason::Complete => "no_frame_pointer",
        StopReason::Depth => "depth",
        StopReason::NoFramePointer => "no_frame_pointer",
        StopReason::ReadFault => "read_fault",
        StopReason::ForeignReturnProbe => "foreign_return_probe",
    };
    Some(reason.to_owned())
}
