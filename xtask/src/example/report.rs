//! The text of an example: its tables, its checks, and how all of it was measured.

use std::fmt::Write as _;

use super::{
    advice::Advice,
    interval::paired_ratio,
    options::Options,
    storm::{BASELINE, Measured, Report},
    tables,
    throughput::Pairs,
};

/// Of our totals from Go's own.
const DEVIATION_MAX: f64 = 0.02;
/// The 95 % interval of ten sums misses one of them in every second run; this many standard errors are missed once in ten
/// thousand.
const ERRORS_MAX: f64 = 3.9;
/// Upper over lower end of an interval that still says something.
const WIDTH_MAX: f64 = 1.1;

/// Something that must be so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub(super) what: String,
    pub(super) detail: String,
    pub(super) has_passed: bool,
}

/// How much ours is above Go's, as a share of Go's; `None` where Go counted nothing.
pub(super) fn deviation(ours: f64, gos: f64) -> Option<f64> {
    (gos > 0.0).then(|| ours / gos - 1.0)
}

/// How far the sum of the hot sites is from what the benchmark says, in standard errors of bytes and of objects.
///
/// The larger of the reported error and the one that follows from the truth: a site that no sample fell into reports none.
pub(super) fn hot_errors(measured: &Measured) -> [f64; 2] {
    let (hot, requests, interval) =
        (measured.ours.hot, measured.gos.requests, measured.ours.sample_bytes as f64);
    let (objects, bytes) = (measured.bench.objects * requests, measured.bench.bytes * requests);
    let mean = if objects > 0.0 { bytes / objects } else { 0.0 };
    let expected_bytes = (bytes * interval).sqrt();
    let expected_objects = if mean > 0.0 { expected_bytes / mean } else { 0.0 };
    let in_errors = |difference: f64, error: f64| if difference == 0.0 { 0.0 } else { difference / error };
    [
        in_errors(hot.bytes - bytes, hot.bytes_error.max(expected_bytes)),
        in_errors(hot.objects - objects, hot.objects_error.max(expected_objects)),
    ]
}

/// All checks of one compiler.
pub(super) fn checks(report: &Report) -> Vec<Check> {
    report.variants.iter().flat_map(|measured| checks_of(&report.go, measured)).collect()
}

fn checks_of(go: &str, measured: &Measured) -> Vec<Check> {
    let (ours, gos) = (&measured.ours, &measured.gos);
    let check = |what: &str, detail: String, has_passed: bool| Check {
        what: format!("{go} {}: {what}", measured.name),
        detail,
        has_passed,
    };
    let mut checks = Vec::new();
    for (name, ours, gos) in
        [("objects", ours.alloc_objects, gos.alloc_objects), ("bytes", ours.alloc_bytes, gos.alloc_bytes)]
    {
        let by = deviation(ours as f64, gos);
        let detail = by.map_or("Go counted none".to_owned(), |by| format!("{:+.3} %", 100.0 * by));
        let what = format!("{name} within {} % of runtime/metrics", 100.0 * DEVIATION_MAX);
        checks.push(check(&what, detail, by.is_some_and(|by| by.abs() <= DEVIATION_MAX)));
    }
    let apart = ours.gc.cycles.abs_diff(gos.gc_cycles);
    checks.push(check("GC cycles as Go's, but for one at the edge", format!("{apart} apart"), apart <= 1));
    let errors = hot_errors(measured);
    checks.push(check(
        "the hot function's bytes and objects as `go test -benchmem` says, in standard errors",
        format!("{:+.1}, {:+.1}", errors[0], errors[1]),
        errors.iter().all(|error| error.abs() <= ERRORS_MAX),
    ));
    let named: Vec<&Advice> = measured.advice.iter().filter(|advice| advice.is_about_maps()).collect();
    let named_text = if named.is_empty() { "none".to_owned() } else { tables::advice(&named) };
    if measured.name == BASELINE {
        for (by, top) in [("objects", &ours.top_by_objects), ("bytes", &ours.top_by_bytes)] {
            let top = top.as_deref().unwrap_or("none");
            checks.push(check(
                &format!("the top site by {by} is a function that returns a map"),
                top.to_owned(),
                top.contains(").lookup"),
            ));
        }
        checks.push(check("advise names it", named_text, !named.is_empty()));
    } else {
        checks.push(check("advise names no function that returns maps", named_text, named.is_empty()));
    }
    checks
}

