//! Which slots and which totals are free: the places of images that are over come back, slots under another number.

use std::ops::Range;

use tracer_ebpf::abi::MAX_SLOTS;

use super::calibrate;

/// Numbers of slots in all (`tracer_ebpf::abi::Cookie` has 16 bits for them).
const NUMBERS: u32 = 1 << 16;

/// The slots of one tracer, and the totals of functions.
#[derive(Debug)]
pub(super) struct Slots {
    next_slot: u32,
    free: Vec<u32>,
    /// There are so many.
    totals: u32,
    next_total: u32,
    free_totals: Vec<Range<u32>>,
}

impl Slots {
    /// All are free; there are totals of so many functions.
    pub(super) const fn new(totals: u32) -> Self {
        Self { next_slot: 0, free: Vec::new(), totals, next_total: 0, free_totals: Vec::new() }
    }

    /// A slot for an image; `None` if there is none.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = self.next_slot;
        (slot < calibrate::SLOT).then(|| {
            self.next_slot += 1;
            slot
        })
    }

    /// Takes back a slot whose counts are zero again and in which no program counts.
    pub(super) fn give_back(&mut self, slot: u32) {
        let slot = slot + MAX_SLOTS;
        // A place that has had all its numbers stays empty.
        if slot < NUMBERS {
            self.free.push(slot);
        }
    }

    /// Totals of so many functions in a row; `None` if there are none.
    pub(super) fn take_totals(&mut self, functions: u32) -> Option<Range<u32>> {
        if let Some(index) = self.free_totals.iter().position(|range| range.len() as u32 >= functions) {
            let range = self.free_totals.swap_remove(index);
            let taken = range.start..range.start + functions;
            if taken.end < range.end {
                self.free_totals.push(taken.end..range.end);
            }
            return Some(taken);
        }
        let end = self.next_total + functions;
        (end <= self.totals).then(|| {
            let taken = self.next_total..end;
            self.next_total = end;
            taken
        })
    }

    /// Takes back totals that are zero again.
    pub(super) fn give_back_totals(&mut self, totals: Range<u32>) {
        if !totals.is_empty() {
            self.free_totals.push(totals);
        }
    }

    /// How many totals there are.
    pub(super) const fn totals(&self) -> u32 {
        self.totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracer_ebpf::abi::slot_place;

    #[test]
    fn a_place_comes_back_under_another_number() {
        let mut slots = Slots::new(100);
        let first = slots.take().expect("all are free");
        let second = slots.take().expect("nearly all are free");
        slots.give_back(first);
        let again = slots.take().expect("the first place");
        assert_ne!(again, first);
        assert_eq!(slot_place(again), slot_place(first));
        assert_ne!(slot_place(again), slot_place(second));
    }

    #[test]
    fn totals_come_back_in_parts() {
        let mut slots = Slots::new(20);
        let first = slots.take_totals(8).expect("all are free");
        assert_eq!(slots.take_totals(12), Some(8..20));
        assert_eq!(slots.take_totals(1), None, "all are taken");
        slots.give_back_totals(first);
        assert_eq!(slots.take_totals(9), None, "it has room for 8 only");
        assert_eq!(slots.take_totals(3), Some(0..3));
        assert_eq!(slots.take_totals(5), Some(3..8));
        assert_eq!(slots.take_totals(1), None);
    }

    #[test]
    fn no_number_is_given_twice_and_the_last_place_is_the_calibrations() {
        let mut slots = Slots::new(0);
        let mut seen = std::collections::HashSet::new();
        while let Some(slot) = slots.take() {
            assert!(seen.insert(slot), "{slot}");
            assert_ne!(slot_place(slot), calibrate::SLOT);
            slots.give_back(slot);
        }
        assert_eq!(seen.len() as u32, NUMBERS / MAX_SLOTS * calibrate::SLOT);
    }
}
