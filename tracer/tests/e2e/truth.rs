//! A program with known truth: every function, K stacks, failures, reallocs, threads. All of it exact.

use tracer::model::snapshot::Mode;

use crate::compare::{Seen, Truth, assert_exact};
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip};

/// Traces the truth program from "ready" to its truth.
fn attached(tracer_options: &[&str], target_options: &[&str]) -> (tracer::model::snapshot::Snapshot, Truth) {
    let arguments = [target_options, &["--wait-start", "--wait-end"]].concat();
    let mut target = Target::start(&fixture("truth"), &arguments);
    let mut tracer = Tracer::attach(target.pid(), tracer_options);
    tracer.wait_counting();
    target.go();
    let truth: Truth = target.next_json();
    let outcome = tracer.stop();
    assert!(target.alive(), "the target lives on: {}", outcome.stderr);
    (outcome.success(), truth)
}

/// The same under `run`, from the process' start.
fn from_the_start(
    tracer_options: &[&str],
    target_options: &[&str],
) -> (tracer::model::snapshot::Snapshot, Truth) {
    let outcome = Tracer::run(tracer_options, &fixture("truth"), target_options).wait();
    let truth = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error} in {} {}", outcome.stdout, outcome.stderr));
    (outcome.success(), truth)
}

/// Check that the program exercises what it claims to, or the tests below prove less than they say.
#[test]
fn truth_program_covers_every_case() {
    let output = std::process::Command::new(fixture("truth"))
        .args(["--threads", "4", "--rounds", "5", "--stacks", "32", "--leave-every", "7"])
        .output()
        .expect("the truth program runs");
    let truth: Truth = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    assert!(truth.realloc_moved > 100 && truth.realloc_in_place > 100, "both kinds of realloc: {truth:?}");
    assert!(truth.freed_by_another > 100, "frees by another thread: {truth:?}");
    assert!(truth.live.inuse_objects > 100 && truth.live.free_objects > 100, "kept and freed: {truth:?}");
    let site_objects: u64 = truth.sites.iter().map(|site| site.alloc_objects).sum();
    assert_eq!(site_objects, truth.live.alloc_objects, "its sites add up to its totals");
    for name in
        ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc"]
    {
        let function = truth.by_function[name];
        assert!(function.calls > 0 && function.failed > 0, "{name} succeeds and fails: {function:?}");
    }
}

/// Check that everything is exact in one thread when blocks stay.
#[test]
fn attach_live_counts_every_function_and_site_exactly() {
    if kernel_or_skip("attach_live_counts_every_function_and_site_exactly") {
        let (snapshot, truth) =
            attached(&[], &["--rounds", "10", "--stacks", "64", "--leave-every", "5", "--absurd"]);
        assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
    }
}

/// Check that everything is exact when four threads free each other's blocks.
#[test]
fn attach_live_is_exact_with_threads_that_free_each_others_blocks() {
    if kernel_or_skip("attach_live_is_exact_with_threads_that_free_each_others_blocks") {
        let (snapshot, truth) =
            attached(&[], &["--threads", "4", "--rounds", "10", "--stacks", "32", "--leave-every", "7"]);
        assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
    }
}

/// Check that 256 stacks times nine functions stay apart when nothing is freed.
#[test]
fn attach_live_keeps_two_thousand_stacks_apart() {
    if kernel_or_skip("attach_live_keeps_two_thousand_stacks_apart") {
        let (snapshot, truth) = attached(&[], &["--rounds", "2", "--stacks", "256", "--hold-all"]);
        assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
    }
}

/// Check that in-use is 0, in total and at every site, after everything was freed.
#[test]
fn nothing_is_in_use_after_everything_was_freed() {
    if kernel_or_skip("nothing_is_in_use_after_everything_was_freed") {
        let (snapshot, truth) = attached(&[], &["--threads", "2", "--rounds", "20", "--free-all"]);
        assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
        let totals = &snapshot.targets[0].totals;
        assert_eq!((totals.inuse_objects, totals.inuse_bytes), (Some(0), Some(0)), "totals: {totals:?}");
        let leaking: Vec<_> = snapshot.sites.iter().filter(|site| site.inuse_objects != Some(0)).collect();
        assert!(leaking.is_empty(), "sites with blocks in use: {leaking:?}");
    }
}

