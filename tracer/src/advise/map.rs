//! What the maps of one function consist of.

use super::amount::Amount;
use super::names::MapPart;

/// Allocations of one function that are parts of maps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Maps {
    /// Headers: one per map that does not stay on a stack.
    pub(super) made: Amount,
    /// First buckets or groups of maps without a size.
    pub(super) first: Amount,
    /// Maps that were asked for with a size.
    pub(super) sized: Amount,
    /// Larger places and overflow buckets.
    pub(super) grown: Amount,
    grown_bytes: Amount,
    bytes: Amount,
}

impl Maps {
    pub(super) fn add(&mut self, part: MapPart, objects: Amount, bytes: Amount) {
        match part {
            MapPart::Header => self.made += objects,
            MapPart::First => self.first += objects,
            MapPart::Sized(true) => self.sized += objects,
            MapPart::Sized(false) | MapPart::Element => {}
            MapPart::Growth => {
                self.grown += objects;
                self.grown_bytes += bytes;
            }
        }
        self.bytes += bytes;
    }

    /// First, sized and larger places for each header.
    pub(super) fn filled_per_map(&self) -> f64 {
        over(self.first.value + self.sized.value + self.grown.value, self.made.value)
    }

    /// Share of the bytes that growing took.
    pub(super) fn grown_ratio(&self) -> f64 {
        over(self.grown_bytes.value, self.bytes.value)
    }

    /// Share of the maps that were asked for with a size.
    pub(super) fn sized_ratio(&self) -> f64 {
        over(self.sized.value, self.made.value)
    }

    /// Of a map with all that was made for it, what growing has thrown away included.
    pub(super) fn mean_bytes(&self) -> f64 {
        over(self.bytes.value, self.made.value)
    }

    /// Maps that were filled here and not made here, at the most.
    pub(super) fn filled_for_others(&self) -> f64 {
        (self.first.value - self.made.value).max(0.0)
    }
}

/// 0 of nothing.
fn over(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
