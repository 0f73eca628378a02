//! The dynamic section: what the loader is told, and so what is there in every stripped object.

use super::Segment;
use crate::units::{ElfVaddr, FileOffset};

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_PLTRELSZ: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_PLTREL: u64 = 20;
const DT_JMPREL: u64 = 23;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_VERSYM: u64 = 0x6fff_fff0;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_1_PIE: u64 = 0x0800_0000;

/// A table somewhere in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: ElfVaddr,
    pub(super) size_bytes: u64,
}

/// What the dynamic section says; nothing if there is none.
#[derive(Debug, Default)]
pub(super) struct Dynamic {
    /// The file says that it is a program.
    pub(super) is_pie: bool,
    pub(super) soname: Option<String>,
    pub(super) needed: Vec<String>,
    /// Where the dynamic symbols begin; their number is not said.
    pub(super) symbols: Option<ElfVaddr>,
    pub(super) strings: Option<Place>,
    /// Two bytes per symbol.
    pub(super) versions: Option<ElfVaddr>,
    pub(super) gnu_hash: Option<ElfVaddr>,
    /// Relocations with addends: those of data, then those of the PLT.
    pub(super) relocations: Vec<Place>,
}

impl Dynamic {
    /// Takes the section apart; `name` reads a name at an offset of the file.
    pub(super) fn read(
        data: &[u8],
        segments: &[Segment],
        name: impl Fn(FileOffset) -> Option<String>,
    ) -> Self {
        let entries: Vec<(u64, u64)> = data
            .chunks_exact(16)
            .map(|entry| (word(&entry[..8]), word(&entry[8..])))
            .take_while(|&(tag, _)| tag != DT_NULL)
            .collect();
        let value = |wanted| entries.iter().find(|&&(tag, _)| tag == wanted).map(|&(_, value)| value);
        let place = |at, size| Some(Place { address: ElfVaddr(value(at)?), size_bytes: value(size)? });
        let strings = value(DT_STRTAB).and_then(|address| {
            let segment = segments.iter().find(|s| address.wrapping_sub(s.address.0) < s.file_bytes)?;
            segment.offset.0.checked_add(address - segment.address.0)
        });
        let text = |at: u64| name(FileOffset(strings?.checked_add(at)?));
        // x86-64 has addends in both tables; a PLT table of the other kind is not one of this machine.
        let plt = place(DT_JMPREL, DT_PLTRELSZ).filter(|_| value(DT_PLTREL) == Some(DT_RELA));
        Self {
            is_pie: value(DT_FLAGS_1).is_some_and(|flags| flags & DF_1_PIE != 0),
            soname: value(DT_SONAME).and_then(text),
            needed: entries.iter().filter(|e| e.0 == DT_NEEDED).filter_map(|e| text(e.1)).collect(),
            symbols: value(DT_SYMTAB).map(ElfVaddr),
            strings: place(DT_STRTAB, DT_STRSZ),
            versions: value(DT_VERSYM).map(ElfVaddr),
            gnu_hash: value(DT_GNU_HASH).map(ElfVaddr),
            relocations: place(DT_RELA, DT_RELASZ).into_iter().chain(plt).collect(),
        }
    }
}

/// A little-endian number.
pub(super) fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}
