//! Processes that are chosen by name, program, control group and container, now and later.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tracer::model::snapshot::Verdict;

use crate::copies::copy_program;
use crate::fixtures;
use crate::groups::Group;
use crate::harness::{Target, eventually, kernel_or_skip, nonzero, skip};
use crate::inspect::breakpoints_of;
use crate::servants::{
    Servant, assert_exact_each, assert_sites_exact, copy_named, of_pid, pids, report, select,
    wait_counting_in, wait_message,
};

/// Every process that a rule names is counted, exactly; no other one is.
#[track_caller]
fn assert_selects(options: &[&str], mut wanted: Vec<Servant>, mut others: Vec<Servant>) {
    let mut tracer = select(options);
    tracer.wait_counting();
    let mut tallies = Vec::new();
    for servant in wanted.iter_mut().chain(&mut others) {
        servant.work(2);
    }
    for servant in &mut wanted {
        tallies.push((servant.pid, servant.tally()));
    }
    let snapshot = report(tracer);
    let mut expected: Vec<u32> = wanted.iter().map(|servant| servant.pid).collect();
    expected.sort_unstable();
    assert_eq!(pids(&snapshot), expected, "{options:?}: those and no other");
    assert_exact_each(&snapshot, &tallies);
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{options:?}: {:?}", snapshot.quality);
}

/// Check names: the kernel keeps 15 bytes, so a longer name means those, and a part of a name means nothing.
#[test]
fn processes_are_found_by_their_name() {
    if !kernel_or_skip("processes_are_found_by_their_name") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let long = copy_named(&directory, "served-by-a-long-name");
    let same_beginning = copy_named(&directory, "served-by-a-long-other");
    let short = copy_named(&directory, "served-by-a-lo");
    let wanted = [&long, &long, &same_beginning].map(|program| Servant::named(program));
    assert_selects(&["--comm", "served-by-a-long-name"], wanted.into(), vec![Servant::named(&short)]);
}

/// Check programs: by the file, whatever name leads to it, and a copy is another one.
#[test]
fn processes_are_found_by_their_program() {
    if !kernel_or_skip("processes_are_found_by_their_program") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (program, copy) = (copy_named(&directory, "the-program"), copy_named(&directory, "the-copy"));
    let link = directory.path().join("a-link");
    symlink(&program, &link).expect("a link");
    for named in [&program, &link] {
        let wanted = vec![Servant::named(&program), Servant::named(&link)];
        assert_selects(&["--exe", &named.display().to_string()], wanted, vec![Servant::named(&copy)]);
    }
}

/// Check that pids and rules add up.
#[test]
fn pids_and_rules_are_a_union() {
    if !kernel_or_skip("pids_and_rules_are_a_union") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (named, program) = (copy_named(&directory, "union-by-name"), copy_named(&directory, "union-by-file"));
    let other = copy_named(&directory, "union-by-nobody");
    let wanted = vec![Servant::named(&named), Servant::named(&program), Servant::named(&other)];
    let (pid, again) = (wanted[2].pid.to_string(), wanted[0].pid.to_string());
    let exe = program.display().to_string();
    let options =
        ["--comm", "union-by-name", "--exe", &exe, "--pid", &pid, "--pid", &again, "--comm", "nobody"];
    assert_selects(&options, wanted, vec![Servant::named(&other)]);
}

/// Check control groups: the whole subtree, by an absolute path and by one relative to the mount.
#[test]
fn processes_are_found_by_their_control_group() {
    let name = "processes_are_found_by_their_control_group";
    if !kernel_or_skip(name) {
        return;
    }
    let Some(group) = Group::create("tree") else { return skip(name, "no control group can be made here") };
    let below = group.below("deeper");
    let (absolute, relative) = (group.path().display().to_string(), group.relative.display().to_string());
    for path in [absolute, relative.clone(), format!("/{relative}")] {
        let wanted = vec![Servant::start(), Servant::start()];
        group.take(wanted[0].pid);
        below.take(wanted[1].pid);
        assert_selects(&["--cgroup", &path], wanted, vec![Servant::start()]);
    }
}

