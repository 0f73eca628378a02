//! Numbers of a comparison as a reader would say them.

use crate::canary::{
    Change, Comparison, Cost, MatchKind, MeanSize, Per, Quantity, Release, Row, SiteChange, Verdict,
};
use crate::units::{Bytes, Count};
use crate::view::frame;

/// A change above this prints as a multiple.
const RATIO_MOST: f64 = 99.995;

/// `5%`, `0.1%`.
#[must_use]
pub fn percent(ratio: f64) -> String {
    let text = format!("{:.2}", ratio * 100.0);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}%")
}

/// A change with its sign: `+5.2%`, `-0.31%`, `×240`.
#[must_use]
pub fn change(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match ratio {
        ratio if ratio.is_nan() => "?".to_owned(),
        ratio if ratio > 1e6 => ">×1,000,000".to_owned(),
        ratio if ratio > RATIO_MOST => format!("×{}", Count((ratio + 1.0).round() as u64)),
        _ if percent.abs() < 0.005 => "0%".to_owned(),
        _ if percent.abs() < 0.995 => format!("{percent:+.2}%"),
        _ if percent.abs() < 9.95 => format!("{percent:+.1}%"),
        _ => format!("{percent:+.0}%"),
    }
}

/// The estimate; a site that only one side has says so.
#[must_use]
pub fn estimate(row: &Row) -> String {
    match &row.change {
        None => "-".to_owned(),
        Some(Change { ratio: Some(ratio), .. }) => change(*ratio),
        Some(_) => "new".to_owned(),
    }
}

/// `+4.0% to +8.4%`.
#[must_use]
pub fn interval(row: &Row) -> String {
    match &row.change {
        None => "-".to_owned(),
        Some(Change { lower, upper: Some(upper), .. }) if lower.to_bits() == upper.to_bits() => {
            "exact".to_owned()
        }
        Some(Change { lower, upper: Some(upper), .. }) => format!("{} to {}", change(*lower), change(*upper)),
        Some(Change { lower, upper: None, .. }) => format!("{} or more", change(*lower)),
    }
}

/// What the test says of a change: `more`, `less`, or nothing.
#[must_use]
pub fn mark(row: &Row) -> &'static str {
    match &row.change {
        Some(change) if change.is_significant => match change.ratio {
            Some(ratio) if ratio < 0.0 => "less",
            _ => "more",
        },
        _ => "",
    }
}

/// The smallest increase that would have been found four times of five.
#[must_use]
pub fn detectable(row: &Row) -> String {
    match row.change.as_ref().and_then(|change| change.detectable) {
        Some(ratio) => change(ratio),
        None => "-".to_owned(),
    }
}

/// An amount in the unit of its quantity; of one that is small, digits after the point.
#[must_use]
pub fn amount(quantity: Quantity, amount: f64) -> String {
    let unit = if quantity == Quantity::AllocObjects { "" } else { " B" };
    match amount {
        0.0 => format!("0{unit}"),
        amount if amount.abs() < 9.995 => format!("{amount:.2}{unit}"),
        amount if quantity == Quantity::AllocObjects => Count(amount.round() as u64).to_string(),
        amount => Bytes(amount.round() as u64).to_string(),
    }
}

/// `1.20 MiB ±3%`: with its standard error, where it has one.
#[must_use]
pub fn cost(quantity: Quantity, cost: &Cost) -> String {
    let text = amount(quantity, cost.amount);
    if cost.standard_error > 0.0 && cost.amount > 0.0 {
        let ratio = cost.standard_error / cost.amount * 100.0;
        let digits = usize::from(ratio < 9.95);
        format!("{text} ±{ratio:.digits$}%")
    } else {
        text
    }
}

/// A quantity as a reader would say it.
#[must_use]
pub const fn quantity(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::AllocBytes => "bytes allocated",
        Quantity::AllocObjects => "objects allocated",
        Quantity::InuseBytes => "bytes in use",
    }
}

/// What an amount of a quantity is divided by.
#[must_use]
pub fn per(quantity: Quantity, per: Per) -> String {
    match quantity {
        Quantity::InuseBytes => "process".to_owned(),
        Quantity::AllocBytes | Quantity::AllocObjects => per.to_string(),
    }
}

/// How the sides of a site were matched, in a word; nothing where there is nothing to say.
#[must_use]
pub const fn matched(kind: MatchKind) -> &'static str {
    match kind {
        MatchKind::Same => "",
        MatchKind::Moved => "moved",
        MatchKind::Inlined => "inlined",
        MatchKind::Split => "split",
        MatchKind::New => "new",
        MatchKind::Gone => "gone",
    }
}

/// The same in a sentence.
#[must_use]
pub const fn matched_sentence(kind: MatchKind) -> &'static str {
    match kind {
        MatchKind::Same => "the same functions and lines in both releases",
        MatchKind::Moved => "moved: the same functions, other lines",
        MatchKind::Inlined => "inlined: the same functions, but for some that one build has inlined",
        MatchKind::Split => {
            "split: several call sites of one function that cannot be told apart, compared as one"
        }
        MatchKind::New => "new: only the canary has it",
        MatchKind::Gone => "gone: only the base has it",
    }
}

/// The verdict as a heading.
#[must_use]
pub fn verdict(comparison: &Comparison) -> String {
    let decision = &comparison.decision;
    let most = percent(comparison.evidence.max_increase);
    match decision.verdict {
        Verdict::Worse if decision.is_beyond => format!("worse, by more than {most}"),
        Verdict::Worse => format!("worse, within {most}"),
        Verdict::Same => format!("same, within {most}"),
        other => other.to_string(),
    }
}

