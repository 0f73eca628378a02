//! Sampled numbers: what stays exact, and that estimates are as right as they say. `cargo xtask accuracy` measures
//! the same a thousand times.
//!
//! Bounds are five standard errors, of sums with thousands of samples: one run in a million is outside.

use serde::Deserialize;
use tracer::model::snapshot::{CallSite, Mode, Snapshot, Verdict};

use crate::compare::direct_caller;
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, nonzero, tracer};

const ALLOCATIONS: u64 = 60_000;
const ERRORS: f64 = 5.0;

/// What `skewed.c` says of a run; each list is by site.
#[derive(Debug, Deserialize)]
struct Truth {
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    objects: Vec<u64>,
    bytes: Vec<u64>,
    inuse_objects: Vec<u64>,
    inuse_bytes: Vec<u64>,
}

/// A fixture that waits for commands, and a tracer that counts.
fn attached(options: &[&str]) -> (Target, Tracer) {
    let target = Target::start(&fixture("skewed"), &["--threads", "4"]);
    let mut tracer = Tracer::attach(target.pid(), options);
    tracer.wait_counting();
    (target, tracer)
}

fn run(target: &mut Target) -> Part {
    target.command(&format!("run 7 {ALLOCATIONS} 1"));
    let mut truth: Truth = target.next_json();
    truth.parts.pop().expect("one part")
}

/// A command that answers one word.
fn obey(target: &mut Target, command: &str, word: &str) {
    target.command(command);
    assert_eq!(target.next_line(), word, "the answer to {command}");
}

fn site<'a>(snapshot: &'a Snapshot, name: &str) -> &'a CallSite {
    let found: Vec<_> = snapshot.sites.iter().filter(|site| direct_caller(site) == Some(name)).collect();
    assert_eq!(found.len(), 1, "sites of {name}: {found:?}");
    found[0]
}

/// That a sum of sites is the truth, within its own standard error.
fn assert_sum(snapshot: &Snapshot, what: &str, truth: &[u64], number: impl Fn(&CallSite) -> (u64, f64)) {
    let sum: u64 = snapshot.sites.iter().map(|site| number(site).0).sum();
    let error = snapshot.sites.iter().map(|site| number(site).1.powi(2)).sum::<f64>().sqrt();
    let truth: u64 = truth.iter().sum();
    assert!(error > 0.0, "{what} is an estimate and says so");
    let apart = (sum as f64 - truth as f64) / error;
    assert!(apart.abs() < ERRORS, "{what}: {sum} ± {error:.0} for a true {truth}");
}

/// What a sampled run must say of itself, and its exact totals.
fn assert_sampled(snapshot: &Snapshot, truth: &Part) {
    let quality = &snapshot.quality;
    assert_eq!(quality.verdict, Verdict::Sampled, "lost: {:?}, {quality:?}", nonzero(&quality.lost));
    assert_eq!(quality.frees_unmatched, None, "nobody knows which frees have no allocation: {quality:?}");
    let totals = &snapshot.targets[0].totals;
    assert_eq!(totals.alloc_objects, truth.objects.iter().sum::<u64>(), "attempts are exact: {totals:?}");
    assert_eq!(totals.alloc_bytes, truth.bytes.iter().sum::<u64>(), "their bytes too: {totals:?}");
    let malloc = totals.by_function["malloc"];
    assert_eq!((malloc.calls, malloc.bytes), (totals.alloc_objects, totals.alloc_bytes), "of malloc alone");
    assert_sum(snapshot, "alloc_bytes", &truth.bytes, |site| {
        (site.alloc_bytes, site.standard_error.alloc_bytes)
    });
    assert_sum(snapshot, "alloc_objects", &truth.objects, |site| {
        (site.alloc_objects, site.standard_error.alloc_objects)
    });
    for site in &snapshot.sites {
        let intervals =
            site.interval_95.clone().unwrap_or_else(|| panic!("no interval at {:?}", direct_caller(site)));
        let [low, high] = intervals.alloc_bytes;
        let value = site.alloc_bytes as f64;
        assert!(low - 0.5 <= value && value <= high + 0.5, "{value} in {low} … {high}: {site:?}");
        assert_eq!(intervals.inuse_bytes.is_some(), snapshot.mode == Mode::Live, "{site:?}");
    }
}

/// Check that 0 is every allocation: every site is what it is, without error or interval.
#[test]
fn without_sampling_every_site_is_exact() {
    if kernel_or_skip("without_sampling_every_site_is_exact") {
        let (mut target, tracer) = attached(&["--sample-bytes", "0"]);
        let truth = run(&mut target);
        let snapshot = tracer.stop().success();
        assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
        assert_eq!(snapshot.sites.len(), truth.objects.len(), "every site is there");
        for number in 0..truth.objects.len() {
            let site = site(&snapshot, &format!("skewed_{number}"));
            assert_eq!(site.alloc_objects, truth.objects[number], "{site:?}");
            assert_eq!(site.alloc_bytes, truth.bytes[number], "{site:?}");
            assert_eq!(site.inuse_objects, Some(truth.inuse_objects[number]), "{site:?}");
            assert_eq!(site.inuse_bytes, Some(truth.inuse_bytes[number]), "{site:?}");
            assert_eq!(site.standard_error.alloc_bytes, 0.0, "{site:?}");
            assert_eq!(site.interval_95, None, "{site:?}");
        }
    }
}

