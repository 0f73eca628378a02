//! Reads the records of call sites.

use tracer_ebpf::abi::{SiteRecord, SiteSpread};

use super::{Kernel, SlotSet};

impl Kernel {
    /// The records of these slots: those of call stacks that are known, and the overflow records, with their indices. Where
    /// nothing was sampled yet there is no spread to be read.
    pub fn sites(
        &self,
        slots: &SlotSet,
        was_sampled: bool,
    ) -> impl Iterator<Item = (u32, SiteRecord, SiteSpread)> {
        self.records(
            (0..self.sites.len()).filter(|&index| slots.contains(self.slot_of_site(index))),
            was_sampled,
        )
    }

    /// The records of these indices.
    pub fn records(
        &self,
        indices: impl Iterator<Item = u32>,
        was_sampled: bool,
    ) -> impl Iterator<Item = (u32, SiteRecord, SiteSpread)> {
        let spread = move |index| if was_sampled { self.spreads.read(index) } else { SiteSpread::default() };
        indices.map(move |index| (index, self.sites.read(index), spread(index)))
    }

    /// The indices of all records that are of a slot, and of which.
    pub fn slots_of_sites(&self) -> impl Iterator<Item = (u32, u32)> {
        let known = |&(_, slot): &(u32, u32)| slot != u32::MAX;
        (0..self.sites.len()).map(|index| (index, self.slot_of_site(index))).filter(known)
    }
}
