//! The four numbers of a site, and where each is found.

use crate::design::Expected;
use crate::workload::Part;

/// A number of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    AllocBytes,
    AllocObjects,
    InuseBytes,
    InuseObjects,
}

impl Quantity {
    /// Its name in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AllocBytes => "alloc_bytes",
            Self::AllocObjects => "alloc_objects",
            Self::InuseBytes => "inuse_bytes",
            Self::InuseObjects => "inuse_objects",
        }
    }

    /// By site, in one part.
    pub(crate) fn of(self, part: &Part) -> &[u64] {
        match self {
            Self::AllocBytes => &part.bytes,
            Self::AllocObjects => &part.objects,
            Self::InuseBytes => &part.inuse_bytes,
            Self::InuseObjects => &part.inuse_objects,
        }
    }

    /// The objects by site which the number is about.
    pub(crate) fn objects(self, part: &Part) -> &[u64] {
        match self {
            Self::AllocBytes | Self::AllocObjects => &part.objects,
            Self::InuseBytes | Self::InuseObjects => &part.inuse_objects,
        }
    }

    /// The variance of its estimate.
    pub(crate) const fn variance(self, expected: Expected) -> f64 {
        match self {
            Self::AllocBytes | Self::InuseBytes => expected.bytes_variance,
            Self::AllocObjects | Self::InuseObjects => expected.objects_variance,
        }
    }

    /// How many samples of one weight would be as good: the squared sum of the weights over the sum of their squares.
    pub(crate) fn effective_samples(self, expected: Expected) -> f64 {
        let value = match self {
            Self::AllocBytes | Self::InuseBytes => expected.bytes,
            Self::AllocObjects | Self::InuseObjects => expected.objects,
        };
        value * value / self.variance(expected)
    }
}
