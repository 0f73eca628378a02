//! Which memory allocators an object brings along, and where their functions are.
//!
//! One object is looked at, not a process: a program that brings its own `malloc` usually still maps libc,
//! whose `malloc` is then hardly called. All of them are probed, and each call is counted where it is made.

mod family;
mod glibc;
pub mod signature;

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{Image, Kind, Symbol, Table};
use crate::units::ElfVaddr;

pub use signature::{Role, Signature, TailJump};

/// What is looked for beside the usual names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Before the names of an allocator's functions: the user's word.
    pub prefix: Option<String>,
    /// The object is looked at with care: the program itself, or one that the user named. Its private functions too
    /// may be an allocator with a prefix.
    pub thoroughly: bool,
}

/// An allocator.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocator {
    /// `glibc`, `jemalloc`, …, or `unknown`.
    pub name: &'static str,
    /// Path of its file, as the target sees it.
    pub object: String,
    /// Its version, if the object says it.
    pub version: Option<String>,
    /// Before each function name.
    pub prefix: String,
    /// One per address, in the order of [`signature::SIGNATURES`].
    pub functions: Vec<Function>,
}

/// One function of an allocator.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// How it is called and what it does.
    pub signature: &'static Signature,
    /// The name that it is counted under, prefix included.
    pub name: String,
    /// Other names of the same address: by the signatures' order, then by name.
    pub aliases: Vec<String>,
    /// Its first instruction.
    pub entry: ElfVaddr,
    /// Its size, 0 if no table says it.
    pub size_bytes: u64,
    /// The address is that of a resolver, not of the function (`STT_GNU_IFUNC`).
    pub is_indirect: bool,
    /// The table that its name is from.
    pub table: Table,
}

impl Allocator {
    /// Whether it is one that has its memory from the kernel, and never from another allocator.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.name != family::UNKNOWN
    }

    /// Whether the arguments of its functions tell when they jump to another one ([`TailJump`]).
    #[must_use]
    pub fn tells_jumps(&self) -> bool {
        self.name == glibc::NAME
    }
}

/// Looks for allocators in an object; `object` is its path, as the target sees it.
///
/// An allocator has at least `malloc` and `free`; one with a prefix at least a function that allocates and one that frees,
/// for linkers leave out what a program does not call. Sets of functions that
/// share an address are one allocator: mimalloc's `malloc` is its `mi_malloc`.
#[must_use]
pub fn detect(image: &Image, object: &str, wanted: &Wanted) -> Vec<Allocator> {
    // The dynamic loader of older glibc exports a malloc that only it uses, until libc is loaded.
    if image.soname().is_some_and(|name| name.starts_with("ld-linux")) {
        return Vec::new();
    }
    let prefixes = prefixes(image, wanted);
    let found = candidates(image, &prefixes, wanted);
    let mut allocators: Vec<Allocator> = Vec::new();
    for prefix in &prefixes {
        let has = |name: &str| found.iter().any(|s| s.name == name);
        if prefix.is_empty() && !(has("malloc") && has("free")) {
            continue;
        }
        let functions = functions(image, &found, prefix);
        let does = |role| functions.iter().any(|function| function.signature.role == role);
        if !does(Role::Allocates) || !does(Role::Frees) {
            continue;
        }
        let entries: BTreeSet<ElfVaddr> = functions.iter().map(|f| f.entry).collect();
        let shares = |other: &&mut Allocator| other.functions.iter().any(|f| entries.contains(&f.entry));
        if let Some(same) = allocators.iter_mut().find(shares) {
            let known: BTreeSet<ElfVaddr> = same.functions.iter().map(|f| f.entry).collect();
            same.functions.extend(functions.into_iter().filter(|f| !known.contains(&f.entry)));
            continue;
        }
        let name = family::name(image, object, prefix, &found);
        allocators.push(Allocator {
            name,
            object: object.to_owned(),
            version: family::version(image, name),
            prefix: prefix.clone(),
            functions,
        });
    }
    allocators
}

