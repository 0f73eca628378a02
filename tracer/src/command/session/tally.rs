//! What the daemon looks at each second: the numbers of every process, without its call sites; and what it changes.

use super::Session;
use std::collections::BTreeMap;

use super::report::{self, Scope};
use super::traced::Traced;
use crate::command::Failure;
use crate::mode::{Mode, Tracing};
use crate::model::tally::{self, Tally};
use crate::options::TraceOptions;

const LIVE_IS_UNSAFE: &str = "mode alloc is used for processes under a seccomp filter: this kernel kills them at a return probe \
                              (Linux 6.11 to 6.13.2)";

/// How a process stands beside its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How it is traced.
    pub tracing: Tracing,
    /// Probes that are in place.
    pub probes: u64,
}

impl Session {
    /// The numbers of every process. Those that are over are there for the last time: [`Self::forget_processes`] is next.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn tally(&mut self, options: &TraceOptions) -> Result<Vec<(Tally, Standing)>, Failure> {
        self.free_slots();
        let moment = report::moment(self, options, Scope::Sums)?;
        let tallies = tally::of(&moment).into_iter().zip(&self.traced);
        let with_standing = |(tally, traced): (Tally, &Traced)| {
            let tally = Tally { has_ended: !traced.is_running(), is_over: traced.is_over(), ..tally };
            (tally, Standing { tracing: traced.tracing, probes: traced.probes() })
        };
        Ok(tallies.map(with_standing).collect())
    }

    /// Traces a process in another way from now on; false if its probes must be placed anew for that.
    pub fn retrace(&mut self, pid: u32, tracing: Tracing) -> bool {
        let Some(index) = self.traced.iter().rposition(|traced| traced.pid() == pid) else { return true };
        let tracing = self.allowed(self.traced[index].is_filtered(), tracing);
        let (kernel, traced) = (&self.kernel, &mut self.traced[index]);
        if (traced.tracing.mode, traced.tracing.go) != (tracing.mode, tracing.go) {
            return false;
        }
        if traced.tracing.sample_bytes != tracing.sample_bytes {
            traced.set_sample_bytes(kernel, tracing.sample_bytes);
        }
        true
    }

    /// Mode `live` is refused for what a return probe would kill.
    pub(super) fn allowed(&mut self, is_filtered: bool, tracing: Tracing) -> Tracing {
        if self.is_live_safe || tracing.mode != Mode::Live || !is_filtered {
            return tracing;
        }
        self.note(LIVE_IS_UNSAFE.to_owned());
        Tracing { mode: Mode::Alloc, ..tracing }
    }

    /// Measures what a hit costs here, in both modes; where a return probe may kill, not that of one.
    pub fn calibrate_all(&mut self) {
        self.calibrate_mode(Mode::Alloc);
        if self.is_live_safe {
            self.calibrate_mode(Mode::Live);
        }
        self.forget_calibration();
    }

    /// Probes that could not be placed, by reason.
    #[must_use]
    pub const fn attach_failures(&self) -> &BTreeMap<String, u64> {
        &self.attach_failures
    }

    /// Records that this version does not know.
    #[must_use]
    pub const fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    /// What a reader should know.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        report::notes(self)
    }

    /// Call stacks and blocks that are kept, and how many have room, by the map's name.
    #[must_use]
    pub fn fill(&self) -> [(&'static str, (u64, u64)); 2] {
        [
            ("stacks", (self.kernel.stacks_taken(), u64::from(self.max_stacks))),
            ("slots", (self.slots.taken(), u64::from(super::calibrate::SLOT))),
        ]
    }
}