/// Check that mode `alloc` counts attempts, and knows nothing of frees.
#[test]
fn attach_alloc_counts_every_attempt_exactly() {
    if kernel_or_skip("attach_alloc_counts_every_attempt_exactly") {
        let (snapshot, truth) = attached(
            &["--mode", "alloc"],
            &["--threads", "2", "--rounds", "5", "--stacks", "64", "--leave-every", "5"],
        );
        assert_exact(&snapshot, &truth, Mode::Alloc, Seen::SinceAttach);
    }
}

/// Check that perf events give the same numbers as uprobe_multi.
#[test]
fn attach_by_perf_events_is_as_exact() {
    if kernel_or_skip("attach_by_perf_events_is_as_exact") {
        for mode in [Mode::Live, Mode::Alloc] {
            let options = ["--attach", "perf", "--mode", &mode.to_string()];
            let (snapshot, truth) =
                attached(&options, &["--rounds", "5", "--stacks", "32", "--leave-every", "3"]);
            assert_exact(&snapshot, &truth, mode, Seen::SinceAttach);
            let mut probes = snapshot.targets[0].allocators.iter().flat_map(|allocator| &allocator.probes);
            assert!(
                probes.all(|probe| probe.attach == "perf_event"),
                "forced: {:?}",
                snapshot.targets[0].allocators
            );
        }
    }
}

/// Check that `run` misses nothing from the first instruction on: this process has no other heap use.
#[test]
fn run_live_is_exact_from_the_first_allocation() {
    if kernel_or_skip("run_live_is_exact_from_the_first_allocation") {
        let (snapshot, truth) =
            from_the_start(&[], &["--rounds", "10", "--stacks", "64", "--leave-every", "5"]);
        assert_exact(&snapshot, &truth, Mode::Live, Seen::FromTheStart);
        assert_eq!(
            snapshot.targets[0].totals.alloc_objects,
            truth.live.alloc_objects + truth.old_objects,
            "no call beside the program's own"
        );
    }
}

/// Check that `run` is exact with threads; starting one costs a calloc in ld.so and nothing else.
#[test]
fn run_live_is_exact_with_threads() {
    if kernel_or_skip("run_live_is_exact_with_threads") {
        let options = ["--threads", "4", "--rounds", "5", "--stacks", "16", "--leave-every", "3"];
        let (snapshot, truth) = from_the_start(&[], &options);
        assert_exact(&snapshot, &truth, Mode::Live, Seen::FromTheStart);
        let own = truth.live.alloc_objects + truth.old_objects;
        assert_eq!(snapshot.targets[0].totals.alloc_objects, own + 3, "one calloc for each started thread");
    }
}

/// Check that `run` in mode `alloc` counts every attempt.
#[test]
fn run_alloc_is_exact_from_the_first_allocation() {
    if kernel_or_skip("run_alloc_is_exact_from_the_first_allocation") {
        let (snapshot, truth) = from_the_start(&["--mode", "alloc"], &["--rounds", "5", "--stacks", "64"]);
        assert_exact(&snapshot, &truth, Mode::Alloc, Seen::FromTheStart);
    }
}

/// Check that two tracers of one process, return probes and tail jumps included, are both right.
#[test]
fn two_tracers_on_one_target_are_both_right() {
    if kernel_or_skip("two_tracers_on_one_target_are_both_right") {
        let options =
            ["--rounds", "10", "--stacks", "32", "--leave-every", "5", "--wait-start", "--wait-end"];
        let mut target = Target::start(&fixture("truth"), &options);
        let mut first = Tracer::attach(target.pid(), &[]);
        first.wait_counting();
        let mut second = Tracer::attach(target.pid(), &[]);
        second.wait_counting();
        target.go();
        let truth: Truth = target.next_json();
        let (second, first) = (second.stop(), first.stop());
        assert_exact(&first.success(), &truth, Mode::Live, Seen::SinceAttach);
        assert_exact(&second.success(), &truth, Mode::Live, Seen::SinceAttach);
    }
}
