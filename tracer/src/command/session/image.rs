//! One image of one process: which allocators it has, and what its probes and its slot look like.

use std::sync::Arc;

use tracer_ebpf::abi::slot::{MAX_HULLS, MAX_NESTED};
use tracer_ebpf::abi::{Cookie, Range, Slot};

use super::planned::{Outcome, PlanCache, Planned};
use crate::allocator::{Allocator, Role};
use crate::command::Failure;
use crate::kernel::attach::{EntryPoint, Kind, Points, ReturnEntry};
use crate::kernel::preflight;
use crate::mode::Mode;
use crate::model::{ProbedFunction, snapshot};
use crate::options::Choice;
use crate::probe::{NoReturn, ProbePoint, Returns};
use crate::target::mappings::{MappedFile, Mappings};

/// Where the kernel maps its return trampoline in an x86-64 process, unless something lies there: just below the
/// end of the user address space (`xol_add_vma` in kernel/events/uprobes.c).
const TRAMPOLINE: u64 = 0x7fff_ffff_e000;

/// A file with allocators, ready to be probed in one process.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) file: Arc<MappedFile>,
    pub(crate) planned: Arc<Planned>,
    /// Code of the allocators in this process.
    nested: Vec<Range>,
}

/// What the files of a process turned out to be.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) objects: Vec<Object>,
    /// What is not probed, and why.
    pub(crate) failures: Vec<String>,
    /// Files that may have an allocator and could not be read.
    pub(crate) notes: Vec<String>,
    /// Allocators that were not asked for.
    others: Vec<String>,
    /// Debug files of objects without an allocator: used, or not and why.
    debug_notes: Vec<String>,
    /// The file that was asked for is none that is mapped.
    maps_no_files: bool,
}

impl Found {
    /// No file brings an allocator.
    pub(crate) fn is_nothing(&self) -> bool {
        self.objects.is_empty()
    }

    /// Why a process cannot be traced where [`Self::is_nothing`].
    pub(crate) fn refusal(&self, pid: u32, choice: &Choice) -> Failure {
        nothing_found(pid, choice, self.maps_no_files, self)
    }
}

/// Finds the allocators of a process and plans their probes.
pub(crate) fn prepare(
    mappings: &Mappings,
    choice: &Choice,
    mode: Mode,
    pid: u32,
    cache: &mut PlanCache,
) -> Result<Found, Failure> {
    let files = choice.files(mappings);
    let mut found = look(&files, mappings, choice, mode, pid, cache).map_err(|(path, reason)| {
        Failure::CannotTrace(format!("process {pid} cannot be traced: {path} is {reason}"))
    })?;
    let unopened = mappings.unopened();
    let not_looked_at = |(path, reason)| format!("{path} was not looked at for an allocator: {reason}");
    found.notes.extend(unopened.into_iter().map(not_looked_at));
    found.maps_no_files = files.is_empty();
    if !found.is_nothing() && found.objects.iter().all(|object| object.planned.plan.points.is_empty()) {
        let paths: Vec<_> = found.objects.iter().map(|object| object.file.path.as_str()).collect();
        return Err(Failure::CannotTrace(format!(
            "process {pid}: none of the functions of {} can be probed: {}",
            paths.join(", "),
            found.failures.join("; ")
        )));
    }
    Ok(found)
}

/// What these files of a process are; the error is the path of the program if it is of another kind, and why.
pub(crate) fn look(
    files: &[Arc<MappedFile>],
    mappings: &Mappings,
    choice: &Choice,
    mode: Mode,
    pid: u32,
    cache: &mut PlanCache,
) -> Result<Found, (String, String)> {
    let mut found = Found::default();
    let program = std::fs::read_link(format!("/proc/{pid}/exe"));
    for file in files {
        match cache.of(file, choice, mode, pid) {
            Outcome::NotElf | Outcome::Stripped => {}
            Outcome::Nothing { others, notes } => {
                found.others.extend(others);
                found.debug_notes.extend(notes.iter().map(|note| format!("{}: {note}", file.path)));
            }
            Outcome::Foreign(reason) if program.as_ref().is_ok_and(|path| *path == *file.path) => {
                return Err((file.path.clone(), reason));
            }
            // Beside the program it is data: nobody can run it here.
            Outcome::Foreign(_) => {}
            Outcome::Unreadable(reason) => {
                found.notes.push(format!("{} was not looked at for an allocator: {reason}", file.path));
            }
            Outcome::Planned(planned) => {
                found.failures.extend(planned.failures.iter().cloned());
                found.objects.push(Object::new(Arc::clone(file), planned, mappings));
            }
        }
    }
    Ok(found)
}

