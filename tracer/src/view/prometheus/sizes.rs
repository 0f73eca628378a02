//! The histogram of sizes, for both kinds of histograms that Prometheus has.
//!
//! A bucket of the kernel side holds the sizes up to a power of two, and that one too (`tracer_ebpf::histogram`). So both
//! kinds are sums of whole buckets, and exact:
//!
//! * a classic bucket is cumulative, and its `le` is inclusive as well;
//! * a native bucket `i` of schema 0 is `(2^(i-1), 2^i]`. The first bucket of the kernel side, 0 to 16 bytes, is the zero
//!   bucket, of which 16 is the threshold: it holds what is at most that far from 0, allocations of 0 bytes too.
//!
//! One bucket has no bound: what is above 16 GiB. It stands in the native bucket that ends at 32 GiB, as there is no other
//! that could hold it; the classic one for it is `+Inf`.
//!
//! <https://prometheus.io/docs/specs/native_histograms/>

use tracer_ebpf::histogram::{SIZE_BUCKETS, size_bound_bytes};

use crate::model::node::Series;

/// Native schema with powers of two as bounds.
pub(super) const SCHEMA: i32 = 0;

/// Bounds of the classic buckets are `4^2`, `4^3`, … `4^12`: 16 bytes to 16 MiB.
const EXPONENTS: std::ops::RangeInclusive<u32> = 2..=12;

/// Threshold of the native zero bucket: the end of the first bucket of the kernel side.
pub(super) const ZERO_BYTES: u64 = 1 << ZERO_EXPONENT;
const ZERO_EXPONENT: u32 = 4;
const _: () = assert!(matches!(size_bound_bytes(0), Some(ZERO_BYTES)));

/// Where what has no bound stands: one power of two above the last bound.
const REST_EXPONENT: u32 = ZERO_EXPONENT + SIZE_BUCKETS as u32 - 1;

/// Sum and count of all observations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Whole {
    pub(super) sum_bytes: u64,
    pub(super) count: u64,
}

/// Native buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Native {
    pub(super) zero_count: u64,
    /// The first bucket, and how many there are from it on. None if all is in the zero bucket.
    pub(super) span: Option<(i32, u32)>,
    /// Each bucket less the one before it.
    pub(super) deltas: Vec<i64>,
}

/// What was counted, and its bytes.
pub(super) fn whole(series: &Series) -> Whole {
    Whole {
        sum_bytes: series.allocators.values().map(|counts| counts.alloc_bytes).sum(),
        count: series.sizes.iter().map(|&(_, count)| count).sum(),
    }
}

/// Classic buckets, not cumulative: the encoder adds them up.
pub(super) fn classic(sizes: &[(Option<u64>, u64)]) -> Vec<(f64, u64)> {
    let bounds: Vec<u64> = EXPONENTS.map(|exponent| 4_u64.pow(exponent)).collect();
    let mut buckets: Vec<_> = bounds.iter().map(|&bound| (bound as f64, 0)).collect();
    buckets.push((f64::INFINITY, 0));
    for &(last_bytes, count) in sizes {
        let at = last_bytes.map_or(bounds.len(), |last| bounds.partition_point(|&bound| bound < last));
        buckets[at].1 += count;
    }
    buckets
}

/// Native buckets, up to the last that is not empty.
pub(super) fn native(sizes: &[(Option<u64>, u64)]) -> Native {
    let mut zero_count = 0;
    let mut counts = Vec::new();
    for &(last_bytes, count) in sizes.iter().filter(|&&(_, count)| count > 0) {
        match last_bytes.map_or(REST_EXPONENT, exponent_of).checked_sub(ZERO_EXPONENT + 1) {
            None => zero_count += count,
            Some(place) => {
                let place = place as usize;
                counts.resize(counts.len().max(place + 1), 0);
                counts[place] += count;
            }
        }
    }
    let first = (ZERO_EXPONENT + 1).cast_signed();
    let span = u32::try_from(counts.len()).ok().filter(|&length| length > 0).map(|length| (first, length));
    let before = std::iter::once(&0_u64).chain(&counts);
    let deltas = counts.iter().zip(before).map(|(count, before)| count.wrapping_sub(*before).cast_signed());
    Native { zero_count, span, deltas: deltas.collect() }
}

/// The power of two that holds a size.
fn exponent_of(bytes: u64) -> u32 {
    u64::BITS - bytes.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::histogram::size_bucket;

    use super::*;

    /// Buckets as the kernel side fills them.
    fn counted(sizes: &[u64]) -> Vec<(Option<u64>, u64)> {
        let mut buckets: Vec<_> = (0..SIZE_BUCKETS).map(|bucket| (size_bound_bytes(bucket), 0)).collect();
        for &size in sizes {
            buckets[size_bucket(size)].1 += 1;
        }
        buckets
    }

    /// Absolute counts, by the upper bound of their bucket.
    fn buckets(native: &Native) -> Vec<(u64, i64)> {
        let (first, length) = native.span.unwrap_or_default();
        assert_eq!(length as usize, native.deltas.len());
        let mut count = 0;
        let counts = native.deltas.iter().enumerate().map(|(at, delta)| {
            count += delta;
            (1 << (first as usize + at), count)
        });
        counts.filter(|&(_, count)| count > 0).collect()
    }

    #[test]
    fn every_size_is_in_the_classic_bucket_that_ends_at_it_or_above() {
        let check = |size: u64, le: f64| {
            let filled: Vec<_> =
                classic(&counted(&[size])).into_iter().filter(|&(_, count)| count > 0).collect();
            assert_eq!(filled, [(le, 1)], "{size}");
        };
        let mib = 1 << 20;
        for (size, le) in [(0, 16.0), (1, 16.0), (16, 16.0), (17, 64.0), (32, 64.0), (64, 64.0), (65, 256.0)]
        {
            check(size, le);
        }
        check(16 * mib, 16.0 * 1024.0 * 1024.0);
        check(16 * mib + 1, f64::INFINITY);
        check(u64::MAX, f64::INFINITY);
        assert_eq!(classic(&[]).len(), 12, "the buckets are always the same");
    }

    #[test]
    fn every_size_is_in_the_native_bucket_of_its_power_of_two() {
        let check = |size: u64, zero: u64, expect: &[(u64, i64)]| {
            let native = native(&counted(&[size]));
            assert_eq!((native.zero_count, buckets(&native)), (zero, expect.to_vec()), "{size}");
        };
        for size in [0, 1, ZERO_BYTES] {
            check(size, 1, &[]);
        }
        for exponent in 5..=34 {
            check((1 << (exponent - 1)) + 1, 0, &[(1 << exponent, 1)]);
            check(1 << exponent, 0, &[(1 << exponent, 1)]);
        }
        for size in [(1 << 34) + 1, u64::MAX] {
            check(size, 0, &[(1 << 35, 1)]);
        }
    }

    #[test]
    fn empty_buckets_between_others_keep_their_place() {
        let native = native(&counted(&[8, 20, 20, 20, 100, 100]));
        assert_eq!(native, Native { zero_count: 1, span: Some((5, 3)), deltas: vec![3, -3, 2] });
        assert_eq!(super::native(&counted(&[])), Native { zero_count: 0, span: None, deltas: Vec::new() });
    }
}
