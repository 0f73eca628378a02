//! Detection on real and on made-up objects.

use super::{Detection, detect};
use crate::elf::Image;
use crate::elf::testing::{Builder, Defined, file_of, real_libc};

fn library(names: &[(&'static str, u64)]) -> Image {
    let dynamic = names.iter().map(|&(name, at)| Defined { name, at, size: 16, is_local: false }).collect();
    let built = Builder { code: vec![0x90; 256], dynamic, ..Builder::default() };
    Image::open(file_of(&built.build())).expect("the file is valid")
}

/// Check that each allocator is told from glibc by what it defines, also where it imitates glibc's names.
#[test]
fn allocators_are_told_apart() {
    let check = |names: &[(&'static str, u64)], path: &str, expect: Option<(&str, bool)>| match detect(
        &library(names),
        path,
    ) {
        Detection::Other(other) => assert_eq!(Some((other.name, other.replaces_malloc)), expect, "{names:?}"),
        Detection::Supported(glibc) => assert_eq!(Some((glibc.name, true)), expect, "{names:?}"),
        Detection::Absent => assert_eq!(None, expect, "{names:?}"),
    };
    let own = [("malloc", 0), ("free", 16)];
    let with = |more: &[(&'static str, u64)]| [own.as_slice(), more].concat();
    check(&with(&[("__libc_malloc", 0), ("malloc_info", 32)]), "/libc.so.6", Some(("glibc", true)));
    check(&with(&[("__libc_malloc", 0), ("mallctl", 32)]), "/libjemalloc.so.2", Some(("jemalloc", true)));
    check(&with(&[("__libc_malloc", 0), ("tc_malloc", 0)]), "/libtcmalloc.so", Some(("tcmalloc", true)));
    check(&with(&[("__libc_malloc", 0), ("mi_malloc", 0)]), "/libmimalloc.so", Some(("mimalloc", true)));
    check(&with(&[("__asan_init", 32)]), "/libasan.so.8", Some(("AddressSanitizer", true)));
    check(&own, "/lib/ld-musl-x86_64.so.1", Some(("musl", true)));
    check(&own, "/opt/program", Some(("unknown", true)));
    check(&[("_rjem_malloc", 0)], "/opt/program", Some(("jemalloc", false)));
    check(&[("__asan_init", 0)], "/opt/program", None);
    check(&[("malloc", 0)], "/opt/program", None);
    check(&[], "/opt/program", None);
}

/// Check that one address is one function, under the contract's first name, with the others as aliases.
#[test]
fn aliases_share_one_function() {
    let image = library(&[
        ("memalign", 64),
        ("__libc_memalign", 64),
        ("cfree", 16),
        ("aligned_alloc", 64),
        ("free", 16),
        ("__libc_malloc", 0),
        ("malloc", 0),
        ("malloc_info", 96),
    ]);
    let Detection::Supported(glibc) = detect(&image, "/libc.so.6") else {
        panic!("it has glibc's functions")
    };
    let found: Vec<_> = glibc.functions.iter().map(|f| (f.signature.name, f.aliases.join(" "))).collect();
    let expect =
        [("malloc", "__libc_malloc"), ("aligned_alloc", "memalign __libc_memalign"), ("free", "cfree")];
    assert_eq!(found, expect.map(|(name, aliases)| (name, aliases.to_owned())));
}

/// Check that a function which only its own file can call does not make an allocator.
#[test]
fn a_local_malloc_is_not_the_process_s() {
    let local = |name, at| Defined { name, at, size: 16, is_local: true };
    let fixed = vec![local("malloc", 0), local("free", 16)];
    let built = Builder { code: vec![0x90; 64], fixed, ..Builder::default() };
    let image = Image::open(file_of(&built.build())).expect("the file is valid");
    assert_eq!(detect(&image, "/opt/program"), Detection::Absent);
}

/// Check that the C library of this test is found with all its functions and its version.
#[test]
fn the_real_libc_is_detected() {
    let Some(path) = real_libc() else { return };
    let image = Image::open(std::fs::File::open(&path).expect("it is mapped")).expect("it runs");
    let Detection::Supported(glibc) = detect(&image, &path) else { panic!("{path} is glibc") };
    assert_eq!(glibc.name, "glibc");
    assert!(glibc.version.is_some_and(|version| version.starts_with("2.")));
    assert!(glibc.functions.len() >= 8, "{:?}", glibc.functions);
    assert!(glibc.functions.iter().all(|f| f.size_bytes > 0 && !f.is_indirect));
    assert!(glibc.functions[0].aliases.contains(&"__libc_malloc".to_owned()));
}
