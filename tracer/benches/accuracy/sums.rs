//! The sum of all sites' estimates against the truth, and how the ten largest share it.

use crate::repetition::Seen;

/// Sites whose shares are compared.
const LARGEST: usize = 10;

/// One repetition.
#[derive(Clone, Copy, Debug)]
struct Sum {
    estimate: f64,
    reported_variance: f64,
    truth: f64,
    true_variance: f64,
    split_error: f64,
}

/// All repetitions of one number.
#[derive(Debug, Default)]
pub(crate) struct Sums(Vec<Sum>);

/// A mean and a standard deviation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
}

impl Sums {
    /// Adds a repetition: what was seen of each site, what is true, and the true variance of the sum.
    pub(crate) fn add(&mut self, seen: &[Option<Seen>], truth: &[u64], true_variance: f64) {
        let estimate: f64 = seen.iter().flatten().map(|seen| seen.value).sum();
        let whole: f64 = truth.iter().map(|&value| value as f64).sum();
        let mut largest: Vec<usize> = (0..truth.len()).collect();
        largest.sort_by_key(|&site| std::cmp::Reverse(truth[site]));
        largest.truncate(LARGEST);
        let error = |&site: &usize| {
            let share = seen[site].map_or(0.0, |seen| seen.value) / estimate;
            (share - truth[site] as f64 / whole).abs()
        };
        self.0.push(Sum {
            estimate,
            reported_variance: seen.iter().flatten().map(|seen| seen.variance).sum(),
            truth: whole,
            true_variance,
            split_error: largest.iter().map(error).sum::<f64>() / largest.len() as f64,
        });
    }

    /// Mean absolute error, relative to the truth.
    pub(crate) fn error(&self) -> f64 {
        self.mean(|sum| (sum.estimate / sum.truth - 1.0).abs())
    }

    /// Mean signed error, relative to the truth.
    pub(crate) fn bias(&self) -> f64 {
        self.mean(|sum| sum.estimate / sum.truth - 1.0)
    }

    /// The standard error of [`Self::bias`], from the true variances.
    pub(crate) fn error_of_bias(&self) -> f64 {
        let mean = self.mean(|sum| sum.true_variance / (sum.truth * sum.truth));
        (mean / self.0.len() as f64).sqrt()
    }

    /// Mean absolute error of the shares of the largest sites.
    pub(crate) fn split_error(&self) -> f64 {
        self.mean(|sum| sum.split_error)
    }

    /// The error in units of the standard error that tracer reports.
    pub(crate) fn by_reported_error(&self) -> Moments {
        self.moments(|sum| (sum.estimate - sum.truth) / sum.reported_variance.sqrt())
    }

    /// The error in units of the true standard error.
    pub(crate) fn by_true_error(&self) -> Moments {
        self.moments(|sum| (sum.estimate - sum.truth) / sum.true_variance.sqrt())
    }

    fn mean(&self, value: impl Fn(&Sum) -> f64) -> f64 {
        self.0.iter().map(value).sum::<f64>() / self.0.len() as f64
    }

    fn moments(&self, value: impl Fn(&Sum) -> f64) -> Moments {
        Moments::of(&self.0.iter().map(value).collect::<Vec<_>>())
    }
}

impl Moments {
    /// Of two values at least.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { mean, deviation: (squares / (values.len() as f64 - 1.0)).sqrt() }
    }
}
