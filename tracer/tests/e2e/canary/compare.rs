//! `compare` with live processes: a planted call site is found and named, and the same program twice is not worse.

use std::process::Command;

use serde_json::Value;

use crate::fixtures::fixture;
use crate::harness::{Outcome, Target, Tracer, kernel_or_skip, skip, tracer};
use crate::servers::prometheus::Prometheus;

/// Processes of a release that does its rounds; handle<23> does twice as much where it is planted.
fn release(processes: usize, is_planted: bool) -> Vec<Target> {
    let start = |_| {
        let mut command = Command::new(fixture("canary_service"));
        if is_planted {
            command.env("PLANTED", "23");
        }
        let mut target = Target::spawn(&mut command);
        target.wait_ready();
        target.go();
        target
    };
    (0..processes).map(start).collect()
}

fn pids(targets: &[Target]) -> String {
    let pids: Vec<String> = targets.iter().map(|target| target.pid().to_string()).collect();
    format!("pid:{}", pids.join(","))
}

/// Per process: the rounds come at fixed times, and CPU time is mostly the tracer's probes.
fn compare(base: &[Target], canary: &[Target], options: &[&str]) -> Outcome {
    let (base, canary) = (pids(base), pids(canary));
    let all = ["compare", &base, &canary, "--duration", "6s", "--format", "json"];
    Tracer::spawn(tracer().args(all.iter().chain(options))).wait()
}

fn document(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {}", outcome.stderr))
}

/// Check that of forty call sites the planted one is the first, explains the verdict, and no other does.
#[test]
fn a_planted_call_site_of_live_processes_is_found_and_named() {
    if !kernel_or_skip("a_planted_call_site_of_live_processes_is_found_and_named") {
        return;
    }
    let (mut base, mut canary) = (release(3, false), release(3, true));
    let outcome = compare(&base, &canary, &["--per", "process"]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let document = document(&outcome);
    assert_eq!(document["decision"]["verdict"], "worse", "{}", document["decision"]);
    assert_eq!((&document["base"]["units"], &document["canary"]["units"]), (&3.into(), &3.into()));
    let sites = document["sites"].as_array().expect("a list");
    let explaining: Vec<&str> = sites
        .iter()
        .filter(|site| site["explains"] == true)
        .filter_map(|site| site["name"].as_str())
        .collect();
    assert!(matches!(explaining.as_slice(), [one] if one.contains("handle<23>")), "{explaining:?}");
    let change = &sites[0]["rows"][0]["change"];
    let ratio = change["ratio"].as_f64().expect("both sides have it");
    assert!((ratio - 1.0).abs() < 0.1, "twice as much: {change}");
    assert!(outcome.stderr.contains("handle<23>"), "the gate names it: {}", outcome.stderr);
    assert!(base.iter_mut().chain(&mut canary).all(Target::alive), "and they go on");
}

/// Check that a release is not worse than itself, live, and from both sides.
#[test]
fn the_same_live_program_twice_is_not_worse() {
    if !kernel_or_skip("the_same_live_program_twice_is_not_worse") {
        return;
    }
    let (base, canary) = (release(3, false), release(3, false));
    let outcome = compare(&base, &canary, &["--per", "process"]);
    let document = document(&outcome);
    let verdict = document["decision"]["verdict"].as_str().expect("a word");
    assert!(matches!(verdict, "same" | "not_enough_data"), "{}", document["decision"]);
    assert_eq!(outcome.code, if verdict == "same" { 0 } else { 3 }, "{}", outcome.stderr);
}

/// Check that one process a side decides nothing by itself, and names the site all the same.
#[test]
fn one_live_process_a_side_is_not_enough() {
    if !kernel_or_skip("one_live_process_a_side_is_not_enough") {
        return;
    }
    let (base, canary) = (release(1, false), release(1, true));
    let outcome = compare(&base, &canary, &["--per", "process"]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let document = document(&outcome);
    assert_eq!(document["decision"]["verdict"], "not_enough_data");
    let first = document["sites"][0]["name"].as_str().unwrap_or_default();
    assert!(first.contains("handle<23>"), "{first}");
}

/// Check that a real Prometheus says how many requests there were in the window, of each side.
#[test]
fn requests_of_a_real_prometheus_divide_what_live_processes_allocate() {
    const NAME: &str = "requests_of_a_real_prometheus_divide_what_live_processes_allocate";
    if !kernel_or_skip(NAME) {
        return;
    }
    let config = "global: {scrape_interval: 200ms}\n\
                  scrape_configs: [{job_name: nobody, static_configs: [{targets: ['127.0.0.1:1']}]}]\n";
    let prometheus = match Prometheus::start(config) {
        Ok(prometheus) => prometheus,
        Err(reason) => return skip(NAME, &reason),
    };
    prometheus.wait_some("up{job=\"nobody\"}");
    let (base, canary) = (release(3, false), release(3, false));
    let url = format!("http://127.0.0.1:{}", prometheus.port());
    // Five samples a second, in a window of six seconds.
    let query = "sum(count_over_time(up{job=\"nobody\"}[$duration])) / 6";
    let twice = format!("2 * {query}");
    let options = ["--requests-base", query, "--requests-canary", &twice, "--prometheus", &url];
    let outcome = compare(&base, &canary, &options);
    let document = document(&outcome);
    assert_eq!(document["per"], "request");
    let requests = |side: &str| document[side]["exposure"].as_f64().expect("a number");
    let (base, canary) = (requests("base"), requests("canary"));
    assert!((15.0..=40.0).contains(&base), "{base}");
    assert!((canary / base - 2.0).abs() < 0.2, "{canary} and {base}");
    assert_eq!(
        document["decision"]["verdict"], "better",
        "half as much per request: {}",
        document["decision"]
    );
    let wrong = ["--requests-base", "sum(", "--requests-canary", "1", "--prometheus", &url];
    let outcome = compare(&[], &[], &wrong);
    assert_eq!(outcome.code, 2, "no pid: {}", outcome.stderr);
}
