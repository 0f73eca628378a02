//! The promise to aya that the ABI types are plain bytes.

use super::{
    BlockBucket, CallBucket, CodeRange, Followed, FunctionTotals, SiteRecord, SiteSpread, Slot, SlotTotals,
    StopSlot,
};

// SAFETY: every type is `repr(C)`, made of integers only, has no implicit padding (sizes are asserted beside
// the definitions) and is valid for every bit pattern.
unsafe impl aya::Pod for Slot {}
// SAFETY: as above.
unsafe impl aya::Pod for CodeRange {}
// SAFETY: as above.
unsafe impl aya::Pod for CallBucket {}
// SAFETY: as above.
unsafe impl aya::Pod for BlockBucket {}
// SAFETY: as above.
unsafe impl aya::Pod for SiteRecord {}
// SAFETY: as above.
unsafe impl aya::Pod for FunctionTotals {}
// SAFETY: as above.
unsafe impl aya::Pod for SlotTotals {}
// SAFETY: as above.
unsafe impl aya::Pod for Followed {}
// SAFETY: as above.
unsafe impl aya::Pod for SiteSpread {}
// SAFETY: as above.
unsafe impl aya::Pod for StopSlot {}
