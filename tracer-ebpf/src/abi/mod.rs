//! The binary contract between the BPF programs and user space.
//!
//! Every type is `repr(C)` with explicit sizes, no `bool`, no `usize`, no implicit padding, and asserts its
//! size beside its definition. An unknown value on the way up is counted by `collect`, never a panic.

pub mod code;
pub mod cookie;
pub mod counter;
pub mod event;
#[cfg(feature = "user")]
mod pod;
pub mod record;
pub mod slot;
pub mod stop;

pub use code::{CodeKind, CodeRange};
pub use cookie::{Argument, Cookie};
pub use counter::{Counter, FunctionTotals, SlotTotals};
pub use event::{COMM_BYTES, EventHeader, EventKind, ExecEvent, StackEvent, StopReason};
pub use record::{BlockBucket, Call, CallBucket, LiveBlock, SiteRecord, SiteSpread, Sums, Variances};
pub use slot::{Followed, Range, Slot};
pub use stop::{StopEvent, StopSetup, StopSlot, StopStack, StopTotals};

/// Images that one tracer can watch at a time (a slot is one image of one process).
pub const MAX_SLOTS: u32 = 256;

/// Where a slot lies in the arrays of [`MAX_SLOTS`] entries. The higher bits of its number tell it from those that lay
/// there before it.
#[inline(always)]
#[must_use]
pub const fn slot_place(slot: u32) -> u32 {
    slot & (MAX_SLOTS - 1)
}

const _: () = assert!(MAX_SLOTS.is_power_of_two());
/// Functions that are probed per slot at most.
pub const MAX_FUNCTIONS: u32 = 255;
/// Functions with totals of their own in all, unless user space asks for more.
pub const MAX_TOTALS: u32 = 2048;
/// Frames kept per stack, leaf first.
pub const MAX_FRAMES: usize = 128;
