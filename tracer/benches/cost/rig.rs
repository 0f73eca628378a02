//! A workload with everything that can be attached to it, and what was measured on it.

use anyhow::Result;

use crate::floor::{Floors, ProbeSet};
use crate::ours::{self, Outcome};
use crate::points::ProbePoints;
use crate::rows::{Row, Rows};
use crate::setting::Setting;
use crate::truth::{self, Truth};
use crate::workload::{Shape, Workload};

/// One workload process, measured in rounds.
pub(crate) struct Rig {
    /// The process.
    pub(crate) workload: Workload,
    /// Where tracer's own plan puts its probes.
    pub(crate) points: ProbePoints,
    /// What was measured.
    pub(crate) rows: Rows,
    floors: Floors,
}

impl Rig {
    /// Starts the process and loads the floors.
    pub(crate) fn start(shape: Shape) -> Result<Self> {
        Self::of(Workload::start(shape)?)
    }

    /// With a process that runs.
    pub(crate) fn of(workload: Workload) -> Result<Self> {
        let points = ProbePoints::of(workload.pid(), workload.allocator())?;
        let floors = Floors::load(&points, workload.pid())?;
        Ok(Self { workload, points, rows: Rows::default(), floors })
    }

    /// One round of nothing, of some floors and of tracer.
    pub(crate) fn round(&mut self, sets: &[ProbeSet], settings: &[Setting], pairs: u64) -> Result<()> {
        self.untraced(pairs)?;
        for set in sets {
            self.floor(*set, pairs)?;
        }
        for setting in settings {
            self.ours(*setting, pairs)?;
        }
        Ok(())
    }

    /// Nothing is attached.
    pub(crate) fn untraced(&mut self, pairs: u64) -> Result<()> {
        self.workload.pass()?;
        self.rows.add(Row::Untraced, self.workload.run(pairs)?.ns_per_pair);
        Ok(())
    }

    /// Empty programs are attached.
    pub(crate) fn floor(&mut self, set: ProbeSet, pairs: u64) -> Result<()> {
        let attached = self.floors.attach(set)?;
        let attach = attached.took;
        let measured = self.workload.pass().and_then(|_| self.workload.run(pairs));
        self.rows.add_floor_ends(set, attach, attached.detach());
        self.rows.add(Row::Floor(set), measured?.ns_per_pair);
        Ok(())
    }

    /// Tracer is attached; its report is held against the truth.
    pub(crate) fn ours(&mut self, setting: Setting, pairs: u64) -> Result<()> {
        let workload = &mut self.workload;
        let shape = workload.shape();
        let outcome = ours::measure(setting, workload.pid(), |tracer| {
            let warm_up = workload.slow_pass(tracer)?;
            Ok((warm_up, workload.run(pairs)?))
        })?;
        match outcome {
            Outcome::Refused(reason) => self.rows.miss(Row::Ours(setting), reason),
            Outcome::Counted(run) => {
                let (warm_up, measured) = run.value;
                let truth = Truth {
                    pairs: warm_up.pairs + measured.pairs,
                    bytes: warm_up.bytes + measured.bytes,
                    shape,
                };
                let differences = truth::differences(&run.report, setting, truth);
                self.rows.add_ours(setting, measured.ns_per_pair, run.ends, differences);
            }
        }
        Ok(())
    }
}
