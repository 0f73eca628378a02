//! `tracer attach`, `run`, `doctor` and the daemon on Go programs, against what they say of themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use tracer::model::snapshot::{CallSite, Dimension, Gc, Mode, Snapshot, Verdict};

use super::toolchains::{Build, Go, oldest_and_newest};
use crate::copies::copy_program;
use crate::daemon::books::wait_counted_in;
use crate::daemon::driver::Daemon;
use crate::harness::{Target, Tracer, kernel_or_skip, tracer};

/// Of `keeper.go`.
const SESSION_BYTES: f64 = 4096.0;
const ROUNDS: u64 = 20_000;

/// What `keeper.go` says of itself; the world stands still meanwhile, so that all is counted.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Stats {
    mallocs: u64,
    frees: u64,
    total_alloc: u64,
    num_gc: u64,
    num_forced_gc: u64,
    pause_total_ns: u64,
    heap_goal: u64,
}

fn keeper(program: &Path) -> Target {
    Target::start(program, &[])
}

fn obey<T: serde::de::DeserializeOwned>(target: &mut Target, command: &str) -> T {
    target.command(command);
    target.next_json()
}

fn work(target: &mut Target, rounds: u64) {
    let _: serde_json::Value = obey(target, &format!("work {rounds}"));
}

/// The truth may be exceeded by what the program allocates to say it.
#[track_caller]
fn assert_near(what: &str, seen: u64, truth: u64) {
    let most = truth + truth / 100 + 300;
    assert!(
        (truth..=most).contains(&seen) || seen.abs_diff(truth) <= truth / 100,
        "{what}: {seen}, not {truth}"
    );
}

/// What sites with a function of this name have together.
fn sum_of(snapshot: &Snapshot, function: &str, dimension: Dimension) -> f64 {
    let has = |site: &&CallSite| site.frames.iter().any(|frame| frame.function.as_deref() == Some(function));
    snapshot.sites.iter().filter(has).map(|site| site.value(dimension) as f64).sum()
}

/// An estimate that is five standard errors off happens once in two million runs.
#[track_caller]
fn assert_estimate(snapshot: &Snapshot, function: &str, truth: f64) {
    let has = |site: &&CallSite| site.frames.iter().any(|frame| frame.function.as_deref() == Some(function));
    let sites: Vec<_> = snapshot.sites.iter().filter(has).collect();
    let estimate: f64 = sites.iter().map(|site| site.alloc_bytes as f64).sum();
    let variance: f64 = sites.iter().map(|site| site.standard_error.alloc_bytes.powi(2)).sum();
    let off = (estimate - truth).abs() / variance.sqrt();
    println!("{function}: {estimate:.0} estimated, {truth:.0}, {off:.2} standard errors");
    assert!(
        variance > 0.0 && off < 5.0,
        "{function}: {estimate} ± {}, not {truth}: {sites:?}",
        variance.sqrt()
    );
}

fn check_numbers(snapshot: &Snapshot, before: Stats, after: Stats) {
    let target = &snapshot.targets[0];
    let totals = &target.totals;
    assert_near("alloc_objects", totals.alloc_objects, after.mallocs - before.mallocs);
    assert_near("alloc_bytes", totals.alloc_bytes, after.total_alloc - before.total_alloc);
    assert_near("free_objects", totals.free_objects.expect("the sweep counts"), after.frees - before.frees);
    assert_near(
        "inuse_objects",
        totals.inuse_objects.expect("the runtime knows"),
        after.mallocs - after.frees,
    );
    assert!(totals.standard_error.is_empty(), "all of it is exact: {:?}", totals.standard_error);
    let gc = target.gc.as_ref().expect("the runtime tells of its collections");
    assert_eq!(gc.cycles, after.num_gc - before.num_gc);
    assert_eq!(gc.forced_cycles, after.num_forced_gc - before.num_forced_gc);
    let pauses = (after.pause_total_ns - before.pause_total_ns) as f64 * 1e-9;
    assert!((gc.pause_seconds - pauses).abs() < 1e-9, "{gc:?}, not {pauses}");
    check_pauses(gc);
    assert_eq!(gc.heap_goal_bytes, Some(after.heap_goal), "{gc:?}");
}

/// The histogram holds each cycle once, and none is longer than the longest.
fn check_pauses(gc: &Gc) {
    let counted: u64 = gc.pause_histogram.iter().map(|bucket| bucket.count).sum();
    assert_eq!(counted + gc.pauses_missed, gc.cycles, "{gc:?}");
    let longest = gc.longest_pause_seconds.expect("there was a cycle");
    assert!(longest > 0.0 && longest <= gc.pause_seconds, "{gc:?}");
    let ratio = gc.cpu_ratio.expect("there was a cycle");
    assert!(ratio > 0.0 && ratio < 1.0, "{gc:?}");
    assert!(gc.last_cycle_age_seconds.is_some_and(|age| age < 60.0), "{gc:?}");
}