fn nothing_found(pid: u32, choice: &Choice, no_files: bool, found: &Found) -> Failure {
    let why = if let (true, Some(object)) = (no_files, &choice.object) {
        format!("it has not mapped {object} as code")
    } else if found.others.is_empty() {
        let prefix = choice.symbol_prefix.as_deref().unwrap_or("");
        format!(
            "no file that it has mapped defines {prefix}malloc and {prefix}free in a symbol table (a stripped static \
             program does not)"
        )
    } else {
        format!("it has {}, which was not asked for", found.others.join(", "))
    };
    // A file that could not be opened may be one that a capability opens.
    let missing = if found.notes.is_empty() { Vec::new() } else { preflight::missing() };
    let missing = missing.iter().map(|capability| format!("{} is missing", capability.name));
    let notes: Vec<String> = found.debug_notes.iter().chain(&found.notes).cloned().chain(missing).collect();
    let why = match &notes[..] {
        [] => why,
        notes => format!("{why}; {}", notes.join("; ")),
    };
    Failure::CannotTrace(format!(
        "no allocator found in process {pid}: {why}. `tracer doctor --pid {pid}` lists what was looked at; a build \
         with its .symtab or its debug file under /usr/lib/debug would help, or --object and --symbol-prefix for an \
         allocator of its own"
    ))
}

/// One probed function of an image.
#[derive(Clone, Debug)]
pub(crate) struct FunctionState {
    pub(crate) function: ProbedFunction,
    /// Index of its totals.
    pub(crate) total: u32,
}

impl Object {
    /// As a process has mapped it.
    pub(crate) fn new(file: Arc<MappedFile>, planned: Arc<Planned>, mappings: &Mappings) -> Self {
        let nested = planned.nested.iter().filter_map(|(offset, length)| {
            let start = mappings.address_of(&file, offset.0)?;
            Some(Range { start, end: start.checked_add(*length)? })
        });
        let nested = nested.collect();
        Self { file, planned, nested }
    }

    /// Its functions, whose totals begin at `first_total`; the image has so many allocators before it.
    pub(crate) fn functions(&self, first_total: u32, allocators: usize) -> Vec<FunctionState> {
        let points = self.planned.plan.points.iter().zip(first_total..);
        points
            .map(|(point, total)| {
                let function = ProbedFunction {
                    name: point.function.clone(),
                    frees: point.role == Role::Frees,
                    allocator: allocators + point.allocator,
                };
                FunctionState { function, total }
            })
            .collect()
    }

    /// How many functions are probed.
    pub(crate) fn len(&self) -> u32 {
        self.planned.plan.points.len() as u32
    }

    /// Where the programs go, with their cookies. The image has so many functions before these.
    pub(crate) fn points(&self, slot: u32, first_function: u32, first_total: u32) -> Points {
        let mut points = Points::default();
        for (index, point) in self.planned.plan.points.iter().enumerate() {
            let function = first_function + index as u32;
            let cookie = cookie(point, slot, function, first_total + index as u32);
            let entry = EntryPoint { file_offset: point.offset.0, cookie: cookie.to_bits() };
            for jump in &point.jumps {
                let shift_bytes = jump.condition.map_or(0, |condition| 1 + condition);
                let cookie = Cookie { shift_bytes, ..cookie }.to_bits();
                points.jumping.push(EntryPoint { file_offset: jump.offset.0, cookie });
            }
            if point.role == Role::Frees {
                points.freeing.push(entry);
                continue;
            }
            points.allocating.push(entry);
            match &point.returns {
                Ok(Returns::Probe(returns)) => {
                    points.returning.push(ReturnEntry { point: *returns, cookie: cookie.to_bits() });
                }
                Ok(Returns::Sites { offsets, .. }) => {
                    let cookie = Cookie { shift_bytes: 0, ..cookie }.to_bits();
                    points.ending.extend(offsets.iter().map(|at| EntryPoint { file_offset: at.0, cookie }));
                }
                Err(_) => {}
            }
        }
        points
    }
}

fn cookie(point: &ProbePoint, slot: u32, function: u32, total: u32) -> Cookie {
    Cookie {
        slot: slot as u16,
        function: function as u8,
        argument: point.argument,
        shift_bytes: point.placement.shift_bytes,
        // In mode `alloc` only what tells a jump, by its arguments or a probe on it, needs to leave word.
        may_tail_jump: point.may_tail_jump
            && (point.tail_jump.is_some()
                || !point.jumps.is_empty()
                || point.returns != Err(NoReturn::NotWanted)),
        is_outer: point.is_outer,
        tells_jump: point.tail_jump.is_some(),
        has_ret_sites: has_sites(point),
        is_inner: point.is_inner,
        totals: total as u16,
    }
}

const fn has_sites(point: &ProbePoint) -> bool {
    matches!(point.returns, Ok(Returns::Sites { .. }))
}

