//! The GNU C library's allocator: in `libc.so.6`, or linked into a static program that keeps its symbols.

use std::collections::BTreeSet;

use crate::elf::{Image, Symbol};
use crate::units::ElfVaddr;

pub(super) const NAME: &str = "glibc";

/// Beside `__libc_malloc`, which replacements define too (gperftools, jemalloc, mimalloc, musl): functions
/// that only glibc's `malloc.o` has, and that a static program therefore has if it uses this allocator.
pub(super) const MARKERS: [&str; 3] = ["__libc_malloc", "__libc_mallopt", "malloc_info"];

/// Names that glibc gives to its functions beside the weak ones that everybody knows: tables of symbols that distributions
/// cut down (mini debug info) often have only these.
pub(super) const OTHER_NAMES: [(&str, &str); 7] = [
    ("calloc", "__libc_calloc"),
    ("realloc", "__libc_realloc"),
    ("posix_memalign", "__posix_memalign"),
    ("memalign", "__libc_memalign"),
    ("valloc", "__libc_valloc"),
    ("pvalloc", "__libc_pvalloc"),
    ("free", "__libc_free"),
];

/// The other name of a function, where glibc has one.
pub(super) fn other_name(name: &str) -> Option<&'static str> {
    OTHER_NAMES.iter().find(|(known, _)| *known == name).map(|(_, other)| *other)
}

/// The banner's first words and the words before the version, and how far apart they are at most.
const BANNER: &[u8] = b"GNU C Library";
const BEFORE_VERSION: &[u8] = b"release version ";
const MAX_BANNER_BYTES: usize = 256;
/// Constants that are searched for the banner: all of libc.so.6 (0.2 MB), and of nearly all static programs.
const MAX_SCAN_BYTES: u64 = 8 << 20;

/// Whether the functions found are glibc's.
pub(super) fn is_glibc(found: &[Symbol]) -> bool {
    let addresses = |name: &str| -> BTreeSet<ElfVaddr> {
        found.iter().filter(|s| s.name == name).map(|s| s.address).collect()
    };
    let is_same_function = !addresses("malloc").is_disjoint(&addresses("__libc_malloc"));
    let has_siblings = MARKERS[1..].iter().any(|name| found.iter().any(|s| s.name == *name));
    is_same_function && has_siblings
}

/// `2.36`, from `GNU C Library (…) stable release version 2.36.`
pub(super) fn version(image: &Image) -> Option<String> {
    let range = image.section_range(".rodata")?;
    let end = ElfVaddr(range.end.0.min(range.start.0.saturating_add(MAX_SCAN_BYTES)));
    banner_version(&image.read_vaddr(range.start..end))
}

fn banner_version(data: &[u8]) -> Option<String> {
    let starts =
        data.iter().enumerate().filter(|&(at, &byte)| byte == b'G' && data[at..].starts_with(BANNER));
    starts.map(|(at, _)| &data[at..data.len().min(at + MAX_BANNER_BYTES)]).find_map(|banner| {
        let at = banner.windows(BEFORE_VERSION.len()).position(|window| window == BEFORE_VERSION)?;
        let rest = &banner[at + BEFORE_VERSION.len()..];
        let len = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
        let version = std::str::from_utf8(&rest[..len]).ok()?.trim_end_matches('.');
        (!version.is_empty()).then(|| version.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the version is taken from the banners of Debian, Ubuntu and a development tree.
    #[test]
    fn the_banner_names_the_version() {
        let check = |text: &[u8], expect: Option<&str>| assert_eq!(banner_version(text).as_deref(), expect);
        check(
            b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\nCopy",
            Some("2.36"),
        );
        check(b"GNU C Library (Ubuntu GLIBC 2.35-0ubuntu3.4) stable release version 2.35.\n", Some("2.35"));
        check(b"GNU C Library (GNU libc) development release version 2.42.9000.\n", Some("2.42.9000"));
        check(b"GNU C Library, then nothing. GNU C Library stable release version 2.31.\n", Some("2.31"));
        check(b"GNU C Library stable release version 2.3", None);
        check(b"GNU C Library stable release version .\n", None);
        check(b"a program about the GNU C Library\0", None);
        check(b"", None);
    }
}
