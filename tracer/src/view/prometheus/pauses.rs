//! The histogram of pauses of garbage collections: classic only, as its bounds are no powers of a number.

use crate::model::node::GcCounts;
use crate::model::snapshot::{PAUSE_BOUNDS_SECONDS, StopSums};

/// Buckets, not cumulative: the encoder adds them up.
pub(super) fn classic(gc: &GcCounts) -> Vec<(f64, u64)> {
    let bounds = PAUSE_BOUNDS_SECONDS.into_iter().chain([f64::INFINITY]);
    bounds.zip(gc.pauses).collect()
}

/// The same of stops of the world, which have the same bounds (`tracer_ebpf::abi::stop::BOUNDS_NS`).
pub(super) fn of_stops(sums: &StopSums) -> Vec<(f64, u64)> {
    let bounds = PAUSE_BOUNDS_SECONDS.into_iter().chain([f64::INFINITY]);
    bounds.zip(sums.histogram.iter().copied().chain(std::iter::repeat(0))).collect()
}

/// Cycles whose pause was seen.
pub(super) fn count(gc: &GcCounts) -> u64 {
    gc.pauses.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_in_the_buckets_of_the_document_and_the_last_has_no_bound() {
        let mut gc = GcCounts::default();
        (gc.pauses[0], gc.pauses[7], gc.pauses[15]) = (5, 2, 1);
        let buckets = classic(&gc);
        let filled: Vec<_> = buckets.iter().filter(|&&(_, count)| count > 0).collect();
        assert_eq!(filled, [&(10e-6, 5), &(2.5e-3, 2), &(f64::INFINITY, 1)]);
        assert_eq!((buckets.len(), count(&gc)), (16, 8));
    }
}