/// Check that sampling leaves the totals of mode `alloc` exact, and that the sites add up to them.
#[test]
fn sampled_allocations_have_exact_totals_and_sites_within_their_error() {
    if kernel_or_skip("sampled_allocations_have_exact_totals_and_sites_within_their_error") {
        let (mut target, tracer) = attached(&["--mode", "alloc", "--sample-bytes", "2KiB"]);
        let truth = run(&mut target);
        let snapshot = tracer.stop().success();
        assert_sampled(&snapshot, &truth);
        assert_eq!(snapshot.targets[0].totals.inuse_bytes, None, "mode alloc knows no frees");
    }
}

/// Check the live heap in the middle of its life: in-use is an estimate with an error of its own.
#[test]
fn sampled_blocks_in_use_are_within_their_error() {
    if kernel_or_skip("sampled_blocks_in_use_are_within_their_error") {
        let (mut target, tracer) = attached(&["--sample-bytes", "2KiB"]);
        let truth = run(&mut target);
        let snapshot = tracer.stop().success();
        assert_sampled(&snapshot, &truth);
        let live = |value: Option<u64>, error: Option<f64>| (value.expect("live"), error.expect("live"));
        assert_sum(&snapshot, "inuse_bytes", &truth.inuse_bytes, |site| {
            live(site.inuse_bytes, site.standard_error.inuse_bytes)
        });
        assert_sum(&snapshot, "inuse_objects", &truth.inuse_objects, |site| {
            live(site.inuse_objects, site.standard_error.inuse_objects)
        });
        let totals = &snapshot.targets[0].totals;
        for name in ["free_bytes", "inuse_bytes", "inuse_objects"] {
            assert!(totals.standard_error.get(name).is_some_and(|error| *error > 0.0), "{name}: {totals:?}");
        }
        let freed: u64 = truth.objects.iter().sum::<u64>() - truth.inuse_objects.iter().sum::<u64>();
        assert_eq!(totals.free_objects, Some(freed), "frees are exact: {totals:?}");
    }
}

/// Check that the free of a sample takes away exactly what its allocation added.
#[test]
fn no_site_holds_anything_after_all_sampled_blocks_were_freed() {
    if kernel_or_skip("no_site_holds_anything_after_all_sampled_blocks_were_freed") {
        let (mut target, tracer) = attached(&["--sample-bytes", "64KiB"]);
        run(&mut target);
        obey(&mut target, "free", "freed");
        let snapshot = tracer.stop().success();
        assert_eq!(snapshot.quality.verdict, Verdict::Sampled, "{:?}", snapshot.quality);
        assert!(snapshot.sites.len() > 40, "sites with a sample: {}", snapshot.sites.len());
        for site in &snapshot.sites {
            assert_eq!((site.inuse_objects, site.inuse_bytes), (Some(0), Some(0)), "{site:?}");
            assert_eq!(site.standard_error.inuse_bytes, Some(0.0), "{site:?}");
        }
        let totals = &snapshot.targets[0].totals;
        assert_eq!((totals.inuse_objects, totals.inuse_bytes), (Some(0), Some(0)), "{totals:?}");
    }
}

/// Check two sites in lockstep, of which a threshold of exactly 64 KiB shows 1.1 : 1 for a true 6.9 : 1.
#[test]
fn sites_in_lockstep_are_told_apart_as_they_are() {
    if kernel_or_skip("sites_in_lockstep_are_told_apart_as_they_are") {
        let (mut target, tracer) = attached(&["--mode", "alloc", "--sample-bytes", "64KiB"]);
        obey(&mut target, "lockstep 200000", "done");
        let snapshot = tracer.stop().success();
        let (large, small) = (site(&snapshot, "lockstep_large"), site(&snapshot, "lockstep_small"));
        let error = |site: &CallSite| site.standard_error.alloc_bytes / site.alloc_bytes as f64;
        let ratio = large.alloc_bytes as f64 / small.alloc_bytes as f64;
        let allowed = ERRORS * ratio * error(large).hypot(error(small));
        let truth = 7153.0 / 1037.0;
        assert!(
            allowed < 1.0 && (ratio - truth).abs() < allowed,
            "{ratio:.2} ± {allowed:.2}, true {truth:.2}"
        );
    }
}

/// Check that an allocation of 0 bytes is sampled as one of 1 byte, and weighs none.
#[test]
fn empty_allocations_are_sampled_and_weigh_nothing() {
    if kernel_or_skip("empty_allocations_are_sampled_and_weigh_nothing") {
        let (mut target, tracer) = attached(&["--sample-bytes", "16"]);
        obey(&mut target, "empty 20000", "done");
        let snapshot = tracer.stop().success();
        let totals = &snapshot.targets[0].totals;
        assert_eq!((totals.alloc_objects, totals.alloc_bytes), (20_000, 0), "{totals:?}");
        assert_eq!(totals.free_objects, Some(20_000), "{totals:?}");
        let site = site(&snapshot, "empty");
        let apart = (site.alloc_objects as f64 - 20_000.0) / site.standard_error.alloc_objects;
        assert!(apart.abs() < ERRORS, "{site:?}");
        assert_eq!((site.alloc_bytes, site.standard_error.alloc_bytes), (0, 0.0), "{site:?}");
        assert_eq!(
            site.interval_95.as_ref().map(|intervals| intervals.alloc_bytes),
            Some([0.0, 0.0]),
            "{site:?}"
        );
        assert_eq!((site.inuse_objects, site.inuse_bytes), (Some(0), Some(0)), "{site:?}");
    }
}

/// Check that a mean beyond what the arithmetic holds is refused with the limit.
#[test]
fn a_mean_above_the_limit_is_wrong_usage() {
    for too_much in ["513MiB", "1TiB"] {
        let mut command = tracer();
        command.args(["attach", "--pid", "1", "--sample-bytes", too_much]);
        let outcome = Tracer::spawn(&mut command).wait();
        outcome.assert_refused(2, &["it must be at most 512"]);
    }
}
