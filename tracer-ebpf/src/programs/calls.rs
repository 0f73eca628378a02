//! The table of calls in flight.
//!
//! A call is known by its thread and its SP: whatever enters in between (a nested call, a signal handler) has
//! another SP. A thread finds its bucket by its id and touches only entries that carry its own name, so claiming
//! one is the only race there is.

use tracer_ebpf::abi::{
    Call, CallBucket, LiveBlock,
    record::{BUCKET_CALLS, CALL_BUCKETS, CALL_FREES, CALL_JUMPS, CALL_MAY_LEAVE, CALL_MOVES},
};

use super::{atomic, maps::CALLS};

/// Instead of a function's index.
pub(crate) const ANY_FUNCTION: u16 = u16::MAX;

/// A thread's bucket.
#[derive(Clone, Copy)]
pub(crate) struct Calls {
    bucket: *mut CallBucket,
    thread: u64,
}

impl Calls {
    /// The bucket of a thread, by its `bpf_get_current_pid_tgid()`.
    #[inline(always)]
    pub(crate) fn of(thread: u64) -> Option<Self> {
        let bucket = CALLS.get_ptr_mut(thread as u32 & (CALL_BUCKETS - 1))?;
        Some(Self { bucket, thread })
    }

    #[inline(always)]
    fn owner(&self, entry: usize) -> *mut u64 {
        // SAFETY: a pointer into the map's value; callers count up to `BUCKET_CALLS`.
        unsafe { (&raw mut (*self.bucket).threads).cast::<u64>().add(entry) }
    }

