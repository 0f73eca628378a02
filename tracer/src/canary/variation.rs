//! How much units of one side differ beyond their sampling.
//!
//! Quasi-likelihood: the variance of an amount with the expectation `m` is `phi * ((g + a * e) * m + c^2 * m^2)`. `g` is what a
//! sample stands for, `e` what a call is worth, `a` how much the number of calls varies, 1 where they come at random like
//! Poisson's, `c` the variation from unit to unit that all sites have, and `phi`, near 1, what is particular to a site: Pearson's statistic over its degrees of freedom (Wedderburn, Biometrika 61, 1974), shrunk as in Lund, Nettleton,
//! McCarthy and Smyth, "Detecting differential expression in RNA-sequence data using quasi-likelihood with shrunken
//! dispersion estimates", Statistical Applications in Genetics and Molecular Biology 11, 2012.

use std::collections::BTreeMap;

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::shrink::Prior;

/// Differences between units that are larger than this many times the amount are not looked for.
const MOST_VARIATION: f64 = 16.0;

/// Smaller ones are none.
const LEAST_VARIATION: f64 = 1e-6;

/// How often the spread of calls is corrected by that of units, and the other way round.
const ROUNDS: u32 = 20;

/// One quantity of a site on one side, unit by unit.
#[derive(Clone, Debug)]
pub(super) struct Units {
    pub(super) amounts: Vec<f64>,
    pub(super) exposures: Vec<f64>,
    /// Variance by sampling over the amount.
    pub(super) noise: Vec<f64>,
    /// Mean amount of a call.
    pub(super) call: f64,
}

/// How much the units of all sites vary beyond their sampling.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    /// Variance of the number of calls over that number.
    calls: f64,
    /// Standard deviation as a ratio of the amount.
    units: f64,
}

impl Units {
    pub(super) fn amount(&self) -> f64 {
        self.amounts.iter().sum()
    }

    pub(super) fn exposure(&self) -> f64 {
        self.exposures.iter().sum()
    }

    /// Part of the squared sum that the sum of the exposures' squares is: one over the units where all are alike.
    pub(super) fn unevenness(&self) -> f64 {
        let sum = self.exposure();
        self.exposures.iter().map(|exposure| exposure * exposure).sum::<f64>() / (sum * sum)
    }

    /// Mean variance by sampling over the amount, if the rates of all units are equal.
    pub(super) fn mean_noise(&self) -> f64 {
        let weighted: f64 =
            self.noise.iter().zip(&self.exposures).map(|(noise, exposure)| noise * exposure).sum();
        weighted / self.exposure()
    }

    pub(super) fn degrees(&self) -> f64 {
        if self.amount() > 0.0 { self.amounts.len().saturating_sub(1) as f64 } else { 0.0 }
    }

    /// Pearson's statistic, where units vary by so much beyond their sampling.
    fn statistic(&self, spread: Spread) -> f64 {
        let rate = self.amount() / self.exposure();
        let of_unit = |((amount, exposure), noise): ((&f64, &f64), &f64)| {
            let expected = rate * exposure;
            let off = amount - expected;
            let variance = (noise + spread.calls * self.call) * expected + (spread.units * expected).powi(2);
            if off.abs() <= 1e-12 * expected { 0.0 } else { off * off / variance.max(f64::MIN_POSITIVE) }
        };
        self.amounts.iter().zip(&self.exposures).zip(&self.noise).map(of_unit).sum()
    }

    /// How far each unit is from the rate of all, as a ratio.
    fn residuals(&self) -> Vec<f64> {
        let rate = self.amount() / self.exposure();
        self.amounts
            .iter()
            .zip(&self.exposures)
            .map(|(amount, exposure)| amount / (rate * exposure) - 1.0)
            .collect()
    }

    /// Relative variance of the rate between units; 0 of less than two.
    pub(super) fn observed(&self) -> f64 {
        let (sum, count) = (self.amount(), self.amounts.len() as f64);
        if count < 2.0 || sum <= 0.0 {
            return 0.0;
        }
        let rate = sum / self.exposure();
        let squares: f64 = self
            .amounts
            .iter()
            .zip(&self.exposures)
            .map(|(amount, exposure)| (amount - rate * exposure).powi(2))
            .sum();
        count / (count - 1.0) * squares / (sum * sum)
    }
}

