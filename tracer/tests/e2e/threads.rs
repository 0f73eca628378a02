//! Full speed: nothing is lost, or the loss is counted and the totals still hold.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tracer::model::snapshot::{Mode, Snapshot, Verdict};

use crate::compare::direct_caller;
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, nonzero, number};

/// Ten million allocations by so many threads, blocks freed by others when there is a window.
fn storm(threads: &str, window: &str) {
    let arguments =
        ["--threads", threads, "--window", window, "--total", "10000000", "--wait-start", "--wait-end"];
    let mut target = Target::start(&fixture("storm"), &arguments);
    let mut tracer = Tracer::attach(target.pid(), &[]);
    tracer.wait_counting();
    target.go();
    let truth: Value = target.next_json();
    let snapshot = tracer.stop().success();
    assert_eq!(snapshot.mode, Mode::Live, "every number is known: {:?}", snapshot.quality);
    let totals = &snapshot.targets[0].totals;
    let lost = nonzero(&snapshot.quality.lost);
    assert_eq!(totals.alloc_objects, number(&truth, "alloc_objects"), "alloc_objects, lost: {lost:?}");
    assert_eq!(totals.alloc_bytes, number(&truth, "alloc_bytes"), "alloc_bytes, lost: {lost:?}");
    assert_eq!(totals.free_objects, Some(number(&truth, "free_objects")), "free_objects, lost: {lost:?}");
    println!("{threads} threads: verdict {:?}, lost {lost:?}", snapshot.quality.verdict);
    if snapshot.quality.verdict == Verdict::Lossy {
        assert!(!lost.is_empty(), "a lossy verdict says what was lost: {:?}", snapshot.quality);
        return;
    }
    assert!(lost.is_empty(), "nothing is lost when the verdict says so: {lost:?}");
    assert_eq!(totals.free_bytes, Some(number(&truth, "free_bytes")), "free_bytes");
    assert_eq!((totals.inuse_objects, totals.inuse_bytes), (Some(0), Some(0)), "everything was freed");
    assert_eq!(snapshot.quality.frees_unmatched, Some(0), "no block is older than the attach");
    assert_sites(&snapshot, &truth);
}

fn assert_sites(snapshot: &Snapshot, truth: &Value) {
    for site in truth["sites"].as_array().expect("a list") {
        let name = site["site"].as_str();
        let of_name = snapshot.sites.iter().filter(|seen| direct_caller(seen) == name);
        let got = of_name.fold((0, 0), |sum, seen| (sum.0 + seen.alloc_objects, sum.1 + seen.alloc_bytes));
        assert_eq!(
            got,
            (number(site, "alloc_objects"), number(site, "alloc_bytes")),
            "objects and bytes of {name:?}"
        );
    }
}

/// Check that two threads lose nothing.
#[test]
fn ten_million_allocations_of_two_threads_are_all_counted() {
    if kernel_or_skip("ten_million_allocations_of_two_threads_are_all_counted") {
        storm("2", "0");
    }
}

/// Check that four threads which free each other's blocks lose nothing.
#[test]
fn ten_million_allocations_of_four_threads_are_all_counted() {
    if kernel_or_skip("ten_million_allocations_of_four_threads_are_all_counted") {
        storm("4", "64");
    }
}

/// Check that eight threads on few processors, preempted everywhere, lose nothing.
#[test]
fn ten_million_allocations_of_eight_threads_are_all_counted() {
    if kernel_or_skip("ten_million_allocations_of_eight_threads_are_all_counted") {
        storm("8", "1000");
    }
}

/// The tracer, preferred by the scheduler: fifty starts beside two busy threads take minutes otherwise.
fn preferred() -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "-15", env!("CARGO_BIN_EXE_tracer")]).env("NO_COLOR", "1");
    command
}

/// Check that attaching and detaching at full speed never leaves a block that is not there.
#[test]
fn fifty_attaches_in_a_row_see_at_most_the_blocks_in_flight() {
    if !kernel_or_skip("fifty_attaches_in_a_row_see_at_most_the_blocks_in_flight") {
        return;
    }
    let mut target = Target::start(&fixture("storm"), &["--threads", "2", "--until-term"]);
    let mut seen = 0;
    for attach in 0..50 {
        let tracer = Tracer::attach_with(preferred(), target.pid(), &["--duration", "100ms"]);
        let snapshot = tracer.wait().success();
        assert_in_flight(&snapshot, 2, attach);
        seen += u32::from(snapshot.targets[0].totals.alloc_objects > 0);
    }
    assert!(seen >= 25, "it has 100 ms each time, which others may take from it now and then: {seen} of 50");
    assert!(target.alive(), "the target lives on");
    target.signal(Signal::TERM);
    let truth: Value = target.next_json();
    assert!(number(&truth, "alloc_objects") > 0, "it worked all the time: {truth}");
}

fn assert_in_flight(snapshot: &Snapshot, in_flight: u64, attach: u32) {
    let totals = &snapshot.targets[0].totals;
    let quality = &snapshot.quality;
    let inuse = totals.inuse_objects.expect("live knows it");
    let unmatched = quality.frees_unmatched.expect("live knows it");
    let freed = totals.free_objects.expect("live knows it");
    assert!(
        inuse <= in_flight,
        "attach {attach}: {inuse} blocks in use, at most {in_flight} exist: {quality:?}"
    );
    assert!(
        unmatched <= in_flight,
        "attach {attach}: {unmatched} old blocks, at most {in_flight} existed: {quality:?}"
    );
    assert_eq!(
        totals.alloc_objects,
        freed - unmatched + inuse,
        "attach {attach} adds up: {totals:?} {quality:?}"
    );
    let by_site: u64 = snapshot.sites.iter().filter_map(|site| site.inuse_objects).sum();
    assert_eq!(by_site, inuse, "attach {attach}: the sites add up to the total");
    assert_eq!(quality.verdict, Verdict::Exact, "attach {attach}: {quality:?}");
}
