//! The numbers of a rollout: verdict, changes with their bounds, and what they rest on.

use super::metric::Value;
use crate::canary::{Change, Quantity, Row, Verdict};
use crate::view::canaries::ServiceCanary;

/// A number with the values of the labels that tell it apart, in the order of their names.
pub(super) struct CanaryPoint {
    pub(super) labels: Vec<&'static str>,
    pub(super) value: Value,
}

/// Every verdict, with the value of its label.
const VERDICTS: [(&str, Verdict); 4] = [
    ("better", Verdict::Better),
    ("same", Verdict::Same),
    ("worse", Verdict::Worse),
    ("not_enough_data", Verdict::NotEnoughData),
];

const fn quantity(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::AllocBytes => "alloc_bytes",
        Quantity::AllocObjects => "alloc_objects",
        Quantity::InuseBytes => "inuse_bytes",
    }
}

fn point(labels: &[&'static str], value: Value) -> CanaryPoint {
    CanaryPoint { labels: labels.to_vec(), value }
}

/// 1 for the verdict that holds, 0 for the others.
pub(super) fn verdicts(canary: &ServiceCanary) -> Vec<CanaryPoint> {
    let holds = canary.comparison.decision.verdict;
    let value = |verdict| Value::Integer(u64::from(verdict == holds));
    VERDICTS.iter().map(|&(name, verdict)| point(&[name], value(verdict))).collect()
}

/// Nothing where the data cannot tell: no gate takes that for a go.
pub(super) fn gate(canary: &ServiceCanary) -> Vec<CanaryPoint> {
    let decision = &canary.comparison.decision;
    let can_tell = decision.verdict != Verdict::NotEnoughData;
    can_tell.then(|| point(&[], Value::Integer(u64::from(decision.is_go())))).into_iter().collect()
}

/// Of each quantity, what is known of its change.
pub(super) fn changes(canary: &ServiceCanary) -> Vec<CanaryPoint> {
    let of_row = |row: &Row| {
        let change = row.change?;
        let bounds = [("estimate", change.ratio), ("lower", Some(change.lower)), ("upper", change.upper)];
        let name = quantity(row.quantity);
        let known = bounds.into_iter().filter_map(|(bound, ratio)| Some((bound, finite(ratio)?)));
        Some(known.map(|(bound, ratio)| point(&[name, bound], Value::Real(ratio))).collect::<Vec<_>>())
    };
    canary.comparison.totals.iter().filter_map(of_row).flatten().collect()
}

pub(super) fn detectable(canary: &ServiceCanary) -> Vec<CanaryPoint> {
    let of_row = |row: &Row| {
        let Change { detectable, .. } = row.change?;
        Some(point(&[quantity(row.quantity)], Value::Real(finite(detectable)?)))
    };
    canary.comparison.totals.iter().filter_map(of_row).collect()
}

/// Processes of each side that are compared.
pub(super) fn units(canary: &ServiceCanary) -> Vec<CanaryPoint> {
    let sides = [("canary", &canary.comparison.canary), ("stable", &canary.comparison.base)];
    sides.map(|(group, side)| point(&[group], Value::Integer(u64::from(side.units)))).into()
}

pub(super) fn computed_at(canary: &ServiceCanary) -> Vec<CanaryPoint> {
    vec![point(&[], Value::Real(canary.at.as_millisecond() as f64 / 1e3))]
}

fn finite(ratio: Option<f64>) -> Option<f64> {
    ratio.filter(|ratio| ratio.is_finite())
}
