//! Stops of the world by probes, against what the runtime says of its collections.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tracer::model::snapshot::{Gc, LONG_STOPS_MAX, LongStop, Snapshot, WorldStops};

use super::toolchains::{Build, Go, oldest_and_newest};
use crate::harness::{Target, Tracer, kernel_or_skip};

const BEGIN: &str = "GC sweep termination";
const END: &str = "GC mark termination";
const NUMBERS: &str = "read mem stats";
/// To see lengths that agree, on a machine that others use too.
const ATTEMPTS: usize = 5;

/// What `stops.go` says of itself.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Stats {
    num_gc: u64,
    num_forced_gc: u64,
    pause_total_ns: u64,
}

fn start(go: &Go, build: Build) -> Target {
    println!("Go 1.{}, {build:?}", go.minor);
    let mut target =
        Target::spawn(Command::new(go.build("stops", build)).env("GODEBUG", "asyncpreemptoff=1"));
    target.wait_ready();
    target
}

fn obey(target: &mut Target, command: &str) {
    target.command(command);
    assert_eq!(target.next_line(), "done", "{command}");
}

fn stats(target: &mut Target) -> Stats {
    target.command("stats");
    target.next_json()
}

fn gc(snapshot: &Snapshot) -> (&Gc, &WorldStops) {
    let gc = snapshot.targets[0].gc.as_ref().expect("the runtime tells of its collections");
    (gc, gc.stops.as_ref().unwrap_or_else(|| panic!("probes are in place: {:?}", snapshot.quality.notes)))
}

fn of(stops: &WorldStops, reason: &str) -> (u64, f64) {
    stops.by_reason.get(reason).map_or((0, 0.0), |sums| (sums.count, sums.seconds))
}

/// Check number, length and causes of the stops of many collections.
#[test]
fn each_collection_stops_the_world_twice() {
    let name = "each_collection_stops_the_world_twice";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        for build in [Build::Plain, Build::Stripped, Build::Pie] {
            check_counts(&go, build);
        }
    }
}

fn check_counts(go: &Go, build: Build) {
    // A processor that others take between the probe and the runtime's clock only ever moves them apart: what the probes
    // do not see would be missing each time.
    let closest = (0..ATTEMPTS).find(|_| are_close(go, build));
    assert!(closest.is_some(), "Go 1.{}, {build:?}: the lengths never agree", go.minor);
}

/// Whether the length of the stops is what the runtime says; their numbers must be right each time.
fn are_close(go: &Go, build: Build) -> bool {
    let mut target = start(go, build);
    // One processor: no thread has to be woken up between the probe and the moment that the runtime takes for the end.
    obey(&mut target, "processors 1");
    obey(&mut target, "collect 3");
    let before = stats(&mut target);
    let mut tracer = Tracer::attach(target.pid(), &[]);
    tracer.wait_counting();
    obey(&mut target, "collect 50");
    obey(&mut target, "allocate 500");
    // It waits for one that has begun.
    obey(&mut target, "collect 1");
    let after = stats(&mut target);
    let snapshot = tracer.stop().success();
    let (_, stops) = gc(&snapshot);
    let cycles = after.num_gc - before.num_gc;
    let forced = after.num_forced_gc - before.num_forced_gc;
    let (begun, ended) = (of(stops, BEGIN), of(stops, END));
    assert_eq!((begun.0, forced), (cycles, 51), "{stops:?}");
    // Marking that is not finished after all stops the world once more.
    assert!((cycles..cycles + 10).contains(&ended.0), "{stops:?}");
    assert_eq!(of(stops, NUMBERS).0, 1, "{stops:?}");
    assert_eq!(stops.causes.get("forced"), Some(&51), "{stops:?}");
    assert_eq!(stops.causes.values().sum::<u64>(), cycles, "{stops:?}");
    assert!(stops.causes.get("heap").is_some_and(|&count| count > 0), "{stops:?}");
    for sums in stops.by_reason.values() {
        assert_eq!(sums.histogram.iter().sum::<u64>(), sums.count, "{stops:?}");
    }
    // The runtime's clock goes on until the other threads are woken up, and begins a little before the stop.
    let truth = (after.pause_total_ns - before.pause_total_ns) as f64 * 1e-9;
    let seen = begun.1 + ended.1;
    let apart = (truth - seen).abs() / (begun.0 + ended.0) as f64;
    println!(
        "{cycles} cycles: {:.3} ms by the runtime, {:.3} ms by probes, {:.1} us apart per stop",
        truth * 1e3,
        seen * 1e3,
        apart * 1e6
    );
    apart < 60e-6 || (truth - seen).abs() < 0.25 * truth
}

fn functions(stop: &LongStop) -> Vec<&str> {
    stop.frames.iter().filter_map(|frame| frame.function.as_deref()).collect()
}

/// Check that of a stack deeper than what is walked the leaves are kept, and that it says so.
#[test]
fn a_long_stop_in_a_deep_recursion_keeps_its_leaves() {
    let name = "a_long_stop_in_a_deep_recursion_keeps_its_leaves";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = start(&go, Build::Plain);
        let mut tracer = Tracer::attach(target.pid(), &["--gc-threshold", "1ns"]);
        tracer.wait_counting();
        obey(&mut target, "deep 1000");
        obey(&mut target, "deep 3");
        let snapshot = tracer.stop().success();
        let (_, stops) = gc(&snapshot);
        let [deep, flat] = &stops.long.iter().filter(|stop| stop.reason == NUMBERS).collect::<Vec<_>>()[..]
        else {
            panic!("{stops:?}")
        };
        let (deep, flat) = if deep.at < flat.at { (deep, flat) } else { (flat, deep) };
        let calls = |stop: &LongStop| functions(stop).iter().filter(|name| **name == "main.deep").count();
        assert!(calls(deep) > 100 && functions(deep).contains(&"main.askForNumbers"), "{deep:?}");
        assert_eq!((deep.truncated.as_deref(), calls(flat)), (Some("depth"), 4), "{flat:?}");
        assert_eq!(flat.truncated, None, "{flat:?}");
    }
}

