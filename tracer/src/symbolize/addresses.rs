//! What the addresses of one image mean, found in some nanoseconds: a target may show a hundred thousand new stacks a
//! second, and nearly every frame of them is known.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::PlaceId;
use crate::collect::FrameAddress;

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) id: PlaceId,
    pub(super) follows_call: bool,
}

/// Addresses of one image, while its mappings are what they are.
#[derive(Debug, Default)]
pub struct AddressCache(HashMap<u64, Known, Seed>);

impl AddressCache {
    pub(super) fn get(&self, frame: &FrameAddress) -> Option<Known> {
        self.0.get(&key(frame)).copied()
    }

    pub(super) fn insert(&mut self, frame: &FrameAddress, known: Known) {
        self.0.insert(key(frame), known);
    }
}

/// No address has the highest bit.
fn key(frame: &FrameAddress) -> u64 {
    frame.address | u64::from(frame.interrupted) << 63
}

/// Seeded, so that no target can choose addresses that collide.
#[derive(Debug)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seed {
    type Hasher = Multiply;

    fn build_hasher(&self) -> Multiply {
        Multiply(self.0)
    }
}

/// One multiplication, its halves folded: all bits of the address reach all bits of the hash.
struct Multiply(u64);

impl Hasher for Multiply {
    fn write_u64(&mut self, value: u64) {
        // Fibonacci hashing: 2^64 divided by the golden ratio (Knuth, TAOCP vol. 3, 6.4).
        const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ value) * GOLDEN;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_addresses_do_not_collide() {
        let seed = Seed::default();
        let mut low_bits: Vec<u64> =
            (0..4096_u64).map(|at| seed.hash_one(0x7f00_1234_5000 + at * 16) & 0xfff).collect();
        low_bits.sort_unstable();
        low_bits.dedup();
        // Of 4096 random values in 4096 places 63 % are hit.
        assert!(low_bits.len() > 2000, "{}", low_bits.len());
    }
}
