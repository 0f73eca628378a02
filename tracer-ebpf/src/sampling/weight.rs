//! What a sample stands for.
//!
//! An allocation of `S` bytes is sampled with the probability `P = 1 - e^(-S/R)` and stands for `1/P` objects and
//! `S/P` bytes, which is unbiased for each allocation by itself (Horvitz and Thompson, 1952). Its estimate of the
//! variance is `(1 - P)/P²` objects² and `S² (1 - P)/P²` bytes².
//!
//! With the excess `D = S/P - S = R · x/(e^x - 1)`, `x = S/R`, all four come without a difference of large
//! numbers: `1 + D/S` objects, `S + D` bytes, `(1 + D/S) · D/S` objects², `(S + D) · D` bytes².

use super::tables::{EXCESS, EXCESS_PER_UNIT, EXCESS_STEPS};

/// What one sample adds to its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Objects, in 2^-16.
    pub objects_q16: u64,
    /// Bytes, in 2^-8.
    pub bytes_q8: u64,
    /// Variance of the objects, whole part.
    pub objects_variance_high: u64,
    /// Its fraction, in 2^-32.
    pub objects_variance_low: u64,
    /// Variance of the bytes.
    pub bytes_variance: u64,
}

impl Weight {
    /// The weight of an allocation that was sampled with the mean `interval` ≤ [`super::MAX_SAMPLE_BYTES`]; 0 is
    /// every allocation, which stands for itself.
    #[inline(always)]
    #[must_use]
    pub const fn of(size_bytes: u64, interval: u32) -> Self {
        // Sampling sees an empty allocation as one byte.
        let size = if size_bytes == 0 { 1 } else { size_bytes };
        let excess_q8 = if interval == 0 { 0 } else { excess_q8(size, interval as u64) };
        let excess_objects_q16 = (excess_q8 << 8) / size;
        let objects_q16 = (1 << 16) + excess_objects_q16;
        let (objects_variance_high, objects_variance_low) = product_q32(objects_q16, excess_objects_q16);
        Self {
            objects_q16,
            bytes_q8: if size_bytes == 0 { 0 } else { (size << 8) + excess_q8 },
            objects_variance_high,
            objects_variance_low,
            bytes_variance: if size_bytes == 0 { 0 } else { bytes_variance(size, excess_q8) },
        }
    }
}

/// `R · x/(e^x - 1)` in 2^-8, by linear interpolation; 0 where it is below 2^-8 for every `R`.
#[inline(always)]
const fn excess_q8(size: u64, interval: u64) -> u64 {
    if size >= interval * (EXCESS_STEPS as u64 / EXCESS_PER_UNIT) {
        return 0;
    }
    let steps = size * EXCESS_PER_UNIT;
    let step = (steps / interval) as usize & (EXCESS_STEPS - 1);
    let between_q16 = ((steps % interval) << 16) / interval;
    let (high, low) = (EXCESS[step] as u64, EXCESS[step + 1] as u64);
    let fraction_q31 = high - (((high - low) * between_q16) >> 16);
    (interval * fraction_q31) >> 23
}

/// `(S + D) · D`, at most `R²`.
#[inline(always)]
const fn bytes_variance(size: u64, excess_q8: u64) -> u64 {
    if excess_q8 == 0 {
        return 0;
    }
    // An excess above 0 means that S is below 32 R: below 2^34.
    let (whole, fraction_q8) = (excess_q8 >> 8, excess_q8 & 0xff);
    let bytes = size + whole;
    bytes * whole + ((bytes * fraction_q8 + fraction_q8 * whole) >> 8)
}

/// A product of two numbers in 2^-16: its whole part and its fraction in 2^-32.
#[inline(always)]
const fn product_q32(a: u64, b: u64) -> (u64, u64) {
    const HALF: u64 = 0xffff_ffff;
    if a <= HALF && b <= HALF {
        return ((a * b) >> 32, (a * b) & HALF);
    }
    // Above 65,536 objects per sample their fraction does not matter.
    ((a >> 16) * (b >> 16), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVALS: [u32; 7] = [1, 16, 4096, 65_536, 524_288, 2 << 20, 1 << 29];
    const SIZES: [u64; 11] = [1, 16, 100, 4096, 65_536, 100_000, 524_288, 3 << 20, 4 << 20, 1 << 33, 1 << 46];

    fn close(ours: f64, exact: f64, absolute: f64) -> bool {
        (ours - exact).abs() <= absolute + exact.abs() * 1e-4
    }

    #[test]
    fn a_weight_is_what_floating_point_says() {
        for interval in INTERVALS {
            for size in SIZES {
                let p = -(-(size as f64) / f64::from(interval)).exp_m1();
                let weight = Weight::of(size, interval);
                let check = |what: &str, ours: f64, exact: f64, absolute: f64| {
                    assert!(close(ours, exact, absolute), "{what} of {size}/{interval}: {ours}, not {exact}");
                };
                let s = size as f64;
                check("objects", weight.objects_q16 as f64 / 65_536.0, 1.0 / p, 0.004 / s + 2e-5);
                check("bytes", weight.bytes_q8 as f64 / 256.0, s / p, 0.02);
                let objects =
                    weight.objects_variance_high as f64 + weight.objects_variance_low as f64 / 2_f64.powi(32);
                check("objects²", objects, (1.0 - p) / (p * p), 0.02 / s + 1e-4);
                check(
                    "bytes²",
                    weight.bytes_variance as f64,
                    s * s * (1.0 - p) / (p * p),
                    0.02 * s + 2.0 + 0.01 * f64::from(interval),
                );
            }
        }
    }

    #[test]
    fn every_allocation_stands_for_itself() {
        for size in [0, 1, 16, 1 << 40] {
            let weight = Weight::of(size, 0);
            assert_eq!((weight.objects_q16, weight.bytes_q8), (1 << 16, size << 8), "{size}");
            assert_eq!((weight.objects_variance_high, weight.bytes_variance), (0, 0), "{size}");
        }
    }

    #[test]
    fn an_empty_allocation_is_sampled_as_one_byte_and_weighs_none() {
        let (empty, one) = (Weight::of(0, 4096), Weight::of(1, 4096));
        assert_eq!(empty.objects_q16, one.objects_q16);
        assert_eq!((empty.bytes_q8, empty.bytes_variance), (0, 0));
    }

    #[test]
    fn the_expected_weight_is_the_truth() {
        // Σ P · W over a mix of sizes is Σ 1 and Σ S: what unbiased means.
        for interval in INTERVALS {
            for size in SIZES {
                let p = -(-(size as f64) / f64::from(interval)).exp_m1();
                let weight = Weight::of(size, interval);
                let bytes = p * weight.bytes_q8 as f64 / 256.0;
                assert!(close(bytes, size as f64, 0.01), "{size}/{interval}: {bytes}");
            }
        }
    }
}
