//! The one place where what the kernel side adds up becomes numbers: estimates with their variances.
//!
//! A sum of weights is an unbiased estimate, and the sum of the weights' own variances an unbiased estimate of its
//! variance (Horvitz and Thompson, 1952; `tracer_ebpf::sampling::weight` has the formulas). Where every allocation
//! is walked, the weights are 1 and the variances 0: the same code gives exact numbers.

use std::ops::Add;

use statrs::distribution::{ChiSquared, ContinuousCDF};
use tracer_ebpf::abi::{Sums, Variances};
use tracer_ebpf::sampling::weight::Weight;

use crate::collect::runtime::{ProfiledSite, ProfiledSize};
use crate::collect::{LiveBlock, SiteCounts};

/// Below so many samples of one weight the normal distribution does not fit: an interval says more than a standard
/// error.
pub const FEW_SAMPLES: u64 = 30;
/// From here on the gamma distribution is the normal one, to a few hundredths of a standard error; and far above,
/// where few samples stand for little more than themselves, its quantile comes out as no number.
const MANY_SAMPLES: f64 = 1000.0;
/// Quantile of the normal distribution for 95 %, both sides.
const NORMAL_95: f64 = 1.959_963_985;
const TAIL: f64 = 0.025;

/// What contains the truth with a probability of 95 %, or a little more: of an estimate that adds the weights of so
/// many samples. The intervals of the document are this; it is public for those who add or subtract estimates.
#[must_use]
pub fn interval_95(value: f64, standard_error: f64, samples: u64) -> [f64; 2] {
    Estimate { value, variance: standard_error * standard_error }.interval(samples)
}

/// A number that may be estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) variance: f64,
}

impl Estimate {
    /// To the nearest whole number; what is exact stays so up to 2^53.
    pub(super) fn rounded(self) -> u64 {
        self.value.round() as u64
    }

    pub(super) fn standard_error(self) -> f64 {
        self.variance.sqrt()
    }

    /// [`interval_95`].
    ///
    /// With 30 samples or more by the normal distribution, if they are worth 30 of one weight: the squared sum of the
    /// weights over the sum of their squares (Kish, "Survey Sampling", 1965). With fewer: a weighted sum of few counts
    /// is wider above than below, which Fay and Feuer's interval ("Confidence intervals for directly standardized
    /// rates", Statistics in Medicine 16, 1997) takes from the gamma distribution, here with the mean weight for the
    /// next count (Tiwari, Clegg and Zou, Statistical Methods in Medical Research 15, 2006). For equal weights it is
    /// Garwood's exact one.
    pub(super) fn interval(self, samples: u64) -> [f64; 2] {
        if self.variance <= 0.0 || self.value <= 0.0 {
            return [self.value, self.value];
        }
        let worth = self.value * self.value / self.variance;
        if worth.min(samples as f64) >= FEW_SAMPLES as f64 || worth >= MANY_SAMPLES {
            let half = NORMAL_95 * self.standard_error();
            return [(self.value - half).max(0.0), self.value + half];
        }
        let next = self.variance / self.value;
        let low = gamma_quantile(self.value, self.variance, TAIL);
        let high = gamma_quantile(self.value + next, self.variance + next * next, 1.0 - TAIL);
        [low.unwrap_or(0.0), high.unwrap_or(f64::MAX)]
    }

    fn of(whole: f64, part: f64, variance: f64) -> Self {
        Self { value: whole - part, variance }
    }
}

/// Quantile of the gamma distribution with this mean and variance, as a scaled chi-squared; `None` where it cannot be
/// computed. It can for every sum of samples: their variance is at most their squared sum.
fn gamma_quantile(mean: f64, variance: f64, probability: f64) -> Option<f64> {
    let degrees = 2.0 * mean * mean / variance;
    let quantile = ChiSquared::new(degrees).ok()?.inverse_cdf(probability);
    Some(variance / (2.0 * mean) * quantile).filter(|value| value.is_finite())
}

impl Add for Estimate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, variance: self.variance + other.variance }
    }
}

/// The numbers of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Estimates {
    pub(super) alloc_objects: Estimate,
    pub(super) alloc_bytes: Estimate,
    pub(super) free_objects: Estimate,
    pub(super) free_bytes: Estimate,
    pub(super) inuse_objects: Estimate,
    pub(super) inuse_bytes: Estimate,
    /// Allocations whose stack was walked.
    pub(super) samples: u64,
    /// Those of them that are in use.
    pub(super) inuse_samples: u64,
}

impl Estimates {
    /// Of one record.
    pub(super) fn of(counts: &SiteCounts) -> Self {
        let (allocated, gone) = (objects(counts.allocated), objects(counts.gone));
        let (allocated_bytes, gone_bytes) = (bytes(counts.allocated), bytes(counts.gone));
        let whole = variances(counts.allocated_variance);
        let left = variances(counts.gone_variance);
        let unfollowed = counts.unfollowed_objects_q16 as f64 / Q16;
        // The counts are of slightly different moments while they grow: no number is below 0.
        let rest = |a: f64, b: f64| (a - b).max(0.0);
        let exact = counts.samples == 0;
        Self {
            alloc_objects: Estimate::of(allocated, 0.0, whole.0),
            alloc_bytes: Estimate::of(allocated_bytes, 0.0, whole.1),
            free_objects: Estimate::of(gone, unfollowed.min(gone), left.0),
            free_bytes: Estimate::of(gone_bytes, 0.0, left.1),
            inuse_objects: Estimate { value: rest(allocated, gone), variance: rest(whole.0, left.0) },
            inuse_bytes: Estimate {
                value: rest(allocated_bytes, gone_bytes),
                variance: rest(whole.1, left.1),
            },
            samples: if exact { allocated as u64 } else { counts.samples },
            inuse_samples: if exact {
                rest(allocated, gone) as u64
            } else {
                counts.samples.saturating_sub(counts.gone_samples)
            },
        }
    }

