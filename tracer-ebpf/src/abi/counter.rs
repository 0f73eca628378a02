//! The one list of what the kernel side counts about itself, and the exact totals.

/// Declares [`Counter`] once: variant, the name users see, what it means.
macro_rules! counters {
    ($($variant:ident = $name:literal, $help:literal;)*) => {
        /// A kernel-side counter; its number is its index in a slot's `events`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Counter { $(#[doc = $help] $variant,)* }

        impl Counter {
            /// Every counter, in index order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the quality block.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

counters! {
    Hits = "hits", "Probe hits while counting.";
    SitesFull = "map_full", "Allocations without a call site because the site map was full.";
    LiveFull = "live_full", "Blocks not followed because the live map was full.";
    RingFull = "ring_full", "Allocations without a call site because the ring buffer was full.";
    ScratchBusy = "scratch_busy", "Stacks not walked because all scratch slots of the CPU were taken.";
    StackCollision = "stack_collision", "Allocations whose stack hash belongs to another stack.";
    InFlightFull = "inflight_full", "Calls not followed because the map of calls in flight was full.";
    ReadFault = "read_fault", "Values of the target that could not be read.";
    Abandoned = "abandoned", "Calls that never returned: longjmp, thread exit, exception.";
    EarlyReturn = "early_return", "Returns of calls that entered before counting began; they do not count.";
    FreesUnmatched = "frees_unmatched", "Frees of blocks that are older than the attach.";
    Replaced = "free_not_seen", "Live blocks whose address was handed out again: their free was not seen.";
}

/// Counters per slot.
pub const MAX_COUNTERS: usize = 16;
const _: () = assert!(Counter::ALL.len() <= MAX_COUNTERS);

/// Exact counts of one function of one slot on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FunctionTotals {
    /// Attempts in mode `alloc`, successes in mode `live`; for a freeing function its frees.
    pub calls: u64,
    /// Bytes asked for by `calls`; for a freeing function the bytes of known blocks.
    pub bytes: u64,
    /// Calls that failed (`live`).
    pub failed: u64,
    /// Explicit padding.
    pub _reserved: u64,
}

/// Exact counts of one slot on one CPU.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SlotTotals {
    /// Free events: freeing calls and the old blocks of reallocs, known or not.
    pub free_objects: u64,
    /// Bytes of the known ones.
    pub free_bytes: u64,
    /// Indexed by [`Counter`].
    pub events: [u64; MAX_COUNTERS],
    /// Sizes of what `alloc_objects` counts, by [`crate::histogram::size_bucket`].
    pub sizes: [u64; crate::histogram::SIZE_BUCKETS],
    /// Lifetimes of freed blocks, by [`crate::histogram::lifetime_bucket`].
    pub lifetimes: [u64; crate::histogram::LIFETIME_BUCKETS],
}

const _: () = assert!(size_of::<FunctionTotals>() == 32);
