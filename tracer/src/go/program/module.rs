//! `runtime.firstmoduledata`: what the linker tells Go's runtime of a program. Found without symbols, by the pointer to
//! its own tables that it begins with.

use std::ops::{Range, RangeInclusive};

use crate::elf::{Image, Segment};
use crate::go::lines::header::{Format, Header};
use crate::go::lines::words::u64_at;
use crate::go::version::GoVersion;
use crate::units::ElfVaddr;

use super::scan;

/// As much of it as is read: up to the last field of [`LAYOUTS`].
const BYTES: u64 = 352;
/// Offsets of fields that are the same in all versions (`moduledata` in `runtime/symtab.go`): slices have a pointer, a length
/// and a capacity.
const NAMES: usize = 8;
const UNITS: usize = 32;
const FILES: usize = 56;
const VALUES: usize = 80;
const RECORDS: usize = 104;
const INDEX: usize = 128;
const CODE: usize = 160;
const TEXT: usize = 176;
const NOPTRDATA: usize = 192;
const DATA: usize = 208;
const BSS: usize = 224;
const NOPTRBSS: usize = 240;

/// Where `gofunc`, the data of all functions, is in it: `covctrs` came before it in 1.20, `typedesclen`, `itaboffset` and
/// `itabsize` in 1.27.
const LAYOUTS: [Layout; 3] = [
    Layout { minors: 18..=19, format: Format::Go118, gofunc_at: 304 },
    Layout { minors: 20..=26, format: Format::Go120, gofunc_at: 320 },
    Layout { minors: 27..=27, format: Format::Go120, gofunc_at: 344 },
];

struct Layout {
    minors: RangeInclusive<u32>,
    format: Format,
    gofunc_at: usize,
}

/// What it says, in addresses of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Where it is itself.
    pub address: ElfVaddr,
    /// Code of Go (`text` to `etext`).
    pub text: Range<ElfVaddr>,
    /// Variables with pointers that begin with a value.
    pub data: Range<ElfVaddr>,
    /// Variables without.
    pub noptrdata: Range<ElfVaddr>,
    /// Variables with pointers that begin with zeros.
    pub bss: Range<ElfVaddr>,
    /// Variables without.
    pub noptrbss: Range<ElfVaddr>,
}

/// One that was found, with what its tables are read by.
pub(super) struct Found {
    pub(super) module: Module,
    /// From the header to the end of the last part.
    pub(super) table: Range<ElfVaddr>,
    /// Where `gofunc` may be, the likeliest first.
    pub(super) function_data: Vec<ElfVaddr>,
}

/// The module data whose tables have this header at this address.
pub(super) fn find(
    image: &Image,
    table: ElfVaddr,
    header: &Header,
    version: Option<&GoVersion>,
) -> Option<Found> {
    let is_data = |segment: &Segment| segment.writable;
    let in_place = scan::words(image, is_data, &[table.0]).into_iter().map(|(place, _)| place);
    let moved = image.relative_pointers(|_, target| target == table);
    let mut places: Vec<ElfVaddr> = in_place.chain(moved.into_iter().map(|(place, _)| place)).collect();
    places.dedup();
    places.into_iter().find_map(|place| parse(place, &read(image, place), table, header, version))
}

/// Its bytes, as they are when the loader has moved it by 0.
fn read(image: &Image, place: ElfVaddr) -> Vec<u8> {
    let range = place..ElfVaddr(place.0.saturating_add(BYTES));
    let mut data = image.read_vaddr(range.clone());
    for (at, target) in image.relative_pointers(|at, _| range.contains(&at)) {
        let distance = usize::try_from(at.0 - range.start.0).unwrap_or(usize::MAX);
        let word = distance.checked_add(8).and_then(|end| data.get_mut(distance..end));
        if let Some(word) = word {
            word.copy_from_slice(&target.0.to_le_bytes());
        }
    }
    data
}

fn parse(
    address: ElfVaddr,
    data: &[u8],
    table: ElfVaddr,
    header: &Header,
    version: Option<&GoVersion>,
) -> Option<Found> {
    let word = |at| u64_at(data, at);
    let parts = [
        (NAMES, header.names_at, 1),
        (UNITS, header.units_at, 4),
        (FILES, header.files_at, 1),
        (VALUES, header.values_at, 1),
        (RECORDS, header.functions_at, 1),
        (INDEX, header.functions_at, 8),
    ];
    let mut end = table.0;
    for (at, expected, item_bytes) in parts {
        let start = word(at)?;
        if start != table.0.checked_add(expected)? {
            return None;
        }
        end = end.max(start.checked_add(word(at + 8)?.checked_mul(item_bytes)?)?);
    }
    // With an entry after the last function.
    if word(0)? != table.0 || word(INDEX + 8)? != header.functions.checked_add(1)? {
        return None;
    }
    let range = |at| Some(ElfVaddr(word(at)?)..ElfVaddr(word(at + 8)?));
    let (text, code) = (range(TEXT)?, range(CODE)?);
    if text.start > code.start || code.start >= code.end || code.end > text.end {
        return None;
    }
    let module = Module {
        address,
        text,
        data: range(DATA)?,
        noptrdata: range(NOPTRDATA)?,
        bss: range(BSS)?,
        noptrbss: range(NOPTRBSS)?,
    };
    let function_data = gofunc_at(header.format, version).into_iter().filter_map(|at| word(at).map(ElfVaddr));
    Some(Found { module, table: table..ElfVaddr(end), function_data: function_data.collect() })
}

/// That of the version first; what is read by it is checked, so that a version that nobody has seen can be one of these too.
fn gofunc_at(format: Format, version: Option<&GoVersion>) -> Vec<usize> {
    let is_of_version = |layout: &&Layout| {
        version.and_then(|version| version.minor).is_some_and(|minor| layout.minors.contains(&minor))
    };
    let mut layouts: Vec<&Layout> = LAYOUTS.iter().filter(|layout| layout.format == format).collect();
    layouts.sort_by_key(|layout| !is_of_version(layout));
    layouts.into_iter().map(|layout| layout.gofunc_at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_the_version_is_tried_first() {
        let check = |format, text: &str, expect: &[usize]| {
            let version = GoVersion::parse(text);
            assert_eq!(gofunc_at(format, Some(&version)), expect, "{text}");
        };
        check(Format::Go118, "go1.19.8", &[304]);
        check(Format::Go120, "go1.20", &[320, 344]);
        check(Format::Go120, "go1.26.6", &[320, 344]);
        check(Format::Go120, "go1.27.3", &[344, 320]);
        check(Format::Go120, "devel go1.28-abc", &[320, 344]);
        assert_eq!(gofunc_at(Format::Go120, None), [320, 344]);
    }
}
