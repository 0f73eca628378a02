//! `view`: a document that `run` really wrote, in every format, and files that are none.
//!
//! The documents in `data/` are kept as they were written: a later version must still read them.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use pprof::protos::{Message, Profile};
use tracer::model::snapshot::{Snapshot, Verdict};
use tracer::view::json;

use crate::{Outcome, data, tracer};

const LIVE: &str = "small.json";
const ALLOC: &str = "small-alloc.json";

fn view(path: &Path, options: &[&str]) -> Outcome {
    tracer(["view".as_ref(), path.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref)))
}

fn saved(name: &str) -> Snapshot {
    let bytes = std::fs::read(data(name)).expect("the document is kept beside the tests");
    json::read(&mut bytes.as_slice()).expect("a document of this schema")
}

fn folded(name: &str, options: &[&str]) -> String {
    view(&data(name), &[&["--format", "folded"], options].concat()).success().to_owned()
}

/// Check that the documents are what `data/small.c` does, so that the tests below prove what they say.
#[test]
fn documents_hold_what_the_small_program_did() {
    let live = saved(LIVE);
    let totals = &live.targets[0].totals;
    assert_eq!((totals.alloc_objects, totals.alloc_bytes), (40, 20 * 4096 + 10 * 30 + 10 * 100));
    assert_eq!((totals.free_objects, totals.free_bytes), (Some(10), Some(10 * 100)));
    assert_eq!((totals.inuse_objects, totals.inuse_bytes), (Some(30), Some(20 * 4096 + 10 * 30)));
    assert_eq!((live.sites.len(), live.quality.verdict), (4, Verdict::Exact));
    let alloc = saved(ALLOC);
    assert_eq!(
        alloc.targets[0].totals.alloc_bytes, totals.alloc_bytes,
        "nothing fails, so attempts are successes"
    );
    assert_eq!(alloc.targets[0].totals.free_objects, None, "mode alloc sees no frees");
}

/// Check that the document comes out as it went in.
#[test]
fn json_of_a_document_is_the_document() {
    for name in [LIVE, ALLOC] {
        let shown = view(&data(name), &["--format", "json"]);
        let again = json::read(&mut shown.success().as_bytes()).expect("a document of this schema");
        assert_eq!(again, saved(name), "{name}");
    }
}

/// Check that the table names the program, its totals, the sites in order, and how good the numbers are.
#[test]
fn table_of_a_document_says_who_keeps_what() {
    let outcome = view(&data(LIVE), &[]);
    let mut rest = outcome.success();
    for part in [
        "mode live",
        "exact",
        "service=small",
        "small (pid ",
        "81.3 KiB",
        "80.3 KiB",
        "CALL SITES by in-use bytes",
        "40.0 KiB",
        "keep_large (",
        "main (",
        "40.0 KiB",
        "keep_large (",
        "300 B",
        "keep_small (",
        "QUALITY",
        "EXACT",
    ] {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part:?} is missing or out of order: {}", outcome.text()));
        rest = &rest[at + part.len()..];
    }
    assert!(!outcome.text().contains('\x1b'), "no colour where no terminal is");
}

/// Check that `--top` and `--view` do to a saved document what they do to a fresh one.
#[test]
fn table_of_a_document_takes_rows_and_order() {
    let outcome = view(&data(LIVE), &["--top", "1", "--view", "alloc_objects"]);
    assert!(outcome.success().contains("CALL SITES by allocations: 1 of 4"), "{}", outcome.text());
}

