//! Probe hits by kind, from counts that are kept anyway: a counter of their own would cost each hit an atomic addition.

use std::ops::Add;

use tracer_ebpf::abi::Counter;

use super::{HitCosts, Moment, SlotState, Source};
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

/// What hits cost, by the mode: the programs differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ModeCosts {
    /// Mode `alloc`, if it was measured.
    pub alloc: Option<HitCosts>,
    /// Mode `live`.
    pub live: Option<HitCosts>,
}

impl ModeCosts {
    /// Of a mode.
    #[must_use]
    pub const fn of(&self, mode: Mode) -> Option<HitCosts> {
        match mode {
            Mode::Alloc => self.alloc,
            Mode::Live => self.live,
        }
    }

    /// Remembers what was measured.
    pub const fn set(&mut self, mode: Mode, costs: HitCosts) {
        match mode {
            Mode::Alloc => self.alloc = Some(costs),
            Mode::Live => self.live = Some(costs),
        }
    }
}

/// Of some slots, and what they have cost the targets, as far as it is known.
pub(super) fn of<'a>(slots: impl Iterator<Item = &'a SlotState>, moment: &Moment) -> (Hits, f64) {
    let probed = slots.filter(|slot| slot.source == Source::Probes);
    probed.fold((Hits::default(), 0.0), |(sum, cost_ns), slot| {
        let hits = of_slot(slot, moment);
        let costs = moment.hit_costs.of(slot.mode);
        (sum + hits, cost_ns + costs.map_or(0.0, |costs| hits.cost_ns(&costs)))
    })
}

impl Add for Hits {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            returns: self.returns + other.returns,
            frees: self.frees + other.frees,
            samples: self.samples + other.samples,
            sample_frees: self.sample_frees + other.sample_frees,
        }
    }
}

fn of_slot(slot: &SlotState, moment: &Moment) -> Hits {
    let sites = moment.sums.slot(slot.index);
    let sampled = Hits {
        samples: sites.samples,
        sample_frees: sites.samples.saturating_sub(sites.inuse_samples),
        ..Hits::default()
    };
    let event = |counter| slot.counts.event(counter);
    let calls = |frees: bool| slot.functions_that(frees).map(|(_, totals)| totals.calls);
    let entries: u64 = calls(false).sum();
    if slot.mode == Mode::Alloc {
        let missed = event(Counter::SkippedEntries) + event(Counter::ReadFault);
        return Hits { entries: entries + missed, ..sampled };
    }
    // Where successes are counted, what failed has entered and returned too.
    let failed =
        if slot.was_sampled { 0 } else { slot.counts.functions.iter().map(|totals| totals.failed).sum() };
    let skipped = event(Counter::SkippedEntries).max(event(Counter::SkippedReturns));
    Hits {
        entries: entries + failed + skipped + event(Counter::Abandoned) + event(Counter::InFlightFull),
        returns: entries + failed + skipped + event(Counter::EarlyReturn),
        frees: calls(true).sum::<u64>() + event(Counter::SkippedFrees),
        ..sampled
    }
}
