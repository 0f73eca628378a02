//! Which slots are free: the places of images that are over come back under another number.

use tracer_ebpf::abi::MAX_SLOTS;

use super::calibrate;

/// Numbers of slots in all (`tracer_ebpf::abi::Cookie` has 16 bits for them).
const NUMBERS: u32 = 1 << 16;

/// A slot, and the totals of its functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) first_total: u32,
    /// Functions that there is room for.
    pub(super) totals: u32,
}

/// The slots of one tracer.
#[derive(Debug, Default)]
pub(super) struct Slots {
    next_slot: u32,
    next_total: u32,
    free: Vec<Place>,
}

impl Slots {
    /// A slot for an image with so many probed functions; `None` if there is none.
    pub(super) fn take(&mut self, functions: u32) -> Option<Place> {
        let fits = |place: &Place| place.totals >= functions;
        if let Some(index) = self.free.iter().position(fits) {
            return Some(self.free.remove(index));
        }
        let next_total = self.next_total + functions;
        if self.next_slot >= calibrate::SLOT || next_total > calibrate::FIRST_TOTAL {
            return None;
        }
        let place = Place { slot: self.next_slot, first_total: self.next_total, totals: functions };
        self.next_slot += 1;
        self.next_total = next_total;
        Some(place)
    }

    /// Takes back a place whose counts are zero again and in which no program counts.
    pub(super) fn give_back(&mut self, place: Place) {
        let slot = place.slot + MAX_SLOTS;
        // A place that has had all its numbers stays empty.
        if slot < NUMBERS {
            self.free.push(Place { slot, ..place });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracer_ebpf::abi::slot_place;

    #[test]
    fn a_place_comes_back_under_another_number() {
        let mut slots = Slots::default();
        let first = slots.take(8).expect("all are free");
        let second = slots.take(8).expect("nearly all are free");
        slots.give_back(first);
        assert_eq!(slots.take(9).map(|place| place.slot), Some(2), "it has room for 8 only");
        let again = slots.take(3).expect("the first place");
        assert_ne!(again.slot, first.slot);
        assert_eq!(slot_place(again.slot), slot_place(first.slot));
        assert_eq!((again.first_total, again.totals), (first.first_total, 8));
        assert_ne!(slot_place(again.slot), slot_place(second.slot));
    }

    #[test]
    fn no_number_is_given_twice_and_the_last_place_is_the_calibrations() {
        let mut slots = Slots::default();
        let mut seen = std::collections::HashSet::new();
        while let Some(place) = slots.take(1) {
            assert!(seen.insert(place.slot), "{place:?}");
            assert_ne!(slot_place(place.slot), calibrate::SLOT);
            slots.give_back(place);
        }
        assert_eq!(seen.len() as u32, NUMBERS / MAX_SLOTS * calibrate::SLOT);
    }
}
