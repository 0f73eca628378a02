//! How long the tables of the programs are, by the limits that users set.

use tracer_ebpf::abi::MAX_SLOTS;
use tracer_ebpf::abi::record::BUCKET_BLOCKS;

use super::LoadOptions;

/// How long the tables are.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// After the overflow records.
    pub(super) site_places: u32,
    pub(super) live_buckets: u32,
}

impl Sizes {
    /// Full to two thirds (stacks) and three quarters (blocks) at the limits that users set.
    pub(super) fn of(options: &LoadOptions) -> Self {
        const SITE_PLACES_MIN: u32 = 64;
        let blocks = u64::from(options.max_live) * 4 / 3;
        Self {
            site_places: (options.max_stacks.saturating_mul(3) / 2).max(SITE_PLACES_MIN),
            live_buckets: match options.may_follow {
                true => blocks.div_ceil(BUCKET_BLOCKS as u64) as u32,
                false => 1,
            },
        }
    }

    /// Records of sites, those without a stack of their own included.
    pub(super) const fn sites(self) -> u32 {
        MAX_SLOTS + self.site_places
    }
}
