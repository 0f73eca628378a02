//! What the names and lines of one object are read from, best first: itself, its debug file, its mini debug info.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use blazesym::symbolize::source::{Elf, Source};

use crate::elf::copy::{Content, CopyError};
use crate::elf::root::Root;
use crate::elf::{DebugFinder, DebugNote, Image};
use crate::target::mappings::MappedFile;

/// The sources of one object.
pub(super) struct Sources {
    sources: Vec<OneSource>,
    /// Why one of them is not used or cannot be read.
    pub(super) failure: Option<String>,
    /// The sources name them by their descriptors.
    _files: Vec<File>,
}

/// One of them.
pub(super) struct OneSource {
    pub(super) elf: Source<'static>,
    /// Nobody may ask it again.
    pub(super) is_broken: Cell<bool>,
}

impl Sources {
    /// Copies what is needed, as far as the budget allows.
    pub(super) fn open(mapped: &MappedFile, object: &Image, budget: &Cell<u64>) -> Self {
        let mut opened = Self { sources: Vec::new(), failure: None, _files: Vec::new() };
        let roots = [mapped.root.clone(), Root::own().ok().map(Arc::new)];
        let finder = DebugFinder::new(roots.into_iter().flatten());
        if object.has_lines() {
            opened.add_with_lines(object, Path::new(&mapped.path), &finder, budget);
            return opened;
        }
        let found = finder.find(object, &mapped.path);
        let is_refused = |note: &&DebugNote| matches!(note, DebugNote::Refused { .. });
        opened.failure = found.notes.iter().find(is_refused).map(ToString::to_string);
        if let Some((file, path)) = &found.file {
            opened.add_with_lines(file, path, &finder, budget);
        } else if object.is_stripped() {
            match object.mini_debug_info() {
                Some(Ok(mini)) => opened.add_names(&mini, budget),
                Some(Err(error)) => opened.failure = Some(error.to_string()),
                None => {}
            }
        }
        opened.add_names(object, budget);
        opened
    }

    /// Those that may be asked.
    pub(super) fn iter(&self) -> impl Iterator<Item = &OneSource> {
        self.sources.iter().filter(|source| !source.is_broken.get())
    }

    /// Names alone, where the debug information cannot be had.
    fn add_with_lines(&mut self, image: &Image, path: &Path, finder: &DebugFinder, budget: &Cell<u64>) {
        let content = Content::NamesAndLines;
        let supplement = finder.supplement(image, path);
        let supplement = supplement.and_then(|supplement| copy(&supplement, content, None, budget).ok());
        match copy(image, content, supplement.as_ref(), budget) {
            Ok(file) => {
                self.add(&file, true);
                // Broken debug information is an error for every address: the symbol table may be sound.
                self.add(&file, false);
                self._files.extend([Some(file), supplement].into_iter().flatten());
            }
            Err(_) => self.add_names(image, budget),
        }
    }

    fn add_names(&mut self, image: &Image, budget: &Cell<u64>) {
        match copy(image, Content::Names, None, budget) {
            Ok(file) => {
                self.add(&file, false);
                self._files.push(file);
            }
            // Every object of a process may be without section headers: it has no names, and nothing has failed.
            Err(CopyError::NoSections) => {}
            Err(error) => self.failure = Some(error.to_string()),
        }
    }

    fn add(&mut self, file: &File, with_lines: bool) {
        let mut elf = Elf::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        elf.debug_syms = with_lines;
        self.sources.push(OneSource { elf: Source::Elf(elf), is_broken: Cell::new(false) });
    }
}

/// A copy that has failed gives back what it took.
fn copy(
    image: &Image,
    content: Content,
    supplement: Option<&File>,
    budget: &Cell<u64>,
) -> Result<File, CopyError> {
    let mut left = budget.get();
    let file = image.copy_symbols(content, supplement, &mut left)?;
    budget.set(left);
    Ok(file)
}
