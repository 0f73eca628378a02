//! Sides that no comparison is possible of.

use super::comparison::MatchKind;
use super::matching::Group;
use super::{CannotCompare, Options, Side, Unit};

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
    check_modes(base, canary)
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
