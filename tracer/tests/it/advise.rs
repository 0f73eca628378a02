//! `advise`: every rule fires on what it is about, and on nothing that is nearly so.
//!
//! The stacks of Go in `data/go-stacks-*.txt` are what `fixtures/advise/patterns.go` prints when it is built by that version.

mod go;
mod go_rules;
mod others;
mod program;
mod runtimes;

use std::sync::Arc;

use tracer::advise::{By, RULES, Report, Settings, advise};
use tracer::model::snapshot::{CallSite, Frame, Snapshot, Verdict};
use tracer::view::{frame, json};

/// What is advised.
fn report(snapshot: &Snapshot) -> Report {
    advise(snapshot, Settings { by: By::Both, telling: frame::telling, is_all: false })
}

/// Functions and the rules that name them, what costs most first.
fn named(snapshot: &Snapshot) -> Vec<(String, &'static str)> {
    report(snapshot).advice.into_iter().map(|advice| (advice.function, advice.rule)).collect()
}

/// One exact process with these call sites, counted for so long.
fn snapshot(sites: Vec<CallSite>, seconds: f64) -> Snapshot {
    let bytes = std::fs::read(crate::data("small.json")).expect("the document is kept beside the tests");
    let mut snapshot = json::read(&mut bytes.as_slice()).expect("a document of this schema");
    assert_eq!((snapshot.targets.len(), snapshot.quality.verdict), (1, Verdict::Exact));
    let target = &mut snapshot.targets[0];
    (target.totals.alloc_objects, target.totals.alloc_bytes) = sites
        .iter()
        .fold((0, 0), |(objects, bytes), site| (objects + site.alloc_objects, bytes + site.alloc_bytes));
    let pid = target.pid;
    snapshot.sites = sites.into_iter().map(|site| CallSite { pid, ..site }).collect();
    snapshot.attached_seconds = seconds;
    snapshot
}

/// A frame, `function|file|line`.
fn frame_of(text: &str) -> Arc<Frame> {
    let mut parts = text.split('|');
    let mut some = || parts.next().filter(|part| !part.is_empty());
    let (function, file, line) = (some(), some(), some());
    Arc::new(Frame {
        address: "0x1000".to_owned(),
        function: function.map(str::to_owned),
        module: Some("/srv/app".to_owned()),
        file: file.map(str::to_owned),
        line: line.and_then(|line| line.parse().ok()),
        ..Frame::default()
    })
}

/// A call site of so many objects of a size, of which so many are in use.
fn site(frames: &[&str], objects: u64, size: u64, kept: u64) -> CallSite {
    CallSite {
        alloc_objects: objects,
        alloc_bytes: objects * size,
        free_objects: Some(objects - kept),
        inuse_objects: Some(kept),
        inuse_bytes: Some(kept * size),
        samples: objects,
        frames: frames.iter().map(|frame| frame_of(frame)).collect(),
        ..CallSite::default()
    }
}

/// The same, with so much beside it that it is a small share.
fn diluted(mut snapshot: Snapshot, times: u64) -> Snapshot {
    let totals = &mut snapshot.targets[0].totals;
    (totals.alloc_objects, totals.alloc_bytes) = (totals.alloc_objects * times, totals.alloc_bytes * times);
    snapshot
}

/// The same numbers, with errors so large that they may as well be nothing.
fn noisy(mut snapshot: Snapshot) -> Snapshot {
    snapshot.sample_bytes = 512 << 10;
    snapshot.quality.verdict = Verdict::Sampled;
    let times = snapshot.sites.len() as f64;
    for site in &mut snapshot.sites {
        site.samples = 1;
        site.standard_error.alloc_objects = site.alloc_objects as f64 * times;
        site.standard_error.alloc_bytes = site.alloc_bytes as f64 * times;
    }
    snapshot
}

/// Each rule's name, with what makes it fire.
fn firing() -> Vec<(&'static str, Snapshot)> {
    go_rules::firing().into_iter().chain(others::firing()).collect()
}

