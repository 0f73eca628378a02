//! Copies what names and lines are read from, into memory that nobody else can change.
//!
//! The reader of debug information maps a file and trusts it: a file that shrinks meanwhile would end tracer by SIGBUS,
//! links in it would lead it to any file of this machine, and compressed sections could fill the memory. The copy has
//! no links, nothing compressed, and a limit.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use object::elf;
use rustix::fs::MemfdFlags;

use super::compressed;
use super::debug::supplement::{self, SupplementLink};
use super::dynamic::word;
use super::{Image, Section};
use crate::units::FileOffset;

/// Bytes of an `Elf64_Ehdr` and an `Elf64_Shdr`.
const HEADER_BYTES: usize = 64;
const SECTION_BYTES: usize = 64;
/// Where in a section header its flags, offset and size are.
const FLAGS_AT: usize = 8;
const OFFSET_AT: usize = 24;
const SIZE_AT: usize = 32;
/// Alignment of every section in the copy.
const ALIGNMENT: u64 = 16;
/// Bytes that are copied at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// How much is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Symbol tables.
    Names,
    /// And the debug information.
    NamesAndLines,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It could not be written.
    #[error("failed to copy it: {0}")]
    Io(#[from] io::Error),
    /// The limit of all copies would be passed.
    #[error("its symbols or its debug information are larger than what is left of the limit of all objects")]
    TooLarge,
    /// There are no section headers, or they contradict the file.
    #[error("its section headers cannot be read")]
    NoSections,
    /// Compressed by something else than zlib, or broken.
    #[error("its section {0} cannot be decompressed")]
    Compressed(String),
}

/// A copy that is being written.
struct Copy<'a> {
    file: File,
    end: u64,
    budget: &'a mut u64,
}

