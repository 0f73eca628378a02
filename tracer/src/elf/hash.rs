//! Exact names in `.dynsym` by its `.gnu.hash`, as the loader finds them: some reads of some bytes, however large the
//! object is.
//!
//! Format: <https://sourceware.org/legacy-ml/binutils/2006-06/msg00418.html>

use super::dynamic::word;
use super::symbols::{SYMBOL_BYTES, VERSION_HIDDEN, name_at};
use super::{Image, Symbol, Table};
use crate::units::ElfVaddr;

/// Bytes of the four numbers before the filter.
const HEADER_BYTES: u64 = 16;
/// Most bytes of filter and buckets: those of the largest libraries take 2 MB.
const MAX_INDEX_BYTES: u64 = 16 << 20;
/// Most symbols of one bucket: linkers aim at some four.
const MAX_CHAIN: u64 = 1 << 12;
/// Hashes of a chain that are read at once.
const CHAIN_AT_ONCE: u64 = 16;

/// The parts of a `.gnu.hash` that every question needs.
struct Index {
    filter: Vec<u8>,
    filter_shift: u32,
    buckets: Vec<u8>,
    /// Number of the first symbol that has a hash.
    first_symbol: u64,
    /// Hashes, one per symbol from the first on.
    chains: ElfVaddr,
}

impl Image {
    /// The defined functions of `.dynsym` with these names; `None` if the object has no such index.
    pub(super) fn hashed_functions(&self, names: &[&str]) -> Option<Vec<Symbol>> {
        let dynamic = &self.layout.dynamic;
        let (symbols, strings) = (dynamic.symbols?, dynamic.strings?.address);
        let index = self.index(dynamic.gnu_hash?)?;
        let mut found = Vec::new();
        for name in names {
            for number in self.candidates(&index, hash(name.as_bytes())) {
                let at = |from: ElfVaddr, bytes: u64, of: u64| {
                    let start = from.0.checked_add(number.checked_mul(of)?)?;
                    Some(self.read_vaddr(ElfVaddr(start)..ElfVaddr(start.checked_add(bytes)?)))
                };
                let size = SYMBOL_BYTES as u64;
                let Some(entry) = at(symbols, size, size).and_then(|bytes| super::symbols::function(&bytes))
                else {
                    continue;
                };
                let start = strings.0.saturating_add(entry.name as u64);
                let text =
                    self.read_vaddr(ElfVaddr(start)..ElfVaddr(start.saturating_add(name.len() as u64 + 1)));
                if name_at(&text, 0, name.len()) != Some(name.as_bytes()) {
                    continue;
                }
                let version = dynamic.versions.and_then(|versions| at(versions, 2, 2)).unwrap_or_default();
                let is_old = version.len() == 2 && word(&version) & u64::from(VERSION_HIDDEN) != 0;
                found.push(entry.named((*name).to_owned(), Table::Dynamic, !is_old));
            }
        }
        Some(found)
    }

    fn index(&self, at: ElfVaddr) -> Option<Index> {
        let read = |start: u64, bytes: u64| {
            let data = self.read_vaddr(ElfVaddr(start)..ElfVaddr(start.checked_add(bytes)?));
            (data.len() as u64 == bytes).then_some(data)
        };
        let header = read(at.0, HEADER_BYTES)?;
        let number = |index: usize| word(&header[index * 4..index * 4 + 4]);
        let (buckets, first_symbol, words, shift) = (number(0), number(1), number(2), number(3));
        let (filter_bytes, bucket_bytes) = (words * 8, buckets * 4);
        if buckets == 0 || !words.is_power_of_two() || filter_bytes + bucket_bytes > MAX_INDEX_BYTES {
            return None;
        }
        let filter_at = at.0.checked_add(HEADER_BYTES)?;
        let mut filter = read(filter_at, filter_bytes + bucket_bytes)?;
        let buckets = filter.split_off(filter_bytes as usize);
        Some(Index {
            filter,
            filter_shift: u32::try_from(shift).ok().filter(|&shift| shift < u32::BITS)?,
            buckets,
            first_symbol,
            chains: ElfVaddr(filter_at.checked_add(filter_bytes + bucket_bytes)?),
        })
    }

    /// Numbers of the symbols whose names have this hash.
    fn candidates(&self, index: &Index, hash: u32) -> Vec<u64> {
        let mut found = Vec::new();
        let Some(start) = index.first_of(hash).and_then(|first| first.checked_sub(index.first_symbol)) else {
            return found;
        };
        let mut done = 0;
        while done < MAX_CHAIN {
            let Some(at) = index.chains.0.checked_add((start + done) * 4) else { return found };
            let hashes = self.read_vaddr(ElfVaddr(at)..ElfVaddr(at.saturating_add(CHAIN_AT_ONCE * 4)));
            for bytes in hashes.chunks_exact(4) {
                let here = word(bytes) as u32;
                // The lowest bit says that the chain ends.
                if here | 1 == hash | 1 {
                    found.push(index.first_symbol + start + done);
                }
                if here & 1 == 1 {
                    return found;
                }
                done += 1;
            }
            if hashes.len() < 4 {
                return found;
            }
        }
        found
    }
}

impl Index {
    /// The first symbol of the bucket, unless the filter knows that the name is not there.
    fn first_of(&self, hash: u32) -> Option<u64> {
        let words = self.filter.len() / 8;
        let at = (hash as usize / 64) % words * 8;
        let bits = word(&self.filter[at..at + 8]);
        let has = |hash: u32| bits >> (hash % 64) & 1 == 1;
        if !has(hash) || !has(hash >> self.filter_shift) {
            return None;
        }
        let at = hash as usize % (self.buckets.len() / 4) * 4;
        Some(word(&self.buckets[at..at + 4])).filter(|&first| first != 0)
    }
}

/// The hash of GNU's tables: D. J. Bernstein's, times 33 from 5381.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::testing::real_libc;

    /// Check that the index gives exactly what a pass over the whole table gives, for every function of libc.
    #[test]
    fn the_index_is_only_faster() {
        let Some(path) = real_libc() else { return };
        let image = Image::open(std::fs::File::open(path).expect("it is mapped")).expect("it runs");
        let mut all: Vec<_> =
            image.functions_where(|_| true).into_iter().filter(|s| s.table == Table::Dynamic).collect();
        let mut names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() > 1000, "{}", names.len());
        let mut found = image.hashed_functions(&names).expect("libc has .gnu.hash");
        let key = |s: &Symbol| (s.name.clone(), s.address, s.is_default_version);
        found.sort_by_key(key);
        all.sort_by_key(key);
        assert_eq!(found, all);
        assert_eq!(image.hashed_functions(&["no_such_function", ""]), Some(Vec::new()));
    }

    /// Check the hash with the values of the format's description.
    #[test]
    fn the_hash_is_that_of_the_format() {
        let check = |name: &str, expect| assert_eq!(hash(name.as_bytes()), expect, "{name}");
        check("", 0x0000_1505);
        check("printf", 0x156b_2bb8);
        check("exit", 0x7c96_7e3f);
        check("syscall", 0xbac2_12a0);
    }
}
