//! What processes do while they are traced: fork, load, run many threads, be many.

use std::process::Command;

use rustix::process::Signal;
use tracer::model::snapshot::Verdict;

use crate::fixtures;
use crate::harness::{Tracer, kernel_or_skip, nonzero};
use crate::servants::{
    Servant, assert_exact_each, assert_sites_exact, copy_named, of_pid, pids, report, select,
    wait_counting_in,
};

/// Objects that `maps_many_objects` loads.
const OBJECTS: usize = 3000;
/// More than a tracer has slots.
const ONE_AFTER_THE_OTHER: usize = 300;
/// Threads of one process, and processes of one tracer.
const THREADS: usize = 500;
const PROCESSES: usize = 200;

/// Check a pre-forking server: each child has a heap of its own, in which what it has from its parent is old.
#[test]
fn children_of_a_server_are_counted_each_by_itself() {
    if !kernel_or_skip("children_of_a_server_are_counted_each_by_itself") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "forking-server");
    for selector in ["--pid", "--comm", "--attach"] {
        let mut server = Servant::named(&program);
        let pid = server.pid.to_string();
        let options: &[&str] = match selector {
            "--pid" => &["--pid", &pid, "--follow-forks=yes"],
            // Without --follow-forks: a child has its parent's name.
            "--comm" => &["--comm", "forking-server"],
            _ => &["--comm", "forking-server", "--attach", "perf"],
        };
        let mut tracer = select(options);
        tracer.wait_counting();
        server.work(1);
        let children: Vec<u32> = (0..4).map(|_| server.fork()).collect();
        children.iter().for_each(|&child| wait_counting_in(&tracer, child));
        for child in 0..children.len() {
            server.obey(&format!("child {child} drop 10"), "dropped");
            (0..=child).for_each(|_| server.obey(&format!("child {child} work"), "worked"));
        }
        server.work(1);
        let mut tallies: Vec<_> =
            (0..children.len()).map(|child| (children[child], server.tally_of_child(child))).collect();
        tallies.push((server.pid, server.tally()));
        let snapshot = report(tracer);
        assert_exact_each(&snapshot, &tallies);
        assert_eq!(snapshot.targets.len(), 5, "{selector}: the server and its children");
        let leaks = |pid: u32| of_pid(&snapshot, pid).totals.inuse_objects;
        assert_eq!(
            leaks(children[0]),
            Some(70),
            "{selector}: what a child has from its parent is no leak of it"
        );
    }
}

/// Check that without --follow-forks a child pays nothing, and is not in the report.
#[test]
fn child_that_is_not_followed_is_left_alone() {
    if !kernel_or_skip("child_that_is_not_followed_is_left_alone") {
        return;
    }
    let mut server = Servant::start();
    let mut tracer = Tracer::attach(server.pid, &[]);
    tracer.wait_counting();
    let child = server.fork();
    server.obey("child 0 work", "worked");
    server.work(1);
    let tally = server.tally();
    let snapshot = report(tracer);
    assert_eq!(pids(&snapshot), [server.pid], "not {child}");
    assert_exact_each(&snapshot, &[(server.pid, tally)]);
}

/// Check a library that is loaded while the process is traced: its sites are named, the first call's too.
#[test]
fn library_loaded_while_attached_is_known_at_once() {
    if !kernel_or_skip("library_loaded_while_attached_is_known_at_once") {
        return;
    }
    let library = fixtures::library("loaded_library");
    let mut servant = Servant::start();
    let mut tracer = Tracer::attach(servant.pid, &[]);
    tracer.wait_counting();
    servant.obey(&format!("load {} 50", library.display()), "loaded");
    servant.obey("call 25", "called");
    servant.work(1);
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_sites_exact(&snapshot, servant.pid, &tally);
    let of_library = |name: Option<&str>| name == Some("library_site");
    let sites: Vec<_> = snapshot
        .sites
        .iter()
        .filter(|site| site.frames.first().is_some_and(|frame| of_library(frame.function.as_deref())))
        .collect();
    let objects: u64 = sites.iter().map(|site| site.alloc_objects).sum();
    assert_eq!(objects, 75, "all calls of the library: {sites:?}");
    let modules: Vec<_> = sites.iter().filter_map(|site| site.frames[0].module.clone()).collect();
    assert!(modules.iter().all(|module| *module == library.display().to_string()), "{modules:?}");
}

/// Check a process with five hundred threads.
#[test]
fn process_with_five_hundred_threads_is_counted_exactly() {
    if !kernel_or_skip("process_with_five_hundred_threads_is_counted_exactly") {
        return;
    }
    let mut servant = Servant::start();
    servant.obey(&format!("threads {THREADS}"), "started");
    servant.obey("reset", "reset");
    let mut tracer = Tracer::attach(servant.pid, &[]);
    tracer.wait_counting();
    servant.work(3);
    servant.obey("threads 100", "started");
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_sites_exact(&snapshot, servant.pid, &tally);
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
}