impl Image {
    /// Whether it has debug information of its own.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        self.sections().iter().any(|s| s.name == ".debug_line" && self.holds(s))
    }

    /// An ELF file with its symbol tables, and its debug information if that is wanted; its bytes are taken off the
    /// budget. Its only link is that to the copy of its supplement, if there is one.
    ///
    /// # Errors
    /// [`CopyError`]; the budget may be less then.
    pub fn copy_symbols(
        &self,
        content: Content,
        supplement: Option<&File>,
        budget: &mut u64,
    ) -> Result<File, CopyError> {
        let start = self.read_at(FileOffset(0), HEADER_BYTES as u64);
        let mut start: [u8; HEADER_BYTES] = start.try_into().map_err(|_| CopyError::NoSections)?;
        let mut headers =
            self.read_at(FileOffset(word(&start[40..48])), (self.sections().len() * SECTION_BYTES) as u64);
        if headers.is_empty() || headers.len() != self.sections().len() * SECTION_BYTES {
            return Err(CopyError::NoSections);
        }
        let wanted = self.wanted(content, &start);
        let file =
            File::from(rustix::fs::memfd_create("symbols", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
        let mut copy = Copy { file, end: 0, budget };
        copy.append(&start)?;
        for (index, (header, section)) in
            headers.chunks_exact_mut(SECTION_BYTES).zip(self.sections()).enumerate().skip(1)
        {
            let link = supplement.filter(|_| section.name == supplement::SECTION);
            if !wanted.contains(&index) && link.is_none() {
                header.fill(0);
                continue;
            }
            let at = copy.align()?;
            if let Some(to) = link {
                copy.append(format!("/proc/self/fd/{}\0", to.as_raw_fd()).as_bytes())?;
                copy.append(&SupplementLink::of(self).map(|link| link.build_id).unwrap_or_default())?;
            } else if section.is_compressed {
                copy.decompress(self, section)?;
                let flags = word(&header[FLAGS_AT..FLAGS_AT + 8]) & !elf::SHF_COMPRESSED.0;
                header[FLAGS_AT..FLAGS_AT + 8].copy_from_slice(&flags.to_le_bytes());
            } else {
                copy.take(self, section)?;
            }
            header[OFFSET_AT..OFFSET_AT + 8].copy_from_slice(&at.to_le_bytes());
            header[SIZE_AT..SIZE_AT + 8].copy_from_slice(&(copy.end - at).to_le_bytes());
        }
        let headers_at = copy.align()?;
        copy.append(&headers)?;
        // No program headers: nobody loads it.
        start[32..40].fill(0);
        start[56..58].fill(0);
        start[40..48].copy_from_slice(&headers_at.to_le_bytes());
        std::os::unix::fs::FileExt::write_all_at(&copy.file, &start, 0)?;
        Ok(copy.file)
    }

    /// The sections that are copied, by index.
    fn wanted(&self, content: Content, start: &[u8; HEADER_BYTES]) -> BTreeSet<usize> {
        let names = match word(&start[62..64]) as usize {
            names if names == usize::from(elf::SHN_XINDEX.0) => {
                self.sections().first().map_or(0, |s| s.link as usize)
            }
            names => names,
        };
        let mut wanted = BTreeSet::from([names]);
        for (index, section) in self.sections().iter().enumerate() {
            let is_line = section.name.starts_with(".debug_") && section.name != ".debug_sup"
                // By which a supplement is known.
                || section.name == ".note.gnu.build-id";
            if section.is_table() {
                wanted.extend([index, section.link as usize]);
            } else if is_line && content == Content::NamesAndLines {
                wanted.insert(index);
            }
        }
        wanted.retain(|&index| self.sections().get(index).is_some_and(|section| self.holds(section)));
        wanted
    }
}

impl Copy<'_> {
    fn append(&mut self, data: &[u8]) -> Result<(), CopyError> {
        let bytes = data.len() as u64;
        *self.budget = self.budget.checked_sub(bytes).ok_or(CopyError::TooLarge)?;
        self.file.write_all(data)?;
        self.end += bytes;
        Ok(())
    }

    fn align(&mut self) -> Result<u64, CopyError> {
        let padding = self.end.next_multiple_of(ALIGNMENT) - self.end;
        self.append(&[0; ALIGNMENT as usize][..padding as usize])?;
        Ok(self.end)
    }

    /// As many bytes as the file still has: it may have shrunk.
    fn take(&mut self, image: &Image, section: &Section) -> Result<(), CopyError> {
        if section.size_bytes > *self.budget {
            return Err(CopyError::TooLarge);
        }
        for at in (0..section.size_bytes).step_by(CHUNK_BYTES as usize) {
            let offset = FileOffset(section.offset.0 + at);
            self.append(&image.read_at(offset, CHUNK_BYTES.min(section.size_bytes - at)))?;
        }
        Ok(())
    }

    fn decompress(&mut self, image: &Image, section: &Section) -> Result<(), CopyError> {
        let fails = || CopyError::Compressed(section.name.clone());
        let data = image.contents(section).ok_or(CopyError::TooLarge)?;
        let mut reader = compressed::plain(&data).ok_or_else(fails)?;
        let mut chunk = vec![0; CHUNK_BYTES as usize];
        loop {
            match reader.read(&mut chunk).map_err(|_| fails())? {
                0 => return Ok(()),
                filled => self.append(&chunk[..filled])?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;
    use crate::elf::testing::{Builder, Defined, file_of};

    const KIND_ZLIB: u32 = 1;
    const PLAIN: &[u8] = &[7; 100_000];

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    /// An object with links and with a compressed section whose header says `kind` and `size`.
    fn object(kind: u32, size: u64, stream: &[u8]) -> Image {
        let mut data = [kind.to_le_bytes(), [0; 4]].concat();
        data.extend([size.to_le_bytes(), 1_u64.to_le_bytes()].concat());
        data.extend(stream);
        let link = || b"elsewhere\0\0\0\x01\x02\x03\x04".to_vec();
        let extra = vec![
            (".debug_line", data),
            (".debug_str", b"text\0".to_vec()),
            (".gnu_debuglink", link()),
            (supplement::SECTION, link()),
            (".debug_sup", link()),
        ];
        let fixed = vec![Defined { name: "function", at: 0, size: 4, is_local: true }];
        let mut bytes = Builder { code: vec![0x90; 32], fixed, extra, ..Builder::default() }.build();
        let image = Image::open(file_of(&bytes)).expect("the file is valid");
        let index = image.sections().iter().position(|s| s.name == ".debug_line").expect("just built");
        let header = word(&bytes[40..48]) as usize + SECTION_BYTES * index;
        bytes[header + FLAGS_AT..header + FLAGS_AT + 8].copy_from_slice(&elf::SHF_COMPRESSED.0.to_le_bytes());
        Image::open(file_of(&bytes)).expect("the file is valid")
    }

    fn copied(image: &Image, content: Content) -> Image {
        let file = image.copy_symbols(content, None, &mut (1 << 20)).expect("it fits");
        Image::open(file).expect("the copy is an ELF file")
    }

    #[test]
    fn a_copy_has_its_symbols_and_lines_uncompressed_and_no_links() {
        let image = object(KIND_ZLIB, PLAIN.len() as u64, &zlib(PLAIN));
        let copy = copied(&image, Content::NamesAndLines);
        assert_eq!(copy.section_data(".debug_line").map(|(_, data)| data).as_deref(), Some(PLAIN));
        assert_eq!(copy.section_data(".debug_str").map(|(_, data)| data).as_deref(), Some(&b"text\0"[..]));
        assert_eq!(copy.functions_named(&["function"]), image.functions_named(&["function"]));
        let names: Vec<_> = copy.sections().iter().map(|s| s.name.as_str()).collect();
        for gone in [".gnu_debuglink", supplement::SECTION, ".debug_sup", ".text"] {
            assert!(!names.contains(&gone), "{gone} in {names:?}");
        }
        let copy = copied(&image, Content::Names);
        assert!(!copy.has_lines());
        assert_eq!(copy.functions_named(&["function"]).len(), 1);
    }

    #[test]
    fn a_copy_takes_no_more_than_its_budget_whatever_a_header_says() {
        let check = |image: &Image, expect: &str| {
            let mut budget = 1 << 20;
            let error = image.copy_symbols(Content::NamesAndLines, None, &mut budget).expect_err(expect);
            assert!(error.to_string().contains(expect), "{error}");
            image.copy_symbols(Content::Names, None, &mut budget).expect("the names fit");
        };
        let bomb = zlib(&vec![0; 64 << 20]);
        check(&object(KIND_ZLIB, 64 << 20, &bomb), "larger than what is left");
        check(&object(KIND_ZLIB, u64::MAX, &bomb), "larger than what is left");
        check(&object(2, 5, b"zstd?"), "cannot be decompressed");
        check(&object(KIND_ZLIB, 100, b"no stream"), "cannot be decompressed");
        let short = copied(&object(KIND_ZLIB, 10, &bomb), Content::NamesAndLines);
        assert_eq!(short.section_data(".debug_line").map(|(_, data)| data.len()), Some(10));
    }

    #[test]
    fn a_file_without_section_headers_has_no_copy() {
        let mut bytes = Builder::default().build();
        bytes[40..48].fill(0);
        let image = Image::open(file_of(&bytes)).expect("programs run without them");
        let copy = image.copy_symbols(Content::Names, None, &mut (1 << 20));
        assert!(matches!(copy, Err(CopyError::NoSections)), "{copy:?}");
    }
}
