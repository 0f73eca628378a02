//! Real files, and broken ones: no input makes the reader panic.

use super::testing::{Builder, Defined, TEXT, file_of, real_libc};
use super::{ElfError, Image, Kind};
use crate::units::{ElfVaddr, FileOffset};

fn small() -> Builder {
    let function = |name, at, is_local| Defined { name, at, size: 4, is_local };
    Builder {
        code: vec![0x90; 32],
        rodata: b"hello".to_vec(),
        dynamic: vec![function("malloc", 0, false), function("free", 8, false)],
        fixed: vec![
            function("cfree@OLD", 8, false),
            function("free@@NEW", 8, false),
            function("helper", 16, true),
        ],
        ..Builder::default()
    }
}

/// Check that headers, addresses and sections are read as they were written.
#[test]
fn a_small_library_is_read() {
    let image = Image::open(file_of(&small().build())).expect("the file is valid");
    assert_eq!(image.build_id(), Some("deadbeef"));
    assert_eq!(image.kind(), Kind::Shared);
    assert_eq!(image.vaddr_to_file_offset(ElfVaddr(TEXT)), Some(FileOffset(TEXT)));
    assert_eq!(image.file_offset_to_vaddr(FileOffset(TEXT)), Some(ElfVaddr(TEXT)));
    assert_eq!(image.vaddr_to_file_offset(ElfVaddr(u64::MAX)), None);
    assert!(image.is_executable(ElfVaddr(TEXT)));
    assert_eq!(image.section_data(".rodata").map(|(_, data)| data), Some(b"hello".to_vec()));
    assert_eq!(image.section_data(".none"), None);
    assert_eq!(image.read_at(FileOffset(u64::MAX), 8), b"");
    assert_eq!(image.read_vaddr(ElfVaddr(TEXT)..ElfVaddr(TEXT + 2)), [0x90, 0x90]);
}

/// Check that versions in names, local symbols and both tables come out.
#[test]
fn symbols_are_found_by_name_and_address() {
    let image = Image::open(file_of(&small().build())).expect("the file is valid");
    let names: Vec<_> = image
        .functions_named(&["free", "cfree", "helper", "absent"])
        .into_iter()
        .map(|s| (s.name, s.is_default_version, s.is_local))
        .collect();
    let expect =
        [("free", true, false), ("cfree", false, false), ("free", true, false), ("helper", true, true)];
    assert_eq!(names, expect.map(|(name, default, local)| (name.to_owned(), default, local)));
    assert_eq!(image.functions_at(&[ElfVaddr(TEXT + 8)]).len(), 3);
    assert_eq!(image.exported_functions_between(ElfVaddr(TEXT)..ElfVaddr(TEXT + 8)).len(), 1);
    assert_eq!(image.functions_between(ElfVaddr(TEXT)..ElfVaddr(TEXT + 32)).len(), 5);
    let ending: Vec<_> =
        image.functions_where(|name| name.ends_with("free")).into_iter().map(|s| s.name).collect();
    assert_eq!(ending, ["free", "cfree", "free"]);
}

/// Check that each kind of wrong file is told apart.
#[test]
fn other_files_are_refused_by_kind() {
    let good = small().build();
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let check = |bytes: &[u8], expect: fn(&ElfError) -> bool| {
        let error = Image::open(file_of(bytes)).expect_err("the file is not usable");
        assert!(expect(&error), "{error}");
    };
    check(b"", |e| matches!(e, ElfError::NotElf));
    check(b"#!/bin/sh\n", |e| matches!(e, ElfError::NotElf));
    check(b"\x7fELF", |e| matches!(e, ElfError::Corrupt(_)));
    check(&change(4, 1), |e| matches!(e, ElfError::Is32Bit));
    check(&change(18, 183), |e| matches!(e, ElfError::WrongMachine(183)));
    check(&change(5, 2), |e| matches!(e, ElfError::WrongMachine(0x3e00)));
    check(&change(6, 9), |e| matches!(e, ElfError::Corrupt(_)));
    check(&change(54, 1), |e| matches!(e, ElfError::Corrupt(_)));
    check(&change(57, 0xfe), |e| matches!(e, ElfError::Corrupt(_)));
}

fn use_everything(image: &Image) {
    let all = ElfVaddr(0)..ElfVaddr(u64::MAX);
    let _ = (image.functions_named(&["malloc", "free"]), image.functions_between(all.clone()));
    let _ =
        (image.data_named(&["x", ""]), image.exported_functions_between(all.clone()), image.read_vaddr(all));
    let _ = (image.vaddr_to_file_offset(ElfVaddr(TEXT)), image.imported_slots());
    let _ = image.functions_where(|name| name.ends_with('x'));
    for section in image.sections() {
        let _ = image.section_data(&section.name);
    }
}

/// Check that a file that ends anywhere is an error or an image, never a panic.
#[test]
fn no_truncation_panics() {
    let bytes = small().build();
    let file = file_of(&bytes);
    // The code begins on a page of its own, so most of the file is padding: only its edges differ.
    for len in (0..bytes.len()).filter(|&len| len < 256 || len + 1 >= TEXT as usize).rev() {
        file.set_len(len as u64).expect("the file is writable");
        if let Ok(image) = Image::open(file.try_clone().expect("descriptors are free")) {
            use_everything(&image);
        }
    }
}

/// Check that no single wrong byte in any header, table or name causes a panic.
#[test]
fn no_garbage_panics() {
    use std::os::unix::fs::FileExt;
    let bytes = small().build();
    let file = file_of(&bytes);
    for at in (0..bytes.len()).filter(|&at| at < 120 || at >= TEXT as usize) {
        for wrong in [0xff, 0x80, 0x00] {
            file.write_all_at(&[wrong], at as u64).expect("the file is writable");
            if let Ok(image) = Image::open(file.try_clone().expect("descriptors are free")) {
                use_everything(&image);
            }
        }
        file.write_all_at(&bytes[at..=at], at as u64).expect("the file is writable");
    }
}

/// Check that the C library's facts are read.
#[test]
fn the_real_libc_is_read() {
    let Some(path) = real_libc() else { return };
    let image = Image::open(std::fs::File::open(path).expect("it is mapped")).expect("it runs");
    assert_eq!(image.kind(), Kind::Shared);
    assert_eq!(image.soname(), Some("libc.so.6"));
    assert!(image.needed().iter().any(|name| name.starts_with("ld-linux")));
    assert!(image.interpreter().is_some());
    assert!(image.build_id().is_some_and(|id| id.len() >= 16));
    let malloc = image.functions_named(&["malloc"]);
    assert!(malloc.iter().any(|s| s.is_default_version && s.size_bytes > 0));
}
