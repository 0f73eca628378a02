//! One quantity on both sides: costs, and the change with its test.

use super::comparison::{Change, Cost, Quantity, Row};
use super::rate::{Contrast, LEAST_CHANGE, Sum};
use super::variation::{Pair, SiteVariance, Units};

/// A row before all tests are known.
#[derive(Clone, Debug)]
pub(super) struct Tested {
    pub(super) quantity: Quantity,
    costs: [Cost; 2],
    /// `None`: neither side has any.
    pub(super) contrast: Option<Contrast>,
    pub(super) p_value: f64,
    /// It is one of the tests of the comparison: there is something to test, and it is large enough.
    pub(super) counts: bool,
}

impl Tested {
    pub(super) fn new(quantity: Quantity, pair: &Pair, variance: SiteVariance, is_large: bool) -> Self {
        let sum =
            |units: &Units, scale: f64| Sum { amount: units.amount(), exposure: units.exposure(), scale };
        let [base, canary] = pair;
        let sums = [sum(base, variance.scales[0]), sum(canary, variance.scales[1])];
        let contrast = sums.iter().any(|sum| sum.amount > 0.0).then(|| Contrast::new(sums, variance.degrees));
        let cost = |units: &Units, sum: Sum| Cost {
            amount: sum.rate(),
            standard_error: error(sum.amount, sum.scale) / sum.exposure,
            sampling_error: error(sum.amount, units.mean_noise()) / sum.exposure,
        };
        Self {
            quantity,
            costs: [cost(base, sums[0]), cost(canary, sums[1])],
            contrast,
            counts: is_large && contrast.is_some(),
            p_value: contrast.map_or(1.0, |contrast| contrast.p_value(LEAST_CHANGE)),
        }
    }

    /// The row, all tests known. `error` is the probability that one of all tests is wrong.
    pub(super) fn row(&self, adjusted_p_value: f64, error: f64, tests: usize) -> Row {
        let change = self.contrast.map(|contrast| {
            let (lower, upper) = contrast.interval(0.05);
            Change {
                ratio: contrast.ratio(),
                lower,
                upper,
                p_value: self.p_value,
                adjusted_p_value,
                is_significant: adjusted_p_value <= error,
                detectable: contrast.detectable(error / tests.max(1) as f64, LEAST_CHANGE),
            }
        });
        Row { quantity: self.quantity, base: self.costs[0], canary: self.costs[1], change }
    }
}

/// Standard error of an amount whose variance is so many times its size; of nothing, what one event is.
fn error(amount: f64, scale: f64) -> f64 {
    (scale * amount.max(scale)).sqrt()
}
