//! The table of call stacks: finds or makes the record of a walked stack, and adds to it.

use aya_ebpf::{EbpfContext, bindings::BPF_RB_NO_WAKEUP, helpers::generated::bpf_ringbuf_output};
use tracer_ebpf::{
    abi::{Cookie, Counter, LiveBlock, MAX_SLOTS, SiteRecord, Slot, Sums, Variances, record::UNSENT},
    sampling::weight::Weight,
    table::Places,
};

use super::{
    atomic, count,
    maps::{MAX_STACKS, SITE_PLACES, SITES, SITES_TAKEN, SPREADS, STACKS},
    walk::{self, Caller, Scratch, Walked},
};

/// Places that may hold a stack: the table is full to two thirds at most.
const PLACES: u32 = 64;
/// Places that are looked at behind a free one that may not be taken: few stacks lie further from their first place.
const PLACES_BEHIND: u32 = 8;

/// A site: its index, and the pointer to its record.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub(crate) index: u32,
    record: *mut SiteRecord,
}

impl Site {
    /// The site of a live block.
    #[inline(always)]
    pub(crate) fn at(index: u32) -> Option<Self> {
        Some(Self { index, record: SITES.get_ptr_mut(index)? })
    }

    /// The record that takes what has no stack of its own.
    #[inline(always)]
    pub(crate) fn overflow(cookie: &Cookie) -> Option<Self> {
        Self::at(u32::from(cookie.slot) & (MAX_SLOTS - 1))
    }

    /// Counts an allocation.
    #[inline(always)]
    pub(crate) fn allocated(self, size_bytes: u64, interval: u32) {
        // SAFETY: pointers into the map's value.
        let sums = unsafe { &raw mut (*self.record).allocated };
        if interval == 0 {
            return add_one(sums, size_bytes);
        }
        if let Some(spread) = SPREADS.get_ptr_mut(self.index) {
            // SAFETY: pointers into the map's value.
            let (variances, samples) =
                unsafe { (&raw mut (*spread).allocated_variance, &raw mut (*spread).samples) };
            add_sample(sums, variances, samples, size_bytes, interval);
        }
    }

    /// Counts the end of a block.
    #[inline(always)]
    pub(crate) fn gone(self, block: &LiveBlock) {
        // SAFETY: as above.
        let sums = unsafe { &raw mut (*self.record).gone };
        if block.interval == 0 {
            return add_one(sums, block.size_bytes);
        }
        if let Some(spread) = SPREADS.get_ptr_mut(self.index) {
            // SAFETY: as above.
            let (variances, samples) =
                unsafe { (&raw mut (*spread).gone_variance, &raw mut (*spread).gone_samples) };
            add_sample(sums, variances, samples, block.size_bytes, block.interval);
        }
    }

    /// A block that is not followed, or no more, and was not freed: no number may hold it for ever.
    #[inline(always)]
    pub(crate) fn unfollowed(self, block: &LiveBlock) {
        self.gone(block);
        let objects = Weight::of(block.size_bytes, block.interval).objects_q16;
        // SAFETY: a pointer into the map's value.
        atomic::add(unsafe { &raw mut (*self.record).unfollowed_objects }, objects);
    }
}

/// Every allocation: it stands for itself.
#[inline(always)]
fn add_one(sums: *mut Sums, size_bytes: u64) {
    // SAFETY: pointers into the map's value.
    atomic::add(unsafe { &raw mut (*sums).objects_q16 }, 1 << 16);
    // SAFETY: as above.
    atomic::add(unsafe { &raw mut (*sums).bytes_q8 }, size_bytes << 8);
}

/// A sample, with what it stands for.
#[inline(never)]
fn add_sample(sums: *mut Sums, spread: *mut Variances, samples: *mut u64, size_bytes: u64, interval: u32) {
    let weight = Weight::of(size_bytes, interval);
    atomic::add(samples, 1);
    // SAFETY: pointers into the map's value.
    unsafe {
        atomic::add(&raw mut (*sums).objects_q16, weight.objects_q16);
        atomic::add(&raw mut (*sums).bytes_q8, weight.bytes_q8);
        atomic::add(&raw mut (*spread).objects_high, weight.objects_variance_high);
        atomic::add(&raw mut (*spread).objects_low, weight.objects_variance_low);
        atomic::add(&raw mut (*spread).bytes_high, weight.bytes_variance >> 32);
        atomic::add(&raw mut (*spread).bytes_low, weight.bytes_variance & 0xffff_ffff);
    }
}

