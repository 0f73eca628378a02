//! What the runtimes of a process's images say.

use std::collections::BTreeSet;

use super::super::go::{Calls, GoHeap, Stops};
use super::{ImageState, Traced};
use crate::kernel::Kernel;
use crate::kernel::attach::Links;
use crate::model::snapshot::Gc;
use crate::symbolize::{PlaceId, Symbols};
use crate::target::mappings::Mappings;

impl ImageState {
    /// Whether all files were mapped when it was last looked at.
    pub(in crate::command::session) fn has_all(&self, mappings: &Mappings) -> bool {
        let known: BTreeSet<_> = self.mappings.files().into_iter().map(|file| file.identity).collect();
        mappings.files().iter().all(|file| known.contains(&file.identity))
    }
}

impl Traced {
    /// Reads what Go's runtime says by now.
    pub(in crate::command::session) fn look_at_runtime(&mut self, with_profile: bool) {
        let is_there = self.counting && self.ended.is_none();
        if let Some(go) = self.images.last_mut().filter(|_| is_there).and_then(|image| image.go.as_mut()) {
            go.look(with_profile);
        }
    }

    /// A runtime that the present image has got since it was attached to.
    pub(in crate::command::session) fn take_runtime(&mut self, mut go: GoHeap) {
        let Some(image) = self.images.last_mut().filter(|image| !image.ended) else { return };
        if image.counting {
            go.begin();
        }
        image.go = Some(go);
    }

    /// The stacks that Go's runtime has named since the last time, with the mappings of their image.
    pub(in crate::command::session) fn take_runtime_stacks(
        &mut self,
    ) -> impl Iterator<Item = (Vec<Calls>, &Mappings)> {
        self.images.iter_mut().filter_map(|image| Some((image.go.as_mut()?.take_stacks(), &image.mappings)))
    }

    /// The stops of the world of the present image, and its slot.
    pub(in crate::command::session) fn stops_of_image(&mut self) -> Option<(u32, &mut Stops)> {
        let image = self.images.last_mut()?;
        Some((image.slot, &mut image.go.as_mut()?.stops))
    }

    /// The stops of the world of the image that has a slot.
    pub(in crate::command::session) fn stops_of(&mut self, slot: u32) -> Option<&mut Stops> {
        let image = self.images.iter_mut().find(|image| image.slot == slot)?;
        Some(&mut image.go.as_mut()?.stops)
    }

    /// Keeps further probes of the present image in place.
    pub(in crate::command::session) fn hold(&mut self, links: Links) {
        if let Some(image) = self.images.last_mut() {
            image.links.extend(links);
        }
    }

    /// Reads what was counted of the stops of the world, as long as its slots are its own.
    pub(in crate::command::session) fn read_stops(&mut self, kernel: &Kernel) {
        for image in self.images.iter_mut().filter(|image| image.last_counts.is_none()) {
            if let Some(go) = &mut image.go {
                go.stops.read(kernel, image.slot);
            }
        }
    }

    /// The places of the stacks of its long stops.
    pub(in crate::command::session) fn stop_places(&self) -> impl Iterator<Item = PlaceId> {
        self.images.iter().filter_map(|image| image.go.as_ref()).flat_map(|go| go.stops.places())
    }

    /// What its collectors have done since counting began, those of earlier images too.
    pub(in crate::command::session) fn collections(&self, symbols: &mut Symbols) -> Option<Gc> {
        let started = self.target.started_unix_seconds();
        let images = self.images.iter().filter_map(|image| {
            let go = image.go.as_ref()?;
            Some(Gc { stops: go.stops.describe(symbols), ..go.gc(started)? })
        });
        images.reduce(|earlier, later| later.after(&earlier))
    }

    /// The keys of all stacks of its runtimes.
    pub(in crate::command::session) fn runtime_keys(&self) -> impl Iterator<Item = u64> {
        self.images.iter().filter_map(|image| image.go.as_ref()).flat_map(GoHeap::keys)
    }
}
