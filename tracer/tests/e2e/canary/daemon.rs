//! Two versions of a service under the daemon: what it says of them, and what the gates that are shipped make of it, asked of a
//! Prometheus that scrapes it.

use serde_json::Value;

use crate::daemon::driver::Daemon;
use crate::daemon::gates::{self, Gate, Verdict};
use crate::daemon::rules_in_seconds::prometheus_config;
use crate::daemon::shop::{Market, Shop};
use crate::harness::{eventually, kernel_or_skip, skip};
use crate::servers::prometheus::Prometheus;
use crate::servers::{free_port, poll};

/// Of each side.
const PROCESSES: usize = 3;
/// Requests are alike, processes take turns: what one allocates per second is what each allocates.
const CANARY: &str =
    "[canary]\nwindow = \"10s\"\ninterval = \"1s\"\nmax_increase = \"25%\"\nper = \"process\"\n";

/// Check that the gates say nothing without a canary, let a good one go on and stop one that leaks, and that what allocates more
/// is named.
#[test]
fn the_verdict_stops_a_leaking_canary_and_lets_a_good_one_go_on() {
    let name = "the_verdict_stops_a_leaking_canary_and_lets_a_good_one_go_on";
    if !kernel_or_skip(name) {
        return;
    }
    if let Err(reason) = judge() {
        skip(name, &reason);
    }
}

/// The error is the reason to skip it.
fn judge() -> Result<(), String> {
    let market = Market::new();
    let mut stable: Vec<Shop> = (0..PROCESSES).map(|_| market.stable()).collect();
    let labels = format!("[labels]\nworkload = \"{}\"\n", gates::WORKLOAD);
    let daemon = Daemon::start(&format!("{labels}{CANARY}{}", market.rules()));
    let all = Some(PROCESSES as f64);
    daemon.wait_metric("tracer_target_processes", &[("canary_group", "stable")], |count| count == all);
    let folder = tempfile::tempdir().expect("a folder");
    let prometheus = Prometheus::classic(&prometheus_config(folder.path(), daemon.port(), free_port()))?;
    let gates: Vec<Gate> = gates::all().into_iter().filter(Gate::is_of_verdict).collect();
    assert_eq!(gates.len(), 2, "one of each controller");
    let judged = |scene: &str, verdict: Verdict| {
        gates::wait_verdicts(&prometheus, scene, &gates, &|_| verdict);
    };
    load(&mut stable, &[]);
    prometheus.wait_some("tracer_canary_verdict{verdict=\"not_enough_data\"} == 1");
    judged("no canary", Verdict::Unknown);
    let found = comparison(&daemon);
    assert_eq!(found["decision"]["verdict"], "not_enough_data");
    let reason = found["decision"]["reasons"][0].as_str().expect("a reason");
    assert!(reason.contains("no process with canary_group canary"), "{reason}");

    let good: Vec<Shop> = (0..PROCESSES).map(|_| market.good_canary()).collect();
    begin(&daemon, &prometheus, &mut stable, &good, "3.0");
    judged("a good canary", Verdict::Go);
    let found = comparison(&daemon);
    assert_eq!(found["canary"]["units"], PROCESSES, "{found}");
    println!("a good canary: {}", found["decision"]);
    load(&mut stable, &[]);
    drop(good);
    prometheus.wait_some("tracer_target_processes{canary_group=\"canary\", version=\"3.0\"} == 0");
    judged("a good canary that is over", Verdict::Unknown);

    let leaking: Vec<Shop> = (0..PROCESSES).map(|_| market.canary()).collect();
    begin(&daemon, &prometheus, &mut stable, &leaking, "2.0");
    judged("a leaking canary", Verdict::Stop);
    // Each look has its own samples: those of one may be too few for one of the two.
    eventually("what allocates more is named", || {
        let found = comparison(&daemon);
        found["decision"]["verdict"] == "worse"
            && site(&found, "remember_visit").is_some_and(|site| site["explains"] == true)
    });
    let found = comparison(&daemon);
    println!("a leaking canary: {}\n{}", found["decision"], found["totals"]);
    assert_eq!(prometheus.broken_rules(), Vec::<String>::new());
    Ok(())
}

/// Gives all of them as many requests.
fn load(stable: &mut [Shop], others: &[Shop]) {
    let (first, rest) = stable.split_first_mut().expect("a process");
    let others: Vec<&Shop> = rest.iter().chain(others).collect();
    first.load_evenly(&others);
}

/// The same, from the beginning of a canary until what it allocated at its start, when it fills its catalog and stable does
/// not, has left the window, and Prometheus has read a later verdict.
fn begin(daemon: &Daemon, prometheus: &Prometheus, stable: &mut [Shop], canary: &[Shop], version: &str) {
    let series = format!("{{canary_group=\"canary\", version=\"{version}\"}}");
    prometheus.wait_some(&format!("tracer_target_processes{series} == {PROCESSES}"));
    load(stable, canary);
    let held = PROCESSES * (4 << 20);
    prometheus.wait_some(&format!("tracer_inuse_bytes{series} > {held}"));
    poll("the canary's start has left the window", || {
        let found = comparison(daemon);
        let has_left = site(&found, "fill_catalog").is_none_or(allocates_nothing);
        (found["canary"]["units"] == PROCESSES && has_left).then_some(())
    });
    let later = jiff::Timestamp::now().as_second() + 3;
    prometheus.wait_some(&format!("tracer_canary_timestamp_seconds{{service=\"shop\"}} > {later}"));
}

/// What the daemon says of the shop.
#[track_caller]
fn comparison(daemon: &Daemon) -> Value {
    let document = daemon.json("/canary?service=shop");
    let services = document["services"].as_array().expect("a list");
    let [shop] = &services[..] else { panic!("one service: {document}") };
    shop["comparison"].clone()
}

/// It may be there for what it holds still.
fn allocates_nothing(site: &Value) -> bool {
    let mut rows = site["rows"].as_array().expect("a list").iter();
    let bytes = rows.find(|row| row["quantity"] == "alloc_bytes").expect("bytes are compared");
    bytes["canary"]["amount"] == 0.0
}

/// The call site of a function, if it was tested alone.
fn site<'a>(comparison: &'a Value, function: &str) -> Option<&'a Value> {
    let mut sites = comparison["sites"].as_array().expect("a list").iter();
    sites.find(|site| site["name"].as_str().is_some_and(|name| name.contains(function)))
}