/// The site of a walked stack, or why it has none of its own. Two places in turn are neighbours, 128 bytes that the
/// processor fetches together: a table far larger than its caches costs one miss, not two.
#[inline(always)]
fn find(scratch: &mut Scratch, cookie: &Cookie, slot: *const Slot, walked: &Walked) -> Result<Site, Counter> {
    let mut pairs = Places::of_hash(walked.hash.key, SITE_PLACES.load() / 2);
    let mut side = walked.hash.key as u32 & 1;
    let mut full_since = PLACES;
    for turn in 0..PLACES {
        let Some(site) = Site::at(MAX_SLOTS + 2 * pairs.index() + side) else { break };
        let record = site.record;
        // SAFETY: pointers into the map's value.
        let key = unsafe { core::ptr::read_volatile(&raw const (*record).key) };
        if key == walked.hash.key {
            return check(scratch, cookie, slot, walked, site);
        }
        if key == 0 && full_since == PLACES {
            match take(record, walked.hash.key, cookie.slot) {
                Ok(true) => return check(scratch, cookie, slot, walked, site),
                Ok(false) => {}
                // The stack may have a record behind a place that user space has given back.
                Err(_) => full_since = turn,
            }
        }
        if turn >= full_since.saturating_add(PLACES_BEHIND) {
            break;
        }
        side ^= 1;
        if turn & 1 == 1 {
            pairs = pairs.next();
        }
    }
    Err(Counter::SitesFull)
}

/// Takes a free record for a stack, within the limit; false if another stack was faster.
#[inline(never)]
fn take(record: *mut SiteRecord, key: u64, slot: u16) -> Result<bool, Counter> {
    let Some(taken) = SITES_TAKEN.get_ptr_mut(0) else { return Err(Counter::SitesFull) };
    if atomic::fetch_add(taken, 1) >= u64::from(MAX_STACKS.load()) {
        atomic::sub(taken, 1);
        return Err(Counter::SitesFull);
    }
    // SAFETY: a pointer into the map's value.
    let word = unsafe { &raw mut (*record).key };
    if atomic::replace(word, 0, key) {
        // Whose it is, so that it can be given back even if its frames never cross.
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(&raw mut (*record).sent, UNSENT | sent_by(slot)) };
        return Ok(true);
    }
    atomic::sub(taken, 1);
    // Another CPU may have met the same stack at this moment.
    // SAFETY: as above.
    Ok(unsafe { core::ptr::read_volatile(word) } == key)
}

/// Tells stacks of one key apart, and hands the frames to user space once.
#[inline(always)]
fn check(
    scratch: &mut Scratch,
    cookie: &Cookie,
    slot: *const Slot,
    walked: &Walked,
    site: Site,
) -> Result<Site, Counter> {
    let record = site.record;
    // SAFETY: pointers into map values; the first of those that took the record sets the check.
    unsafe {
        let known = core::ptr::read_volatile(&raw const (*record).check);
        if known != walked.hash.check && (known != 0 || !settle(&raw mut (*record).check, walked.hash.check))
        {
            return Err(Counter::StackCollision);
        }
        if core::ptr::read_volatile(&raw const (*record).sent) != sent_by(cookie.slot) {
            send(scratch, cookie, (*slot).tgid, walked)?;
            core::ptr::write_volatile(&raw mut (*record).sent, sent_by(cookie.slot));
        }
    }
    Ok(site)
}

/// `SiteRecord::sent` once the frames have crossed.
#[inline(always)]
const fn sent_by(slot: u16) -> u64 {
    1 + slot as u64
}

/// Sets the check of a new record; false if it is another stack's.
#[inline(always)]
fn settle(word: *mut u64, check: u64) -> bool {
    // SAFETY: a pointer into the map's value.
    atomic::replace(word, 0, check) || unsafe { core::ptr::read_volatile(word) } == check
}

/// The frames cross the ring buffer once; twice at most if two CPUs meet a new stack at one moment.
#[inline(always)]
fn send(scratch: &mut Scratch, cookie: &Cookie, tgid: u32, walked: &Walked) -> Result<(), Counter> {
    let bytes = scratch.seal(cookie, tgid, walked);
    // SAFETY: `bytes` covers the header and at most `MAX_FRAMES` of the frames that follow it in `Scratch`.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const STACKS).cast_mut().cast(),
            (&raw mut scratch.event).cast(),
            bytes,
            u64::from(BPF_RB_NO_WAKEUP),
        )
    };
    if sent == 0 { Ok(()) } else { Err(Counter::RingFull) }
}

/// Walks the stack, in what was copied of it, and returns its site; the overflow record where it has none of its
/// own, and the reason is counted.
#[inline(always)]
pub(crate) fn of_caller<C: EbpfContext>(
    ctx: &C,
    cookie: &Cookie,
    slot: *const Slot,
    scratch: Option<&mut Scratch>,
    caller: Caller,
) -> Option<Site> {
    let found = match scratch {
        Some(scratch) => {
            let walked = walk::walk(scratch, cookie, slot, caller);
            find(scratch, cookie, slot, &walked)
        }
        None => Err(Counter::ScratchBusy),
    };
    match found {
        Ok(site) => Some(site),
        Err(reason) => {
            count::lost(ctx, cookie, reason);
            Site::overflow(cookie)
        }
    }
}
