//! The daemon on a node with pods: which it traces, and under which labels, while pods and their API come and go.

use serde_json::Value;
use tracer::model::snapshot::Mode;

use super::cluster::{Cluster, NODE, id, uid, uid_of};
use crate::daemon::books::{
    Watcher, assert_shows, done, expected, row_of, sums, wait_counted_in, wait_gone, wait_looks, wait_row,
};
use crate::daemon::driver::Daemon;
use crate::harness::{eventually, kernel_or_skip};
use crate::servers::kubernetes::{Objects, PodSpec};
use tracer::target::kubernetes::{Place, Pods, watch};

/// Takes pods that want it, every allocation, every block.
const OPT_IN: &str =
    "[[target]]\nname = \"opted-in\"\nopted_in = true\nmode = \"live\"\nsample_bytes = \"0\"\n";

/// A pod of a Deployment that wants to be traced.
fn api_pod(number: u32, version: &str) -> PodSpec {
    PodSpec::new("shop", &format!("api-7d4b9c-{number:05}"))
        .uid(&uid(number))
        .node(NODE)
        .label("pod-template-hash", "7d4b9c")
        .label("app.kubernetes.io/name", "api")
        .label("app.kubernetes.io/version", version)
        .annotation("tracer.io/enabled", "true")
        .owner("ReplicaSet", "api-7d4b9c")
}

fn labels_of(row: &Value) -> [&str; 5] {
    ["namespace", "service", "version", "canary_group", "workload"]
        .map(|name| row["labels"][name].as_str().unwrap_or(""))
}

/// Check that each container of a pod has its own image's version, and that all numbers are exact.
#[test]
fn two_containers_of_a_pod_are_told_apart_by_their_images() {
    let name = "two_containers_of_a_pod_are_told_apart_by_their_images";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    let pod = PodSpec::new("shop", "api-7d4b9c-x2x4z")
        .uid(&uid(1))
        .node(NODE)
        .label("pod-template-hash", "7d4b9c")
        .annotation("tracer.io/enabled", "true")
        .owner("ReplicaSet", "api-7d4b9c")
        .container("api", "registry.local:5000/shop/api:1.2.3", &[&id(1)])
        .container("proxy", "envoy:v1.30.1", &[&id(2)]);
    cluster.api.apply(pod.json());
    let mut lodging = cluster.lodge(&pod);
    let mut api = lodging.run(&id(1));
    let daemon = Daemon::start(&cluster.config(OPT_IN));
    // One was there before the daemon, one comes later.
    wait_counted_in(&daemon, &[api.pid]);
    let mut proxy = lodging.run(&id(2));
    wait_counted_in(&daemon, &[proxy.pid]);
    let watcher = Watcher::of(&daemon);
    let first = wait_row(&daemon, api.pid, |row| row["pod"]["container"] == "api");
    let second = wait_row(&daemon, proxy.pid, |row| row["pod"]["container"] == "proxy");
    assert_eq!(labels_of(&first), ["shop", "api", "1.2.3", "stable", "api"]);
    assert_eq!(labels_of(&second), ["shop", "api", "v1.30.1", "stable", "api"]);
    assert_eq!(first["pod"]["owner"], "Deployment/api");
    assert_eq!(first["pod"]["image"], "registry.local:5000/shop/api:1.2.3");
    // What the one that came later did before it was attached to was not seen.
    wait_looks(&daemon, 2);
    let objects_of = |version| daemon.metric("tracer_alloc_objects_total", &[("version", version)]);
    let (seen, [before, ..]) = (objects_of("v1.30.1").unwrap_or(0.0), sums(&[proxy.tally()], Mode::Live));
    api.work(2);
    proxy.work(3);
    assert_shows(&daemon, &[("version", "1.2.3")], &expected(&[api.tally()], Mode::Live));
    let [after, ..] = sums(&[proxy.tally()], Mode::Live);
    assert!(after > before, "it worked");
    let objects = vec![("tracer_alloc_objects_total", Some(seen + after - before))];
    assert_shows(&daemon, &[("version", "v1.30.1")], &objects);
    let processes = vec![("tracer_target_processes", Some(2.0))];
    assert_shows(&daemon, &[("namespace", "shop"), ("service", "api")], &processes);
    watcher.stop();
    drop((api, proxy));
}