    #[inline(always)]
    fn call(&self, entry: usize) -> *mut Call {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.bucket).calls).cast::<Call>().add(entry) }
    }

    /// Whether the thread has any call in flight.
    #[inline(always)]
    pub(crate) fn any(&self) -> bool {
        let mut any = false;
        for entry in 0..BUCKET_CALLS {
            // SAFETY: a pointer into the map's value.
            any |= unsafe { core::ptr::read_volatile(self.owner(entry)) } == self.thread;
        }
        any
    }

    /// Whether the thread has a call at this SP.
    #[inline(always)]
    pub(crate) fn has(&self, sp: u64) -> bool {
        let mut has = false;
        for entry in 0..BUCKET_CALLS {
            // SAFETY: pointers into the map's value.
            unsafe {
                has |= core::ptr::read_volatile(self.owner(entry)) == self.thread
                    && core::ptr::read_volatile(&raw const (*self.call(entry)).sp) == sp;
            }
        }
        has
    }

    /// Whether the thread has a call at this SP that was to jump away.
    #[inline(always)]
    pub(crate) fn has_jumping(&self, sp: u64) -> bool {
        let mut has = false;
        for entry in 0..BUCKET_CALLS {
            // SAFETY: pointers into the map's value.
            unsafe {
                has |= core::ptr::read_volatile(self.owner(entry)) == self.thread
                    && core::ptr::read_volatile(&raw const (*self.call(entry)).sp) == sp
                    && core::ptr::read_volatile(&raw const (*self.call(entry)).flags) & CALL_JUMPS != 0;
            }
        }
        has
    }

    /// Removes the thread's calls whose frames are gone when SP is here; how many there were.
    #[inline(never)]
    pub(crate) fn forget_up_to(self, sp: u64) -> u64 {
        let mut gone = 0;
        for entry in 0..BUCKET_CALLS {
            // SAFETY: pointers into the map's value; only this thread writes entries that are its own.
            unsafe {
                if core::ptr::read_volatile(self.owner(entry)) == self.thread && (*self.call(entry)).sp <= sp
                {
                    core::ptr::write_volatile(self.owner(entry), 0);
                    gone += 1;
                }
            }
        }
        gone
    }

    /// Takes out the thread's call at this SP, unless it is another function's.
    #[inline(never)]
    pub(crate) fn take(self, sp: u64, function: u16, call: &mut Call) -> Taken {
        for entry in 0..BUCKET_CALLS {
            let (owner, place) = (self.owner(entry), self.call(entry));
            // SAFETY: pointers into the map's value; only this thread writes entries that are its own.
            unsafe {
                if core::ptr::read_volatile(owner) == self.thread && (*place).sp == sp {
                    if function != ANY_FUNCTION && function != (*place).function {
                        return Taken::OfAnother;
                    }
                    *call = core::ptr::read_volatile(place);
                    core::ptr::write_volatile(owner, 0);
                    return Taken::Here;
                }
            }
        }
        Taken::None
    }

    /// Adds the old block to the thread's call at this SP.
    #[inline(never)]
    pub(crate) fn moves(self, sp: u64, old: &LiveBlock) {
        for entry in 0..BUCKET_CALLS {
            // SAFETY: pointers into the map's value; only this thread writes entries that are its own.
            unsafe {
                let call = self.call(entry);
                if core::ptr::read_volatile(self.owner(entry)) == self.thread && (*call).sp == sp {
                    core::ptr::write_volatile(&raw mut (*call).old, *old);
                    (*call).flags |= CALL_MOVES;
                    return;
                }
            }
        }
    }

    /// Notes that the thread's call of this function at this SP jumps away.
    #[inline(never)]
    pub(crate) fn jumps(self, sp: u64, function: u16) {
        for entry in 0..BUCKET_CALLS {
            let place = self.call(entry);
            // SAFETY: pointers into the map's value; only this thread writes entries that are its own.
            unsafe {
                if core::ptr::read_volatile(self.owner(entry)) == self.thread
                    && (*place).sp == sp
                    && (*place).function == function
                {
                    (*place).flags |= CALL_JUMPS;
                    return;
                }
            }
        }
    }

    /// Makes the thread's call at this SP that of another function, if it asked for as many bytes and has left its
    /// function by a jump, for all that is known.
    #[inline(never)]
    pub(crate) fn adopt(self, sp: u64, size_bytes: u64, function: u16) -> bool {
        for entry in 0..BUCKET_CALLS {
            let place = self.call(entry);
            // SAFETY: pointers into the map's value; only this thread writes entries that are its own.
            unsafe {
                if core::ptr::read_volatile(self.owner(entry)) == self.thread
                    && (*place).sp == sp
                    && (*place).flags & CALL_MAY_LEAVE != 0
                    && (*place).size_bytes == size_bytes
                    && (*place).function != function
                {
                    (*place).function = function;
                    return true;
                }
            }
        }
        false
    }

    /// Takes out what a freeing function has left at this SP for the one that it jumps to.
    #[inline(never)]
    pub(crate) fn take_freeing(self, sp: u64) -> bool {
        for entry in 0..BUCKET_CALLS {
            let place = self.call(entry);
            // SAFETY: pointers into the map's value; only this thread writes entries that are its own.
            unsafe {
                if core::ptr::read_volatile(self.owner(entry)) == self.thread
                    && (*place).flags & CALL_FREES != 0
                    && (*place).sp == sp
                {
                    core::ptr::write_volatile(self.owner(entry), 0);
                    return true;
                }
            }
        }
        false
    }

    /// Takes out the thread's realloc of a block, if its frame is gone when SP is here.
    #[inline(never)]
    pub(crate) fn take_left(self, block: u64, sp: u64, call: &mut Call) -> bool {
        for entry in 0..BUCKET_CALLS {
            let place = self.call(entry);
            // SAFETY: pointers into the map's value; only this thread writes entries that are its own.
            unsafe {
                if core::ptr::read_volatile(self.owner(entry)) == self.thread
                    && (*place).flags & CALL_MOVES != 0
                    && (*place).pointer == block
                    && (*place).sp < sp
                {
                    *call = core::ptr::read_volatile(place);
                    core::ptr::write_volatile(self.owner(entry), 0);
                    return true;
                }
            }
        }
        false
    }

    /// Takes out the thread's call that is most likely to have been left (longjmp) when SP is here: one whose frame is
    /// gone, else the one that is farthest out, for calls that are part of each other are near.
    #[inline(never)]
    pub(crate) fn take_stale(self, sp: u64, call: &mut Call) -> bool {
        let mut farthest = 0;
        for entry in 0..BUCKET_CALLS {
            // SAFETY: pointers into the map's value; only this thread writes entries that are its own.
            unsafe {
                if core::ptr::read_volatile(self.owner(entry)) == self.thread {
                    // What lies below wraps round: it is the farthest.
                    let distance = (*self.call(entry)).sp.wrapping_sub(sp + 1);
                    farthest = if distance > farthest { distance } else { farthest };
                }
            }
        }
        // No distance is 0: SPs are aligned.
        farthest != 0 && self.take(farthest.wrapping_add(sp + 1), ANY_FUNCTION, call) == Taken::Here
    }

    /// Keeps a call; false if the bucket is full.
    #[inline(never)]
    pub(crate) fn keep(self, call: &Call) -> bool {
        for entry in 0..BUCKET_CALLS {
            let owner = self.owner(entry);
            // SAFETY: pointers into the map's value; the claim makes the entry this thread's.
            unsafe {
                if core::ptr::read_volatile(owner) == 0 && atomic::replace(owner, 0, self.thread) {
                    core::ptr::write_volatile(self.call(entry), *call);
                    return true;
                }
            }
        }
        false
    }
}

/// What was at an SP.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    None,
    /// The call of a function that has jumped to this one.
    OfAnother,
    Here,
}