/// Check a process with three thousand mapped objects, and that the last of them is known.
#[test]
fn process_with_three_thousand_objects_is_counted_exactly() {
    if !kernel_or_skip("process_with_three_thousand_objects_is_counted_exactly") {
        return;
    }
    let copies = fixtures::many_libraries(OBJECTS);
    let mut servant = Servant::start();
    for library in &copies {
        servant.obey(&format!("load {} 1", library.display()), "loaded");
    }
    servant.obey("reset", "reset");
    let mut tracer = Tracer::attach(servant.pid, &[]);
    tracer.wait_counting();
    servant.work(3);
    servant.obey("call 40", "called");
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_sites_exact(&snapshot, servant.pid, &tally);
    let last = copies.last().expect("there are some").display().to_string();
    let frames = snapshot.sites.iter().filter_map(|site| Some((site, site.frames.first()?)));
    let of_last = frames.filter(|(_, frame)| frame.module.as_deref() == Some(last.as_str()));
    let objects: u64 = of_last.map(|(site, _)| site.alloc_objects).sum();
    assert_eq!(objects, 40, "calls of the last library");
    assert!(nonzero(&snapshot.quality.lost).is_empty(), "{:?}", snapshot.quality);
}

/// Check two hundred targets of one tracer.
#[test]
fn two_hundred_processes_are_each_counted_exactly() {
    if !kernel_or_skip("two_hundred_processes_are_each_counted_exactly") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "one-of-many");
    let mut servants: Vec<Servant> = (0..PROCESSES).map(|_| Servant::named(&program)).collect();
    let mut tracer = select(&["--comm", "one-of-many"]);
    tracer.wait_counting();
    for (index, servant) in servants.iter_mut().enumerate() {
        servant.work(1 + index as u32 % 3);
    }
    let tallies: Vec<_> = servants.iter_mut().map(|servant| (servant.pid, servant.tally())).collect();
    let snapshot = report(tracer);
    assert_eq!(snapshot.targets.len(), PROCESSES);
    assert_exact_each(&snapshot, &tallies);
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
}

/// Check three hundred images, one after the other: the slots of those that are over are used again, and no number of one
/// gets into another's.
#[test]
fn slots_of_ended_processes_are_used_again() {
    if !kernel_or_skip("slots_of_ended_processes_are_used_again") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "one-by-one");
    let mut stays = Servant::named(&program);
    let mut tracer = select(&["--comm", "one-by-one"]);
    tracer.wait_counting();
    let mut tallies = Vec::new();
    for index in 0..ONE_AFTER_THE_OTHER {
        let mut servant = Servant::named(&program);
        wait_counting_in(&tracer, servant.pid);
        servant.work(1 + index as u32 % 2);
        tallies.push((servant.pid, servant.tally()));
        servant.process.command("exit");
        servant.process.wait();
    }
    stays.work(3);
    tallies.push((stays.pid, stays.tally()));
    let snapshot = report(tracer);
    assert_eq!(snapshot.targets.len(), ONE_AFTER_THE_OTHER + 1);
    assert_exact_each(&snapshot, &tallies);
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
    let held =
        |target: &tracer::model::snapshot::Target| target.totals.inuse_objects.is_some_and(|held| held >= 70);
    assert!(snapshot.targets.iter().all(held), "what each had at its end is still told");
}

/// Check more forks than the ring of notices holds while nobody reads it: that is counted, and who started meanwhile is
/// found all the same.
#[test]
fn process_whose_notice_was_lost_is_found_by_a_look_at_all() {
    if !kernel_or_skip("process_whose_notice_was_lost_is_found_by_a_look_at_all") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "notice-is-lost");
    let mut first = Servant::named(&program);
    let mut tracer = select(&["--comm", "notice-is-lost", "--interval", "100ms"]);
    tracer.wait_counting();
    first.work(1);
    tracer.signal(Signal::STOP);
    // 24 bytes each, of 256 KiB.
    let forks = "import os\nfor _ in range(12000):\n p = os.fork()\n p or os._exit(0)\n os.waitpid(p, 0)";
    let storm = Command::new("python3").args(["-c", forks]).status().expect("python3 is there");
    assert!(storm.success());
    let mut second = Servant::named(&program);
    tracer.signal(Signal::CONT);
    wait_counting_in(&tracer, second.pid);
    second.work(2);
    let tallies = [(first.pid, first.tally()), (second.pid, second.tally())];
    let snapshot = report(tracer);
    assert_exact_each(&snapshot, &tallies);
    let failures = nonzero(&snapshot.quality.attach_failures);
    assert!(failures.contains_key("notices of processes that were lost"), "{failures:?}");
    assert_eq!(
        snapshot.quality.verdict,
        Verdict::Lossy,
        "somebody else may have come and gone: {failures:?}"
    );
}