/// Check that stacks are root first, with the weight asked for, and that mode `alloc` weighs allocations.
#[test]
fn folded_stacks_weigh_what_is_asked_for() {
    insta::assert_snapshot!(folded(LIVE, &[]), @r"
    __libc_start_call_main;main;keep_large 81920
    __libc_start_call_main;main;keep_small 300
    ");
    insta::assert_snapshot!(folded(LIVE, &["--view", "alloc_objects"]), @r"
    __libc_start_call_main;main;borrow 10
    __libc_start_call_main;main;keep_large 20
    __libc_start_call_main;main;keep_small 10
    ");
    insta::assert_snapshot!(folded(ALLOC, &[]), @r"
    __libc_start_call_main;main;borrow 1000
    __libc_start_call_main;main;keep_large 81920
    __libc_start_call_main;main;keep_small 300
    ");
}

/// Check that the flamegraph is a whole SVG that names the functions.
#[test]
fn svg_of_a_document_is_a_flamegraph() {
    let outcome = view(&data(LIVE), &["--format", "svg"]);
    let text = outcome.success();
    assert!(text.starts_with("<?xml") && text.trim_end().ends_with("</svg>"), "{text}");
    assert!(text.contains("keep_large") && text.contains("keep_small"), "{text}");
}

/// Check that the profile has the sums of the document, by another implementation of pprof, and can be viewed.
#[test]
fn pprof_of_a_document_has_its_sums_and_is_viewed_again() {
    let outcome = view(&data(LIVE), &["--format", "pprof"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let mut bytes = Vec::new();
    GzDecoder::new(outcome.stdout.as_slice()).read_to_end(&mut bytes).expect("gzip");
    let profile = Profile::parse_from_bytes(&bytes).expect("a pprof profile");
    let sum = |index: usize| -> i64 { profile.sample.iter().map(|sample| sample.value[index]).sum() };
    assert_eq!([sum(0), sum(1), sum(2), sum(3)], [40, 83_220, 30, 82_220]);

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("heap.pb.gz");
    std::fs::write(&path, &outcome.stdout).expect("a file");
    let again = view(&path, &["--format", "folded"]);
    assert_eq!(again.success(), folded(LIVE, &[]));
}

/// Check that what mode `alloc` does not know is refused, not shown as 0.
#[test]
fn in_use_of_a_document_of_mode_alloc_is_refused() {
    let outcome = view(&data(ALLOC), &["--view", "inuse_space"]);
    assert_eq!(outcome.code, Some(2));
    assert_eq!(
        outcome.stderr,
        "tracer: --view inuse_space and inuse_objects need mode live: mode alloc does not follow blocks\n"
    );
}

/// Check that a file that is not there, or is no profile, fails with 1, its path and what it is instead.
#[test]
fn a_file_that_cannot_be_viewed_is_named_with_the_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let document = std::fs::read(data(LIVE)).expect("the document is kept beside the tests");
    let other_schema = String::from_utf8_lossy(&document).replace("\"tracer/1\"", "\"tracer/9\"");
    let profile = view(&data(LIVE), &["--format", "pprof"]).stdout;
    for (name, bytes, reason) in [
        ("missing.json", None, "No such file or directory"),
        ("empty.json", Some(&b""[..]), "EOF"),
        ("cut.json", Some(&document[..document.len() / 2]), "EOF"),
        ("text.json", Some(b"hello\n"), "not a tracer JSON document"),
        ("other.json", Some(br#"{"traceEvents": []}"#), "the schema is missing"),
        ("later.json", Some(other_schema.as_bytes()), "the schema is \"tracer/9\""),
        ("cut.pb.gz", Some(&profile[..profile.len() / 2]), ""),
        ("empty.pb.gz", Some(b"\x1f\x8b"), ""),
        ("binary.json", Some(b"\x7fELF\x02\x01\x01"), "not a tracer JSON document"),
    ] {
        let path = directory.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).expect("a file");
        }
        let outcome = view(&path, &[]);
        assert_eq!(outcome.code, Some(1), "{name}: {}", outcome.stderr);
        assert_eq!(outcome.text(), "", "{name}: stdout is for data");
        let begin = format!("tracer: failed to read {}", path.display());
        assert!(outcome.stderr.starts_with(&begin), "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(reason), "{name}: {}", outcome.stderr);
    }
    let outcome = view(directory.path(), &[]);
    assert_eq!((outcome.code, outcome.text()), (Some(1), ""), "a directory: {}", outcome.stderr);
}
