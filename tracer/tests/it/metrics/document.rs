//! `docs/metrics.md`: what the metrics page has, made of the program's own list.

use std::path::PathBuf;

use tracer::target::labels;
use tracer::view::prometheus::{Kind, METRICS, Metric, Truth};

/// Check that `docs/metrics.md` lists what the program exports; with `INSTA_UPDATE=always` it is written.
#[test]
fn the_document_lists_every_metric() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let expect = document();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &expect).expect("the document can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expect, "docs/metrics.md is old: run this test with INSTA_UPDATE=always");
}

/// What stands above the lists.
const HEAD: &str = "\
# Metrics

What `tracer daemon` exports at `/metrics`. The lists are made of the program's own list, and a test compares them:
`INSTA_UPDATE=always` before the test run writes this file again.

## Formats

The reader's `Accept` header decides, as Prometheus sends it:

| format | asked for by | has |
|---|---|---|
| Prometheus protobuf | `application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited` | everything; the only one with native histograms |
| OpenMetrics text | `application/openmetrics-text`, versions 0.0.1 and 1.0.0 | classic histograms, units |
| plain text 0.0.4 | everything else | classic histograms |

## Rules

* Target series are per label set, never per process. Their labels are always all of those below; one that is not known is
  empty, or `unknown` in a container of which no pod is known. A pid, a stack, an address is never a label; a function only where sites are asked for, and then the top ones.
* Counters keep what processes that are gone have added, and start again only with the daemon.
* What is not known is absent, not 0: mode `alloc` knows nothing of frees, so a label set that was never traced in mode
  `live` has no `tracer_inuse_bytes`.
* Label sets beyond the configured number are added up under `service=\"__other__\"`.
* A verdict on a canary is of the processes of one node; at most 100 services of a node have one, each about 20 series.

How right a number is:

* **exact**: counted by the kernel side or by the program's own runtime, or read from the kernel.
* **exact, or estimate**: exact where every allocation is followed (`tracer_sample_interval_bytes` is 0); else an estimate,
  and `tracer_estimate_relative_error{quantity}` is its standard error as a ratio. See [accuracy.md](accuracy.md).
  What a runtime counts by itself is exact; its call sites are estimates.
* **calculated**: not counted, but worked out: costs from what a probe takes on this machine, errors from how sampling works.

## The histogram of sizes

`tracer_alloc_size_bytes` comes from buckets of powers of two, which are filled exactly.
As a classic histogram it has `le` 16, 64, 256, … 16 MiB.
As a native one it has schema 0, whose bounds are the same powers of two. Allocations of 0 to 16 bytes are in the zero
bucket, whose threshold is 16; those above 16 GiB are in the bucket that ends at 32 GiB.
Its sum is that of `tracer_alloc_bytes_total`, its count that of `tracer_alloc_objects_total`, over all allocators.

## Go

Of a Go program the numbers with `allocator=\"go\"` are those of its own runtime, which counts without a probe:

* Bytes are those of the size classes that Go rounds to. What is freed is what was swept after a collection.
* `tracer_alloc_*` and `tracer_free_*` count since the attach, exactly; one span per size class and processor is counted when
  it is full.
* `tracer_inuse_*` is all that the process holds, also what is older than the attach, and exact.
* `tracer_sample_interval_bytes` is the program's `MemProfileRate`, by which the runtime takes its samples: call sites are
  estimates, and what they have in use is as old as a finished collection.
* A program with cgo has `allocator=\"glibc\"` (or another) beside it, counted by probes.

`tracer_gc_*` is there for programs whose runtime tells of its collections, which only Go's does now.
`tracer_gc_pause_seconds` has an observation per cycle: the sum of its stops of the whole program. It has classic buckets of
10 us to 1 s, and no native ones. Its sum is that of all pauses; the count lacks the cycles of `tracer_gc_pauses_missed_total`,
of which the runtime remembers 256.
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    let is_of_target = |labels: &[&str]| labels.starts_with(&labels::NAMES);
    text.push_str(&format!(
        "\n## Targets\n\nLabels of all of them: `{}`.\n\n| metric | type | further labels | meaning | is |\n|---|---|---|---|---|\n",
        labels::NAMES.join("`, `")
    ));
    for metric in METRICS.iter().filter(|metric| is_of_target(&metric.labels())) {
        text.push_str(&row(metric, labels::NAMES.len()));
    }
    text.push_str(&format!(
        "\n## Canaries\n\nOf each service with processes of `canary_group` `stable` or `canary` on the node; what they mean stands in \
         [canary.md](canary.md). Labels of all of them: `{}`.\n\n| metric | type | further labels | meaning | is |\n|---|---|---|---|---|\n",
        CANARY_LABELS.join("`, `")
    ));
    for metric in METRICS.iter().filter(|metric| is_of_canary(metric)) {
        text.push_str(&row(metric, CANARY_LABELS.len()));
    }
    text.push_str(
        "\n## The daemon itself\n\n| metric | type | labels | meaning | is |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS.iter().filter(|metric| !is_of_target(&metric.labels()) && !is_of_canary(metric)) {
        text.push_str(&row(metric, 0));
    }
    text
}

const CANARY_LABELS: [&str; 3] = ["namespace", "service", "workload"];

fn is_of_canary(metric: &Metric) -> bool {
    metric.labels().starts_with(&CANARY_LABELS)
}

fn row(metric: &Metric, known_labels: usize) -> String {
    let kind = match metric.kind() {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let truth = match metric.truth {
        Truth::Exact => "exact",
        Truth::ExactUnlessSampled => "exact, or estimate",
        Truth::Calculated => "calculated",
    };
    let labels: Vec<_> = metric.labels()[known_labels..].iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {kind} | {} | {} | {truth} |\n", metric.name, labels.join(", "), metric.help)
}
