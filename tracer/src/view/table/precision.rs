//! How exact the number of a row is: its standard error, or where there are too few samples for one to say much, the
//! interval that holds the truth in 95 % of cases.

use crate::model::FEW_SAMPLES;
use crate::model::snapshot::{CallSite, Dimension};
use crate::units::{Bytes, Count};

/// Whether a number has an error.
pub(in crate::view) fn is_estimate(site: &CallSite, dimension: Dimension) -> bool {
    error(site, dimension) > 0.0
}

/// `±12%`, or `1.20–4.56 MiB`.
pub(in crate::view) fn with_range(site: &CallSite, dimension: Dimension) -> String {
    match interval(site, dimension) {
        Some(interval) if has_few_samples(site, dimension) => range(interval, dimension),
        _ => relative(site, dimension),
    }
}

/// `±12%`, or `±45%*`, where a range has no room.
pub(in crate::view) fn with_mark(site: &CallSite, dimension: Dimension) -> String {
    let mark = if has_few_samples(site, dimension) { "*" } else { "" };
    format!("{}{mark}", relative(site, dimension))
}

fn relative(site: &CallSite, dimension: Dimension) -> String {
    match site.value(dimension) {
        0 => "-".to_owned(),
        value => format!("±{:.0}%", error(site, dimension) / value as f64 * 100.0),
    }
}

/// An interval with its unit.
pub(in crate::view) fn range([low, high]: [f64; 2], dimension: Dimension) -> String {
    let (low, high) = (low.round() as u64, high.round() as u64);
    match dimension {
        Dimension::InuseSpace | Dimension::AllocSpace => {
            let (low, high) = (Bytes(low).to_string(), Bytes(high).to_string());
            match (low.split_once(' '), high.split_once(' ')) {
                (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{high}"),
                _ => format!("{low}–{high}"),
            }
        }
        Dimension::InuseObjects | Dimension::AllocObjects => format!("{}–{}", Count(low), Count(high)),
    }
}

/// Whether the error says less than the interval.
pub(in crate::view) fn has_few_samples(site: &CallSite, dimension: Dimension) -> bool {
    let samples = match dimension {
        Dimension::InuseSpace | Dimension::InuseObjects => site.inuse_samples.unwrap_or(site.samples),
        Dimension::AllocSpace | Dimension::AllocObjects => site.samples,
    };
    is_estimate(site, dimension) && samples < FEW_SAMPLES
}

/// The standard error of a number; 0 where it is exact.
pub(in crate::view) fn error(site: &CallSite, dimension: Dimension) -> f64 {
    let errors = &site.standard_error;
    match dimension {
        Dimension::InuseSpace => errors.inuse_bytes.unwrap_or(0.0),
        Dimension::InuseObjects => errors.inuse_objects.unwrap_or(0.0),
        Dimension::AllocSpace => errors.alloc_bytes,
        Dimension::AllocObjects => errors.alloc_objects,
    }
}

/// What holds the truth in 95 % of cases, where sampled.
pub(in crate::view) fn interval(site: &CallSite, dimension: Dimension) -> Option<[f64; 2]> {
    let intervals = site.interval_95.as_ref()?;
    match dimension {
        Dimension::InuseSpace => intervals.inuse_bytes,
        Dimension::InuseObjects => intervals.inuse_objects,
        Dimension::AllocSpace => Some(intervals.alloc_bytes),
        Dimension::AllocObjects => Some(intervals.alloc_objects),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_its_unit_once_if_it_has_one() {
        let check = |interval, dimension, expect: &str| assert_eq!(range(interval, dimension), expect);
        check([1_258_291.2, 4_781_506.6], Dimension::AllocSpace, "1.20–4.56 MiB");
        check([640.0, 4096.0], Dimension::InuseSpace, "640 B–4.00 KiB");
        check([3.2, 1234.4], Dimension::AllocObjects, "3–1,234");
    }
}