/// Base and canary of a site.
pub(super) type Pair = [Units; 2];

/// What the sites of a comparison have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variation {
    /// Standard deviation between units as a ratio of an amount.
    pub(super) of_units: f64,
    /// Variance of the number of a site's calls over that number.
    of_calls: f64,
    /// Its part that moves all sites of a unit together: known from units alone, however many sites there are.
    pub(super) common: f64,
    pub(super) prior: Option<Prior>,
    units_degrees: f64,
}

/// What a site's amounts vary by.
#[derive(Clone, Copy, Debug)]
pub(super) struct SiteVariance {
    /// Of base and canary: variance over the amount, if the rates are equal.
    pub(super) scales: [f64; 2],
    pub(super) degrees: f64,
}

/// Calls are never taken to be more even than if they came at random, whatever few units show: the edge of a window falls
/// before a call or behind it, and where processes began together it does so in all of them.
const LEAST_OF_CALLS: f64 = 1.0;

impl Variation {
    pub(super) fn fit<'a>(sites: impl Iterator<Item = &'a Pair>) -> Self {
        let sites: Vec<&Pair> = sites.filter(|pair| degrees(pair) > 0.0).collect();
        let spread = typical(&sites);
        let own: Vec<(f64, f64)> =
            sites.iter().map(|pair| (statistic(pair, spread) / degrees(pair), degrees(pair))).collect();
        let prior = if spread.units.is_finite() { Prior::fit(&own) } else { None };
        let units_degrees = sites.iter().map(|pair| degrees(pair)).fold(0.0, f64::max);
        Self { of_units: spread.units, of_calls: spread.calls, common: common(&sites), prior, units_degrees }
    }

    /// The variance of a site.
    pub(super) fn of(&self, pair: &Pair) -> SiteVariance {
        let own = degrees(pair);
        let calls = self.of_calls.max(LEAST_OF_CALLS);
        let spread = Spread { calls, units: self.of_units };
        let expected = pair.each_ref().map(|units| expected_scale(units, pair, spread));
        if own <= 0.0 {
            return SiteVariance { scales: expected, degrees: self.units_degrees.max(1.0) };
        }
        let factor = statistic(pair, spread) / own;
        let (factor, degrees) = self.prior.map_or((factor, own), |prior| prior.shrink(factor, own));
        let factor = factor.max(1.0);
        let scales = expected.map(|scale| scale * factor);
        SiteVariance { scales, degrees: self.joined_degrees(pair, scales, degrees) }
    }

    /// Degrees of freedom of a variance of which a part is known from the units alone (Satterthwaite, Biometrics 2, 1946).
    fn joined_degrees(&self, pair: &Pair, scales: [f64; 2], degrees: f64) -> f64 {
        let rate = pooled(pair);
        let relative: f64 =
            pair.iter().zip(scales).map(|(units, scale)| scale / (rate * units.exposure())).sum();
        let shared: f64 = pair.iter().map(Units::unevenness).sum::<f64>() * self.common * self.common;
        if relative <= 0.0 || self.units_degrees <= 0.0 {
            return degrees;
        }
        let part = (shared / relative).min(1.0);
        1.0 / (part * part / self.units_degrees + (1.0 - part).powi(2) / degrees)
    }
}

/// The variances of a site by its sampling alone.
pub(super) fn by_sampling(pair: &Pair) -> SiteVariance {
    let scales = pair.each_ref().map(|units| expected_scale(units, pair, Spread::default()));
    SiteVariance { scales, degrees: f64::INFINITY }
}

fn pooled(pair: &Pair) -> f64 {
    let [base, canary] = pair;
    (base.amount() + canary.amount()) / (base.exposure() + canary.exposure())
}

/// Variance over the amount of a side that has the rate of both.
fn expected_scale(units: &Units, pair: &Pair, spread: Spread) -> f64 {
    let amount = pooled(pair) * units.exposure();
    units.mean_noise() + spread.calls * units.call + spread.units * spread.units * units.unevenness() * amount
}

