//! The self-check of sampling: the estimates of all sites, added up, against the exact totals.

use std::ops::Add;

use super::estimate::{Estimate, Estimates};
use super::snapshot::{Comparison, SelfCheck};
use super::{Moment, SlotState, Source};
use crate::mode::Mode;

/// Of all sites of all targets, whatever the reader filters.
pub(super) fn of(moment: &Moment) -> SelfCheck {
    let slots = || moment.slots().filter(|slot| has_samples(slot.source));
    let sums = slots().map(|slot| moment.sums.slot(slot.index));
    let estimated = sums.fold(Estimates::default(), Estimates::add);
    let (calls, bytes, failed) = slots()
        .map(allocations)
        .fold((0, 0_u64, 0), |sum, slot| (sum.0 + slot.0, sum.1.wrapping_add(slot.1), sum.2 + slot.2));
    SelfCheck {
        alloc_objects: compare(calls.saturating_sub(failed), estimated.alloc_objects),
        alloc_bytes: (failed == 0).then(|| compare(bytes, estimated.alloc_bytes)),
    }
}

/// A runtime's profile is not read for totals alone.
const fn has_samples(source: Source) -> bool {
    matches!(source, Source::Probes | Source::Runtime { profiled: Some(_), .. })
}

/// Calls, bytes and failures of the allocating functions.
fn allocations(slot: &SlotState) -> (u64, u64, u64) {
    if let Source::Runtime { profiled: Some((objects, bytes)), .. } = slot.source {
        return (objects, bytes, 0);
    }
    slot.functions_that(false).fold((0, 0_u64, 0), |sum, (_, totals)| {
        // A sample that has failed is at no site, and is among the calls where they are attempts. Of failures mode `alloc`
        // knows nothing.
        let failed = if slot.mode == Mode::Live && slot.was_sampled { totals.failed } else { 0 };
        (sum.0 + totals.calls, sum.1.wrapping_add(totals.bytes), sum.2 + failed)
    })
}

fn compare(exact: u64, estimate: Estimate) -> Comparison {
    let standard_error = estimate.standard_error();
    Comparison {
        exact,
        estimated: estimate.rounded(),
        standard_error,
        deviation: (standard_error > 0.0).then(|| (estimate.value - exact as f64) / standard_error),
    }
}
