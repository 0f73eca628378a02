//! How old the live blocks are, looked at a part at a time: while tracing goes on nobody waits for a pass over a million
//! of them.

use std::time::{Duration, Instant};

use crate::collect;
use crate::kernel::Kernel;
use crate::model::Ages;

/// Buckets of the table of live blocks that one look takes: some 2 ms. The default table (1,048,576 blocks) is seen whole
/// within four looks.
const BUCKETS_PER_LOOK: u32 = 50_000;

/// What was seen longer ago is not the picture of this moment.
const STALE: Duration = Duration::from_secs(15);

/// The passes of one session.
#[derive(Debug, Default)]
pub(super) struct AgePasses {
    /// Where the present pass goes on.
    next: u32,
    present: Ages,
    /// What the last whole pass has seen.
    seen: Option<Ages>,
    looked: Option<Instant>,
}

impl AgePasses {
    /// Takes a look; what is known now. The first look sees everything, and so does one after a long time.
    pub(super) fn look(&mut self, kernel: &Kernel, now_ns: u64, old: Option<Duration>) -> Ages {
        if self.looked.is_some_and(|looked| looked.elapsed() > STALE) {
            *self = Self::default();
        }
        self.looked = Some(Instant::now());
        let all = kernel.live_buckets();
        let end = match &self.seen {
            Some(_) => self.next.saturating_add(BUCKETS_PER_LOOK).min(all),
            None => all,
        };
        for block in collect::live_blocks(kernel, self.next..end) {
            self.present.add(&block, now_ns, old);
        }
        self.next = end;
        if end == all {
            self.next = 0;
            self.seen = Some(std::mem::take(&mut self.present));
        }
        let mut ages = self.seen.clone().unwrap_or_default();
        ages.set_now(now_ns);
        ages
    }
}
