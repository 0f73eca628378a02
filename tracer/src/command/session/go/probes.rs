//! Probes on Go's allocator: when they take the place of the runtime's own profile, and what they look like to a session.

use super::{GoHeap, NAME, Programs, files};
use crate::allocator::Allocator;
use crate::command::session::image::Object;
use crate::command::session::planned::Planned;
use crate::elf::Image;
use crate::go::Lines;
use crate::mode::{GoSource, Mode};
use crate::options::Choice;
use crate::probe::go_allocator;
use crate::target::mappings::Mappings;

/// What reads the profile of the heap: one of them is linked into every program that has one, else the linker switches the
/// samples off (`disableMemoryProfiling` in `cmd/link/internal/ld/lib.go`; the second is Go 1.23's and later).
const READERS: [&str; 2] = ["runtime.MemProfile", "runtime.memProfileInternal"];

/// What is asked of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Who is to know the call sites.
    pub(crate) source: GoSource,
    /// How its other allocators are traced, where it has any.
    pub(crate) beside: Option<Mode>,
}

/// The probes of a process's Go runtime.
pub(crate) enum Probes {
    /// None are wanted, or there is no Go.
    None,
    /// These. Their numbers take the place of what the runtime says of allocations.
    These(Object),
    /// Wanted, and not possible: why.
    Refused(String),
}

/// Where probes of a file's Go runtime go, as if it were an allocator.
pub(super) fn planned(image: &Image, lines: &Lines, path: &str, version: Option<String>) -> Planned {
    let plan = go_allocator::plan(image, lines);
    let failures =
        plan.skipped.iter().map(|skipped| format!("{}: {}", skipped.function, skipped.reason)).collect();
    let allocator = Allocator {
        name: NAME,
        object: path.to_owned(),
        version,
        prefix: String::new(),
        functions: Vec::new(),
    };
    Planned::new(image, vec![allocator], plan, failures, Vec::new())
}

/// Whether something in a program reads the profile of its heap.
pub(super) fn reads_profile(lines: &Lines) -> bool {
    !lines.functions_where(&|name| READERS.contains(&name)).is_empty()
}

/// The probes that are wanted in a process, beside its runtime where that is read.
pub(crate) fn probes(
    mappings: &Mappings,
    exe: &str,
    choice: &Choice,
    programs: &mut Programs,
    heap: Option<&mut GoHeap>,
    wanted: Wanted,
) -> Probes {
    if wanted.source == GoSource::Runtime || !choice.takes(NAME, "") {
        return Probes::None;
    }
    // What is read of one runtime says nothing of another.
    let path = heap.as_ref().map(|heap| heap.describe().1.to_owned());
    let files = files(choice, mappings, exe).into_iter();
    for file in files.filter(|file| path.as_ref().is_none_or(|path| *path == file.path)) {
        let known = programs.get(&file, super::program);
        let Some(Ok(program)) = &*known else { continue };
        let mut heap = heap;
        // Of a version that nobody has seen nothing is guessed.
        let is_rich = |heap: &mut &mut GoHeap| heap.has_profile(program.reads_profile);
        if wanted.source == GoSource::Auto && heap.as_mut().is_none_or(is_rich) {
            return Probes::None;
        }
        if wanted.source == GoSource::Auto && wanted.beside == Some(Mode::Live) {
            return Probes::Refused(format!(
                "{}: its Go runtime takes no samples, and probes on it do not follow blocks as mode live does beside it: its \
                 call sites are in mode alloc, by --allocator go, or by --go probes",
                file.path
            ));
        }
        if program.planned.plan.points.is_empty() {
            return Probes::Refused(format!("{}: no function of Go's allocator can be probed", file.path));
        }
        if let Some(heap) = heap {
            heap.leave_to_probes();
        }
        return Probes::These(Object::new(file, std::sync::Arc::clone(&program.planned), mappings));
    }
    Probes::None
}
