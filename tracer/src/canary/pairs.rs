//! Amounts of a call site, or of all, unit by unit on both sides.

use super::Quantity;
use super::amount::{Amount, Cell, excess};
use super::exposure::Observed;
use super::matching::Group;
use super::mean_size::Sizes;
use super::variation::{Pair, SiteVariance, Units};

/// Both sides, windows of one process added up.
pub(super) type Sides = [Vec<Observed>; 2];

/// A site in every unit of both sides.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells([Vec<Cell>; 2]);

impl Cells {
    pub(super) fn of(group: &Group, sides: &Sides) -> Self {
        let side = |chains: &[usize], units: &[Observed]| {
            let unit = |unit: &Observed| {
                let mut sum = Cell::default();
                chains.iter().filter_map(|chain| unit.cells.get(chain)).for_each(|cell| sum += *cell);
                sum
            };
            units.iter().map(unit).collect()
        };
        let [base, canary] = sides;
        Self([side(&group.base, base), side(&group.canary, canary)])
    }

    /// With another site.
    pub(super) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            ours.resize(theirs.len(), Cell::default());
            for (cell, other) in ours.iter_mut().zip(theirs) {
                *cell += *other;
            }
        }
    }

    /// Of base and canary, all units together.
    pub(super) fn sums(&self) -> [Cell; 2] {
        self.0.each_ref().map(|cells| {
            let mut sum = Cell::default();
            cells.iter().for_each(|cell| sum += *cell);
            sum
        })
    }

    /// Bytes and objects of every unit.
    pub(super) fn sizes(&self, sides: &Sides) -> [Sizes; 2] {
        let side = |cells: &[Cell], units: &[Observed]| Sizes {
            bytes: cells.iter().map(|cell| cell.bytes.value).collect(),
            objects: cells.iter().map(|cell| cell.objects.value).collect(),
            samples: units
                .iter()
                .any(|unit| unit.sample_bytes > 1)
                .then(|| cells.iter().fold(0, |sum: u64, cell| sum.saturating_add(cell.samples))),
        };
        let ([base, canary], [base_units, canary_units]) = (&self.0, sides);
        [side(base, base_units), side(canary, canary_units)]
    }

    /// One quantity of it.
    ///
    /// What a sample stands for is taken from all units together: if nothing has changed it is the same everywhere, but for
    /// the sampling interval, and a unit with few samples does not know it well.
    pub(super) fn pair(&self, quantity: Quantity, sides: &Sides) -> Pair {
        let mut sum = Cell::default();
        self.sums().into_iter().for_each(|side| sum += side);
        let size = if sum.objects.value > 0.0 { sum.bytes.value / sum.objects.value } else { 1.0 };
        let theory = |unit: &Observed| excess(size, unit.sample_bytes, quantity);
        let explained: f64 = self
            .0
            .iter()
            .zip(sides)
            .flat_map(|(cells, units)| cells.iter().zip(units))
            .map(|(cell, unit)| cell.get(quantity).value * theory(unit))
            .sum();
        let total: Amount = sum.get(quantity);
        let noise = |unit: &Observed| match (explained > 0.0, total.value > 0.0) {
            (true, _) => total.variance / explained * theory(unit),
            (false, true) => total.variance / total.value,
            (false, false) => 0.0,
        };
        let side = |cells: &[Cell], units: &[Observed]| Units {
            amounts: cells.iter().map(|cell| cell.get(quantity).value).collect(),
            exposures: units.iter().map(|unit| exposure(unit, quantity)).collect(),
            noise: units.iter().map(noise).collect(),
            call: if quantity == Quantity::AllocObjects { 1.0 } else { size },
        };
        let ([base, canary], [base_units, canary_units]) = (&self.0, sides);
        [side(base, base_units), side(canary, canary_units)]
    }
}

fn exposure(unit: &Observed, quantity: Quantity) -> f64 {
    match quantity {
        Quantity::AllocBytes | Quantity::AllocObjects => unit.exposure,
        Quantity::InuseBytes => unit.processes,
    }
}

/// One quantity over all sites: exact where the totals are, else the sum of the sites.
pub(super) fn total(quantity: Quantity, sides: &Sides) -> Pair {
    sides.each_ref().map(|units| {
        let amounts: Vec<Amount> = units.iter().map(|unit| total_of(unit, quantity)).collect();
        let sum = |quantity| units.iter().map(|unit| total_of(unit, quantity).value).sum::<f64>();
        let objects = sum(Quantity::AllocObjects);
        let call = match quantity {
            Quantity::AllocBytes if objects > 0.0 => sum(Quantity::AllocBytes) / objects,
            Quantity::AllocBytes | Quantity::AllocObjects | Quantity::InuseBytes => 1.0,
        };
        Units {
            amounts: amounts.iter().map(|amount| amount.value).collect(),
            exposures: units.iter().map(|unit| exposure(unit, quantity)).collect(),
            noise: amounts
                .iter()
                .map(|amount| if amount.value > 0.0 { amount.variance / amount.value } else { 0.0 })
                .collect(),
            call,
        }
    })
}

