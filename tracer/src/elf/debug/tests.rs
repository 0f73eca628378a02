//! Debug files in every place, and every kind that must not be used.

use std::fs;
use std::io::Write as _;

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::*;
use crate::elf::testing::{BuildId, Builder, Defined, file_of};

const OBJECT: &str = "/opt/app/server";
const BY_ID: &str = "usr/lib/debug/.build-id/de/adbeef.debug";

/// An object without `.symtab`, as `strip` leaves it.
fn stripped(build_id: BuildId, extra: Vec<(&'static str, Vec<u8>)>) -> Image {
    let dynamic = vec![Defined { name: "exported", at: 0, size: 4, is_local: false }];
    let builder =
        Builder { code: vec![0x90; 32], dynamic, extra, build_id, is_stripped: true, ..Builder::default() };
    Image::open(file_of(&builder.build())).expect("the file is valid")
}

/// Its debug file.
fn debug_file(build_id: BuildId) -> Vec<u8> {
    let fixed = vec![Defined { name: "hidden", at: 8, size: 4, is_local: true }];
    Builder { code: vec![0x90; 32], fixed, build_id, ..Builder::default() }.build()
}

fn link_to(name: &str, contents: &[u8]) -> (&'static str, Vec<u8>) {
    let mut data = [name.as_bytes(), &[0]].concat();
    data.resize(data.len().next_multiple_of(4), 0);
    data.extend(crc32fast::hash(contents).to_le_bytes());
    (".gnu_debuglink", data)
}

fn root_with(path: &str, contents: &[u8]) -> TempDir {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join(path);
    fs::create_dir_all(path.parent().expect("in a folder")).expect("our directory");
    fs::write(path, contents).expect("our directory");
    root
}

fn finder(roots: &[&TempDir]) -> DebugFinder {
    DebugFinder::new(roots.iter().map(|root| Arc::new(Root::at(root.path()).expect("a directory"))))
}

fn sources(image: &Image) -> Vec<Table> {
    image.functions_named(&["hidden"]).into_iter().map(|symbol| symbol.table).collect()
}

#[test]
fn a_debug_file_is_found_in_every_place() {
    let check = |build_id: BuildId, place: &str| {
        let contents = debug_file(build_id);
        let root = root_with(place, &contents);
        let object = stripped(build_id, vec![link_to("server.debug", &contents)]);
        assert!(sources(&object).is_empty() && object.is_stripped());
        let object = object.with_debug(&finder(&[&root]), OBJECT);
        assert_eq!(sources(&object), [Table::DebugFile], "{place}");
        let used = DebugNote::Used { table: Table::DebugFile, path: format!("/{place}") };
        assert_eq!(object.debug_notes(), [used]);
        assert_eq!(object.functions_where(|name| name.ends_with("den")).len(), 1);
    };
    check(BuildId::DeadBeef, BY_ID);
    for build_id in [BuildId::DeadBeef, BuildId::Absent] {
        check(build_id, "opt/app/server.debug");
        check(build_id, "opt/app/.debug/server.debug");
        check(build_id, "usr/lib/debug/opt/app/server.debug");
    }
}

#[test]
fn the_processs_own_root_comes_first_and_the_own_one_after_it() {
    let (good, other) = (debug_file(BuildId::DeadBeef), debug_file(BuildId::Other));
    let check = |first: &[u8], expect: usize| {
        let roots = [root_with(BY_ID, first), root_with(BY_ID, &good)];
        let found = finder(&roots.each_ref()).find(&stripped(BuildId::DeadBeef, Vec::new()), OBJECT);
        assert!(found.file.is_some());
        assert_eq!(found.notes.len(), expect, "{:?}", found.notes);
    };
    check(&good, 1);
    check(&other, 2);
}

#[test]
fn a_file_of_another_build_is_not_used_and_that_is_said() {
    let good = debug_file(BuildId::Absent);
    let check = |build_id: BuildId, place: &str, contents: &[u8], words: &str| {
        let root = root_with(place, contents);
        let object = stripped(build_id, vec![link_to("server.debug", &good)]);
        let object = object.with_debug(&finder(&[&root, &root]), OBJECT);
        assert!(sources(&object).is_empty(), "{words}");
        let notes: Vec<_> = object.debug_notes().iter().map(ToString::to_string).collect();
        assert!(notes.len() == 1 && notes[0].contains(words), "{words} in {notes:?}");
    };
    let beside = "opt/app/server.debug";
    check(BuildId::DeadBeef, BY_ID, &debug_file(BuildId::Other), "another build: its build-id is 01020304");
    check(BuildId::DeadBeef, beside, &debug_file(BuildId::Other), "another build: its build-id is 01020304");
    check(BuildId::DeadBeef, BY_ID, &[good.as_slice(), b"x"].concat(), "another build: its checksum");
    check(BuildId::Absent, beside, &debug_file(BuildId::DeadBeef), "another build: its checksum");
    check(BuildId::DeadBeef, BY_ID, b"#!/bin/sh\n", "not an ELF file");
    check(BuildId::DeadBeef, BY_ID, b"", "not an ELF file");
}

#[test]
fn a_pipe_in_the_place_of_a_debug_file_is_refused_at_once() {
    let root = root_with(BY_ID, b"");
    let place = root.path().join(BY_ID);
    fs::remove_file(&place).expect("our file");
    rustix::fs::mknodat(CWD, &place, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let found = finder(&[&root]).find(&stripped(BuildId::DeadBeef, Vec::new()), OBJECT);
    assert!(found.file.is_none());
    assert!(found.notes[0].to_string().contains("not a regular file"), "{:?}", found.notes);
}

#[test]
fn an_object_whose_link_names_itself_is_no_debug_file() {
    let link = link_to("server", b"");
    let builder = Builder { extra: vec![link], is_stripped: true, ..Builder::default() };
    let root = root_with("opt/app/server", &builder.build());
    let file = fs::File::open(root.path().join("opt/app/server")).expect("our file");
    let object = Image::open(file).expect("the file is valid").with_debug(&finder(&[&root]), OBJECT);
    assert_eq!(object.debug_notes(), []);
}

#[test]
fn nothing_is_looked_for_where_there_are_symbols_or_no_place_to_look() {
    let root = root_with(BY_ID, &debug_file(BuildId::DeadBeef));
    let whole = Image::open(file_of(&debug_file(BuildId::DeadBeef))).expect("the file is valid");
    assert_eq!(whole.with_debug(&finder(&[&root]), OBJECT).debug_notes(), []);
    let link = || vec![link_to("server.debug", b"")];
    for path in ["", "server", "[heap]", "//anon (deleted)", "/"] {
        let object = stripped(BuildId::Absent, link()).with_debug(&finder(&[&root]), path);
        assert_eq!(object.debug_notes(), [], "{path}");
    }
}

fn compressed(contents: &[u8]) -> Vec<u8> {
    let mut writer =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(6)).expect("a preset of xz");
    writer.write_all(contents).expect("memory");
    writer.finish().expect("memory")
}

#[test]
fn mini_debug_info_is_used_where_there_is_no_debug_file() {
    let data = compressed(&debug_file(BuildId::Absent));
    let object = || stripped(BuildId::DeadBeef, vec![(".gnu_debugdata", data.clone())]);
    let (empty, full) =
        (TempDir::new().expect("a directory"), root_with(BY_ID, &debug_file(BuildId::DeadBeef)));
    assert_eq!(sources(&object().with_debug(&finder(&[&empty]), OBJECT)), [Table::MiniDebugInfo]);
    assert_eq!(sources(&object().with_debug(&finder(&[&full]), OBJECT)), [Table::DebugFile]);
}

#[test]
fn mini_debug_info_that_lies_is_refused_within_its_limits() {
    let good = compressed(&debug_file(BuildId::Absent));
    let bomb = {
        let options = lzma_rust2::XzOptions::with_preset(0);
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).expect("a preset of xz");
        let zeros = vec![0; 1 << 20];
        for _ in 0..200 {
            writer.write_all(&zeros).expect("memory");
        }
        writer.finish().expect("memory")
    };
    assert!(bomb.len() < 1 << 20, "{} bytes for 200 MiB", bomb.len());
    let check = |data: &[u8], words: &str| {
        let object = stripped(BuildId::Absent, vec![(".gnu_debugdata", data.to_vec())]);
        let object = object.with_debug(&DebugFinder::default(), OBJECT);
        let notes: Vec<_> = object.debug_notes().iter().map(ToString::to_string).collect();
        assert!(notes.len() == 1 && notes[0].contains(words), "{words} in {notes:?}");
    };
    check(&bomb, "decompresses to more than");
    check(b"", "failed to decompress");
    check(b"no xz stream", "failed to decompress");
    check(&good[..good.len() / 2], "failed to decompress");
    check(&compressed(b"no ELF file"), "not an ELF file");
}

/// Check that no wrong byte of a compressed stream causes a panic or a wait.
#[test]
fn no_damage_of_a_stream_panics() {
    let mut data = compressed(&debug_file(BuildId::Absent));
    for at in 0..data.len() {
        for flip in [0x01, 0x80, 0xff] {
            data[at] ^= flip;
            let object = stripped(BuildId::Absent, vec![(".gnu_debugdata", data.clone())]);
            let _ = object.with_debug(&DebugFinder::default(), OBJECT);
            data[at] ^= flip;
        }
    }
}
