//! `.gnu_debuglink`: the name of the debug file, and the checksum of its contents.
//!
//! Format: <https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html>

use crate::elf::Image;
use crate::units::FileOffset;

const SECTION: &str = ".gnu_debuglink";
/// Longest name of a file (`NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;
/// Most bytes of the section: such a name and a checksum, and room for what a linker may add.
const MAX_SECTION_BYTES: u64 = 1024;
/// Most bytes of a file that are read for its checksum; larger ones have a build-id.
const MAX_CHECKED_BYTES: u64 = 256 << 20;
/// Bytes of the file in memory at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// What the section says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// A plain file name: no folder, and not `..`.
    pub(super) name: String,
    checksum: u32,
}

impl Link {
    pub(super) fn of(image: &Image) -> Option<Self> {
        let section = image.sections().iter().find(|s| s.name == SECTION)?;
        if section.size_bytes > MAX_SECTION_BYTES {
            return None;
        }
        Self::parse(&image.contents(section)?)
    }

    fn parse(data: &[u8]) -> Option<Self> {
        let end = data.iter().position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(&data[..end]).ok()?;
        let is_plain = !matches!(name, "" | "." | "..") && !name.contains('/') && end <= MAX_NAME_BYTES;
        let checksum = data.get((end + 1).next_multiple_of(4)..)?.first_chunk()?;
        is_plain.then(|| Self { name: name.to_owned(), checksum: u32::from_le_bytes(*checksum) })
    }

    /// Whether a file is the one that was linked.
    pub(super) fn check(&self, file: &Image) -> Result<(), String> {
        if file.file_bytes > MAX_CHECKED_BYTES {
            return Err(format!(
                "it has no build-id and more than {MAX_CHECKED_BYTES} bytes: too many to check"
            ));
        }
        let mut hasher = crc32fast::Hasher::new();
        for at in (0..file.file_bytes).step_by(CHUNK_BYTES as usize) {
            hasher.update(&file.read_at(FileOffset(at), CHUNK_BYTES));
        }
        let (has, wanted) = (hasher.finalize(), self.checksum);
        if has == wanted {
            return Ok(());
        }
        Err(format!(
            "it belongs to another build: its checksum is {has:08x}, the object asks for {wanted:08x}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that only a plain name with a checksum is a link.
    #[test]
    fn only_a_plain_name_is_a_link() {
        let check = |data: &[u8], expect: Option<(&str, u32)>| {
            let link = Link::parse(data);
            let expect = expect.map(|(name, checksum)| Link { name: name.to_owned(), checksum });
            assert_eq!(link, expect, "{data:02x?}");
        };
        check(b"a.debug\0\x01\x02\x03\x04", Some(("a.debug", 0x0403_0201)));
        check(b"ab\0\0\x01\0\0\0", Some(("ab", 1)));
        check(b"abc\0\x01\0\0\0trailing", Some(("abc", 1)));
        check(b"abc\0\x01\0\0", None);
        check(b"abc", None);
        check(b"", None);
        check(b"\0\0\0\0\x01\0\0\0", None);
        check(b".\0\0\0\x01\0\0\0", None);
        check(b"..\0\0\x01\0\0\0", None);
        check(b"../../etc/passwd\0\0\0\0\x01\0\0\0", None);
        check(b"/etc/passwd\0\x01\0\0\0", None);
        check(b"\xff\xfe\0\0\x01\0\0\0", None);
        check(&[b"n".repeat(300), vec![0; 8]].concat(), None);
    }
}
