//! Places that return addresses lie at, each kept once: a stack is a list of their numbers, and what is known of
//! one is found out once.

use std::collections::HashMap;
use std::sync::Arc;

use super::call_site;
use crate::frame::Frame;
use crate::target::mappings::{Backing, MappedFile, Mapping};

/// The number of a [`Located`] in [`Places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(u32);

impl PlaceId {
    /// The place of an index.
    pub(super) const fn at(index: usize) -> Self {
        Self(index as u32)
    }

    /// Places are numbered from 0.
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a return address lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a file, at an offset.
    File {
        /// The file.
        file: Arc<MappedFile>,
        /// Offset of the address in it.
        file_offset: u64,
    },
    /// In no file that can be read.
    Elsewhere {
        /// What stands there.
        module: Option<Arc<str>>,
        /// Why there is no name.
        reason: &'static str,
    },
}

impl Place {
    /// The place of an address in the mapping that holds it, if there is one.
    pub(super) fn of(address: u64, mapping: Option<&Mapping>) -> Self {
        let elsewhere =
            |module: Option<&str>, reason| Self::Elsewhere { module: module.map(Arc::from), reason };
        let Some(mapping) = mapping else { return elsewhere(None, "not mapped when it was read") };
        match &mapping.backing {
            Backing::File(file) => Self::File {
                file: Arc::clone(file),
                file_offset: address - mapping.start + mapping.file_offset,
            },
            Backing::Unopened { path, .. } => elsewhere(Some(path), "the file could not be opened"),
            Backing::Vdso => elsewhere(Some("[vdso]"), "kernel code in the process"),
            Backing::Uprobes => elsewhere(Some("[uprobes]"), "the kernel's probe page"),
            Backing::Anonymous => elsewhere(Some("[anonymous]"), "code written at run time"),
        }
    }

    fn follows_call(&self) -> bool {
        match self {
            Self::File { file, file_offset } => {
                call_site::stands_before(&file.file, *file_offset)
                    || call_site::ends_goroutine(&file.file, *file_offset)
            }
            Self::Elsewhere { .. } => false,
        }
    }
}

/// What the address of a frame says of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// A call returns to it: all functions whose code that call is are meant, those that were inlined there too.
    Return,
    /// A signal interrupted it there: no call stands before it.
    Interrupted,
    /// One call of the source, as a runtime has recorded it: one byte behind an instruction of it. Calls that were inlined
    /// have addresses of their own, so the innermost function alone is meant (`tracebackPCs` in Go's `runtime/traceback.go`).
    RecordedCall,
}

/// Where the code of a frame goes on, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Located {
    /// In the process.
    pub address: u64,
    /// What it says.
    pub kind: AddressKind,
    /// Where it lies.
    pub place: Place,
}

impl Located {
    /// What is known without its file's symbols; a place in no file has a reason of its own.
    pub(super) fn without_name(&self, reason: &str) -> Frame {
        let address = format!("{:#x}", self.address);
        let (module, file_offset, reason) = match &self.place {
            Place::Elsewhere { module, reason } => (module.as_deref(), None, *reason),
            Place::File { file, file_offset } => (Some(file.path.as_str()), Some(*file_offset), reason),
        };
        Frame {
            address,
            module: module.map(str::to_owned),
            file_offset,
            reason: Some(reason.to_owned()),
            ..Frame::default()
        }
    }
}

/// Every place that was seen so far.
#[derive(Debug, Default)]
pub(super) struct Places {
    all: Vec<Entry>,
    ids: HashMap<Located, PlaceId>,
    /// Those that are forgotten.
    free: Vec<PlaceId>,
    /// The code of a file is one place, in whatever process and at whatever address it lies.
    by_file: bool,
}

#[derive(Debug)]
struct Entry {
    located: Located,
    /// A call stands before it: read from the file once.
    follows_call: bool,
}

