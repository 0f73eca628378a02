//! When the new stacks are taken next: often while many come, seldom while none do.

use std::time::{Duration, Instant};

use crate::kernel::RING_BYTES;

/// While nothing comes: one processor writes 6 MiB at most meanwhile (stacks of 110 frames at 300 MB/s, as measured), and
/// each look wakes a processor that may sleep.
const QUIET: Duration = Duration::from_millis(20);
/// While something comes.
const IDLE: Duration = Duration::from_millis(10);
/// However many come.
const BUSIEST: Duration = Duration::from_millis(1);
/// The part of the ring buffer that may be filled at the rate that was just seen.
const SHARE_BYTES: u64 = RING_BYTES / 16;

/// The rhythm of a loop.
pub(super) struct Pace {
    last: Instant,
    interval: Duration,
    looked: Instant,
    look: Duration,
}

impl Pace {
    /// `look` is the time between two looks at the processes themselves, which cost more than an empty ring buffer.
    pub(super) fn new(look: Duration) -> Self {
        let now = Instant::now();
        Self { last: now, interval: QUIET, looked: now, look }
    }

    /// How long nothing needs to be done.
    pub(super) fn wait(&self) -> Duration {
        self.interval.saturating_sub(self.last.elapsed())
    }

    /// By the clock: a target that forks all the time must not keep the ring buffer from being read.
    pub(super) fn is_due(&self) -> bool {
        self.wait().is_zero()
    }

    /// So many bytes of new stacks were taken just now.
    pub(super) fn took(&mut self, bytes: u64) {
        self.interval = interval(self.last.elapsed(), bytes);
        self.last = Instant::now();
    }

    /// Whether it is time for a look; if so, it happens now.
    pub(super) fn looks(&mut self) -> bool {
        let is_time = self.looked.elapsed() >= self.look;
        if is_time {
            self.looked = Instant::now();
        }
        is_time
    }
}

fn interval(since_last: Duration, bytes: u64) -> Duration {
    if bytes == 0 {
        return QUIET;
    }
    let rate = bytes as f64 / since_last.as_secs_f64().max(1e-6);
    let seconds = (SHARE_BYTES as f64 / rate).clamp(BUSIEST.as_secs_f64(), IDLE.as_secs_f64());
    Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_stacks_come_the_sooner_they_are_taken() {
        let check = |ms, bytes, expect_ms: f64| {
            let seen = interval(Duration::from_millis(ms), bytes).as_secs_f64() * 1e3;
            assert!((seen - expect_ms).abs() < 0.01, "{bytes} bytes in {ms} ms: {seen} ms");
        };
        check(10, 0, 20.0);
        check(10, 100_000, 10.0);
        // 105 MB/s: half a mebibyte takes 5 ms.
        check(10, 1 << 20, 5.0);
        check(1, 1 << 20, 1.0);
        check(1, 64 << 20, 1.0);
    }
}
