//! Detection on real and on made-up objects.

use super::{Allocator, Wanted, detect};
use crate::elf::Image;
use crate::elf::testing::{Builder, Defined, TEXT, file_of, real_libc};

fn library(names: &[(&'static str, u64)]) -> Image {
    let dynamic = names.iter().map(|&(name, at)| Defined { name, at, size: 16, is_local: false }).collect();
    let built = Builder { code: vec![0x90; 256], dynamic, ..Builder::default() };
    Image::open(file_of(&built.build())).expect("the file is valid")
}

fn found(image: &Image, path: &str) -> Vec<Allocator> {
    detect(image, path, &Wanted::default())
}

/// Check that allocators get their names by what they define, also where they imitate glibc's names.
#[test]
fn allocators_are_told_apart() {
    let check = |names: &[(&'static str, u64)], path: &str, expect: &[(&str, &str)]| {
        let found = found(&library(names), path);
        let found: Vec<_> = found.iter().map(|one| (one.name, one.prefix.as_str())).collect();
        assert_eq!(found, expect, "{names:?}");
    };
    let own = [("malloc", 0), ("free", 16)];
    let with = |more: &[(&'static str, u64)]| [own.as_slice(), more].concat();
    check(&with(&[("__libc_malloc", 0), ("malloc_info", 32)]), "/libc.so.6", &[("glibc", "")]);
    check(&with(&[("__libc_malloc", 0), ("mallctl", 32)]), "/libjemalloc.so.2", &[("jemalloc", "")]);
    check(&with(&[("__libc_malloc", 0), ("tc_malloc", 0)]), "/libtcmalloc.so", &[("tcmalloc", "")]);
    check(&with(&[("__asan_init", 32)]), "/libasan.so.8", &[("AddressSanitizer", "")]);
    check(&own, "/lib/ld-musl-x86_64.so.1", &[("musl", "")]);
    check(&own, "/opt/program", &[("unknown", "")]);
    check(&[("_rjem_malloc", 0), ("_rjem_free", 16)], "/opt/program", &[("jemalloc", "_rjem_")]);
    check(&[("je_mallocx", 0), ("je_dallocx", 16)], "/opt/program", &[("jemalloc", "je_")]);
    check(&[("_rjem_malloc", 0)], "/opt/program", &[]);
    check(&[("__asan_init", 0)], "/opt/program", &[]);
    check(&[("malloc", 0)], "/opt/program", &[]);
    check(&[], "/opt/program", &[]);
    // Two of them beside each other, and one under two prefixes.
    let both = with(&[("_rjem_malloc", 32), ("_rjem_free", 48)]);
    check(&both, "/opt/program", &[("unknown", ""), ("jemalloc", "_rjem_")]);
    let same = with(&[("mi_malloc", 0), ("mi_free", 16), ("mi_zalloc", 32)]);
    check(&same, "/libmimalloc.so.2", &[("mimalloc", "")]);
}

/// Check that any prefix is found in an object that is looked at with care, and that the user's word is taken.
#[test]
fn prefixes_are_found() {
    let check = |names: &[(&'static str, u64)], wanted: Wanted, expect: &[&str]| {
        let found = detect(&library(names), "/opt/program", &wanted);
        let found: Vec<_> = found.iter().map(|one| one.prefix.as_str()).collect();
        assert_eq!(found, expect, "{names:?} {wanted:?}");
    };
    let foo = [("foo_malloc", 0), ("foo_free", 16), ("foo_mallocx", 32)];
    check(&foo, Wanted::default(), &[]);
    check(&foo, Wanted { thoroughly: true, prefix: None }, &["foo_"]);
    check(&foo[..2], Wanted { thoroughly: true, prefix: None }, &[]);
    check(&foo[..2], Wanted { thoroughly: true, prefix: Some("foo_".to_owned()) }, &["foo_"]);
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
    let found = found(&image, "/libc.so.6");
    let found: Vec<_> = found[0].functions.iter().map(|f| (f.signature.name, f.aliases.join(" "))).collect();
    let expect =
        [("malloc", "__libc_malloc"), ("aligned_alloc", "memalign __libc_memalign"), ("free", "cfree")];
    assert_eq!(found, expect.map(|(name, aliases)| (name, aliases.to_owned())));
}

/// Check that glibc's functions are found by the names that are left when the weak ones are cut off.
#[test]
fn glibc_is_found_whole_without_its_weak_names() {
    let names = [
        ("malloc", 0),
        ("__libc_malloc", 0),
        ("__libc_mallopt", 16),
        ("__libc_calloc", 32),
        ("realloc", 48),
        ("__posix_memalign", 64),
        ("__libc_memalign", 80),
        ("__libc_free", 96),
        ("free", 96),
    ];
    let found = found(&library(&names), "/opt/program");
    let functions: Vec<_> = found[0].functions.iter().map(|f| (f.name.as_str(), f.entry.0 - TEXT)).collect();
    let expect = [("malloc", 0), ("calloc", 32), ("realloc", 48), ("posix_memalign", 64), ("memalign", 80)];
    assert_eq!(functions, [&expect[..], &[("free", 96)]].concat());
    assert_eq!(found[0].functions[1].aliases, ["__libc_calloc"]);
}

/// Check that a function which only its own file can call does not make an allocator, unless it has a prefix.
#[test]
fn a_local_malloc_is_not_the_process_s() {
    let local = |name, at| Defined { name, at, size: 16, is_local: true };
    let check = |names: [&'static str; 2], expect: usize| {
        let fixed = vec![local(names[0], 0), local(names[1], 16)];
        let built = Builder { code: vec![0x90; 64], fixed, ..Builder::default() };
        let image = Image::open(file_of(&built.build())).expect("the file is valid");
        assert_eq!(found(&image, "/opt/program").len(), expect, "{names:?}");
    };
    check(["malloc", "free"], 0);
    check(["_rjem_malloc", "_rjem_free"], 1);
}

/// Check that the C library of this test is found with all its functions and its version.
#[test]
fn the_real_libc_is_detected() {
    let Some(path) = real_libc() else { return };
    let image = Image::open(std::fs::File::open(&path).expect("it is mapped")).expect("it runs");
    let [glibc] = &found(&image, &path)[..] else { panic!("{path} is glibc") };
    assert_eq!(glibc.name, "glibc");
    assert!(glibc.version.as_ref().is_some_and(|version| version.starts_with("2.")));
    assert!(glibc.functions.len() >= 8, "{:?}", glibc.functions);
    assert!(glibc.functions.iter().all(|f| f.size_bytes > 0 && !f.is_indirect));
    assert!(glibc.functions[0].aliases.contains(&"__libc_malloc".to_owned()));
}
