//! Processes that come and go: short ones, many, and those that come back under the same pid.

use std::process::Command;
use std::time::{Duration, Instant};

use tracer::model::snapshot::Mode;

use super::books::{
    Watcher, assert_shows, profile, resident_bytes, sums, wait_counted_in, wait_gone, wait_row,
};
use super::driver::{Daemon, sum_of};
use crate::copies::copy_program;
use crate::fixtures::fixture;
use crate::harness::kernel_or_skip;
use crate::servants::{Servant, assert_sites_exact, copy_named};
use crate::tally::Tally;

/// Processes that end right after their work.
const SHORT: u32 = 20;
/// How long the storm is.
const STORM: Duration = Duration::from_secs(20);

/// Check that what a process did in the moment before its end is counted, and that it leaves nothing but that.
#[test]
fn last_work_of_a_process_is_counted() {
    if !kernel_or_skip("last_work_of_a_process_is_counted") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "ends-in-a-hurry");
    let daemon = Daemon::start(
        "interval = \"100ms\"\n[[target]]\ncomm = \"ends-in-a-hurry\"\nmode = \"live\"\nsample_bytes = \"0\"\n",
    );
    let watcher = Watcher::of(&daemon);
    let mut servants: Vec<Servant> = (0..SHORT).map(|_| Servant::named(&program)).collect();
    wait_counted_in(&daemon, &servants.iter().map(|servant| servant.pid).collect::<Vec<_>>());
    // What a program's loader did before that may be counted or not.
    let before = daemon.metric("tracer_alloc_objects_total", &[]).unwrap_or(0.0);
    for (servant, times) in servants.iter_mut().zip(1..) {
        // At once, so that there is no moment between the two.
        servant.process.command(&format!("{}exit", "work\n".repeat(times)));
    }
    servants.iter_mut().for_each(|servant| assert!(servant.process.wait().success()));
    let works = f64::from(SHORT * (SHORT + 1) / 2);
    assert_shows(
        &daemon,
        &[],
        &vec![
            ("tracer_alloc_objects_total", Some(before + works * 100.0)),
            ("tracer_free_objects_total", Some(works * 30.0)),
            ("tracer_target_processes", Some(0.0)),
            ("tracer_inuse_objects", None),
        ],
    );
    for map in ["slots", "stacks"] {
        daemon.wait_metric("tracer_map_entries", &[("map", map)], |value| value == Some(0.0));
    }
    watcher.stop();
}

/// Check a pid that comes back again and again: every process has numbers of its own, and the series has those of all.
#[test]
fn process_that_has_the_pid_of_another_has_its_own_numbers() {
    if !kernel_or_skip("process_that_has_the_pid_of_another_has_its_own_numbers") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "born-again");
    let helper = fixture("same_pid");
    let daemon = Daemon::start(
        "interval = \"100ms\"\n[[target]]\ncomm = \"born-again\"\nmode = \"live\"\nsample_bytes = \"0\"\n",
    );
    let watcher = Watcher::of(&daemon);
    let pid = free_pid();
    let mut tallies: Vec<Tally> = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for life in 1..=6 {
        let mut servant =
            Servant::spawn(Command::new(&helper).args([&pid.to_string(), &program.display().to_string()]));
        servant.pid = pid;
        let row = wait_row(&daemon, pid, |row| !ids.contains(row["id"].as_str().expect("an id")));
        let id = row["id"].as_str().expect("an id").to_owned();
        servant.obey("reset", "reset");
        servant.work(life);
        let tally = servant.tally();
        assert_shows_life(&daemon, &tallies, &tally);
        assert_sites_exact(&profile(&daemon, &id), pid, &tally);
        tallies.push(tally);
        ids.insert(id);
        servant.process.command("exit");
        assert!(servant.process.wait().success(), "the helper has waited for it");
        // Every second time the next one comes before anybody can have seen that this one is gone.
        if life % 2 == 0 {
            wait_gone(&daemon, pid);
        }
    }
    watcher.stop();
}

/// One that is free, and far from those that come next.
fn free_pid() -> u32 {
    let most = std::fs::read_to_string("/proc/sys/kernel/pid_max").expect("proc is there");
    let most: u32 = most.trim().parse().expect("a number");
    let far = (last_pid() + most / 2) % most;
    let is_free = |pid: &u32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    (far.max(1000)..most).chain(1000..far).find(is_free).expect("a free pid")
}

