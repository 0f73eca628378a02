//! Everything that a snapshot is made of, read at one moment.

use std::collections::HashMap;
use std::time::Duration;

use super::Session;
use super::go::{self, GoHeap};
use super::traced::Traced;
use super::unwinding::Unwinding;
use crate::collect::runtime::ProfiledSite;
use crate::collect::{self, SiteCounts};
use crate::command::Failure;
use crate::kernel::memory;
use crate::mode::{Mode, Tracing};
use crate::model::node::TargetId;
use crate::model::snapshot::Host;
use crate::model::{Ages, Moment, SiteSums, SlotState, Source, TargetState};
use crate::options::TraceOptions;

/// What a moment is to be of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope<'a> {
    /// Everything.
    All,
    /// One process; of many, one after the other, its records are known already.
    One(TargetId, Option<&'a Records>),
    /// Everything, and of the call sites only their sums: there may be hundreds of thousands.
    Sums,
}

impl Scope<'_> {
    /// The process that it is of.
    const fn one(&self) -> Option<TargetId> {
        match self {
            Self::One(id, _) => Some(*id),
            Self::All | Self::Sums => None,
        }
    }

    /// Call sites are asked for.
    const fn has_sites(&self) -> bool {
        !matches!(self, Self::Sums)
    }
}

/// Which records are of which slot, and how old the blocks are: found once for many pictures of one process each.
#[derive(Debug)]
pub struct Records {
    by_slot: HashMap<u32, Vec<u32>>,
    ages: Ages,
}

/// Of this moment.
pub(super) fn records(session: &mut Session, options: &TraceOptions) -> Records {
    let mut by_slot: HashMap<u32, Vec<u32>> = HashMap::new();
    for (index, slot) in session.kernel.slots_of_sites() {
        by_slot.entry(slot).or_default().push(index);
    }
    Records { by_slot, ages: ages(session, options) }
}

fn ages(session: &mut Session, options: &TraceOptions) -> Ages {
    let now_ns = session.stopped_ns.unwrap_or_else(monotonic_ns);
    let old = options.filter.older_than;
    match session.stopped_ns {
        // Nothing changes any more.
        Some(_) => {
            let all = 0..session.kernel.live_buckets();
            Ages::of(collect::live_blocks(&session.kernel, all), now_ns, old)
        }
        None => session.ages.look(&session.kernel, now_ns, old),
    }
}

/// Reads the counts of every slot and site.
pub(super) fn moment(
    session: &mut Session,
    options: &TraceOptions,
    scope: Scope<'_>,
) -> Result<Moment, Failure> {
    session.look_at_runtimes(scope.one(), scope.has_sites());
    session.name_long_stops();
    let mut targets = Vec::new();
    let is_meant = |traced: &&Traced| !matches!(scope, Scope::One(id, _) if traced.id() != id);
    for traced in session.traced.iter().filter(is_meant) {
        let program = traced.program();
        let build_id = program.and_then(|file| session.symbols.build_id(&file));
        let last = traced.images.len().saturating_sub(1);
        let slots = traced.images.iter().enumerate().map(|(position, image)| {
            Ok(SlotState {
                index: image.slot,
                is_last_image: position == last,
                mode: image.mode,
                was_sampled: image.was_sampled,
                source: Source::Probes,
                functions: image.functions.iter().map(|function| function.function.clone()).collect(),
                allocators: image.allocators.clone(),
                counts: image.counts(&session.kernel)?,
            })
        });
        let mut slots = slots.collect::<Result<Vec<_>, Failure>>()?;
        slots.extend(runtimes(traced, scope));
        targets.push(TargetState { target: traced.describe(build_id, &mut session.symbols), slots });
    }
    let follows = |state: &TargetState| state.slots.iter().any(|slot| slot.mode == Mode::Live);
    let is_live = targets.iter().any(follows);
    let was_sampled = targets.iter().flat_map(|state| &state.slots).any(|slot| slot.was_sampled);
    let (sites, mut sums) = sites(session, &targets, was_sampled, scope);
    let profiled = profiled(session, &is_meant, scope);
    profiled.iter().for_each(|site| sums.add_profiled(site));
    let ages = match scope {
        Scope::One(_, Some(records)) => records.ages.clone(),
        Scope::All | Scope::One(..) if is_live => ages(session, options),
        _ => Ages::default(),
    };
    let attached = match session.counting_since {
        Some(_) if session.counted > Duration::ZERO => session.counted,
        Some((_, since)) => since.elapsed(),
        None => Duration::ZERO,
    };
    let pids = targets.iter().map(|state| state.target.pid).collect();
    let is_one = |traced: &&Traced| matches!(scope, Scope::One(id, _) if traced.id() == id);
    let one = session.traced.iter().find(is_one);
    let asked = one.map_or(session.tracing, |traced| traced.tracing);
    let tracing = tracing_of_runtimes(session, &is_meant).unwrap_or(asked);
    let (mode, sample_bytes) = (mode_of_probes(session, &is_meant, tracing.mode), tracing.sample_bytes);
    let attach_failures = one.map_or(&session.attach_failures, Traced::failures).clone();
    Ok(Moment {
        started_at: session.counting_since.map_or_else(jiff::Timestamp::now, |(at, _)| at),
        duration: session.started.elapsed(),
        attached,
        mode,
        sample_bytes,
        was_sampled,
        labels: options.labels.clone(),
        host: host(),
        calls_in_flight: if is_live { session.kernel.calls_in_flight(&pids) } else { 0 },
        targets,
        sites,
        profiled,
        sums,
        ages,
        unknown_records: session.unknown_records,
        hit_costs: session.hit_costs,
        map_bytes: memory::map_bytes(),
        attach_failures,
        notes: notes(session),
    })
}

