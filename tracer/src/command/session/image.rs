//! One image of one process: which allocator it has, and what its probes and its slot look like.

use std::sync::Arc;

use tracer_ebpf::abi::slot::MAX_NESTED;
use tracer_ebpf::abi::{Cookie, MAX_FUNCTIONS, Range, Slot};

use crate::allocator::{self, Allocator, Detection, Role};
use crate::command::Failure;
use crate::elf::{DebugFinder, ElfError, Image};
use crate::kernel::attach::{EntryPoint, Kind, Points, ReturnEntry};
use crate::mode::Mode;
use crate::model::snapshot;
use crate::options::Choice;
use crate::probe::{self, NoReturn, Plan, ProbePoint};
use crate::target::mappings::{MappedFile, Mappings};

/// Where the kernel maps its return trampoline in an x86-64 process, unless something lies there: just below the
/// end of the user address space (`xol_add_vma` in kernel/events/uprobes.c).
const TRAMPOLINE: u64 = 0x7fff_ffff_e000;

/// An image that is ready to be probed.
pub(crate) struct Prepared {
    pub(super) file: Arc<MappedFile>,
    pub(super) failures: Vec<String>,
    /// Other objects that define malloc too: the process may call theirs.
    pub(super) rivals: Vec<String>,
    allocator: Allocator,
    plan: Plan,
    nested: Vec<Range>,
}

/// Finds the allocator of a process and plans its probes.
pub(crate) fn prepare(
    mappings: &Mappings,
    choice: &Choice,
    mode: Mode,
    pid: u32,
) -> Result<Prepared, Failure> {
    let Found { file, image, allocator, rivals } = find(mappings, choice, pid)?;
    let mut plan = probe::plan(&image, &allocator, mode);
    let mut failures: Vec<String> =
        plan.skipped.iter().map(|skipped| format!("{}: {}", skipped.function, skipped.reason)).collect();
    // Without its return a call cannot be followed: it is left out, and said.
    plan.points.retain(|point| match &point.returns {
        Err(reason) if mode == Mode::Live && point.role == Role::Allocates => {
            failures.push(format!("{}: no return probe: {reason}", point.function));
            false
        }
        _ => true,
    });
    plan.points.truncate(MAX_FUNCTIONS as usize);
    if plan.points.is_empty() {
        return Err(Failure::CannotTrace(format!(
            "process {pid}: none of the functions of {} can be probed: {}",
            file.path,
            failures.join("; ")
        )));
    }
    let nested = plan
        .nested
        .iter()
        .filter_map(|range| {
            let offset = image.vaddr_to_file_offset(range.start)?;
            let start = mappings.address_of(&file, offset.0)?;
            Some(Range { start, end: start + (range.end.0 - range.start.0) })
        })
        .collect();
    Ok(Prepared { file, failures, rivals, allocator, plan, nested })
}

/// An allocator that can be traced, and its file.
struct Found {
    file: Arc<MappedFile>,
    image: Image,
    allocator: Allocator,
    /// Other objects that define malloc too.
    rivals: Vec<String>,
}

/// Looks for the allocator in every file that the process has mapped.
fn find(mappings: &Mappings, choice: &Choice, pid: u32) -> Result<Found, Failure> {
    let mut found: Option<(Arc<MappedFile>, Image, Allocator)> = None;
    let mut others = Vec::new();
    let wanted = |file: &Arc<MappedFile>| choice.object.as_ref().is_none_or(|object| *object == file.path);
    let files: Vec<_> = mappings.files().into_iter().filter(wanted).collect();
    let program = std::fs::read_link(format!("/proc/{pid}/exe"));
    for file in &files {
        let opened = file.file.try_clone().map_err(anyhow::Error::from)?;
        let is_program = program.as_ref().is_ok_and(|path| *path == *file.path);
        let image = match Image::open(opened) {
            Ok(image) => image,
            Err(error @ (ElfError::Is32Bit | ElfError::WrongMachine(_))) if is_program => {
                return Err(Failure::CannotTrace(format!(
                    "process {pid} cannot be traced: {} is {error}",
                    file.path
                )));
            }
            // A file that is mapped as code and is no ELF file has no malloc.
            Err(_) => continue,
        };
        let is_named = choice.object.is_some() || program.as_ref().is_ok_and(|path| *path == *file.path);
        let image =
            if is_named { image.with_debug(&DebugFinder::of_process(pid), &file.path) } else { image };
        match allocator::detect(&image, &file.path) {
            Detection::Supported(allocator) if found.is_none() => {
                found = Some((Arc::clone(file), image, allocator));
            }
            Detection::Supported(allocator) => others.push((allocator.name, allocator.object, true)),
            Detection::Other(other) => others.push((other.name, other.object, other.replaces_malloc)),
            Detection::Absent => {}
        }
    }
    match found {
        Some((file, image, allocator)) => {
            let rivals = others.into_iter().filter(|other| other.2).map(|(_, object, _)| object).collect();
            Ok(Found { file, image, allocator, rivals })
        }
        None => Err(nothing_found(pid, choice, files.is_empty(), &others)),
    }
}

