//! The metrics page in its three expositions.

mod document;
mod verdicts;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Bucket, BucketSpan, Metric as Message, MetricFamily, MetricType,
};
use prost::Message as _;
use tracer::model::node::{AllocatorCounts, GcCounts, Node, OTHER, Own, Series, SiteSeries};
use tracer::model::snapshot::StopSums;
use tracer::target::kubernetes::Standing;
use tracer::target::labels::LabelSet;
use tracer::view::prometheus::{self, Exposition, Kind, METRICS, ProcessUsage, Scrape};
use tracer_ebpf::histogram::{SIZE_BUCKETS, size_bound_bytes, size_bucket};

use crate::canaries::canaries;

/// A service whose name would be a series of its own.
const HOSTILE: &str = "say \"hi\"\\\ntracer_canary_gate 1";
/// Above it a float has not every integer.
const BEYOND_FLOATS: u64 = (1 << 53) + 1;

fn label_set(values: [&str; 5]) -> LabelSet {
    let [namespace, service, version, canary_group, workload] = values.map(Into::into);
    LabelSet { namespace, service, version, canary_group, workload }
}

fn sizes(of: &[(u64, u64)]) -> Vec<(Option<u64>, u64)> {
    let mut buckets: Vec<_> = (0..SIZE_BUCKETS).map(|bucket| (size_bound_bytes(bucket), 0)).collect();
    for &(size, count) in of {
        buckets[size_bucket(size)].1 += count;
    }
    buckets
}

/// In mode `live`, sampled, with everything that is opt-in.
fn hostile() -> Series {
    let glibc = AllocatorCounts {
        alloc_objects: 1_000,
        alloc_bytes: BEYOND_FLOATS,
        free_objects: Some(900),
        free_bytes: Some(80_000),
    };
    let other = AllocatorCounts { alloc_objects: 24, alloc_bytes: 2_048, ..AllocatorCounts::default() };
    Series {
        labels: label_set([
            "prod",
            "say \"hi\"\\",
            "1.0\n# EOF\nx 1",
            "ca\u{0}na\u{7f}ry",
            "{a=\"b\"},\u{fffd} é 🦀",
        ]),
        allocators: BTreeMap::from([("glibc".to_owned(), glibc), ("my\"malloc\n".to_owned(), other)]),
        sizes: sizes(&[(0, 4), (16, 20), (17, 500), (64, 400), (1 << 20, 75), (1 << 30, 20), (1 << 40, 5)]),
        processes: 3,
        cpu_seconds: 12.5,
        overhead_seconds: 0.25,
        overhead_ratio: Some(0.02),
        inuse_objects: Some(124),
        inuse_bytes: Some(9_000_000_000),
        relative_errors: BTreeMap::from([
            ("free_bytes", 0.04),
            ("inuse_bytes", 0.0125),
            ("inuse_objects", 0.05),
        ]),
        resident_bytes: Some(123_456_789),
        memory_limit_bytes: Some(1 << 30),
        sample_interval_bytes: Some(524_288),
        attached_ratio: Some(0.75),
        gc: Some(collections()),
        gc_cpu_ratio: Some(0.041),
        gc_heap_goal_bytes: Some(125_829_120),
        gc_heap_live_bytes: Some(63_963_136),
        sites: vec![
            SiteSeries {
                site: "operator\"\"_x<\"a\\b\">(char const*)\n (/src/a b.cc:7)".to_owned(),
                alloc_bytes: 7_000,
                inuse_bytes: Some(500),
            },
            SiteSeries { site: "main (main.c:1)".to_owned(), alloc_bytes: 1, inuse_bytes: None },
        ],
    }
}

