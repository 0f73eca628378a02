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
    SkippedEntries = "skipped_entries", "Entries that are no call of their own: part of an outer call, or left.";
    SkippedReturns = "skipped_returns", "Returns that end no call of their own.";
    SkippedFrees = "skipped_frees", "Frees of NULL, or part of an outer call.";
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

/// Exact counts of one function of one slot on one CPU, and where its next sample is.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FunctionTotals {
    /// Bytes asked for, where an empty call counts as one; for a freeing function the bytes of known blocks.
    pub position: u64,
    /// Calls that asked for 0 bytes.
    pub empty_calls: u64,
    /// Calls that failed (`live`).
    pub failed: u64,
    /// Old blocks of successful reallocs.
    pub moved_objects: u64,
    /// Bytes of the known ones.
    pub moved_bytes: u64,
    /// The `position` behind which the next sample lies.
    pub next_sample: u64,
    /// The mean of the exponential from which `next_sample` was drawn.
    pub drawn_with: u64,
    /// Calls by [`crate::histogram::size_bucket`]: in mode `alloc`, and sampled, attempts; in mode `live`, every
    /// allocation, successes. A freeing function's are all in the first.
    pub sizes: [u64; crate::histogram::SIZE_BUCKETS],
}

impl FunctionTotals {
    /// Nothing yet.
    pub const ZERO: Self = Self {
        position: 0,
        empty_calls: 0,
        failed: 0,
        moved_objects: 0,
        moved_bytes: 0,
        next_sample: 0,
        drawn_with: 0,
        sizes: [0; crate::histogram::SIZE_BUCKETS],
    };

    /// Bytes asked for.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.position.wrapping_sub(self.empty_calls)
    }
}

/// Exact counts of one slot on one CPU.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SlotTotals {
    /// Indexed by [`Counter`].
    pub events: [u64; MAX_COUNTERS],
    /// Lifetimes of freed blocks, by [`crate::histogram::lifetime_bucket`].
    pub lifetimes: [u64; crate::histogram::LIFETIME_PLACES],
}

impl SlotTotals {
    /// Nothing yet.
    pub const ZERO: Self =
        Self { events: [0; MAX_COUNTERS], lifetimes: [0; crate::histogram::LIFETIME_PLACES] };
}

const _: () = assert!(size_of::<FunctionTotals>() == 56 + 8 * crate::histogram::SIZE_BUCKETS);
