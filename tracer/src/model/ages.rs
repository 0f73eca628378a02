//! What the live map says of the sites: how old their blocks are. Added up block by block, so that a million of them
//! take no memory here.

use std::collections::HashMap;
use std::ops::Add;
use std::time::Duration;

use super::estimate::Estimates;
use crate::collect::LiveBlock;

/// Of every site that has live blocks.
#[derive(Debug, Default)]
pub struct Ages(HashMap<u32, SiteAges>);

/// Of one site.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SiteAges {
    pub(super) oldest: Duration,
    /// The blocks that are old enough for the reader.
    pub(super) old: Estimates,
}

impl Ages {
    /// Of these blocks, at `now_ns` on the clock of their births; `old` are those of at least that age.
    pub fn of(blocks: impl Iterator<Item = LiveBlock>, now_ns: u64, old: Duration) -> Self {
        let mut ages: HashMap<u32, SiteAges> = HashMap::new();
        for block in blocks {
            let age = Duration::from_nanos(now_ns.saturating_sub(block.born_ns));
            let site = ages.entry(block.site).or_default();
            site.oldest = site.oldest.max(age);
            if age >= old {
                site.old = site.old + Estimates::in_use(&block);
            }
        }
        Self(ages)
    }

    /// Of the site with this index.
    pub(super) fn of_site(&self, index: u32) -> SiteAges {
        self.0.get(&index).copied().unwrap_or_default()
    }
}

impl Add for SiteAges {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { oldest: self.oldest.max(other.oldest), old: self.old + other.old }
    }
}