/// The last pid that was given out.
fn last_pid() -> u32 {
    let mut child = Command::new("true").spawn().expect("it starts");
    child.wait().expect("our child");
    child.id()
}

/// Frees are those of all lives, what is in use that of the present one.
fn assert_shows_life(daemon: &Daemon, earlier: &[Tally], now: &Tally) {
    let [objects, bytes, freed, freed_bytes, _] = sums(std::slice::from_ref(now), Mode::Live);
    let [_, _, freed_before, ..] = sums(earlier, Mode::Live);
    assert_shows(
        daemon,
        &[],
        &vec![
            ("tracer_free_objects_total", Some(freed_before + freed)),
            ("tracer_inuse_objects", Some(objects - freed)),
            ("tracer_inuse_bytes", Some(bytes - freed_bytes)),
            ("tracer_target_processes", Some(1.0)),
        ],
    );
}

/// Check some hundred processes of 50 ms, many at a time: the daemon stays as it is, and gets everything back.
#[test]
fn storm_of_processes_that_live_50_ms_leaves_the_daemon_as_it_was() {
    if !kernel_or_skip("storm_of_processes_that_live_50_ms_leaves_the_daemon_as_it_was") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let short = directory.path().join("lives-50-ms");
    copy_program(&fixture("exits_soon"), &short);
    let mut stays = Servant::named(&copy_named(&directory, "in-the-storm-d"));
    let rule = |comm: &str| {
        format!(
            "[[target]]\ncomm = \"{comm}\"\nmode = \"live\"\nsample_bytes = \"0\"\nlabels = {{ service = \"{comm}\" }}\n"
        )
    };
    let config = format!("interval = \"100ms\"\n{}{}", rule("lives-50-ms"), rule("in-the-storm-d"));
    let daemon = Daemon::start(&config);
    wait_counted_in(&daemon, &[stays.pid]);
    let watcher = Watcher::of(&daemon);
    let (begin, mut started, mut resident) = (Instant::now(), 0, Vec::new());
    while begin.elapsed() < STORM {
        let start = || Command::new(&short).arg("50").stdout(std::process::Stdio::null()).spawn();
        let mut processes: Vec<_> = (0..4).map(|_| start().expect("it starts")).collect();
        stays.work(1);
        processes.iter_mut().for_each(|process| assert!(process.wait().expect("our child").success()));
        started += processes.len();
        if started % 16 == 0 {
            resident.push(resident_bytes(&daemon));
        }
    }
    let tally = [stays.tally()];
    assert_shows(&daemon, &[("service", "in-the-storm-d")], &super::books::expected(&tally, Mode::Live));
    let storm = [("service", "lives-50-ms")];
    daemon.wait_metric("tracer_target_processes", &storm, |value| value == Some(0.0));
    let samples = daemon.metrics();
    let counted = sum_of(&samples, "tracer_alloc_objects_total", &storm).expect("some were counted in");
    let lost = sum_of(&samples, "tracer_events_lost_total", &[]).expect("it is always there");
    for (map, left) in [("slots", 1.0), ("stacks", 1.0)] {
        daemon.wait_metric("tracer_map_entries", &[("map", map)], |value| value == Some(left));
    }
    let half = resident.len() / 2;
    let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    let (first, second) = (most(&resident[..half]), most(&resident[half..]));
    println!(
        "{started} processes, {counted} allocations, {lost} lost, {:.1} and {:.1} MiB, {} pages",
        first / 1048576.0,
        second / 1048576.0,
        watcher.stop()
    );
    // Most are attached to some milliseconds after their start, where two processors are not enough for all of it.
    assert!(counted > started as f64, "they are counted in: {counted} of {started} processes");
    assert_eq!(
        lost,
        0.0,
        "{:?}",
        samples.iter().filter(|sample| sample.name.contains("lost")).collect::<Vec<_>>()
    );
    assert!(second < first * 1.15 + 4.0 * 1048576.0, "it does not grow: {resident:?}");
    let failures =
        samples.iter().filter(|sample| sample.name == "tracer_attach_failures_total" && sample.value > 0.0);
    let unexplained: Vec<_> =
        failures.filter(|sample| !sample.labels["reason"].contains("it ended before")).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}
