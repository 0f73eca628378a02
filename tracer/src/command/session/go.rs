//! Go runtimes: which process has one, and which is read beside its allocators.

mod heap;
mod probes;
mod stops;

use std::fmt::Display;
use std::sync::Arc;

use super::image::Found;
use super::planned::Planned;
use crate::command::Failure;
use crate::elf::Image;
use crate::go::{GoProgram, Places, Runtime, Unread};
use crate::options::Choice;
use crate::target::mappings::{MappedFile, Mappings};
use crate::target::per_file::PerFile;
pub(super) use heap::Calls;
pub(crate) use heap::GoHeap;
pub(crate) use probes::{Probes, Wanted, probes};
pub(crate) use stops::Stops;

/// Its name, as `--allocator` takes it.
pub(crate) const NAME: &str = "go";
/// What a version that a program does not say is called.
pub(crate) const UNKNOWN: &str = "Go of an unknown version";

/// The files with a Go runtime among those that were looked at: what holds for all their processes.
pub(crate) type Programs = PerFile<Option<Result<Program, String>>>;

/// A file with a Go runtime.
pub(crate) struct Program {
    version: Option<String>,
    /// Where its variables are, or why they cannot be read.
    places: Result<Places, String>,
    image: Image,
    /// Where probes go, as if it were an allocator.
    planned: Arc<Planned>,
    /// Something in it reads the profile of its heap.
    reads_profile: bool,
    /// Where the probes of stops go.
    stops: Result<stops::Plan, String>,
}

/// Looks for the runtime of a process: in its program, or in another of its files. The error says which Go it has, and why
/// that cannot be read.
pub(crate) fn find(
    pid: u32,
    mappings: &Mappings,
    exe: &str,
    choice: &Choice,
    programs: &mut Programs,
) -> Result<Option<GoHeap>, String> {
    if !choice.takes(NAME, "") {
        return Ok(None);
    }
    let mut refusal = None;
    for file in files(choice, mappings, exe) {
        let heap = match &*programs.get(&file, program) {
            None => continue,
            Some(Ok(program)) => open(pid, &file, program, mappings),
            Some(Err(reason)) => Err(reason.clone()),
        };
        match heap {
            Ok(heap) => return Ok(Some(heap)),
            Err(reason) => refusal = refusal.or_else(|| Some(format!("{}: {reason}", file.path))),
        }
    }
    refusal.map_or(Ok(None), Err)
}

/// The files to look at, the program first.
fn files(choice: &Choice, mappings: &Mappings, exe: &str) -> Vec<Arc<MappedFile>> {
    let mut files = choice.files(mappings);
    files.sort_by_key(|file| file.path != exe);
    files
}

/// Looks whether a file brings a Go runtime; `None` if not. What is no object at all is refused by others.
fn program(file: &MappedFile) -> Option<Result<Program, String>> {
    let image = Image::open(file.file.try_clone().ok()?).ok()?;
    let program = match GoProgram::open(&image) {
        Ok(program) => program?,
        Err(reason) => return Some(Err(reason)),
    };
    let version = program.version.as_ref().map(ToString::to_string);
    let name = || version.as_deref().unwrap_or(UNKNOWN).to_owned();
    let places = Places::find(&program, &image).map_err(|reason| format!("{}: {reason}", name()));
    let planned = Arc::new(probes::planned(&image, &program.lines, &file.path, version.clone()));
    let reads_profile = probes::reads_profile(&program.lines);
    let stops =
        places.as_ref().map_err(Clone::clone).and_then(|places| stops::plan(&image, &program, places));
    Some(Ok(Program { version, places, image, planned, reads_profile, stops }))
}

/// The runtime that is read beside the allocators that were found, and what is missing of it.
///
/// # Errors
///
/// There is neither.
pub(crate) fn beside(
    found: &Found,
    go: Result<Option<GoHeap>, String>,
    pid: u32,
    choice: &Choice,
) -> Result<(Option<GoHeap>, Option<String>), Failure> {
    match (go, found.is_nothing()) {
        (Ok(None), true) => Err(found.refusal(pid, choice)),
        (Err(reason), true) => Err(Failure::CannotTrace(cannot_be_read(pid, &reason))),
        (Ok(go), _) => Ok((go, None)),
        (Err(reason), false) => Ok((None, Some(cannot_be_read(pid, &reason)))),
    }
}

/// What is said of a heap of Go that is left out.
pub(crate) fn cannot_be_read(pid: u32, reason: &str) -> String {
    format!("the heap of Go in process {pid} cannot be read: {reason}")
}

/// What C's side of a process is where it can be probed; where it cannot and Go's can be read, nothing and why.
///
/// # Errors
///
/// Neither can be traced.
pub(crate) fn or_alone(
    found: Result<Found, Failure>,
    go: &Result<Option<GoHeap>, String>,
) -> Result<(Found, Option<String>), Failure> {
    match (found, go) {
        (Ok(found), _) => Ok((found, None)),
        (Err(Failure::CannotTrace(why)), Ok(Some(_))) => {
            Ok((Found::default(), Some(format!("only Go's heap is read: {why}"))))
        }
        (Err(failure), _) => Err(failure),
    }
}

fn open(pid: u32, file: &Arc<MappedFile>, program: &Program, mappings: &Mappings) -> Result<GoHeap, String> {
    let Program { version, places, image, stops, .. } = program;
    let places = places.as_ref().map_err(Clone::clone)?;
    let why = |reason: &dyn Display| format!("{}: {reason}", version.as_deref().unwrap_or(UNKNOWN));
    let bias = mappings.bias_of(file, image).ok_or_else(|| why(&"its code is mapped nowhere"))?;
    let mut runtime = Runtime::open(pid, places, bias).map_err(|reason| why(&reason))?;
    // A profile is an estimate: without the totals nothing would say how good it is.
    if let Err(Unread::Missing(reason)) = runtime.totals() {
        return Err(why(&reason));
    }
    let stops = Stops::new(Arc::clone(file), stops.clone(), places, bias);
    Ok(GoHeap::new(pid, runtime, version.clone(), file.path.clone(), stops))
}
