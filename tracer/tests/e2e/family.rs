//! Children of a traced process: their heap is a copy, and what they do to it is theirs.

use tracer::model::snapshot::{Mode, Snapshot};

use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip};
use crate::tally::{Tally, assert_exact, assert_exact_in_both_modes, differences};

/// Traces a case whose child prints its tally before the parent does.
fn with_child(case: &str, options: &[&str]) -> (Snapshot, Tally, Tally) {
    let mut target = Target::start(&fixture("family"), &[case]);
    let mut tracer = Tracer::attach(target.pid(), options);
    tracer.wait_counting();
    target.go();
    let child = target.next_json();
    let parent = target.next_json();
    (tracer.stop().success(), parent, child)
}

/// Check that a child's frees of inherited blocks, and its own blocks, are not its parent's.
#[test]
fn forked_child_changes_nothing_of_its_parent() {
    if kernel_or_skip("forked_child_changes_nothing_of_its_parent") {
        for mode in [Mode::Live, Mode::Alloc] {
            let (snapshot, parent, _) = with_child("fork", &["--mode", &mode.to_string()]);
            assert_exact(&snapshot, &parent, mode);
            assert_eq!(snapshot.targets.len(), 1, "the child is not traced: {:?}", snapshot.targets);
        }
    }
}

/// Check that a followed child is a target of its own, for which inherited blocks are older than the attach.
#[test]
fn followed_child_has_numbers_of_its_own() {
    if kernel_or_skip("followed_child_has_numbers_of_its_own") {
        let (snapshot, mut parent, mut child) = with_child("late", &["--follow-forks=yes"]);
        assert_eq!(snapshot.targets.len(), 2, "parent and child: {:?}", snapshot.quality);
        // One quality block is about both.
        let old_freed = parent.old_freed + child.old_freed;
        assert_eq!(snapshot.quality.frees_unmatched, Some(old_freed), "{:?}", snapshot.quality);
        let mut wrong = Vec::new();
        for (target, tally) in snapshot.targets.iter().zip([&mut parent, &mut child]) {
            let lines = differences(&snapshot, target, tally, Mode::Live);
            let own = lines.into_iter().filter(|line| !line.starts_with("frees_unmatched"));
            wrong.extend(own.map(|line| format!("{}: {line}", target.pid)));
        }
        assert!(wrong.is_empty(), "{} numbers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// Check that fifty forks while another thread allocates leave that thread's numbers exact.
#[test]
fn forks_beside_a_busy_thread_leave_its_numbers_exact() {
    if kernel_or_skip("forks_beside_a_busy_thread_leave_its_numbers_exact") {
        assert_exact_in_both_modes("family", "busy");
    }
}

/// Check vfork, posix_spawn and system: what they start is another program.
#[test]
fn programs_that_a_target_starts_are_not_its_allocations() {
    if kernel_or_skip("programs_that_a_target_starts_are_not_its_allocations") {
        assert_exact_in_both_modes("family", "spawn");
    }
}