/// Check that the pod's uid is enough, so that what a pod does before its status is known is under its labels, also when
/// that never comes; and that a container whose pod was never heard of is counted.
#[test]
fn pod_that_dies_before_its_status_arrives_has_its_labels_all_the_same() {
    let name = "pod_that_dies_before_its_status_arrives_has_its_labels_all_the_same";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    let daemon = Daemon::start(&cluster.config(OPT_IN));
    daemon.wait_metric("tracer_kube_synced", &[], |value| value == Some(1.0));
    // The kubelet has not reported the container's id when it ends.
    let pod = api_pod(7, "1").container("api", "shop/api:1", &[]);
    cluster.api.apply(pod.json());
    daemon.wait_metric("tracer_kube_pods", &[], |value| value == Some(1.0));
    let mut lodging = cluster.lodge(&pod);
    let mut servant = lodging.run(&id(7));
    let row = wait_row(&daemon, servant.pid, |_| true);
    assert_eq!(labels_of(&row), ["shop", "api", "1", "stable", "api"]);
    let [before, ..] = sums(&[servant.tally()], Mode::Live);
    servant.work(2);
    let [after, ..] = sums(&[servant.tally()], Mode::Live);
    let pid = servant.pid;
    drop(servant);
    cluster.api.delete(Objects::Pods, "shop", "api-7d4b9c-00007");
    wait_gone(&daemon, pid);
    let counted =
        daemon.metric("tracer_alloc_objects_total", &[("service", "api"), ("canary_group", "stable")]);
    assert_eq!(counted, Some(after - before), "they stay under the labels of the pod");
}

/// Check that a container of which no pod is known is remembered until one is, or until its last process has ended, which is
/// counted.
#[test]
fn container_without_a_pod_waits_and_is_counted_when_it_ends_so() {
    let name = "container_without_a_pod_waits_and_is_counted_when_it_ends_so";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    let pod = |number: u32| api_pod(number, "1").container("api", "shop/api:1", &[&id(number)]);
    let (mut first, mut second) = (cluster.lodge(&pod(8)), cluster.lodge(&pod(9)));
    let (known, stranger, last) = (first.run(&id(8)), second.run(&id(9)), second.run_beside(0));
    let pods = Pods::new(|| {});
    let watch = watch::start(&cluster.api.options(NODE), pods.clone(), |_| {}).expect("it is watched");
    eventually("the pods are listed", || pods.table().is_synced());
    let counts = || pods.standing().map(|standing| (standing.waiting, standing.unresolved));
    assert_eq!(counts(), Some((0, 0)));
    for pid in [known.pid, stranger.pid, last.pid] {
        assert_eq!(pods.place(pid), Place::Unknown);
    }
    assert_eq!(counts(), Some((2, 0)), "containers, not processes");
    cluster.api.apply(pod(8).json());
    eventually("its pod is known", || pods.place(known.pid).pod().is_some());
    eventually("it waits no more", || counts() == Some((1, 0)));
    drop(stranger);
    assert_eq!(counts(), Some((1, 0)), "another process of it runs");
    drop(last);
    eventually("it is counted", || counts() == Some((0, 1)));
    drop(known);
    assert_eq!(counts(), Some((0, 1)));
    watch.stop();
}

/// Check that a promotion, which changes labels of running pods, closes the canary's series and begins the stable one's.
#[test]
fn promotion_of_a_running_pod_moves_it_to_the_stable_series() {
    let name = "promotion_of_a_running_pod_moves_it_to_the_stable_series";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    let pod = |role: &str| api_pod(3, "2").label("role", role).container("api", "shop/api:2", &[&id(3)]);
    cluster.api.apply(pod("canary").json());
    let mut lodging = cluster.lodge(&pod("canary"));
    let mut servant = lodging.run(&id(3));
    let daemon = Daemon::start(&cluster.config(OPT_IN));
    wait_row(&daemon, servant.pid, |row| row["labels"]["canary_group"] == "canary");
    let watcher = Watcher::of(&daemon);
    let [begin, ..] = sums(&[servant.tally()], Mode::Live);
    servant.work(2);
    let [promoted, ..] = sums(&[servant.tally()], Mode::Live);
    let of = |objects: f64| vec![("tracer_alloc_objects_total", Some(objects))];
    daemon.wait_metric("tracer_alloc_objects_total", &[("canary_group", "canary")], |value| {
        value.is_some_and(|value| value >= promoted - begin)
    });
    cluster.api.apply(pod("stable").json());
    wait_row(&daemon, servant.pid, |row| row["labels"]["canary_group"] == "stable");
    assert_eq!(
        daemon.metric("tracer_alloc_objects_total", &[("canary_group", "canary")]),
        None,
        "it is closed"
    );
    assert_eq!(daemon.metric("tracer_target_processes", &[("canary_group", "canary")]), None);
    servant.work(3);
    let [after, ..] = sums(&[servant.tally()], Mode::Live);
    assert_shows(&daemon, &[("canary_group", "stable")], &of(after - promoted));
    // Its annotation says what its labels do not.
    let annotated = pod("web").annotation("tracer.io/canary-group", "canary");
    cluster.api.apply(annotated.json());
    wait_row(&daemon, servant.pid, |row| row["labels"]["canary_group"] == "canary");
    watcher.stop();
}

