//! The places of a run and their names, as far as they are known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::namer::{Gone, Namer};
use super::places::Places;
use super::{Located, Place, PlaceId};
use crate::elf::Image;
use crate::frame::Frames;
use crate::target::mappings::MappedFile;

/// Why a frame has no name yet.
pub const NOT_YET: &str = "its symbols are being read";
/// Why it never gets one.
const NEVER: &str = "no symbol: the thread that reads them has failed";

/// Finds places at once, and names them in a thread of its own.
#[derive(Debug, Default)]
pub struct Symbols {
    places: Places,
    names: Vec<Name>,
    namer: Option<Namer>,
    /// Places that were asked for and have no answer yet.
    pending: usize,
    /// Answers so far.
    answered: u64,
    build_ids: HashMap<(u64, u64), Option<String>>,
}

/// What is known of a place.
#[derive(Clone, Debug, Default)]
enum Name {
    #[default]
    NotAsked,
    /// With what is known without a name.
    Asked(Frames),
    Known(Frames),
}

impl Symbols {
    /// From now on the code of a file is one place in all processes: the address of its frames is the offset in the file.
    pub const fn tell_apart_by_file(&mut self) {
        self.places.tell_apart_by_file();
    }

    /// Forgets all places but these and those whose names are being read, and what is known of all files but those.
    pub fn forget(&mut self, places: &HashSet<PlaceId>, files: &HashSet<(u64, u64)>) {
        let Self { places: all, names, .. } = self;
        let is_asked = |id: PlaceId| matches!(names.get(id.index()), Some(Name::Asked(_)));
        for id in all.keep(|id| places.contains(&id) || is_asked(id)) {
            if let Some(name) = self.names.get_mut(id.index()) {
                *name = Name::NotAsked;
            }
        }
        self.build_ids.retain(|identity, _| files.contains(identity));
        if let Some(namer) = &self.namer {
            namer.keep(files.clone());
        }
    }

    /// The number of a place.
    pub fn place(&mut self, located: Located) -> PlaceId {
        self.places.id(located)
    }

    /// Whether a call stands before a place.
    pub(super) fn follows_call(&self, id: PlaceId) -> bool {
        self.places.follows_call(id)
    }

    /// The functions at a return address, those inlined there first, the one that holds the code last; and whether these
    /// are their names. While they are not, they are being looked up.
    pub fn frames(&mut self, id: PlaceId) -> (Frames, bool) {
        if self.names.len() < self.places.len() {
            self.names.resize_with(self.places.len(), Name::default);
        }
        match &self.names[id.index()] {
            Name::Known(frames) => (Arc::clone(frames), true),
            Name::Asked(frames) => (Arc::clone(frames), false),
            Name::NotAsked => {
                let name = self.ask(id);
                self.names[id.index()] = name;
                self.frames(id)
            }
        }
    }

    fn ask(&mut self, id: PlaceId) -> Name {
        let located = self.places.located(id);
        let bare = |reason| Frames::from([Arc::new(located.without_name(reason))]);
        if matches!(located.place, Place::Elsewhere { .. }) {
            return Name::Known(bare(NEVER));
        }
        if self.namer.is_none() {
            self.namer = Namer::start();
        }
        match self.namer.as_ref().map(|namer| namer.ask(id, located.clone())) {
            Some(Ok(())) => {
                self.pending += 1;
                Name::Asked(bare(NOT_YET))
            }
            Some(Err(Gone)) | None => Name::Known(bare(NEVER)),
        }
    }

    /// Takes the names that were found since the last time.
    pub fn take_names(&mut self) {
        while self.pending > 0 {
            match self.namer.as_ref().map_or(Err(Gone), Namer::answer) {
                Ok(Some((id, frames))) => self.name(id, frames),
                Ok(None) => return,
                Err(Gone) => self.give_up(),
            }
        }
    }

    /// Waits for all names that were asked for.
    pub fn wait(&mut self) {
        while self.pending > 0 {
            match self.namer.as_ref().map_or(Err(Gone), Namer::wait) {
                Ok((id, frames)) => self.name(id, frames),
                Err(Gone) => self.give_up(),
            }
        }
    }

    fn name(&mut self, id: PlaceId, frames: Frames) {
        self.names[id.index()] = Name::Known(frames);
        self.pending -= 1;
        self.answered += 1;
    }

    /// What has no name never gets one.
    fn give_up(&mut self) {
        for index in 0..self.names.len() {
            if matches!(self.names[index], Name::Asked(_)) {
                let located = self.places.located(PlaceId::at(index));
                self.names[index] = Name::Known([Arc::new(located.without_name(NEVER))].into());
            }
        }
        self.pending = 0;
        self.answered += 1;
    }

    /// Places that wait for their names.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.pending
    }

    /// A number that grows when names were found.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    /// Build-id of a file.
    pub fn build_id(&mut self, file: &MappedFile) -> Option<String> {
        let open = || {
            let image = Image::open(file.file.try_clone().ok()?).ok()?;
            image.build_id().map(str::to_owned)
        };
        self.build_ids.entry(file.identity).or_insert_with(open).clone()
    }
}