/// Check that a process which is moved into the group is traced from then on.
#[test]
fn process_that_comes_into_the_control_group_is_traced() {
    let name = "process_that_comes_into_the_control_group_is_traced";
    if !kernel_or_skip(name) {
        return;
    }
    let Some(group) = Group::create("moved") else { return skip(name, "no control group can be made here") };
    let tracer = select(&["--cgroup", &group.path().display().to_string(), "--interval", "200ms"]);
    wait_message(&tracer, "waiting for the first one");
    let mut servant = Servant::start();
    servant.work(1);
    group.take(servant.pid);
    wait_counting_in(&tracer, servant.pid);
    servant.obey("reset", "reset");
    servant.work(3);
    servant.obey("drop 7", "dropped");
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_exact_each(&snapshot, &[(servant.pid, tally)]);
    let notes = &snapshot.quality.notes;
    assert!(notes.iter().any(|note| note.contains("came into a control group")), "it is said: {notes:?}");
}

/// Check containers: by the first digits of their id, in a group as runtimes make them.
#[test]
fn processes_are_found_by_their_container() {
    let name = "processes_are_found_by_their_container";
    if !kernel_or_skip(name) {
        return;
    }
    let Some(group) = Group::create("pod") else { return skip(name, "no control group can be made here") };
    let id = format!("{:08x}{}", std::process::id(), "0123456789abcdef".repeat(4));
    let (id, other) = (&id[..64], format!("{}{}", &id[8..64], "ffffffff"));
    let scope = group.below(&format!("cri-containerd-{id}.scope"));
    let inside = scope.below("container");
    let neighbour = group.below(&format!("cri-containerd-{other}.scope"));
    for text in [id.to_owned(), id[..12].to_owned(), format!("containerd://{id}")] {
        let wanted = vec![Servant::start(), Servant::start()];
        scope.take(wanted[0].pid);
        inside.take(wanted[1].pid);
        let stranger = Servant::start();
        neighbour.take(stranger.pid);
        assert_selects(&["--container", &text], wanted, vec![stranger]);
    }
}

/// Check that tracer waits for the first process, attaches to later ones, and lets the ended ones go.
#[test]
fn processes_that_start_later_are_traced_and_ended_ones_released() {
    if !kernel_or_skip("processes_that_start_later_are_traced_and_ended_ones_released") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "starts-later");
    let mut tracer = select(&["--comm", "starts-later", "--duration", "200s"]);
    wait_message(&tracer, "waiting for the first one");
    let mut tallies = Vec::new();
    let mut servants: Vec<Servant> = Vec::new();
    for round in 1..=3 {
        let mut servant = Servant::named(&program);
        wait_counting_in(&tracer, servant.pid);
        tracer.wait_counting();
        servant.work(round);
        tallies.push((servant.pid, servant.tally()));
        servants.push(servant);
    }
    let mut first = servants.remove(0);
    first.process.command("exit");
    first.process.wait();
    let mut last = Servant::named(&program);
    wait_counting_in(&tracer, last.pid);
    last.work(1);
    tallies.push((last.pid, last.tally()));
    assert!(servants.iter().all(|servant| breakpoints_of(servant.pid) > 0), "the others are traced on");
    let snapshot = report(tracer);
    assert_exact_each(&snapshot, &tallies);
    let over = of_pid(&snapshot, first.pid);
    assert_eq!(over.ended.as_deref(), Some("ended"));
    let (counted, inuse) = (over.counted_seconds.expect("a time"), over.inuse_seconds.expect("a time"));
    assert!(counted < snapshot.attached_seconds && inuse < counted + 0.01, "{inuse} s of {counted} s");
    assert_eq!(of_pid(&snapshot, last.pid).ended, None);
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
}

