//! What would be probed in a process, and the evidence for it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::allocator::{self, Detection};
use crate::command::Failure;
use crate::command::session::image;
use crate::elf::{DebugFinder, Image};
use crate::kernel::attach::Kind;
use crate::kernel::preflight;
use crate::mode::Mode;
use crate::model::snapshot;
use crate::probe;
use crate::target::Target;
use crate::target::mappings::{FileCache, Mappings};

/// What was found in a process.
#[derive(Debug, Serialize)]
pub(super) struct Evidence {
    pid: u32,
    comm: String,
    exe: String,
    seccomp_filtered: bool,
    /// Mapped files with code, and what each has to do with allocation.
    objects: Vec<Object>,
    /// The allocator that would be traced, and its probes.
    allocator: Option<snapshot::Allocator>,
    /// Functions that would not be probed, and why.
    skipped: Vec<String>,
    /// Why nothing can be traced.
    pub(super) refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct Object {
    path: String,
    found: String,
}

/// Looks at a process as `attach` would.
pub(super) fn examine(pid: u32) -> Result<Evidence, Failure> {
    let target = Target::open(pid)?;
    let mut files = FileCache::default();
    let mappings = Mappings::read(pid, &mut files).map_err(|error| {
        Failure::NotFound(format!("failed to read the mappings of process {pid}: {error}"))
    })?;
    let mut evidence = Evidence {
        pid,
        comm: target.comm,
        exe: target.exe,
        seccomp_filtered: target.seccomp_filtered,
        objects: Vec::new(),
        allocator: None,
        skipped: Vec::new(),
        refusal: None,
    };
    for file in mappings.files() {
        let found = match file.file.try_clone().map_err(Into::into).and_then(Image::open) {
            Ok(image) => {
                let is_program = file.path == evidence.exe;
                let image = if is_program {
                    image.with_debug(&DebugFinder::of_process(pid), &file.path)
                } else {
                    image
                };
                let mut said = vec![evidence.look_at(&image, &file.path)];
                said.extend(image.debug_notes().iter().map(ToString::to_string));
                said.extend(image.defects());
                said.join("; ")
            }
            Err(error) => error.to_string(),
        };
        evidence.objects.push(Object { path: file.path.clone(), found });
    }
    evidence.refusal = image::prepare(&mappings, &crate::options::Choice::default(), Mode::Live, pid)
        .err()
        .map(|failure| failure.to_string());
    Ok(evidence)
}

impl Evidence {
    fn look_at(&mut self, image: &Image, path: &str) -> String {
        match allocator::detect(image, path) {
            Detection::Absent => "no allocator".to_owned(),
            Detection::Other(other) => {
                format!("{} ({}): this version does not trace it", other.name, other.evidence)
            }
            Detection::Supported(_) if self.allocator.is_some() => {
                "a second allocator: not traced".to_owned()
            }
            Detection::Supported(allocator) => {
                let kind = if preflight::uprobe_multi().is_ok() { Kind::Multi } else { Kind::Perf };
                let plan = probe::plan(image, &allocator, Mode::Live);
                self.skipped = plan
                    .skipped
                    .iter()
                    .map(|skipped| format!("{}: {}", skipped.function, skipped.reason))
                    .collect();
                self.allocator = Some(image::describe(&allocator, &plan, kind));
                format!("{} {}", allocator.name, allocator.version.as_deref().unwrap_or("of unknown version"))
            }
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("process {} ({})  {}\n", self.pid, self.comm, self.exe);
        if self.seccomp_filtered {
            text.push_str("  its system calls are filtered (seccomp)\n");
        }
        let interesting = |object: &&Object| object.found != "no allocator";
        for object in self.objects.iter().filter(interesting) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {}: {}", object.path, object.found);
        }
        let dull = self.objects.len() - self.objects.iter().filter(interesting).count();
        let _ = writeln!(text, "  {dull} other mapped files without an allocator");
        if let Some(allocator) = &self.allocator {
            text.push_str(&probes(allocator));
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