/// Bytes and objects of all sites, of every unit.
pub(super) fn total_sizes(sides: &Sides) -> [Sizes; 2] {
    sides.each_ref().map(|units| {
        let all = |quantity| units.iter().map(|unit| total_of(unit, quantity).value).collect();
        let samples = || units.iter().flat_map(|unit| unit.cells.values()).map(|cell| cell.samples);
        Sizes {
            bytes: all(Quantity::AllocBytes),
            objects: all(Quantity::AllocObjects),
            samples: units
                .iter()
                .any(|unit| unit.exact.is_none())
                .then(|| samples().fold(0, u64::saturating_add)),
        }
    })
}

fn total_of(unit: &Observed, quantity: Quantity) -> Amount {
    let exact = |value| Amount { value, variance: 0.0 };
    let known = match quantity {
        Quantity::AllocBytes => unit.exact.map(|[bytes, _]| exact(bytes)),
        Quantity::AllocObjects => unit.exact.map(|[_, objects]| exact(objects)),
        Quantity::InuseBytes => unit.inuse,
    };
    known.unwrap_or_else(|| {
        let mut sum = Amount::default();
        unit.cells.values().for_each(|cell| sum += cell.get(quantity));
        sum
    })
}

/// The variance of a total: what is seen between its units, and at least its sampling and that of as many calls at random;
/// degrees of freedom of both sides
/// together by Welch ("The generalization of Student's problem …", Biometrika 34, 1947) and Satterthwaite.
pub(super) fn variance_of_total(pair: &Pair, is_sampling_only: bool) -> SiteVariance {
    let [base, canary] = pair;
    let pooled = (base.amount() + canary.amount()) / (base.exposure() + canary.exposure());
    let relative = |units: &Units| {
        let amount = units.amount();
        let sampling = if amount > 0.0 { units.mean_noise() / amount } else { 0.0 };
        if is_sampling_only { sampling } else { units.observed().max(sampling) }
    };
    let at_random = pair.each_ref().map(|units| match (is_sampling_only, units.amount()) {
        (false, amount) if amount > 0.0 => units.call / amount,
        _ => 0.0,
    });
    let mut variances = pair.each_ref().map(relative);
    let mut parts = [0.0; 2];
    for (((variance, part), units), at_random) in
        variances.iter_mut().zip(&mut parts).zip(pair).zip(at_random)
    {
        // What is known beforehand has no degrees of freedom to lose.
        if *variance > at_random {
            *part = *variance * *variance / (units.amounts.len() as f64 - 1.0).max(1.0);
        }
        *variance = variance.max(at_random);
    }
    let most = variances[0].max(variances[1]);
    for (variance, units) in variances.iter_mut().zip(pair) {
        // A side without any says nothing of how it varies.
        if units.amount() <= 0.0 {
            *variance = most;
        }
    }
    let sum = variances[0] + variances[1];
    let lost: f64 = parts.iter().sum();
    let degrees = if is_sampling_only || lost <= 0.0 { f64::INFINITY } else { sum * sum / lost };
    let scale = |variance: f64, units: &Units| variance * pooled * units.exposure();
    SiteVariance { scales: [scale(variances[0], base), scale(variances[1], canary)], degrees }
}

/// Differences between units that a site is weighed by before any are known: those of an ordinary service.
const ORDINARY_VARIATION: f64 = 0.05;

/// The part of the total that a site is.
///
/// It must say nothing of whether the site has changed (independent filtering: Bourgon, Gentleman and Huber, PNAS 107,
/// 2010), so the sides are weighed by how well they are known: a mean with equal weights would leave the sites that a
/// coarse side shows too small to the rest, which then seems to have shrunk there. What only one side has is its part of
/// that side, halved.
pub(super) fn share(site: &Pair, total: &Pair) -> f64 {
    let shares = [0, 1].map(|side: usize| {
        let (Some(part), Some(whole)) = (site.get(side), total.get(side)) else { return 0.0 };
        let whole = whole.amount() / whole.exposure();
        if whole > 0.0 { part.amount() / part.exposure() / whole } else { 0.0 }
    });
    let mean = f64::midpoint(shares[0], shares[1]);
    if mean <= 0.0 || site.iter().any(|units| units.amount() <= 0.0) {
        return mean;
    }
    let rate = site.iter().map(|units| units.amount() / units.exposure()).sum::<f64>() / 2.0;
    let precision = site.each_ref().map(|units| {
        let sampling = units.mean_noise() / (rate * units.exposure());
        1.0 / (sampling + units.unevenness() * ORDINARY_VARIATION * ORDINARY_VARIATION)
    });
    (shares[0] * precision[0] + shares[1] * precision[1]) / (precision[0] + precision[1])
}
