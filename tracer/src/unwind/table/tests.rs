//! Tables of real objects.

use std::fs::File;

use tracer_ebpf::unwind::{Cfa, Rule, SavedFp};

use super::*;
use crate::elf::testing::real_libc;
use crate::unwind::Extents;

fn image(path: &str) -> Option<Image> {
    let image = File::open(path).ok().and_then(|file| Image::open(file).ok());
    if image.is_none() {
        println!("there is no {path} on this machine");
    }
    image
}

fn table(image: &Image) -> UnwindTable {
    UnwindTable::build(image).expect("it is not too large").expect("it has frame descriptions")
}

#[test]
fn the_c_library_has_a_small_table_that_covers_its_functions() {
    let Some(image) = real_libc().and_then(|path| image(&path)) else { return };
    let mut table = table(&image);
    assert!(table.words().len().is_multiple_of(BLOCK_WORDS));
    assert!(table.statistics().bytes <= Bytes(128 << 10), "{:?}", table.statistics());
    for symbol in image.functions_named(&["malloc", "free", "realloc"]) {
        assert_eq!(table.row_at(symbol.address).rule(), Rule::Frame(Cfa::Sp(8), SavedFp::Same));
    }
    for function in Extents::load(&image).iter() {
        assert_ne!(table.row_at(function.start).rule(), Rule::Gap, "{function:?}");
    }
    assert_eq!(table.row_at(ElfVaddr(0)).rule(), Rule::Gap);
    assert_eq!(table.row_at(ElfVaddr(u64::MAX)).rule(), Rule::Gap);
    let before = table.clone();
    table.stamp(0xabcd);
    assert_ne!(before, table);
    let entry = PageEntry::of(block_at(table.words(), 0).expect("the index"), 0);
    assert_eq!(entry.generation, 0xabcd);
    table.stamp(0);
    assert_eq!(before, table);
}

#[test]
fn equal_files_have_one_fingerprint_and_others_another() {
    let Some(path) = real_libc() else { return };
    let fingerprint = |path: &str| {
        let source = UnwindSource::load(&image(path)?).expect("it is not too large");
        source.map(|source| source.fingerprint())
    };
    let libc = fingerprint(&path);
    assert!(libc.is_some());
    assert_eq!(libc, fingerprint(&path));
    assert_ne!(libc, fingerprint("/proc/self/exe"));
}
