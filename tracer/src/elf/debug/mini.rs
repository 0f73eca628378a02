//! `.gnu_debugdata`: a small ELF file with nothing but a `.symtab`, compressed with xz.
//!
//! Format: <https://sourceware.org/gdb/current/onlinedocs/gdb.html/MiniDebugInfo.html>

use std::fs::File;
use std::io::{self, Read};

use lzma_rust2::XzReader;
use rustix::fs::MemfdFlags;

use crate::elf::{ElfError, Image};

pub(super) const SECTION: &str = ".gnu_debugdata";

/// Most compressed and most decompressed bytes: those of the largest browsers take 10 and 60 MB.
const MAX_COMPRESSED_BYTES: u64 = 32 << 20;
const MAX_BYTES: u64 = 128 << 20;
/// Most KiB that a decoder may ask for: 64 MiB of dictionary are what `xz -9` takes.
const MAX_DECODER_KIB: u32 = (64 << 10) + 1024;

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MiniError {
    /// The section contradicts the file.
    #[error("it does not fit into the file, or into {MAX_COMPRESSED_BYTES} bytes")]
    Unreadable,
    /// It is no xz stream, or the decoder needs more memory than it gets.
    #[error("failed to decompress it: {0}")]
    Compression(#[from] io::Error),
    /// A few bytes that become very many.
    #[error("it decompresses to more than {MAX_BYTES} bytes")]
    TooLarge,
    /// What comes out is something else.
    #[error("what it holds is {0}")]
    NotElf(#[from] ElfError),
}

impl Image {
    /// The mini debug info, decompressed into memory that only this process has; `None` if the object has none.
    #[must_use]
    pub fn mini_debug_info(&self) -> Option<Result<Self, MiniError>> {
        let section = self.sections().iter().find(|s| s.name == SECTION)?;
        if section.size_bytes > MAX_COMPRESSED_BYTES {
            return Some(Err(MiniError::Unreadable));
        }
        let open = |data: Vec<u8>| Ok(Self::open(decompress(&data)?)?);
        Some(self.contents(section).ok_or(MiniError::Unreadable).and_then(open))
    }
}

fn decompress(data: &[u8]) -> Result<File, MiniError> {
    let mut file = File::from(
        rustix::fs::memfd_create("mini debug info", MemfdFlags::CLOEXEC).map_err(io::Error::from)?,
    );
    let reader = XzReader::new_mem_limit(data, false, MAX_DECODER_KIB);
    let written = io::copy(&mut reader.take(MAX_BYTES + 1), &mut file)?;
    if written > MAX_BYTES {
        return Err(MiniError::TooLarge);
    }
    Ok(file)
}
