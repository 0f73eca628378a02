//! Probes on Go's allocator, against what real programs ask for: numbers, stacks, and that the programs live on.

use serde::Deserialize;
use tracer::model::snapshot::{CallSite, Mode, Snapshot};

use super::toolchains::{Build, Go, oldest_and_newest};
use crate::harness::{Target, Tracer, kernel_or_skip};

const ROUNDS: u64 = 20_000;

/// What `runtime.MemStats` says to `allocates.go`.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Allocated {
    objects: u64,
    bytes: u64,
    heap: u64,
}

#[derive(Debug, Deserialize)]
struct Storm {
    rounds: u64,
    whole: bool,
}

fn obey<T: serde::de::DeserializeOwned>(target: &mut Target, command: &str) -> T {
    target.command(command);
    target.next_json()
}

fn work(target: &mut Target, command: &str) {
    let _: serde_json::Value = obey(target, command);
}

fn start(go: &Go, build: Build) -> Target {
    Target::start(&go.build("allocates", build), &[])
}

/// What compiled code calls for memory, beside `mallocgc` itself.
const RUNTIME: [&str; 4] =
    ["runtime.newobject", "runtime.makeslice", "runtime.rawstring", "runtime.slicebytetostring"];

/// The sites in which this function asks for memory itself. A collection that its call begins makes objects too.
pub(super) fn sites_in<'a>(snapshot: &'a Snapshot, function: &str) -> Vec<&'a CallSite> {
    let asks = |site: &&CallSite| {
        let mut names = site.frames.iter().filter_map(|frame| frame.function.as_deref());
        names.find(|name| !RUNTIME.contains(name)) == Some(function)
    };
    snapshot.sites.iter().filter(asks).collect()
}

pub(super) fn sum(sites: &[&CallSite], value: fn(&CallSite) -> u64) -> u64 {
    sites.iter().map(|site| value(site)).sum()
}

/// Rounds of the fixture's `work`: function, objects, and bytes asked for.
const WORK: [(&str, u64, u64); 6] = [
    ("main.makeNode", ROUNDS, 40),
    ("main.makeTiny", ROUNDS, 4),
    ("main.makeBytes", ROUNDS, 100),
    ("main.makeSlice", ROUNDS, 33),
    ("main.makeText", ROUNDS, 24),
    ("main.makeLarge", ROUNDS / 16, 40_000),
];

fn check_source(snapshot: &Snapshot, go: &Go, heap_bytes: u64) {
    let allocators = &snapshot.targets[0].allocators;
    assert_eq!(allocators.len(), 1, "{allocators:?}");
    let allocator = &allocators[0];
    assert_eq!((allocator.name.as_str(), allocator.source.as_str()), ("go", "uprobe"));
    assert!(allocator.version.as_deref().is_some_and(|text| text.starts_with(&format!("go1.{}", go.minor))));
    assert_eq!(allocator.probes[0].function, "mallocgc");
    assert!(allocator.probes.iter().all(|probe| probe.shift == 0 && probe.returns == "none"));
    assert_eq!(allocator.probes.len() > 1, go.minor >= 27, "{allocator:?}");
    assert_eq!(snapshot.mode, Mode::Alloc);
    assert!(snapshot.sites.iter().all(|site| site.inuse_bytes.is_none() && site.free_objects.is_none()));
    let totals = &snapshot.targets[0].totals;
    // Little of what is allocated is kept: what is in use is the runtime's number alone. It writes its answer after it has counted.
    assert!(totals.alloc_bytes > 50_000_000, "{totals:?}");
    assert!(
        totals.inuse_bytes.is_some_and(|bytes| bytes.abs_diff(heap_bytes) < 16 << 10),
        "{heap_bytes} bytes as the runtime says: {totals:?}"
    );
    assert!(snapshot.targets[0].gc.is_some(), "the runtime tells");
}

