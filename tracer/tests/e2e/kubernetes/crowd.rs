//! Many pods at a time.

use std::collections::BTreeMap;
use std::time::Instant;

use super::cluster::{Cluster, Lodging, NODE, id, uid};
use crate::daemon::driver::Daemon;
use crate::harness::{eventually, kernel_or_skip};
use crate::servants::Servant;
use crate::servers::kubernetes::PodSpec;

/// Twice what a node has by default (`maxPods`).
const PODS: u32 = 200;

/// Of four services, one in ten a canary, every second one wants to be traced.
fn pod(number: u32) -> PodSpec {
    let service = format!("service-{}", number % 4);
    PodSpec::new("shop", &format!("{service}-5f6d-{number:05}"))
        .uid(&uid(number))
        .node(NODE)
        .label("app.kubernetes.io/name", &service)
        .label("track", if number.is_multiple_of(10) { "canary" } else { "stable" })
        .annotation("tracer.io/enabled", if number.is_multiple_of(2) { "true" } else { "false" })
        .container("main", "image:1", &[&id(number)])
}

/// Check that two hundred pods, half there before the daemon and half started beside it, are traced if they want it, each
/// under its labels, and forgotten when they end.
#[test]
fn two_hundred_pods_are_each_under_their_labels() {
    let name = "two_hundred_pods_are_each_under_their_labels";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    let mut servants: Vec<(u32, Servant)> = Vec::new();
    let mut lodgings: Vec<Lodging> = Vec::new();
    let mut start = |number: u32| {
        cluster.api.apply(pod(number).json());
        let mut lodging = cluster.lodge(&pod(number));
        servants.push((number, lodging.run(&id(number))));
        lodgings.push(lodging);
    };
    (0..PODS / 2).for_each(&mut start);
    let begin = Instant::now();
    let daemon = Daemon::start(&cluster.config("[[target]]\nopted_in = true\n"));
    (PODS / 2..PODS).for_each(&mut start);
    let wanted = f64::from(PODS / 2);
    daemon.wait_metric("tracer_target_processes", &[], |value| value == Some(wanted));
    eprintln!("{wanted} of {PODS} pods are traced {:?} after the daemon's start", begin.elapsed());
    let list = daemon.json("/targets");
    let rows: BTreeMap<u64, _> = list["targets"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (row["pid"].as_u64().expect("a pid"), row["labels"].clone()))
        .collect();
    for (number, servant) in &servants {
        let labels = rows.get(&u64::from(servant.pid));
        if number % 2 == 1 {
            assert!(labels.is_none(), "{number} does not want it");
            continue;
        }
        let labels = labels.unwrap_or_else(|| panic!("{number} wants it: {}", daemon.stderr()));
        let group = if number.is_multiple_of(10) { "canary" } else { "stable" };
        assert_eq!(labels["service"], format!("service-{}", number % 4), "{number}");
        assert_eq!(labels["canary_group"], group, "{number}");
    }
    assert_eq!(daemon.metric("tracer_kube_pods", &[]), Some(f64::from(PODS)));
    assert_eq!(daemon.metric("tracer_kube_watch_errors_total", &[]), Some(0.0));
    let canaries = daemon.metric("tracer_target_processes", &[("canary_group", "canary")]);
    assert_eq!(canaries, Some(f64::from(PODS / 10)));
    drop(servants);
    eventually("all are gone", || daemon.json("/targets")["targets"].as_array().is_some_and(Vec::is_empty));
}