impl Places {
    /// From now on the address of what lies in a file is its offset there.
    pub(super) const fn tell_apart_by_file(&mut self) {
        self.by_file = true;
    }

    pub(super) fn id(&mut self, mut located: Located) -> PlaceId {
        if self.by_file
            && let Place::File { file_offset, .. } = located.place
        {
            located.address = file_offset;
        }
        if let Some(&id) = self.ids.get(&located) {
            return id;
        }
        // What a runtime has recorded stands behind any instruction: nobody asks.
        let follows_call = located.kind != AddressKind::RecordedCall && located.place.follows_call();
        let entry = Entry { follows_call, located: located.clone() };
        let id = match self.free.pop() {
            Some(id) => {
                self.all[id.index()] = entry;
                id
            }
            None => {
                self.all.push(entry);
                PlaceId::at(self.all.len() - 1)
            }
        };
        self.ids.insert(located, id);
        id
    }

    /// Forgets all but these; those that were forgotten. Nobody may have their numbers any more.
    pub(super) fn keep(&mut self, is_used: impl Fn(PlaceId) -> bool) -> Vec<PlaceId> {
        let mut gone = Vec::new();
        self.ids.retain(|_, id| {
            let stays = is_used(*id);
            if !stays {
                gone.push(*id);
            }
            stays
        });
        for id in &gone {
            // What it held, a file above all, goes at once.
            let place = Place::Elsewhere { module: None, reason: "forgotten" };
            let located = Located { address: 0, kind: AddressKind::Return, place };
            self.all[id.index()] = Entry { located, follows_call: false };
        }
        self.free.extend_from_slice(&gone);
        gone
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// The ids come from [`Self::id`]: there is no other.
    pub(super) fn located(&self, id: PlaceId) -> &Located {
        &self.all[id.0 as usize].located
    }

    pub(super) fn follows_call(&self, id: PlaceId) -> bool {
        self.all[id.0 as usize].follows_call
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_number() {
        let located = |address, reason| Located {
            address,
            kind: AddressKind::Return,
            place: Place::Elsewhere { module: None, reason },
        };
        let mut places = Places::default();
        let first = places.id(located(1, "a"));
        assert_ne!(first, places.id(located(2, "a")));
        assert_ne!(first, places.id(located(1, "b")), "another program may lie there after an exec");
        assert_eq!(first, places.id(located(1, "a")));
        assert_eq!(places.located(first), &located(1, "a"));
        let recorded = Located { kind: AddressKind::RecordedCall, ..located(1, "a") };
        assert_ne!(first, places.id(recorded), "there it is one function, here all that were inlined");
    }

    #[test]
    fn a_place_that_is_forgotten_gives_its_number_to_another() {
        let located = |address| Located {
            address,
            kind: AddressKind::Return,
            place: Place::Elsewhere { module: None, reason: "made up" },
        };
        let mut places = Places::default();
        let (first, second) = (places.id(located(1)), places.id(located(2)));
        assert_eq!(places.keep(|id| id == second), [first]);
        assert_eq!(places.id(located(2)), second);
        assert_eq!(places.id(located(3)), first);
        assert_ne!(places.id(located(1)), first);
    }

    #[test]
    fn code_of_a_file_is_one_place_in_all_processes_if_places_are_told_apart_by_file() {
        let file = std::fs::File::open("/proc/self/exe").expect("this program can be opened");
        let file = MappedFile { file, path: "/made/up".to_owned(), identity: (1, 2), root: None };
        let file = Arc::new(file);
        let located = |address| Located {
            address,
            kind: AddressKind::Return,
            place: Place::File { file: Arc::clone(&file), file_offset: 16 },
        };
        let mut places = Places::default();
        assert_ne!(places.id(located(0x1010)), places.id(located(0x2010)));
        places.tell_apart_by_file();
        let id = places.id(located(0x3010));
        assert_eq!(places.id(located(0x4010)), id);
        assert_eq!(places.located(id).address, 16);
    }
}
