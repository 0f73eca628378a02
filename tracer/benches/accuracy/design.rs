//! What is to be expected of a site, from the known distribution of its sizes: samples, and true variances.

use crate::workload::Sizes;

/// Sizes per octave at which a mean is taken.
const POINTS: u32 = 64;

/// Expectations of a number of allocations; sums add.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    /// Samples.
    pub(crate) samples: f64,
    /// Variance of the estimate of the objects.
    pub(crate) objects_variance: f64,
    /// Variance of the estimate of the bytes.
    pub(crate) bytes_variance: f64,
    /// Objects.
    pub(crate) objects: f64,
    /// Bytes.
    pub(crate) bytes: f64,
}

impl Expected {
    /// Of one allocation of a site that is sampled with a mean of `sample_bytes`; 0 is every allocation.
    pub(crate) fn of_one(sizes: Sizes, sample_bytes: u64) -> Self {
        let octaves = sizes.first_octave..sizes.first_octave + sizes.octaves;
        let points = octaves.flat_map(|octave| {
            let low = f64::from(octave).exp2();
            (0..POINTS).map(move |point| low * (1.0 + (f64::from(point) + 0.5) / f64::from(POINTS)))
        });
        let sum = points.map(|size| Self::of_size(size, sample_bytes)).fold(Self::default(), Self::plus);
        sum.times(1.0 / f64::from(POINTS * sizes.octaves))
    }

    fn of_size(size: f64, sample_bytes: u64) -> Self {
        let x = size / sample_bytes as f64;
        // (1 - P) / P with P = 1 - e^-x; 0 for every allocation, whose x is infinite.
        let spread = 1.0 / x.exp_m1();
        Self {
            samples: -(-x).exp_m1(),
            objects_variance: spread,
            bytes_variance: size * size * spread,
            objects: 1.0,
            bytes: size,
        }
    }

    /// Of so many allocations.
    pub(crate) fn times(self, count: f64) -> Self {
        Self {
            samples: self.samples * count,
            objects_variance: self.objects_variance * count,
            bytes_variance: self.bytes_variance * count,
            objects: self.objects * count,
            bytes: self.bytes * count,
        }
    }

    /// Of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            samples: self.samples + other.samples,
            objects_variance: self.objects_variance + other.objects_variance,
            bytes_variance: self.bytes_variance + other.bytes_variance,
            objects: self.objects + other.objects,
            bytes: self.bytes + other.bytes,
        }
    }
}
