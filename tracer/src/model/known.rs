//! The call sites of a run: which stacks are one to the reader, under which number, and what they are called.
//!
//! Found out once per stack: a refresh has thousands of them, and nearly all are known.

use std::collections::HashMap;
use std::sync::Arc;

use tracer_ebpf::abi::StopReason;

use super::Filter;
use super::estimate::{Estimate, Estimates};
use super::snapshot::SiteIntervals;
use crate::collect::SiteCounts;
use crate::frame::{Frame, Frames};
use crate::mode::Mode;
use crate::symbolize::{PlaceId, Stack, Symbols};

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

/// A stack as the kernel side tells it, with what is known of its call.
#[derive(Clone, Debug)]
pub struct SiteStack {
    /// Where it leads.
    pub stack: Stack,
    /// The name of the allocator that was called.
    pub allocator: Option<Arc<str>>,
    /// The name of the thread, where stacks are told apart by it.
    pub thread: Option<Arc<str>>,
}

/// What makes a call site: call stacks that differ in the kernel only by what was cut off them are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SiteKey {
    pid: u32,
    allocator: Option<Arc<str>>,
    thread: Option<Arc<str>>,
    places: Arc<[PlaceId]>,
}

/// The number of a call site, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SiteId(pub(super) u32);

/// One call site.
#[derive(Debug)]
pub(super) struct KnownSite {
    pub(super) pid: u32,
    /// `None` for what has no stack of its own.
    pub(super) stack: Option<SiteStack>,
    pub(super) frames: Frames,
    /// Why the stack ends before the thread's start.
    pub(super) truncated: Option<String>,
    /// Frames without a name.
    pub(super) unnamed: u64,
    /// What contains the truth, and the estimates that it is of; where sampled.
    pub(super) intervals: Option<([Estimates; 2], Arc<SiteIntervals>)>,
    /// The reader wants it.
    pub(super) is_wanted: bool,
    /// Of the names that its frames were made of; `None` when all are known.
    answered: Option<u64>,
}

/// All of a run.
#[derive(Debug, Default)]
pub(super) struct KnownSites {
    stacks: HashMap<u64, SiteStack>,
    ids: HashMap<SiteKey, SiteId>,
    /// By the kernel's index: the key and slot of the record, and its site.
    by_record: Vec<Option<(u64, u32, SiteId)>>,
    sites: Vec<KnownSite>,
}

impl KnownSites {
    /// Remembers a stack under its key.
    pub(super) fn learn(&mut self, key: u64, stack: SiteStack) {
        self.stacks.insert(key, stack);
    }

    pub(super) const fn len(&self) -> usize {
        self.sites.len()
    }

    /// The ids come from [`Self::id`]: there is no other.
    pub(super) fn site(&self, id: SiteId) -> &KnownSite {
        &self.sites[id.0 as usize]
    }

    /// The site of a record.
    pub(super) fn id(&mut self, counts: &SiteCounts, pid: u32) -> SiteId {
        let index = counts.index as usize;
        if let Some(&Some((key, slot, id))) = self.by_record.get(index)
            && (key, slot) == (counts.key, counts.slot)
        {
            return id;
        }
        let stack = self.stacks.get(&counts.key);
        let key = SiteKey {
            pid,
            allocator: stack.and_then(|stack| stack.allocator.clone()),
            thread: stack.and_then(|stack| stack.thread.clone()),
            places: stack.map_or_else(Arc::default, |stack| Arc::clone(&stack.stack.frames)),
        };
        let is_known = stack.is_some();
        let next = SiteId(self.sites.len() as u32);
        let id = *self.ids.entry(key).or_insert(next);
        if id == next {
            self.sites.push(KnownSite::new(pid, stack.cloned()));
        }
        // A stack that is still on its way is another site when it has come.
        if is_known {
            if self.by_record.len() <= index {
                self.by_record.resize(index + 1, None);
            }
            self.by_record[index] = Some((counts.key, counts.slot, id));
        }
        id
    }

    /// Finds the intervals of a site's estimates, of what was allocated and of what is in use. They take microseconds, and
    /// most sites are as they were at the look before.
    pub(super) fn estimate(&mut self, id: SiteId, sums: Estimates, in_use: Estimates, mode: Mode) {
        let site = &mut self.sites[id.0 as usize];
        if site.intervals.as_ref().is_some_and(|(of, _)| *of == [sums, in_use]) {
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
        site.intervals = Some(([sums, in_use], Arc::new(intervals)));
    }

    /// Gives a site the names that are known by now.
    pub(super) fn name(&mut self, id: SiteId, symbols: &mut Symbols, filter: &Filter) {
        let site = &mut self.sites[id.0 as usize];
        if site.answered.is_some_and(|answered| answered != symbols.answered()) {
            site.name(symbols, filter);
        }
    }
}

impl KnownSite {
    fn new(pid: u32, stack: Option<SiteStack>) -> Self {
        // No number of answers: its names are asked for when it is looked at first.
        let answered = Some(u64::MAX);
        Self {
            pid,
            stack,
            frames: Frames::default(),
            truncated: None,
            unnamed: 0,
            intervals: None,
            is_wanted: true,
            answered,
        }
    }

    fn name(&mut self, symbols: &mut Symbols, filter: &Filter) {
        let places = self.stack.as_ref().map_or(&[][..], |stack| &stack.stack.frames);
        let mut frames = Vec::with_capacity(places.len());
        let mut is_named = true;
        for &place in places {
            let (functions, is_known) = symbols.frames(place);
            is_named &= is_known;
            frames.extend(functions.iter().cloned());
        }
        self.truncated = truncated(self.stack.as_ref().map(|stack| &stack.stack), &frames);
        self.unnamed = frames.iter().filter(|frame| frame.reason.is_some()).count() as u64;
        self.is_wanted = filter.wants(&frames);
        self.frames = frames.into();
        self.answered = (!is_named).then(|| symbols.answered());
    }
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
