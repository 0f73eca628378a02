//! What the names and lines of one object are read from, best first: itself, its debug file, its mini debug info.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use blazesym::symbolize::source::{Elf, Source};

use crate::elf::copy::{Content, CopyError};
use crate::elf::root::Root;
use crate::elf::{DebugFinder, Image};
use crate::target::mappings::MappedFile;

/// The sources of one object.
pub(super) struct Sources {
    sources: Vec<OneSource>,
    /// Why one of them cannot be read.
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
        if object.has_lines() {
            opened.add(object, Content::NamesAndLines, budget);
            return opened;
        }
        let roots = [mapped.root.clone(), Root::own().ok().map(Arc::new)];
        let found = DebugFinder::new(roots.into_iter().flatten()).find(object, &mapped.path);
        if let Some(file) = &found.file {
            opened.add(file, Content::NamesAndLines, budget);
        } else if object.is_stripped() {
            match object.mini_debug_info() {
                Some(Ok(mini)) => opened.add(&mini, Content::Names, budget),
                Some(Err(error)) => opened.failure = Some(error.to_string()),
                None => {}
            }
        }
        opened.add(object, Content::Names, budget);
        opened
    }

    /// Those that may be asked.
    pub(super) fn iter(&self) -> impl Iterator<Item = &OneSource> {
        self.sources.iter().filter(|source| !source.is_broken.get())
    }

    /// Names alone, where the debug information cannot be had.
    fn add(&mut self, image: &Image, content: Content, budget: &Cell<u64>) {
        let with_lines = copy(image, content, budget);
        let copied = match content {
            Content::NamesAndLines => with_lines.or_else(|_| copy(image, Content::Names, budget)),
            Content::Names => with_lines,
        };
        match copied {
            Ok(file) => {
                // Broken debug information is an error for every address: the symbol table may be sound.
                for debug_syms in [true, false] {
                    let mut elf = Elf::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
                    elf.debug_syms = debug_syms;
                    self.sources.push(OneSource { elf: Source::Elf(elf), is_broken: Cell::new(false) });
                }
                self._files.push(file);
            }
            // Every object of a process may be without section headers: it has no names, and nothing has failed.
            Err(CopyError::NoSections) => {}
            Err(error) => self.failure = Some(error.to_string()),
        }
    }
}

/// A copy that has failed gives back what it took.
fn copy(image: &Image, content: Content, budget: &Cell<u64>) -> Result<File, CopyError> {
    let mut left = budget.get();
    let file = image.copy_symbols(content, &mut left)?;
    budget.set(left);
    Ok(file)
}
