//! The tables, as they stand in `docs/accuracy.md`.

use crate::coverage::{Class, Coverage};
use crate::lockstep::Ratio;
use crate::markdown::{table, words};
use crate::row::{Measured, OfQuantity};
use crate::sums::Moments;

/// The sum of all sites against the truth.
pub(crate) fn sums(rows: &[Measured]) -> String {
    let mut lines = vec![words([
        "mode, sample_bytes",
        "sum of",
        "error",
        "bias",
        "in its SE",
        "top-10 shares",
        "z by reported SE",
        "z by true SE",
    ])];
    for measured in rows {
        for OfQuantity { quantity, sums, .. } in &measured.numbers {
            let bias = sums.bias();
            lines.push(vec![
                measured.row.name(),
                quantity.name().to_owned(),
                format!("{:.2} %", sums.error() * 100.0),
                format!("{:+.2} %", bias * 100.0),
                format!("{:+.1}", bias / sums.error_of_bias()),
                format!("{:.2} pt", sums.split_error() * 100.0),
                moments(sums.by_reported_error()),
                moments(sums.by_true_error()),
            ]);
        }
    }
    table(&lines, 2)
}

fn moments(Moments { mean, deviation }: Moments) -> String {
    format!("{mean:+.2} ± {deviation:.2}")
}

/// How often intervals hold.
pub(crate) fn coverage(rows: &[Measured]) -> String {
    let mut lines = vec![words([
        "mode, sample_bytes",
        "interval of",
        "expected samples",
        "intervals",
        "hold",
        "too low",
        "too high",
        "unseen",
    ])];
    for measured in rows {
        for OfQuantity { quantity, coverage, .. } in &measured.numbers {
            for (class, found) in Class::ALL.into_iter().zip(coverage) {
                if found.intervals() + found.unseen > 0 {
                    let head = [&measured.row.name(), quantity.name(), class.name()];
                    lines.push([&words(head)[..], &covered(found)].concat());
                }
            }
        }
    }
    table(&lines, 3)
}

fn covered(found: &Coverage) -> [String; 5] {
    let intervals = found.intervals();
    let percent = |count: u64, of: u64| match of {
        0 => String::new(),
        of => format!("{:.1} %", count as f64 / of as f64 * 100.0),
    };
    [
        intervals.to_string(),
        percent(found.held, intervals),
        percent(found.below, intervals),
        percent(found.above, intervals),
        percent(found.unseen, intervals + found.unseen),
    ]
}

/// The two sites in lockstep.
pub(crate) fn lockstep(pairs: u64, ratios: &[Ratio]) -> String {
    let mut lines = vec![words(["sample_bytes", "truth", "every N bytes exactly", "tracer", "its SE", "z"])];
    for ratio in ratios {
        lines.push(vec![
            format!("{} KiB", ratio.sample_bytes >> 10),
            format!("{:.2} : 1", ratio.truth),
            format!("{:.2} : 1", ratio.fixed),
            format!("{:.2} : 1", ratio.ours),
            format!("{:.2}", ratio.standard_error),
            moments(ratio.by_reported_error),
        ]);
    }
    format!("lockstep, {pairs} pairs:\n{}", table(&lines, 1))
}

/// Whether what is exact was the truth.
pub(crate) fn verdict(measured: &Measured) -> String {
    let name = measured.row.name();
    match measured.wrong.first() {
        None => {
            format!("{name}: what is exact was the truth in {0} of {0} repetitions", measured.repetitions)
        }
        Some(first) => format!("{name}: NOT the truth {} times, first {first}", measured.wrong.len()),
    }
}
