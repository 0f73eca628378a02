//! The daemon while the API of its cluster does not answer.

use std::time::{Duration, Instant};

use tracer::model::snapshot::Mode;

use super::cluster::{Cluster, NODE, id, uid};
use crate::daemon::books::{Watcher, assert_shows, row_of, sums, wait_gone, wait_row};
use crate::daemon::driver::Daemon;
use crate::harness::kernel_or_skip;
use crate::servers::kubernetes::{Objects, PodSpec};

/// How long the API is down: long enough for the client to wait longer and longer.
const DOWN: Duration = Duration::from_secs(40);
/// Variable with another number of seconds; 130 is a test of minutes.
const DOWN_SECONDS: &str = "TRACER_TEST_API_DOWN_SECONDS";

/// The longest that the client waits before it tries again, with what is added by chance, and some time to attach.
const RECOVERY: Duration = Duration::from_secs(90);

fn pod(number: u32) -> PodSpec {
    PodSpec::new("shop", &format!("api-{number}"))
        .uid(&uid(number))
        .node(NODE)
        .label("app.kubernetes.io/name", "api")
        .annotation("tracer.io/enabled", "true")
        .container("api", "shop/api:1", &[&id(number)])
}

/// Check that a daemon without the API serves, traces what other rules want under labels that say so, and learns the
/// labels when the API is there.
#[test]
fn without_the_api_labels_are_unknown_until_it_answers() {
    let name = "without_the_api_labels_are_unknown_until_it_answers";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    cluster.api.apply(pod(1).json());
    cluster.api.stop();
    let mut lodging = cluster.lodge(&pod(1));
    let directory = tempfile::tempdir().expect("a directory");
    let program = crate::servants::copy_named(&directory, "without-api");
    let servant = lodging.run_program(&id(1), &program);
    let daemon = Daemon::start(&cluster.config("[[target]]\ncomm = \"without-api\"\n"));
    let row = wait_row(&daemon, servant.pid, |_| true);
    for label in ["namespace", "version", "canary_group", "workload"] {
        assert_eq!(row["labels"][label], "unknown", "{label}");
    }
    assert_eq!(row["labels"]["service"], "without-api");
    assert_eq!(daemon.get("/livez").status, 200);
    assert_eq!(daemon.metric("tracer_kube_synced", &[]), Some(0.0));
    daemon.wait_metric("tracer_kube_watch_errors_total", &[], |value| value > Some(0.0));
    cluster.api.restart();
    let row = wait_row(&daemon, servant.pid, |row| row["labels"]["namespace"] == "shop");
    assert_eq!(row["labels"]["canary_group"], "stable");
    assert_eq!(row["labels"]["service"], "api");
    assert_eq!(daemon.metric("tracer_target_processes", &[("namespace", "unknown")]), None, "it is closed");
}

/// Check that a time without the API changes nothing of what is known, that nobody waits for it, and that what has
/// come and gone meanwhile is found when it is back.
#[test]
fn api_that_is_down_for_a_while_costs_only_what_is_new() {
    let name = "api_that_is_down_for_a_while_costs_only_what_is_new";
    let Some(cluster) = kernel_or_skip(name).then(|| Cluster::or_skip(name)).flatten() else { return };
    cluster.api.apply(pod(1).json());
    cluster.api.apply(pod(2).json());
    let (mut first, mut second, mut third) =
        (cluster.lodge(&pod(1)), cluster.lodge(&pod(2)), cluster.lodge(&pod(3)));
    let (mut stays, goes) = (first.run(&id(1)), second.run(&id(2)));
    let rules = "[[target]]\nopted_in = true\nmode = \"live\"\nsample_bytes = \"0\"\n";
    let daemon = Daemon::start(&cluster.config(rules));
    for pid in [stays.pid, goes.pid] {
        wait_row(&daemon, pid, |row| row["labels"]["service"] == "api");
    }
    let watcher = Watcher::of(&daemon);
    let seconds = std::env::var(DOWN_SECONDS).ok().and_then(|text| text.parse().ok());
    let time_down = seconds.map_or(DOWN, Duration::from_secs);
    let down = Instant::now();
    cluster.api.stop();
    let (gone_pid, before) = (goes.pid, sums(&[stays.tally()], Mode::Live));
    drop(goes);
    wait_gone(&daemon, gone_pid);
    // Its pod was made while nobody could hear of it.
    let comes = third.run(&id(3));
    cluster.api.apply(pod(3).json());
    cluster.api.delete(Objects::Pods, "shop", "api-2");
    let mut rounds = 0;
    while down.elapsed() < time_down {
        stays.work(1);
        rounds += 1;
        assert_eq!(daemon.get("/readyz").status, 200);
        std::thread::sleep(Duration::from_secs(2));
    }
    assert!(rounds > 10);
    let [objects, ..] = sums(&[stays.tally()], Mode::Live);
    assert!(objects > before[0]);
    let row = row_of(&daemon, stays.pid).expect("it is traced");
    assert_eq!(row["labels"]["service"], "api", "what is known stays known");
    assert!(row_of(&daemon, comes.pid).is_none(), "nobody knows that it wants it");
    // Containers of tests beside this one wait too.
    assert!(daemon.metric("tracer_kube_containers_waiting", &[]) >= Some(1.0));
    assert_shows(&daemon, &[("service", "api")], &vec![("tracer_target_processes", Some(1.0))]);
    let back = Instant::now();
    cluster.api.restart();
    while row_of(&daemon, comes.pid).is_none() {
        assert!(back.elapsed() < RECOVERY, "it is found in the end: {}", daemon.stderr());
        std::thread::sleep(Duration::from_millis(100));
    }
    wait_row(&daemon, comes.pid, |row| row["labels"]["service"] == "api");
    eprintln!(
        "after {time_down:?} without the API a new pod was traced {:?} after it was back",
        back.elapsed()
    );
    let errors = daemon.metric("tracer_kube_watch_errors_total", &[]).expect("it is there");
    assert!((1.0..100.0).contains(&errors), "{errors} errors in {time_down:?}");
    watcher.stop();
}
