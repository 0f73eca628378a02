//! The steps of the sampling interval.

use tracer_ebpf::sampling::MAX_SAMPLE_BYTES;

/// The shortest, below which every allocation is looked at.
const BYTES_MIN: u64 = 64 << 10;

/// The power of two above or below; 0 is every allocation. `None` at the ends.
pub(super) const fn next(bytes: u64, coarser: bool) -> Option<u64> {
    match bytes {
        0 if coarser => Some(BYTES_MIN),
        0 => None,
        _ if coarser && bytes >= MAX_SAMPLE_BYTES => None,
        _ if coarser && bytes < BYTES_MIN => Some(BYTES_MIN),
        _ if coarser => Some((bytes + 1).next_power_of_two()),
        _ if bytes <= BYTES_MIN => Some(0),
        _ => Some(1 << (bytes - 1).ilog2()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_powers_of_two() {
        let check = |bytes, finer, coarser| {
            assert_eq!((next(bytes, false), next(bytes, true)), (finer, coarser), "{bytes}");
        };
        for (bytes, finer, coarser) in [
            (0, None, Some(64 << 10)),
            (1000, Some(0), Some(64 << 10)),
            (64 << 10, Some(0), Some(128 << 10)),
            (100_000, Some(64 << 10), Some(128 << 10)),
            (512 << 10, Some(256 << 10), Some(1 << 20)),
            (MAX_SAMPLE_BYTES, Some(MAX_SAMPLE_BYTES / 2), None),
            (u64::MAX, Some(1 << 63), None),
        ] {
            check(bytes, finer, coarser);
        }
    }
}