/// Check that each rule has a snapshot that it fires on, so that the tests below are about all of them.
#[test]
fn every_rule_fires_on_what_it_is_about() {
    let firing = firing();
    for (rule, snapshot) in &firing {
        let named = named(snapshot);
        assert!(named.iter().any(|(_, name)| name == rule), "{rule}: {named:?}");
    }
    for rule in RULES.iter() {
        assert!(firing.iter().any(|(name, _)| *name == rule.name), "{} has no test", rule.name);
    }
}

/// Check that neither an idle process, nor a small share, nor what happened a few times, nor noise gets any advice.
#[test]
fn no_rule_fires_on_what_is_slow_or_small_or_noise() {
    for (rule, snapshot) in firing() {
        let check = |snapshot: &Snapshot, what: &str| {
            let named = named(snapshot);
            assert!(named.is_empty(), "{rule}, {what}: {named:?}");
        };
        check(&Snapshot { attached_seconds: 1e6, ..snapshot.clone() }, "idle");
        check(&diluted(snapshot.clone(), 100), "a small share");
        check(&noisy(snapshot.clone()), "one sample of each");
        let mut few = snapshot;
        for site in &mut few.sites {
            site.alloc_bytes = site.alloc_bytes * 100 / site.alloc_objects.max(1);
            site.alloc_objects = 100;
            site.inuse_objects = site.inuse_objects.map(|kept| kept.min(1));
        }
        few.sites.truncate(5);
        few.attached_seconds /= 10.0;
        check(&few, "a few objects");
    }
}

/// Check that the names of rules are their own, and that what they say is there.
#[test]
fn rules_are_complete() {
    let documentation = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/advice.md"))
        .expect("docs/advice.md is readable");
    for (at, rule) in RULES.iter().enumerate() {
        assert!(
            RULES.iter().skip(at + 1).all(|other| other.name != rule.name),
            "{} is there twice",
            rule.name
        );
        assert!(!rule.fixes.is_empty() && !rule.families.is_empty(), "{}", rule.name);
        assert!(
            documentation.contains(&format!("### {}\n", rule.name)),
            "docs/advice.md lacks {}",
            rule.name
        );
    }
}

/// Check that a profile without a duration gets shares, no rates, and less certainty.
#[test]
fn a_profile_without_time_gets_less_certain_advice() {
    for (rule, snapshot) in firing() {
        let timed = report(&snapshot);
        let timeless = report(&Snapshot { attached_seconds: 0.0, ..snapshot });
        let of = |report: &Report| report.advice.iter().find(|advice| advice.rule == rule).cloned();
        // Without a rate the floor of objects and the share decide: what fired goes on to fire.
        let (timed, timeless) =
            (of(&timed).expect("it fires"), of(&timeless).expect("it fires without a time, too"));
        assert!(timed.seen.objects_per_second.is_some() && timeless.seen.objects_per_second.is_none());
        assert_eq!(timeless.certainty, timed.certainty.less(), "{rule}");
    }
}

/// Check that the ranking follows what is asked for.
#[test]
fn advice_is_ranked_by_objects_or_by_bytes() {
    let tiny = site(&["make_node|a.c|1", "main|a.c|9"], 1_000_000, 16, 0);
    let large = site(&["make_page|a.c|5", "main|a.c|9"], 150_000, 4096, 0);
    let snapshot = snapshot(vec![tiny, large], 1.0);
    let check = |by, expect: [&str; 2]| {
        let report = advise(&snapshot, Settings { by, telling: frame::telling, is_all: false });
        let functions: Vec<&str> = report.advice.iter().map(|advice| advice.function.as_str()).collect();
        assert_eq!(functions, expect, "{by:?}");
    };
    check(By::Objects, ["make_node", "make_page"]);
    check(By::Bytes, ["make_page", "make_node"]);
    check(By::Both, ["make_page", "make_node"]);
}
