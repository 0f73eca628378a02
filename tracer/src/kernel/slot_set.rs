//! A set of slots that is asked hundreds of thousands of times.

/// Numbers of slots in all (`tracer_ebpf::abi::Cookie` has 16 bits for them).
const NUMBERS: usize = 1 << 16;

/// Slots, by their numbers.
#[derive(Clone, Debug)]
pub struct SlotSet(Vec<u64>);

impl SlotSet {
    /// Whether a slot is in it; one that is none is not.
    #[must_use]
    pub fn contains(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }
}

impl FromIterator<u32> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        let mut words = vec![0; NUMBERS / 64];
        for slot in slots {
            if let Some(word) = words.get_mut(slot as usize / 64) {
                *word |= 1 << (slot % 64);
            }
        }
        Self(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let set: SlotSet = [0, 63, 64, 65_535, u32::MAX].into_iter().collect();
        let check = |slot, expect| assert_eq!(set.contains(slot), expect, "{slot}");
        for slot in [0, 63, 64, 65_535] {
            check(slot, true);
        }
        for slot in [1, 62, 65, 65_534, 65_536, u32::MAX] {
            check(slot, false);
        }
    }
}
