//! Targets that are not there, end, become another program, or cannot be traced.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tracer::model::snapshot::Mode;

use crate::compare::{Seen, Truth, assert_exact, assert_named_sites};
use crate::fixtures;
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, number, skip, tracer};
use crate::inspect::descendants_of;

/// Check that a pid that nobody has is code 4 and named.
#[test]
fn pid_that_does_not_exist_is_code_4() {
    if kernel_or_skip("pid_that_does_not_exist_is_code_4") {
        // Above the kernel's highest possible pid.
        let outcome = Tracer::attach(4_194_305, &["--duration", "1s"]).wait();
        outcome.assert_refused(4, &["4194305"]);
    }
}

/// Check that the pid of a process that has just ended is code 4.
#[test]
fn pid_of_an_ended_process_is_code_4() {
    if kernel_or_skip("pid_of_an_ended_process_is_code_4") {
        let mut target = Target::start(&fixture("exits_soon"), &["0"]);
        let pid = target.pid();
        target.wait();
        Tracer::attach(pid, &["--duration", "1s"]).wait().assert_refused(4, &[&pid.to_string()]);
    }
}

/// Check that a zombie, which has a pid and no memory, is code 4.
#[test]
fn zombie_is_code_4() {
    if kernel_or_skip("zombie_is_code_4") {
        let target = Target::spawn(Command::new(fixture("exits_soon")).arg("0"));
        let status = format!("/proc/{}/status", target.pid());
        crate::harness::eventually("the child is a zombie", || {
            std::fs::read_to_string(&status).is_ok_and(|text| text.contains("State:\tZ"))
        });
        let pid = target.pid().to_string();
        Tracer::attach(target.pid(), &["--duration", "1s"]).wait().assert_refused(4, &[&pid]);
    }
}

/// Check that a target that is killed while it is traced gives its report and code 0.
#[test]
fn target_that_is_killed_while_attached_is_reported() {
    if kernel_or_skip("target_that_is_killed_while_attached_is_reported") {
        let options = ["--rounds", "3", "--stacks", "16", "--hold-all", "--wait-start", "--wait-end"];
        let mut target = Target::start(&fixture("truth"), &options);
        let mut tracer = Tracer::attach(target.pid(), &[]);
        tracer.wait_counting();
        target.go();
        let truth: Truth = target.next_json();
        target.signal(Signal::KILL);
        target.wait();
        let snapshot = tracer.wait().success();
        assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
        assert_eq!(snapshot.targets[0].ended.as_deref(), Some("ended"), "it says so");
    }
}

/// Check that a target that ends by itself ends the tracing, with every site still named.
#[test]
fn target_that_exits_while_attached_is_reported() {
    if kernel_or_skip("target_that_exits_while_attached_is_reported") {
        let mut target = Target::start(&fixture("truth"), &["--wait-start", "--stacks", "16", "--hold-all"]);
        let mut tracer = Tracer::attach(target.pid(), &["--duration", "100s"]);
        tracer.wait_counting();
        target.go();
        let truth: Truth = target.next_json();
        let snapshot = tracer.wait().success();
        assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
        assert_eq!(snapshot.targets[0].ended.as_deref(), Some("ended"), "it says so");
    }
}

/// Check that a target may end at any moment of the attach: then it is code 0 or 4 and nothing else.
#[test]
fn target_that_exits_during_the_attach_is_no_failure() {
    if kernel_or_skip("target_that_exits_during_the_attach_is_no_failure") {
        for milliseconds in ["1", "5", "10", "20", "30", "40", "60", "80", "120", "160", "240", "320"] {
            let target = Target::start(&fixture("exits_soon"), &[milliseconds]);
            let outcome = Tracer::attach(target.pid(), &["--duration", "20s"]).wait();
            let fine = outcome.code == 0 || outcome.code == 4;
            assert!(fine, "ended after {milliseconds} ms: code {}, {}", outcome.code, outcome.stderr);
            assert!(!outcome.stderr.contains("panicked"), "after {milliseconds} ms: {}", outcome.stderr);
            if outcome.code == 0 {
                let totals = outcome.snapshot().targets[0].totals.clone();
                assert!(totals.inuse_objects <= Some(1), "it holds one block at a time: {totals:?}");
            }
        }
    }
}

