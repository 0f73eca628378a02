//! The numbers of a family that are told apart by a further label, and those that are there only sometimes.

use super::metric::{Points, Value};
use super::page::Page;
use crate::model::node::{AllocatorCounts, GcCounts, Series, SiteSeries};
use crate::target::kubernetes::Standing;

/// Reasons with a series of their own.
const REASONS_MAX: usize = 50;
/// Stands for the other reasons.
const OTHER_REASON: &str = "other";

pub(super) fn by_allocator(series: &Series, count: fn(&AllocatorCounts) -> Option<u64>) -> Points<'_> {
    let points = series.allocators.iter();
    points.filter_map(|(name, counts)| Some((name.as_str(), Value::Integer(count(counts)?)))).collect()
}

pub(super) fn by_site(series: &Series, bytes: fn(&SiteSeries) -> Option<u64>) -> Points<'_> {
    let points = series.sites.iter();
    points.filter_map(|site| Some((site.site.as_str(), Value::Integer(bytes(site)?)))).collect()
}

pub(super) fn by_cause(series: &Series) -> Points<'_> {
    let causes = series.gc.iter().flat_map(|gc| &gc.causes);
    causes.map(|(cause, count)| (cause.as_str(), Value::Integer(*count))).collect()
}

/// Nothing where no runtime has told.
pub(super) fn of_gc(series: &Series, value: fn(&GcCounts) -> Value) -> Option<Value> {
    series.gc.as_ref().map(value)
}

/// Nothing where pods are not asked for.
pub(super) fn of_pods(page: &Page, count: fn(&Standing) -> u64) -> Option<Value> {
    page.own.pods.as_ref().map(|pods| Value::Integer(count(pods)))
}

pub(super) fn by_map(page: &Page, entries: fn((u64, u64)) -> u64) -> Points<'_> {
    page.own.maps.iter().map(|(&map, &both)| (map, Value::Integer(entries(both)))).collect()
}

/// The first reasons by name: a new one can only move others to the rest, so no counter goes back.
pub(super) fn attach_failures(page: &Page) -> Points<'_> {
    let mut points = Vec::new();
    let mut rest = 0;
    for (reason, &count) in &page.own.attach_failures {
        if points.len() < REASONS_MAX && reason != OTHER_REASON {
            points.push((reason.as_str(), Value::Integer(count)));
        } else {
            rest += count;
        }
    }
    if rest > 0 {
        points.push((OTHER_REASON, Value::Integer(rest)));
    }
    points
}
