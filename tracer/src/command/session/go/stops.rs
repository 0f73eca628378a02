//! Stops of the world of a Go runtime: where their probes go, and what was seen of them.
//!
//! Go's functions have no return probes: a stop begins at the entry of one function and ends at the entry of another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracer_ebpf::abi::stop::{entry, reason};
use tracer_ebpf::abi::{Argument, Cookie, StopReason, StopSetup, StopTotals};

use crate::collect;
use crate::command::session::Session;
use crate::command::session::report::monotonic_ns;
use crate::elf::Image;
use crate::go::{GoProgram, Places};
use crate::kernel::attach::{EntryPoint, Links};
use crate::kernel::{Kernel, KernelError};
use crate::model::snapshot::{self, LONG_STOPS_MAX, StopSums, WorldStops, keep_longest};
use crate::probe::go_entry;
use crate::symbolize::{PlaceId, Stack, Symbols, Unmapped};
use crate::target::mappings::MappedFile;

/// The functions of the runtime that are probed (`runtime/mgc.go`, `runtime/proc.go`), and what an entry of each means.
const FUNCTIONS: [(&str, u8); 3] = [
    ("runtime.gcStart", entry::COLLECT),
    ("runtime.stopTheWorldWithSema", entry::STOP),
    ("runtime.startTheWorldWithSema", entry::GO_ON),
];
/// Minor versions of Go 1 whose reasons and causes are known.
const MINORS: std::ops::RangeInclusive<u32> = 19..=27;
/// The first that passes the reason on as a number.
const FIRST_WITH_NUMBERS: u32 = 21;

/// The runtime's names of its reasons (`stwReasonStrings` in `runtime/proc.go`), by number.
const REASONS: [&str; 13] = [
    "unknown",
    "GC mark termination",
    "GC sweep termination",
    "write heap dump",
    "goroutine profile",
    "goroutine profile cleanup",
    "all goroutines stack trace",
    "read mem stats",
    "AllThreadsSyscall",
    "GOMAXPROCS",
    "start trace",
    "stop trace",
    "other",
];
const _: () = assert!(REASONS.len() == reason::OTHER as usize + 1);

/// Why a collection runs: 1 + `gcTriggerKind` of `runtime/mgc.go`.
const CAUSES: [&str; 4] = ["unknown", "heap", "time", "forced"];

/// Where the probes go in a file: the same in every process.
#[derive(Clone, Debug)]
pub(super) struct Plan(Vec<(u64, u8)>);

/// Looks for the functions of a program.
///
/// # Errors
///
/// What is missing, in words.
pub(super) fn plan(image: &Image, program: &GoProgram, places: &Places) -> Result<Plan, String> {
    if !places.minor().is_some_and(|minor| MINORS.contains(&minor)) {
        return Err("what its version of Go says of a stop is not known".to_owned());
    }
    if places.threads().is_none() {
        return Err("the layout of its goroutines is not known".to_owned());
    }
    let point = |(name, means): (&str, u8)| {
        let range = program.lines.function(name).ok_or_else(|| format!("it has no {name}"))?;
        let place = go_entry::place(image, &range).map_err(|reason| format!("{name}: {reason}"))?;
        Ok((place.offset.0, means))
    };
    FUNCTIONS.into_iter().map(point).collect::<Result<_, String>>().map(Plan)
}

/// What of a process the programs must know.
fn setup(places: &Places, bias: u64) -> StopSetup {
    let half = |offset: u64| u32::try_from(offset).unwrap_or(0);
    let Some(at) = places.threads() else { return StopSetup::default() };
    let has_numbers = places.minor().is_some_and(|minor| minor >= FIRST_WITH_NUMBERS);
    StopSetup {
        threshold_ns: 0,
        heap_live: places.heap_live(bias).unwrap_or(0),
        g_m: half(at.g_m),
        g_sp: half(at.g_sp),
        g_bp: half(at.g_bp),
        m_curg: half(at.m_curg),
        m_preemptoff: if has_numbers { 0 } else { half(at.m_preemptoff) },
        padding: 0,
    }
}