/// Check that a kernel thread is code 5 and called that.
#[test]
fn kernel_thread_is_code_5() {
    if !kernel_or_skip("kernel_thread_is_code_5") {
        return;
    }
    let comm = std::fs::read_to_string("/proc/2/comm").unwrap_or_default();
    if comm.trim() != "kthreadd" {
        return skip("kernel_thread_is_code_5", "pid 2 of this pid namespace is no kernel thread");
    }
    Tracer::attach(2, &["--duration", "1s"]).wait().assert_refused(5, &["kernel thread"]);
}

/// Check that a 32-bit target is code 5 and called that.
#[test]
fn thirty_two_bit_target_is_code_5() {
    let name = "thirty_two_bit_target_is_code_5";
    if !kernel_or_skip(name) {
        return;
    }
    let program = match fixtures::thirty_two_bit() {
        Ok(program) => program,
        Err(reason) => return skip(name, &format!("the compiler cannot: {reason}")),
    };
    if Command::new(&program).stdin(std::process::Stdio::null()).output().is_err() {
        return skip(name, "kernel: it cannot run 32-bit programs");
    }
    let mut target = Target::start(&program, &[]);
    Tracer::attach(target.pid(), &["--duration", "1s"]).wait().assert_refused(5, &["32-bit", "32 bit"]);
    assert!(target.alive(), "the target lives on");
}

/// Check that a static program without symbols is code 5, because no allocator is found.
#[test]
fn static_stripped_program_is_code_5() {
    let name = "static_stripped_program_is_code_5";
    if !kernel_or_skip(name) {
        return;
    }
    let program = match fixtures::static_stripped() {
        Ok(program) => program,
        Err(reason) => return skip(name, &format!("the compiler cannot: {reason}")),
    };
    let mut target = Target::start(&program, &["--wait-start"]);
    Tracer::attach(target.pid(), &["--duration", "1s"])
        .wait()
        .assert_refused(5, &["no allocator", "allocator"]);
    assert!(target.alive(), "the target lives on");
}

/// Check that a target that executes another program is reported until then, and that it is said.
#[test]
fn target_that_execs_while_attached_is_reported_until_then() {
    if kernel_or_skip("target_that_execs_while_attached_is_reported_until_then") {
        let truth = fixture("truth");
        let next = truth.to_str().expect("a plain path");
        let mut target =
            Target::start(&fixture("execs"), &["--wait", "1000", "64", next, "--wait-start", "--wait-end"]);
        let mut tracer = Tracer::attach(target.pid(), &[]);
        tracer.wait_counting();
        target.go();
        target.wait_ready();
        target.go();
        let _truth: Truth = target.next_json();
        let snapshot = tracer.stop().success();
        assert!(target.alive(), "the new program lives on");
        assert_named_sites(&snapshot, &[("before_exec_site", 1000, 64_000)]);
        assert_eq!(snapshot.targets[0].totals.alloc_objects, 1000, "nothing of the new program");
        assert_eq!(snapshot.targets[0].ended.as_deref(), Some("executed another program"), "it says so");
    }
}

