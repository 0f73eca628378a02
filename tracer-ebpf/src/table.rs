//! How the programs find an entry in a table of their own: open addressing with double hashing.
//!
//! A step is odd against no bound, and the positions come by multiplication (Lemire, "Fast random integer
//! generation in an interval", 2019), so that a table may have any length.

/// Fibonacci hashing: 2^64 divided by the golden ratio (Knuth, TAOCP vol. 3, 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The places where an entry may be, in the order in which they are tried.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    position: u32,
    step: u32,
    length: u32,
}

impl Places {
    /// The places of a key that is a good hash already.
    #[inline(always)]
    #[must_use]
    pub const fn of_hash(hash: u64, length: u32) -> Self {
        Self { position: (hash >> 32) as u32, step: hash as u32 | 1, length }
    }

    /// The places of any other key.
    #[inline(always)]
    #[must_use]
    pub const fn of_key(key: u64, length: u32) -> Self {
        let mixed = (key ^ key >> 32).wrapping_mul(GOLDEN);
        Self::of_hash(mixed ^ mixed >> 29, length)
    }

    /// The present place, below the table's length.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        ((self.position as u64 * self.length as u64) >> 32) as u32
    }

    /// The next place.
    #[inline(always)]
    #[must_use]
    pub const fn next(self) -> Self {
        Self { position: self.position.wrapping_add(self.step), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_lies_in_the_table() {
        for length in [1, 2, 1000, 24_832, u32::MAX] {
            let mut places = Places::of_key(0x7f00_1234_5670, length);
            for _ in 0..100 {
                assert!(places.index() < length, "{} of {length}", places.index());
                places = places.next();
            }
        }
    }

    #[test]
    fn neighbouring_blocks_spread_evenly() {
        const LENGTH: u32 = 1000;
        let mut counts = [0_u32; LENGTH as usize];
        for block in 0..100_000_u64 {
            counts[Places::of_key(0x5555_5576_02a0 + block * 32, LENGTH).index() as usize] += 1;
        }
        // 100 each is expected; 60 is four standard deviations away.
        let (low, high) = counts.iter().fold((u32::MAX, 0), |(low, high), &n| (low.min(n), high.max(n)));
        assert!(low >= 40 && high <= 170, "{low} … {high}");
    }
}
