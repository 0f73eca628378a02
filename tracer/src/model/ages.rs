//! What the live map says of the sites: how old their blocks are. Added up block by block, so that a million of them
//! take no memory here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::estimate::Estimates;
use crate::collect::LiveBlock;

/// Of every site that has live blocks, as one pass over them saw it.
#[derive(Clone, Debug, Default)]
pub struct Ages {
    /// When the oldest block of a site was born, by the kernel's index; `u64::MAX` where there is none.
    oldest_born_ns: Arc<Vec<u64>>,
    /// The blocks that are old enough for the reader, where one asks.
    old: HashMap<u32, Estimates>,
    /// On the clock of the births: the moment that ages are of.
    now_ns: u64,
}

impl Ages {
    /// Of these blocks, at `now_ns` on the clock of their births; those of at least the age `old` are added up.
    pub fn of(blocks: impl Iterator<Item = LiveBlock>, now_ns: u64, old: Option<Duration>) -> Self {
        let mut ages = Self::default();
        blocks.for_each(|block| ages.add(&block, now_ns, old));
        ages.set_now(now_ns);
        ages
    }

    /// Adds a block that is seen at `now_ns`.
    pub fn add(&mut self, block: &LiveBlock, now_ns: u64, old: Option<Duration>) {
        let index = block.site as usize;
        let all = Arc::make_mut(&mut self.oldest_born_ns);
        if all.len() <= index {
            all.resize(index + 1, u64::MAX);
        }
        let oldest = &mut all[index];
        *oldest = block.born_ns.min(*oldest);
        if old.is_some_and(|old| Duration::from_nanos(now_ns.saturating_sub(block.born_ns)) >= old) {
            let sum = self.old.entry(block.site).or_default();
            *sum = *sum + Estimates::in_use(block);
        }
    }

    /// Ages are of this moment.
    pub fn set_now(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// The age of a site's oldest block, by the kernel's index; 0 if it has none.
    pub(super) fn oldest(&self, index: u32) -> Duration {
        let born_ns = self.oldest_born_ns.get(index as usize).copied().unwrap_or(u64::MAX);
        Duration::from_nanos(self.now_ns.saturating_sub(born_ns))
    }

    /// A site's blocks that are old enough for the reader.
    pub(super) fn old(&self, index: u32) -> Option<&Estimates> {
        self.old.get(&index)
    }
}
