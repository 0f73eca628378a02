//! What user space tells the programs about one target.

/// A half-open range of addresses in the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// First address after the range.
    pub end: u64,
}

/// Ranges that hold the bodies of one target's allocator functions.
pub const MAX_NESTED: usize = 32;
/// Objects with probed functions of one target that are told apart; more are merged.
pub const MAX_HULLS: usize = 4;
/// One image of one process: a fork, and an exec, begin a new slot.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Slot {
    /// 1 while events count; set after all probes are in place, cleared before the first detach.
    pub counting: u32,
    /// Thread group id in the initial pid namespace.
    pub tgid: u32,
    /// Seeds the stack hashes, random per run.
    pub seed: u64,
    /// Where the kernel's return trampoline lies in the target.
    pub trampoline: u64,
    /// Mean bytes between samples, 0 for every allocation; user space may change it at any time.
    pub sample_bytes: u64,
    /// Outer calls that were announced in mode `alloc` and not taken back: of a thread in flight, or of its last.
    pub announced: u64,
    /// 1 if an allocator of one object may call that of another: a preloaded library that passes calls on.
    pub passes_on: u64,
    /// Where its code ranges are: a [`super::code::code_word`].
    pub code: u64,
    /// What the keys of its rows in the cache have in common ([`crate::unwind::cache::slot_key`]).
    pub row_key: u64,
    /// When user space was last told of an address in no range, on the monotonic clock; written by the programs.
    pub told_ns: u64,
    /// Executable code of the program itself, in which most frames lie.
    pub program: Range,
    /// Executable code of the allocator's file, in which the first functions of threads often lie too.
    pub library: Range,
    /// Hulls of `nested`, one per object: a few comparisons answer for nearly every caller. Unused ones are empty.
    pub hulls: [Range; MAX_HULLS],
    /// Bodies of the probed functions and of the allocator's own helpers: a call from there is nested.
    pub nested: [Range; MAX_NESTED],
}

const _: () = assert!(size_of::<Slot>() == 104 + 16 * (MAX_HULLS + MAX_NESTED));

/// A process whose life the programs report: key its tgid, value of `FOLLOWED`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Followed {
    /// Slot that counts for it; `u32::MAX` if none does, or since it has executed another program.
    pub slot: u32,
    /// Sum of [`HOLD_AT_EXEC`] and [`HOLD_AT_LOADER`].
    pub hold: u32,
}

/// Stop the process (SIGSTOP) at its next exec, for user space to attach.
pub const HOLD_AT_EXEC: u32 = 1;
/// Stop the process at its loader's rendezvous.
pub const HOLD_AT_LOADER: u32 = 2;