/// Check that `run` follows the new program and is exact about it.
#[test]
fn run_follows_a_target_that_execs() {
    if kernel_or_skip("run_follows_a_target_that_execs") {
        let truth_program = fixture("truth");
        let next = truth_program.to_str().expect("a plain path");
        let options = ["1000", "64", next, "--stacks", "16", "--rounds", "3", "--leave-every", "3"];
        let outcome = Tracer::run(&[], &fixture("execs"), &options).wait();
        let snapshot = outcome.success();
        let truth: Truth = serde_json::from_str(&outcome.stdout).expect("the new program's truth");
        let mut expected = std::collections::BTreeMap::new();
        for site in truth.sites.iter().filter(|site| site.path >= 0) {
            let sums: &mut (u64, u64) = expected.entry(site.site.as_str()).or_default();
            *sums = (sums.0 + site.alloc_objects, sums.1 + site.alloc_bytes);
        }
        let sites: Vec<_> = expected.iter().map(|(name, sums)| (*name, sums.0, sums.1)).collect();
        assert_named_sites(&snapshot, &sites);
        let inuse = |site: &tracer::model::snapshot::CallSite| {
            crate::compare::direct_caller(site)
                .is_some_and(|name| name.starts_with("site_") || name.contains("strdup"))
        };
        let held: u64 =
            snapshot.sites.iter().filter(|site| inuse(site)).filter_map(|site| site.inuse_objects).sum();
        assert_eq!(held, truth.live.inuse_objects, "blocks in use of the new program");
    }
}

/// Check that a child, which inherits the breakpoints, is not added to its parent.
#[test]
fn attach_does_not_count_a_forked_child() {
    if kernel_or_skip("attach_does_not_count_a_forked_child") {
        let mut target = Target::start(&fixture("forks"), &["--wait", "200", "5000"]);
        let mut tracer = Tracer::attach(target.pid(), &[]);
        tracer.wait_counting();
        target.go();
        let truth: Value = target.next_json();
        assert_eq!(number(&truth, "status"), 7, "the child ended as it would untraced");
        let snapshot = tracer.stop().success();
        assert_named_sites(&snapshot, &[("parent_site", 200, 60_000), ("child_site", 0, 0)]);
        assert_eq!(snapshot.targets[0].totals.alloc_objects, 200, "only the parent's");
        assert!(descendants_of(target.pid()).is_empty(), "the child has ended");
    }
}

/// Check that `run` counts the children of its command; they are attached to soon after they start.
#[test]
fn run_counts_a_forked_child() {
    if kernel_or_skip("run_counts_a_forked_child") {
        let snapshot = Tracer::run(&[], &fixture("forks"), &["200", "5000", "2000"]).wait().success();
        assert_named_sites(&snapshot, &[("parent_site", 200, 60_000), ("child_site", 5000, 3_500_000)]);
        let by_target: Vec<u64> = snapshot.targets.iter().map(|target| target.totals.alloc_objects).collect();
        assert_eq!(by_target, [200, 5000], "the first target is the command's own process");
    }
}

/// Check that the children are left out when that is asked for.
#[test]
fn run_without_forks_leaves_the_child_out() {
    if kernel_or_skip("run_without_forks_leaves_the_child_out") {
        let options = ["--follow-forks=no"];
        let snapshot = Tracer::run(&options, &fixture("forks"), &["200", "5000"]).wait().success();
        assert_named_sites(&snapshot, &[("parent_site", 200, 60_000), ("child_site", 0, 0)]);
    }
}

/// Check that options which a later version brings, and nonsense, are code 2.
#[test]
fn wrong_usage_is_code_2() {
    let cases: [&[&str]; 8] = [
        &["attach"],
        &["attach", "--pid", "none"],
        &["attach", "--pid", "1", "--duration", "soon"],
        &["attach", "--pid", "1", "--mode", "growth"],
        &["attach", "--pid", "1", "--sample-bytes", "auto"],
        &["attach", "--pid", "1", "--max-overhead", "2%"],
        &["run"],
        &["no-such-command"],
    ];
    for arguments in cases {
        let outcome = Tracer::spawn(tracer().args(arguments)).wait();
        assert_eq!(outcome.code, 2, "{arguments:?}: {}", outcome.stderr);
        assert!(
            !outcome.stderr.is_empty() && outcome.stdout.is_empty(),
            "{arguments:?}: a message, on stderr"
        );
    }
}
