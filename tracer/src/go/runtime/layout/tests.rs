//! The table of layouts on its own; real programs are in the end-to-end tests.

use super::*;

fn version(text: &str, minor: Option<u32>) -> GoVersion {
    GoVersion { minor, text: text.to_owned() }
}

#[test]
fn every_version_of_the_table_has_all_parts() {
    for minor in table::MINORS {
        let layout = Layout::from_table(minor).expect("it is in the table");
        let parts = (layout.bucket.is_some(), layout.mstats.is_some(), layout.delta.is_some());
        assert_eq!(parts, (true, true, true), "1.{minor}");
        let controller = layout.controller;
        let fields =
            [controller.heap_marked, controller.total_alloc, controller.mapped_ready, controller.bytes];
        assert!(fields.iter().all(Option::is_some), "1.{minor}: {controller:?}");
    }
}

#[test]
fn a_version_between_two_that_are_known_has_what_is_equal_in_both() {
    let layout = Layout::from_table(20).expect("it follows from 1.19 and 1.21");
    let known = Layout::from_table(21).expect("it is in the table");
    assert_eq!(layout.bucket, known.bucket);
    assert_eq!(layout.delta, known.delta);
    assert_eq!(layout.controller.gc_percent, Some(0));
    assert_eq!(layout.controller.heap_marked, None, "1.19 and 1.21 differ there");
    assert_eq!(layout.mstats.map(|mstats| mstats.bytes), Some(None));
}

#[test]
fn a_version_that_nobody_has_seen_is_refused_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("program");
    std::fs::copy("/proc/self/exe", &path).expect("this program");
    let image = Image::open(std::fs::File::open(&path).expect("the copy")).expect("an ELF file");
    let check = |version: Option<GoVersion>, expect: &str| {
        let refused = Layout::find(&image, version.as_ref()).expect_err("nobody knows it");
        assert!(refused.starts_with(expect), "{refused}");
    };
    check(Some(version("go1.28.1", Some(28))), "go1.28.1: its layout is not known");
    check(Some(version("go1.18", Some(18))), "go1.18: its layout is not known");
    check(Some(version("devel go1.28-abc", None)), "devel go1.28-abc: its layout is not known");
    check(None, "the program does not say its version of Go");
}

#[test]
fn size_classes_grow_and_their_spans_hold_at_least_one_object() {
    assert!(CLASS_BYTES.is_sorted_by(|a, b| a < b));
    assert_eq!(CLASS_BYTES.len(), CLASS_SPAN_BYTES.len());
    assert!(CLASS_BYTES.iter().zip(CLASS_SPAN_BYTES).all(|(bytes, span)| *bytes <= span));
}
