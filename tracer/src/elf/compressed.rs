//! Sections that are stored compressed (`SHF_COMPRESSED`): zlib only, since that is what linkers write unless told
//! otherwise. What a header claims is no bound for what its stream becomes: the caller's limit is.

use std::io::{Read, Take};

use flate2::read::ZlibDecoder;
use object::elf;

use super::Image;
use super::dynamic::word;
use crate::units::ElfVaddr;

/// Bytes of an `Elf64_Chdr`.
const HEADER_BYTES: usize = 24;

/// Why a section has no contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// It does not fit into the file, or it is larger than the limit.
    #[error("it does not fit into the file, or it is larger than tracer's limit for it")]
    Size,
    /// Compressed by something else than zlib, or broken.
    #[error("it cannot be decompressed: only zlib can be read")]
    Compressed,
}

/// What a compressed section holds, at most as much as its header says; `None` if that is not zlib's.
pub(super) fn plain(data: &[u8]) -> Option<Take<ZlibDecoder<&[u8]>>> {
    let (header, data) = data.split_at_checked(HEADER_BYTES)?;
    let is_zlib = word(&header[..4]) == u64::from(elf::ELFCOMPRESS_ZLIB.0);
    is_zlib.then(|| ZlibDecoder::new(data).take(word(&header[8..16])))
}

impl Image {
    /// Address and whole contents of a section, decompressed, of at most `limit` bytes; `None` if there is none.
    ///
    /// # Errors
    /// [`SectionError`] says why what is there cannot be read.
    pub fn plain_section_data(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<(ElfVaddr, Vec<u8>)>, SectionError> {
        let Some(section) = self.sections().iter().find(|s| s.name == name) else { return Ok(None) };
        if section.size_bytes > limit {
            return Err(SectionError::Size);
        }
        let data = self.contents(section).ok_or(SectionError::Size)?;
        if !section.is_compressed {
            return Ok(Some((section.address, data)));
        }
        let mut plain_data = Vec::new();
        let reader = plain(&data).ok_or(SectionError::Compressed)?;
        reader.take(limit + 1).read_to_end(&mut plain_data).map_err(|_| SectionError::Compressed)?;
        if plain_data.len() as u64 > limit {
            return Err(SectionError::Size);
        }
        Ok(Some((section.address, plain_data)))
    }
}
