//! Variances of many sites, each known from few units: what they have in common is lent to each.
//!
//! Smyth, "Linear models and empirical Bayes methods for assessing differential expression", Statistical Applications in
//! Genetics and Molecular Biology 3, 2004, section 6.2: variances are taken for `s0^2` times a scaled F variable with `d`
//! and `d0` degrees of freedom, whose logarithm has known moments.

use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor};
use statrs::function::gamma::digamma;

/// Degrees of freedom that a site borrows at most: a site that is unlike the others keeps a say.
const MOST_BORROWED: f64 = 100.0;
/// A variance that is larger than the prior explains in one of so many sites is not shrunk towards it (Phipson and
/// others, "Robust hyperparameter estimation …", Annals of Applied Statistics 10, 2016).
const OUTLIER: f64 = 0.01;
/// Fewer sites say nothing of what variances have in common.
const FEWEST_SITES: usize = 10;

/// What the variances of sites have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prior {
    /// The variance that a site without data would have.
    pub(super) variance: f64,
    /// What that is worth; `f64::INFINITY`: all sites have it.
    pub(super) degrees: f64,
}

impl Prior {
    /// From variances with their degrees of freedom; `None`: too few.
    pub(super) fn fit(variances: &[(f64, f64)]) -> Option<Self> {
        let mut sorted: Vec<f64> = variances.iter().map(|&(variance, _)| variance).collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        if sorted.len() < FEWEST_SITES || median <= 0.0 {
            return None;
        }
        let count = variances.len() as f64;
        let logs: Vec<f64> = variances
            .iter()
            .map(|&(variance, degrees)| {
                variance.max(median * least(degrees)).ln() - digamma(degrees / 2.0) + (degrees / 2.0).ln()
            })
            .collect();
        let mean = logs.iter().sum::<f64>() / count;
        let spread = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let explained = variances.iter().map(|&(_, degrees)| trigamma(degrees / 2.0)).sum::<f64>() / count;
        let beyond = spread - explained;
        if beyond <= 0.0 {
            // All have one variance: the mean is its estimate (limma's `fitFDist` since 2017).
            let sum: f64 = variances.iter().map(|&(variance, _)| variance).sum();
            return Some(Self { variance: sum / count, degrees: f64::INFINITY });
        }
        let degrees = 2.0 * trigamma_inverse(beyond);
        let variance = (mean + digamma(degrees / 2.0) - (degrees / 2.0).ln()).exp();
        Some(Self { variance, degrees })
    }

    /// A site's variance and its degrees of freedom, with what the others lend.
    pub(super) fn shrink(self, variance: f64, degrees: f64) -> (f64, f64) {
        let borrowed = self.degrees.min(MOST_BORROWED);
        let tail = FisherSnedecor::new(degrees, borrowed).map(|f| f.sf(variance / self.variance));
        if tail.is_ok_and(|tail| tail < OUTLIER) {
            return (variance, degrees);
        }
        let all = borrowed + degrees;
        ((borrowed * self.variance + degrees * variance) / all, all)
    }
}

/// The part of the median that a variance has at least: what is called once per request, never more and never less, says
/// nothing of the others. So small is one of a thousand where all have one variance.
fn least(degrees: f64) -> f64 {
    let quantile = |p| ChiSquared::new(degrees).map_or(1.0, |chi_squared| chi_squared.inverse_cdf(p));
    quantile(0.001) / quantile(0.5)
}

/// Second derivative of the logarithm of the gamma function, for positive numbers: recurrence up to 10, then the asymptotic
/// series (Abramowitz and Stegun, 6.4.6 and 6.4.12).
pub(super) fn trigamma(mut x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::INFINITY;
    }
    let mut sum = 0.0;
    while x < 10.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = 1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0));
    sum + 1.0 / x + square / 2.0 + square / x * series
}

/// Its inverse, by bisection of the logarithm: it falls from infinity to 0.
fn trigamma_inverse(y: f64) -> f64 {
    let (mut low, mut high) = (1e-8_f64.ln(), 1e8_f64.ln());
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if trigamma(middle.exp()) > y {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expect: f64) {
        assert!((found / expect - 1.0).abs() < 1e-6, "{found} for {expect}");
    }

    #[test]
    fn trigamma_is_that_of_scipy() {
        // scipy.special.polygamma(1, x)
        for (x, expect) in [
            (0.1, 101.433_299_150_792_75),
            (0.5, 4.934_802_200_544_68),
            (1.0, 1.644_934_066_848_226_6),
            (2.5, 0.490_357_756_100_234_9),
            (10.0, 0.105_166_335_681_685_76),
            (1000.0, 0.001_000_500_166_666_633),
        ] {
            near(trigamma(x), expect);
            near(trigamma_inverse(expect), x);
        }
    }

    #[test]
    fn a_prior_has_the_moments_that_scipy_gives_it() {
        // fitFDist of limma by scipy: special.digamma, special.polygamma, optimize.brentq; 4 degrees of freedom each.
        let check = |variances: &[f64], expect: (f64, f64)| {
            let all: Vec<(f64, f64)> = variances.iter().map(|&variance| (variance, 4.0)).collect();
            let prior = Prior::fit(&all).unwrap();
            near(prior.variance, expect.0);
            if expect.1.is_finite() {
                near(prior.degrees, expect.1);
            } else {
                assert_eq!(prior.degrees, expect.1);
            }
        };
        let spread = [0.05, 0.2, 0.5, 0.9, 1.1, 1.5, 2.5, 4.0, 7.5, 0.7, 1.3, 30.0];
        check(&spread, (0.821_414_493_984_232_5, 1.697_549_819_734_829_3));
        check(&[0.8, 0.9, 1.0, 1.1, 1.2, 0.95, 1.05, 1.0, 0.9, 1.15], (1.005, f64::INFINITY));
        let prior = Prior::fit(&spread.map(|variance| (variance, 4.0))).unwrap();
        let (variance, degrees) = prior.shrink(2.5, 4.0);
        near(variance, 1.999_875_803_932_999_6);
        near(degrees, 5.697_549_819_734_829);
    }

    #[test]
    fn a_site_unlike_all_others_keeps_its_own_variance() {
        let prior = Prior { variance: 1.0, degrees: f64::INFINITY };
        assert_eq!(prior.shrink(40.0, 4.0), (40.0, 4.0));
        let (variance, degrees) = prior.shrink(2.0, 4.0);
        assert!(variance < 1.1 && degrees > 100.0, "{variance} {degrees}");
    }

    /// Where it did, nothing was lent to any site.
    #[test]
    fn a_site_that_never_varies_does_not_part_the_others() {
        let quantile = |p: f64| ChiSquared::new(10.0).unwrap().inverse_cdf(p) / 10.0;
        let mut all: Vec<(f64, f64)> =
            (0..200).map(|at| (quantile((f64::from(at) + 0.5) / 200.0), 10.0)).collect();
        let before = Prior::fit(&all).unwrap();
        all.push((0.0, 10.0));
        let after = Prior::fit(&all).unwrap();
        assert!(before.degrees > 100.0 && after.degrees > 60.0, "{before:?} {after:?}");
    }

    #[test]
    fn few_sites_or_none_that_varies_have_nothing_in_common() {
        assert_eq!(Prior::fit(&[(1.0, 4.0); 9]), None);
        assert_eq!(Prior::fit(&[(0.0, 4.0); 30]), None);
        assert_eq!(Prior::fit(&[]), None);
    }
}