/// 84 cycles, of which the pauses of 81 were seen: up to 25 us, 100 us, 2.5 ms, and above a second.
fn collections() -> GcCounts {
    let mut counts = GcCounts {
        cycles: 84,
        forced_cycles: 2,
        pause_seconds: 1.375,
        pauses_missed: 3,
        ..GcCounts::default()
    };
    for (bucket, count) in [(1, 60), (3, 18), (7, 2), (15, 1)] {
        counts.pauses[bucket] = count;
    }
    let mut stops = StopSums { count: 3, seconds: 0.0125, histogram: vec![0; counts.pauses.len()] };
    (stops.histogram[2], stops.histogram[9]) = (2, 1);
    counts.stops = [("GC mark termination".to_owned(), stops)].into();
    counts.causes = [("forced".to_owned(), 2), ("heap".to_owned(), 82)].into();
    counts
}

/// In mode `alloc`, nothing known of its place, no process left.
fn bare() -> Series {
    let counts = AllocatorCounts { alloc_objects: 2, alloc_bytes: 32, ..AllocatorCounts::default() };
    Series {
        labels: label_set(["", OTHER, "", "", ""]),
        allocators: BTreeMap::from([("jemalloc".to_owned(), counts)]),
        sizes: sizes(&[(16, 2)]),
        cpu_seconds: 1.0,
        ..Series::default()
    }
}

fn own() -> Own {
    let lost = [("map_full", 0), ("live_full", 0), ("ring_full", 3), ("read_fault", 0)];
    Own {
        events: u64::MAX,
        pods: Some(Standing { is_synced: true, pods: 110, waiting: 2, unresolved: 1, watch_errors: 5 }),
        lost: lost.map(|(reason, count)| (reason.to_owned(), count)).into(),
        probes_attached: 14,
        attach_failures: BTreeMap::from([("it has a \"return probe\" already\n".to_owned(), 2)]),
        maps: BTreeMap::from([("blocks", (1_234, 1 << 20)), ("sites", (56, 16_384))]),
        map_bytes: Some(100 << 20),
        series_suppressed: 2,
        config_is_good: true,
        config_loaded_at: jiff::Timestamp::from_millisecond(1_767_225_600_250).expect("a time"),
        look_seconds: 0.0625,
        ..Own::default()
    }
}

fn node() -> Node {
    Node { series: vec![bare(), hostile()], own: own(), ..Node::default() }
}

fn page(node: &Node, exposition: Exposition) -> Vec<u8> {
    let process = ProcessUsage {
        cpu_seconds: 1.5,
        resident_bytes: 30 << 20,
        virtual_bytes: 200 << 20,
        open_fds: 64,
        max_fds: 1_024,
        start_time_seconds: 1_767_225_600.5,
        threads: 4,
    };
    let canaries = canaries(HOSTILE);
    let scrape =
        Scrape { node, canaries: &canaries, refused: &[("busy", 0), ("unauthorized", 7)], process: &process };
    prometheus::write(exposition, &scrape).expect("a page")
}

fn text(node: &Node, exposition: Exposition) -> String {
    String::from_utf8(page(node, exposition)).expect("a page is UTF-8")
}

fn families(mut page: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut page).expect("a family"));
    }
    families
}

fn label<'a>(metric: &'a Message, name: &str) -> &'a str {
    let found = metric.label.iter().find(|label| label.name == name);
    found.map(|label| label.value.as_str()).unwrap_or_else(|| panic!("label {name} of {metric:?}"))
}

/// The page without what changes with the program's version, and with control characters that a file can show.
fn shown(text: &str) -> String {
    let info = |version| format!("tracer_build_info{{version=\"{version}\"}}");
    let text = text.replace(&info(env!("CARGO_PKG_VERSION")), &info("VERSION"));
    text.replace('\0', "␀").replace('\u{7f}', "␡")
}

#[test]
fn the_page_as_open_metrics() {
    let text = text(&node(), Exposition::OpenMetrics);
    assert!(text.ends_with("\n# EOF\n"));
    insta::assert_snapshot!("openmetrics", shown(&text));
}

#[test]
fn the_page_as_plain_text() {
    let text = text(&node(), Exposition::Text);
    assert!(!text.lines().any(|line| line.starts_with("# EOF") || line.starts_with("# UNIT")), "{text}");
    insta::assert_snapshot!("text", shown(&text));
}

