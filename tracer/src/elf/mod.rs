//! An opened ELF file: what it is, where its bytes lie in memory, and bounded reads of it.
//!
//! Only the headers and what is asked for is read, so that a huge program opens in milliseconds. The file
//! belongs to a stranger: every size in it is checked before it is used, and nothing in it causes a panic.

mod compressed;
pub mod copy;
pub mod debug;
mod defects;
mod dynamic;
mod hash;
mod header;
mod relocations;
pub mod root;
pub mod symbols;
#[cfg(test)]
pub(crate) mod testing;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::units::{ElfVaddr, FileOffset};

pub use compressed::SectionError;
pub use debug::{DebugFinder, DebugNote};
pub use symbols::{Symbol, Table};

/// Most bytes of one read: more than the largest section that is needed (`.strtab` of a browser's debug build).
pub const MAX_READ_BYTES: u64 = 512 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file could not be read.
    #[error("failed to read the file: {0}")]
    Io(#[from] io::Error),
    /// The first bytes are not an ELF file's.
    #[error("not an ELF file")]
    NotElf,
    /// 32-bit, x32 included.
    #[error("a 32-bit ELF file: only 64-bit programs can be traced")]
    Is32Bit,
    /// Another processor; the value is `e_machine`.
    #[error("an ELF file for another machine (e_machine {0}): only x86-64 can be traced")]
    WrongMachine(u16),
    /// The headers contradict the file or themselves.
    #[error("a corrupt ELF file: {0}")]
    Corrupt(&'static str),
}

/// What a file is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program at a fixed address (`ET_EXEC`).
    Fixed,
    /// A program at an address that the kernel picks.
    Pie,
    /// A shared library.
    Shared,
    /// A relocatable object, a core file, …
    Other,
}

/// A part of the file that is loaded into memory (`PT_LOAD`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First address.
    pub address: ElfVaddr,
    /// Where its bytes begin in the file.
    pub offset: FileOffset,
    /// Bytes that come from the file.
    pub file_bytes: u64,
    /// Bytes in memory: zeros follow those of the file.
    pub memory_bytes: u64,
    /// Read.
    pub readable: bool,
    /// Write.
    pub writable: bool,
    /// Execute.
    pub executable: bool,
}

/// A section header, as far as it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// `sh_type`.
    pub(crate) kind: u32,
    /// Index of the section that belongs to it: a symbol table's strings.
    pub(crate) link: u32,
    /// `SHF_COMPRESSED`.
    pub(crate) is_compressed: bool,
    pub(crate) address: ElfVaddr,
    pub(crate) offset: FileOffset,
    pub(crate) size_bytes: u64,
}

impl Section {
    /// Whether it is a symbol table.
    fn is_table(&self) -> bool {
        self.kind == object::elf::SHT_SYMTAB.0 || self.kind == object::elf::SHT_DYNSYM.0
    }
}

/// An opened 64-bit x86-64 ELF file.
#[derive(Debug)]
pub struct Image {
    file: File,
    file_bytes: u64,
    layout: header::Layout,
    /// What was split off it, with the symbols that are looked up after its own.
    beside: Vec<(Table, Self)>,
    notes: Vec<DebugNote>,
}

impl Image {
    /// Reads the headers of a file.
    ///
    /// # Errors
    /// [`ElfError`] says what the file is instead.
    pub fn open(file: File) -> Result<Self, ElfError> {
        let file_bytes = file.metadata()?.len();
        let layout = header::read(&file, file_bytes)?;
        Ok(Self { file, file_bytes, layout, beside: Vec::new(), notes: Vec::new() })
    }

    /// The GNU build-id in lower-case hex.
    #[must_use]
    pub fn build_id(&self) -> Option<&str> {
        self.layout.build_id.as_deref()
    }

