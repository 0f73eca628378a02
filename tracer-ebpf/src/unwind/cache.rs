//! Rows by return address, in one word each: what the walk has looked up once is found again without a table.
//!
//! A word holds the rule and what remains of the key when the place is known: no other key fits there, so that an entry
//! is right or absent, and it is read and written at once. The key of 58 bits is the address, the slot, and the epoch
//! of the slot's mappings.

use super::Row;

/// Entries of the cache: 256 KiB.
pub const PLACES: usize = 1 << PLACE_BITS;

const PLACE_BITS: u32 = 15;
const ADDRESS_BITS: u32 = 47;
const SLOT_BITS: u32 = 8;
const EPOCH_BITS: u32 = 3;
const KEY_BITS: u32 = ADDRESS_BITS + SLOT_BITS + EPOCH_BITS;
const KEY_MASK: u64 = (1 << KEY_BITS) - 1;
const RULE_BITS: u32 = 20;
const REST_BITS: u32 = KEY_BITS - PLACE_BITS;

/// Epochs of a slot that are told apart; after that the cache is cleared.
pub const EPOCHS: u8 = 1 << EPOCH_BITS;

/// Odd, so that the multiplication is a bijection of the key: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const _: () = assert!(REST_BITS + RULE_BITS <= 64);
const _: () = assert!(1 << SLOT_BITS == crate::abi::MAX_SLOTS);

/// What the keys of a slot have in common.
#[must_use]
pub const fn slot_key(place: u32, epoch: u8) -> u64 {
    (place as u64) << ADDRESS_BITS | ((epoch % EPOCHS) as u64) << (ADDRESS_BITS + SLOT_BITS)
}

/// The place of the slot in a [`slot_key`].
#[inline(always)]
#[must_use]
pub const fn place_of_key(slot_key: u64) -> u32 {
    (slot_key >> ADDRESS_BITS) as u32 & (crate::abi::MAX_SLOTS - 1)
}

/// Where an address is kept, and the entry's key there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Less than [`PLACES`].
    pub index: usize,
    rest: u64,
}

impl Place {
    /// Of a return address below 2^47: see [`is_cacheable`].
    #[inline(always)]
    #[must_use]
    pub const fn of(slot_key: u64, address: u64) -> Self {
        let hash = (slot_key | address).wrapping_mul(GOLDEN) & KEY_MASK;
        Self {
            index: (hash >> REST_BITS) as usize % PLACES,
            rest: hash << (64 - REST_BITS) >> (64 - REST_BITS),
        }
    }

    /// The rule in an entry, if it is of this address.
    #[inline(always)]
    #[must_use]
    pub const fn rule_in(self, entry: u64) -> Option<Row> {
        // A rule of 0 is none: an empty entry fits a key whose rest is 0.
        let row = Row(entry as u32 & Row::RULE_MASK);
        if entry >> RULE_BITS == self.rest && row.0 != 0 { Some(row) } else { None }
    }

    /// The entry that holds a rule for this address.
    #[inline(always)]
    #[must_use]
    pub const fn entry(self, row: Row) -> u64 {
        self.rest << RULE_BITS | (row.0 & Row::RULE_MASK) as u64
    }
}

/// Whether an address has a place.
#[inline(always)]
#[must_use]
pub const fn is_cacheable(address: u64) -> bool {
    address >> ADDRESS_BITS == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::{Cfa, Rule, SavedFp};

    #[test]
    fn an_entry_is_found_by_its_own_key_and_by_no_other() {
        let row = Row::pack(77, Rule::Frame(Cfa::Sp(48), SavedFp::BelowCfa(2))).expect("it fits");
        let key = |slot, epoch, address| Place::of(slot_key(slot, epoch), address);
        let place = key(3, 5, 0x7f12_3456_789a);
        let entry = place.entry(row);
        assert_eq!(place.rule_in(entry).map(Row::rule), Some(row.rule()));
        assert_eq!(place.rule_in(0), None);
        assert_eq!(place_of_key(slot_key(200, 7)), 200);
        // The multiplication is a bijection: equal place and rest mean an equal key.
        for other in [key(4, 5, 0x7f12_3456_789a), key(3, 6, 0x7f12_3456_789a)] {
            assert!(other != place && (other.index != place.index || other.rule_in(entry).is_none()));
        }
        let mut seen = std::collections::HashSet::new();
        for address in 0..200_000_u64 {
            let place = key(3, 5, 0x5555_0000_0000 + address * 5);
            assert!(place.index < PLACES && seen.insert((place.index, place.rest)));
        }
    }

    #[test]
    fn neighbouring_addresses_spread_over_the_cache() {
        let mut used: Vec<usize> =
            (0..4096).map(|n| Place::of(slot_key(1, 0), 0x5555_0000_1000 + n * 16).index).collect();
        used.sort_unstable();
        used.dedup();
        assert!(used.len() > 3500, "{}", used.len());
    }
}