/// What the runtimes of a process's images say of their totals.
fn runtimes(traced: &Traced, scope: Scope<'_>) -> impl Iterator<Item = SlotState> {
    let last = traced.images.len().saturating_sub(1);
    traced.images.iter().enumerate().filter_map(move |(position, image)| {
        let is_probed = image.allocators.iter().any(|allocator| allocator.name != go::NAME);
        let mode = if is_probed { image.mode } else { Mode::Live };
        Some(image.go.as_ref()?.slot(image.slot, position == last, mode, scope.has_sites()))
    })
}

/// What Go's runtimes have sampled.
fn profiled(session: &Session, is_meant: &dyn Fn(&&Traced) -> bool, scope: Scope<'_>) -> Vec<ProfiledSite> {
    if !scope.has_sites() {
        return Vec::new();
    }
    let images = session.traced.iter().filter(is_meant).flat_map(|traced| &traced.images);
    images.filter_map(|image| Some(image.go.as_ref()?.sites(image.slot))).flatten().collect()
}

/// How Go's runtimes trace themselves, where nothing is probed: what is in use they know whatever was asked for. Where their
/// intervals differ, each allocator has its own.
fn tracing_of_runtimes(session: &Session, is_meant: &dyn Fn(&&Traced) -> bool) -> Option<Tracing> {
    let images = session.traced.iter().filter(is_meant).filter_map(|traced| traced.images.last());
    let mut intervals = images.map(|image| match &image.go {
        Some(go) if !image.has_probes() => Some(go.interval_bytes()),
        _ => None,
    });
    let first = intervals.next()??;
    let all: Vec<Option<u64>> = intervals.collect::<Option<_>>()?;
    let agree = all.iter().all(|interval| *interval == first);
    let sample_bytes = if agree { first.unwrap_or(0) } else { 0 };
    Some(Tracing { mode: Mode::Live, sample_bytes, ..Tracing::default() })
}

/// The mode of what is probed: probes on Go's allocator follow no blocks, whatever was asked for.
pub(super) fn mode_of_probes(session: &Session, is_meant: &dyn Fn(&&Traced) -> bool, asked: Mode) -> Mode {
    let images = session.traced.iter().filter(is_meant).filter_map(|traced| traced.images.last());
    let modes: Vec<Mode> = images.map(|image| if image.has_probes() { image.mode } else { asked }).collect();
    let follows_nothing = !modes.is_empty() && modes.iter().all(|mode| *mode == Mode::Alloc);
    if follows_nothing { Mode::Alloc } else { asked }
}

/// The records of these targets, as far as the scope wants them, and their sums.
fn sites(
    session: &Session,
    targets: &[TargetState],
    was_sampled: bool,
    scope: Scope<'_>,
) -> (Vec<SiteCounts>, SiteSums) {
    let slots = targets.iter().flat_map(|state| &state.slots).map(|slot| slot.index);
    let mut sums = SiteSums::default();
    let mut records = Vec::new();
    let mut take = |site: SiteCounts| {
        sums.add(&site);
        if !matches!(scope, Scope::Sums) {
            records.push(site);
        }
    };
    match scope {
        Scope::One(_, Some(known)) => {
            let indices = slots.filter_map(|slot| known.by_slot.get(&slot)).flatten().copied();
            collect::some_sites(&session.kernel, indices, was_sampled).for_each(&mut take);
        }
        _ => collect::sites(&session.kernel, &slots.collect(), was_sampled).for_each(&mut take),
    }
    for last in
        session.traced.iter().flat_map(|traced| &traced.images).filter_map(|image| image.last_sums.as_ref())
    {
        sums.extend(last);
    }
    (records, sums)
}

/// The clock of `bpf_ktime_get_ns`.
pub(super) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What readers should know: of the session, and of code without tables.
pub(super) fn notes(session: &Session) -> Vec<String> {
    let unwinding = session.unwinding.iter().flat_map(Unwinding::notes);
    let runtimes = session.traced.iter().flat_map(|traced| &traced.images);
    let runtimes = runtimes.filter_map(|image| image.go.as_ref()).flat_map(GoHeap::notes);
    session.notes.iter().cloned().chain(unwinding).chain(runtimes).collect()
}

fn host() -> Host {
    let uname = rustix::system::uname();
    Host {
        kernel: uname.release().to_string_lossy().into_owned(),
        arch: uname.machine().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
    }
}