/// Check totals, collections, call sites and the price, of programs with symbols, without, and at another address.
#[test]
fn attach_reads_what_a_go_program_counts_and_samples() {
    let name = "attach_reads_what_a_go_program_counts_and_samples";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        for build in [Build::Plain, Build::Stripped, Build::Pie] {
            check_attach(&go, build);
        }
    }
}

fn check_attach(go: &Go, build: Build) {
    println!("Go 1.{}, {build:?}", go.minor);
    let mut target = keeper(&go.build("keeper", build));
    work(&mut target, 100);
    let before: Stats = obey(&mut target, "stats");
    let mut tracer = Tracer::attach(target.pid(), &[]);
    tracer.wait_counting();
    work(&mut target, ROUNDS);
    for _ in 0..2 {
        let _: serde_json::Value = obey(&mut target, "collect");
    }
    let after: Stats = obey(&mut target, "stats");
    let snapshot = tracer.stop().success();
    check_numbers(&snapshot, before, after);
    let allocator = &snapshot.targets[0].allocators[0];
    assert_eq!((allocator.name.as_str(), allocator.source.as_str()), ("go", "runtime"));
    assert!(allocator.version.as_deref().is_some_and(|text| text.starts_with(&format!("go1.{}", go.minor))));
    assert_eq!((allocator.sample_bytes, snapshot.sample_bytes), (Some(512 << 10), 512 << 10));
    assert_eq!((snapshot.quality.verdict, snapshot.overhead.hits), (Verdict::Sampled, 0));
    assert_estimate(&snapshot, "main.keepSession", ROUNDS as f64 * SESSION_BYTES);
    // The last collection was asked for: its numbers are published at once.
    let age = allocator.profile_age_seconds.expect("there were collections");
    let last = snapshot.targets[0].gc.as_ref().and_then(|gc| gc.last_cycle_age_seconds);
    assert!(last.is_some_and(|last| (last - age).abs() < 1e-6), "{age}, {last:?}");
    let kept = sum_of(&snapshot, "main.keepSession", Dimension::InuseSpace);
    assert!(kept > 0.5 * (ROUNDS as f64) * SESSION_BYTES, "nothing of it was freed: {kept}");
    let maps = sum_of(&snapshot, "main.lookupAttributes", Dimension::AllocSpace);
    assert!(maps > 1000.0 * ROUNDS as f64, "maps of 20 entries take more: {maps}");
    let site = snapshot.sites.iter().find(|site| {
        site.frames.iter().any(|frame| {
            frame.function.as_deref() == Some("main.keepSession")
                && frame
                    .file
                    .as_deref()
                    .is_some_and(|file| file.ends_with("keeper.go") && frame.line.is_some())
        })
    });
    let site = site.expect("its function, file and line");
    let names: Vec<_> = site.frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
    let from_keep: Vec<_> = names.iter().skip_while(|name| **name != "main.keepSession").copied().collect();
    assert_eq!(
        from_keep,
        [
            "main.keepSession",
            "main.handleRequest",
            "main.work",
            "main.main",
            "runtime.main",
            "runtime.goexit"
        ]
    );
    assert_eq!(site.truncated, None, "{site:?}");
}

/// Check the heaps of Go and of C, each by its own source.
#[test]
fn go_and_c_are_counted_side_by_side() {
    let name = "go_and_c_are_counted_side_by_side";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = keeper(&go.build("both", Build::Cgo));
        let mut tracer = Tracer::attach(target.pid(), &[]);
        tracer.wait_counting();
        target.command("5000");
        assert_eq!(target.next_line(), "done");
        let snapshot = tracer.stop().success();
        let allocators = &snapshot.targets[0].allocators;
        let of =
            |name: &str| allocators.iter().find(|one| one.name == name).and_then(|one| one.totals.as_ref());
        let (c, own) = (of("glibc").expect("C's heap"), of("go").expect("Go's heap"));
        assert!((5000..5050).contains(&c.alloc_objects), "{c:?}");
        assert!((5_000_000..5_100_000).contains(&c.alloc_bytes), "{c:?}");
        // What a processor still allocates from is not counted yet: a span of eight kilobytes of each class.
        assert!((4990..6000).contains(&own.alloc_objects), "{own:?}");
        let totals = &snapshot.targets[0].totals;
        assert_eq!(totals.alloc_objects, c.alloc_objects + own.alloc_objects);
        assert_eq!(snapshot.targets[0].allocators.len(), 2, "{allocators:?}");
        let site = |function: &str| {
            let of_it = |site: &&CallSite| {
                site.frames.iter().any(|frame| frame.function.as_deref() == Some(function))
            };
            snapshot.sites.iter().find(of_it).unwrap_or_else(|| panic!("{function}: {:?}", snapshot.sites))
        };
        assert_eq!(site("keep_block").alloc_objects, 5000, "every block of C is walked");
        assert_eq!(site("keep_block").allocator.as_deref(), Some("glibc"));
        assert_eq!(site("keep_block").called.as_deref(), Some("malloc"));
        assert_eq!(site("main.keepSession").allocator.as_deref(), Some("go"));
    }
}