fn degrees(pair: &Pair) -> f64 {
    pair.iter().map(Units::degrees).sum()
}

fn statistic(pair: &Pair, spread: Spread) -> f64 {
    pair.iter().filter(|units| units.degrees() > 0.0).map(|units| units.statistic(spread)).sum()
}

/// The spread with which half of the sites vary more than they should, half less: sites that vary wildly do not matter.
/// That of calls is found on the sites with few, that of units on those with many, each with what the other explains.
fn typical(sites: &[&Pair]) -> Spread {
    let calls = |pair: &Pair| pair.iter().map(|units| units.amount() / units.call).sum::<f64>();
    let mut sorted = sites.to_vec();
    sorted.sort_by(|a, b| calls(a).total_cmp(&calls(b)));
    let medians = medians(sites);
    let (few, many) = sorted.split_at(sorted.len() / 2);
    let mut spread = Spread::default();
    for _ in 0..ROUNDS {
        let before = spread;
        spread.calls = smallest(|calls| is_more(few, Spread { calls, ..spread }, &medians));
        spread.units = smallest(|units| is_more(many, Spread { units, ..spread }, &medians));
        if (spread.calls - before.calls).abs() <= 0.01 * spread.calls {
            break;
        }
    }
    spread
}

/// By degrees of freedom: what half of all values of chi-squared are below.
fn medians(sites: &[&Pair]) -> BTreeMap<u64, f64> {
    let mut medians: BTreeMap<u64, f64> = BTreeMap::new();
    for pair in sites {
        let degrees = degrees(pair);
        medians.entry(degrees as u64).or_insert_with(|| {
            ChiSquared::new(degrees).map_or(degrees, |chi_squared| chi_squared.inverse_cdf(0.5))
        });
    }
    medians
}

/// Whether more than half of the sites vary more than they should.
fn is_more(sites: &[&Pair], spread: Spread, medians: &BTreeMap<u64, f64>) -> bool {
    let beyond = sites.iter().filter(|pair| {
        let median = medians.get(&(degrees(pair) as u64)).copied().unwrap_or(1.0);
        statistic(pair, spread) > median
    });
    2 * beyond.count() > sites.len()
}

