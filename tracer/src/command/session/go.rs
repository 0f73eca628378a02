//! Go runtimes: which process has one, and which is read beside its allocators.

mod heap;

use std::fmt::Display;

use super::image::Found;
use crate::command::Failure;
use crate::elf::Image;
use crate::go::{GoProgram, Places, Runtime, Unread};
use crate::options::Choice;
use crate::target::mappings::{MappedFile, Mappings};
use crate::target::per_file::PerFile;
pub(super) use heap::Calls;
pub(crate) use heap::GoHeap;

/// Its name, as `--allocator` takes it.
pub(crate) const NAME: &str = "go";
/// What a version that a program does not say is called.
pub(crate) const UNKNOWN: &str = "Go of an unknown version";

/// The files with a Go runtime among those that were looked at: what holds for all their processes.
pub(crate) type Programs = PerFile<Option<Result<Program, String>>>;

/// A file with a Go runtime.
pub(crate) struct Program {
    version: Option<String>,
    places: Places,
    image: Image,
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
    let mut files = choice.files(mappings);
    files.sort_by_key(|file| file.path != exe);
    let mut refusal = None;
    for file in files {
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
    Some(places.map(|places| Program { version, places, image }))
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
    let cannot = |reason| format!("the heap of Go in process {pid} cannot be read: {reason}");
    match (go, found.is_nothing()) {
        (Ok(None), true) => Err(found.refusal(pid, choice)),
        (Err(reason), true) => Err(Failure::CannotTrace(cannot(reason))),
        (Ok(go), _) => Ok((go, None)),
        (Err(reason), false) => Ok((None, Some(cannot(reason)))),
    }
}

fn open(pid: u32, file: &MappedFile, program: &Program, mappings: &Mappings) -> Result<GoHeap, String> {
    let Program { version, places, image } = program;
    let why = |reason: &dyn Display| format!("{}: {reason}", version.as_deref().unwrap_or(UNKNOWN));
    let bias = mappings.bias_of(file, image).ok_or_else(|| why(&"its code is mapped nowhere"))?;
    let mut runtime = Runtime::open(pid, places, bias).map_err(|reason| why(&reason))?;
    // A profile is an estimate: without the totals nothing would say how good it is.
    if let Err(Unread::Missing(reason)) = runtime.totals() {
        return Err(why(&reason));
    }
    Ok(GoHeap::new(pid, runtime, version.clone(), file.path.clone()))
}