/// How many have failed.
pub(super) fn failures(reports: &[Report]) -> usize {
    reports.iter().flat_map(checks).filter(|check| !check.has_passed).count()
}

/// All of it, as Markdown.
pub(super) fn text(reports: &[Report], options: &Options) -> String {
    let mut text = String::new();
    for report in reports {
        // Writing to a string does not fail.
        let _ = write!(text, "{}", of_one(report, options));
    }
    text
}

fn of_one(report: &Report, options: &Options) -> String {
    let checks = tables::checks(&checks(report));
    let seconds = options.window.as_secs();
    format!(
        "## {go}\n\n\
        {rate} requests/s by hey on 16 connections, {seconds} s a window. tracer's window is its own `started_at` and \
        `attached_seconds`; Go's numbers are of the same moments: `/stats` (runtime/metrics, without stopping the program) \
        was read ten times a second, and its counters were interpolated to those moments. Both are over the requests of \
        that window, HTTP included.\n\n{totals}\n\n\
        The same by call stack: the sites below the hot function (`main.summarizeMaps`, `main.summarizeViews`) per request, \
        ± 1.96 standard errors, beside `go test -benchmem` of that function alone.\n\n{hot}\n\n\
        Collections and latencies at that rate. hey sends on 16 connections in step and waits for each answer: its P99 has \
        0.1 ms, and leaves out what would have been sent meanwhile. Go's CPU share is since Go 1.20.\n\n{gc}\n\n\
        As much as goes, by wrk on 16 connections, which has no rate (that is why P99 is not taken from it): requests/s \
        with tracer (heap profile and counters read from memory, no probe on an allocation; \
        \"by probes\": `--go probes --sample-bytes 512KiB`) and without, in turns, each pair in the other \
        order than the one before, and the service's CPU time per request; the mean ratios of the pairs with their 95 % \
        intervals (Student's t over the logarithms).\n\n{throughput}\n\n\
        {verdict}\n\n\
        Baseline over variant.\n\n{ratios}\n\n\
        What `tracer advise` says.\n\n{advice}\n\n{checks}\n\n",
        go = report.go,
        rate = report.rate,
        totals = tables::totals(report),
        hot = tables::hot(report),
        gc = tables::gc(report),
        throughput = tables::throughput(report),
        verdict = verdict(report),
        ratios = tables::ratios(report),
        advice = tables::all_advice(report),
    )
}

/// Whether tracing was seen at all.
fn verdict(report: &Report) -> String {
    let Some(baseline) = report.variants.iter().find(|measured| measured.name == BASELINE) else {
        return "There is no baseline.".to_owned();
    };
    let seen = |pairs: &[(f64, f64)]| {
        let ratio = paired_ratio(pairs)?;
        let [low, high] = ratio.interval_95?;
        let words = if !(low..=high).contains(&1.0) {
            "a difference was measured"
        } else if high / low > WIDTH_MAX {
            "the pairs differ too much to tell"
        } else {
            "no difference was measured"
        };
        Some(format!("{words} (ratio {low:.3} to {high:.3}, {} pairs)", ratio.pairs))
    };
    let text = |pairs: &[(f64, f64)]| seen(pairs).unwrap_or_else(|| "the pairs have no interval".to_owned());
    let said = |how: &str, pairs: &Pairs| {
        format!(
            "{how}, requests/s: {}; CPU time per request: {}.",
            text(&pairs.rates),
            text(&pairs.cpu_seconds)
        )
    };
    let probed = baseline.probed.as_ref().map(|pairs| said("By probes on Go's allocator", pairs));
    [said("Baseline", &baseline.throughput)].into_iter().chain(probed).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests;
