//! Maps that are too small: what does not fit is counted by reason, and no number is wrong.

use tracer::model::snapshot::{Snapshot, Verdict};

use crate::compare::Truth;
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, nonzero};

fn attached(limit: &[&str], target_options: &[&str]) -> (Snapshot, Truth) {
    let arguments = [target_options, &["--old", "0", "--wait-start", "--wait-end"]].concat();
    let mut target = Target::start(&fixture("truth"), &arguments);
    let mut tracer = Tracer::attach(target.pid(), limit);
    tracer.wait_counting();
    target.go();
    let truth: Truth = target.next_json();
    (tracer.stop().success(), truth)
}

/// What holds whatever was lost.
fn assert_lossy_and_true(snapshot: &Snapshot, truth: &Truth) {
    let totals = &snapshot.targets[0].totals;
    let quality = &snapshot.quality;
    let lost = nonzero(&quality.lost);
    assert!(lost.get("map_full").is_some_and(|count| *count > 0), "counted by reason: {lost:?}");
    assert_eq!(quality.verdict, Verdict::Lossy, "and the verdict says so: {quality:?}");
    assert_eq!(totals.alloc_objects, truth.live.alloc_objects, "objects are exact all the same: {totals:?}");
    assert_eq!(totals.alloc_bytes, truth.live.alloc_bytes, "bytes too: {totals:?}");
    assert_eq!(totals.free_objects, Some(truth.live.free_objects), "and frees: {totals:?}");
}

/// Check that blocks which do not fit are counted as lost, and are not in use for ever.
#[test]
fn full_live_map_is_counted_and_makes_no_leak() {
    if kernel_or_skip("full_live_map_is_counted_and_makes_no_leak") {
        let (snapshot, truth) =
            attached(&["--max-live", "1000"], &["--rounds", "3", "--stacks", "100", "--free-all"]);
        assert_lossy_and_true(&snapshot, &truth);
        let leaking: Vec<_> = snapshot.sites.iter().filter(|site| site.inuse_objects != Some(0)).collect();
        assert!(leaking.is_empty(), "everything was freed, so no site has blocks in use: {leaking:?}");
        let totals = &snapshot.targets[0].totals;
        assert_eq!(
            (totals.inuse_objects, totals.inuse_bytes),
            (Some(0), Some(0)),
            "nor the total: {totals:?}"
        );
    }
}

/// Check that what is shown as in use is at most what is.
#[test]
fn full_live_map_never_claims_more_than_is_in_use() {
    if kernel_or_skip("full_live_map_never_claims_more_than_is_in_use") {
        let (snapshot, truth) =
            attached(&["--max-live", "1000"], &["--rounds", "3", "--stacks", "100", "--hold-all"]);
        assert_lossy_and_true(&snapshot, &truth);
        for site in &truth.sites {
            let seen =
                snapshot.sites.iter().filter(|seen| crate::compare::direct_caller(seen) == Some(&site.site));
            let inuse: u64 = seen.filter_map(|seen| seen.inuse_objects).sum();
            let same_name = truth.sites.iter().filter(|other| other.site == site.site);
            let real: u64 = same_name.map(|other| other.inuse_objects).sum();
            assert!(inuse <= real || site.path < 0, "{}: {inuse} shown, {real} in use", site.site);
        }
    }
}

/// Check that stacks which do not fit are counted as lost, and that those which fit are exact.
#[test]
fn full_stack_map_is_counted_and_the_rest_is_exact() {
    if kernel_or_skip("full_stack_map_is_counted_and_the_rest_is_exact") {
        let (snapshot, truth) =
            attached(&["--max-stacks", "16"], &["--rounds", "3", "--stacks", "64", "--free-all"]);
        assert_lossy_and_true(&snapshot, &truth);
        let totals = &snapshot.targets[0].totals;
        assert!(snapshot.sites.len() <= 16 + 1, "16 stacks and one for the rest: {}", snapshot.sites.len());
        assert_eq!(totals.inuse_objects, Some(0), "everything was freed: {totals:?}");
        let site_objects: u64 = snapshot.sites.iter().map(|site| site.alloc_objects).sum();
        assert!(
            site_objects <= totals.alloc_objects,
            "the sites hold at most the total: {site_objects} {totals:?}"
        );
    }
}
