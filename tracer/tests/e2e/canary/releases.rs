//! Pairs of releases that do not differ, recorded from real processes: other sampling, another build.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixtures::{compile, source};
use crate::harness::{Target, Tracer, kernel_or_skip, tracer};

const PROCESSES: usize = 4;

fn service(name: &str, flags: &[&str]) -> PathBuf {
    let arguments: Vec<String> = ["-std=c++17", "-O2"].iter().chain(flags).map(ToString::to_string).collect();
    compile(name, "g++", &source("canary/service.cpp"), &arguments).expect("the service compiles")
}

/// What [`PROCESSES`] processes do in some seconds.
fn record(program: &Path, first_seed: usize, options: &[&str], file: &Path) {
    let seeds = first_seed..first_seed + PROCESSES;
    let processes: Vec<Target> =
        seeds.map(|seed| Target::start(program, &["400", &seed.to_string()])).collect();
    let pids: Vec<String> = processes.iter().map(|process| process.pid().to_string()).collect();
    let mut command = tracer();
    command.args(["attach", "--mode", "alloc", "--duration", "6s", "-o"]).arg(file).args(options);
    let outcome = Tracer::spawn(command.args(pids.iter().flat_map(|pid| ["--pid", pid]))).wait();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

fn compare(base: &Path, canary: &Path) -> Value {
    let mut command = tracer();
    command.arg("compare").args([base, canary]).args(["--per", "process", "--format", "json"]);
    let outcome = Tracer::spawn(&mut command).wait();
    let said: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {}", outcome.stderr));
    assert_eq!(said["decision"]["verdict"], "same", "{:#}", said["decision"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    said
}

fn matched(said: &Value, how: &str) -> usize {
    said["sites"].as_array().expect("a list").iter().filter(|site| site["matched"] == how).count()
}

/// Check that how much is sampled changes nothing of the verdict, though the few samples of one side say little of its sites.
#[test]
fn one_release_sampled_in_two_ways_is_the_same() {
    if !kernel_or_skip("one_release_sampled_in_two_ways_is_the_same") {
        return;
    }
    let directory = tempfile::tempdir().expect("a folder");
    let program = service("canary-service", &["-g"]);
    let (often, rarely) = (directory.path().join("often.json"), directory.path().join("rarely.json"));
    record(&program, 10, &["--sample-bytes", "64KiB"], &often);
    record(&program, 20, &["--sample-bytes", "2MiB"], &rarely);
    let said = compare(&often, &rarely);
    assert_eq!(said["base"]["units"], PROCESSES);
    assert_eq!(said["canary"]["sample_bytes"], serde_json::json!([2 << 20]));
}

/// Check that what one build has inlined and the other has not, and every address, makes nothing new: with the lines of
/// debug information, and without.
#[test]
fn two_builds_of_one_release_are_the_same_site_by_site() {
    if !kernel_or_skip("two_builds_of_one_release_are_the_same_site_by_site") {
        return;
    }
    let directory = tempfile::tempdir().expect("a folder");
    let check = |debug: &[&'static str], first_seed: usize, how: &str| {
        let built = |flags: &[&'static str]| [debug, flags].concat();
        let inlined = service(&format!("canary-inlined{}", debug.len()), &built(&[]));
        let other = service(
            &format!("canary-outlined{}", debug.len()),
            &built(&["-DOUT_OF_LINE", "-fno-pie", "-no-pie"]),
        );
        let files =
            [directory.path().join(format!("base-{how}.json")), directory.path().join(format!("{how}.json"))];
        record(&inlined, first_seed, &[], &files[0]);
        record(&other, first_seed + PROCESSES, &[], &files[1]);
        let said = compare(&files[0], &files[1]);
        assert_eq!((matched(&said, "new"), matched(&said, "gone")), (0, 0), "{how}");
        assert!(
            matched(&said, how) >= 200,
            "{how}: {} of {}",
            matched(&said, how),
            said["sites"].as_array().map_or(0, Vec::len)
        );
    };
    check(&["-g"], 30, "same");
    check(&[], 50, "inlined");
}
