//! Which data a function uses: the addresses that its instructions name relative to themselves.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions};

use crate::elf::Image;
use crate::units::ElfVaddr;

/// Most bytes of code of one function; the largest that a rule names has ten kilobytes.
const MAX_CODE_BYTES: u64 = 1 << 20;
/// Sections of addresses that the dynamic linker fills in.
const LINKERS_SECTIONS: [&str; 2] = [".got", ".got.plt"];

/// The addresses in writable memory that a function reads, writes or takes; `None` if it has no code or not all of it can be
/// read.
///
/// Go's compiler names every variable relative to the instruction, whether the program is position-independent or not
/// (`cmd/internal/obj/x86`). Padding and tables between instructions may decode to addresses that are none.
pub(super) fn data_used(image: &Image, places: &[Range<ElfVaddr>]) -> Option<BTreeSet<u64>> {
    let mut used = BTreeSet::new();
    for place in places {
        let bytes = code(image, place)?;
        used.extend(named(place.start, &bytes).filter(|address| is_data(image, *address)));
    }
    (!places.is_empty()).then_some(used)
}

/// The bytes of a function.
fn code(image: &Image, place: &Range<ElfVaddr>) -> Option<Vec<u8>> {
    let len = place.end.0.checked_sub(place.start.0).filter(|len| (1..=MAX_CODE_BYTES).contains(len))?;
    let bytes = image.is_executable(place.start).then(|| image.read_vaddr(place.clone()))?;
    (bytes.len() as u64 == len).then_some(bytes)
}

/// Whether a variable can be at an address: in memory that the program may write and not execute, and not among what the
/// dynamic linker fills in, where functions of a shared object look up their thread's storage.
pub(super) fn is_data(image: &Image, address: u64) -> bool {
    let is_writable = image.segments().iter().any(|segment| {
        let distance = address.checked_sub(segment.address.0);
        segment.writable && !segment.executable && distance.is_some_and(|d| d < segment.memory_bytes)
    });
    let in_section = |name| image.section_range(name).is_some_and(|range| range.contains(&ElfVaddr(address)));
    is_writable && !LINKERS_SECTIONS.iter().any(|name| in_section(*name))
}

/// What instructions name relative to themselves, calls and jumps not included.
fn named(start: ElfVaddr, bytes: &[u8]) -> impl Iterator<Item = u64> {
    Decoder::with_ip(64, bytes, start.0, DecoderOptions::NONE)
        .into_iter()
        .filter(|instruction| !instruction.is_invalid() && instruction.is_ip_rel_memory_operand())
        .map(|instruction| instruction.ip_rel_memory_address())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_an_address_is_seen() {
        let check = |bytes: &[u8], expect: &[u64]| {
            assert_eq!(named(ElfVaddr(0x1000), bytes).collect::<Vec<_>>(), expect, "{bytes:02x?}");
        };
        check(&[0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0], &[0x2000]); // mov rax, [rip]
        check(&[0x48, 0x8d, 0x0d, 0xf9, 0x0f, 0, 0], &[0x2000]); // lea rcx, [rip]
        check(&[0x48, 0x2b, 0x05, 0xf9, 0x0f, 0, 0], &[0x2000]); // sub rax, [rip]
        check(&[0x48, 0xc7, 0x05, 0xf5, 0x0f, 0, 0, 1, 0, 0, 0], &[0x2000]); // mov qword [rip], 1
        check(&[0xf0, 0x0f, 0xb1, 0x0d, 0xf8, 0x0f, 0, 0], &[0x2000]); // lock cmpxchg [rip], ecx
        check(&[0xf2, 0x0f, 0x11, 0x05, 0xf8, 0xff, 0xff, 0xff], &[0x1000]); // movsd [rip], xmm0
        check(&[0xe8, 0xfb, 0x0f, 0, 0], &[]); // call
        check(&[0x74, 0x10], &[]); // je
        check(&[0x48, 0x8b, 0x40, 0x10], &[]); // mov rax, [rax + 0x10]
        check(&[0x06, 0x06, 0xff, 0xff], &[]); // no instructions
        check(&[0x48, 0x8b, 0x05], &[]); // half of one
    }
}
