//! The call sites of a run: which stacks are one to the reader, under which number, and what they are called.
//!
//! Found out once per stack: a refresh has thousands of them, and nearly all are known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tracer_ebpf::abi::StopReason;

use super::Filter;
use super::estimate::{Estimate, Estimates};
use super::node::TargetId;
use super::shapes::{Call, ShapeId, Shapes};
use super::snapshot::SiteIntervals;
use crate::collect::SiteCounts;
use crate::frame::Frames;
use crate::mode::Mode;
use crate::symbolize::{PlaceId, Stack, Symbols};

/// What `truncated` says of the site that holds what has no stack of its own.
const NO_STACK: &str = "no_stack";

/// A stack as the kernel side tells it, with what is known of its call.
#[derive(Clone, Debug)]
pub struct SiteStack {
    /// Where it leads.
    pub stack: Stack,
    /// The name of the allocator that was called.
    pub allocator: Option<Arc<str>>,
    /// The function of it.
    pub called: Option<Arc<str>>,
    /// The name of the thread, where stacks are told apart by it.
    pub thread: Option<Arc<str>>,
}

/// What makes a call site: call stacks that differ in the kernel only by what was cut off them are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SiteKey {
    process: TargetId,
    /// `None` for what has no stack of its own.
    shape: Option<ShapeId>,
}

/// The number of a call site, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SiteId(pub(super) u32);

/// What is kept of a stack for each record: there may be hundreds of thousands.
#[derive(Clone, Copy, Debug)]
struct Known {
    shape: ShapeId,
    stop: StopReason,
    by_pointer: bool,
}

/// What contains the truth, and the estimates that it is of.
type Intervals = Box<([Estimates; 2], Arc<SiteIntervals>)>;

/// What is kept of a call site.
#[derive(Debug)]
struct KnownSite {
    pid: u32,
    stack: Option<Known>,
    /// Where sampled.
    intervals: Option<Intervals>,
}

/// One call site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) pid: u32,
    pub(super) allocator: Option<&'a Arc<str>>,
    pub(super) called: Option<&'a Arc<str>>,
    pub(super) thread: Option<&'a Arc<str>>,
    pub(super) frames: Option<&'a Frames>,
    pub(super) by_pointer: bool,
    /// Why the stack ends before the thread's start.
    pub(super) truncated: Option<&'static str>,
    /// Frames without a name.
    pub(super) unnamed: u64,
    /// What contains the truth; where sampled.
    pub(super) intervals: Option<&'a Arc<SiteIntervals>>,
    /// The reader wants it.
    pub(super) is_wanted: bool,
}

/// All of a run.
#[derive(Debug, Default)]
pub(super) struct KnownSites {
    shapes: Shapes,
    stacks: HashMap<u64, Known>,
    ids: HashMap<SiteKey, SiteId>,
    /// By the kernel's index: the key and slot of the record, and its site.
    by_record: Vec<Option<(u64, u32, SiteId)>>,
    sites: Vec<KnownSite>,
    /// Sites of processes that are forgotten.
    free: Vec<SiteId>,
    /// The reader does not want what has no stack.
    hides_no_stack: bool,
}

impl KnownSites {
    /// Remembers a stack under its key.
    pub(super) fn learn(&mut self, key: u64, stack: SiteStack) {
        let SiteStack { stack: Stack { frames, stop, by_pointer }, allocator, called, thread } = stack;
        let shape = self.shapes.take(frames, Call { allocator, called, thread });
        if let Some(before) = self.stacks.insert(key, Known { shape, stop, by_pointer }) {
            self.shapes.give_back(before.shape);
        }
    }

    /// Forgets the stacks of these keys: their records are gone.
    pub(super) fn forget_stacks(&mut self, keys: &[u64]) {
        for known in keys.iter().filter_map(|key| self.stacks.remove(key)) {
            self.shapes.give_back(known.shape);
        }
        let gone: HashSet<u64> = keys.iter().copied().collect();
        for record in &mut self.by_record {
            if record.is_some_and(|(key, _, _)| gone.contains(&key)) {
                *record = None;
            }
        }
    }

    /// Forgets processes whose stacks are forgotten: their sites' numbers come back.
    pub(super) fn forget_processes(&mut self, processes: &HashSet<TargetId>) {
        self.ids.retain(|key, id| {
            let stays = !processes.contains(&key.process);
            if !stays {
                self.free.push(*id);
                self.sites[id.0 as usize] = KnownSite { pid: 0, stack: None, intervals: None };
                if let Some(shape) = key.shape {
                    self.shapes.give_back(shape);
                }
            }
            stays
        });
    }

    /// The places that stacks have.
    pub(super) fn places(&self) -> HashSet<PlaceId> {
        self.shapes.places().collect()
    }

