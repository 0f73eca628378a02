//! The processes of a node as JSON: the list for programs, and the one in which scrapers of profiles look for targets.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::mode::Mode;
use crate::model::node::{Node, NodeTarget, PodName, RuntimeHeap};
use crate::model::snapshot::Gc;

/// Everything that is known of the processes.
#[derive(Serialize)]
struct List<'a> {
    at: jiff::Timestamp,
    targets: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: String,
    pid: u32,
    start_time: u64,
    comm: &'a str,
    exe: &'a str,
    rule: &'a str,
    labels: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a PodName>,
    mode: Mode,
    sample_bytes: u64,
    allocators: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a RuntimeHeap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gc: Option<&'a Gc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gc_cycles_per_second: Option<f64>,
    counted_seconds: f64,
    alloc_objects: u64,
    alloc_bytes: u64,
    alloc_objects_per_second: f64,
    alloc_bytes_per_second: f64,
    inuse_objects: Option<u64>,
    inuse_bytes: Option<u64>,
    inuse_bytes_standard_error: Option<f64>,
    resident_bytes: u64,
    memory_limit_bytes: Option<u64>,
    overhead_ratio: Option<f64>,
    lost: &'a BTreeMap<String, u64>,
}

/// A group of Prometheus' HTTP service discovery:
/// <https://prometheus.io/docs/prometheus/latest/http_sd/>.
#[derive(Serialize)]
struct Group<'a> {
    targets: [&'a str; 1],
    labels: BTreeMap<&'static str, String>,
}

/// Writes the list.
///
/// # Errors
/// Only those of the writer.
pub fn write(node: &Node, out: &mut dyn Write) -> io::Result<()> {
    let list = List { at: node.at, targets: node.targets.iter().map(row).collect() };
    serde_json::to_writer_pretty(&mut *out, &list)?;
    writeln!(out)
}

/// Writes the list for scrapers of profiles: one group per process, all at `address`, told apart by the beginning of
/// their paths.
///
/// `__profile_path_prefix__` is what Grafana Alloy puts before the paths of profiles; in Parca one rule puts it before
/// `__profile_path__`. Both take `__scheme__` as Prometheus does, and `service_name` is what Pyroscope wants.
///
/// # Errors
/// Only those of the writer.
pub fn write_discovery(node: &Node, scheme: &str, address: &str, out: &mut dyn Write) -> io::Result<()> {
    let group = |target: &NodeTarget| Group { targets: [address], labels: labels(target, scheme) };
    let groups: Vec<Group<'_>> = node.targets.iter().map(group).collect();
    serde_json::to_writer_pretty(&mut *out, &groups)?;
    writeln!(out)
}

fn row(target: &NodeTarget) -> Row<'_> {
    Row {
        id: target.id.to_string(),
        pid: target.id.pid,
        start_time: target.id.start_time,
        comm: &target.comm,
        exe: &target.exe,
        rule: &target.rule,
        labels: target.labels.pairs().into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        pod: target.pod.as_ref(),
        mode: target.mode,
        sample_bytes: target.sample_bytes,
        allocators: &target.allocators,
        runtime: target.runtime.as_ref(),
        gc: target.gc.as_ref(),
        gc_cycles_per_second: target.gc_cycles_per_second,
        counted_seconds: target.counted_seconds,
        alloc_objects: target.alloc_objects,
        alloc_bytes: target.alloc_bytes,
        alloc_objects_per_second: target.alloc_objects_per_second,
        alloc_bytes_per_second: target.alloc_bytes_per_second,
        inuse_objects: target.inuse_objects,
        inuse_bytes: target.inuse_bytes,
        inuse_bytes_standard_error: target.inuse_bytes_standard_error,
        resident_bytes: target.resident_bytes,
        memory_limit_bytes: target.memory_limit_bytes,
        overhead_ratio: target.overhead_ratio,
        lost: &target.lost,
    }
}

fn labels(target: &NodeTarget, scheme: &str) -> BTreeMap<&'static str, String> {
    let mut labels: BTreeMap<&'static str, String> = target
        .labels
        .pairs()
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    let service = if target.labels.service.is_empty() { &*target.comm } else { &*target.labels.service };
    labels.extend([
        ("__profile_path_prefix__", format!("/targets/{}", target.id)),
        ("__scheme__", scheme.to_owned()),
        ("service_name", service.to_owned()),
        ("tracer_target", target.id.to_string()),
        ("comm", target.comm.clone()),
        ("pid", target.id.pid.to_string()),
    ]);
    if let Some(pod) = &target.pod {
        labels.insert("pod", pod.name.to_string());
        labels.extend(pod.container.as_ref().map(|name| ("container", name.to_string())));
    }
    labels
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::node::{RuntimeHeap, TargetId};
    use crate::target::labels::LabelSet;
    use crate::view::sample;

    fn node() -> Node {
        let labels =
            LabelSet { service: "shop".into(), canary_group: "canary".into(), ..LabelSet::default() };
        let target = NodeTarget {
            id: TargetId { pid: 7, start_time: 99 },
            comm: "a\"b<".to_owned(),
            labels,
            ..NodeTarget::default()
        };
        let bare = NodeTarget { labels: LabelSet::default(), ..target.clone() };
        Node { targets: vec![target, bare], ..Node::default() }
    }

    #[test]
    fn processes_are_listed_with_their_labels() {
        let mut out = Vec::new();
        write(&node(), &mut out).unwrap();
        let list: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(list["targets"][0]["id"], "7-99");
        assert_eq!(list["targets"][0]["comm"], "a\"b<");
        assert_eq!(list["targets"][0]["labels"], json!({"service": "shop", "canary_group": "canary"}));
        assert_eq!(list["targets"][0]["inuse_bytes"], Value::Null);
        assert_eq!(list["targets"][1]["labels"], json!({}));
    }

    #[test]
    fn what_a_runtime_says_is_listed() {
        let mut node = node();
        let target = &mut node.targets[0];
        target.runtime = RuntimeHeap::of(&sample::go().targets[0].allocators[0]);
        (target.gc, target.gc_cycles_per_second) = (Some(sample::collections()), Some(8.3));
        let mut out = Vec::new();
        write(&node, &mut out).unwrap();
        let list: Value = serde_json::from_slice(&out).unwrap();
        let [go, other] = [&list["targets"][0], &list["targets"][1]];
        assert_eq!(go["runtime"]["version"], "go1.27.3");
        assert_eq!(go["runtime"]["sample_bytes"], 512 << 10);
        assert_eq!(go["gc"]["cycles"], 83);
        assert_eq!(go["gc_cycles_per_second"], 8.3);
        assert_eq!((other.get("runtime"), other.get("gc")), (None, None));
    }

    #[test]
    fn discovery_leads_to_each_process() {
        let mut out = Vec::new();
        write_discovery(&node(), "http", "node-1:9464", &mut out).unwrap();
        let groups: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            groups[0],
            json!({
                "targets": ["node-1:9464"],
                "labels": {
                    "__profile_path_prefix__": "/targets/7-99",
                    "__scheme__": "http",
                    "service_name": "shop",
                    "service": "shop",
                    "canary_group": "canary",
                    "tracer_target": "7-99",
                    "comm": "a\"b<",
                    "pid": "7",
                }
            })
        );
        assert_eq!(groups[1]["labels"]["service_name"], "a\"b<");
    }
}
