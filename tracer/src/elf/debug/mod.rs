//! Symbols that were split off an object: in a separate debug file, or compressed in the object itself.
//!
//! Looked for only where somebody asks. All of it belongs to strangers, the names of the files too.

mod link;
mod mini;
pub(super) mod supplement;

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::root::Root;
use super::{Image, Table};
use link::Link;

/// Where distributions put separate debug files.
const DEBUG_FOLDER: &str = "/usr/lib/debug";

/// The roots in which the debug files of a process's objects are looked for, in order.
#[derive(Clone, Debug, Default)]
pub struct DebugFinder(Vec<Arc<Root>>);

/// What was found beside an object, or was not used, for `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebugNote {
    /// Its symbols are used.
    Used {
        /// What kind of source it is.
        table: Table,
        /// Its path as its root has it; of mini debug info the name of the section.
        path: String,
    },
    /// It is there and cannot be used.
    Refused {
        /// As above.
        path: String,
        /// Why.
        reason: String,
    },
}

/// What a look for debug files gives.
#[derive(Debug, Default)]
pub struct Found {
    /// The debug file, whose `.symtab` and `.debug_*` sections describe the object, and its path in its root.
    pub file: Option<(Image, PathBuf)>,
    /// What was looked at.
    pub notes: Vec<DebugNote>,
}

impl fmt::Display for DebugNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used { table, path } => write!(f, "symbols from {path} ({table})"),
            Self::Refused { path, reason } => write!(f, "{path} is not used: {reason}"),
        }
    }
}

impl DebugFinder {
    /// For the objects of a process: as it sees its root, then as tracer sees its own.
    ///
    /// A process that is gone has left its root: then it is the second only.
    #[must_use]
    pub fn of_process(pid: u32) -> Self {
        Self::new([Root::of_process(pid), Root::own()].into_iter().flatten().map(Arc::new))
    }

    /// For objects that some roots hold.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = Arc<Root>>) -> Self {
        Self(roots.into_iter().collect())
    }

    /// Looks for the debug file of an object; `path` is where the process has it.
    ///
    /// By build-id first, then by `.gnu_debuglink`: in the object's folder, in `.debug` there, and in the same folder
    /// below `/usr/lib/debug`. A file of another build is not used.
    #[must_use]
    pub fn find(&self, object: &Image, path: &str) -> Found {
        let link = Link::of(object);
        let by_id = object.build_id().and_then(by_build_id);
        let by_link = link.as_ref().map(|link| by_link(link, path)).unwrap_or_default();
        let mut found = Found::default();
        for root in &self.0 {
            for candidate in by_id.iter().chain(&by_link) {
                match open(root, candidate, object, link.as_ref()) {
                    Ok(Some(file)) => {
                        found.notes.push(DebugNote::Used { table: Table::DebugFile, path: shown(candidate) });
                        found.file = Some((file, candidate.clone()));
                        return found;
                    }
                    Ok(None) => {}
                    Err(reason) => {
                        let refused = DebugNote::Refused { path: shown(candidate), reason };
                        // Nearly every process has tracer's own root: it is the same file.
                        if !found.notes.contains(&refused) {
                            found.notes.push(refused);
                        }
                    }
                }
            }
        }
        found
    }
}

impl Image {
    /// Whether it has no `.symtab`: what only its own code calls has no name in it.
    #[must_use]
    pub fn is_stripped(&self) -> bool {
        !self.sections().iter().any(|s| s.kind == object::elf::SHT_SYMTAB.0)
    }

    /// With the symbols that were split off it, if it is stripped: of its debug file, else of its mini debug info.
    ///
    /// It costs some system calls where nothing is found, and reads the whole debug file where only a checksum tells
    /// whether it belongs to the object: for the program itself and for an object that somebody named.
    #[must_use]
    pub fn with_debug(mut self, finder: &DebugFinder, path: &str) -> Self {
        if !self.is_stripped() {
            return self;
        }
        let found = finder.find(&self, path);
        self.notes.extend(found.notes);
        // A debug file can be without symbols too: then it has only lines.
        let file = found.file.filter(|(file, _)| !file.is_stripped());
        match (file, self.mini_debug_info()) {
            (Some((file, _)), _) => self.beside.push((Table::DebugFile, file)),
            (None, Some(Ok(mini))) => {
                let path = mini::SECTION.to_owned();
                self.notes.push(DebugNote::Used { table: Table::MiniDebugInfo, path });
                self.beside.push((Table::MiniDebugInfo, mini));
            }
            (None, Some(Err(error))) => {
                let (path, reason) = (mini::SECTION.to_owned(), error.to_string());
                self.notes.push(DebugNote::Refused { path, reason });
            }
            (None, None) => {}
        }
        self
    }

    /// What [`Image::with_debug`] has found and what it did not use.
    #[must_use]
    pub fn debug_notes(&self) -> &[DebugNote] {
        &self.notes
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn by_build_id(id: &str) -> Option<PathBuf> {
    let (folder, name) = id.split_at_checked(2).filter(|(_, name)| !name.is_empty())?;
    Some(PathBuf::from(format!("{DEBUG_FOLDER}/.build-id/{folder}/{name}.debug")))
}

fn by_link(link: &Link, path: &str) -> Vec<PathBuf> {
    let path = Path::new(path.trim_end_matches(" (deleted)"));
    let Some(folder) = path.parent().filter(|_| path.is_absolute()) else { return Vec::new() };
    let below = Path::new(DEBUG_FOLDER).join(folder.strip_prefix("/").unwrap_or(folder));
    [folder.join(&link.name), folder.join(".debug").join(&link.name), below.join(&link.name)].into()
}

/// Opens a candidate and checks that it is of the same build.
fn open(root: &Root, path: &Path, object: &Image, link: Option<&Link>) -> Result<Option<Image>, String> {
    let Some(file) = root.open_file(path).map_err(|error| error.to_string())? else { return Ok(None) };
    let identity = |file: &std::fs::File| file.metadata().map(|data| (data.dev(), data.ino()));
    // An object whose link names itself is no debug file of its own.
    if identity(&file).ok() == identity(&object.file).ok() {
        return Ok(None);
    }
    let file = Image::open(file).map_err(|error| error.to_string())?;
    match (object.build_id(), file.build_id()) {
        (Some(wanted), Some(has)) if wanted == has => Ok(Some(file)),
        (Some(wanted), Some(has)) => {
            Err(format!("it belongs to another build: its build-id is {has}, the object's is {wanted}"))
        }
        _ => {
            let link = link.ok_or("it has no build-id: nothing says that it belongs to the object")?;
            link.check(&file)?;
            Ok(Some(file))
        }
    }
}

#[cfg(test)]
mod tests;