/// Check that a wait for a process that never comes ends with code 4, whether or not a time was given.
#[test]
fn wait_that_is_ended_by_hand_is_code_4() {
    if kernel_or_skip("wait_that_is_ended_by_hand_is_code_4") {
        for options in [&["--comm", "nobody-is-called"][..], &["--exe", "/nowhere", "--duration", "50ms"]] {
            let tracer = select(options);
            wait_message(&tracer, "waiting for the first one");
            tracer.signal(Signal::INT);
            tracer.wait().assert_refused(4, &["no process matched"]);
        }
    }
}

/// Check that processes which match and end too soon are said to, by code 4.
#[test]
fn processes_that_all_end_too_soon_are_code_4() {
    if !kernel_or_skip("processes_that_all_end_too_soon_are_code_4") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("ends-at-once");
    copy_program(Path::new("/bin/true"), &program);
    let tracer = select(&["--comm", "ends-at-once"]);
    wait_message(&tracer, "waiting for the first one");
    for _ in 0..20 {
        assert!(Command::new(&program).status().expect("it runs").success());
    }
    // Until they have been looked at.
    std::thread::sleep(std::time::Duration::from_millis(500));
    tracer.stop().assert_refused(4, &["ended before it was attached to", "ended while it was attached to"]);
}

/// Check that the time counts from the first process on.
#[test]
fn duration_counts_from_the_first_process() {
    if !kernel_or_skip("duration_counts_from_the_first_process") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "comes-in-time");
    let tracer = select(&["--comm", "comes-in-time", "--duration", "500ms"]);
    wait_message(&tracer, "waiting for the first one");
    std::thread::sleep(std::time::Duration::from_millis(700));
    let servant = Servant::named(&program);
    let snapshot = tracer.wait().success();
    assert_eq!(pids(&snapshot), [servant.pid]);
    assert!(snapshot.attached_seconds >= 0.4, "{}", snapshot.attached_seconds);
}

/// Check that a process which becomes another program leaves the selection, and that one which becomes a wanted one joins
/// it with a heap of its own.
#[test]
fn exec_moves_a_process_in_and_out_of_the_selection() {
    if !kernel_or_skip("exec_moves_a_process_in_and_out_of_the_selection") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (wanted, other) = (copy_named(&directory, "wanted-now"), copy_named(&directory, "not-wanted"));
    let mut comes = Servant::named(&other);
    let mut goes = Servant::named(&wanted);
    let mut stays = Servant::named(&wanted);
    let mut tracer = select(&["--comm", "wanted-now"]);
    tracer.wait_counting();
    for servant in [&mut comes, &mut goes, &mut stays] {
        servant.work(1);
    }
    let before = goes.tally();
    let stayed = stays.tally();
    comes.become_program(&wanted);
    comes.process.wait_ready();
    wait_counting_in(&tracer, comes.pid);
    goes.become_program(&other);
    goes.process.wait_ready();
    stays.become_program(&wanted);
    stays.process.wait_ready();
    wait_counting_in(&tracer, stays.pid);
    for servant in [&mut comes, &mut goes, &mut stays] {
        servant.work(2);
    }
    let (came, now) = (comes.tally(), stays.tally());
    let snapshot = report(tracer);
    assert_eq!(pids(&snapshot), {
        let mut all = [comes.pid, goes.pid, stays.pid];
        all.sort_unstable();
        all
    });
    assert_sites_exact(&snapshot, comes.pid, &came);
    assert_sites_exact(&snapshot, goes.pid, &before);
    assert_eq!(of_pid(&snapshot, goes.pid).ended.as_deref(), Some("executed another program"));
    let totals = &of_pid(&snapshot, stays.pid).totals;
    assert_eq!(
        totals.alloc_objects,
        stayed.sum(|site| site.alloc_objects) + now.sum(|site| site.alloc_objects)
    );
    let in_use = now.sum(|site| site.alloc_objects) - now.sum(|site| site.free_objects);
    assert_eq!(totals.inuse_objects, Some(in_use), "the old image's heap has ended with it: {totals:?}");
    assert!(nonzero(&snapshot.quality.lost).is_empty(), "{:?}", snapshot.quality);
}