/// The stops of one image.
pub(crate) struct Stops {
    file: Arc<MappedFile>,
    plan: Result<Plan, String>,
    setup: StopSetup,
    /// What was counted, once probes are in place.
    totals: Option<StopTotals>,
    long: Vec<LongStop>,
    dropped: u64,
}

/// A stop that took long, with its places.
struct LongStop {
    at: jiff::Timestamp,
    stop: collect::LongStop,
    stack: Option<Stack>,
}

impl Stops {
    pub(super) fn new(file: Arc<MappedFile>, plan: Result<Plan, String>, places: &Places, bias: u64) -> Self {
        Self { file, plan, setup: setup(places, bias), totals: None, long: Vec::new(), dropped: 0 }
    }

    /// The functions that are probed.
    ///
    /// # Errors
    ///
    /// Why none can be, in words.
    pub(crate) fn functions(&self) -> Result<Vec<&'static str>, String> {
        self.plan.as_ref().map_err(Clone::clone)?;
        Ok(FUNCTIONS.iter().map(|&(name, _)| name).collect())
    }

    /// Places the probes.
    ///
    /// # Errors
    ///
    /// Why there are none, in words.
    fn attach(
        &mut self,
        kernel: &mut Kernel,
        pid: u32,
        slot: u32,
        threshold: Duration,
    ) -> Result<Links, String> {
        let Plan(points) = self.plan.clone()?;
        self.setup.threshold_ns = u64::try_from(threshold.as_nanos()).unwrap_or(u64::MAX);
        let said = |error: KernelError| error.to_string();
        kernel.set_stops(slot, self.setup).map_err(said)?;
        let points = points
            .into_iter()
            .map(|(file_offset, means)| EntryPoint { file_offset, cookie: cookie(slot, means).to_bits() });
        let links = kernel.attach_stops(pid, &self.file.file, &points.collect::<Vec<_>>()).map_err(said)?;
        self.totals = Some(StopTotals::ZERO);
        Ok(links)
    }

    /// Reads what was counted by now.
    pub(crate) fn read(&mut self, kernel: &Kernel, slot: u32) {
        if self.totals.is_some()
            && let Ok(totals) = kernel.stops(slot)
        {
            self.totals = Some(totals);
        }
    }

    /// The places of the stacks that are kept.
    pub(crate) fn places(&self) -> impl Iterator<Item = PlaceId> {
        self.long.iter().filter_map(|stop| stop.stack.as_ref()).flat_map(|stack| stack.frames.iter().copied())
    }

    /// What was seen, as documents say it; `None` without probes.
    pub(crate) fn describe(&self, symbols: &mut Symbols) -> Option<WorldStops> {
        let totals = self.totals.as_ref()?;
        let mut by_reason: BTreeMap<String, StopSums> = BTreeMap::new();
        for (number, (buckets, nanoseconds)) in totals.buckets.iter().zip(totals.nanoseconds).enumerate() {
            let count = buckets.iter().sum();
            if count > 0 {
                let sums =
                    StopSums { count, seconds: nanoseconds as f64 * 1e-9, histogram: buckets.to_vec() };
                by_reason.insert(name(&REASONS, number), sums);
            }
        }
        let causes = totals.causes.iter().enumerate().filter(|&(_, &count)| count > 0);
        Some(WorldStops {
            by_reason,
            causes: causes.map(|(number, &count)| (name(&CAUSES, number), count)).collect(),
            threshold_seconds: self.setup.threshold_ns as f64 * 1e-9,
            long: self.long.iter().map(|stop| stop.describe(symbols)).collect(),
            long_dropped: self.dropped + totals.lost,
        })
    }
}

