//! `.gnu_debugaltlink`: the file with what the debug information of several objects has in common, as `dwz` writes it.
//!
//! Format: DWARF 5, section 7.3.6, and <https://sourceware.org/dwz/>

use std::path::{Path, PathBuf};

use super::{DebugFinder, by_build_id};
use crate::elf::Image;

pub(in crate::elf) const SECTION: &str = ".gnu_debugaltlink";
/// Longest path (`PATH_MAX`), and most bytes of a build-id.
const MAX_PATH_BYTES: usize = 4096;
const MAX_ID_BYTES: usize = 64;

/// What the section says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::elf) struct SupplementLink {
    /// Absolute, or relative to the folder of the file that the section is in.
    path: String,
    pub(in crate::elf) build_id: Vec<u8>,
}

impl SupplementLink {
    pub(in crate::elf) fn of(image: &Image) -> Option<Self> {
        let section = image.sections().iter().find(|s| s.name == SECTION)?;
        if section.size_bytes > (MAX_PATH_BYTES + MAX_ID_BYTES) as u64 {
            return None;
        }
        Self::parse(&image.contents(section)?)
    }

    fn parse(data: &[u8]) -> Option<Self> {
        let end = data.iter().position(|&byte| byte == 0).filter(|&end| end > 0)?;
        let path = std::str::from_utf8(&data[..end]).ok()?.to_owned();
        let build_id = data[end + 1..].to_vec();
        (1..=MAX_ID_BYTES).contains(&build_id.len()).then_some(Self { path, build_id })
    }
}

impl DebugFinder {
    /// The supplement of an object or debug file that its process has at `path`; `None` if it names none, or none
    /// with the build-id that it asks for is there.
    #[must_use]
    pub fn supplement(&self, of: &Image, path: &Path) -> Option<Image> {
        let link = SupplementLink::of(of)?;
        let id: String = link.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let named: PathBuf = path.parent()?.join(&link.path);
        let candidates = || by_build_id(&id).into_iter().chain([named.clone()]);
        self.0.iter().flat_map(|root| candidates().map(move |path| root.open_file(&path))).find_map(|file| {
            // A file that is something else is as good as none: the names are there without it.
            let image = Image::open(file.ok()??).ok()?;
            (image.build_id() == Some(id.as_str())).then_some(image)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a link is a path and a build-id of some bytes.
    #[test]
    fn only_a_path_and_a_build_id_are_a_link() {
        let check = |data: &[u8], expect: Option<(&str, &[u8])>| {
            let expect =
                expect.map(|(path, id)| SupplementLink { path: path.to_owned(), build_id: id.to_vec() });
            assert_eq!(SupplementLink::parse(data), expect, "{data:02x?}");
        };
        check(b"../x.debug\0\x01\x02", Some(("../x.debug", &[1, 2])));
        check(b"/x\0\xff", Some(("/x", &[0xff])));
        check(b"/x\0", None);
        check(b"/x", None);
        check(b"\0\x01", None);
        check(b"", None);
        check(b"\xff\0\x01", None);
        check(&[b"/x\0".as_slice(), &[7; 65]].concat(), None);
    }
}