    /// Of the samples that a runtime has drawn by itself, each allocation with the probability `1 - exp(-size / interval)`: a
    /// sample stands for `1 / P` objects, and adds `(1 - P) / P^2` to the variance (`scaleHeapSample` in Go's
    /// runtime/pprof/protomem.go; Horvitz and Thompson).
    pub(super) fn of_profile(site: &ProfiledSite) -> Self {
        site.sizes.iter().map(Self::of_size).fold(Self::default(), Self::add)
    }

    fn of_size(size: &ProfiledSize) -> Self {
        let probability = match size.interval_bytes {
            0 | 1 => 1.0,
            interval => -(-(size.size_bytes.max(1) as f64) / interval as f64).exp_m1(),
        };
        let objects = |samples: u64| Estimate {
            value: samples as f64 / probability,
            variance: samples as f64 * (1.0 - probability) / (probability * probability),
        };
        let bytes = |samples: u64| {
            let Estimate { value, variance } = objects(samples);
            let each = size.size_bytes as f64;
            Estimate { value: value * each, variance: variance * each * each }
        };
        Self {
            alloc_objects: objects(size.allocated),
            alloc_bytes: bytes(size.allocated),
            free_objects: objects(size.freed),
            free_bytes: bytes(size.freed),
            inuse_objects: objects(size.live),
            inuse_bytes: bytes(size.live),
            samples: size.allocated,
            inuse_samples: size.live,
        }
    }

    /// What a live block stands for, in use and nothing else.
    pub(super) fn in_use(block: &LiveBlock) -> Self {
        let weight = Weight::of(block.size_bytes, block.interval);
        let objects_variance =
            weight.objects_variance_high as f64 + weight.objects_variance_low as f64 / 2_f64.powi(32);
        Self {
            inuse_objects: Estimate { value: weight.objects_q16 as f64 / Q16, variance: objects_variance },
            inuse_bytes: Estimate {
                value: weight.bytes_q8 as f64 / Q8,
                variance: weight.bytes_variance as f64,
            },
            inuse_samples: 1,
            ..Self::default()
        }
    }
}

const Q16: f64 = 65_536.0;
const Q8: f64 = 256.0;

fn objects(sums: Sums) -> f64 {
    sums.objects_q16 as f64 / Q16
}

fn bytes(sums: Sums) -> f64 {
    sums.bytes_q8 as f64 / Q8
}

/// Of objects and of bytes.
fn variances(sums: Variances) -> (f64, f64) {
    const WORD: f64 = 4_294_967_296.0;
    let objects = sums.objects_high as f64 + sums.objects_low as f64 / WORD;
    (objects, sums.bytes_high as f64 * WORD + sums.bytes_low as f64)
}

impl Add for Estimates {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            alloc_objects: self.alloc_objects + other.alloc_objects,
            alloc_bytes: self.alloc_bytes + other.alloc_bytes,
            free_objects: self.free_objects + other.free_objects,
            free_bytes: self.free_bytes + other.free_bytes,
            inuse_objects: self.inuse_objects + other.inuse_objects,
            inuse_bytes: self.inuse_bytes + other.inuse_bytes,
            samples: self.samples + other.samples,
            inuse_samples: self.inuse_samples + other.inuse_samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_equal_weights_have_the_exact_interval_of_a_poisson_count() {
        // Garwood's table for a count of 10: 4.80 … 18.39.
        let [low, high] = Estimate { value: 10.0, variance: 10.0 }.interval(10);
        assert!((low - 4.795).abs() < 0.01 && (high - 18.39).abs() < 0.01, "{low} … {high}");
        let [low, high] = Estimate { value: 5000.0, variance: 10.0 * 500.0 * 500.0 }.interval(10);
        assert!((low - 2397.0).abs() < 5.0 && (high - 9195.0).abs() < 5.0, "{low} … {high}");
    }

    #[test]
    fn many_samples_have_the_normal_interval() {
        let [low, high] = Estimate { value: 1000.0, variance: 10_000.0 }.interval(100);
        assert!((low - 804.0).abs() < 0.1 && (high - 1196.0).abs() < 0.1, "{low} … {high}");
    }

    #[test]
    fn every_interval_is_two_numbers_around_its_value() {
        for samples in [1, 6, 29, 30, 1000] {
            // From a standard error as large as the value, which one sample has, to a ten-millionth of it.
            for step in 0..=140 {
                let error = 10_f64.powf(-0.05 * f64::from(step));
                let [low, high] = interval_95(1.0, error, samples);
                assert!(
                    (0.0..=1.0).contains(&low) && high >= 1.0 && high.is_finite(),
                    "{error}: {low} … {high}"
                );
                assert!(1.0 - low < 5.0 * error && high - 1.0 < 5.0 * error, "{error}: {low} … {high}");
            }
        }
    }

    #[test]
    fn samples_that_are_worth_few_have_the_interval_of_few() {
        // One weight of 1,000 among 100 of 1: the interval reaches far up and is not below 0.
        let [low, high] = Estimate { value: 1100.0, variance: 1_000_100.0 }.interval(101);
        assert!(low > 0.0 && high > 1100.0 + 2.0 * NORMAL_95 * 1000.0, "{low} … {high}");
        assert_eq!(interval_95(1100.0, 1_000_100_f64.sqrt(), 101)[0], low);
    }

    #[test]
    fn what_is_exact_has_no_interval() {
        assert_eq!(Estimate { value: 7.0, variance: 0.0 }.interval(7), [7.0, 7.0]);
    }
}