    /// What it is loaded as.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.layout.kind
    }

    /// Path of the dynamic loader; `None` for a static program and for most libraries.
    #[must_use]
    pub fn interpreter(&self) -> Option<&str> {
        self.layout.interpreter.as_deref()
    }

    /// The library's own name (`DT_SONAME`).
    #[must_use]
    pub fn soname(&self) -> Option<&str> {
        self.layout.dynamic.soname.as_deref()
    }

    /// Names of the libraries that it asks for (`DT_NEEDED`), in its order.
    #[must_use]
    pub fn needed(&self) -> &[String] {
        &self.layout.dynamic.needed
    }

    /// The parts that are loaded, in the file's order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.layout.segments
    }

    /// Where the byte of an address lies in the file; `None` if it is not from the file.
    #[must_use]
    pub fn vaddr_to_file_offset(&self, address: ElfVaddr) -> Option<FileOffset> {
        self.segments().iter().find_map(|s| {
            let distance = address.0.checked_sub(s.address.0)?;
            (distance < s.file_bytes).then(|| s.offset.0.checked_add(distance).map(FileOffset))?
        })
    }

    /// The address of a byte of the file; `None` if it is not loaded.
    #[must_use]
    pub fn file_offset_to_vaddr(&self, offset: FileOffset) -> Option<ElfVaddr> {
        self.segments().iter().find_map(|s| {
            let distance = offset.0.checked_sub(s.offset.0)?;
            (distance < s.file_bytes).then(|| s.address.0.checked_add(distance).map(ElfVaddr))?
        })
    }

    /// Whether an address is in a segment with the right to execute.
    #[must_use]
    pub fn is_executable(&self, address: ElfVaddr) -> bool {
        self.segments()
            .iter()
            .any(|s| s.executable && address.0.checked_sub(s.address.0).is_some_and(|d| d < s.memory_bytes))
    }

    /// Up to `len` bytes; fewer where the file ends, [`MAX_READ_BYTES`] is reached or a read fails.
    #[must_use]
    pub fn read_at(&self, offset: FileOffset, len: u64) -> Vec<u8> {
        read_at(&self.file, self.file_bytes, offset, len)
    }

    /// The bytes of a range of addresses, fewer where the segment's bytes in the file end.
    #[must_use]
    pub fn read_vaddr(&self, range: Range<ElfVaddr>) -> Vec<u8> {
        let holds = |s: &&Segment| range.start.0.checked_sub(s.address.0).is_some_and(|d| d < s.file_bytes);
        let Some(segment) = self.segments().iter().find(holds) else { return Vec::new() };
        let distance = range.start.0 - segment.address.0;
        let len = range.end.0.saturating_sub(range.start.0).min(segment.file_bytes - distance);
        let Some(offset) = segment.offset.0.checked_add(distance) else { return Vec::new() };
        self.read_at(FileOffset(offset), len)
    }

    /// Address and whole contents of a section; `None` if there is none, it has no bytes in the file, or it
    /// does not fit into the file or [`MAX_READ_BYTES`].
    #[must_use]
    pub fn section_data(&self, name: &str) -> Option<(ElfVaddr, Vec<u8>)> {
        let section = self.layout.sections.iter().find(|s| s.name == name)?;
        Some((section.address, self.contents(section)?))
    }

    /// Address and size of a section.
    #[must_use]
    pub fn section_range(&self, name: &str) -> Option<Range<ElfVaddr>> {
        let section = self.layout.sections.iter().find(|s| s.name == name)?;
        let end = section.address.0.checked_add(section.size_bytes)?;
        Some(section.address..ElfVaddr(end))
    }

    /// Where the program headers say that the sorted index of the frame descriptions is (`PT_GNU_EH_FRAME`): what an
    /// object without section headers is unwound by.
    #[must_use]
    pub fn frame_index_range(&self) -> Option<Range<ElfVaddr>> {
        self.layout.frame_index.clone()
    }

    pub(crate) fn sections(&self) -> &[Section] {
        &self.layout.sections
    }

    /// Whether a section has bytes, all of them in the file.
    fn holds(&self, section: &Section) -> bool {
        let end = section.offset.0.checked_add(section.size_bytes);
        section.kind != header::NOBITS && end.is_some_and(|end| end <= self.file_bytes)
    }

    /// The whole section; `None` as for [`Self::section_data`].
    pub(crate) fn contents(&self, section: &Section) -> Option<Vec<u8>> {
        if !self.holds(section) || section.size_bytes > MAX_READ_BYTES {
            return None;
        }
        let data = self.read_at(section.offset, section.size_bytes);
        (data.len() as u64 == section.size_bytes).then_some(data)
    }
}

/// Up to `len` bytes at an offset, bounded by the length of the file.
fn read_at(file: &File, file_bytes: u64, offset: FileOffset, len: u64) -> Vec<u8> {
    let len = len.min(file_bytes.saturating_sub(offset.0)).min(MAX_READ_BYTES);
    let mut data = vec![0; usize::try_from(len).unwrap_or(0)];
    let mut filled = 0;
    while filled < data.len() {
        match file.read_at(&mut data[filled..], offset.0 + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    data.truncate(filled);
    data
}

#[cfg(test)]
mod tests;
