//! Gives back what slots that are over have taken of the tables: their call stacks, and their blocks that nobody frees any
//! more.

use std::mem::offset_of;
use std::sync::atomic::Ordering;

use tracer_ebpf::abi::record::{BUCKET_BLOCKS, KEY_RESERVED, block_slot};
use tracer_ebpf::abi::{BlockBucket, MAX_SLOTS, SiteRecord, SiteSpread, slot_place};
use tracer_ebpf::table::Places;

use super::{Kernel, SlotSet};

impl Kernel {
    /// Forgets everything of slots whose probes are gone and whose counts are read; the keys of their stacks. `follows` is
    /// whether blocks of any of them were followed.
    ///
    /// Both tables are open addressed, so what is found behind a place that becomes free may not be found again: a block
    /// never is (its place is looked for in all buckets that may hold it), and a stack that is not takes another record,
    /// which the reader adds to the first.
    pub fn forget(&self, slots: &[u32], follows: bool) -> Vec<u64> {
        let gone: SlotSet = slots.iter().copied().collect();
        if follows {
            self.forget_blocks(&gone);
        }
        let own = (MAX_SLOTS..self.sites.len()).filter(|&index| gone.contains(self.slot_of_site(index)));
        let keys: Vec<u64> = own
            .map(|index| {
                let record = self.sites.read(index);
                self.spreads.write(index, &SiteSpread::default());
                self.sites.write(index, &SiteRecord { key: record.key, ..SiteRecord::default() });
                // From here on a program may take it.
                self.sites.word(index, offset_of!(SiteRecord, key)).store(0, Ordering::Release);
                record.key
            })
            .collect();
        self.sites_taken.word(0, 0).fetch_sub(keys.len() as u64, Ordering::AcqRel);
        for place in slots.iter().copied().map(slot_place) {
            self.spreads.write(place, &SiteSpread::default());
            self.sites.write(place, &SiteRecord::default());
        }
        keys
    }

    /// The slot of a stack of its own; none has this number if the stack is not known.
    pub(super) fn slot_of_site(&self, index: u32) -> u32 {
        let sent = self.sites.word(index, offset_of!(SiteRecord, sent)).load(Ordering::Acquire);
        (sent as u32).wrapping_sub(1)
    }

    fn forget_blocks(&self, slots: &SlotSet) {
        let word = |bucket, offset| self.live.word(bucket, offset);
        for bucket in 0..self.live.len() {
            for entry in 0..BUCKET_BLOCKS {
                let place = word(bucket, offset_of!(BlockBucket, keys) + entry * size_of::<u64>());
                let key = place.load(Ordering::Acquire);
                if key <= KEY_RESERVED || !slots.contains(block_slot(key)) {
                    continue;
                }
                place.store(0, Ordering::Release);
                let home = Places::of_key(key, self.live.len()).index();
                if home != bucket {
                    word(home, offset_of!(BlockBucket, away)).fetch_sub(1, Ordering::AcqRel);
                }
            }
        }
    }

    /// Call stacks that are kept apart, and how many have room.
    #[must_use]
    pub fn stacks_taken(&self) -> u64 {
        self.sites_taken.word(0, 0).load(Ordering::Relaxed)
    }
}
