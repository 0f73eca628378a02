//! Many threads, many stacks, many processors: no stack is mixed with another, no block is mistaken for another.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use tracer::model::snapshot::{CallSite, Frame, Mode, Verdict};

use crate::compare::{Numbers, numbers_of};
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, nonzero};
use crate::tally::{assert_exact, traced};

/// Stacks of `many_stacks.c` below one outer function.
const WIDTH: usize = 320;
const STACKS: usize = 100_000;

/// The functions on a stack as long as they are the program's own, leaf first; then only others may follow, and where the
/// program starts.
fn own_names(site: &CallSite, exe: &str) -> String {
    let is_own = |frame: &&Arc<Frame>| frame.module.as_deref() == Some(exe);
    let own = site.frames.iter().take_while(is_own).filter(|frame| !frame.inlined);
    let mut names = String::new();
    for frame in own {
        let separator = if names.is_empty() { "" } else { ";" };
        write!(names, "{separator}{}", frame.function.as_deref().unwrap_or("?")).expect("a string grows");
    }
    let is_start = |frame: &&Arc<Frame>| frame.function.as_deref() == Some("_start");
    if site.frames.iter().skip_while(is_own).any(|frame| is_own(&frame) && !is_start(&frame)) {
        names.push_str(";(a stranger in between)");
    }
    names
}

/// Check 32 threads on few processors: each stack is one of theirs from its site to its thread, with its counts.
#[test]
fn stacks_of_thirty_two_threads_are_never_mixed() {
    if !kernel_or_skip("stacks_of_thirty_two_threads_are_never_mixed") {
        return;
    }
    for mode in [Mode::Live, Mode::Alloc] {
        let (snapshot, tally) = traced("crowd", &["stacks"], &["--mode", &mode.to_string()]);
        assert_exact(&snapshot, &tally, mode);
        let mut expected: BTreeMap<&str, Numbers> = BTreeMap::new();
        for site in &tally.sites {
            assert!(expected.insert(&site.stack, site.numbers(mode)).is_none(), "no two alike: {site:?}");
        }
        assert_eq!(expected.len(), 96, "three stacks for each thread");
        let exe = &snapshot.targets[0].exe;
        let mut wrong = Vec::new();
        for site in &snapshot.sites {
            let names = own_names(site, exe);
            match expected.remove(names.as_str()) {
                Some(numbers) if numbers == numbers_of(site) => {}
                Some(numbers) => wrong.push(format!("{names}: {:?}, not {numbers:?}", numbers_of(site))),
                None => wrong.push(format!("{names}: nobody's, or the second of its kind: {site:?}")),
            }
        }
        wrong.extend(expected.keys().map(|names| format!("{names}: not seen")));
        assert!(wrong.is_empty(), "{mode}: {} stacks are wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// Check a million blocks freed on another processor, whose addresses come back within microseconds.
#[test]
fn blocks_handed_to_another_processor_are_matched_to_the_last() {
    if kernel_or_skip("blocks_handed_to_another_processor_are_matched_to_the_last") {
        let (snapshot, tally) = traced("crowd", &["hand"], &[]);
        let (handed, back) = (tally.sum(|site| site.alloc_objects), tally.more("came_back"));
        assert!(back > handed / 2, "addresses do come back: {back} of {handed}");
        assert_exact(&snapshot, &tally, Mode::Live);
        println!("{handed} blocks freed by another thread, {back} times an address that it had just freed");
    }
}

/// Check that each of 100,000 stacks has a site of its own with its own count.
#[test]
fn a_hundred_thousand_stacks_are_a_hundred_thousand_sites() {
    if !kernel_or_skip("a_hundred_thousand_stacks_are_a_hundred_thousand_sites") {
        return;
    }
    let mut target = Target::start(&fixture("many_stacks"), &[&STACKS.to_string()]);
    let mut tracer = Tracer::attach(target.pid(), &["--max-stacks", "131072"]);
    tracer.wait_counting();
    target.go();
    let truth: Value = target.next_json();
    let snapshot = tracer.stop().success();
    let list = |name: &str| -> Vec<u64> {
        serde_json::from_value(truth[name].clone()).unwrap_or_else(|error| panic!("{error}: {name}"))
    };
    let (objects, bytes) = (list("objects"), list("bytes"));
    let totals = &snapshot.targets[0].totals;
    let quality = &snapshot.quality;
    assert_eq!(totals.alloc_objects, objects.iter().sum::<u64>(), "objects, {quality:?}");
    assert_eq!(totals.alloc_bytes, bytes.iter().sum::<u64>(), "bytes, {quality:?}");
    let by_site: u64 = snapshot.sites.iter().map(|site| site.alloc_objects).sum();
    assert_eq!(by_site, totals.alloc_objects, "the sites add up to it, {quality:?}");
    assert_eq!(quality.verdict, Verdict::Exact, "lost: {:?}", nonzero(&quality.lost));
    assert_eq!(snapshot.sites.len(), STACKS, "as many sites as stacks");
    let mut seen = vec![None; STACKS];
    for site in &snapshot.sites {
        let names = own_names(site, &snapshot.targets[0].exe);
        let stack = stack_number(&names).unwrap_or_else(|| panic!("no stack of the program: {names}"));
        let numbers = Some((site.alloc_objects, site.alloc_bytes, site.inuse_objects, site.inuse_bytes));
        assert!(seen[stack].replace(numbers).is_none(), "{names} twice");
        let expected = (objects[stack], bytes[stack], Some(objects[stack]), Some(bytes[stack]));
        assert_eq!(numbers, Some(expected), "{names}");
    }
}

/// `leaf_site;inner_017;outer_203;main` is number 203 × 320 + 17.
fn stack_number(names: &str) -> Option<usize> {
    let rest = names.strip_prefix("leaf_site;inner_")?.strip_suffix(";main")?;
    let (inner, outer) = rest.split_once(";outer_")?;
    Some(outer.parse::<usize>().ok()? * WIDTH + inner.parse::<usize>().ok()?)
}
