//! Sides that no comparison is possible of.

use super::comparison::MatchKind;
use super::matching::Group;
use super::{CannotCompare, Options, Side, Unit};

/// By so much the times of two windows may overlap, in seconds: they are of clocks.
const CLOCK_TOLERANCE: f64 = 0.5;

/// Looks at the sides before anything is computed.
pub(super) fn check(base: &Side, canary: &Side, options: &Options) -> Result<(), CannotCompare> {
    for side in [base, canary] {
        if side.units.is_empty() {
            return refuse(format!("`{}` has no process and no run: give at least one", side.name));
        }
        if side.units.iter().all(is_empty) {
            return refuse(format!(
                "`{}` has no allocation at all: measure it for longer, and under load",
                side.name
            ));
        }
    }
    if !(options.confidence > 0.0 && options.confidence < 1.0) {
        return refuse(format!("a confidence of {} is none: it lies between 0 and 1", options.confidence));
    }
    if !(options.max_increase.is_finite() && options.max_increase >= 0.0) {
        return refuse(format!("{} is no largest increase: give 0 or more", options.max_increase));
    }
    check_modes(base, canary)?;
    [base, canary].into_iter().try_for_each(check_windows)
}

/// Windows of one process are added up: one moment in two of them would count twice.
fn check_windows(side: &Side) -> Result<(), CannotCompare> {
    let known = side.units.iter().filter_map(|unit| Some((unit.process.as_ref()?, unit.times?, unit)));
    let mut windows: Vec<_> = known.collect();
    windows.sort_by(|(a, a_times, _), (b, b_times, _)| a.cmp(b).then(a_times.0.total_cmp(&b_times.0)));
    let overlapping = windows.windows(2).find_map(|pair| match pair {
        [(a, (_, end), earlier), (b, (start, _), later)] if a == b && end - start > CLOCK_TOLERANCE => {
            Some((earlier, later))
        }
        _ => None,
    });
    match overlapping {
        None => Ok(()),
        Some((earlier, later)) => refuse(format!(
            "{} and {} are of one process and of the same time, which would count twice: give the later one alone",
            earlier.name, later.name
        )),
    }
}

fn is_empty(unit: &Unit) -> bool {
    let has_totals = unit.exact.is_some_and(|(bytes, objects)| bytes > 0 || objects > 0);
    let has_inuse = unit.inuse_bytes.is_some_and(|(bytes, _)| bytes > 0);
    !has_totals
        && !has_inuse
        && unit.sites.iter().all(|site| site.alloc_objects == 0 && site.alloc_bytes == 0)
}

fn check_modes(base: &Side, canary: &Side) -> Result<(), CannotCompare> {
    let mut units = base.units.iter().chain(&canary.units);
    let Some(first) = units.next() else { return Ok(()) };
    let Some(other) = units.find(|unit| unit.mode != first.mode) else { return Ok(()) };
    let (a, b) = (&first.name, &other.name);
    refuse(match (first.mode, other.mode) {
        (Some(ours), Some(theirs)) => format!(
            "{a} is of mode {ours} and {b} of mode {theirs}, which count differently: record both in the same mode"
        ),
        _ => format!(
            "one of {a} and {b} was written by another program, which counts from the start of the process and not from \
             when tracing began: compare profiles of one kind"
        ),
    })
}

/// Looks at what was matched.
pub(super) fn check_common(groups: &[Group], sides: [&Side; 2]) -> Result<(), CannotCompare> {
    let is_common = |group: &Group| !matches!(group.kind, MatchKind::New | MatchKind::Gone);
    if groups.is_empty() || groups.iter().any(is_common) {
        return Ok(());
    }
    let [base, canary] = sides.map(|side| side.name.as_str());
    refuse(format!(
        "`{base}` and `{canary}` have no call site in common: give two releases of one program, both with symbols"
    ))
}

fn refuse(reason: String) -> Result<(), CannotCompare> {
    Err(CannotCompare(reason))
}
