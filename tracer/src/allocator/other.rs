//! Allocators that are recognised but not traced yet, so that nobody reads libc's zeros as the truth.

use crate::allocator::Other;
use crate::elf::{Image, Symbol};

/// A function that only one allocator has, and that allocator.
pub(super) const MARKERS: [(&str, &str); 19] = [
    ("mallctl", "jemalloc"),
    ("je_mallctl", "jemalloc"),
    ("je_malloc", "jemalloc"),
    ("_rjem_mallctl", "jemalloc"),
    ("_rjem_malloc", "jemalloc"),
    ("_rjem_mallocx", "jemalloc"),
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

/// What defines `malloc` and `free` and is not traced.
pub(super) fn instead_of_malloc(image: &Image, found: &[Symbol], object: &str) -> Other {
    let is_musl = |name: &&str| name.contains("musl");
    let (name, evidence) = marker(found)
        // A stripped musl keeps no function that is only its own.
        .or_else(|| image.soname().filter(is_musl).map(|name| ("musl", name.to_owned())))
        .or_else(|| Some(object).filter(is_musl).map(|path| ("musl", path.to_owned())))
        .unwrap_or_else(|| ("unknown", "malloc and free".to_owned()));
    Other { name, object: object.to_owned(), evidence, replaces_malloc: true }
}

/// An allocator under names of its own, beside `malloc`. The sanitizers' functions alone are none.
pub(super) fn beside_malloc(found: &[Symbol], object: &str) -> Option<Other> {
    let (name, evidence) = marker(found).filter(|(_, evidence)| !evidence.ends_with("san_init"))?;
    Some(Other { name, object: object.to_owned(), evidence, replaces_malloc: false })
}

fn marker(found: &[Symbol]) -> Option<(&'static str, String)> {
    let &(marker, name) = MARKERS.iter().find(|(marker, _)| found.iter().any(|s| s.name == *marker))?;
    Some((name, marker.to_owned()))
}
