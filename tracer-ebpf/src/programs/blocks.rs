//! The table of live blocks.
//!
//! A block has a first bucket, by the hash of its key, and lies there unless it was full. Nobody asks for a block
//! before the call that made it has returned, and its address is not handed out again before its free has begun:
//! so the claim of an entry, and its end, are the only races.

use tracer_ebpf::{
    abi::{
        BlockBucket, LiveBlock,
        record::{BUCKET_BLOCKS, KEY_RESERVED},
    },
    table::Places,
};

use super::{
    atomic,
    maps::{LIVE, LIVE_BUCKETS},
};

/// Buckets that may hold a block.
const PLACES: u32 = 8;

/// What came of keeping a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    New,
    /// The address was there already.
    Replaced,
    Full,
}

#[inline(always)]
fn bucket(places: Places) -> Option<*mut BlockBucket> {
    LIVE.get_ptr_mut(places.index())
}

#[inline(always)]
fn key_of(bucket: *mut BlockBucket, entry: usize) -> *mut u64 {
    // SAFETY: a pointer into the map's value; callers count up to `BUCKET_BLOCKS`.
    unsafe { (&raw mut (*bucket).keys).cast::<u64>().add(entry) }
}

#[inline(always)]
fn block_of(bucket: *mut BlockBucket, entry: usize) -> *mut LiveBlock {
    // SAFETY: as above.
    unsafe { (&raw mut (*bucket).blocks).cast::<LiveBlock>().add(entry) }
}

/// Blocks that lie away from their first bucket `home`.
#[inline(always)]
fn away(home: *mut BlockBucket) -> *mut u64 {
    // SAFETY: a pointer into the map's value.
    unsafe { &raw mut (*home).away }
}

/// Follows a block; `last` is what it replaces.
#[inline(always)]
pub(crate) fn keep(key: u64, block: &LiveBlock, last: &mut LiveBlock) -> Kept {
    let places = Places::of_key(key, LIVE_BUCKETS.load());
    let Some(home) = bucket(places) else { return Kept::Full };
    let is_known = remove(key, last);
    if !put(home, key, block) && !put_away(home, places, key, block) {
        return Kept::Full;
    }
    if is_known { Kept::Replaced } else { Kept::New }
}

#[inline(never)]
fn put(bucket: *mut BlockBucket, key: u64, block: &LiveBlock) -> bool {
    for entry in 0..BUCKET_BLOCKS {
        let place = key_of(bucket, entry);
        // SAFETY: pointers into the map's value; the claim makes the entry ours until the key is published.
        unsafe {
            if core::ptr::read_volatile(place) == 0 && atomic::replace(place, 0, KEY_RESERVED) {
                core::ptr::write_volatile(block_of(bucket, entry), *block);
                core::ptr::write_volatile(place, key);
                return true;
            }
        }
    }
    false
}

#[inline(never)]
fn put_away(home: *mut BlockBucket, mut places: Places, key: u64, block: &LiveBlock) -> bool {
    atomic::add(away(home), 1);
    for _ in 1..PLACES {
        places = places.next();
        if let Some(other) = bucket(places)
            && put(other, key, block)
        {
            return true;
        }
    }
    atomic::sub(away(home), 1);
    false
}

/// Takes a block out, if it is followed.
#[inline(always)]
pub(crate) fn remove(key: u64, block: &mut LiveBlock) -> bool {
    let places = Places::of_key(key, LIVE_BUCKETS.load());
    let Some(home) = bucket(places) else { return false };
    if take(home, key, block) {
        return true;
    }
    // SAFETY: a pointer into the map's value.
    let any_away = unsafe { core::ptr::read_volatile(away(home)) } != 0;
    any_away && take_away(home, places, key, block)
}

#[inline(never)]
fn take(bucket: *mut BlockBucket, key: u64, block: &mut LiveBlock) -> bool {
    for entry in 0..BUCKET_BLOCKS {
        let place = key_of(bucket, entry);
        // SAFETY: pointers into the map's value. Of two frees of one block at the same moment one takes it.
        unsafe {
            if core::ptr::read_volatile(place) == key {
                *block = core::ptr::read_volatile(block_of(bucket, entry));
                return atomic::replace(place, key, 0);
            }
        }
    }
    false
}

#[inline(never)]
fn take_away(home: *mut BlockBucket, mut places: Places, key: u64, block: &mut LiveBlock) -> bool {
    for _ in 1..PLACES {
        places = places.next();
        if let Some(other) = bucket(places)
            && take(other, key, block)
        {
            atomic::sub(away(home), 1);
            return true;
        }
    }
    false
}
