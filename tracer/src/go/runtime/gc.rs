//! What the collector did: the numbers of `memstats` (`runtime/mstats.go`) and of `gcController` (`runtime/mgcpacer.go`).

use super::layout::{ControllerLayout, MstatsLayout};
use super::memory::{Memory, half, number};
use super::{TRIES, Unread, wait};
use crate::go::heap::{GcState, Pause};

/// Entries of the ring of pauses (`runtime/mstats.go`).
pub(super) const RING: usize = 256;

/// What the goal stays below a memory limit: 3 %, and at least 1 MiB (`memoryLimitHeapGoalHeadroomPercent`,
/// `memoryLimitMinHeapGoalHeadroom`; before Go 1.21 always 1 MiB).
const MIN_HEADROOM_BYTES: u64 = 1 << 20;
/// What a cycle that has begun may allocate at least (`minRunway` of `heapGoalInternal`).
const MIN_RUNWAY_BYTES: u64 = 64 << 10;

/// Where a process keeps what its collector did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gc {
    /// `runtime.memstats`.
    pub(super) memstats: u64,
    pub(super) mstats: MstatsLayout,
    /// `runtime.gcController`, if it was found.
    pub(super) controller: Option<Controller>,
    /// `runtime.runtimeInitTime`, if it was found.
    pub(super) init_time: Option<u64>,
}

/// `runtime.gcController` of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controller {
    pub(super) address: u64,
    pub(super) layout: ControllerLayout,
    /// Minor version of Go, where it is known.
    pub(super) minor: Option<u32>,
}

impl Gc {
    /// Reads it.
    ///
    /// The end of a cycle writes its moment first, then its entries of the ring and the sums, its number last, all while the
    /// program stands still (`gcMarkTermination` in `runtime/mgc.go`). So a reading is whole if it is the same twice and the
    /// last moment is that of the ring's last entry.
    pub(super) fn read(&self, memory: &Memory) -> Result<GcState, Unread> {
        let mut before = self.fields(memory)?;
        for retry in 0..TRIES {
            let after = self.fields(memory)?;
            if before == after
                && let Some(state) = self.state(&after)
            {
                let state = GcState { age_ns: self.age_ns(&after, memory)?, ..state };
                return Ok(match &self.controller {
                    Some(controller) => controller.add_to(state, memory)?,
                    None => state,
                });
            }
            before = after;
            wait(retry);
        }
        Err(Unread::Torn)
    }

    /// From the runtime's start to its last finished cycle, on its own clock.
    fn age_ns(&self, fields: &[u8], memory: &Memory) -> Result<Option<u64>, Unread> {
        let Some(address) = self.init_time else { return Ok(None) };
        let begin = memory.word(address)?;
        let offset = self.mstats.last_gc_nanotime.checked_sub(self.mstats.last_gc_unix);
        let end = offset.and_then(|offset| number(fields, offset));
        Ok(end.and_then(|end| end.checked_sub(begin)).filter(|_| begin > 0))
    }

    fn fields(&self, memory: &Memory) -> Result<Vec<u8>, Unread> {
        memory.bytes(
            self.memstats.wrapping_add(self.mstats.last_gc_unix),
            self.end() - self.mstats.last_gc_unix,
        )
    }

    /// Behind the last field that is read.
    fn end(&self) -> u64 {
        let at = &self.mstats;
        [
            at.last_gc_unix,
            at.pause_total_ns,
            at.pause_end + (RING as u64 - 1) * 8,
            at.numforcedgc,
            at.gc_cpu_fraction,
            at.last_gc_nanotime,
        ]
        .iter()
        .fold(0, |end, &field| end.max(field.saturating_add(8)))
    }

    /// What the fields say; `None` if they are torn or make no sense.
    fn state(&self, fields: &[u8]) -> Option<GcState> {
        let at = &self.mstats;
        let word = |offset: u64| number(fields, offset.checked_sub(at.last_gc_unix)?);
        let half = |offset: u64| half(fields, offset.checked_sub(at.last_gc_unix)?);
        let cycles = half(at.numgc)?;
        let last_end_unix_ns = word(at.last_gc_unix)?;
        let first = cycles.saturating_sub(RING as u32);
        // A cycle stands where its number before it was counted leads to.
        let pause = |before: u32| {
            let slot = u64::from(before % RING as u32) * 8;
            let (nanoseconds, end_unix_ns) = (word(at.pause_ns + slot)?, word(at.pause_end + slot)?);
            Some(Pause { cycle: before + 1, nanoseconds, end_unix_ns })
        };
        let pauses = (first..cycles).map(pause).collect::<Option<Vec<_>>>()?;
        let is_whole = pauses.last().map_or(0, |last| last.end_unix_ns) == last_end_unix_ns;
        is_whole.then_some(())?;
        Some(GcState {
            cycles,
            forced_cycles: half(at.numforcedgc)?,
            pause_total_ns: word(at.pause_total_ns)?,
            pauses,
            cpu_fraction: f64::from_bits(word(at.gc_cpu_fraction)?),
            last_end_unix_ns,
            age_ns: None,
            heap_goal_bytes: None,
            heap_marked_bytes: None,
            gc_percent: None,
        })
    }
}