/// The smallest spread that is enough, 0 included.
fn smallest(is_more: impl Fn(f64) -> bool) -> f64 {
    if !is_more(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (LEAST_VARIATION.ln(), MOST_VARIATION.ln());
    for _ in 0..18 {
        let middle = f64::midpoint(low, high);
        if is_more(middle.exp()) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high.exp()
}

/// What moves all sites of a unit together: the median of their residuals, unit by unit.
fn common(sites: &[&Pair]) -> f64 {
    let mut squares = 0.0;
    let mut degrees = 0.0;
    for side in 0..2 {
        let residuals: Vec<Vec<f64>> = sites
            .iter()
            .filter_map(|pair| pair.get(side))
            .filter(|units| units.degrees() > 0.0)
            .map(Units::residuals)
            .collect();
        let count = residuals.first().map_or(0, Vec::len);
        for unit in 0..count {
            let of_unit = residuals.iter().filter_map(|residuals| residuals.get(unit).copied());
            squares += median(of_unit.collect()).powi(2);
        }
        degrees += count.saturating_sub(1) as f64;
    }
    if degrees > 0.0 { (squares / degrees).sqrt() } else { 0.0 }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Random;
    use super::*;

    fn units(amounts: &[f64], exposures: &[f64], noise: f64) -> Units {
        let noise = vec![noise; amounts.len()];
        Units { amounts: amounts.to_vec(), exposures: exposures.to_vec(), noise, call: 1.0 }
    }

    fn near(found: f64, expect: f64) {
        assert!((found - expect).abs() <= 1e-6 * expect.abs(), "{found} for {expect}");
    }

    #[test]
    fn the_ratio_estimator_has_the_variance_of_cochran() {
        // numpy: k / (k - 1) * ((x - R * n) ** 2).sum() / x.sum() ** 2
        near(units(&[10.0, 14.0, 9.0], &[1.0, 1.5, 0.8], 0.0).observed(), 0.002_754_820_936_639_118_5);
        near(units(&[5.0, 5.0, 5.0], &[1.0, 1.0, 1.0], 0.0).observed() + 1.0, 1.0);
        assert_eq!(units(&[5.0], &[1.0], 0.0).observed(), 0.0);
    }

    #[test]
    fn pearson_s_statistic_knows_sampling_and_variation() {
        // numpy: ((x - m) ** 2 / (g * m + c * c * m * m)).sum()
        near(
            units(&[100.0, 120.0, 90.0], &[1.0; 3], 2.0).statistic(Spread { calls: 0.0, units: 0.05 }),
            1.999_761_933_103_202,
        );
        // numpy: ((x - m) ** 2 / ((g + a) * m + c * c * m * m)).sum()
        near(
            units(&[100.0, 120.0, 90.0], &[1.0; 3], 2.0).statistic(Spread { calls: 0.5, units: 0.05 }),
            1.637_267_322_873_014_4,
        );
    }

    #[test]
    fn units_that_are_all_alike_vary_by_nothing() {
        let pair = [units(&[5.0; 3], &[1.0; 3], 0.0), units(&[6.0; 3], &[1.0; 3], 0.0)];
        let variation = Variation::fit([&pair; 20].into_iter());
        assert_eq!((variation.of_units, variation.common), (0.0, 0.0));
        assert_eq!(
            variation.of(&pair).scales,
            [1.0, 1.0],
            "but for calls, which are never more even than at random"
        );
    }

    /// Sites of very different sizes have one law then, and lend each other their degrees of freedom.
    #[test]
    fn calls_that_come_at_random_are_no_variation_of_units() {
        let mut random = Random(7);
        let mut drawn = |mean: f64| {
            let amounts: Vec<f64> = (0..6).map(|_| random.poisson(mean)).collect();
            units(&amounts, &[1.0; 6], 0.0)
        };
        let pairs: Vec<Pair> = (1..=200)
            .map(|rank| {
                let mean = 100_000.0 / f64::from(rank);
                [drawn(mean), drawn(mean)]
            })
            .collect();
        let variation = Variation::fit(pairs.iter());
        assert!((0.7..1.4).contains(&variation.of_calls), "{variation:?}");
        assert!(variation.of_units < 0.01, "{variation:?}");
        assert!(variation.prior.is_some_and(|prior| prior.degrees > 30.0), "{variation:?}");
        // And what all units vary by is not taken for calls.
        let vary = |pair: &Pair, factors: [f64; 6]| {
            pair.each_ref().map(|side| {
                let amounts: Vec<f64> =
                    side.amounts.iter().zip(factors).map(|(amount, by)| amount * by).collect();
                units(&amounts, &side.exposures, 0.0)
            })
        };
        let mut factors = || [0; 6].map(|_| 1.0 + 0.05 * random.normal());
        let varied: Vec<Pair> = pairs.iter().map(|pair| vary(pair, factors())).collect();
        let variation = Variation::fit(varied.iter());
        assert!((0.04..0.06).contains(&variation.of_units), "{variation:?}");
        assert!(variation.of_calls < 2.0, "{variation:?}");
    }

    #[test]
    fn sites_that_move_together_are_known_from_the_units_alone() {
        let moved = |rank: f64| {
            [
                units(&[90.0 * rank, 100.0 * rank, 112.0 * rank], &[1.0; 3], 0.0),
                units(&[95.0 * rank, 103.0 * rank, 101.0 * rank], &[1.0; 3], 0.0),
            ]
        };
        let pairs: Vec<Pair> = (1..=50).map(|rank| moved(f64::from(rank))).collect();
        let variation = Variation::fit(pairs.iter());
        assert!((0.05..0.12).contains(&variation.common), "{variation:?}");
        // Not the hundred and more that fifty independent sites would lend.
        let degrees = variation.of(&pairs[49]).degrees;
        assert!((3.9..6.0).contains(&degrees), "{degrees}");
    }
}
