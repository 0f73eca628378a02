//! Which slots and which totals are free: the places of images that are over come back, slots under another number.

use std::ops::Range;

use tracer_ebpf::abi::MAX_SLOTS;

use super::calibrate;
use crate::kernel::Runs;

/// Numbers of slots in all (`tracer_ebpf::abi::Cookie` has 16 bits for them).
const NUMBERS: u32 = 1 << 16;

/// The slots of one tracer, and the totals of functions.
#[derive(Debug)]
pub(super) struct Slots {
    next_slot: u32,
    free: Vec<u32>,
    /// There are so many.
    totals: u32,
    free_totals: Runs,
}

impl Slots {
    /// All are free; there are totals of so many functions.
    pub(super) fn new(totals: u32) -> Self {
        Self { next_slot: 0, free: Vec::new(), totals, free_totals: Runs::new(totals) }
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

    /// Takes back a slot of which nothing is kept anywhere: its numbers may come again.
    pub(super) fn give_back_forgotten(&mut self, slot: u32) {
        self.free.push((slot + MAX_SLOTS) % NUMBERS);
    }

    /// Totals of so many functions in a row; `None` if there are none.
    pub(super) fn take_totals(&mut self, functions: u32) -> Option<Range<u32>> {
        self.free_totals.take(functions).map(|first| first..first + functions)
    }

    /// Takes back totals that are zero again.
    pub(super) fn give_back_totals(&mut self, totals: Range<u32>) {
        self.free_totals.give_back(totals.start, totals.len() as u32);
    }

    /// Whether there is a slot.
    pub(super) const fn has_room(&self) -> bool {
        !self.free.is_empty() || self.next_slot < calibrate::SLOT
    }

    /// How many slots are taken; those that stay empty for ever are among them.
    pub(super) fn taken(&self) -> u64 {
        u64::from(self.next_slot) - self.free.len() as u64
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
        assert_eq!(slots.taken(), 2);
        slots.give_back(first);
        assert_eq!(slots.taken(), 1);
        let again = slots.take().expect("the first place");
        assert_ne!(again, first);
        assert_eq!(slot_place(again), slot_place(first));
        assert_ne!(slot_place(again), slot_place(second));
    }

    #[test]
    fn what_is_forgotten_comes_back_for_ever() {
        let mut slots = Slots::new(0);
        let place = slot_place(slots.take().expect("all are free"));
        slots.give_back_forgotten(place);
        for _ in 0..2 * NUMBERS / MAX_SLOTS {
            let again = slots.take().expect("it came back");
            assert_eq!((slot_place(again), again < NUMBERS), (place, true));
            slots.give_back_forgotten(again);
        }
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
