//! Calls in flight: the programs keep them by thread, user space counts them and removes what nobody will end.

use std::collections::HashSet;
use std::mem::offset_of;
use std::sync::atomic::Ordering;

use tracer_ebpf::abi::CallBucket;
use tracer_ebpf::abi::record::{BUCKET_CALLS, CALL_BUCKETS};

use super::Kernel;

impl Kernel {
    /// Calls in flight of these processes.
    #[must_use]
    pub fn calls_in_flight(&self, tgids: &HashSet<u32>) -> u64 {
        self.owners().filter(|(_, _, tgid)| tgids.contains(tgid)).count() as u64
    }

    /// Removes what threads of a process that has ended left in flight.
    pub fn forget_calls(&self, tgid: u32) {
        for (bucket, offset, _) in self.owners().filter(|&(_, _, owner)| owner == tgid) {
            self.calls.word(bucket, offset).store(0, Ordering::Release);
        }
    }

    /// Where threads are named in the table of calls, and of which process each is; 0 where none is.
    fn owners(&self) -> impl Iterator<Item = (u32, usize, u32)> {
        let words = (0..BUCKET_CALLS).map(|entry| offset_of!(CallBucket, threads) + entry * 8);
        let places =
            (0..CALL_BUCKETS).flat_map(move |bucket| words.clone().map(move |offset| (bucket, offset)));
        places.map(|(bucket, offset)| {
            (bucket, offset, (self.calls.word(bucket, offset).load(Ordering::Acquire) >> 32) as u32)
        })
    }
}
