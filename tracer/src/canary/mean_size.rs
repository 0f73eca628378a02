//! The mean size of an object on both sides: bytes over objects, and how far that has moved.

use super::comparison::MeanSize;
use super::rate::quantile;
use super::unit::{FEWEST_SAMPLES, FEWEST_UNITS};

/// What one side allocated, unit by unit.
pub(super) struct Sizes {
    pub(super) bytes: Vec<f64>,
    pub(super) objects: Vec<f64>,
    /// Allocations that were seen; `None`: all.
    pub(super) samples: Option<u64>,
}

/// A mean with the relative variance of it.
struct Mean {
    bytes: f64,
    variance: f64,
    degrees: f64,
}

/// Compares both sides: the ratio estimator with the differences between units as its error, which have the sampling in
/// them (Cochran, "Sampling Techniques", 3rd edition, 1977, chapter 6), on the logarithm, by Welch's degrees of freedom
/// (Biometrika 34, 1947). There is no interval where fewer than
/// three units of a side have any, or fewer than ten samples.
pub(super) fn mean_size(sides: [Sizes; 2]) -> MeanSize {
    let [base, canary] = &sides.each_ref().map(mean);
    let bytes = [base, canary].map(|mean| mean.as_ref().map(|mean| mean.bytes));
    let (Some(base), Some(canary)) = (base, canary) else { return MeanSize { bytes, ..MeanSize::default() } };
    let ratio = canary.bytes / base.bytes;
    let is_known = sides.iter().all(Sizes::is_known);
    MeanSize {
        bytes,
        ratio: Some(ratio - 1.0),
        interval_95: is_known.then(|| interval(ratio, [base, canary])),
    }
}

impl Sizes {
    fn is_known(&self) -> bool {
        let units = self.objects.iter().filter(|&&objects| objects > 0.0).count();
        units >= FEWEST_UNITS && self.samples.is_none_or(|samples| samples >= FEWEST_SAMPLES)
    }
}

fn mean(side: &Sizes) -> Option<Mean> {
    let (bytes, objects): (f64, f64) = (side.bytes.iter().sum(), side.objects.iter().sum());
    if objects <= 0.0 || bytes <= 0.0 {
        return None;
    }
    let mean = bytes / objects;
    let off = side.bytes.iter().zip(&side.objects).map(|(bytes, objects)| bytes - mean * objects);
    let count = side.bytes.len() as f64;
    let squares: f64 = off.map(|off| off * off).sum();
    let degrees = count - 1.0;
    let variance = if degrees > 0.0 { count / degrees * squares / (bytes * bytes) } else { 0.0 };
    Some(Mean { bytes: mean, variance, degrees })
}

fn interval(ratio: f64, means: [&Mean; 2]) -> [f64; 2] {
    let variance: f64 = means.iter().map(|mean| mean.variance).sum();
    // Rounding of sums of equal sizes is no difference.
    if variance <= 1e-24 {
        return [ratio - 1.0; 2];
    }
    let parts: f64 = means.iter().map(|mean| mean.variance * mean.variance / mean.degrees).sum();
    let most = quantile(0.025, variance * variance / parts) * variance.sqrt();
    [-most, most].map(|off| (ratio.ln() + off).exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(bytes: &[f64], objects: &[f64], samples: Option<u64>) -> Sizes {
        Sizes { bytes: bytes.to_vec(), objects: objects.to_vec(), samples }
    }

    #[test]
    fn sizes_that_never_differ_are_exact() {
        let size = mean_size([
            side(&[640.0, 6400.0, 64.0], &[10.0, 100.0, 1.0], None),
            side(&[960.0, 96.0, 96.0], &[10.0, 1.0, 1.0], None),
        ]);
        assert_eq!((size.bytes, size.ratio), ([Some(64.0), Some(96.0)], Some(0.5)));
        assert_eq!(size.interval_95, Some([0.5, 0.5]));
    }

    #[test]
    fn the_interval_is_that_of_the_logarithm_between_units() {
        let objects = [100.0, 110.0, 90.0, 100.0];
        let base = side(&[6400.0, 7150.0, 5670.0, 6300.0], &objects, Some(400));
        let canary = side(&[7000.0, 7590.0, 6390.0, 6900.0], &objects, Some(400));
        let size = mean_size([base, canary]);
        // In numpy: m = b.sum() / n.sum(); v = k / (k - 1) * ((b - m * n)**2).sum() / b.sum()**2 of each side;
        // log(m1 / m0) -+ scipy.stats.t.isf(0.025, (v0 + v1)**2 / (v0**2 / 3 + v1**2 / 3)) * sqrt(v0 + v1)
        let check = |found: f64, expect: f64| assert!((found - expect).abs() < 1e-9, "{found} for {expect}");
        check(size.ratio.unwrap_or_default(), 0.092_476_489_028_213_26);
        let [lower, upper] = size.interval_95.unwrap_or_default();
        check(lower, 0.065_411_489_949_802_67);
        check(upper, 0.120_229_029_194_761_42);
    }

    #[test]
    fn little_data_has_no_interval() {
        let check = |base: Sizes, expect: (Option<f64>, bool)| {
            let size = mean_size([base, side(&[128.0, 64.0, 64.0], &[2.0, 1.0, 1.0], Some(40))]);
            assert_eq!((size.ratio, size.interval_95.is_some()), expect);
        };
        check(side(&[64.0, 64.0, 64.0], &[1.0; 3], Some(10)), (Some(0.0), true));
        check(side(&[64.0, 64.0, 64.0], &[1.0; 3], Some(9)), (Some(0.0), false));
        check(side(&[64.0, 64.0], &[1.0; 2], None), (Some(0.0), false));
        check(side(&[192.0, 0.0, 0.0], &[3.0, 0.0, 0.0], None), (Some(0.0), false));
        check(side(&[0.0; 3], &[0.0; 3], None), (None, false));
    }
}
