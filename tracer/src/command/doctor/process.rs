//! What would be probed in a process, and the evidence for it.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::bindings::{self, Binding};
use super::runtime::{self, Runtime};
use crate::command::Failure;
use crate::command::session::image;
use crate::command::session::planned::{Outcome, PlanCache};
use crate::elf::{Image, Table};
use crate::kernel::attach::Kind;
use crate::kernel::preflight;
use crate::mode::Mode;
use crate::model::snapshot;
use crate::options::Choice;
use crate::target::Target;
use crate::target::mappings::{FileCache, MappedFile, Mappings};
use crate::unwind::UnwindSource;

/// What was found in a process.
#[derive(Debug, Serialize)]
pub(super) struct Evidence {
    pid: u32,
    comm: String,
    exe: String,
    seccomp_filtered: bool,
    /// Mapped files with code, and what each has to do with allocation.
    objects: Vec<Object>,
    /// Whose functions are called, by what the dynamic linker has bound so far.
    bindings: Vec<Binding>,
    /// The allocators that would be traced, and their probes.
    allocators: Vec<snapshot::Allocator>,
    /// The runtime whose own numbers would be read.
    runtime: Option<Runtime>,
    /// Debug files that were used, or were not and why.
    notes: Vec<String>,
    /// Files through whose code stacks are walked by frame pointers, or not at all, and why.
    without_tables: Vec<String>,
    /// Functions that would not be probed, and why.
    skipped: Vec<String>,
    /// Why nothing can be traced.
    pub(super) refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct Object {
    path: String,
    found: String,
    /// Nothing to do with allocation.
    is_dull: bool,
}

/// Looks at a process as `attach` would.
pub(super) fn examine(pid: u32) -> Result<Evidence, Failure> {
    let target = Target::open(pid)?;
    let mut files = FileCache::default();
    let mappings = Mappings::read(pid, &mut files).map_err(|error| {
        Failure::NotFound(format!("failed to read the mappings of process {pid}: {error}"))
    })?;
    let files = mappings.files();
    let mut evidence = Evidence {
        pid,
        comm: target.comm,
        exe: target.exe,
        seccomp_filtered: target.seccomp_filtered,
        objects: Vec::new(),
        bindings: bindings_of(pid, &mappings, &files),
        allocators: Vec::new(),
        runtime: None,
        notes: Vec::new(),
        without_tables: files.iter().filter_map(|file| lacks_table(file)).collect(),
        skipped: Vec::new(),
        refusal: None,
    };
    let choice = Choice::default();
    let kind = if preflight::uprobe_multi().is_ok() { Kind::Multi } else { Kind::Perf };
    let mut plans = PlanCache::default();
    for file in &files {
        let (found, is_dull) = evidence.look_at(file, plans.of(file, &choice, Mode::Live, pid), kind);
        evidence.objects.push(Object { path: file.path.clone(), found, is_dull });
    }
    let found = image::prepare(&mappings, &choice, Mode::Live, pid, &mut plans);
    match runtime::examine(pid, &evidence.exe, &mappings, &choice, kind, found) {
        Ok(go) => {
            evidence.runtime = go.runtime;
            evidence.allocators.extend(go.allocators);
            evidence.skipped.extend(go.skipped);
        }
        Err(failure) => evidence.refusal = Some(failure.to_string()),
    }
    Ok(evidence)
}

/// Why a file has no unwind table.
fn lacks_table(file: &MappedFile) -> Option<String> {
    let image = Image::open(file.file.try_clone().ok()?);
    match image.map_err(|error| error.to_string()).and_then(|image| UnwindSource::load(&image)) {
        Ok(Some(_)) => None,
        Ok(None) => Some(format!("{}: no frame descriptions, by frame pointers", file.path)),
        Err(reason) => Some(format!("{}: {reason}", file.path)),
    }
}

fn bindings_of(pid: u32, mappings: &Mappings, files: &[Arc<MappedFile>]) -> Vec<Binding> {
    let open = |file: &Arc<MappedFile>| Image::open(file.file.try_clone().ok()?).ok();
    let images: Vec<_> = files.iter().filter_map(|file| Some((file, open(file)?))).collect();
    let images: Vec<_> = images.iter().map(|(file, image)| (&***file, image)).collect();
    bindings::read(pid, mappings, &images)
}

impl Evidence {
    /// What a file is, in words, and whether that is of no interest.
    fn look_at(&mut self, file: &MappedFile, outcome: Outcome, kind: Kind) -> (String, bool) {
        let planned = match outcome {
            // The answer of a cache is never this one.
            Outcome::Stripped => return ("no symbols".to_owned(), false),
            Outcome::NotElf => return ("not an ELF file".to_owned(), false),
            Outcome::Nothing { notes, .. } if notes.is_empty() => return ("no allocator".to_owned(), true),
            Outcome::Nothing { notes, .. } => return (format!("no allocator; {}", notes.join("; ")), false),
            Outcome::Foreign(reason) | Outcome::Unreadable(reason) => return (reason, false),
            Outcome::Planned(planned) => planned,
        };
        let skipped = planned.plan.skipped.iter();
        self.skipped.extend(skipped.map(|skipped| format!("{}: {}", skipped.function, skipped.reason)));
        self.skipped
            .extend(planned.failures.iter().filter(|failure| failure.contains("return probe")).cloned());
        self.notes.extend(planned.notes.iter().cloned());
        let described = image::describe(&planned, file, kind);
        let words = |(found, allocator): (&snapshot::Allocator, &crate::allocator::Allocator)| {
            let version = found.version.as_deref().unwrap_or("of unknown version");
            let first = allocator.functions.first().map_or("", |function| function.name.as_str());
            let table = allocator.functions.first().map_or(Table::Dynamic, |function| function.table);
            format!("{} {version}: {first} and {} more in {table}", found.name, allocator.functions.len() - 1)
        };
        let found: Vec<String> = described.iter().zip(&planned.allocators).map(words).collect();
        self.allocators.extend(described);
        (found.join("; "), false)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("process {} ({})  {}\n", self.pid, self.comm, self.exe);
        if self.seccomp_filtered {
            text.push_str("  its system calls are filtered (seccomp)\n");
        }
        for object in self.objects.iter().filter(|object| !object.is_dull) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {}: {}", object.path, object.found);
        }
        let dull = self.objects.iter().filter(|object| object.is_dull).count();
        let _ = writeln!(text, "  {dull} other mapped files without an allocator");
        if let Some(runtime) = &self.runtime {
            text.push_str(&runtime.text());
        }
        for binding in &self.bindings {
            let _ = writeln!(text, "  {binding}");
        }
        for allocator in &self.allocators {
            if self.allocators.len() > 1 {
                let _ = writeln!(text, "  {} in {}", allocator.name, allocator.object);
            }
            text.push_str(&probes(allocator));
        }
        let _ = writeln!(
            text,
            "  stacks: unwind tables for {} of {} mapped files",
            self.objects.len() - self.without_tables.len(),
            self.objects.len()
        );
        for file in &self.without_tables {
            let _ = writeln!(text, "    {file}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        for skipped in &self.skipped {
            let _ = writeln!(text, "  not probed: {skipped}");
        }
        if let Some(refusal) = &self.refusal {
            let _ = writeln!(text, "  {refusal}");
        }
        text
    }
}

fn probes(allocator: &snapshot::Allocator) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).force_no_tty();
    table.set_header([
        "  function",
        "aliases",
        "file offset",
        "SP moved",
        "instruction",
        "attached by",
        "return",
    ]);
    for probe in &allocator.probes {
        let cost = if probe.emulated { "emulated" } else { "single-stepped" };
        table.add_row([
            format!("  {}", probe.function),
            probe.aliases.join(" "),
            format!("{:#x}", probe.file_offset),
            format!("{} B", probe.shift),
            cost.to_owned(),
            probe.attach.clone(),
            probe.returns.clone(),
        ]);
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for probe in &allocator.probes {
        if let Some(note) = &probe.note {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {}: {note}", probe.function);
        }
    }
    text
}