/// Check that a pod may choose its mode and rate, change them, and opt out, without a restart of anything.
#[test]
fn pod_says_how_it_is_traced_and_when_not_any_more() {
    let name = "pod_says_how_it_is_traced_and_when_not_any_more";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    let pod = || api_pod(4, "1").container("api", "shop/api:1", &[&id(4)]);
    cluster.api.apply(pod().json());
    let mut lodging = cluster.lodge(&pod());
    let servant = lodging.run(&id(4));
    let rules =
        "[[target]]\nname = \"opted-in\"\nopted_in = true\nmode = \"alloc\"\nsample_bytes = \"1MiB\"\n";
    let daemon = Daemon::start(&cluster.config(rules));
    let is = |mode: &'static str, bytes: u64| {
        move |row: &Value| row["mode"] == mode && row["sample_bytes"] == bytes
    };
    wait_row(&daemon, servant.pid, is("alloc", 1 << 20));
    let live = pod().annotation("tracer.io/mode", "live").annotation("tracer.io/sample-bytes", "64KiB");
    cluster.api.apply(live.json());
    wait_row(&daemon, servant.pid, is("live", 64 << 10));
    // Who is called at night comes before what a pod says.
    done(&daemon, &["rate", "2MiB"]);
    wait_row(&daemon, servant.pid, is("live", 2 << 20));
    cluster.api.apply(pod().annotation("tracer.io/mode", "everything").json());
    wait_row(&daemon, servant.pid, is("alloc", 2 << 20));
    eventually("what it cannot mean is said", || daemon.get("/").body.contains("tracer.io/mode"));
    cluster.api.apply(pod().annotation("tracer.io/enabled", "false").json());
    wait_gone(&daemon, servant.pid);
    cluster.api.apply(pod().json());
    wait_row(&daemon, servant.pid, |_| true);
}

/// Check the other ways to choose pods, and that a pod which says no is left alone by all of them.
#[test]
fn pods_are_chosen_by_namespace_owner_container_and_selectors() {
    let name = "pods_are_chosen_by_namespace_owner_container_and_selectors";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    let bare = |number: u32, namespace: &str, container: &str| {
        PodSpec::new(namespace, &format!("pod-{number}")).uid(&uid(number)).node(NODE).container(
            container,
            "image:1",
            &[&id(number)],
        )
    };
    let pods = [
        ("by-namespace", bare(1, "payments", "main")),
        ("by-owner", bare(2, "other", "main").owner("StatefulSet", "db")),
        ("by-container", bare(3, "other", "worker")),
        ("by-label", bare(4, "other", "main").label("tier", "backend")),
        ("by-annotation", bare(5, "other", "main").annotation("team/profile", "yes")),
        ("", bare(6, "other", "main")),
        ("", bare(7, "payments", "main").annotation("tracer.io/enabled", "false")),
        ("", bare(8, "other", "main").label("tier", "backend").label("legacy", "1")),
    ];
    let rules = "[[target]]\nname = \"by-namespace\"\nnamespace = \"payments\"\n\
         [[target]]\nname = \"by-owner\"\nowner = \"statefulset/db\"\n\
         [[target]]\nname = \"by-container\"\ncontainer_name = [\"worker\", \"runner\"]\n\
         [[target]]\nname = \"by-label\"\npod_label = \"tier in (backend, batch),!legacy\"\n\
         [[target]]\nname = \"by-annotation\"\npod_annotation = \"team/profile=yes\"\n";
    let mut lodgings = Vec::new();
    let servants: Vec<_> = pods
        .iter()
        .map(|(_, pod)| {
            cluster.api.apply(pod.json());
            let mut lodging = cluster.lodge(pod);
            let number = u32::from_str_radix(&uid_of(pod)[..8], 16).expect("it is made of a number");
            let servant = lodging.run(&id(number));
            lodgings.push(lodging);
            servant
        })
        .collect();
    let daemon = Daemon::start(&cluster.config(rules));
    for (servant, (rule, pod)) in servants.iter().zip(&pods).filter(|(_, (rule, _))| !rule.is_empty()) {
        let row = wait_row(&daemon, servant.pid, |_| true);
        assert_eq!(row["rule"], *rule, "{}", uid_of(pod));
    }
    wait_looks(&daemon, 3);
    for (servant, (_, pod)) in servants.iter().zip(&pods).filter(|(_, (rule, _))| rule.is_empty()) {
        assert!(row_of(&daemon, servant.pid).is_none(), "nobody has asked for {}", uid_of(pod));
    }
    drop(servants);
}