/// Check that what is never a target is said with -v and counted nowhere, and that what is wanted and cannot be traced is
/// counted and ends nothing.
#[test]
fn wanted_process_that_cannot_be_traced_does_not_end_the_run() {
    let name = "wanted_process_that_cannot_be_traced_does_not_end_the_run";
    if !kernel_or_skip(name) {
        return;
    }
    let stripped = match fixtures::static_stripped() {
        Ok(program) => program,
        Err(error) => return skip(name, &error),
    };
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "some-can-some");
    let untraceable = directory.path().join("cannot").join("some-can-some");
    fs::create_dir(directory.path().join("cannot")).expect("a directory");
    copy_program(&stripped, &untraceable);
    let mut servant = Servant::named(&program);
    let _stranger = Target::start(&untraceable, &["--wait-start"]);
    let mut tracer = select(&["--comm", "some-can-some", "--comm", "kthreadd"]);
    tracer.wait_counting();
    wait_message(&tracer, "is not traced: ");
    servant.work(2);
    let tally = servant.tally();
    let messages = tracer.messages();
    let snapshot = report(tracer);
    assert!(messages.contains("is a kernel thread"), "said with -v: {messages}");
    assert_exact_each(&snapshot, &[(servant.pid, tally)]);
    let failures = nonzero(&snapshot.quality.attach_failures);
    assert_eq!(failures, [("process: it cannot be traced (-v says why)", 1)].into(), "{messages}");
    assert_eq!(snapshot.quality.verdict, Verdict::Lossy);
}

/// Check that 32-bit processes are passed over.
#[test]
fn process_of_32_bits_is_never_selected() {
    let name = "process_of_32_bits_is_never_selected";
    if !kernel_or_skip(name) {
        return;
    }
    let program = match fixtures::thirty_two_bit() {
        Ok(program) => program,
        Err(error) => return skip(name, &error),
    };
    let _target = Target::spawn(&mut Command::new(&program));
    let tracer = select(&["--exe", &program.display().to_string()]);
    wait_message(&tracer, "is a 32-bit program");
    tracer.stop().assert_refused(4, &["no process matched"]);
}

/// Check thousands of short processes beside a target: they cost no number of its own, and no more work than is bounded.
#[test]
fn storm_of_short_processes_leaves_a_target_exact() {
    if !kernel_or_skip("storm_of_short_processes_leaves_a_target_exact") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "in-the-storm");
    let mut servant = Servant::named(&program);
    let exe = program.display().to_string();
    let mut tracer = select(&["--exe", &exe, "--pid", &servant.pid.to_string()]);
    tracer.wait_counting();
    let script = "i=0; while [ $i -lt 1500 ]; do /bin/true; (:); i=$((i+1)); done";
    let mut storm = Command::new("sh").args(["-c", script]).spawn().expect("a shell");
    while storm.try_wait().expect("our child").is_none() {
        servant.work(1);
        if servant.tally().sum(|site| site.alloc_objects) > 60_000 {
            break;
        }
    }
    drop(storm.wait());
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_eq!(pids(&snapshot), [servant.pid], "no other process is of that program");
    assert_exact_each(&snapshot, &[(servant.pid, tally)]);
}

/// Check that one process is waited for by each rule: a program that does not exist yet, a group that does not either.
#[test]
fn rule_may_name_what_is_not_there_yet() {
    if !kernel_or_skip("rule_may_name_what_is_not_there_yet") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("installed-later");
    let tracer = select(&["--exe", &path.display().to_string(), "--cgroup", "/no/such/group"]);
    wait_message(&tracer, "waiting for the first one");
    let program = copy_named(&directory, "installed-later");
    let mut servant = Servant::named(&program);
    wait_counting_in(&tracer, servant.pid);
    servant.work(1);
    let tally = servant.tally();
    assert_exact_each(&report(tracer), &[(servant.pid, tally)]);
    eventually("its probes are gone", || breakpoints_of(servant.pid) == 0);
    assert!(Path::new(&program).exists());
}
