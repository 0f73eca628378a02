//! `.go.buildinfo`: which Go has built a program (`debug/buildinfo/buildinfo.go`, format of Go 1.18 and later).

use crate::elf::{Image, Segment};
use crate::go::lines::words::varint;
use crate::go::version::GoVersion;
use crate::units::ElfVaddr;

use super::scan;

const SECTION: &str = ".go.buildinfo";
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The first eight of it.
const START: [u8; 8] = *b"\xff Go bui";
/// Where the flags are, what of them says that the texts follow, and where they begin.
const FLAGS_AT: usize = 15;
const HAS_TEXTS: u8 = 2;
const TEXTS_AT: usize = 32;
/// Longest version: `devel …` with a date and experiments.
const MAX_VERSION_BYTES: u64 = 512;

/// What the build information says; `None` where it is not there or that of Go 1.17 and older.
pub(super) fn version(image: &Image) -> Option<GoVersion> {
    if let Some(section) = image.section_range(SECTION) {
        return at(image, section.start);
    }
    let is_data = |segment: &Segment| segment.writable;
    let found = scan::words(image, is_data, &[u64::from_le_bytes(START)]);
    found.into_iter().find_map(|(place, _)| at(image, place))
}

fn at(image: &Image, place: ElfVaddr) -> Option<GoVersion> {
    let end = place.0.checked_add(TEXTS_AT as u64 + MAX_VERSION_BYTES)?;
    parse(&image.read_vaddr(place..ElfVaddr(end)))
}

fn parse(data: &[u8]) -> Option<GoVersion> {
    if !data.starts_with(MAGIC) || data.get(FLAGS_AT)? & HAS_TEXTS == 0 {
        return None;
    }
    let texts = data.get(TEXTS_AT..)?;
    let (length, bytes) = varint(texts)?;
    let text = texts.get(bytes..bytes.checked_add(usize::try_from(length).ok()?)?)?;
    Some(GoVersion::parse(std::str::from_utf8(text).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_first_text() {
        let info = |flags: u8, texts: &[u8]| {
            let mut data = MAGIC.to_vec();
            data.extend([8, flags]);
            data.resize(TEXTS_AT, 0);
            data.extend(texts);
            data
        };
        let check = |data: &[u8], expect| {
            assert_eq!(parse(data).map(|version| version.to_string()).as_deref(), expect, "{data:02x?}");
        };
        check(&info(2, b"\x08go1.19.8\x02xx"), Some("go1.19.8"));
        check(&info(0, b"\x08go1.19.8"), None);
        check(&info(2, b"\x09go1.19.8"), None);
        check(&info(2, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01go1.19.8"), None);
        check(&info(2, b"\x02\xff\xff"), None);
        check(&info(2, b""), None);
        check(b"\xff Go", None);
    }
}
