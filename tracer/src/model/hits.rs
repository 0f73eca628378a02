//! Probe hits by kind, from counts that are kept anyway: a counter of their own would cost each hit an atomic addition.

use tracer_ebpf::abi::Counter;

use super::estimate::Estimates;
use super::{HitCosts, Moment, SlotState};
use crate::mode::Mode;

/// Probe hits while counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hits {
    pub(super) entries: u64,
    pub(super) returns: u64,
    pub(super) frees: u64,
    /// Allocations whose stack was walked.
    samples: u64,
    /// Frees of followed blocks.
    sample_frees: u64,
}

impl Hits {
    /// What they cost the targets.
    pub(super) fn cost_ns(self, costs: &HitCosts) -> f64 {
        let kinds = [
            (self.entries, costs.entry_ns),
            (self.returns, costs.return_ns),
            (self.frees, costs.free_ns),
            (self.samples, costs.sample_ns),
            (self.sample_frees, costs.sample_free_ns),
        ];
        kinds.iter().map(|&(hits, ns)| hits as f64 * ns).sum()
    }

    pub(super) const fn all(self) -> u64 {
        self.entries + self.returns + self.frees
    }
}

/// Of all slots.
pub(super) fn of(moment: &Moment) -> Hits {
    let slots = moment.targets.iter().flat_map(|state| &state.slots);
    let hits = slots.map(|slot| of_slot(slot, moment)).fold(Hits::default(), |sum, slot| Hits {
        entries: sum.entries + slot.entries,
        returns: sum.returns + slot.returns,
        frees: sum.frees + slot.frees,
        ..sum
    });
    let sites = moment.sites.iter().map(Estimates::of);
    sites.fold(hits, |sum, site| Hits {
        samples: sum.samples + site.samples,
        sample_frees: sum.sample_frees + site.samples.saturating_sub(site.inuse_samples),
        ..sum
    })
}

fn of_slot(slot: &SlotState, moment: &Moment) -> Hits {
    let event = |counter| slot.counts.event(counter);
    let calls = |frees: bool| slot.functions_that(frees).map(|(_, totals)| totals.calls);
    let entries: u64 = calls(false).sum();
    if moment.mode == Mode::Alloc {
        let missed = event(Counter::SkippedEntries) + event(Counter::ReadFault);
        return Hits { entries: entries + missed, ..Hits::default() };
    }
    // Where successes are counted, what failed has entered and returned too.
    let failed =
        if moment.was_sampled { 0 } else { slot.counts.functions.iter().map(|totals| totals.failed).sum() };
    let skipped = event(Counter::SkippedEntries).max(event(Counter::SkippedReturns));
    Hits {
        entries: entries + failed + skipped + event(Counter::Abandoned) + event(Counter::InFlightFull),
        returns: entries + failed + skipped + event(Counter::EarlyReturn),
        frees: calls(true).sum::<u64>() + event(Counter::SkippedFrees),
        ..Hits::default()
    }
}
