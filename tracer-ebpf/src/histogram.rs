//! Power-of-two buckets, shared so that both sides agree on the bounds.

/// Size buckets: `le` 16, 32, … 2^34, and one for the rest. A power of two: the programs mask the index.
pub const SIZE_BUCKETS: usize = 32;
/// Lifetime buckets: `le` 2^10 ns (about 1 us), … 2^48 ns (about 3 days), and one for the rest.
pub const LIFETIME_BUCKETS: usize = 40;

/// Room for the lifetime buckets; a power of two, as above.
pub const LIFETIME_PLACES: usize = 64;

const SIZE_SHIFT: u32 = 4;
const LIFETIME_SHIFT: u32 = 10;

/// Bucket of a size in bytes: the first whose bound is at least the size.
#[inline(always)]
#[must_use]
pub const fn size_bucket(size_bytes: u64) -> usize {
    bucket(size_bytes, SIZE_SHIFT, SIZE_BUCKETS)
}

/// Bucket of a lifetime in nanoseconds.
#[inline(always)]
#[must_use]
pub const fn lifetime_bucket(lifetime_ns: u64) -> usize {
    bucket(lifetime_ns, LIFETIME_SHIFT, LIFETIME_BUCKETS)
}

/// Inclusive upper bound of a size bucket in bytes; `None` for the last one.
#[must_use]
pub const fn size_bound_bytes(bucket: usize) -> Option<u64> {
    if bucket + 1 < SIZE_BUCKETS { Some(1 << (SIZE_SHIFT as usize + bucket)) } else { None }
}

/// Inclusive upper bound of a lifetime bucket in nanoseconds; `None` for the last one.
#[must_use]
pub const fn lifetime_bound_ns(bucket: usize) -> Option<u64> {
    if bucket + 1 < LIFETIME_BUCKETS { Some(1 << (LIFETIME_SHIFT as usize + bucket)) } else { None }
}

#[inline(always)]
const fn bucket(value: u64, shift: u32, buckets: usize) -> usize {
    let above = value.saturating_sub(1) >> shift;
    let index = log2_ceil(above);
    if index < buckets { index } else { buckets - 1 }
}

/// Bits needed for `value`. BPF has no instruction that counts leading zeros, and a branch on a size is one that
/// the processor cannot foresee: smeared to ones, which are counted by a product (Warren, "Hacker's Delight", 5).
#[inline(always)]
const fn log2_ceil(value: u64) -> usize {
    let ones = value | value >> 1;
    let ones = ones | ones >> 2;
    let ones = ones | ones >> 4;
    let ones = ones | ones >> 8;
    let ones = ones | ones >> 16;
    let ones = ones | ones >> 32;
    let pairs = ones - (ones >> 1 & 0x5555_5555_5555_5555);
    let nibbles = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let bytes = (nibbles + (nibbles >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    (bytes.wrapping_mul(0x0101_0101_0101_0101) >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_falls_into_the_first_bucket_that_holds_it() {
        let check = |size, le| assert_eq!(size_bound_bytes(size_bucket(size)), le, "{size}");
        for (size, le) in [(0, 16), (1, 16), (16, 16), (17, 32), (32, 32), (33, 64), (1 << 20, 1 << 20)] {
            check(size, Some(le));
        }
        check((1 << 20) + 1, Some(1 << 21));
        check(1 << 34, Some(1 << 34));
        check((1 << 34) + 1, None);
        check(u64::MAX, None);
    }

    #[test]
    fn a_lifetime_falls_into_the_first_bucket_that_holds_it() {
        let check = |ns, le| assert_eq!(lifetime_bound_ns(lifetime_bucket(ns)), le, "{ns}");
        check(0, Some(1024));
        check(1024, Some(1024));
        check(1025, Some(2048));
        check(u64::MAX, None);
    }
}