/// What the programs must know of an image with these objects.
pub(crate) fn slot(objects: &[Object], pid: u32, seed: u64, sample_bytes: u64, mappings: &Mappings) -> Slot {
    let (hulls, nested) = regions(objects);
    Slot {
        counting: 0,
        tgid: pid,
        seed,
        trampoline: mappings.trampoline().unwrap_or(TRAMPOLINE),
        sample_bytes,
        announced: 0,
        passes_on: u64::from(passes_on(objects)),
        code: 0,
        row_key: 0,
        told_ns: 0,
        program: mappings.program_text(),
        library: objects.first().map_or_else(Range::default, |object| mappings.text_of(&object.file)),
        hulls,
        nested,
    }
}

/// Whether an allocator of one object may call that of another: one that nobody knows, beside others. The known ones
/// bring their own memory.
pub(crate) fn passes_on(objects: &[Object]) -> bool {
    let mut allocators = objects.iter().flat_map(|object| &object.planned.allocators);
    objects.len() > 1 && allocators.any(|allocator| !allocator.is_known())
}

/// The code of all allocators, and its hull in each object. Hulls beyond the limit are merged, and so are, while there
/// are too many, the two ranges of an object that are nearest to each other.
pub(crate) fn regions(objects: &[Object]) -> ([Range; MAX_HULLS], [Range; MAX_NESTED]) {
    let (mut hulls, mut nested) = ([Range::default(); MAX_HULLS], [Range::default(); MAX_NESTED]);
    let widen = |to: &mut Range, from: &Range| {
        *to = match to.end {
            0 => *from,
            _ => Range { start: to.start.min(from.start), end: to.end.max(from.end) },
        };
    };
    for (number, object) in objects.iter().enumerate() {
        for range in &object.nested {
            widen(&mut hulls[number.min(MAX_HULLS - 1)], range);
        }
    }
    let mut all: Vec<Vec<Range>> = objects.iter().map(|object| object.nested.clone()).collect();
    while all.iter().map(Vec::len).sum::<usize>() > MAX_NESTED {
        let gaps = all.iter().enumerate().flat_map(|(object, ranges)| {
            let gap = |pair: &[Range]| pair[1].start.saturating_sub(pair[0].end);
            ranges.windows(2).enumerate().map(move |(at, pair)| (gap(pair), object, at))
        });
        let Some((_, object, at)) = gaps.min() else { break };
        let next = all[object].remove(at + 1);
        all[object][at].end = next.end;
    }
    for (to, from) in nested.iter_mut().zip(all.iter().flatten()) {
        *to = *from;
    }
    (hulls, nested)
}

/// An object's allocators and their probes as reports show them.
pub(crate) fn describe(planned: &Planned, file: &MappedFile, kind: Kind) -> Vec<snapshot::Allocator> {
    let of = |(index, allocator): (usize, &Allocator)| snapshot::Allocator {
        name: allocator.name.to_owned(),
        object: file.path.clone(),
        version: allocator.version.clone(),
        prefix: allocator.prefix.clone(),
        source: "uprobe".to_owned(),
        sample_bytes: None,
        profile_age_seconds: None,
        lag_bytes: None,
        totals: None,
        probes: planned
            .plan
            .points
            .iter()
            .filter(|point| point.allocator == index)
            .map(|point| describe_point(point, kind))
            .collect(),
    };
    planned.allocators.iter().enumerate().map(of).collect()
}

fn describe_point(point: &ProbePoint, kind: Kind) -> snapshot::Probe {
    let no_return = match &point.returns {
        Ok(_) | Err(NoReturn::NotWanted | NoReturn::Frees) => None,
        Err(reason) => Some(reason.to_string()),
    };
    let sites = match &point.returns {
        Ok(Returns::Sites { offsets, may_end_elsewhere }) => {
            let elsewhere = match may_end_elsewhere {
                true => "; where it jumps out of the object instead, the call counts as not seen to return",
                false => "",
            };
            Some(format!(
                "it may throw, so its ret instructions are probed ({}), which the kernel single-steps{elsewhere}",
                offsets.len()
            ))
        }
        _ => None,
    };
    snapshot::Probe {
        function: point.function.clone(),
        aliases: point.aliases.clone(),
        file_offset: point.offset.0,
        shift: u64::from(point.placement.shift_bytes),
        emulated: point.placement.emulated,
        attach: kind.name().to_owned(),
        returns: match &point.returns {
            Ok(Returns::Probe(_)) => "uretprobe",
            Ok(Returns::Sites { .. }) => "ret_sites",
            Err(_) => "none",
        }
        .to_owned(),
        note: point.note.clone().or(no_return).or(sites),
    }
}