/// Check that a program is read from its first instruction on, before its runtime has begun.
#[test]
fn run_reads_a_go_program_from_its_start() {
    let name = "run_reads_a_go_program_from_its_start";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let program = go.build("keeper", Build::Stripped);
        let mut tracer = Tracer::run(&[], &program, &[]);
        tracer.wait_output("ready");
        tracer.write_input(&format!("work {ROUNDS}\ncollect\nstats\n"));
        tracer.wait_output("heap_goal");
        // Long enough for a look, whatever else this machine does: it ends when its stdin does.
        std::thread::sleep(std::time::Duration::from_secs(2));
        let outcome = tracer.wait();
        let snapshot = outcome.success();
        let answer = outcome.stdout.lines().last().expect("it has answered");
        let stats: Stats = serde_json::from_str(answer).expect("its numbers");
        let totals = &snapshot.targets[0].totals;
        assert_near("alloc_bytes", totals.alloc_bytes, stats.total_alloc);
        assert_near("alloc_objects", totals.alloc_objects, stats.mallocs);
        let gc = snapshot.targets[0].gc.as_ref().expect("it tells of its collections");
        assert_eq!((gc.cycles, gc.forced_cycles), (stats.num_gc, 1));
        assert_estimate(&snapshot, "main.keepSession", ROUNDS as f64 * SESSION_BYTES);
    }
}

/// A copy of a stripped program that says that a Go has built it which nobody has seen.
fn of_the_future(folder: &Path, program: &Path) -> PathBuf {
    let copy = folder.join("of-the-future");
    let bytes = fs::read(program).expect("it was built");
    let from = bytes.windows(4).position(|window| window == b"go1.").and_then(|_| {
        // The version in the build information is the one that begins with its length.
        (1..bytes.len() - 8).find(|&at| {
            let length = usize::from(bytes[at - 1]);
            bytes[at..].starts_with(b"go1.")
                && (6..12).contains(&length)
                && bytes[at..at + length].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.')
        })
    });
    let at = from.expect("its build information") + "go1.".len();
    let mut changed = bytes;
    changed[at..at + 2].copy_from_slice(b"99");
    let unfinished = folder.join("unfinished");
    fs::write(&unfinished, changed).expect("our folder");
    copy_program(&unfinished, &copy);
    let made = Command::new("chmod").arg("755").arg(&copy).status().expect("chmod is everywhere");
    assert!(made.success(), "{made}");
    copy
}

/// Check that a version nobody has seen is refused by its name, and that its C heap is traced all the same.
#[test]
fn a_version_of_go_that_nobody_has_seen_is_refused_by_name() {
    let name = "a_version_of_go_that_nobody_has_seen_is_refused_by_name";
    if !kernel_or_skip(name) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for go in oldest_and_newest(name) {
        let program = of_the_future(folder.path(), &go.build("keeper", Build::Stripped));
        let target = keeper(&program);
        Tracer::attach(target.pid(), &[]).wait().assert_refused(5, &["go1.99", "layout", "not known"]);
    }
}

/// Check that a program without a heap profile has totals and collections, and that the report says what switches it on.
#[test]
fn a_program_without_a_heap_profile_has_its_totals() {
    let name = "a_program_without_a_heap_profile_has_its_totals";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let target = keeper(&go.build("no_profile", Build::Stripped));
        let mut tracer = Tracer::attach(target.pid(), &["--go", "runtime"]);
        tracer.wait_counting();
        let snapshot = tracer.stop().success();
        assert!(snapshot.sites.is_empty(), "{:?}", snapshot.sites);
        assert!(
            snapshot.targets[0].totals.inuse_bytes.is_some_and(|bytes| bytes > 0),
            "{:?}",
            snapshot.targets
        );
        let notes = snapshot.quality.notes.join("\n");
        assert!(notes.contains("MemProfileRate is 0") && notes.contains("runtime/pprof"), "{notes}");
        assert_eq!((snapshot.quality.verdict, snapshot.quality.sampled), (Verdict::Exact, 0));
    }
}

