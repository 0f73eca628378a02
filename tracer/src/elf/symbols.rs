//! Functions by name or by address, from `.dynsym`, `.symtab` and what was split off them.
//!
//! Each question is one pass over a table; no index is built, since a process asks a handful of questions.

use std::cell::LazyCell;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use object::elf;

use super::dynamic::word;
use crate::elf::{Image, Section};
use crate::units::{ElfVaddr, FileOffset};

/// Bytes of an `Elf64_Sym`.
pub(super) const SYMBOL_BYTES: usize = 24;
/// In `.gnu.version`: the version is not the one that a new program is linked with.
pub(super) const VERSION_HIDDEN: u16 = 0x8000;
/// Entries that are read at once: 3 MiB of them.
const CHUNK_BYTES: u64 = (SYMBOL_BYTES as u64) << 17;
/// Most bytes of a table: 11 million symbols, twice those of the largest browsers.
pub(super) const MAX_SYMBOLS_BYTES: u64 = 256 << 20;
/// Longest name that is read: C++ has names of many kilobytes, nobody asks for them.
pub(super) const MAX_NAME_BYTES: usize = 512;

/// The table that a symbol is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `.dynsym`: what other objects see; survives `strip`.
    Dynamic,
    /// `.symtab`: everything, unless stripped.
    Static,
    /// The `.symtab` of a separate debug file: what `strip` took.
    DebugFile,
    /// `.gnu_debugdata`: the functions of `.symtab` that `.dynsym` does not have.
    MiniDebugInfo,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dynamic => ".dynsym",
            Self::Static => ".symtab",
            Self::DebugFile => "separate debug file",
            Self::MiniDebugInfo => "mini debug info",
        })
    }
}

/// A defined function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Without its version.
    pub name: String,
    /// Its entry; of a resolver if [`Symbol::is_indirect`].
    pub address: ElfVaddr,
    /// Its size, 0 if the table does not say it.
    pub size_bytes: u64,
    /// The table.
    pub table: Table,
    /// `STT_GNU_IFUNC`: the address is that of a function that picks the function.
    pub is_indirect: bool,
    /// The version that new programs are linked with, or no version at all.
    pub is_default_version: bool,
    /// Known only inside its own file.
    pub is_local: bool,
}

/// One entry of a table whose name has not been read.
pub(super) struct Entry {
    pub(super) name: usize,
    address: ElfVaddr,
    size_bytes: u64,
    is_indirect: bool,
    is_local: bool,
    is_hidden: bool,
}

impl Image {
    /// The defined functions with one of these names, `.dynsym` first.
    #[must_use]
    pub fn functions_named(&self, names: &[&str]) -> Vec<Symbol> {
        let wanted: HashSet<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
        let is_wanted = |name: &[u8]| wanted.contains(name);
        let mut found = self.exported_functions_named(names);
        self.scan_static(&|_| true, &is_wanted, longest, &mut found);
        found
    }

    /// The defined functions of `.dynsym` with one of these names, by its hash table: cheap enough for thousands of
    /// objects.
    #[must_use]
    pub fn exported_functions_named(&self, names: &[&str]) -> Vec<Symbol> {
        self.hashed_functions(names).unwrap_or_else(|| {
            let wanted = |name: &[u8]| names.iter().any(|wanted| wanted.as_bytes() == name);
            let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
            let mut found = Vec::new();
            self.scan(Table::Dynamic, &|_| true, &wanted, longest, &mut found);
            found
        })
    }

    /// The defined functions that begin at one of these addresses, `.dynsym` first.
    #[must_use]
    pub fn functions_at(&self, addresses: &[ElfVaddr]) -> Vec<Symbol> {
        let wanted: HashSet<ElfVaddr> = addresses.iter().copied().collect();
        self.functions(|entry| wanted.contains(&entry.address), |_| true, MAX_NAME_BYTES)
    }

    /// The defined functions of all tables that begin in a range, `.dynsym` first.
    #[must_use]
    pub fn functions_between(&self, range: Range<ElfVaddr>) -> Vec<Symbol> {
        self.functions(|entry| range.contains(&entry.address), |_| true, MAX_NAME_BYTES)
    }

    /// The defined functions whose names are wanted, `.dynsym` first: every name of every table is read, so only
    /// for the few objects that are worth it. Names above 512 bytes are not asked about.
    #[must_use]
    pub fn functions_where(&self, predicate: impl Fn(&str) -> bool) -> Vec<Symbol> {
        let wanted = |name: &[u8]| std::str::from_utf8(name).is_ok_and(&predicate);
        self.functions(|_| true, wanted, MAX_NAME_BYTES)
    }