    pub(super) const fn len(&self) -> usize {
        self.sites.len()
    }

    /// The ids come from [`Self::id`]: there is no other.
    pub(super) fn site(&self, id: SiteId) -> Site<'_> {
        let site = &self.sites[id.0 as usize];
        let shape = site.stack.map(|known| self.shapes.of(known.shape));
        Site {
            pid: site.pid,
            allocator: shape.and_then(|shape| shape.call().allocator.as_ref()),
            called: shape.and_then(|shape| shape.call().called.as_ref()),
            thread: shape.and_then(|shape| shape.call().thread.as_ref()),
            frames: shape.map(|shape| &shape.frames),
            by_pointer: site.stack.is_some_and(|known| known.by_pointer),
            truncated: match (site.stack, shape) {
                (Some(known), Some(shape)) => truncated(known.stop, shape.reaches_start, shape.ends_in_libc),
                _ => Some(NO_STACK),
            },
            unnamed: shape.map_or(0, |shape| shape.unnamed),
            intervals: site.intervals.as_ref().map(|known| &known.1),
            is_wanted: shape.map_or(!self.hides_no_stack, |shape| shape.is_wanted),
        }
    }

    /// The site of a record.
    pub(super) fn id(&mut self, counts: &SiteCounts, process: TargetId) -> SiteId {
        let index = counts.index as usize;
        if let Some(&Some((key, slot, id))) = self.by_record.get(index)
            && (key, slot) == (counts.key, counts.slot)
        {
            return id;
        }
        let id = self.id_of(counts.key, process);
        // A stack that is still on its way is another site when it has come.
        if self.stacks.contains_key(&counts.key) {
            if self.by_record.len() <= index {
                self.by_record.resize(index + 1, None);
            }
            self.by_record[index] = Some((counts.key, counts.slot, id));
        }
        id
    }

    /// The site of what has this key in a process.
    pub(super) fn id_of(&mut self, key: u64, process: TargetId) -> SiteId {
        let stack = self.stacks.get(&key).copied();
        let key = SiteKey { process, shape: stack.map(|known| known.shape) };
        let next = self.free.last().copied().unwrap_or(SiteId(self.sites.len() as u32));
        let id = *self.ids.entry(key).or_insert(next);
        if id == next {
            let site = KnownSite { pid: process.pid, stack, intervals: None };
            if let Some(known) = stack {
                self.shapes.share(known.shape);
            }
            match self.free.pop() {
                Some(_) => self.sites[id.0 as usize] = site,
                None => self.sites.push(site),
            }
        }
        id
    }

    /// Finds the intervals of a site's estimates, of what was allocated and of what is in use. They take microseconds, and
    /// most sites are as they were at the look before.
    pub(super) fn estimate(&mut self, id: SiteId, sums: Estimates, in_use: Estimates, mode: Mode) {
        let site = &mut self.sites[id.0 as usize];
        if site.intervals.as_ref().is_some_and(|known| known.0 == [sums, in_use]) {
            return;
        }
        let of_in_use =
            |estimate: Estimate| (mode == Mode::Live).then(|| estimate.interval(in_use.inuse_samples));
        let intervals = SiteIntervals {
            alloc_objects: sums.alloc_objects.interval(sums.samples),
            alloc_bytes: sums.alloc_bytes.interval(sums.samples),
            inuse_objects: of_in_use(in_use.inuse_objects),
            inuse_bytes: of_in_use(in_use.inuse_bytes),
        };
        site.intervals = Some(Box::new(([sums, in_use], Arc::new(intervals))));
    }

    /// Gives a site the names that are known by now.
    pub(super) fn name(&mut self, id: SiteId, symbols: &mut Symbols, filter: &Filter) {
        match self.sites[id.0 as usize].stack {
            Some(known) => self.shapes.name(known.shape, symbols, filter),
            None => self.hides_no_stack = !filter.wants(&[]),
        }
    }
}

/// Why a stack ends before the thread's start.
const fn truncated(stop: StopReason, reaches_start: bool, ends_in_libc: bool) -> Option<&'static str> {
    if reaches_start {
        return None;
    }
    let reason = match stop {
        // FP is 0 at a thread's start; elsewhere it is any number, 0 too, in code that keeps no frame pointer.
        StopReason::Complete => return None,
        StopReason::FramePointerZero if ends_in_libc => return None,
        StopReason::Depth => "depth",
        StopReason::NoFramePointer | StopReason::FramePointerZero => "no_frame_pointer",
        StopReason::ReadFault => "read_fault",
        StopReason::ForeignReturnProbe => "foreign_return_probe",
        StopReason::NoTable => "no_table",
        StopReason::BadCfa => "bad_cfa",
        StopReason::NoMapping => "no_mapping",
        StopReason::UnsupportedRule => "unsupported_rule",
    };
    Some(reason)
}