/// The prefixes to look for: none first.
fn prefixes(image: &Image, wanted: &Wanted) -> Vec<String> {
    let mut prefixes: Vec<String> = vec![String::new()];
    prefixes.extend(wanted.prefix.clone());
    prefixes.extend(family::PREFIXES.iter().map(|(prefix, _)| (*prefix).to_owned()));
    if wanted.thoroughly {
        // Only jemalloc has this function, under whatever prefix it was built with.
        let own = image.functions_where(|name| name.ends_with("mallocx"));
        prefixes.extend(own.iter().filter_map(|s| s.name.strip_suffix("mallocx")).map(str::to_owned));
    }
    let mut seen = BTreeSet::new();
    prefixes.retain(|prefix| seen.insert(prefix.clone()));
    prefixes
}

/// Every function whose name says something.
fn candidates(image: &Image, prefixes: &[String], wanted: &Wanted) -> Vec<Symbol> {
    let own: Vec<String> = prefixes
        .iter()
        .flat_map(|prefix| {
            let markers = family::MARKERS.iter().map(|&(name, _)| name);
            signature::names().chain(markers).map(move |name| format!("{prefix}{name}"))
        })
        .collect();
    let names: Vec<&str> = own
        .iter()
        .map(String::as_str)
        .chain(glibc::MARKERS)
        .chain(glibc::OTHER_NAMES.iter().map(|(_, name)| *name))
        .collect();
    let mut found = image.functions_named(&names);
    // A function that only its own file can call is not the process's, unless the file is the process: glibc's malloc
    // itself is local in a static program at an address that the kernel picks. With a prefix it is meant to be private.
    let is_static = image.interpreter().is_none() && matches!(image.kind(), Kind::Fixed | Kind::Pie);
    let is_public = |s: &Symbol| !s.is_local || is_static || signature::of(&s.name).is_none();
    found.retain(|s| is_public(s) || wanted.prefix.as_deref() == Some(""));
    found
}

/// One entry per address of the functions in [`signature::SIGNATURES`] with this prefix.
fn functions(image: &Image, found: &[Symbol], prefix: &str) -> Vec<Function> {
    let mut by_address: BTreeMap<ElfVaddr, (&'static Signature, &Symbol)> = BTreeMap::new();
    for signature in &signature::SIGNATURES {
        let name = format!("{prefix}{}", signature.name);
        let other = || glibc::other_name(signature.name).filter(|_| prefix.is_empty());
        let symbol = preferred(found, &name).or_else(|| preferred(found, other()?));
        if let Some(symbol) = symbol {
            // The signatures stand in the order of preference: the first name of an address keeps it.
            by_address.entry(symbol.address).or_insert((signature, symbol));
        }
    }
    let addresses: Vec<ElfVaddr> = by_address.keys().copied().collect();
    if addresses.is_empty() {
        return Vec::new();
    }
    let named = image.functions_at(&addresses);
    let mut functions: Vec<Function> = by_address
        .into_iter()
        .map(|(entry, (signature, symbol))| {
            let here = || named.iter().filter(|s| s.address == entry);
            Function {
                signature,
                name: format!("{prefix}{}", signature.name),
                aliases: aliases(here(), &format!("{prefix}{}", signature.name)),
                entry,
                size_bytes: here().map(|s| s.size_bytes).max().unwrap_or(0),
                is_indirect: here().any(|s| s.is_indirect),
                table: symbol.table,
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
        .min_by_key(|s| (s.is_local, s.table != Table::Dynamic, !s.is_default_version))
}

fn aliases<'a>(symbols: impl Iterator<Item = &'a Symbol>, primary: &str) -> Vec<String> {
    let mut names: Vec<String> = symbols.map(|s| s.name.clone()).filter(|name| name != primary).collect();
    names.sort_by(|a, b| (signature::rank(a), a).cmp(&(signature::rank(b), b)));
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
