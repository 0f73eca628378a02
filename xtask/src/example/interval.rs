//! A ratio of two things that were measured in pairs, and how sure it is.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean ratio and what contains the true one with a probability of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    /// Geometric mean of the pairs' ratios.
    pub(super) mean: f64,
    /// `None` with fewer than two pairs.
    pub(super) interval_95: Option<[f64; 2]>,
    pub(super) pairs: usize,
}

/// The first of each pair over the second; `None` without a pair, or with one that is not above 0.
///
/// Student's t over the logarithms of the pairs' ratios: what drifts slowly is the same in both of a pair and falls out, and
/// a ratio and its inverse weigh the same.
pub(super) fn paired_ratio(pairs: &[(f64, f64)]) -> Option<Ratio> {
    let is_fit = |number: f64| number.is_finite() && number > 0.0;
    if pairs.is_empty() || !pairs.iter().all(|&(first, second)| is_fit(first) && is_fit(second)) {
        return None;
    }
    let logs: Vec<f64> = pairs.iter().map(|(first, second)| (first / second).ln()).collect();
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let interval_95 = (logs.len() > 1)
        .then(|| {
            let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let t = StudentsT::new(0.0, 1.0, count - 1.0).ok()?.inverse_cdf(0.975);
            let half = t * (variance / count).sqrt();
            Some([(mean - half).exp(), (mean + half).exp()])
        })
        .flatten();
    Some(Ratio { mean: mean.exp(), interval_95, pairs: logs.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_students_t() {
        // Logarithms 0, 0.1, 0.2: mean 0.1, deviation 0.1, t(2) = 4.3027.
        let pairs = [0.0_f64, 0.1, 0.2].map(|log| (log.exp(), 1.0));
        let ratio = paired_ratio(&pairs).unwrap();
        let [low, high] = ratio.interval_95.unwrap();
        let half = 4.302_653 * 0.1 / 3.0_f64.sqrt();
        assert!((ratio.mean - 0.1_f64.exp()).abs() < 1e-9);
        assert!(
            (low.ln() - (0.1 - half)).abs() < 1e-5 && (high.ln() - (0.1 + half)).abs() < 1e-5,
            "{low} {high}"
        );
    }

    #[test]
    fn one_pair_has_no_interval_and_none_no_ratio() {
        assert_eq!(paired_ratio(&[(3.0, 2.0)]), Some(Ratio { mean: 1.5, interval_95: None, pairs: 1 }));
        for pairs in [&[][..], &[(1.0, 0.0)], &[(1.0, 1.0), (f64::NAN, 1.0)], &[(-1.0, 1.0)]] {
            assert_eq!(paired_ratio(pairs), None, "{pairs:?}");
        }
    }
}
