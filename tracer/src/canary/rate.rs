//! Two rates against each other.
//!
//! A rate is a sum of amounts over a sum of exposures (the ratio estimator: Cochran, "Sampling Techniques", 3rd edition,
//! 1977, chapter 6). An amount whose variance is `scale` times its size counts for `amount / scale` events, which are
//! compared as Poisson counts by the signed root of the likelihood ratio (McCullagh and Nelder, "Generalized Linear Models",
//! 1989, chapters 6 and 9: a quasi-likelihood with the variance function of Poisson). So a site that one side does not have
//! needs no rule of its own, and the interval of what is large is the one of the logarithm.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The amount of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sum {
    pub(super) amount: f64,
    pub(super) exposure: f64,
    /// Variance of the amount over its size, if the rates were equal.
    pub(super) scale: f64,
}

impl Sum {
    pub(super) fn rate(self) -> f64 {
        if self.exposure > 0.0 { self.amount / self.exposure } else { 0.0 }
    }
}

/// Base and canary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contrast {
    sums: [Sum; 2],
    /// Events, and what the exposures are worth in events per rate.
    events: [f64; 2],
    worth: [f64; 2],
    /// Of the variances; infinite: they are known.
    degrees: f64,
    is_exact: bool,
}

/// A change of a thousandth or less is none: a profile's seconds are not known better, since probes are placed in
/// milliseconds, and nobody stops a release for it. Everything is tested against the nearest change of that size instead of
/// against none, as McCarthy and Smyth do ("Testing significance relative to a fold-change threshold is a TREAT",
/// Bioinformatics 25, 2009).
pub(super) const LEAST_CHANGE: f64 = 0.001;

/// Beyond this factor a bound says nothing.
const FARTHEST_LOG: f64 = 60.0;
/// Corrections until a bound is found: five are usual, and each halves the error at worst.
const MOST_STEPS: u32 = 60;
/// Where a side has no variance: its part of the amount that it is taken to be uncertain by.
const EXACT: f64 = 1e-12;

impl Contrast {
    pub(super) fn new(sums: [Sum; 2], degrees: f64) -> Self {
        let is_exact = sums.iter().all(|sum| sum.scale <= 0.0);
        let floor = sums.iter().map(|sum| sum.amount).fold(0.0, f64::max) * EXACT;
        let scale = |sum: Sum| sum.scale.max(floor).max(f64::MIN_POSITIVE);
        Self {
            sums,
            events: sums.map(|sum| sum.amount / scale(sum)),
            worth: sums.map(|sum| sum.exposure / scale(sum)),
            degrees,
            is_exact,
        }
    }

    /// The relative change; `None`: the base has none.
    pub(super) fn ratio(&self) -> Option<f64> {
        let [base, canary] = self.sums.map(Sum::rate);
        (base > 0.0).then(|| canary / base - 1.0)
    }

    /// Twice the logarithm of the likelihood ratio of a canary whose rate is so many times that of the base.
    fn deviance(&self, factor: f64) -> f64 {
        let [base, canary] = self.events;
        let worth = [self.worth[0], factor * self.worth[1]];
        let rate = (base + canary) / (worth[0] + worth[1]);
        excess(base, rate * worth[0]) + excess(canary, rate * worth[1])
    }

    /// Standard errors that the estimate is above a canary whose rate is so many times that of the base.
    fn root(&self, factor: f64) -> f64 {
        let [base, canary] = self.events;
        let root = self.deviance(factor).max(0.0).sqrt();
        if canary * self.worth[0] < base * factor * self.worth[1] { -root } else { root }
    }

    /// Probability of such a change or a larger one, in either direction, where the truth is a change of `least`.
    pub(super) fn p_value(&self, least: f64) -> f64 {
        let [base, canary] = self.sums.map(Sum::rate);
        if self.is_exact {
            return if (base - canary).abs() <= (least + EXACT) * base { 1.0 } else { 0.0 };
        }
        let (below, above) = (self.root(1.0 / (1.0 + least)), self.root(1.0 + least));
        let is_increase = canary >= base;
        let (near, far) = if is_increase { (above, below) } else { (-below, -above) };
        (tail(near, self.degrees) + tail(far, self.degrees)).min(1.0)
    }

