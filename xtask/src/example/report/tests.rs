//! Tests of the checks, on documents that are made up: no tracer runs here.

use std::time::Duration;

use lexopt::Parser;

use super::*;
use crate::example::{
    document::{Document, Estimate, GcNumbers},
    go::PerRequest,
    stats::Window,
    throughput::Pairs,
};

fn measured(name: &'static str) -> Measured {
    let gc = GcNumbers {
        cycles: 80,
        pause_seconds: 0.02,
        longest_pause_seconds: Some(0.003),
        cpu_ratio: Some(0.05),
    };
    Measured {
        name,
        ours: Document {
            from_ns: 0,
            to_ns: 10_000_000_000,
            seconds: 10.0,
            sample_bytes: 524_288,
            alloc_objects: 11_900_000,
            alloc_bytes: 700_000_000,
            gc,
            hot: Estimate {
                objects: 9_700_000.0,
                objects_error: 50_000.0,
                bytes: 508_000_000.0,
                bytes_error: 16_000_000.0,
            },
            top_by_objects: Some("main.(*freshMaps).lookupLabels".to_owned()),
            top_by_bytes: Some("main.(*freshMaps).lookupAttributes".to_owned()),
        },
        gos: Window {
            seconds: 10.0,
            requests: 100_000.0,
            alloc_objects: 11_910_000.0,
            alloc_bytes: 701_000_000.0,
            gc_cycles: 80,
            pause_seconds: 0.02,
            longest_pause_seconds: Some(0.003),
            gc_cpu_ratio: None,
        },
        bench: PerRequest { objects: 97.0, bytes: 5080.0 },
        p99: (Some(0.0021), None),
        throughput: Pairs {
            rates: vec![(100.0, 100.2), (100.3, 100.0)],
            cpu_seconds: vec![(31e-6, 30e-6), (62.1e-6, 60e-6)],
        },
        probed: Some(Pairs {
            rates: vec![(80.0, 100.0), (81.0, 101.0)],
            cpu_seconds: vec![(40e-6, 30e-6), (80.3e-6, 60e-6)],
        }),
        advice: Vec::new(),
    }
}

fn advice() -> Vec<Advice> {
    vec![Advice { rule: "empty-maps".to_owned(), function: "main.(*freshMaps).lookupLabels".to_owned() }]
}

fn failed(measured: &Measured) -> Vec<String> {
    let checks = checks_of("go1.19.8", measured);
    checks.into_iter().filter(|check| !check.has_passed).map(|check| check.what).collect()
}

#[test]
fn a_baseline_that_is_named_and_a_remedy_that_is_not_pass() {
    let mut baseline = measured("baseline");
    baseline.advice = advice();
    assert_eq!(failed(&baseline), Vec::<String>::new());
    assert_eq!(failed(&measured("nil")), Vec::<String>::new());
}

#[test]
fn each_check_fails_for_what_it_is_about() {
    type Change = fn(&mut Measured);
    let cases: [(&'static str, Change, &str); 8] = [
        ("nil", |m| m.ours.alloc_objects = 12_200_000, "objects within 2 %"),
        ("nil", |m| m.ours.alloc_bytes = 680_000_000, "bytes within 2 %"),
        ("nil", |m| m.gos.alloc_bytes = 0.0, "bytes within 2 %"),
        ("nil", |m| m.ours.gc.cycles = 78, "GC cycles"),
        ("nil", |m| m.ours.hot.bytes *= 1.2, "hot function"),
        ("nil", |m| m.advice = advice(), "advise names no function"),
        ("baseline", |m| (m.advice, m.ours.top_by_bytes) = (advice(), None), "top site by bytes"),
        ("baseline", |_| {}, "advise names it"),
    ];
    for (name, change, what) in cases {
        let mut measured = measured(name);
        change(&mut measured);
        let failed = failed(&measured);
        assert!(failed.len() == 1 && failed[0].contains(what), "{what}: {failed:?}");
    }
}

#[test]
fn what_is_too_little_to_be_sampled_is_not_far_off() {
    let mut pool = measured("pool");
    pool.bench = PerRequest { objects: 0.01, bytes: 3.0 };
    pool.ours.hot = Estimate::default();
    assert!(hot_errors(&pool).iter().all(|error| error.abs() < 1.0), "{:?}", hot_errors(&pool));
    pool.bench = PerRequest { objects: 0.0, bytes: 0.0 };
    assert_eq!(hot_errors(&pool), [0.0, 0.0]);
    pool.ours.hot.bytes = 1.0;
    assert!(hot_errors(&pool)[0].is_infinite(), "nothing is there, and something was said");
}

#[test]
fn the_text_has_every_variant_and_says_what_is_not_known() {
    let variants = ["baseline", "nil"].map(measured).into_iter().collect();
    let reports = [Report { go: "go1.19.8".to_owned(), rate: 7600, variants }];
    let options = Options::parse(Parser::from_args(["--quick"])).unwrap();
    assert_eq!(options.window, Duration::from_secs(3));
    let text = text(&reports, &options);
    let rows = |name: &str| text.lines().filter(|line| line.starts_with(&format!("| {name} "))).count();
    assert_eq!((rows("baseline"), rows("nil")), (5, 6), "the table of ratios has no baseline\n{text}");
    assert!(
        text.contains("FAIL")
            && text.contains("PASS")
            && text.contains("requests/s: no difference was measured"),
        "{text}"
    );
    assert_eq!(rows("baseline, by probes"), 1, "{text}");
    assert!(
        text.contains("By probes on Go's allocator, requests/s: a difference was measured (ratio 0.7"),
        "{text}"
    );
    assert!(text.contains("request: a difference was measured"), "{text}");
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    assert_eq!(failures(&reports), 1, "the baseline is not named");
}

#[test]
fn an_interval_that_is_too_wide_says_so() {
    let mut baseline = measured("baseline");
    baseline.throughput.rates = vec![(100.0, 120.0), (130.0, 100.0)];
    let report = Report { go: "go1.19.8".to_owned(), rate: 1, variants: vec![baseline] };
    assert!(
        verdict(&report).contains("requests/s: the pairs differ too much to tell"),
        "{}",
        verdict(&report)
    );
}
