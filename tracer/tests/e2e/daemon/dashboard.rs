//! The dashboard's queries, asked of a Prometheus that scrapes the daemon.

use std::fs;

use serde_json::Value;

use crate::harness::skip;
use crate::servers::prometheus::Prometheus;

const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/grafana/dashboard.json");
/// What Grafana puts in the place of its variables where all is chosen, here in seconds instead of minutes.
const VARIABLES: [(&str, &str); 5] = [
    ("$namespace", ".*"),
    ("$service", ".*"),
    ("$canary_group", ".*"),
    ("$version", ".*"),
    ("$__rate_interval", "10s"),
];
/// Of memory limits, which need a control group that a test may make.
const LIMIT: [&str; 2] = ["tracer_target_memory_limit_bytes", "tracer:resident_bytes:limit_ratio"];

/// Of garbage collections, which the shop's programs have none of.
const OF_GO: [&str; 2] = ["tracer_gc_", "tracer:gc_"];

/// Asks until each query of each panel has an answer.
pub(super) fn every_panel_shows_something(prometheus: &Prometheus, has_limit: bool) {
    let text = fs::read_to_string(DASHBOARD).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let (mut asked, mut of_go) = (0, 0);
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let of_grafana = target["expr"].as_str().expect("a query");
            let mut query = of_grafana.to_owned();
            for (variable, value) in VARIABLES {
                query = query.replace(variable, value);
            }
            assert!(!query.contains('$'), "every variable has a value: {query}");
            if LIMIT.iter().any(|part| query.contains(part)) && !has_limit {
                skip(&format!("panel {}", panel["title"]), "no control group can be limited here");
                continue;
            }
            if OF_GO.iter().any(|part| query.contains(part)) {
                of_go += 1;
                continue;
            }
            prometheus.wait_some(&query);
            asked += 1;
        }
    }
    assert_eq!(of_go, 6, "no other query is left out");
    assert!(asked >= 20, "the dashboard has more than {asked} queries");
}

/// Check that of the call sites of the canary the one that leaks holds most in the end.
pub(super) fn the_leak_is_the_top_site(prometheus: &Prometheus) {
    let sites = "topk(1, tracer_site_inuse_bytes{canary_group=\"canary\"})";
    prometheus.wait(sites, |samples| {
        let is_leak = |site: &str| site.starts_with("remember_visit") && site.contains("shop.c:");
        samples.iter().any(|(labels, _)| is_leak(&labels["site"]))
    });
}

/// Check that the sizes come as a native histogram, and mean what they are: of nine allocations for a page one is the
/// request, of more than 64 and less than 128 bytes, and eight are parts of 512.
pub(super) fn native_histograms_have_the_right_quantile(prometheus: &Prometheus) {
    let sizes = "rate(tracer_alloc_size_bytes{canary_group=\"stable\"}[10s])";
    for (quantile, bucket) in
        [("0.05", 64.0..=128.0), ("0.2", 256.0..=512.0), ("0.5", 256.0..=512.0), ("0.9", 256.0..=512.0)]
    {
        let found = prometheus.wait_some(&format!("histogram_quantile({quantile}, {sizes})"));
        assert!(bucket.contains(&found[0].1), "{quantile}: {found:?}");
    }
    let count = prometheus.wait_some(&format!("histogram_count({sizes})"));
    assert!(count[0].1 > 0.0, "{count:?}");
    let classic = prometheus.query("tracer_alloc_size_bytes_bucket");
    assert!(classic.is_empty(), "it is not a classic one: {classic:?}");
}
