//! The gap to the next sample: exponential, drawn fresh after every sample.

use super::tables::{LOG2, LOG2_STEPS};

const LN2_Q30: u64 = 744_261_118;

/// Bytes to the next sample point of a Poisson process with one point per `mean_bytes`, rounded up: a whole
/// number of bytes reaches a point if and only if it is at least as far. `mean_bytes` ≤
/// [`super::MAX_SAMPLE_BYTES`]; `random` has 64 random bits. At least 1, at most 45 means.
#[inline(always)]
#[must_use]
pub const fn bytes(mean_bytes: u64, random: u64) -> u64 {
    let minus_ln_q30 = minus_ln_q30(random | 1);
    let whole = mean_bytes * (minus_ln_q30 >> 30);
    let part = mean_bytes * (minus_ln_q30 & ((1 << 30) - 1));
    whole + (part >> 30) + 1
}

/// `-ln(u / 2^64)` of a `u` above 0, in 2^-30.
#[inline(always)]
const fn minus_ln_q30(u: u64) -> u64 {
    let zeros = leading_zeros(u);
    // The mantissa in 1 … 2, its leading 1 shifted out: 8 bits choose the step, 24 lie between two steps.
    let fraction = (u << zeros << 1) >> 32;
    let step = (fraction >> 24) as usize & (LOG2_STEPS - 1);
    let between = fraction & 0xff_ffff;
    let (low, high) = (LOG2[step] as u64, LOG2[step + 1] as u64);
    let log2_q30 = low + (((high - low) * between) >> 24);
    let minus_log2_q30 = ((zeros as u64 + 1) << 30) - log2_q30;
    // At most 65 × 2^30: in halves, so that the product fits.
    let (whole, part) = (minus_log2_q30 >> 30, minus_log2_q30 & ((1 << 30) - 1));
    whole * LN2_Q30 + ((part * LN2_Q30) >> 30)
}

/// BPF has no instruction for it.
#[inline(always)]
const fn leading_zeros(mut u: u64) -> u32 {
    let mut zeros = 0;
    let mut step = 32;
    while step > 0 {
        if u >> (64 - step) == 0 {
            zeros += step;
            u <<= step;
        }
        step /= 2;
    }
    zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weyl's sequence through a mixer: deterministic, and random enough for moments.
    fn randoms(count: u64) -> impl Iterator<Item = u64> {
        (1..=count).map(|n| {
            let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        })
    }

    #[test]
    fn the_logarithm_is_right_to_a_millionth() {
        for u in randoms(100_000).chain([1, 2, 3, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1]) {
            let exact = -((u as f64) / 2_f64.powi(64)).ln();
            let ours = minus_ln_q30(u) as f64 / f64::from(1 << 30);
            assert!((ours - exact).abs() < 3e-6, "{u}: {ours} and not {exact}");
        }
    }

    #[test]
    fn gaps_are_exponential() {
        for mean in [1_u64, 16, 65_536, 524_288, super::super::MAX_SAMPLE_BYTES] {
            let gaps: Vec<u64> = randoms(200_000).map(|random| bytes(mean, random)).collect();
            let n = gaps.len() as f64;
            // The mean of an exponential rounded up to whole numbers is 1 / (1 - e^(-1/mean)).
            let expect = 1.0 / -(-1.0 / mean as f64).exp_m1();
            let seen = gaps.iter().map(|&gap| gap as f64).sum::<f64>() / n;
            assert!((seen / expect - 1.0).abs() < 0.01, "mean {mean}: {seen}");
            for quantile in [0.01, 0.1, 0.5, 1.0, 3.0] {
                let bound = (mean as f64 * quantile).ceil();
                let below = gaps.iter().filter(|&&gap| gap as f64 <= bound).count() as f64 / n;
                let expect = -(-bound / mean as f64).exp_m1();
                assert!((below - expect).abs() < 0.005, "mean {mean}, {quantile}: {below} and not {expect}");
            }
        }
    }

    #[test]
    fn no_gap_is_empty_or_absurd() {
        for mean in [1, 524_288, super::super::MAX_SAMPLE_BYTES] {
            assert_eq!(bytes(mean, u64::MAX), 1, "mean {mean}");
            assert!(bytes(mean, 0) <= 45 * mean, "mean {mean}: {}", bytes(mean, 0));
        }
    }
}
