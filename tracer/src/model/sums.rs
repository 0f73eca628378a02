//! Site records added up by slot: what totals, costs and checks need of them, however many there are.

use std::collections::HashMap;

use super::estimate::Estimates;
use crate::collect::SiteCounts;
use crate::collect::runtime::ProfiledSite;

/// By slot.
#[derive(Clone, Debug, Default)]
pub struct SiteSums {
    /// Where the sum of each slot is, from 1; 0 is nowhere. Nothing is hashed: the daemon adds half a million records each second.
    places: Vec<u32>,
    sums: Vec<Estimates>,
    /// Of images that have no slot any more, and of runtimes, by their numbers, which are above those of slots.
    others: HashMap<u32, Estimates>,
}

impl SiteSums {
    /// Of these records.
    #[must_use]
    pub fn of<'a>(sites: impl IntoIterator<Item = &'a SiteCounts>) -> Self {
        let mut sums = Self::default();
        sites.into_iter().for_each(|site| sums.add(site));
        sums
    }

    /// Adds a record.
    pub fn add(&mut self, site: &SiteCounts) {
        // A record of no slot is nobody's.
        if site.slot <= u32::from(u16::MAX) {
            let sum = self.sum(site.slot);
            *sum = *sum + Estimates::of(site);
        }
    }

    /// Adds what a runtime has sampled.
    pub fn add_profiled(&mut self, site: &ProfiledSite) {
        let sum = self.others.entry(site.slot).or_default();
        *sum = *sum + Estimates::of_profile(site);
    }

    /// Adds the sums of images that have no slot any more.
    pub fn extend(&mut self, other: &Self) {
        self.others.extend(&other.others);
    }

    /// Of one slot alone, under the number of an image that has none any more.
    #[must_use]
    pub fn moved(&self, index: u32, to: u32) -> Self {
        Self { others: [(to, self.slot(index))].into(), ..Self::default() }
    }

    /// Of a slot, or of an image that has none any more.
    pub(super) fn slot(&self, index: u32) -> Estimates {
        if index > u32::from(u16::MAX) {
            return self.others.get(&index).copied().unwrap_or_default();
        }
        let place = self.places.get(index as usize).copied().unwrap_or(0);
        let sum = (place as usize).checked_sub(1).and_then(|at| self.sums.get(at));
        sum.copied().unwrap_or_default()
    }

    fn sum(&mut self, slot: u32) -> &mut Estimates {
        let index = slot as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, 0);
        }
        if self.places[index] == 0 {
            self.sums.push(Estimates::default());
            self.places[index] = self.sums.len() as u32;
        }
        &mut self.sums[self.places[index] as usize - 1]
    }
}
