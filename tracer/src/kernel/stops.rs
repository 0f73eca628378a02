//! Stops of the world by Go's runtimes: their probes, and what the programs count of them.

use std::fs::File;

use tracer_ebpf::abi::{StopSetup, StopSlot, StopTotals, slot_place};

use super::attach::{EntryPoint, Links, attach_set};
use super::{Kernel, KernelError, map_error};

/// Its name in the object.
const MAP: &str = "STOPS";

impl Kernel {
    /// Says where the programs find what they need in a slot's process; nothing of it is counted yet.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn set_stops(&mut self, slot: u32, setup: StopSetup) -> Result<(), KernelError> {
        let set = self.stops.set(slot_place(slot), &StopSlot::new(setup), 0);
        set.map_err(|error| map_error(MAP, &error))
    }

    /// Attaches to the functions of a runtime that collect, stop the world and let it go on.
    ///
    /// # Errors
    ///
    /// The kernel's refusal; nothing is attached then.
    pub fn attach_stops(
        &mut self,
        pid: u32,
        object: &File,
        points: &[EntryPoint],
    ) -> Result<Links, KernelError> {
        let points: Vec<_> = points.iter().map(|point| (point.file_offset, point.cookie)).collect();
        attach_set(&mut self.ebpf, "world_stop", self.kind, pid, object, &points)
    }

    /// What was counted of the stops of a slot.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn stops(&self, slot: u32) -> Result<StopTotals, KernelError> {
        let stops = self.stops.get(&slot_place(slot), 0).map_err(|error| map_error(MAP, &error))?;
        Ok(stops.totals)
    }
}
