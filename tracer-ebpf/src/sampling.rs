//! Byte-Poisson sampling: where the next sample is, and what a sample stands for. Integers only, for BPF has no
//! floating point; the tests compare with it.
//!
//! Sources: jemalloc, `doc_internal/PROFILING_INTERNALS.md`; Go, `runtime/mprof.go` and `runtime/fastlog2.go`.

pub mod gap;
mod tables;
pub mod weight;

/// The largest mean: the arithmetic below is exact up to it.
pub const MAX_SAMPLE_BYTES: u64 = 1 << 29;
