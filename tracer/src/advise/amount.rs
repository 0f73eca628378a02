//! A number that may be an estimate, and what it is at least.

use std::ops::AddAssign;

use crate::model::interval_95;
use crate::model::snapshot::{CallSite, Snapshot};

/// Objects or bytes, added up over call sites.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    /// The number.
    pub value: f64,
    /// Its variance; 0 where it is exact.
    pub variance: f64,
    /// Samples that it stands on.
    pub samples: u64,
}

impl Amount {
    /// The lower end of the interval that contains the truth with a probability of 95 %; an exact number is its own.
    #[must_use]
    pub fn least(self) -> f64 {
        interval_95(self.value, self.variance.sqrt(), self.samples)[0]
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.value += other.value;
        self.variance += other.variance;
        self.samples = self.samples.saturating_add(other.samples);
    }
}

/// Allocated objects and bytes of a site.
///
/// Profiles in pprof's format have no errors: there they come from the mean bytes between samples. An object of `size` is
/// sampled with the probability `1 - exp(-size / interval)` (`scaleHeapSample` in Go's `runtime/pprof/pprof.go`), so that
/// many of the objects were samples, and their relative error is one over the root of that.
pub(super) fn of_site(site: &CallSite, snapshot: &Snapshot) -> (Amount, Amount) {
    let (objects, bytes) = (site.alloc_objects as f64, site.alloc_bytes as f64);
    let errors = site.standard_error;
    let mut samples = site.samples;
    let mut variances =
        (errors.alloc_objects * errors.alloc_objects, errors.alloc_bytes * errors.alloc_bytes);
    let interval_bytes = interval_of(site, snapshot);
    if samples == 0 && interval_bytes > 1 && objects > 0.0 && bytes > 0.0 && variances == (0.0, 0.0) {
        let chance = -f64::exp_m1(-bytes / objects / interval_bytes as f64);
        let seen = (objects * chance).max(1.0);
        samples = seen.round() as u64;
        variances = (objects * objects / seen, bytes * bytes / seen);
    }
    let amount = |value, variance| Amount { value, variance, samples };
    (amount(objects, variances.0), amount(bytes, variances.1))
}

/// Mean bytes between the samples of a site: those of its runtime, which samples by itself, or of the whole profile.
fn interval_of(site: &CallSite, snapshot: &Snapshot) -> u64 {
    let target = snapshot.targets.iter().find(|target| target.pid == site.pid);
    let mut allocators = target.into_iter().flat_map(|target| &target.allocators);
    let of_runtime = allocators
        .find(|one| one.source == "runtime" && site.allocator.as_deref() == Some(one.name.as_str()))
        .map(|one| one.sample_bytes.unwrap_or(0));
    of_runtime.unwrap_or(snapshot.sample_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_number_is_its_own_lower_end_and_an_estimate_is_not() {
        let check = |value, variance, samples, expect: std::ops::Range<f64>| {
            let least = Amount { value, variance, samples }.least();
            assert!(expect.contains(&least), "{value} {variance} {samples}: {least}");
        };
        check(1000.0, 0.0, 1000, 1000.0..1000.1);
        check(1000.0, 10_000.0, 100, 803.9..804.1);
        // Four samples say little: Garwood's interval of 4 begins at 1.09.
        check(1000.0, 250_000.0, 4, 270.0..275.0);
        check(0.0, 0.0, 0, 0.0..0.1);
    }
}
