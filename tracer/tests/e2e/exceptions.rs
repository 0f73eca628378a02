//! A C++ program that catches `bad_alloc` survives every way of tracing it, and its numbers are right.

use serde_json::Value;
use tracer::model::snapshot::{Mode, Snapshot, Verdict};

use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, code_of, kernel_or_skip, number};

const ROUNDS: u64 = 2000;

/// The numbers that each mode promises, after the program has caught every exception.
fn assert_counted(options: &[&str], snapshot: &Snapshot, truth: &Value) {
    let (caught, new_objects) = (number(truth, "caught"), number(truth, "new_objects"));
    assert_eq!(caught, ROUNDS, "{options:?}: every one was caught: {truth}");
    let totals = &snapshot.targets[0].totals;
    let failed = totals.by_function.values().filter_map(|function| function.failed).sum::<u64>();
    // Each exception object is a block too.
    let successes = new_objects + caught;
    if snapshot.mode == Mode::Live {
        assert_eq!(failed, caught, "{options:?}: each is one failed malloc: {totals:?}");
    }
    let exact = snapshot.quality.verdict == Verdict::Exact;
    let objects = if snapshot.mode == Mode::Live && exact { successes } else { successes + caught };
    assert_eq!(totals.alloc_objects, objects, "{options:?}: objects: {totals:?}");
    if snapshot.mode == Mode::Live {
        assert_eq!(totals.free_objects, Some(successes), "{options:?}: all of it was freed: {totals:?}");
    }
}

fn attached(options: &[&str]) {
    let mut target = Target::start(&fixture("bad_alloc"), &[&ROUNDS.to_string()]);
    let mut tracer = Tracer::attach(target.pid(), options);
    tracer.wait_counting();
    target.go();
    let truth: Value = target.next_json();
    let snapshot = tracer.stop().success();
    target.go();
    assert_eq!(code_of(target.wait()), 0, "{options:?}: it ends as it would untraced");
    assert_counted(options, &snapshot, &truth);
}

/// Under `run` its start and its end are seen too, so only what it says of itself and its end are held.
fn run(options: &[&str]) {
    let mut tracer = Tracer::run(options, &fixture("bad_alloc"), &[&ROUNDS.to_string()]);
    tracer.write_input("xx");
    let outcome = tracer.wait();
    let snapshot = outcome.success();
    let truth = outcome.stdout.lines().nth(1).and_then(|line| serde_json::from_str::<Value>(line).ok());
    let truth = truth.unwrap_or_else(|| panic!("{options:?}: no truth in {}", outcome.stdout));
    assert_eq!(number(&truth, "caught"), ROUNDS, "{options:?}: every one was caught");
    let objects = snapshot.targets[0].totals.alloc_objects;
    assert!(objects >= 2 * ROUNDS, "{options:?}: its blocks and exceptions: {objects}");
}

/// Both modes, both kinds of probes.
const WAYS: [&[&str]; 4] =
    [&[], &["--mode", "alloc"], &["--attach", "perf"], &["--attach", "perf", "--mode", "alloc"]];

/// Check `attach` in every mode.
#[test]
fn program_that_catches_bad_alloc_survives_every_attach() {
    if kernel_or_skip("program_that_catches_bad_alloc_survives_every_attach") {
        WAYS.into_iter().for_each(attached);
    }
}

/// Check `run` in every mode.
#[test]
fn program_that_catches_bad_alloc_survives_every_run() {
    if kernel_or_skip("program_that_catches_bad_alloc_survives_every_run") {
        WAYS.into_iter().for_each(run);
    }
}

/// Check the same while only some allocations are looked at.
#[test]
fn program_that_catches_bad_alloc_survives_sampling() {
    if kernel_or_skip("program_that_catches_bad_alloc_survives_sampling") {
        for mode in ["live", "alloc"] {
            for probes in ["auto", "perf"] {
                let options = ["--sample-bytes", "512KiB", "--mode", mode, "--attach", probes];
                attached(&options);
                run(&options);
            }
        }
    }
}
