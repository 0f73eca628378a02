//! What sessions are looked at by: pictures of this moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Session;
use super::report::{self, Records, Scope};
use super::traced::Traced;
use crate::command::Failure;
use crate::frame::Frame;
use crate::model::node::TargetId;
use crate::model::snapshot::{CallSite, Snapshot};
use crate::options::TraceOptions;
use crate::target::mappings::Mappings;

impl Session {
    /// Keeps rates, trends and timelines from now on.
    pub fn keep_history(&mut self, interval: Duration) {
        self.model.keep_history(report::mode_of_probes(self, &|_| true, self.tracing.mode), interval);
    }

    /// The picture of this moment, with the names that are known by now, its sites in no order.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn glance(&mut self, options: &TraceOptions) -> Result<Snapshot, Failure> {
        let moment = report::moment(self, options, Scope::All)?;
        Ok(self.model.snapshot(moment, &options.filter, &mut self.symbols))
    }

    /// The picture of this moment, with all names: that may take seconds.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn snapshot(&mut self, options: &TraceOptions) -> Result<Snapshot, Failure> {
        let moment = report::moment(self, options, Scope::All)?;
        self.model.read_names(&moment, &options.filter, &mut self.symbols);
        let mut snapshot = self.model.snapshot(moment, &options.filter, &mut self.symbols);
        snapshot.sort_sites();
        Ok(snapshot)
    }

    /// The picture of this moment without call sites.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn overview(&mut self, options: &TraceOptions) -> Result<Snapshot, Failure> {
        let moment = report::moment(self, options, Scope::Sums)?;
        Ok(self.model.snapshot(moment, &options.filter, &mut self.symbols))
    }

    /// What [`Self::glance_among`] needs for many processes, one after the other.
    #[must_use]
    pub fn records(&mut self, options: &TraceOptions) -> Records {
        report::records(self, options)
    }

    /// The picture of one process, with the names that are known by now; `None` if it is not traced.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn glance_at(&mut self, id: TargetId, options: &TraceOptions) -> Result<Option<Snapshot>, Failure> {
        let mut snapshot = self.glance_in(id, None, options)?;
        if let (Some(snapshot), Some(traced)) = (&mut snapshot, self.traced_by(id)) {
            place_frames(&mut snapshot.sites, traced.mappings());
        }
        Ok(snapshot)
    }

    /// The same for one of many; where code of a file is one place in all processes, the address of a frame is its offset.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn glance_among(
        &mut self,
        id: TargetId,
        records: &Records,
        options: &TraceOptions,
    ) -> Result<Option<Snapshot>, Failure> {
        self.glance_in(id, Some(records), options)
    }

    fn glance_in(
        &mut self,
        id: TargetId,
        records: Option<&Records>,
        options: &TraceOptions,
    ) -> Result<Option<Snapshot>, Failure> {
        if self.traced_by(id).is_none() {
            return Ok(None);
        }
        let moment = report::moment(self, options, Scope::One(id, records))?;
        Ok(Some(self.model.snapshot(moment, &options.filter, &mut self.symbols)))
    }

    fn traced_by(&self, id: TargetId) -> Option<&Traced> {
        self.traced.iter().find(|traced| traced.id() == id && traced.is_running())
    }
}

/// Gives the frames the addresses that they have in a process: those that lie in a file it has mapped.
fn place_frames(sites: &mut [CallSite], mappings: Option<&Mappings>) {
    let mut placed: HashMap<*const Frame, Arc<Frame>> = HashMap::new();
    let place = |frame: &Arc<Frame>| {
        let address =
            mappings.and_then(|mappings| mappings.address_in(frame.module.as_deref()?, frame.file_offset?));
        match address {
            Some(address) => Arc::new(Frame { address: format!("{address:#x}"), ..Frame::clone(frame) }),
            None => Arc::clone(frame),
        }
    };
    for site in sites {
        let frames = site
            .frames
            .iter()
            .map(|frame| Arc::clone(placed.entry(Arc::as_ptr(frame)).or_insert_with(|| place(frame))));
        site.frames = frames.collect();
    }
}
