//! What happens to the processes of a session: they begin to count, load libraries, execute another program, end.

use super::Session;
use super::leave::Leaving;
use super::traced::Traced;
use crate::command::Failure;
use crate::command::events::Events;
use crate::kernel::attach::Links;
use crate::model::node::TargetId;
use crate::target::{Target, loader};

impl Session {
    /// Learns of the execs, forks and library loads of processes from now on.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or the reader cannot be started.
    pub fn watch_processes(&mut self, events: &Events) -> Result<(), Failure> {
        if let Some(unwinding) = &self.unwinding {
            unwinding.tell(events.tables());
        }
        self.kernel.attach_process_events()?;
        if let Some(ring) = self.kernel.take_process_events() {
            events.take_notices(ring).map_err(anyhow::Error::from)?;
        }
        Ok(())
    }

    /// Adds a process that the user named.
    ///
    /// # Errors
    ///
    /// As [`Self::add`].
    pub fn add_given(&mut self, target: Target) -> Result<(), Failure> {
        self.given.insert(target.pid);
        self.add(target, 0)
    }

    /// Whether the user named another process, and this one came from it or was selected.
    #[must_use]
    pub fn is_child(&self, pid: u32) -> bool {
        !self.given.contains(&pid)
    }

    /// The last process that had this pid.
    pub(super) fn last_with(&mut self, pid: u32) -> Option<&mut Traced> {
        self.traced.iter_mut().rev().find(|traced| traced.pid() == pid)
    }

    /// Whether the process is traced, or was until it executed another program.
    #[must_use]
    pub fn is_traced(&self, pid: u32) -> bool {
        self.traced.iter().rev().find(|traced| traced.pid() == pid).is_some_and(Traced::is_running)
    }

    /// Which process has this pid, of those that are traced.
    #[must_use]
    pub fn id_of(&self, pid: u32) -> Option<TargetId> {
        self.traced.iter().rev().find(|traced| traced.pid() == pid).map(Traced::id)
    }

    /// Whether the process has executed another program since it was attached to.
    #[must_use]
    pub fn has_executed(&self, pid: u32) -> bool {
        let traced = self.traced.iter().rev().find(|traced| traced.pid() == pid);
        let slot = traced.and_then(|traced| traced.images.last()).map(|image| image.slot);
        slot.is_some() && self.kernel.slot_of(pid) != slot
    }

    /// Begins to count in a process that was just added. One that has executed another program while it was attached to
    /// does not: its notice is on the way.
    pub fn begin(&mut self, pid: u32) {
        self.count();
        if self.has_executed(pid)
            && let Some(image) = self.traced.iter().rev().find(|traced| traced.pid() == pid)
            && let Some(slot) = image.images.last().map(|image| image.slot)
        {
            self.kernel.set_counting(slot, false);
        }
    }

    /// Whether any process was counted in so far.
    #[must_use]
    pub fn has_counted(&self) -> bool {
        self.counting_since.is_some()
    }

    /// Begins to count in all processes that were added.
    pub fn begin_all(&mut self) {
        for pid in self.pids() {
            self.begin(pid);
        }
    }

    /// Learns of the libraries that all processes load.
    pub fn watch_all_mappings(&mut self) {
        for pid in self.pids() {
            self.watch_mappings(pid);
        }
    }

    /// The processes that are traced.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.traced.iter().filter(|traced| traced.is_running()).map(Traced::pid).collect()
    }

    /// Learns when the loader of a process, which goes on meanwhile, changes its mappings.
    pub fn watch_mappings(&mut self, pid: u32) {
        let mut known = std::mem::take(&mut self.loaders);
        let rendezvous = self.last_with(pid).and_then(|traced| {
            let slot = traced.images.last()?.slot;
            loader::rendezvous(pid, traced.code_of(slot)?.mappings, &mut known)
        });
        self.loaders = known;
        let Some((file, file_offset)) = rendezvous else { return };
        match self.kernel.attach_rendezvous(pid, &file.file, file_offset) {
            Ok(links) => {
                self.watch_loader(pid, links);
                // What it has loaded since its mappings were read.
                self.mappings_changed(pid);
            }
            // A process that has ended loads nothing.
            Err(_) if !self.is_traced(pid) => {}
            Err(error) => self.note(format!("libraries that process {pid} loads are seen late: {error}")),
        }
    }

    /// Keeps the probe on the loader of a process.
    pub fn watch_loader(&mut self, pid: u32, links: Links) {
        if let Some(traced) = self.last_with(pid) {
            traced.watch_loader(links);
        }
    }

    /// Whether all targets have ended.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        self.traced.iter().all(|traced| !traced.is_running())
    }

    /// Notes that a process has ended: its probes go, its counts stay.
    pub fn ended(&mut self, pid: u32, how: &str) {
        self.kernel.unfollow(pid);
        self.given.remove(&pid);
        if let Some(traced) = self.last_with(pid) {
            traced.update_usage();
            traced.end(how);
        }
        self.leave(pid);
    }

    /// Removes the probes of a process without waiting for that.
    fn leave(&mut self, pid: u32) {
        let Some(traced) = self.last_with(pid) else { return };
        let Some(image) = traced.images.last() else { return };
        let (slot, is_kept) = (image.slot, image.last_counts.is_some());
        let removal = traced.take_links().detach_later();
        if is_kept {
            return;
        }
        // The probes go on for up to a second: what may count for the process by then is another slot.
        self.kernel.set_counting(slot, false);
        if self.gone.is_some() {
            self.kernel.forget_calls(pid);
        }
        self.leaving.push(Leaving { slot, removal });
    }

    /// Notes that a process is not to be traced, or no more; one that is not may have been followed.
    pub fn left(&mut self, pid: u32, how: &str) {
        if !self.is_traced(pid) {
            return self.kernel.unfollow(pid);
        }
        if !self.is_child(pid) {
            self.note(format!("process {pid} {how}: the report ends there"));
        }
        self.ended(pid, how);
    }

    /// Notes that a process has executed another program: the heap of the old one is gone.
    pub fn replaced(&mut self, pid: u32) {
        self.leave(pid);
        if let Some(traced) = self.last_with(pid) {
            traced.executed();
        }
    }
}
