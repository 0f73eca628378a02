//! The tables of an example, in Markdown.

use comfy_table::{CellAlignment, Table, presets};

use super::{
    advice::Advice,
    interval::paired_ratio,
    report::{Check, deviation, hot_errors},
    storm::{BASELINE, Measured, Report},
    throughput::Pairs,
};

const UNKNOWN: &str = "–";

/// Objects and bytes of the whole process per request.
pub(super) fn totals(report: &Report) -> String {
    let header = ["variant", "allocations/op", "Go's", "deviation", "bytes/op", "Go's", "deviation"];
    table(
        &header,
        report.variants.iter().map(|measured| {
            let (ours, gos) = (&measured.ours, &measured.gos);
            let percent =
                |ours: u64, gos| optional(deviation(ours as f64, gos), |by| format!("{:+.2} %", 100.0 * by));
            vec![
                measured.name.to_owned(),
                per_request(ours.alloc_objects as f64, measured),
                per_request(gos.alloc_objects, measured),
                percent(ours.alloc_objects, gos.alloc_objects),
                per_request(ours.alloc_bytes as f64, measured),
                per_request(gos.alloc_bytes, measured),
                percent(ours.alloc_bytes, gos.alloc_bytes),
            ]
        }),
    )
}

/// The hot function alone, by its call stacks.
pub(super) fn hot(report: &Report) -> String {
    let header =
        ["variant", "allocations/op", "± 95 %", "benchmem", "bytes/op", "± 95 %", "benchmem", "inside"];
    table(
        &header,
        report.variants.iter().map(|measured| {
            let (hot, bench) = (measured.ours.hot, measured.bench);
            let inside = hot_errors(measured).iter().all(|error| error.abs() <= 1.96);
            vec![
                measured.name.to_owned(),
                per_request(hot.objects, measured),
                per_request(1.96 * hot.objects_error, measured),
                format!("{:.2}", bench.objects),
                per_request(hot.bytes, measured),
                per_request(1.96 * hot.bytes_error, measured),
                format!("{:.2}", bench.bytes),
                if inside { "yes" } else { "no" }.to_owned(),
            ]
        }),
    )
}

/// Collections, and latencies with tracer and without.
pub(super) fn gc(report: &Report) -> String {
    let header = [
        "variant",
        "GC cycles/s",
        "Go's",
        "pauses",
        "Go's",
        "longest",
        "Go's",
        "GC CPU",
        "Go's",
        "P99",
        "without tracer",
        "requests/s",
    ];
    table(
        &header,
        report.variants.iter().map(|measured| {
            let (ours, gos) = (&measured.ours, &measured.gos);
            let share = |share| optional(share, |share: f64| format!("{:.2} %", 100.0 * share));
            vec![
                measured.name.to_owned(),
                format!("{:.2}", ours.gc.cycles as f64 / ours.seconds),
                format!("{:.2}", gos.gc_cycles as f64 / gos.seconds),
                milliseconds(ours.gc.pause_seconds),
                milliseconds(gos.pause_seconds),
                optional(ours.gc.longest_pause_seconds, milliseconds),
                optional(gos.longest_pause_seconds, milliseconds),
                share(ours.gc.cpu_ratio),
                share(gos.gc_cpu_ratio),
                optional(measured.p99.0, milliseconds),
                optional(measured.p99.1, milliseconds),
                format!("{:.0}", gos.requests / gos.seconds),
            ]
        }),
    )
}

/// As much as goes, with tracer and without.
pub(super) fn throughput(report: &Report) -> String {
    let header = [
        "variant",
        "with tracer",
        "without",
        "ratio",
        "95 %",
        "CPU/op with",
        "without",
        "ratio",
        "95 %",
        "pairs",
    ];
    table(
        &header,
        report.variants.iter().flat_map(|measured| {
            let probed =
                measured.probed.as_ref().map(|pairs| (format!("{}, by probes", measured.name), pairs));
            let rows = [(measured.name.to_owned(), &measured.throughput)].into_iter().chain(probed);
            rows.map(|(name, pairs)| with_and_without(name, pairs))
        }),
    )
}

