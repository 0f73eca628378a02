//! The entries of the tables that hold calls in flight, live blocks and call sites.
//!
//! The tables are arrays that the programs address by hash themselves ([`crate::table`]): an array lookup is a
//! few inlined instructions, and user space reads the whole table as mapped memory.

/// Entries of a [`CallBucket`].
pub const BUCKET_CALLS: usize = 8;
/// Buckets of calls in flight, found by thread id; a power of two.
pub const CALL_BUCKETS: u32 = 4096;
/// Entries of a [`BlockBucket`].
pub const BUCKET_BLOCKS: usize = 7;

/// Calls in flight of the threads whose ids end in the same bits.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CallBucket {
    /// `bpf_get_current_pid_tgid()` of each entry's owner; 0 where it is free.
    pub threads: [u64; BUCKET_CALLS],
    /// The calls: written and read by their owner only.
    pub calls: [Call; BUCKET_CALLS],
}

/// What the entry of an allocating function keeps for its return.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Call {
    /// SP at the function's entry, where its return address lies: a thread has one call at most there.
    pub sp: u64,
    /// Bytes asked for.
    pub size_bytes: u64,
    /// The old block of a realloc, the out pointer of posix_memalign, else 0.
    pub pointer: u64,
    /// Function index of the entry, to tell the outer return from the inner one at a tail jump.
    pub function: u16,
    /// Sum of the `CALL_` constants.
    pub flags: u16,
    /// The mean with which it was sampled; 0 for every allocation.
    pub interval: u32,
    /// What the old block of a realloc was, if it is known (`CALL_MOVES`): at the return another thread may own
    /// its address.
    pub old: LiveBlock,
}

/// The call's stack is to be walked at its return.
pub const CALL_SAMPLED: u16 = 1;
/// The entry has counted the attempt.
pub const CALL_COUNTED: u16 = 2;
/// The call holds the old block of a realloc.
pub const CALL_MOVES: u16 = 4;

/// In mode `alloc`: the function will jump to another one at the same SP.
pub const CALL_JUMPS: u16 = 8;
/// In mode `live`: the function has no return probe, only probes on its `ret` instructions, and may jump to another
/// probed function instead of reaching one.
pub const CALL_MAY_LEAVE: u16 = 16;
/// In mode `live`: a freeing function that has counted jumps to another one, which comes at once.
pub const CALL_FREES: u16 = 32;
/// In mode `live`, sampled: part of another call, kept only because it may jump on to a third function, which sees the
/// trampoline where its caller should be.
pub const CALL_INNER: u16 = 64;

/// Some live blocks, found by the hash of their address and slot.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BlockBucket {
    /// Blocks whose first bucket this is and which lie in another one.
    pub away: u64,
    /// [`block_key`] of each entry; 0 where it is free, [`KEY_RESERVED`] while it is written.
    pub keys: [u64; BUCKET_BLOCKS],
    /// The blocks.
    pub blocks: [LiveBlock; BUCKET_BLOCKS],
    /// Explicit padding: four cache lines.
    pub _reserved: [u64; 3],
}

/// The key of an entry that is being written.
pub const KEY_RESERVED: u64 = 1;
/// No block begins in the first page, so that no key is [`KEY_RESERVED`].
pub const LOWEST_BLOCK: u64 = 4096;

/// The key of a block: the addresses that allocators get have 47 bits (more only for who asks `mmap` for them, with
/// 5-level page tables), a slot's number 16.
#[inline(always)]
#[must_use]
pub const fn block_key(slot: u32, address: u64) -> u64 {
    address ^ (slot as u64) << 47
}

/// The slot of a [`block_key`].
#[inline(always)]
#[must_use]
pub const fn block_slot(key: u64) -> u32 {
    (key >> 47) as u32 & 0xffff
}

/// What is known of a live block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LiveBlock {
    /// Index of its site in `SITES`.
    pub site: u32,
    /// The mean with which its allocation was sampled: its free takes away what the allocation has added.
    pub interval: u32,
    /// Bytes asked for.
    pub size_bytes: u64,
    /// `bpf_ktime_get_ns()` at the return of its allocation.
    pub born_ns: u64,
}

/// In [`SiteRecord::sent`]: the frames have not crossed yet.
pub const UNSENT: u64 = 1 << 32;

/// What one call stack in one slot has: sums of weights, in the units of [`crate::sampling::weight::Weight`].
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SiteRecord {
    /// Seeded hash of the stack; 0 where the entry is free.
    pub key: u64,
    /// Second, independent hash of the frames: a mismatch is a collision of the key.
    pub check: u64,
    /// 1 + the slot once the frames have crossed the ring buffer, with [`UNSENT`] until then; nothing counts before. In an
    /// overflow record 1 + the slot that has its place.
    pub sent: u64,
    /// Allocations.
    pub allocated: Sums,
    /// What has left the live map, or never came into it.
    pub gone: Sums,
    /// The part of `gone` that was not freed.
    pub unfollowed_objects: u64,
}

/// What only samples have, of the same site: apart, so that every allocation touches one cache line of its site.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SiteSpread {
    /// Samples that were drawn.
    pub samples: u64,
    /// Samples whose block has left.
    pub gone_samples: u64,
    /// Of `allocated`.
    pub allocated_variance: Variances,
    /// Of `gone`: a block that leaves takes its variance with it.
    pub gone_variance: Variances,
}

/// Sums of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sums {
    /// Objects, in 2^-16.
    pub objects_q16: u64,
    /// Bytes, in 2^-8.
    pub bytes_q8: u64,
}

/// Sums of estimated variances; each in two words, because one would overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Variances {
    /// Objects squared, whole.
    pub objects_high: u64,
    /// Objects squared, in 2^-32.
    pub objects_low: u64,
    /// Bytes squared, in 2^32.
    pub bytes_high: u64,
    /// Bytes squared, whole.
    pub bytes_low: u64,
}

const _: () = assert!(size_of::<Call>() == 56);
const _: () = assert!(size_of::<CallBucket>() == 512);
const _: () = assert!(size_of::<LiveBlock>() == 24);
const _: () = assert!(size_of::<BlockBucket>() == 256);
const _: () = assert!(size_of::<SiteRecord>() == 64);
const _: () = assert!(size_of::<SiteSpread>() == 80);
