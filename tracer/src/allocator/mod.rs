//! Which memory allocator an object brings along, and where its functions are.
//!
//! One object is looked at, not a process: a program that brings its own `malloc` usually still maps libc,
//! whose `malloc` is then dead code. The caller sees all objects and decides.

mod glibc;
mod other;
pub mod signature;

use std::collections::BTreeMap;

use crate::elf::{Image, Kind, Symbol, Table};
use crate::units::ElfVaddr;

pub use signature::{Role, Signature, TailJump};

/// What an object has to do with allocation.
#[derive(Clone, Debug, PartialEq)]
pub enum Detection {
    /// An allocator that can be traced.
    Supported(Allocator),
    /// An allocator that cannot be traced yet.
    Other(Other),
    /// Nothing.
    Absent,
}

/// An allocator that can be traced.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocator {
    /// `glibc`.
    pub name: &'static str,
    /// Path of its file, as the target sees it.
    pub object: String,
    /// Its version, if the object says it.
    pub version: Option<String>,
    /// Before each function name.
    pub prefix: &'static str,
    /// One per address, in the order of [`signature::SIGNATURES`].
    pub functions: Vec<Function>,
}

/// One function of an allocator.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// How it is called and what it does; its name is the one that it is counted under.
    pub signature: &'static Signature,
    /// Other names of the same address: by the signatures' order, then by name.
    pub aliases: Vec<String>,
    /// Its first instruction.
    pub entry: ElfVaddr,
    /// Its size, 0 if no table says it.
    pub size_bytes: u64,
    /// The address is that of a resolver, not of the function (`STT_GNU_IFUNC`).
    pub is_indirect: bool,
}

/// An allocator that cannot be traced yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// A guess: `jemalloc`, `tcmalloc`, …, or `unknown`.
    pub name: &'static str,
    /// Path of its file, as the target sees it.
    pub object: String,
    /// The symbol or name that the guess is made from.
    pub evidence: String,
    /// It defines `malloc` and `free` themselves, so that libc's may be dead code. Else it lives beside them.
    pub replaces_malloc: bool,
}

/// Looks for an allocator in an object; `object` is its path, as the target sees it.
#[must_use]
pub fn detect(image: &Image, object: &str) -> Detection {
    // The dynamic loader of older glibc exports a malloc that only it uses, until libc is loaded.
    if image.soname().is_some_and(|name| name.starts_with("ld-linux")) {
        return Detection::Absent;
    }
    let names: Vec<&str> = signature::names()
        .chain(glibc::MARKERS)
        .chain(other::MARKERS.iter().map(|&(name, _)| name))
        .collect();
    let mut found = image.functions_named(&names);
    // A function that only its own file can call is not the process's, unless the file is the process:
    // glibc's malloc itself is local in a static program at an address that the kernel picks.
    let is_static = image.interpreter().is_none() && matches!(image.kind(), Kind::Fixed | Kind::Pie);
    found.retain(|s| !s.is_local || is_static || signature::of(&s.name).is_none());
    let has = |name: &str| found.iter().any(|s| s.name == name);
    if !has("malloc") || !has("free") {
        return other::beside_malloc(&found, object).map_or(Detection::Absent, Detection::Other);
    }
    if glibc::is_glibc(&found) {
        return Detection::Supported(Allocator {
            name: glibc::NAME,
            object: object.to_owned(),
            version: glibc::version(image),
            prefix: "",
            functions: functions(image, &found),
        });
    }
    Detection::Other(other::instead_of_malloc(image, &found, object))
}

/// One entry per address of the functions in [`signature::SIGNATURES`].
fn functions(image: &Image, found: &[Symbol]) -> Vec<Function> {
    let mut by_address: BTreeMap<ElfVaddr, &'static Signature> = BTreeMap::new();
    for signature in &signature::SIGNATURES {
        if let Some(symbol) = preferred(found, signature.name) {
            // The signatures stand in the order of preference: the first name of an address keeps it.
            by_address.entry(symbol.address).or_insert(signature);
        }
    }
    let addresses: Vec<ElfVaddr> = by_address.keys().copied().collect();
    let named = image.functions_at(&addresses);
    let mut functions: Vec<Function> = by_address
        .into_iter()
        .map(|(entry, signature)| {
            let here = || named.iter().filter(|s| s.address == entry);
            Function {
                signature,
                aliases: aliases(here(), signature.name),
                entry,
                size_bytes: here().map(|s| s.size_bytes).max().unwrap_or(0),
                is_indirect: here().any(|s| s.is_indirect),
            }
        })
        .collect();
    functions.sort_by_key(|f| signature::rank(f.signature.name));
    functions
}

/// What others call under this name: `.dynsym` before `.symtab`, the default version before old ones.
fn preferred<'a>(found: &'a [Symbol], name: &str) -> Option<&'a Symbol> {
    found
        .iter()
        .filter(|s| s.name == name)
        .min_by_key(|s| (s.is_local, s.table == Table::Static, !s.is_default_version))
}

fn aliases<'a>(symbols: impl Iterator<Item = &'a Symbol>, primary: &str) -> Vec<String> {
    let mut names: Vec<String> = symbols.map(|s| s.name.clone()).filter(|name| name != primary).collect();
    names.sort_by(|a, b| (signature::rank(a), a).cmp(&(signature::rank(b), b)));
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
