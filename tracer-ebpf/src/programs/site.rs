//! Finds or makes the record of a call stack.

use aya_ebpf::{
    EbpfContext, bindings::BPF_NOEXIST, bindings::BPF_RB_NO_WAKEUP, helpers::generated::bpf_ringbuf_output,
};
use tracer_ebpf::abi::{Cookie, Counter, SiteRecord, Slot};

use super::{
    atomic, count,
    maps::{SITES, STACKS},
    walk::{self, Caller, Scratch, Walked},
};

/// A site: its key, and the pointer to its counts.
pub(crate) struct Site {
    pub(crate) key: u64,
    pub(crate) record: *mut SiteRecord,
}

impl Site {
    /// Counts an allocation.
    #[inline(always)]
    pub(crate) fn allocated(&self, size_bytes: u64) {
        // SAFETY: pointers into the map's value.
        atomic::add(unsafe { &raw mut (*self.record).alloc_objects }, 1);
        // SAFETY: as above.
        atomic::add(unsafe { &raw mut (*self.record).alloc_bytes }, size_bytes);
    }
}

/// Walks the stack and returns its site, or the slot's overflow record; the reason was counted then.
#[inline(always)]
pub(crate) fn of_caller<C: EbpfContext>(
    ctx: &C,
    cookie: &Cookie,
    slot: *const Slot,
    caller: Caller,
) -> Option<Site> {
    let Some(scratch) = walk::claim() else {
        count::lost(ctx, cookie, Counter::ScratchBusy);
        return overflow(cookie);
    };
    let walked = walk::walk(scratch, u32::from(cookie.slot), slot, caller);
    let site = find(scratch, cookie, slot, &walked);
    walk::release(scratch);
    match site {
        Ok(site) => Some(site),
        Err(reason) => {
            count::lost(ctx, cookie, reason);
            overflow(cookie)
        }
    }
}

#[inline(always)]
fn find(scratch: &mut Scratch, cookie: &Cookie, slot: *const Slot, walked: &Walked) -> Result<Site, Counter> {
    let key = walked.hash.key;
    let record = match SITES.get_ptr_mut(&key) {
        Some(record) => record,
        None => insert(cookie, walked)?,
    };
    // SAFETY: pointers into map values; `sent` is written with 1 only.
    unsafe {
        if (*record).check != walked.hash.check {
            return Err(Counter::StackCollision);
        }
        if core::ptr::read_volatile(&raw const (*record).sent) == 0 {
            send(scratch, cookie, (*slot).tgid, walked)?;
            core::ptr::write_volatile(&raw mut (*record).sent, 1);
        }
    }
    Ok(Site { key, record })
}

#[inline(always)]
fn insert(cookie: &Cookie, walked: &Walked) -> Result<*mut SiteRecord, Counter> {
    let fresh = SiteRecord {
        check: walked.hash.check,
        slot: u32::from(cookie.slot),
        frames: walked.frames as u16,
        ..SiteRecord::default()
    };
    // Another CPU may have inserted it meanwhile: the lookup decides.
    let _ = SITES.insert(&walked.hash.key, &fresh, u64::from(BPF_NOEXIST));
    SITES.get_ptr_mut(&walked.hash.key).ok_or(Counter::SitesFull)
}

/// The frames cross the ring buffer once; twice at most if two CPUs meet a new stack at one moment.
#[inline(always)]
fn send(scratch: &mut Scratch, cookie: &Cookie, tgid: u32, walked: &Walked) -> Result<(), Counter> {
    let bytes = scratch.seal(u32::from(cookie.slot), tgid, walked);
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

/// The record that takes what has no stack of its own.
#[inline(always)]
fn overflow(cookie: &Cookie) -> Option<Site> {
    let key = SiteRecord::overflow_key(u32::from(cookie.slot));
    let record = SITES.get_ptr_mut(&key)?;
    Some(Site { key, record })
}
