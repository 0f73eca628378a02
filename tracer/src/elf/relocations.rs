//! Which slots of the global offset table the loader fills with the address of which function, and which words of the
//! data with addresses of the object itself.
//!
//! From the dynamic section, as the loader reads it: section headers may be gone or lie.

use std::collections::BTreeMap;
use std::ops::Range;

use object::elf;

use super::Image;
use super::dynamic::{Place, word};
use super::symbols::{MAX_NAME_BYTES, SYMBOL_BYTES, name_at};
use crate::units::ElfVaddr;

/// Bytes of an `Elf64_Rela`.
const RELOCATION_BYTES: usize = 24;
/// Most bytes of relocations that are looked at: the largest browsers have 30 MB of them.
const MAX_RELOCATION_BYTES: u64 = 64 << 20;
/// Most bytes of names: those of the same browsers take 5 MB.
const MAX_STRING_BYTES: u64 = 64 << 20;

impl Image {
    /// The slots through which this object calls functions by name, its own exported ones among them: address
    /// of the slot → name without its version.
    ///
    /// From `R_X86_64_JUMP_SLOT` (the PLT's) and `R_X86_64_GLOB_DAT` (of `-fno-plt` and of pointers to
    /// functions) relocations. Empty for a static program, and where the tables contradict the file.
    #[must_use]
    pub fn imported_slots(&self) -> BTreeMap<ElfVaddr, String> {
        let slots = self.slots();
        let Some(last) = slots.iter().map(|slot| slot.1).max() else { return BTreeMap::new() };
        let Some((symbols, strings)) = self.dynamic_symbols(last) else { return BTreeMap::new() };
        let named = |(slot, symbol): (ElfVaddr, usize)| {
            let at = symbol * SYMBOL_BYTES;
            let entry = symbols.get(at..at + SYMBOL_BYTES)?;
            let name = name_at(&strings, usize::try_from(word(&entry[..4])).ok()?, MAX_NAME_BYTES)?;
            (!name.is_empty()).then(|| (slot, String::from_utf8_lossy(name).into_owned()))
        };
        slots.into_iter().filter_map(named).collect()
    }

    /// The words that the loader fills with an address of this object, moved as the object is (`R_X86_64_RELATIVE`): where
    /// each is, and the address as the file states it, of those that are wanted. What stands there in the file is often 0.
    #[must_use]
    pub fn relative_pointers(
        &self,
        is_wanted: impl Fn(ElfVaddr, ElfVaddr) -> bool,
    ) -> Vec<(ElfVaddr, ElfVaddr)> {
        let mut found = Vec::new();
        for table in &self.layout.dynamic.relocations {
            let data = self.read_vaddr(range(table.address, table.size_bytes.min(MAX_RELOCATION_BYTES)));
            let pointers = data.chunks_exact(RELOCATION_BYTES).filter_map(|relocation| {
                let is_relative = word(&relocation[8..12]) == u64::from(elf::R_X86_64_RELATIVE.0);
                let pointer = (ElfVaddr(word(&relocation[..8])), ElfVaddr(word(&relocation[16..])));
                (is_relative && is_wanted(pointer.0, pointer.1)).then_some(pointer)
            });
            found.extend(pointers);
        }
        found
    }

    /// Address and symbol number of each.
    fn slots(&self) -> Vec<(ElfVaddr, usize)> {
        let mut slots = Vec::new();
        for table in &self.layout.dynamic.relocations {
            let data = self.read_vaddr(range(table.address, table.size_bytes.min(MAX_RELOCATION_BYTES)));
            for relocation in data.chunks_exact(RELOCATION_BYTES) {
                let (address, info) = (word(&relocation[..8]), word(&relocation[8..16]));
                let kind = info as u32;
                let symbol = (info >> 32) as usize;
                if (kind == elf::R_X86_64_JUMP_SLOT.0 || kind == elf::R_X86_64_GLOB_DAT.0) && symbol > 0 {
                    slots.push((ElfVaddr(address), symbol));
                }
            }
        }
        slots
    }

    /// The dynamic symbols up to one, and their names.
    fn dynamic_symbols(&self, last: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let Place { address, size_bytes } = self.layout.dynamic.strings?;
        let strings = self.read_vaddr(range(address, size_bytes.min(MAX_STRING_BYTES)));
        let bytes = (last as u64 + 1).checked_mul(SYMBOL_BYTES as u64)?;
        Some((self.read_vaddr(range(self.layout.dynamic.symbols?, bytes)), strings))
    }
}

fn range(start: ElfVaddr, bytes: u64) -> Range<ElfVaddr> {
    start..ElfVaddr(start.0.saturating_add(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::testing::real_libc;

    /// Check that the slots of a real program are found, and lie where the loader writes.
    #[test]
    fn the_slots_of_this_program_have_names() {
        let program = std::fs::File::open("/proc/self/exe").expect("it runs");
        let image = Image::open(program).expect("it runs");
        let slots = image.imported_slots();
        for name in ["malloc", "free"] {
            assert!(slots.values().any(|slot| slot == name), "{name} in {slots:?}");
        }
        for (slot, name) in &slots {
            let segment = image
                .segments()
                .iter()
                .find(|s| slot.0.checked_sub(s.address.0).is_some_and(|distance| distance < s.memory_bytes));
            assert!(segment.is_some_and(|s| s.writable), "{name} at {:#x}", slot.0);
        }
    }

    /// Check that a pointer which a real program's loader relocates is one of them, and leads where the program says.
    #[test]
    fn pointers_to_an_object_itself_lead_into_it() {
        let image = Image::open(std::fs::File::open("/proc/self/exe").expect("it runs")).expect("it runs");
        let is_inside = |at: ElfVaddr| {
            image
                .segments()
                .iter()
                .any(|s| at.0.checked_sub(s.address.0).is_some_and(|d| d <= s.memory_bytes))
        };
        let all = image.relative_pointers(|_, _| true);
        assert!(!all.is_empty(), "this program is position independent and has tables of functions");
        for &(place, target) in &all {
            assert!(is_inside(place) && is_inside(target), "{place} -> {target}");
        }
        let (place, target) = all[all.len() / 2];
        assert_eq!(image.relative_pointers(|at, _| at == place), [(place, target)]);
        assert!(image.relative_pointers(|_, to| to == target).contains(&(place, target)));
    }

    /// Check that libc's calls of its own malloc, which a preloaded one replaces, are among them.
    #[test]
    fn the_real_libc_calls_malloc_through_a_slot() {
        let Some(path) = real_libc() else { return };
        let image = Image::open(std::fs::File::open(path).expect("it is mapped")).expect("it runs");
        let slots = image.imported_slots();
        assert!(slots.values().any(|name| name == "__tls_get_addr" || name == "malloc"), "{slots:?}");
        assert!(slots.values().all(|name| !name.contains('@')), "no versions");
    }
}