    /// Relative changes that are not rejected with this probability of an error, both sides together.
    pub(super) fn interval(&self, error: f64) -> (f64, Option<f64>) {
        let [base, canary] = self.events;
        if self.is_exact {
            return (self.ratio().unwrap_or(0.0), self.ratio());
        }
        if base <= 0.0 && canary <= 0.0 {
            return (-1.0, None);
        }
        let quantile = quantile(error / 2.0, self.degrees);
        let most = quantile * quantile;
        let worth = self.worth[0] / self.worth[1];
        // With nothing on one side the equation has a solution in closed form.
        if base <= 0.0 {
            return ((worth / (most / (2.0 * canary)).exp_m1() - 1.0).min(f64::MAX), None);
        }
        if canary <= 0.0 {
            return (
                -1.0,
                Some(worth * (most / (2.0 * base)).exp_m1() - 1.0).filter(|upper| upper.is_finite()),
            );
        }
        let centre = (canary / base * worth).ln();
        let low = self.bound(centre, -1.0, most).map_or(-1.0, f64::exp_m1);
        (low, self.bound(centre, 1.0, most).map(f64::exp_m1))
    }

    /// Logarithm of the factor, above or below the estimate, where the deviance is so much: its root is nearly
    /// proportional to the distance, so the distance is corrected in proportion.
    fn bound(&self, centre: f64, direction: f64, most: f64) -> Option<f64> {
        let mut step = most.sqrt() * (1.0 / self.events[0] + 1.0 / self.events[1]).sqrt();
        for _ in 0..MOST_STEPS {
            let correction = (most / self.deviance((centre + direction * step).exp())).sqrt();
            if !correction.is_finite() {
                break;
            }
            step *= correction;
            if step > FARTHEST_LOG {
                return None;
            }
            if (correction - 1.0).abs() < 1e-9 {
                break;
            }
        }
        Some(centre + direction * step)
    }

    /// The smallest increase that four of five comparisons would find, with this probability of an error, to be above
    /// `least`.
    pub(super) fn detectable(&self, error: f64, least: f64) -> Option<f64> {
        let [base, canary] = self.sums;
        if self.is_exact || base.amount <= 0.0 || canary.exposure <= 0.0 {
            return (self.is_exact && base.amount > 0.0).then_some(least);
        }
        let pooled = (base.amount + canary.amount) / (base.exposure + canary.exposure);
        let variance: f64 = self.sums.iter().map(|sum| sum.scale / (pooled * sum.exposure)).sum();
        let quantiles = quantile(error / 2.0, self.degrees) + quantile(0.2, self.degrees);
        Some((quantiles * variance.sqrt() + least.ln_1p()).exp_m1()).filter(|increase| increase.is_finite())
    }
}

/// Part of the deviance of a Poisson count: exact where both are nearly equal.
fn excess(events: f64, expected: f64) -> f64 {
    if expected <= 0.0 {
        return 0.0;
    }
    let off = (events - expected) / expected;
    if off.abs() < 1e-3 {
        return expected * off * off * (1.0 - off / 3.0 + off * off / 6.0);
    }
    let logarithm = if events > 0.0 { events * (events / expected).ln() } else { 0.0 };
    2.0 * (logarithm - (events - expected))
}

/// Probability of more than so many standard errors on one side.
fn tail(z: f64, degrees: f64) -> f64 {
    distribution(degrees, |t| t.cdf(-z), |normal| normal.cdf(-z))
}

/// Standard errors that are exceeded on one side with this probability.
pub(super) fn quantile(probability: f64, degrees: f64) -> f64 {
    -distribution(degrees, |t| t.inverse_cdf(probability), |normal| normal.inverse_cdf(probability))
}

