//! What `deploy/` holds for other programs: each file read as its reader would, by its reader where that is here.

mod checklist;
mod container;
mod custom;
mod dashboard;
mod gates;
mod helm;
mod kubernetes;
mod objects;
mod rollouts;
mod rules;
mod schemas;
mod tools;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tools::promtool;

/// The metrics of the daemon, without what is said of every process.
const METRICS: [&str; 49] = [
    "tracer_alloc_bytes_total",
    "tracer_alloc_objects_total",
    "tracer_alloc_size_bytes",
    "tracer_attach_failures_total",
    "tracer_attached_ratio",
    "tracer_build_info",
    "tracer_canary_change_ratio",
    "tracer_canary_gate",
    "tracer_canary_timestamp_seconds",
    "tracer_config_reload_success",
    "tracer_config_reload_success_timestamp_seconds",
    "tracer_estimate_relative_error",
    "tracer_events_lost_total",
    "tracer_events_total",
    "tracer_free_bytes_total",
    "tracer_free_objects_total",
    "tracer_gc_cpu_ratio",
    "tracer_gc_cycles_total",
    "tracer_gc_forced_cycles_total",
    "tracer_gc_heap_goal_bytes",
    "tracer_gc_heap_live_bytes",
    "tracer_gc_pause_seconds",
    "tracer_gc_pauses_missed_total",
    "tracer_http_requests_refused_total",
    "tracer_inuse_bytes",
    "tracer_inuse_objects",
    "tracer_kube_watch_errors_total",
    "tracer_map_entries",
    "tracer_map_max_entries",
    "tracer_overhead_ratio",
    "tracer_probes_attached",
    "tracer_sample_interval_bytes",
    "tracer_series_suppressed_total",
    "tracer_site_alloc_bytes_total",
    "tracer_site_inuse_bytes",
    "tracer_target_cpu_seconds_total",
    "tracer_target_memory_limit_bytes",
    "tracer_target_overhead_seconds_total",
    "tracer_target_processes",
    "tracer_target_resident_bytes",
    // Of histograms.
    "tracer_alloc_size_bytes_bucket",
    "tracer_alloc_size_bytes_count",
    "tracer_alloc_size_bytes_sum",
    "tracer_gc_pause_seconds_bucket",
    "tracer_gc_pause_seconds_count",
    "tracer_gc_pause_seconds_sum",
    // Of every program that Prometheus scrapes.
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "up",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_path_buf()
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of metrics and of recorded series in an expression.
fn names(expression: &str) -> BTreeSet<&str> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    let words = expression.split(|char| !is_name(char));
    words.filter(|word| word.starts_with("tracer_") || word.starts_with("tracer:")).collect()
}

/// Asserts that an expression reads only what is exported or recorded.
#[track_caller]
fn assert_known(expression: &str, records: &BTreeSet<String>) {
    for name in names(expression) {
        assert!(METRICS.contains(&name) || records.contains(name), "nobody has {name}: {expression}");
    }
}

/// Check that a name is found wherever it stands, and that one that nobody has is.
#[test]
fn names_are_found_in_expressions() {
    let expression = "rate(tracer_a_total{b=\"c\"}[5m]) / on (d) (tracer:e:rate5m > 0)";
    assert_eq!(names(expression), BTreeSet::from(["tracer_a_total", "tracer:e:rate5m"]));
}
