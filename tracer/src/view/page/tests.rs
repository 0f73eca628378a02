//! The page: everything on it, and nothing that a target could slip in.

use super::*;
use crate::mode::Mode;
use crate::model::node::{AllocatorCounts, NodeTarget, Own, PodName, RuntimeHeap, Series, TargetId};
use crate::target::kubernetes::Standing;
use crate::target::labels::LabelSet;
use crate::view::sample;

const HOSTILE: &str = "<script>alert('&\"')</script>\u{1b}[2J";

fn page(node: &Node) -> String {
    let mut out = Vec::new();
    write(node, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn node(text: &str) -> Node {
    let labels = LabelSet {
        namespace: text.into(),
        service: text.into(),
        version: text.into(),
        canary_group: text.into(),
        workload: text.into(),
    };
    let target = NodeTarget {
        id: TargetId { pid: 4242, start_time: 99 },
        comm: text.to_owned(),
        exe: text.to_owned(),
        rule: text.to_owned(),
        labels: labels.clone(),
        pod: Some(PodName {
            namespace: text.into(),
            name: text.into(),
            container: Some(text.into()),
            ..PodName::default()
        }),
        mode: Mode::Live,
        sample_bytes: 512 << 10,
        alloc_bytes_per_second: 1_258_291.0,
        runtime: Some(RuntimeHeap {
            name: text.to_owned(),
            version: Some("go1.27.3".to_owned()),
            sample_bytes: Some(512 << 10),
            profile_age_seconds: Some(0.4),
            lag_bytes: None,
        }),
        gc: Some(sample::collections()),
        gc_cycles_per_second: Some(7.5),
        inuse_bytes: Some(12 << 20),
        inuse_bytes_standard_error: Some(629_145.6),
        resident_bytes: 64 << 20,
        memory_limit_bytes: Some(1 << 30),
        overhead_ratio: Some(0.0123),
        lost: [(text.to_owned(), 17)].into(),
        ..NodeTarget::default()
    };
    let counts = AllocatorCounts { alloc_objects: 1234, alloc_bytes: 5 << 20, ..AllocatorCounts::default() };
    Node {
        at: "2026-03-04T03:00:10.5Z".parse().unwrap(),
        started_at: "2026-03-04T02:00:00Z".parse().unwrap(),
        targets: vec![target.clone(), NodeTarget { mode: Mode::Alloc, inuse_bytes: None, ..target }],
        series: vec![Series {
            labels,
            allocators: [(text.to_owned(), counts)].into(),
            processes: 2,
            ..Series::default()
        }],
        own: Own {
            lost: [(text.to_owned(), 5), ("map_full".to_owned(), 7)].into(),
            attach_failures: [(text.to_owned(), 1)].into(),
            notes: vec![text.to_owned()],
            config_error: Some(text.to_owned()),
            series_suppressed: 3,
            pods: Some(Standing { pods: 110, waiting: 2, ..Standing::default() }),
            ..Own::default()
        },
    }
}

#[test]
fn texts_of_targets_are_harmless() {
    let page = page(&node(HOSTILE));
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("alert('"), "{page}");
    assert!(!page.contains('\u{1b}'), "{page}");
    // As often as it was given: four texts, three of the pod and the runtime of each process, four labels of each set, four
    // sentences. Control characters of the runtime are gone before.
    let shown = "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;\u{fffd}[2J";
    assert_eq!(page.matches(shown).count(), 2 * 7 + 3 * 4 + 4);
}

#[test]
fn a_process_has_its_numbers_and_links() {
    let page = page(&node("shop"));
    for expect in [
        "1.20 MiB/s",
        "12.0 MiB ±5.0%",
        "64.0 MiB / 1.00 GiB",
        "1.23%",
        "512 KiB",
        "<td class=\"bad\">17</td>",
        "targets/4242-99/flamegraph.svg?view=inuse_objects",
        "targets/4242-99/debug/pprof/heap",
        "targets/4242-99/snapshot",
        "since 2026-03-04T02:00:00Z",
        "a map was full",
        "3 label sets",
        "pod shop/shop shop",
        "Pods were never listed",
        "110 pods · 2 containers wait",
        "5.00 MiB",
        "heap (runtime: no probes) · one sample per 512 KiB · profile as of 400ms ago",
        "gc: 83 cycles (7.5/s), 2 forced · pauses 6.9ms in all",
    ] {
        assert!(page.contains(expect), "{expect} in {page}");
    }
    // Mode `alloc` knows nothing of what is in use.
    assert_eq!(page.matches("view=inuse_space").count(), 1);
    assert_eq!(page.matches("view=alloc_space").count(), 2);
}

#[test]
fn a_daemon_that_starts_has_a_page() {
    let page = page(&Node::default());
    assert!(page.contains("The daemon is starting"), "{page}");
    assert!(page.contains("No process fits"), "{page}");
    assert!(page.ends_with("</body></html>\n"));
}