/// What the release may do.
#[must_use]
pub const fn gate(comparison: &Comparison) -> &'static str {
    if comparison.decision.is_go() { "go" } else { "stop" }
}

/// A side: its name, its units, its exposure, its sampling.
#[must_use]
pub fn release(release: &Release, per: Per) -> String {
    let units = if release.units == 1 { "process or run" } else { "processes or runs" };
    let mut parts = vec![format!("{} {units}", Count(release.units.into()))];
    if release.unit_seconds > 0.0 {
        parts.push(format!("{} in all", frame::age(release.unit_seconds)));
    }
    match per {
        Per::CpuSecond => parts.push(format!("{} of CPU time", frame::age(release.exposure))),
        Per::Request => parts.push(format!("{} requests", Count(release.exposure.round().max(0.0) as u64))),
        Per::Process | Per::Run => {}
    }
    parts.push(sampling(&release.sample_bytes));
    parts.join(", ")
}

fn sampling(sample_bytes: &[u64]) -> String {
    let mut each: Vec<u64> = sample_bytes.to_vec();
    each.sort_unstable();
    each.dedup();
    let one = |bytes: &u64| {
        if *bytes <= 1 { "every allocation".to_owned() } else { format!("a sample every {}", Bytes(*bytes)) }
    };
    match each.as_slice() {
        [] => "sampling not known".to_owned(),
        each => each.iter().map(one).collect::<Vec<_>>().join(" and "),
    }
}

/// What the intervals rest on, in sentences.
#[must_use]
pub fn evidence(comparison: &Comparison) -> Vec<String> {
    let evidence = &comparison.evidence;
    let tests = if evidence.tests == 1 { "test" } else { "tests" };
    let mut sentences = vec![format!(
        "Confidence {} over all {} {tests} together (Holm); an interval is the 95% of its own change alone.",
        percent(evidence.confidence),
        Count(evidence.tests.into())
    )];
    if evidence.sampling_error_only {
        let so = if evidence.sampling_error_suffices {
            "--sampling-error-only takes that as enough"
        } else {
            "no verdict rests on that: record three or more a side, or say --sampling-error-only"
        };
        sentences.push(format!(
            "Fewer than three processes or runs on a side: intervals have the sampling error only, and differences \
             between processes look like changes; {so}."
        ));
    } else if let Some(variation) = evidence.unit_variation {
        sentences.push(format!(
            "Beside sampling, a call site varies by {} from one process or run to the next; the intervals have it.",
            percent(variation)
        ));
    }
    if let Some(sentence) = detectable_sentence(comparison) {
        sentences.push(sentence);
    }
    sentences
}

/// What could have been found, of the total and of the sites that were tested.
fn detectable_sentence(comparison: &Comparison) -> Option<String> {
    let of = |row: &Row| row.change.as_ref().and_then(|change| change.detectable);
    let total = comparison.totals.iter().find(|row| row.quantity == Quantity::AllocBytes).and_then(of);
    let mut sites: Vec<f64> = comparison
        .sites
        .iter()
        .filter_map(|site| row(site, Quantity::AllocBytes).and_then(of))
        .filter(|ratio| ratio.is_finite())
        .collect();
    sites.sort_by(f64::total_cmp);
    let middle = sites.get(sites.len() / 2).copied();
    let text = match (total, middle) {
        (Some(total), Some(middle)) => {
            format!(
                "{} of all bytes, {} of a call site (the middle of {})",
                change(total),
                change(middle),
                sites.len()
            )
        }
        (Some(total), None) => format!("{} of all bytes", change(total)),
        (None, Some(middle)) => format!("{} of a call site (the middle of {})", change(middle), sites.len()),
        (None, None) => return None,
    };
    Some(format!("Four comparisons of five like this one would have found an increase of {text}."))
}

/// A site's row of a quantity.
#[must_use]
pub fn row(site: &SiteChange, quantity: Quantity) -> Option<&Row> {
    site.rows.iter().find(|row| row.quantity == quantity)
}

/// `64 B`, or `64 B → 96 B` where an object's mean size has changed.
#[must_use]
pub fn mean_size(size: &MeanSize) -> String {
    match size.bytes.map(|bytes| bytes.map(size_of)) {
        [Some(base), Some(canary)] if base == canary => base,
        [Some(base), Some(canary)] => format!("{base} → {canary}"),
        [Some(one), None] | [None, Some(one)] => one,
        [None, None] => "-".to_owned(),
    }
}

/// Of the base or of the canary.
#[must_use]
pub fn mean_size_of(size: Option<f64>) -> String {
    size.map_or_else(|| "-".to_owned(), size_of)
}

fn size_of(bytes: f64) -> String {
    Bytes(bytes.round().max(0.0) as u64).to_string()
}

/// How far the mean size has changed, and its interval.
#[must_use]
pub fn mean_size_change(size: &MeanSize) -> (String, String) {
    let estimate = size.ratio.map_or_else(|| "-".to_owned(), change);
    let interval = match (size.ratio, size.interval_95) {
        (None, _) => "-".to_owned(),
        (Some(_), None) => "not known".to_owned(),
        (Some(_), Some([lower, upper])) if lower.to_bits() == upper.to_bits() => "exact".to_owned(),
        (Some(_), Some([lower, upper])) => format!("{} to {}", change(lower), change(upper)),
    };
    (estimate, interval)
}

/// How far a site has moved the total; nothing where it has not.
#[must_use]
pub fn weight(site: &SiteChange) -> String {
    change(site.weight)
}
