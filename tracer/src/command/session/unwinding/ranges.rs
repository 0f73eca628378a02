//! From the mappings of a process to the ranges of code that the stack walk knows.

use tracer_ebpf::abi::{CodeKind, CodeRange};
use tracer_ebpf::unwind::page::PAGE_BYTES;

use crate::elf::Segment;
use crate::target::mappings::{Backing, Mapping, Mappings};
use crate::units::FileOffset;

/// What is known of the code of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It has a table.
    Table {
        /// First block in the arena.
        block: u32,
        /// Of the table.
        generation: u16,
        /// Number of its first page: an address in the file, by 4,096.
        first_page: u64,
        /// Pages that it covers.
        pages: u64,
        /// Code outside of the table keeps frame pointers.
        has_pointers: bool,
    },
    /// It has none, and frame pointers are what is left.
    FramePointers,
    /// It has none now.
    NoTable,
}

/// The sorted ranges of a process's code.
pub(super) fn of(
    mappings: &Mappings,
    mut known: impl FnMut(&Mapping) -> (Known, Vec<Segment>),
) -> Vec<CodeRange> {
    let mut ranges = Vec::new();
    for mapping in mappings.iter() {
        // The kernel's own pages call nothing.
        if matches!(mapping.backing, Backing::Uprobes) || mapping.start >= KERNEL_ADDRESSES {
            continue;
        }
        let (known, segments) = known(mapping);
        of_mapping(mapping, &known, &segments, &mut ranges);
    }
    ranges
}

/// The kernel's half of the address space, where its vsyscall page shows.
const KERNEL_ADDRESSES: u64 = 1 << 63;

fn of_mapping(mapping: &Mapping, known: &Known, segments: &[Segment], ranges: &mut Vec<CodeRange>) {
    let plain =
        |kind: CodeKind, start, end| CodeRange { start, end, kind: kind as u8, ..CodeRange::default() };
    let Known::Table { block, generation, first_page, pages, has_pointers } = *known else {
        let kind = if *known == Known::NoTable { CodeKind::NoTable } else { CodeKind::FramePointers };
        return ranges.push(plain(kind, mapping.start, mapping.end));
    };
    let Some(address) = address_in_file(mapping, segments) else {
        return ranges.push(plain(CodeKind::FramePointers, mapping.start, mapping.end));
    };
    // Where the table's pages lie in the process; all modulo 2^64.
    let first = mapping.start.wrapping_sub(address).wrapping_add(first_page.wrapping_mul(PAGE_BYTES));
    let table_end = first.wrapping_add(pages * PAGE_BYTES);
    let is_inside = address >= first_page * PAGE_BYTES && address < (first_page + pages) * PAGE_BYTES;
    let (start, end) =
        if is_inside { (mapping.start, mapping.end.min(table_end)) } else { (mapping.start, mapping.start) };
    if end > start {
        ranges.push(CodeRange {
            start,
            end,
            first_page: first,
            table: block,
            generation,
            kind: if has_pointers { CodeKind::TableOrFramePointers } else { CodeKind::Table } as u8,
            owner: 0,
        });
    }
    if end < mapping.end {
        ranges.push(plain(CodeKind::FramePointers, end, mapping.end));
    }
}

/// The address that the file gives to a mapping's first byte.
fn address_in_file(mapping: &Mapping, segments: &[Segment]) -> Option<u64> {
    let FileOffset(offset) = FileOffset(mapping.file_offset);
    let holds = |segment: &&Segment| {
        // The loader maps whole pages.
        let first = segment.offset.0 & !(PAGE_BYTES - 1);
        segment.executable && (first..segment.offset.0.saturating_add(segment.file_bytes)).contains(&offset)
    };
    let segment = segments.iter().find(holds)?;
    Some(segment.address.0.wrapping_sub(segment.offset.0).wrapping_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ElfVaddr;

    fn mapping(start: u64, end: u64, file_offset: u64) -> Mapping {
        Mapping { start, end, file_offset, backing: Backing::Anonymous }
    }

    fn segment(address: u64, offset: u64, file_bytes: u64) -> Segment {
        Segment {
            address: ElfVaddr(address),
            offset: FileOffset(offset),
            file_bytes,
            memory_bytes: file_bytes,
            readable: true,
            writable: false,
            executable: true,
        }
    }

    #[test]
    fn a_table_is_laid_over_the_code_that_it_covers_and_over_nothing_else() {
        let table = |first_page, pages| Known::Table {
            block: 7,
            generation: 3,
            first_page,
            pages,
            has_pointers: false,
        };
        let check = |known: &Known, segments: &[Segment], expect: &[(u64, u64, u64, CodeKind)]| {
            let mut ranges = Vec::new();
            of_mapping(&mapping(0x7000_0000, 0x7000_4000, 0x1000), known, segments, &mut ranges);
            let ranges: Vec<_> = ranges.iter().map(|r| (r.start, r.end, r.first_page, r.kind)).collect();
            let expect: Vec<_> = expect.iter().map(|&(s, e, f, k)| (s, e, f, k as u8)).collect();
            assert_eq!(ranges, expect, "{known:?}");
        };
        let text = [segment(0x40_1000, 0x1000, 0x4000)];
        check(&table(0x401, 4), &text, &[(0x7000_0000, 0x7000_4000, 0x7000_0000, CodeKind::Table)]);
        check(&table(0x400, 9), &text, &[(0x7000_0000, 0x7000_4000, 0x6fff_f000, CodeKind::Table)]);
        check(
            &table(0x401, 2),
            &text,
            &[
                (0x7000_0000, 0x7000_2000, 0x7000_0000, CodeKind::Table),
                (0x7000_2000, 0x7000_4000, 0, CodeKind::FramePointers),
            ],
        );
        check(&table(0x900, 2), &text, &[(0x7000_0000, 0x7000_4000, 0, CodeKind::FramePointers)]);
        check(&Known::NoTable, &text, &[(0x7000_0000, 0x7000_4000, 0, CodeKind::NoTable)]);
        check(&Known::FramePointers, &text, &[(0x7000_0000, 0x7000_4000, 0, CodeKind::FramePointers)]);
        let elsewhere = [segment(0x40_1000, 0x9000, 0x4000)];
        check(&table(0x401, 4), &elsewhere, &[(0x7000_0000, 0x7000_4000, 0, CodeKind::FramePointers)]);
        // The segment begins in the middle of the mapping's first page.
        let uneven = [segment(0x40_1234, 0x1234, 0x4000)];
        check(&table(0x401, 4), &uneven, &[(0x7000_0000, 0x7000_4000, 0x7000_0000, CodeKind::Table)]);
    }
}
