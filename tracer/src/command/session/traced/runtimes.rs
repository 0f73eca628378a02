//! What the runtimes of a process's images say.

use super::super::go::{Calls, GoHeap};
use super::Traced;
use crate::model::snapshot::Gc;
use crate::target::mappings::Mappings;

impl Traced {
    /// Reads what Go's runtime says by now.
    pub(in crate::command::session) fn look_at_runtime(&mut self, with_profile: bool) {
        let is_there = self.counting && self.ended.is_none();
        if let Some(go) = self.images.last_mut().filter(|_| is_there).and_then(|image| image.go.as_mut()) {
            go.look(with_profile);
        }
    }

    /// The stacks that Go's runtime has named since the last time, with the mappings of their image.
    pub(in crate::command::session) fn take_runtime_stacks(
        &mut self,
    ) -> impl Iterator<Item = (Vec<Calls>, &Mappings)> {
        self.images.iter_mut().filter_map(|image| Some((image.go.as_mut()?.take_stacks(), &image.mappings)))
    }

    /// What its collectors have done since counting began, those of earlier images too.
    pub(in crate::command::session) fn collections(&self) -> Option<Gc> {
        let started = self.target.started_unix_seconds();
        let images = self.images.iter().filter_map(|image| image.go.as_ref()?.gc(started));
        images.reduce(|earlier, later| later.after(&earlier))
    }

    /// The keys of all stacks of its runtimes.
    pub(in crate::command::session) fn runtime_keys(&self) -> impl Iterator<Item = u64> {
        self.images.iter().filter_map(|image| image.go.as_ref()).flat_map(GoHeap::keys)
    }
}