/// Check that integers have all their digits, where the format has integers.
#[test]
fn counters_are_integers() {
    for exposition in [Exposition::Text, Exposition::OpenMetrics] {
        let text = text(&node(), exposition);
        assert!(text.contains("\ntracer_events_total 18446744073709551615\n"));
        let bytes =
            text.lines().find(|line| line.starts_with("tracer_alloc_bytes_total{") && line.contains("glibc"));
        assert!(bytes.is_some_and(|line| line.ends_with(" 9007199254740993")), "{bytes:?}");
    }
}

/// Check that no label value can end its line, or be a series of its own.
#[test]
fn hostile_labels_stay_labels() {
    let names: Vec<_> = METRICS.iter().map(|metric| metric.name.trim_end_matches("_total")).collect();
    for exposition in [Exposition::Text, Exposition::OpenMetrics] {
        let text = text(&node(), exposition);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(names.iter().any(|name| line.starts_with(name)), "{line}");
            let (_, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        assert_eq!(text.matches("\n# EOF").count(), usize::from(exposition == Exposition::OpenMetrics));
    }
}

#[test]
fn the_page_as_protobuf_says_the_same_as_the_text() {
    let families = families(&page(&node(), Exposition::Protobuf));
    let names: Vec<_> = families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names, METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>());
    let text = text(&node(), Exposition::Text);
    for (family, metric) in families.iter().zip(METRICS) {
        let kind = match metric.kind() {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        assert_eq!((family.r#type(), family.help.as_str()), (kind, metric.help));
        for point in &family.metric {
            let labels: Vec<_> = point.label.iter().map(|label| label.name.as_str()).collect();
            assert_eq!(labels, metric.labels(), "{}", family.name);
        }
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(metric.name).unwrap_or_default();
            rest.starts_with(['{', ' ']) || rest.starts_with("_count{")
        });
        assert_eq!(lines.count(), family.metric.len(), "{}", family.name);
    }
    let alloc_bytes = &families[0].metric[1];
    assert_eq!(label(alloc_bytes, "service"), "say \"hi\"\\");
    assert_eq!(label(alloc_bytes, "version"), "1.0\n# EOF\nx 1");
    assert_eq!(label(alloc_bytes, "canary_group"), "ca\u{0}na\u{7f}ry");
    assert_eq!(label(alloc_bytes, "allocator"), "glibc");
}

#[test]
fn the_histogram_has_classic_and_native_buckets() {
    let families = families(&page(&node(), Exposition::Protobuf));
    let family =
        families.iter().find(|family| family.name == "tracer_alloc_size_bytes").expect("the histogram");
    let histogram = |at: usize| family.metric[at].histogram.as_ref().expect("a histogram");

    let hostile = histogram(1);
    assert_eq!(hostile.sample_count, 1_024);
    assert_eq!(hostile.sample_sum, (BEYOND_FLOATS + 2_048) as f64);
    let classic = |bucket: &Bucket| (bucket.upper_bound, bucket.cumulative_count);
    let mib = 1_048_576.0;
    assert_eq!(
        hostile.bucket.iter().map(classic).collect::<Vec<_>>(),
        [
            (16.0, 24),
            (64.0, 924),
            (256.0, 924),
            (1_024.0, 924),
            (4_096.0, 924),
            (16_384.0, 924),
            (65_536.0, 924),
            (262_144.0, 924),
            (mib, 999),
            (4.0 * mib, 999),
            (16.0 * mib, 999),
            (f64::INFINITY, 1_024),
        ]
    );
    assert_eq!((hostile.schema, hostile.zero_threshold, hostile.zero_count), (0, 16.0, 24));
    // From (16, 32] to (2^34, 2^35], which stands for all above 2^34.
    assert_eq!(hostile.positive_span, [BucketSpan { offset: 5, length: 31 }]);
    let mut count = 0;
    let counts: Vec<_> = hostile
        .positive_delta
        .iter()
        .map(|delta| {
            count += delta;
            count
        })
        .collect();
    let filled: Vec<_> =
        counts.iter().zip(5..).filter(|&(&count, _)| count > 0).map(|(&count, at)| (at, count)).collect();
    assert_eq!(filled, [(5, 500), (6, 400), (20, 75), (30, 20), (35, 5)]);
    assert!(hostile.negative_span.is_empty() && hostile.negative_delta.is_empty());

    let bare = histogram(0);
    assert_eq!((bare.sample_count, bare.sample_sum, bare.zero_count), (2, 32.0, 2));
    assert!(bare.positive_span.is_empty() && bare.zero_threshold > 0.0, "it is known as a native one");
}

/// Check the histogram of pauses: classic buckets only, whose count is that of the cycles whose pause was seen.
#[test]
fn pauses_are_a_classic_histogram() {
    let families = families(&page(&node(), Exposition::Protobuf));
    let family =
        families.iter().find(|family| family.name == "tracer_gc_pause_seconds").expect("the histogram");
    let [only] = &family.metric[..] else { panic!("of the one that tells: {family:?}") };
    let histogram = only.histogram.as_ref().expect("a histogram");
    assert_eq!((histogram.sample_count, histogram.sample_sum), (81, 1.375));
    let cumulative: Vec<_> = histogram.bucket.iter().map(|bucket| bucket.cumulative_count).collect();
    assert_eq!(cumulative, [0, 60, 60, 78, 78, 78, 78, 80, 80, 80, 80, 80, 80, 80, 80, 81]);
    let bounds: Vec<_> = histogram.bucket.iter().map(|bucket| bucket.upper_bound).collect();
    assert_eq!((bounds[0], bounds[14], bounds[15]), (10e-6, 1.0, f64::INFINITY));
    assert!(histogram.positive_span.is_empty() && histogram.zero_threshold == 0.0, "it is no native one");
    let text = text(&node(), Exposition::Text);
    let counter = text.lines().find(|line| line.starts_with("tracer_gc_cycles_total{"));
    assert!(counter.is_some_and(|line| line.ends_with(" 84")), "{counter:?}");
}

/// Check that what is not known is not on the page, rather than 0.
#[test]
fn what_is_none_is_absent() {
    let node = Node { series: vec![bare()], ..Node::default() };
    let text = text(&node, Exposition::Text);
    for absent in [
        "tracer_free_bytes_total",
        "tracer_free_objects_total",
        "tracer_inuse_bytes",
        "tracer_estimate_relative_error",
        "tracer_overhead_ratio",
        "tracer_target_resident_bytes",
        "tracer_site_",
        "tracer_gc_",
        "tracer_map_bytes",
    ] {
        assert!(!text.contains(absent), "{absent}");
    }
    let labels = "namespace=\"\",service=\"__other__\",version=\"\",canary_group=\"\",workload=\"\"";
    assert!(text.contains(&format!("\ntracer_target_processes{{{labels}}} 0\n")), "{text}");
}

/// Check that reasons are bounded, and that none of them is lost.
#[test]
fn the_last_reasons_are_one_series() {
    let reasons = (0..60).map(|number| (format!("reason {number:02}"), 1)).chain([("other".to_owned(), 5)]);
    let own = Own { attach_failures: reasons.collect(), ..Own::default() };
    let text = text(&Node { own, ..Node::default() }, Exposition::Text);
    let lines: Vec<_> =
        text.lines().filter(|line| line.starts_with("tracer_attach_failures_total{")).collect();
    assert_eq!(lines.len(), 51);
    assert_eq!(lines[49], "tracer_attach_failures_total{reason=\"reason 49\"} 1");
    assert_eq!(lines[50], "tracer_attach_failures_total{reason=\"other\"} 15");
}

/// Check the plain text with Prometheus' own linter.
#[test]
fn promtool_finds_nothing_wrong() {
    let name = "promtool_finds_nothing_wrong";
    let command = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match command {
        Ok(promtool) => promtool,
        Err(error) => {
            println!("SKIP {name}: promtool: {error}");
            return;
        }
    };
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(&page(&node(), Exposition::Text)).expect("promtool reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