/// Check that the record of a long stop names who asked for it, and what it was.
#[test]
fn a_long_stop_names_who_asked_for_it() {
    let name = "a_long_stop_names_who_asked_for_it";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        for build in [Build::Plain, Build::Stripped] {
            let mut target = start(&go, build);
            let mut tracer = Tracer::attach(target.pid(), &["--gc-threshold", "10ms"]);
            tracer.wait_counting();
            obey(&mut target, "collect 5");
            obey(&mut target, "long-collection 400");
            obey(&mut target, "long-numbers 400");
            let snapshot = tracer.stop().success();
            let (_, stops) = gc(&snapshot);
            let of = |reason: &str| {
                let found = stops.long.iter().filter(|stop| stop.reason == reason);
                found.max_by(|a, b| a.seconds.total_cmp(&b.seconds)).unwrap_or_else(|| panic!("{stops:?}"))
            };
            let check = |stop: &LongStop, cause: Option<&str>, asker: &str| {
                assert_eq!(stop.cause.as_deref(), cause, "{stop:?}");
                assert!((0.01..10.0).contains(&stop.seconds), "{stop:?}");
                let names = functions(stop);
                let main: Vec<_> = names.iter().filter(|name| name.starts_with("main.")).copied().collect();
                assert_eq!(main, [asker, "main.besideSpin", "main.obey", "main.main"], "{names:?}");
                assert!(names.contains(&"runtime.main"), "{names:?}");
                let heap = stop.heap_before_bytes.zip(stop.heap_after_bytes);
                assert!(heap.is_some_and(|(before, after)| before > 0 && after > 0), "{stop:?}");
            };
            check(of(BEGIN), Some("forced"), "main.askForCollection");
            check(of(NUMBERS), None, "main.askForNumbers");
        }
    }
}

/// Check that a threshold of nothing keeps the longest and counts the others.
#[test]
fn every_stop_is_recorded_where_all_are_long() {
    let name = "every_stop_is_recorded_where_all_are_long";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = start(&go, Build::Plain);
        let mut tracer = Tracer::attach(target.pid(), &["--gc-threshold", "0s"]);
        tracer.wait_counting();
        obey(&mut target, "collect 100");
        let snapshot = tracer.stop().success();
        let (_, stops) = gc(&snapshot);
        assert!(stops.count() >= 200, "{stops:?}");
        assert_eq!(stops.long.len(), LONG_STOPS_MAX);
        assert_eq!(stops.long.len() as u64 + stops.long_dropped, stops.count(), "{stops:?}");
        assert!(stops.long.is_sorted_by_key(|stop| stop.at), "{stops:?}");
    }
}

/// Bytes of a running program's code that are not those of its file: probes are.
fn changed_bytes(pid: u32, program: &Path) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    let path = program.to_str().expect("a plain path");
    let code = maps.lines().find(|line| line.ends_with(path) && line.contains(" r-xp "));
    let fields: Vec<&str> = code.expect("it has code").split([' ', '-']).collect();
    let number = |at: usize| u64::from_str_radix(fields[at], 16).expect("a number");
    let (begin, end, offset) = (number(0), number(1), number(4));
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("it runs");
    let mut running = vec![0; (end - begin) as usize];
    memory.read_exact_at(&mut running, begin).expect("it is mapped");
    let file = std::fs::read(program).expect("it was built");
    let written = &file[offset as usize..];
    assert!(written.len().min(running.len()) > 100_000, "that is its code");
    running.iter().zip(written).filter(|(running, written)| running != written).count()
}

#[test]
fn without_a_threshold_no_instruction_of_the_program_is_a_probe() {
    let name = "without_a_threshold_no_instruction_of_the_program_is_a_probe";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        for (threshold, is_probed) in [("off", false), ("5ms", true)] {
            let mut target = start(&go, Build::Plain);
            let mut tracer = Tracer::attach(target.pid(), &["--go", "runtime", "--gc-threshold", threshold]);
            tracer.wait_counting();
            obey(&mut target, "collect 3");
            let changed = changed_bytes(target.pid(), &go.build("stops", Build::Plain));
            assert_eq!(changed > 0, is_probed, "{threshold}, Go 1.{}: {changed}", go.minor);
            let snapshot = tracer.stop().success();
            let gc = snapshot.targets[0].gc.as_ref().expect("the runtime tells of its collections");
            assert_eq!((gc.stops.is_some(), gc.cycles), (is_probed, 3), "{threshold}: {gc:?}");
        }
    }
}

/// Check that a program under load lives on with these probes.
#[test]
fn a_program_that_collects_all_the_time_lives_on() {
    let name = "a_program_that_collects_all_the_time_lives_on";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = start(&go, Build::Plain);
        let before = stats(&mut target);
        let mut tracer = Tracer::attach(target.pid(), &["--gc-threshold", "0s"]);
        tracer.wait_counting();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            obey(&mut target, "allocate 200");
            obey(&mut target, "collect 5");
        }
        let after = stats(&mut target);
        let snapshot = tracer.stop().success();
        assert_eq!(of(gc(&snapshot).1, BEGIN).0, after.num_gc - before.num_gc);
        // It goes on without them.
        obey(&mut target, "collect 5");
    }
}
