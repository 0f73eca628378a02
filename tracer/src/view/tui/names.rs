//! What the stacks of a run are called, found out once per stack: names are long, and a refresh has thousands of
//! stacks.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::snapshot::{CallSite, Frame, Frames};
use crate::view::frame;

/// The number of a [`Function`] in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FunctionId(u32);

/// A function, wherever in it an allocation happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name, or what stands for it.
    pub(super) name: String,
    /// Last part of its file's path; empty if it is in none.
    pub(super) module: String,
}

/// What is known of one stack.
#[derive(Clone, Debug)]
pub(super) struct StackNames {
    /// Of each frame, leaf first.
    pub(super) functions: Arc<[FunctionId]>,
    /// The frame that tells most ([`frame::telling`]).
    pub(super) telling: Option<usize>,
}

/// Numbers of sites beyond this are no run's: a document may say anything.
const SITES_MAX: u32 = 1 << 24;

/// What is known of one frame.
#[derive(Clone, Copy, Debug)]
struct KnownFrame {
    function: FunctionId,
    tells: frame::Tells,
}

/// Of all stacks of a run.
#[derive(Debug, Default)]
pub(super) struct Names {
    functions: Vec<Function>,
    ids: HashMap<(String, String), FunctionId>,
    /// By the number of the site.
    stacks: Vec<Option<(Frames, StackNames)>>,
    /// By the address of a frame of these stacks, which are kept alive there: most stacks pass the same ones.
    frames: HashMap<usize, KnownFrame>,
}

impl Names {
    /// Learns the stacks of a snapshot that are new, or have got names.
    pub(super) fn update(&mut self, sites: &[CallSite]) {
        let most = sites.iter().map(|site| site.id).max().map_or(0, |id| id.min(SITES_MAX) as usize + 1);
        if self.stacks.len() < most {
            self.stacks.resize(most, None);
        }
        let mut has_replaced = false;
        for site in sites.iter().filter(|site| self.of(site).is_none()).collect::<Vec<_>>() {
            let names = self.names_of(&site.frames);
            if let Some(place) = self.stacks.get_mut(site.id as usize) {
                has_replaced |= place.replace((Arc::clone(&site.frames), names)).is_some();
            }
        }
        if has_replaced {
            // Other frames may come to lie where those were.
            self.frames.clear();
        }
    }

    /// Of a site that [`Self::update`] has seen.
    pub(super) fn of(&self, site: &CallSite) -> Option<&StackNames> {
        let (frames, names) = self.stacks.get(site.id as usize)?.as_ref()?;
        Arc::ptr_eq(frames, &site.frames).then_some(names)
    }

    /// The ids come from here: there is no other.
    pub(super) fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.0 as usize]
    }

    /// How many functions there are: their ids are below.
    pub(super) fn len(&self) -> usize {
        self.functions.len()
    }

    fn names_of(&mut self, frames: &Frames) -> StackNames {
        let known: Vec<KnownFrame> = frames.iter().map(|frame| self.frame(frame)).collect();
        StackNames {
            functions: known.iter().map(|frame| frame.function).collect(),
            telling: frame::most_telling(known.iter().map(|frame| frame.tells)),
        }
    }

    fn frame(&mut self, frame: &Arc<Frame>) -> KnownFrame {
        let key = Arc::as_ptr(frame).addr();
        if let Some(&known) = self.frames.get(&key) {
            return known;
        }
        let known = KnownFrame { function: self.id_of(frame), tells: frame::tells(frame) };
        self.frames.insert(key, known);
        known
    }

    fn id_of(&mut self, frame: &Frame) -> FunctionId {
        let module = frame.module.as_deref().map(frame::basename).unwrap_or_default();
        let key = (frame::printable(&frame::name(frame)), frame::printable(module));
        if let Some(&id) = self.ids.get(&key) {
            return id;
        }
        let id = FunctionId(self.functions.len() as u32);
        self.functions.push(Function { name: key.0.clone(), module: key.1.clone() });
        self.ids.insert(key, id);
        id
    }
}

impl FunctionId {
    /// The function at a place, which is one that [`Self::index`] gave.
    pub(super) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Its place among all functions.
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}