/// Check objects, bytes and stacks of a program that takes no samples of its own, whatever `--go` says but `runtime`.
#[test]
fn a_go_program_without_a_profile_is_counted_by_probes() {
    let name = "a_go_program_without_a_profile_is_counted_by_probes";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        for (build, options) in
            [(Build::Plain, &[][..]), (Build::Stripped, &["--go", "probes"][..]), (Build::Pie, &[][..])]
        {
            println!("Go 1.{}, {build:?}", go.minor);
            let mut target = start(&go, build);
            let mut tracer = Tracer::attach(target.pid(), options);
            tracer.wait_counting();
            let before: Allocated = obey(&mut target, "stats");
            work(&mut target, &format!("work {ROUNDS}"));
            work(&mut target, "collect");
            let after: Allocated = obey(&mut target, "stats");
            let snapshot = tracer.stop().success();
            check_source(&snapshot, &go, after.heap);
            for (function, objects, bytes) in WORK {
                let sites = sites_in(&snapshot, function);
                assert_eq!(sum(&sites, |site| site.alloc_objects), objects, "{function}: {sites:?}");
                assert_eq!(sum(&sites, |site| site.alloc_bytes), objects * bytes, "{function}");
            }
            assert_eq!(
                sites_in(&snapshot, "main.makeEmpty").len(),
                0,
                "an object of no bytes is no allocation"
            );
            let totals = &snapshot.targets[0].totals;
            // What asking takes is in one of them only.
            let truth = after.objects - before.objects;
            assert!(totals.alloc_objects.abs_diff(truth) <= 100, "{totals:?}, not {truth}");
            // Sizes of classes are larger than what was asked for.
            assert!(totals.alloc_bytes < after.bytes - before.bytes, "{totals:?}");
            check_stack(&snapshot);
        }
    }
}

/// The whole stack, with files and lines, up to where goroutines begin.
fn check_stack(snapshot: &Snapshot) {
    let sites = sites_in(snapshot, "main.makeNode");
    let [site] = sites[..] else { panic!("it is called in one place: {sites:?}") };
    let names: Vec<_> = site.frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
    let from_make: Vec<_> = names.iter().skip_while(|name| **name != "main.makeNode").copied().collect();
    assert_eq!(
        from_make,
        ["main.makeNode", "main.work", "main.main", "runtime.main", "runtime.goexit"],
        "{site:?}"
    );
    assert_eq!(site.truncated, None);
    assert_eq!(site.allocator.as_deref(), Some("go"));
    assert!(site.called.as_deref().is_some_and(|called| called.starts_with("mallocgc")), "{site:?}");
    let frame = site.frames.iter().find(|frame| frame.function.as_deref() == Some("main.makeNode"));
    let frame = frame.expect("it is on the stack");
    assert!(frame.file.as_deref().is_some_and(|file| file.ends_with("allocates.go")) && frame.line.is_some());
}

/// Check that a stack that grows under the call, goroutines and collections count no call twice.
#[test]
fn stacks_that_grow_and_collections_change_no_number() {
    let name = "stacks_that_grow_and_collections_change_no_number";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = start(&go, Build::Plain);
        let mut tracer = Tracer::attach(target.pid(), &[]);
        tracer.wait_counting();
        work(&mut target, "many 16 200");
        let snapshot = tracer.stop().success();
        let sites = sites_in(&snapshot, "main.makeNode");
        assert_eq!(sum(&sites, |site| site.alloc_objects), 16 * 200, "Go 1.{}: {sites:?}", go.minor);
        assert_eq!(sum(&sites, |site| site.alloc_bytes), 16 * 200 * 40);
        assert!(sites.iter().all(|site| site.truncated.is_none()), "{sites:?}");
    }
}

