//! Stops of the world by Go's runtime: what is counted of them, and the record of a long one.

use super::event::EventHeader;

/// Places for reasons.
pub const REASONS: usize = 16;
/// Buckets of durations: one per bound of [`BOUNDS_NS`], and one above.
pub const BUCKETS: usize = BOUNDS_NS.len() + 1;
/// Places for causes.
pub const CAUSES: usize = 4;

/// Inclusive upper bounds of durations, in nanoseconds.
pub const BOUNDS_NS: [u64; 15] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
];

/// The number of a reason: `stwReason` of `runtime/proc.go` (Go 1.21 to 1.27), as far as programs have it.
pub mod reason {
    /// None that the runtime names.
    pub const UNKNOWN: u32 = 0;
    /// The end of a collection's marking.
    pub const MARK_TERMINATION: u32 = 1;
    /// The begin of a collection.
    pub const SWEEP_TERMINATION: u32 = 2;
    /// Only what tests of the runtime ask for lies behind it.
    pub const LAST: u32 = 11;
    /// One of those.
    pub const OTHER: u32 = 12;
}

/// Which of the three functions of the runtime is entered: the function of a stop's cookie.
pub mod entry {
    /// `gcStart`.
    pub const COLLECT: u8 = 0;
    /// `stopTheWorldWithSema`.
    pub const STOP: u8 = 1;
    /// `startTheWorldWithSema`.
    pub const GO_ON: u8 = 2;
}

/// Where the programs find what they need in a process, and what is long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct StopSetup {
    /// A stop that takes so long has a record.
    pub threshold_ns: u64,
    /// Address of `gcController.heapLive`; 0 if it is not known.
    pub heap_live: u64,
    /// Offset of `g.m`.
    pub g_m: u32,
    /// Offset of `g.sched.sp`.
    pub g_sp: u32,
    /// Offset of `g.sched.bp`.
    pub g_bp: u32,
    /// Offset of `m.curg`.
    pub m_curg: u32,
    /// Offset of `m.preemptoff`, where that says why the world is stopped (before Go 1.21); else 0.
    pub m_preemptoff: u32,
    /// 0.
    pub padding: u32,
}

/// What is counted of the stops of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StopTotals {
    /// Stops, by reason and duration.
    pub buckets: [[u64; BUCKETS]; REASONS],
    /// Their durations, by reason.
    pub nanoseconds: [u64; REASONS],
    /// Collections, by cause: 0 is unknown, else 1 + `gcTriggerKind` of `runtime/mgc.go`.
    pub causes: [u64; CAUSES],
    /// Records of long stops that the ring buffer had no room for.
    pub lost: u64,
}

impl StopTotals {
    /// Nothing yet.
    pub const ZERO: Self =
        Self { buckets: [[0; BUCKETS]; REASONS], nanoseconds: [0; REASONS], causes: [0; CAUSES], lost: 0 };
}

/// A long stop; `frames` addresses follow as in a [`super::StackEvent`], of the goroutine that asked for the collection, or
/// for the stop.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StopEvent {
    /// `value` is when it began, on the monotonic clock.
    pub header: EventHeader,
    /// Slot index.
    pub slot: u32,
    /// Return addresses that follow.
    pub frames: u32,
    /// Why the stack ends: a [`super::StopReason`].
    pub stop: u32,
    /// Why the world was stopped.
    pub reason: u32,
    /// Why the collection runs: 0 is unknown, or no collection.
    pub cause: u32,
    /// 1 if the two sizes of the heap were read.
    pub has_heap: u32,
    /// How long it took.
    pub nanoseconds: u64,
    /// `heapLive` when it began.
    pub heap_before: u64,
    /// `heapLive` when the world went on.
    pub heap_after: u64,
}

/// A stack that is kept until the stop is over.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StopStack {
    /// The record …
    pub event: StopEvent,
    /// … and addresses, leaf first.
    pub frames: [u64; super::MAX_FRAMES],
}

/// Places for goroutines that are about to begin a collection.
pub const STARTS: usize = 16;

/// Everything of one slot. The runtime lets one stop at a time happen in a process (`worldsema`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StopSlot {
    /// Written by user space, before anything is attached.
    pub setup: StopSetup,
    /// What is counted.
    pub totals: StopTotals,
    /// When the present stop began; 0 if there is none.
    pub since_ns: u64,
    /// Its reason.
    pub reason: u64,
    /// `heapLive` then, and whether it was read.
    pub heap_before: u64,
    /// 1 if it was read.
    pub has_heap: u64,
    /// Goroutines in `gcStart`: address, and the cause in the last bits.
    pub starts: [u64; STARTS],
    /// Who asked for the present collection, and for another stop.
    pub stacks: [StopStack; 2],
}

impl StopSlot {
    /// Of a slot in which nothing was seen yet.
    #[must_use]
    pub const fn new(setup: StopSetup) -> Self {
        const STACK: StopStack = StopStack {
            event: StopEvent {
                header: EventHeader { kind: 0, tgid: 0, value: 0 },
                slot: 0,
                frames: 0,
                stop: 0,
                reason: 0,
                cause: 0,
                has_heap: 0,
                nanoseconds: 0,
                heap_before: 0,
                heap_after: 0,
            },
            frames: [0; super::MAX_FRAMES],
        };
        Self {
            setup,
            totals: StopTotals::ZERO,
            since_ns: 0,
            reason: 0,
            heap_before: 0,
            has_heap: 0,
            starts: [0; STARTS],
            stacks: [STACK; 2],
        }
    }
}

const _: () = assert!(size_of::<StopSetup>() == 40);
const _: () = assert!(size_of::<StopTotals>() == 8 * (REASONS * BUCKETS + REASONS + CAUSES + 1));
const _: () = assert!(size_of::<StopEvent>() == 64);
const _: () = assert!(size_of::<StopStack>() == 64 + 8 * super::MAX_FRAMES);
const _: () = assert!(
    size_of::<StopSlot>() == 40 + size_of::<StopTotals>() + 32 + 8 * STARTS + 2 * size_of::<StopStack>()
);