    /// The functions that other objects can call and that begin in a range.
    #[must_use]
    pub fn exported_functions_between(&self, range: Range<ElfVaddr>) -> Vec<Symbol> {
        let wanted = |entry: &Entry| !entry.is_local && !entry.is_hidden && range.contains(&entry.address);
        let mut found = Vec::new();
        self.scan(Table::Dynamic, &wanted, &|_| true, MAX_NAME_BYTES, &mut found);
        found
    }

    /// Names and addresses of the variables with one of these names, those of `.symtab` first. Only symbols that say they are
    /// data, or nothing of what they are, are looked at; a name may be there several times.
    #[must_use]
    pub fn data_named(&self, names: &[&str]) -> Vec<(String, ElfVaddr)> {
        let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
        let beside = self.beside.iter().map(|(_, image)| image);
        let mut found = Vec::new();
        for image in [self].into_iter().chain(beside) {
            let Some(section) = image.sections().iter().find(|s| s.kind == elf::SHT_SYMTAB.0) else {
                continue;
            };
            let strings = usize::try_from(section.link).ok().and_then(|link| image.sections().get(link));
            let strings = strings.and_then(|s| image.contents(s)).unwrap_or_default();
            for entry in image.entries(section).filter_map(|bytes| data(&bytes)) {
                let name = name_at(&strings, entry.name, longest);
                let wanted = names.iter().find(|wanted| name == Some(wanted.as_bytes()));
                found.extend(wanted.map(|name| ((*name).to_owned(), entry.address)));
            }
        }
        found
    }

    fn functions(
        &self,
        entry: impl Fn(&Entry) -> bool,
        name: impl Fn(&[u8]) -> bool,
        longest: usize,
    ) -> Vec<Symbol> {
        let mut found = Vec::new();
        self.scan(Table::Dynamic, &entry, &name, longest, &mut found);
        self.scan_static(&entry, &name, longest, &mut found);
        found
    }

    /// All tables but `.dynsym`.
    fn scan_static(
        &self,
        want_entry: &dyn Fn(&Entry) -> bool,
        want_name: &dyn Fn(&[u8]) -> bool,
        longest: usize,
        found: &mut Vec<Symbol>,
    ) {
        self.scan(Table::Static, want_entry, want_name, longest, found);
        for (table, image) in &self.beside {
            image.scan(*table, want_entry, want_name, longest, found);
        }
    }

    fn scan(
        &self,
        table: Table,
        want_entry: &dyn Fn(&Entry) -> bool,
        want_name: &dyn Fn(&[u8]) -> bool,
        longest: usize,
        found: &mut Vec<Symbol>,
    ) {
        let kind = if table == Table::Dynamic { elf::SHT_DYNSYM } else { elf::SHT_SYMTAB };
        let Some(section) = self.sections().iter().find(|s| s.kind == kind.0) else { return };
        let strings = usize::try_from(section.link).ok().and_then(|link| self.sections().get(link));
        // Most entries of a table are not asked for: its strings, the larger part, are read when the first one is.
        let strings = LazyCell::new(|| strings.and_then(|s| self.contents(s)).unwrap_or_default());
        let versions = LazyCell::new(|| self.versions(table).unwrap_or_default());
        for (index, bytes) in self.entries(section).enumerate() {
            let Some(entry) = function(&bytes).filter(|entry| want_entry(entry)) else { continue };
            let Some((name, version)) = split_name(&strings, entry.name, longest) else { continue };
            if !want_name(name) {
                continue;
            }
            let hidden = versions.get(index * 2..index * 2 + 2);
            let is_old = hidden.is_some_and(|v| u16::from_le_bytes([v[0], v[1]]) & VERSION_HIDDEN != 0);
            let name = String::from_utf8_lossy(name).into_owned();
            found.push(entry.named(name, table, !is_old && version != Version::Old));
        }
    }