impl Controller {
    /// Whether its sums of bytes can be read.
    pub(super) fn counts_bytes(&self) -> bool {
        self.layout.total_alloc.is_some() && self.layout.total_free.is_some()
    }

    /// Allocated and freed bytes since the process began (`totalAlloc`, `totalFree`).
    pub(super) fn byte_counts(&self, memory: &Memory) -> Result<(u64, u64), Unread> {
        let word = |offset: Option<u64>| memory.word(self.address.wrapping_add(offset.unwrap_or_default()));
        Ok((word(self.layout.total_alloc)?, word(self.layout.total_free)?))
    }

    fn add_to(&self, state: GcState, memory: &Memory) -> Result<GcState, Unread> {
        let at = &self.layout;
        let word =
            |offset: Option<u64>| offset.map(|at| memory.word(self.address.wrapping_add(at))).transpose();
        let percent = word(at.gc_percent)?.map(|word| (word & 0xffff_ffff) as u32 as i32);
        Ok(GcState {
            heap_goal_bytes: self.goal(&word)?,
            heap_marked_bytes: word(at.heap_marked)?,
            gc_percent: percent,
            ..state
        })
    }

    /// The goal as the runtime works it out when it is asked (`heapGoalInternal`, `memoryLimitHeapGoal`): that of `GOGC`, not
    /// below what the sweep and a running cycle need; or that of `GOMEMLIMIT`, if that is less. `None` where both are off.
    fn goal(&self, word: &dyn Fn(Option<u64>) -> Result<Option<u64>, Unread>) -> Result<Option<u64>, Unread> {
        let at = &self.layout;
        let (goal, sweep, triggered) =
            (word(at.gc_percent_heap_goal)?, word(at.sweep_dist_min_trigger)?, word(at.triggered)?);
        let (Some(goal), Some(sweep), Some(triggered)) = (goal, sweep, triggered) else { return Ok(None) };
        let Some(limited) = self.limited(word)? else { return Ok(None) };
        if goal.min(limited) == u64::MAX {
            return Ok(None);
        }
        if limited < goal {
            return Ok(Some(limited));
        }
        let runway = if triggered == u64::MAX { 0 } else { triggered.saturating_add(MIN_RUNWAY_BYTES) };
        Ok(Some(goal.max(sweep).max(runway)))
    }

    /// The goal that the memory limit leaves (`memoryLimitHeapGoal`).
    fn limited(
        &self,
        word: &dyn Fn(Option<u64>) -> Result<Option<u64>, Unread>,
    ) -> Result<Option<u64>, Unread> {
        let at = &self.layout;
        let Some(limit) = word(at.memory_limit)? else { return Ok(None) };
        if limit == i64::MAX as u64 {
            return Ok(Some(u64::MAX));
        }
        let (free, mapped, marked) = (word(at.heap_free)?, word(at.mapped_ready)?, word(at.heap_marked)?);
        let (allocated, freed) = (word(at.total_alloc)?, word(at.total_free)?);
        let (Some(free), Some(mapped), Some(marked)) = (free, mapped, marked) else { return Ok(None) };
        let (Some(allocated), Some(freed)) = (allocated, freed) else { return Ok(None) };
        let heap = free.saturating_add(allocated.saturating_sub(freed));
        let others = mapped.saturating_sub(heap).saturating_add(mapped.saturating_sub(limit));
        if others >= limit {
            return Ok(Some(marked));
        }
        let goal = limit - others;
        let share = if self.minor.is_some_and(|minor| minor < 21) { 0 } else { goal / 100 * 3 };
        let headroom = share.max(MIN_HEADROOM_BYTES);
        Ok(Some(goal.saturating_sub(headroom).max(headroom).max(marked)))
    }
}
