//! The verdicts on canaries on the metrics page.

use tracer::view::prometheus::Exposition;

use super::{node, text};

/// Check that a verdict is a set of states, that only what can be said is a number for gates, and that what has no bound has none.
#[test]
fn a_verdict_that_cannot_be_given_is_no_number_for_a_gate() {
    let text = text(&node(), Exposition::Text);
    let of = |name: &str| -> Vec<(String, String)> {
        let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        let pair = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let is_api = series.contains("service=\"api\"");
            let further = series.split("workload=\"\"").nth(1).expect("further labels");
            (
                format!("{} {}", if is_api { "api" } else { "other" }, further.trim_matches([',', '}'])),
                value.to_owned(),
            )
        };
        lines.map(pair).collect()
    };
    let check = |name: &str, expect: &[(&str, &str)]| {
        let expect: Vec<_> =
            expect.iter().map(|&(labels, value)| (labels.to_owned(), value.to_owned())).collect();
        assert_eq!(of(name), expect, "{name}");
    };
    check(
        "tracer_canary_verdict",
        &[
            ("api verdict=\"better\"", "0"),
            ("api verdict=\"same\"", "0"),
            ("api verdict=\"worse\"", "0"),
            ("api verdict=\"not_enough_data\"", "1"),
            ("other verdict=\"better\"", "0"),
            ("other verdict=\"same\"", "0"),
            ("other verdict=\"worse\"", "1"),
            ("other verdict=\"not_enough_data\"", "0"),
        ],
    );
    check("tracer_canary_gate", &[("other ", "0")]);
    check(
        "tracer_canary_change_ratio",
        &[
            ("other quantity=\"alloc_bytes\",bound=\"estimate\"", "0.25"),
            ("other quantity=\"alloc_bytes\",bound=\"lower\"", "0.125"),
            ("other quantity=\"alloc_bytes\",bound=\"upper\"", "0.375"),
            ("other quantity=\"alloc_objects\",bound=\"lower\"", "9.0"),
        ],
    );
    check("tracer_canary_detectable_ratio", &[("other quantity=\"alloc_bytes\"", "0.0625")]);
    check(
        "tracer_canary_units",
        &[
            ("api canary_group=\"canary\"", "0"),
            ("api canary_group=\"stable\"", "0"),
            ("other canary_group=\"canary\"", "3"),
            ("other canary_group=\"stable\"", "3"),
        ],
    );
    check("tracer_canary_timestamp_seconds", &[("api ", "1767225600.25"), ("other ", "1767225600.25")]);
}