fn nothing_found(pid: u32, choice: &Choice, no_files: bool, others: &[(&str, String, bool)]) -> Failure {
    let why = if let (true, Some(object)) = (no_files, &choice.object) {
        format!("it has not mapped {object} as code")
    } else if others.is_empty() {
        "no file that it has mapped defines malloc in a symbol table (a stripped static program does not)"
            .to_owned()
    } else {
        let list: Vec<String> =
            others.iter().map(|(name, object, _)| format!("{name} in {object}")).collect();
        format!("it has {}, and this version traces glibc's malloc only", list.join(", "))
    };
    Failure::CannotTrace(format!(
        "no allocator found in process {pid}: {why}. `tracer doctor --pid {pid}` lists what was looked at; \
         a build with its .symtab would help"
    ))
}

impl Prepared {
    /// The names of the functions by index, and whether they free.
    pub(super) fn functions(&self) -> Vec<(String, bool)> {
        self.plan.points.iter().map(|point| (point.function.to_owned(), point.role == Role::Frees)).collect()
    }

    /// What the programs must know of the image.
    pub(super) fn slot(&self, pid: u32, seed: u64, sample_bytes: u64, mappings: &Mappings) -> Slot {
        let mut nested = [Range::default(); MAX_NESTED];
        for (to, from) in nested.iter_mut().zip(&self.nested) {
            *to = *from;
        }
        Slot {
            counting: 0,
            tgid: pid,
            seed,
            trampoline: mappings.trampoline().unwrap_or(TRAMPOLINE),
            sample_bytes,
            announced: 0,
            program: mappings.program_text(),
            library: mappings.text_of(&self.file),
            nested_hull: Range {
                start: self.nested.iter().map(|range| range.start).min().unwrap_or(0),
                end: self.nested.iter().map(|range| range.end).max().unwrap_or(0),
            },
            nested,
        }
    }

    /// Where the programs go, with their cookies.
    pub(super) fn points(&self, slot: u32, first_total: u32) -> Points {
        let mut points = Points::default();
        for (function, point) in self.plan.points.iter().enumerate() {
            let cookie = Cookie {
                slot: slot as u16,
                function: function as u8,
                argument: point.argument,
                shift_bytes: point.placement.shift_bytes,
                may_tail_jump: point.may_tail_jump && point.tail_jump.is_some(),
                is_outer: point.is_outer,
                totals: (first_total as usize + function) as u16,
            }
            .to_bits();
            let entry = EntryPoint { file_offset: point.offset.0, cookie };
            match point.role {
                Role::Frees => points.freeing.push(entry),
                Role::Allocates => {
                    points.allocating.push(entry);
                    if let Ok(returns) = point.returns {
                        points.returning.push(ReturnEntry { point: returns, cookie });
                    }
                }
            }
        }
        points
    }

    /// The allocator as reports show it.
    pub(super) fn describe(&self, kind: Kind) -> snapshot::Allocator {
        describe(&self.allocator, &self.plan, kind)
    }
}

/// An allocator and its probes as reports show them.
pub(crate) fn describe(allocator: &Allocator, plan: &Plan, kind: Kind) -> snapshot::Allocator {
    snapshot::Allocator {
        name: allocator.name.to_owned(),
        object: allocator.object.clone(),
        version: allocator.version.clone(),
        prefix: allocator.prefix.to_owned(),
        source: "uprobe".to_owned(),
        probes: plan.points.iter().map(|point| describe_point(point, kind)).collect(),
    }
}

fn describe_point(point: &ProbePoint, kind: Kind) -> snapshot::Probe {
    let no_return = match &point.returns {
        Ok(_) | Err(NoReturn::NotWanted | NoReturn::Frees) => None,
        Err(reason) => Some(reason.to_string()),
    };
    snapshot::Probe {
        function: point.function.to_owned(),
        aliases: point.aliases.clone(),
        file_offset: point.offset.0,
        shift: u64::from(point.placement.shift_bytes),
        emulated: point.placement.emulated,
        attach: kind.name().to_owned(),
        returns: if point.returns.is_ok() { "uretprobe" } else { "none" }.to_owned(),
        note: point.note.clone().or(no_return),
    }
}
