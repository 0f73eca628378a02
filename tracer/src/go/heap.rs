//! What Go's runtime says of a process: plain numbers of one reading, none of them estimated yet.

use std::sync::Arc;

/// The runtime's heap profile. Sampled by bytes: each allocation with the probability `1 - exp(-size / interval)`
/// (`nextSample` and `scaleHeapSample` in Go's runtime).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeapProfile {
    /// `runtime.MemProfileRate` at this moment: mean bytes between samples. 1 is every allocation.
    pub interval_bytes: u64,
    /// Each stack and size class once, in no order.
    pub buckets: Vec<Bucket>,
    /// What is live is as of the last finished cycle but one: the runtime publishes a cycle at the end of the next one, and only
    /// where the program has asked for it (`runtime.GC`) at once (`runtime/mprof.go`).
    pub is_behind: bool,
    /// Times that the reading was repeated because the runtime changed the profile meanwhile.
    pub retries: u32,
}

/// Samples of one call stack and one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where the runtime keeps it: the same at every reading of a process, and of no other.
    pub address: u64,
    /// Bytes of each object, rounded to its size class.
    pub size_bytes: u64,
    /// Sampled allocations since the process began, up to now.
    pub allocated: u64,
    /// Sampled objects that a collection has found dead, as of the last cycle that is published.
    pub freed: u64,
    /// Sampled objects that were allocated before the last published cycle and have outlived it.
    pub live: u64,
    /// Return addresses in the process, the allocation first; one per call that the source has: inlined calls have their own.
    pub stack: Arc<[u64]>,
}

/// Exact counts of all objects since the process began, as `runtime/metrics` has them: those of a span that a processor
/// still allocates from are not in them yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeapTotals {
    /// Objects, those that share a tiny block one by one (`MemStats.Mallocs`).
    pub alloc_objects: u64,
    /// Bytes, by size class (`MemStats.TotalAlloc`).
    pub alloc_bytes: u64,
    /// Objects that were swept, with the tiny ones (`MemStats.Frees`).
    pub free_objects: u64,
    /// Their bytes.
    pub free_bytes: u64,
    /// Of `alloc_objects`: objects without a block of their own.
    pub tiny_objects: u64,
    /// Allocations by size class; large ones under `None`.
    pub sizes: Vec<SizeClass>,
    /// At most so many bytes are allocated and not counted yet: two spans per size class and processor. `None` where the
    /// number of processors is not known.
    pub lag_bytes: Option<u64>,
}

/// Allocations of one size class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeClass {
    /// Bytes of an object; `None` for large ones, which have no class.
    pub bytes: Option<u64>,
    /// Allocations since the process began.
    pub objects: u64,
}

/// What the garbage collector did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GcState {
    /// Finished cycles since the process began (`MemStats.NumGC`).
    pub cycles: u32,
    /// Those that the program asked for (`runtime.GC`).
    pub forced_cycles: u32,
    /// Sum of all pauses.
    pub pause_total_ns: u64,
    /// The pauses of the last cycles, oldest first, at most 256: of each cycle the sum of its stops.
    pub pauses: Vec<Pause>,
    /// Share of the CPU time that the process could have had (`GOMAXPROCS` times its age) which collections took, since it
    /// began.
    pub cpu_fraction: f64,
    /// End of the last finished cycle, nanoseconds since 1970; 0 if there was none.
    pub last_end_unix_ns: u64,
    /// From the start of the runtime to the end of the last finished cycle, where that is known: what `cpu_fraction` is of.
    pub age_ns: Option<u64>,
    /// The heap at which the next cycle is to end; `None` where it is not known, or no cycle is to come.
    pub heap_goal_bytes: Option<u64>,
    /// Marked live by the last cycle.
    pub heap_marked_bytes: Option<u64>,
    /// `GOGC`; `None` where it is not known, negative: off.
    pub gc_percent: Option<i32>,
}

/// What one cycle stopped the world for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Its cycle, from 1.
    pub cycle: u32,
    /// How long.
    pub nanoseconds: u64,
    /// When it was over, nanoseconds since 1970.
    pub end_unix_ns: u64,
}
