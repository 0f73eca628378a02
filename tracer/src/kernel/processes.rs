//! The lives of processes, as the kernel side reports them: whom it follows, what it could not report.

use std::fs::File;

use aya::Pod;
use aya::maps::{MapData, MapError, PerCpuArray, PerCpuValues};
use tracer_ebpf::abi::{Followed, FunctionTotals, SlotTotals, slot_place};

use super::attach::{self, Links};
use super::{Kernel, KernelError, NoticeRing, map_error};

impl Kernel {
    /// Follows the life of a process: its execs, forks and library loads are noticed.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn follow(&mut self, tgid: u32, followed: Followed) -> Result<(), KernelError> {
        self.followed.insert(&tgid, &followed, 0).map_err(|error| map_error("FOLLOWED", &error))
    }

    /// The slot that counts for a followed process; `None` since its last exec.
    #[must_use]
    pub fn slot_of(&self, tgid: u32) -> Option<u32> {
        self.followed.get(&tgid, 0).ok().map(|followed| followed.slot).filter(|&slot| slot != u32::MAX)
    }

    /// Whether anything of a slot is counted in its overflow record.
    #[must_use]
    pub fn has_overflowed(&self, slot: u32) -> bool {
        self.sites.read(slot_place(slot)).allocated.objects_q16 > 0
    }

    /// Makes the counts of a slot's place zero, once they are known and no program counts there any more.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn clear_slot(&mut self, slot: u32, totals: impl Iterator<Item = u32>) -> Result<(), KernelError> {
        for index in totals {
            zero(&mut self.function_totals, index, FunctionTotals::ZERO)
                .map_err(|error| map_error("FUNCTION_TOTALS", &error))?;
        }
        zero(&mut self.slot_totals, slot_place(slot), SlotTotals::ZERO)
            .map_err(|error| map_error("SLOT_TOTALS", &error))
    }

    /// Notices of processes that were lost so far.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn lost_notices(&self) -> Result<u64, KernelError> {
        self.process_events_lost.get(&0, 0).map_err(|error| map_error("PROCESS_EVENTS_LOST", &error))
    }

    /// Forgets a process that has ended: its pid may come to mean another one.
    pub fn unfollow(&mut self, tgid: u32) {
        // It may never have been followed.
        let _ = self.followed.remove(&tgid);
    }

    /// Attaches to the loader's rendezvous function, to learn when libraries are loaded.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn attach_rendezvous(
        &mut self,
        pid: u32,
        loader: &File,
        file_offset: u64,
    ) -> Result<Links, KernelError> {
        attach::rendezvous(&mut self.ebpf, self.kind, pid, loader, file_offset)
    }

    /// Attaches to the exec and fork of every process; only the followed ones are reported.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn attach_process_events(&mut self) -> Result<(), KernelError> {
        attach::process_events(&mut self.ebpf)
    }

    /// The ring buffer of process events, once.
    pub fn take_process_events(&mut self) -> Option<NoticeRing> {
        self.process_events.take()
    }
}

/// Makes an entry zero on every processor.
fn zero<T: Pod>(map: &mut PerCpuArray<MapData, T>, index: u32, zero: T) -> Result<(), MapError> {
    let processors = map.get(&index, 0)?.len();
    map.set(index, PerCpuValues::try_from(vec![zero; processors])?, 0)
}