/// Check that a process of another user that ends while it is read leaves what was read last.
#[test]
fn what_was_read_last_stays_when_a_go_program_ends() {
    let name = "what_was_read_last_stays_when_a_go_program_ends";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let program = go.build("keeper", Build::Stripped);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        let mut target = Target::spawn(&mut command);
        target.wait_ready();
        let before: Stats = obey(&mut target, "stats");
        let mut tracer = Tracer::attach(target.pid(), &["--interval", "100ms"]);
        tracer.wait_counting();
        work(&mut target, ROUNDS);
        let after: Stats = obey(&mut target, "stats");
        // Long enough for a look, whatever else this machine does.
        std::thread::sleep(std::time::Duration::from_secs(2));
        target.signal(rustix::process::Signal::KILL);
        let snapshot = tracer.wait().success();
        assert_eq!(snapshot.targets[0].ended.as_deref(), Some("ended"));
        let totals = &snapshot.targets[0].totals;
        assert_near("alloc_bytes", totals.alloc_bytes, after.total_alloc - before.total_alloc);
        assert!(sum_of(&snapshot, "main.keepSession", Dimension::AllocSpace) > 0.0, "{:?}", snapshot.sites);
    }
}

/// Check that `doctor` says what would be read, and what of a program that takes no samples would be probed.
#[test]
fn doctor_says_what_would_be_read_of_a_go_program() {
    let name = "doctor_says_what_would_be_read_of_a_go_program";
    if !kernel_or_skip(name) {
        return;
    }
    let check = |go: &Go, fixture: &str, expect: &str| {
        let target = Target::start(&go.build(fixture, Build::Stripped), &[]);
        let output = tracer().args(["doctor", "--pid", &target.pid().to_string()]).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        let heap = format!("the heap of go1.{}", go.minor);
        let line = text.lines().find(|line| line.contains(&heap)).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(expect), "{line}");
        assert!(text.contains("each stop of its world, by probes on runtime.gcStart, "), "{text}");
        text
    };
    for go in oldest_and_newest(name) {
        let sampled = check(&go, "keeper", "no probe on an allocation");
        assert!(!sampled.contains("mallocgc"), "{sampled}");
        let probed = check(&go, "allocates", "by probes on its allocator");
        assert!(probed.contains("  mallocgc "), "{probed}");
    }
}

/// Check the daemon's metrics of a Go program with labels, its call sites and its profile.
#[test]
fn daemon_exports_a_go_program_with_its_labels() {
    let name = "daemon_exports_a_go_program_with_its_labels";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join(format!("go-service-{}", go.minor));
        copy_program(&go.build("keeper", Build::Stripped), &program);
        let mut target = keeper(&program);
        let before: Stats = obey(&mut target, "stats");
        let daemon = Daemon::start(&format!(
            "interval = \"100ms\"\n[[target]]\nexe = \"{}\"\nmode = \"alloc\"\nlabels = {{ service = \"go\", canary_group = \"canary\" }}\n",
            program.display()
        ));
        let id = wait_counted_in(&daemon, &[target.pid()]).remove(0);
        work(&mut target, ROUNDS);
        let _: serde_json::Value = obey(&mut target, "collect");
        let after: Stats = obey(&mut target, "stats");
        let labels = [("service", "go"), ("canary_group", "canary")];
        let truth = (after.total_alloc - before.total_alloc) as f64;
        let near = |bytes: Option<f64>| bytes.is_some_and(|bytes| (bytes - truth).abs() < 0.01 * truth);
        daemon.wait_metric("tracer_alloc_bytes_total", &[("allocator", "go"), labels[0], labels[1]], near);
        daemon.wait_metric("tracer_gc_pause_seconds_count", &labels, |count| {
            count == Some((after.num_gc - before.num_gc) as f64)
        });
        let snapshot: Snapshot =
            serde_json::from_value(daemon.json(&format!("/targets/{id}/snapshot"))).expect("the document");
        assert_eq!(snapshot.mode, Mode::Live, "a runtime knows what is in use, whatever is asked for");
        let held = (after.mallocs - after.frees) as f64;
        daemon.wait_metric("tracer_inuse_objects", &labels, |objects| {
            objects.is_some_and(|objects| (objects - held).abs() < 0.01 * held)
        });
        assert_estimate(&snapshot, "main.keepSession", ROUNDS as f64 * SESSION_BYTES);
    }
}
