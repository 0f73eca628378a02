//! What is probed in one file: the same in every process that has it mapped, so it is found once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::allocator::{self, Allocator, Role, Wanted};
use crate::elf::{DebugFinder, ElfError, Image, Kind};
use crate::mode::Mode;
use crate::options::Choice;
use crate::probe::{self, Plan};
use crate::target::mappings::MappedFile;
use crate::target::per_file::PerFile;
use crate::units::{ElfVaddr, FileOffset};

/// The allocators of a file and their probes.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) allocators: Vec<Allocator>,
    pub(crate) plan: Plan,
    /// `plan.nested` as offsets in the file, and lengths.
    pub(crate) nested: Vec<(FileOffset, u64)>,
    /// Functions that are not probed, and why: their calls are missing.
    pub(crate) failures: Vec<String>,
    /// Debug files that were used, or were not and why.
    pub(crate) notes: Vec<String>,
}

impl Planned {
    /// Of a plan that was made for the code of `image`.
    pub(crate) fn new(
        image: &Image,
        allocators: Vec<Allocator>,
        plan: Plan,
        failures: Vec<String>,
        notes: Vec<String>,
    ) -> Self {
        let offset = |range: &std::ops::Range<ElfVaddr>| {
            let bytes = range.end.0.checked_sub(range.start.0)?;
            Some((image.vaddr_to_file_offset(range.start)?, bytes))
        };
        let nested = plan.nested.iter().filter_map(offset).collect();
        Self { allocators, plan, nested, failures, notes }
    }
}

/// What a file turned out to be.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Mapped as code, and no ELF file: it has no malloc.
    NotElf,
    /// No allocator that was asked for.
    Nothing {
        /// Those that were not.
        others: Vec<String>,
        /// Debug files that were used, or were not and why.
        notes: Vec<String>,
    },
    /// It cannot be read as a program: why. A process that runs it may still use others.
    Unreadable(String),
    /// No 64-bit program of this machine: a process that runs it cannot be traced.
    Foreign(String),
    /// Its symbols may lie in a file beside it, which each process has in its own root.
    Stripped,
    /// Allocators.
    Planned(Arc<Planned>),
}

/// All files that were looked at.
#[derive(Debug, Default)]
pub(crate) struct PlanCache(PerFile<Outcome>);

/// By mode: other functions are probed.
#[derive(Debug, Default)]
pub(crate) struct PlanCaches {
    alloc: PlanCache,
    live: PlanCache,
}

impl PlanCaches {
    /// Forgets all files but these.
    pub(crate) fn keep(&mut self, files: &HashSet<(u64, u64)>) {
        self.alloc.0.keep(files);
        self.live.0.keep(files);
    }

    pub(crate) const fn of_mode(&mut self, mode: Mode) -> &mut PlanCache {
        match mode {
            Mode::Alloc => &mut self.alloc,
            Mode::Live => &mut self.live,
        }
    }
}

impl PlanCache {
    /// What a file is, by what the user chose. What a debug file says is asked in each process anew: one container must
    /// not tell where the probes of another go.
    pub(crate) fn of(&mut self, file: &Arc<MappedFile>, choice: &Choice, mode: Mode, pid: u32) -> Outcome {
        match &*self.0.get(file, |file| look(file, choice, mode, None)) {
            Outcome::Stripped => look(file, choice, mode, Some(&DebugFinder::of_process(pid))),
            outcome => outcome.clone(),
        }
    }
}

/// Looks at a file; with `debug` also for the symbols that were stripped from it.
fn look(file: &MappedFile, choice: &Choice, mode: Mode, debug: Option<&DebugFinder>) -> Outcome {
    let image = match file.file.try_clone().map_err(ElfError::from).and_then(Image::open) {
        Ok(image) => image,
        Err(error @ (ElfError::Is32Bit | ElfError::WrongMachine(_))) => {
            return Outcome::Foreign(error.to_string());
        }
        Err(ElfError::NotElf) => return Outcome::NotElf,
        Err(error) => return Outcome::Unreadable(error.to_string()),
    };
    let is_program = matches!(image.kind(), Kind::Fixed | Kind::Pie);
    let is_named = choice.object.is_some() || choice.symbol_prefix.is_some();
    let thoroughly = is_program || is_named;
    let image = match debug {
        None if thoroughly && image.is_stripped() => return Outcome::Stripped,
        Some(debug) => image.with_debug(debug, &file.path),
        None => image,
    };
    let wanted = Wanted { prefix: choice.symbol_prefix.clone(), thoroughly };
    let mut allocators = allocator::detect(&image, &file.path, &wanted);
    let (chosen, left): (Vec<_>, Vec<_>) =
        allocators.drain(..).partition(|found| choice.takes(found.name, &found.prefix));
    if chosen.is_empty() && !image.defects().is_empty() {
        return Outcome::Unreadable(image.defects().join("; "));
    }
    let notes: Vec<String> = image.debug_notes().iter().map(ToString::to_string).collect();
    if chosen.is_empty() {
        let others = left.iter().map(|one| format!("{} in {}", one.name, one.object)).collect();
        return Outcome::Nothing { others, notes };
    }
    let mut plan = probe::plan(&image, &chosen, mode);
    let mut failures: Vec<String> = plan
        .skipped
        .iter()
        .filter(|skipped| !skipped.reason.is_harmless())
        .map(|skipped| format!("{}: {}", skipped.function, skipped.reason))
        .collect();
    // Without its return a call cannot be followed: it is left out, and said.
    plan.points.retain(|point| match &point.returns {
        Err(reason) if mode == Mode::Live && point.role == Role::Allocates => {
            failures.push(format!("{}: no return probe: {reason}", point.function));
            false
        }
        _ => true,
    });
    let notes = notes.into_iter().chain(image.defects()).collect();
    Outcome::Planned(Arc::new(Planned::new(&image, chosen, plan, failures, notes)))
}
