//! Which allocator a set of functions belongs to, and which version: names for the reader. Nothing is traced or left
//! out because of them.

use crate::allocator::glibc;
use crate::elf::{Image, Symbol};
use crate::units::ElfVaddr;

/// A function that only one allocator has, without its prefix, and that allocator.
pub(super) const MARKERS: [(&str, &str); 15] = [
    ("mallctl", "jemalloc"),
    ("mallocx", "jemalloc"),
    ("tc_malloc", "tcmalloc"),
    ("TCMallocInternalMalloc", "tcmalloc"),
    ("mi_malloc", "mimalloc"),
    ("__asan_init", "AddressSanitizer"),
    ("__tsan_init", "ThreadSanitizer"),
    ("__msan_init", "MemorySanitizer"),
    ("__lsan_init", "LeakSanitizer"),
    ("__hwasan_init", "HWAddressSanitizer"),
    ("__scudo_print_stats", "scudo"),
    ("rpmalloc", "rpmalloc"),
    ("xxmalloc", "hoard"),
    ("__libc_malloc_impl", "musl"),
    ("__malloc_donate", "musl"),
];

/// Prefixes that are looked for in every object, and whose they are.
pub(super) const PREFIXES: [(&str, &str); 4] =
    [("je_", "jemalloc"), ("_rjem_", "jemalloc"), ("mi_", "mimalloc"), ("tc_", "tcmalloc")];

/// Of an allocator that nobody knows.
pub(super) const UNKNOWN: &str = "unknown";

/// Constants that are searched for jemalloc's version: 0.2 MB in the library, more in programs that have it inside.
const MAX_SCAN_BYTES: u64 = 8 << 20;
/// jemalloc's own sources end the version with this and the commit.
const AFTER_VERSION: &[u8] = b"-0-g";

/// The allocator's name: by its prefix, by functions that only it has, by the file's name.
pub(super) fn name(image: &Image, object: &str, prefix: &str, found: &[Symbol]) -> &'static str {
    if let Some(&(_, name)) = PREFIXES.iter().find(|(known, _)| *known == prefix) {
        return name;
    }
    if prefix.is_empty() && glibc::is_glibc(found) {
        return glibc::NAME;
    }
    let has = |marker: &str| found.iter().any(|s| s.name.strip_prefix(prefix) == Some(marker));
    if let Some(&(_, name)) = MARKERS.iter().find(|(marker, _)| has(marker)) {
        return name;
    }
    // A stripped musl keeps no function that is only its own.
    let is_musl = |name: &str| name.contains("musl");
    if prefix.is_empty() && (image.soname().is_some_and(is_musl) || is_musl(object)) {
        "musl"
    } else {
        UNKNOWN
    }
}

/// Its version, where the object says it.
pub(super) fn version(image: &Image, name: &str) -> Option<String> {
    match name {
        glibc::NAME => glibc::version(image),
        "jemalloc" => {
            let range = image.section_range(".rodata")?;
            let end = ElfVaddr(range.end.0.min(range.start.0.saturating_add(MAX_SCAN_BYTES)));
            jemalloc_version(&image.read_vaddr(range.start..end))
        }
        _ => None,
    }
}

/// `5.3.0`, from `5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c`.
fn jemalloc_version(data: &[u8]) -> Option<String> {
    let ends = data.windows(AFTER_VERSION.len()).enumerate().filter(|(_, window)| *window == AFTER_VERSION);
    ends.map(|(at, _)| &data[..at]).find_map(|before| {
        let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let start = before.iter().rposition(|byte| !is_part(byte)).map_or(0, |at| at + 1);
        let version = std::str::from_utf8(&before[start..]).ok()?;
        (version.split('.').count() == 3 && !version.split('.').any(str::is_empty))
            .then(|| version.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a version is three numbers before a commit.
    #[test]
    fn jemalloc_says_its_version() {
        let check = |text: &[u8], expect: Option<&str>| {
            assert_eq!(jemalloc_version(text).as_deref(), expect, "{}", text.escape_ascii());
        };
        check(b"\0<jemalloc>\x005.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c\0", Some("5.3.0"));
        check(b"x-0-g1 \x005.2.1-0-gea6b3e973b477b8061e0076bb257dbd7f3faa756", Some("5.2.1"));
        check(b"5.3.0-54-g1", None);
        check(b"..-0-g", None);
        check(b"", None);
    }
}