impl LongStop {
    fn describe(&self, symbols: &mut Symbols) -> snapshot::LongStop {
        let stop = &self.stop;
        let places = self.stack.iter().flat_map(|stack| stack.frames.iter());
        snapshot::LongStop {
            at: self.at,
            seconds: stop.nanoseconds as f64 * 1e-9,
            reason: name(&REASONS, stop.reason as usize),
            cause: (stop.cause > 0).then(|| name(&CAUSES, stop.cause as usize)),
            heap_before_bytes: stop.heap_bytes.map(|(before, _)| before),
            heap_after_bytes: stop.heap_bytes.map(|(_, after)| after),
            frames: places.flat_map(|&place| symbols.frames(place).0.to_vec()).collect(),
            truncated: cut(self.stop.stack.stop).map(str::to_owned),
        }
    }
}

/// Why a stack of a goroutine is not whole: its start is where frame pointers end.
const fn cut(stop: StopReason) -> Option<&'static str> {
    match stop {
        StopReason::Depth => Some("depth"),
        StopReason::ReadFault => Some("read_fault"),
        _ => None,
    }
}

/// The name of a number; one that nobody knows is like the first or the last.
fn name(names: &[&str], number: usize) -> String {
    names.get(number).copied().unwrap_or("other").to_owned()
}

const fn cookie(slot: u32, function: u8) -> Cookie {
    Cookie {
        slot: slot as u16,
        function,
        argument: Argument::Size,
        shift_bytes: 0,
        may_tail_jump: false,
        is_outer: false,
        tells_jump: false,
        has_ret_sites: false,
        is_inner: false,
        totals: 0,
    }
}

impl Session {
    /// Places the probes of the stops of the world in the present image of a process, if they are wanted. Where that fails, collections are known
    /// by what the runtime says of whole cycles; a note says why.
    pub(in crate::command::session) fn attach_stops(&mut self, index: usize) {
        let Some(threshold) = self.gc_threshold else { return };
        let Some(traced) = self.traced.get_mut(index) else { return };
        let pid = traced.pid();
        let Some((slot, stops)) = traced.stops_of_image() else { return };
        let path = stops.file.path.clone();
        match stops.attach(&mut self.kernel, pid, slot, threshold) {
            Ok(links) => traced.hold(links),
            Err(reason) => self.note(format!(
                "{path}: stops of the world are not seen one by one: {reason}; pauses are those of whole collections"
            )),
        }
    }

    /// Takes the names of their stacks that are known; those of the last moment are waited for.
    pub(in crate::command::session) fn name_long_stops(&mut self) {
        if self.is_stopped() && self.traced.iter().any(|traced| traced.stop_places().next().is_some()) {
            self.symbols.wait();
        }
        self.symbols.take_names();
    }

    /// Keeps a stop of the world that took long, unless there are longer ones.
    pub(in crate::command::session) fn take_long_stop(&mut self, stop: collect::LongStop) {
        let ago = Duration::from_nanos(monotonic_ns().saturating_sub(stop.started_ns));
        let at = jiff::Timestamp::now().checked_sub(ago).unwrap_or_else(|_| jiff::Timestamp::now());
        let located = self.traced.iter_mut().find_map(|traced| {
            let known = traced.code_of(stop.stack.slot)?;
            self.symbols.locate(&stop.stack, known.mappings, known.cache, Unmapped::Stays)
        });
        for &place in located.iter().flat_map(|stack| stack.frames.iter()) {
            // Its name is looked up from here on.
            self.symbols.frames(place);
        }
        let slot = stop.stack.slot;
        let of_slot = self.traced.iter_mut().find_map(|traced| Some((traced.pid(), traced.stops_of(slot)?)));
        let Some((pid, stops)) = of_slot else { return };
        let seconds = stop.nanoseconds as f64 * 1e-9;
        log::info!(
            "process {pid}: the world stood still for {:.1} ms: {}",
            seconds * 1e3,
            name(&REASONS, stop.reason as usize)
        );
        stops.long.push(LongStop { at, stop, stack: located });
        if stops.long.len() > LONG_STOPS_MAX {
            stops.dropped += keep_longest(&mut stops.long, |stop| stop.stop.nanoseconds as f64);
        }
    }
}