fn distribution(degrees: f64, t: impl Fn(&StudentsT) -> f64, normal: impl Fn(&Normal) -> f64) -> f64 {
    match StudentsT::new(0.0, 1.0, degrees) {
        Ok(students) if degrees < 1e6 => t(&students),
        _ => normal(&Normal::standard()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(base: (f64, f64), canary: (f64, f64)) -> Contrast {
        Contrast::new(
            [base, canary].map(|(amount, exposure)| Sum { amount, exposure, scale: 1.0 }),
            f64::INFINITY,
        )
    }

    fn near(found: f64, expect: f64) {
        assert!((found - expect).abs() <= 1e-5 * expect.abs().max(1e-9), "{found} for {expect}");
    }

    #[test]
    fn counts_have_the_p_values_and_intervals_of_scipy() {
        // Likelihood ratio of two Poisson rates: scipy.special.xlogy, scipy.stats.norm, bounds by scipy.optimize.brentq.
        let check = |base, canary, p_value, lower: f64, upper: Option<f64>| {
            let contrast = counts(base, canary);
            near(contrast.p_value(0.0), p_value);
            let (low, high) = contrast.interval(0.05);
            near(low, lower);
            assert_eq!(high.is_some(), upper.is_some(), "{high:?}");
            near(high.unwrap_or(0.0), upper.unwrap_or(0.0));
        };
        check(
            (50.0, 1.0),
            (80.0, 1.2),
            0.107_196_731_713_066_79,
            -0.059_905_464_383_143_81,
            Some(0.909_368_163_520_587),
        );
        check(
            (3.0, 1.0),
            (12.0, 1.0),
            0.016_187_951_270_966_523,
            0.270_608_873_586_527_96,
            Some(16.552_932_938_735_88),
        );
        check((0.0, 1.0), (7.0, 2.0), 0.017_193_520_258_141_973, 0.583_642_993_847_717_7, None);
        check((7.0, 1.0), (0.0, 2.0), 8.788_728_975_854_116e-5, -1.0, Some(-0.842_136_137_392_567));
    }

    #[test]
    fn tails_and_quantiles_are_those_of_scipy() {
        // scipy.stats.t.sf, norm.sf (two-sided), t.isf, norm.isf
        for (z, degrees, expect) in [
            (2.0, 4.0, 0.116_116_523_516_815_56),
            (5.0, 10.0, 5.373_336_027_564_527e-4),
            (4.5, 100.0, 1.838_461_154_761_548_8e-5),
            (8.0, f64::INFINITY, 1.244_192_114_854_348e-15),
        ] {
            near(2.0 * tail(z, degrees), expect);
        }
        for (probability, degrees, expect) in [
            (0.025, 4.0, 2.776_445_105_197_794),
            (1e-5, 20.0, 5.542_838_633_158_786),
            (0.2, 6.0, 0.905_703_285_180_531_4),
            (1e-6, f64::INFINITY, 4.753_424_308_822_899),
        ] {
            near(quantile(probability, degrees), expect);
        }
    }

    #[test]
    fn what_is_not_above_the_least_change_is_none_however_well_it_is_known() {
        let check = |amount: f64, scale: f64, expect: f64| {
            let sums = [1e6, amount].map(|amount| Sum { amount, exposure: 2.0, scale });
            near(Contrast::new(sums, f64::INFINITY).p_value(LEAST_CHANGE), expect);
        };
        check(1e6 * 1.0009, 0.0, 1.0);
        check(1e6 * 0.9991, 0.0, 1.0);
        check(1e6 * 1.0011, 0.0, 0.0);
        // The likelihood ratio in 50 digits, by Python's decimal and math.erfc.
        check(1_000_500.0, 1.0, 0.782_572_907_699_028_2);
        check(1_001_500.0, 1.0, 0.400_543_221_936_021_3);
        check(998_000.0, 1.0, 0.256_258_144_369_516_9);
        check(1_005_000.0, 1.0, 0.002_386_442_962_989_816_7);
    }

    #[test]
    fn what_could_have_been_found_is_said() {
        // exp((norm.isf(0.005 / 10) + norm.isf(0.2)) * sqrt(2 / 100)) - 1
        near(counts((100.0, 1.0), (100.0, 1.0)).detectable(0.001, 0.0).unwrap(), 0.793_867_618_011_016_9);
        assert_eq!(counts((0.0, 1.0), (100.0, 1.0)).detectable(0.01, 0.0), None);
    }

    #[test]
    fn exact_amounts_differ_or_do_not() {
        let exact = |base, canary| {
            let sums = [base, canary].map(|amount| Sum { amount, exposure: 3.0, scale: 0.0 });
            let contrast = Contrast::new(sums, f64::INFINITY);
            (contrast.p_value(0.0), contrast.interval(0.05), contrast.detectable(0.01, 0.0))
        };
        assert_eq!(exact(30.0, 30.0), (1.0, (0.0, Some(0.0)), Some(0.0)));
        let (p_value, (lower, upper), _) = exact(30.0, 33.0);
        assert_eq!(p_value, 0.0);
        near(lower, 0.1);
        near(upper.unwrap(), 0.1);
    }

    #[test]
    fn one_exact_side_has_no_error_of_its_own() {
        let sums = [
            Sum { amount: 1e9, exposure: 1.0, scale: 0.0 },
            Sum { amount: 1.1e9, exposure: 1.0, scale: 1e6 },
        ];
        let contrast = Contrast::new(sums, f64::INFINITY);
        let z = 1e8 / (1e6 * 1e9_f64).sqrt();
        let p_value = contrast.p_value(0.0);
        assert!(
            p_value < 2.0 * tail(z * 0.9, f64::INFINITY) && p_value > 2.0 * tail(z * 1.1, f64::INFINITY),
            "{p_value}"
        );
    }

    #[test]
    fn a_large_scale_is_few_events() {
        let scaled = |scale: f64| {
            let sums = [50.0, 80.0].map(|amount| Sum { amount: amount * scale, exposure: 1.0, scale });
            Contrast::new(sums, f64::INFINITY).p_value(0.0)
        };
        near(scaled(65_536.0), scaled(1.0));
    }
}