fn with_and_without(name: String, pairs: &Pairs) -> Vec<String> {
    let mut row = vec![name];
    row.extend(paired(&pairs.rates, |rate| format!("{rate:.0}/s")));
    row.extend(paired(&pairs.cpu_seconds, |seconds| format!("{:.2} µs", 1e6 * seconds)));
    row.push(pairs.rates.len().to_string());
    row
}

/// Both means, the ratio and its interval.
fn paired(pairs: &[(f64, f64)], text: impl Fn(f64) -> String) -> [String; 4] {
    let ratio = paired_ratio(pairs);
    [
        optional(mean(pairs, |pair| pair.0), &text),
        optional(mean(pairs, |pair| pair.1), &text),
        optional(ratio, |ratio| format!("{:.3}", ratio.mean)),
        optional(ratio.and_then(|ratio| ratio.interval_95), |[low, high]| format!("{low:.3} to {high:.3}")),
    ]
}

/// How many times as much the baseline has.
pub(super) fn ratios(report: &Report) -> String {
    let header = ["variant", "allocations/op", "bytes/op", "GC cycles/s", "pauses", "P99", "requests/s"];
    let Some(baseline) = report.variants.iter().find(|measured| measured.name == BASELINE) else {
        return "There is no baseline.".to_owned();
    };
    table(
        &header,
        report.variants.iter().filter(|measured| measured.name != BASELINE).map(|measured| {
            let ratio = |number: &dyn Fn(&Measured) -> Option<f64>| {
                let ratio = number(baseline).zip(number(measured).filter(|&number| number > 0.0));
                optional(ratio, |(of, over)| format!("{:.2}", of / over))
            };
            vec![
                measured.name.to_owned(),
                ratio(&|one| Some(one.ours.alloc_objects as f64 / one.gos.requests)),
                ratio(&|one| Some(one.ours.alloc_bytes as f64 / one.gos.requests)),
                ratio(&|one| Some(one.ours.gc.cycles as f64 / one.ours.seconds)),
                ratio(&|one| Some(one.ours.gc.pause_seconds / one.ours.seconds)),
                ratio(&|one| one.p99.0),
                ratio(&|one| mean(&one.throughput.rates, |pair| pair.1)),
            ]
        }),
    )
}

/// Every advice on the service's own functions, those that are not about maps too.
pub(super) fn all_advice(report: &Report) -> String {
    let rows = report.variants.iter().map(|measured| {
        let all: Vec<&Advice> = measured.advice.iter().collect();
        vec![measured.name.to_owned(), if all.is_empty() { "none".to_owned() } else { advice(&all) }]
    });
    words(&["variant", "advice"], rows).to_string()
}

/// `empty-maps: main.(*freshMaps).lookupLabels; …`
pub(super) fn advice(list: &[&Advice]) -> String {
    let texts: Vec<String> =
        list.iter().map(|advice| format!("{}: {}", advice.rule, advice.function)).collect();
    texts.join("; ")
}

/// What must be so, and whether it is.
pub(super) fn checks(checks: &[Check]) -> String {
    let verdict = |check: &Check| if check.has_passed { "PASS" } else { "FAIL" };
    let row = |check: &Check| vec![verdict(check).to_owned(), check.what.clone(), check.detail.clone()];
    words(&["", "check", "seen"], checks.iter().map(row)).to_string()
}

fn mean(pairs: &[(f64, f64)], of: fn(&(f64, f64)) -> f64) -> Option<f64> {
    (!pairs.is_empty()).then(|| pairs.iter().map(of).sum::<f64>() / pairs.len() as f64)
}

fn per_request(number: f64, measured: &Measured) -> String {
    let requests = Some(measured.gos.requests).filter(|&requests| requests > 0.0);
    optional(requests, |requests| format!("{:.2}", number / requests))
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", 1000.0 * seconds)
}

fn optional<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), text)
}

/// Numbers below each other, under their names.
fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = words(header, rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn words(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).force_no_tty().set_header(header.to_vec()).add_rows(rows);
    table
}
