//! Keys and values of the maps that hold calls in flight, live blocks and call sites.

/// A call that has entered and not yet returned: a thread has one at a given stack pointer at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ThreadKey {
    /// `bpf_get_current_pid_tgid()`.
    pub pid_tgid: u64,
    /// SP at the function's entry, where its return address lies.
    pub sp: u64,
}

/// What the entry of an allocating function keeps for its return.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct InFlight {
    /// Bytes asked for.
    pub size_bytes: u64,
    /// The old block of a realloc, the out pointer of posix_memalign, else 0.
    pub pointer: u64,
    /// Function index of the entry, to tell the outer return from the inner one at a tail jump.
    pub function: u32,
    /// Explicit padding.
    pub _reserved: u32,
}

/// A live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LiveKey {
    /// Address in the target.
    pub address: u64,
    /// Slot index.
    pub slot: u64,
}

/// What is known of a live block.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LiveBlock {
    /// Key of its site in `SITES`.
    pub site: u64,
    /// Bytes asked for.
    pub size_bytes: u64,
    /// `bpf_ktime_get_ns()` at the return of its allocation.
    pub born_ns: u64,
}

/// The old block of a realloc in flight, out of the live map until the outcome is known.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Moved {
    /// The block as it was.
    pub block: LiveBlock,
}

/// Exact counts of one call stack in one slot.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SiteRecord {
    /// Second, independent hash of the frames: a mismatch is a collision of the key.
    pub check: u64,
    /// Slot index.
    pub slot: u32,
    /// Frames of the stack.
    pub frames: u16,
    /// 1 once the frames have crossed the ring buffer.
    pub sent: u16,
    /// Attempts in mode `alloc`, successes in mode `live`.
    pub alloc_objects: u64,
    /// Bytes of `alloc_objects`.
    pub alloc_bytes: u64,
    /// Blocks of this site that were freed.
    pub free_objects: u64,
    /// Blocks in the live map.
    pub inuse_objects: u64,
    /// Bytes in the live map.
    pub inuse_bytes: u64,
}

const _: () = assert!(size_of::<ThreadKey>() == 16);
const _: () = assert!(size_of::<InFlight>() == 24);
const _: () = assert!(size_of::<LiveKey>() == 16);
const _: () = assert!(size_of::<LiveBlock>() == 24);
const _: () = assert!(size_of::<Moved>() == 24);
const _: () = assert!(size_of::<SiteRecord>() == 56);

impl SiteRecord {
    /// Key of the record that takes what has no record of its own in a slot.
    ///
    /// A stack hash is below [`super::MAX_SLOTS`] with a probability of 2^-56.
    #[must_use]
    pub const fn overflow_key(slot: u32) -> u64 {
        slot as u64
    }
}
