//! Programs that a careless return probe kills: they survive `live`, and their numbers are right.

use serde_json::Value;
use tracer::model::snapshot::{Mode, Snapshot};

use crate::compare::assert_named_sites;
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, code_of, kernel_or_skip, number};

/// Runs a fixture's counted part under `attach`; it must end by itself and with 0.
fn survives(name: &str, rounds: &str) -> (Snapshot, Value) {
    let mut target = Target::start(&fixture(name), &[rounds]);
    let mut tracer = Tracer::attach(target.pid(), &[]);
    tracer.wait_counting();
    target.go();
    let truth: Value = target.next_json();
    let snapshot = tracer.stop().success();
    target.go();
    assert_eq!(code_of(target.wait()), 0, "{name} ends as it would untraced");
    (snapshot, truth)
}

fn failed_calls(snapshot: &Snapshot) -> u64 {
    snapshot.targets[0].totals.by_function.values().filter_map(|function| function.failed).sum()
}

/// Check that `new` of an impossible size still throws what the program catches.
#[test]
fn program_that_catches_bad_alloc_survives_live() {
    if kernel_or_skip("program_that_catches_bad_alloc_survives_live") {
        let (snapshot, truth) = survives("bad_alloc", "5000");
        let (caught, new_objects) = (number(&truth, "caught"), number(&truth, "new_objects"));
        assert_eq!(caught, 5000, "every one was caught: {truth}");
        let totals = &snapshot.targets[0].totals;
        assert_eq!(failed_calls(&snapshot), caught, "each is one failed malloc: {totals:?}");
        // The exception object itself is on the heap.
        assert_eq!(totals.alloc_objects, new_objects + caught, "objects: {totals:?}");
        assert_eq!(totals.inuse_objects, Some(0), "all of it was freed: {totals:?}");
    }
}

/// Check that unwinding through frames that hold vectors and strings works and frees them.
#[test]
fn program_that_throws_through_its_own_frames_survives_live() {
    if kernel_or_skip("program_that_throws_through_its_own_frames_survives_live") {
        let (snapshot, truth) = survives("throws", "5000");
        assert_eq!(number(&truth, "caught"), 5000, "every one was caught: {truth}");
        let totals = &snapshot.targets[0].totals;
        assert!(totals.alloc_objects >= 5000 * 20, "its vectors and strings: {totals:?}");
        assert_eq!(totals.free_objects, Some(totals.alloc_objects), "all of it was freed: {totals:?}");
        assert_eq!(
            (totals.inuse_objects, totals.inuse_bytes),
            (Some(0), Some(0)),
            "nothing stays: {totals:?}"
        );
    }
}

/// Check that a strict seccomp filter and return probes go together, or that `alloc` ran instead and is said.
#[test]
fn program_under_a_seccomp_filter_survives_live() {
    if kernel_or_skip("program_under_a_seccomp_filter_survives_live") {
        let (snapshot, truth) = survives("seccomp", "20000");
        assert_named_sites(
            &snapshot,
            &[("filtered_site", number(&truth, "alloc_objects"), number(&truth, "alloc_bytes"))],
        );
        if snapshot.mode == Mode::Alloc {
            let notes = snapshot.quality.notes.join(" ");
            assert!(notes.contains("seccomp"), "why it is not `live`: {notes}");
            let kernel = &snapshot.host.kernel;
            let broken = ["6.11.", "6.12.", "6.13."].iter().any(|line| kernel.starts_with(line));
            assert!(broken, "only kernels 6.11 to 6.13.2 need that, this is {kernel}");
            return;
        }
        let totals = &snapshot.targets[0].totals;
        assert_eq!(totals.inuse_objects, Some(number(&truth, "inuse_objects")), "{totals:?}");
        assert_eq!(totals.inuse_bytes, Some(number(&truth, "inuse_bytes")), "{totals:?}");
    }
}

/// Check that an unwinder which runs in the middle of a traced malloc stops at the trampoline, unharmed.
#[test]
fn program_that_unwinds_inside_malloc_survives_live() {
    if kernel_or_skip("program_that_unwinds_inside_malloc_survives_live") {
        let (snapshot, truth) = survives("unwinds_inside_malloc", "200000");
        assert!(number(&truth, "inside") >= 20, "it did unwind in there: {truth}");
        assert_named_sites(
            &snapshot,
            &[("unwound_site", number(&truth, "alloc_objects"), number(&truth, "alloc_bytes"))],
        );
        assert_eq!(snapshot.targets[0].totals.inuse_objects, Some(0), "all of it was freed");
    }
}