/// Check that sampled numbers are right within their errors, and the totals exact all the same.
#[test]
fn sampled_allocations_of_go_are_estimated() {
    let name = "sampled_allocations_of_go_are_estimated";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = start(&go, Build::Plain);
        let mut tracer = Tracer::attach(target.pid(), &["--sample-bytes", "8KiB"]);
        tracer.wait_counting();
        let before: Allocated = obey(&mut target, "stats");
        work(&mut target, &format!("work {}", 10 * ROUNDS));
        let after: Allocated = obey(&mut target, "stats");
        let snapshot = tracer.stop().success();
        let totals = &snapshot.targets[0].totals;
        let truth = after.objects - before.objects;
        assert!(totals.alloc_objects.abs_diff(truth) <= 100, "{totals:?}, not {truth}");
        for (function, objects, bytes) in WORK {
            let sites = sites_in(&snapshot, function);
            let estimate = sum(&sites, |site| site.alloc_bytes) as f64;
            let variance: f64 = sites.iter().map(|site| site.standard_error.alloc_bytes.powi(2)).sum();
            let truth = (10 * objects * bytes) as f64;
            let off = (estimate - truth).abs() / variance.sqrt();
            println!("Go 1.{}, {function}: {estimate}, {truth}, {off:.2} standard errors", go.minor);
            assert!(variance > 0.0 && off < 5.0, "{function}: {estimate} ± {}, not {truth}", variance.sqrt());
        }
    }
}

/// Check that a program under heavy load, whose stacks move all the time, goes on and computes what it should.
#[test]
fn a_go_program_survives_probes_on_its_allocator() {
    let name = "a_go_program_survives_probes_on_its_allocator";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = start(&go, Build::Plain);
        let mut tracer = Tracer::attach(target.pid(), &["--go", "probes"]);
        tracer.wait_counting();
        target.command("storm 20000");
        let storm: Storm = target.next_json();
        let snapshot = tracer.stop().success();
        println!("Go 1.{}: {} rounds, {} events", go.minor, storm.rounds, snapshot.quality.events);
        assert!(storm.whole && storm.rounds > 10, "{storm:?}");
        assert!(
            snapshot.targets[0].totals.alloc_objects > 200 * storm.rounds,
            "{:?}",
            snapshot.targets[0].totals
        );
        // It still answers, now without probes, and ends by itself.
        let again: Storm = obey(&mut target, "storm 500");
        assert!(again.whole, "{again:?}");
        assert!(target.wait().success());
    }
}

/// Check that a program that samples itself is asked itself, unless probes are wanted: never both.
#[test]
fn a_profile_is_used_where_there_is_one_unless_probes_are_wanted() {
    let name = "a_profile_is_used_where_there_is_one_unless_probes_are_wanted";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        for (option, source) in [("auto", "runtime"), ("runtime", "runtime"), ("probes", "uprobe")] {
            let mut target = Target::start(&go.build("keeper", Build::Stripped), &[]);
            let mut tracer = Tracer::attach(target.pid(), &["--go", option]);
            tracer.wait_counting();
            work(&mut target, "work 2000");
            let snapshot = tracer.stop().success();
            let sources: Vec<_> =
                snapshot.targets[0].allocators.iter().map(|one| one.source.as_str()).collect();
            assert_eq!(sources, [source], "--go {option}");
            let kept = sum(&sites_in(&snapshot, "main.keepSession"), |site| site.alloc_objects);
            match source {
                "uprobe" => assert_eq!(kept, 2000, "each once"),
                _ => assert!(snapshot.overhead.hits == 0, "nothing is probed"),
            }
        }
    }
}

/// Check that a program is counted from its first allocation on.
#[test]
fn run_counts_a_go_program_by_probes_from_its_start() {
    let name = "run_counts_a_go_program_by_probes_from_its_start";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut tracer = Tracer::run(&[], &go.build("allocates", Build::Stripped), &[]);
        tracer.wait_output("ready");
        tracer.write_input(&format!("work {ROUNDS}\nstats\n"));
        let outcome = tracer.wait();
        let snapshot = outcome.success();
        let answer = outcome.stdout.lines().last().expect("it has answered");
        let truth: Allocated = serde_json::from_str(answer).expect("its numbers");
        let totals = &snapshot.targets[0].totals;
        assert!(totals.alloc_objects.abs_diff(truth.objects) <= 100, "{totals:?}, not {truth:?}");
        let node = sum(&sites_in(&snapshot, "main.makeNode"), |site| site.alloc_objects);
        assert_eq!(node, ROUNDS);
    }
}
