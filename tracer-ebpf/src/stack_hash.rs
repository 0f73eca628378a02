//! The two hashes of a call stack.
//!
//! `key` finds the stack in the site map, `check` is kept in its value: two stacks with one key are told
//! apart by it, so they are counted as a collision and never merged. Both are seeded per run.

/// Two independent 64-bit hashes, updated frame by frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StackHash {
    /// Key in the site map.
    pub key: u64,
    /// Kept in the value.
    pub check: u64,
}

/// Odd constants: 2^64 divided by the golden ratio, and the multiplier of Knuth's MMIX generator.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const MMIX: u64 = 0x5851_f42d_4c95_7f2d;

impl StackHash {
    /// The hashes of the empty stack of a slot.
    #[inline(always)]
    #[must_use]
    pub const fn new(seed: u64, slot: u32) -> Self {
        let start = seed ^ (slot as u64).wrapping_mul(GOLDEN);
        Self { key: start, check: !start.rotate_left(32) }
    }

    /// Adds one return address: two operations for each hash, for this is the innermost loop of all.
    ///
    /// Each step is a bijection of the state, so stacks that differ in one frame never collide.
    #[inline(always)]
    #[must_use]
    pub const fn frame(self, address: u64) -> Self {
        Self {
            key: (self.key ^ address).wrapping_mul(GOLDEN),
            check: self.check.wrapping_add(address).wrapping_mul(MMIX),
        }
    }

    /// The hashes of the whole stack: products carry upwards only, so the upper halves are folded down.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self) -> Self {
        let key = (self.key ^ self.key >> 32).wrapping_mul(MMIX);
        Self { key: key ^ key >> 29, check: self.check ^ self.check >> 32 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(frames: &[u64]) -> StackHash {
        frames.iter().fold(StackHash::new(42, 3), |hash, &frame| hash.frame(frame)).finish()
    }

    #[test]
    fn order_and_length_matter() {
        assert_ne!(hash(&[1, 2]), hash(&[2, 1]));
        assert_ne!(hash(&[1]), hash(&[1, 0]));
        assert_ne!(StackHash::new(42, 3), StackHash::new(42, 4));
    }

    #[test]
    fn a_million_similar_stacks_have_distinct_keys_and_checks() {
        let mut keys = HashSet::new();
        let mut checks = HashSet::new();
        for a in 0..1000 {
            for b in 0..1000 {
                let StackHash { key, check } =
                    hash(&[0x5555_0000_1000 + a * 5, 0x7fff_f000_0000 + b * 7, 0x40_1000]);
                keys.insert(key);
                checks.insert(check);
            }
        }
        assert_eq!(keys.len(), 1_000_000);
        assert_eq!(checks.len(), 1_000_000);
    }
}
