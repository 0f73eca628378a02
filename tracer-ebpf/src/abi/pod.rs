//! The promise to aya that the ABI types are plain bytes.

use super::{
    Followed, FunctionTotals, InFlight, LiveBlock, LiveKey, Moved, SiteRecord, Slot, SlotTotals, TextRanges,
    ThreadKey,
};

// SAFETY: every type is `repr(C)`, made of integers only, has no implicit padding (sizes are asserted beside
// the definitions) and is valid for every bit pattern.
unsafe impl aya::Pod for Slot {}
// SAFETY: as above.
unsafe impl aya::Pod for TextRanges {}
// SAFETY: as above.
unsafe impl aya::Pod for ThreadKey {}
// SAFETY: as above.
unsafe impl aya::Pod for InFlight {}
// SAFETY: as above.
unsafe impl aya::Pod for LiveKey {}
// SAFETY: as above.
unsafe impl aya::Pod for LiveBlock {}
// SAFETY: as above.
unsafe impl aya::Pod for Moved {}
// SAFETY: as above.
unsafe impl aya::Pod for SiteRecord {}
// SAFETY: as above.
unsafe impl aya::Pod for FunctionTotals {}
// SAFETY: as above.
unsafe impl aya::Pod for SlotTotals {}
// SAFETY: as above.
unsafe impl aya::Pod for Followed {}