    /// The entries of a symbol table, some thousands of them in memory at once; none if it does not fit into the
    /// file or its limit.
    fn entries(&self, section: &Section) -> impl Iterator<Item = [u8; SYMBOL_BYTES]> + '_ {
        let start = section.offset.0;
        let end = self.holds(section).then(|| start + section.size_bytes);
        let end = end.filter(|_| section.size_bytes <= MAX_SYMBOLS_BYTES).unwrap_or(start);
        let chunks = (start..end).step_by(CHUNK_BYTES as usize);
        chunks.flat_map(move |at| {
            let chunk = self.read_at(FileOffset(at), CHUNK_BYTES.min(end - at));
            chunk.as_chunks::<SYMBOL_BYTES>().0.to_vec()
        })
    }

    /// One number per symbol of `.dynsym`, empty if the object has no versions.
    fn versions(&self, table: Table) -> Option<Vec<u8>> {
        let is_versions = |s: &&Section| s.kind == elf::SHT_GNU_VERSYM.0;
        let section = self.sections().iter().find(is_versions).filter(|_| table == Table::Dynamic)?;
        self.contents(section)
    }
}

impl Entry {
    pub(super) fn named(self, name: String, table: Table, is_default_version: bool) -> Symbol {
        Symbol {
            name,
            address: self.address,
            size_bytes: self.size_bytes,
            table,
            is_indirect: self.is_indirect,
            is_default_version,
            is_local: self.is_local,
        }
    }
}

/// A table's entry, if it is a defined function.
pub(super) fn function(bytes: &[u8]) -> Option<Entry> {
    defined(bytes, &[elf::STT_FUNC.0, elf::STT_GNU_IFUNC.0])
}

/// A table's entry, if it is a defined variable.
fn data(bytes: &[u8]) -> Option<Entry> {
    defined(bytes, &[elf::STT_OBJECT.0, elf::STT_NOTYPE.0])
}

/// A table's entry, if it is defined and of such a type.
fn defined(bytes: &[u8], kinds: &[u8]) -> Option<Entry> {
    let bytes: &[u8; SYMBOL_BYTES] = bytes.try_into().ok()?;
    let word = |at: usize, len: usize| word(&bytes[at..at + len]);
    let (kind, binding) = (bytes[4] & 0xf, bytes[4] >> 4);
    let is_indirect = kind == elf::STT_GNU_IFUNC.0;
    let (section, address) = (word(6, 2), word(8, 8));
    // An undefined symbol may have an address too: that of its PLT entry in a program at a fixed address.
    if !kinds.contains(&kind) || section == u64::from(elf::SHN_UNDEF.0) || address == 0 {
        return None;
    }
    let visibility = bytes[5] & 3;
    Some(Entry {
        name: usize::try_from(word(0, 4)).ok()?,
        address: ElfVaddr(address),
        size_bytes: word(16, 8),
        is_indirect,
        is_local: binding == elf::STB_LOCAL.0,
        is_hidden: visibility == elf::STV_HIDDEN.0 || visibility == elf::STV_INTERNAL.0,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Default,
    Old,
}

/// A name without its version: `.symtab` has `free@@V` for the default version and `cfree@V` for an old one.
fn split_name(strings: &[u8], at: usize, longest: usize) -> Option<(&[u8], Version)> {
    let name = name_at(strings, at, longest)?;
    let version = strings.get(at + name.len()..)?;
    let is_old = version.first() == Some(&b'@') && version.get(1) != Some(&b'@');
    Some((name, if is_old { Version::Old } else { Version::Default }))
}

/// The name at an offset, without its version; `None` if it is longer than wanted or does not end.
pub(super) fn name_at(strings: &[u8], at: usize, longest: usize) -> Option<&[u8]> {
    let rest = strings.get(at..)?;
    let window = &rest[..rest.len().min(longest.saturating_add(1))];
    let end = window.iter().position(|&byte| byte == 0 || byte == b'@')?;
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_functions() {
        let check = |info: u8, section: u16, address: u64, expect: (bool, bool)| {
            let mut bytes = vec![1, 0, 0, 0, info, 0];
            bytes.extend(section.to_le_bytes());
            bytes.extend(address.to_le_bytes());
            bytes.extend([8, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(
                (data(&bytes).is_some(), function(&bytes).is_some()),
                expect,
                "{info} {section} {address}"
            );
        };
        check(0x01, 5, 0x1000, (true, false)); // OBJECT, local
        check(0x11, 5, 0x1000, (true, false)); // OBJECT, global
        check(0x00, 5, 0x1000, (true, false)); // NOTYPE
        check(0x02, 5, 0x1000, (false, true)); // FUNC
        check(0x1a, 5, 0x1000, (false, true)); // IFUNC
        check(0x06, 5, 0x1000, (false, false)); // TLS
        check(0x01, 0, 0x1000, (false, false)); // not defined here
        check(0x01, 5, 0, (false, false));
    }
}
