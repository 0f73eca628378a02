//! The call stacks of all processes, each kept once, and what they are called: a hundred processes of one program have
//! the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::Filter;
use crate::frame::{Frame, Frames};
use crate::symbolize::{PlaceId, Symbols};

/// The functions that a thread begins in (glibc and musl), or a goroutine (Go returns to `runtime.goexit` from all of them,
/// the main one calls `main.main` from `runtime.main`): a stack that reaches one is whole. Go's own stacks end at what its
/// sources mark `TOPFRAME` (`runtime/asm_amd64.s`), those of its threads without cgo in `runtime.clone`.
const THREAD_STARTS: [&str; 15] = [
    "_start",
    "__libc_start_main",
    "libc_start_main_stage2",
    "__libc_start_call_main",
    "__libc_start_main_impl",
    "start_thread",
    "clone",
    "clone3",
    "__clone3",
    "_dl_start_user",
    "runtime.goexit",
    "runtime.main",
    "runtime.mstart",
    "runtime.rt0_go",
    "runtime.clone",
];
/// The number of a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ShapeId(u32);

/// What a stack's allocation was, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Call {
    /// The name of the allocator that was called.
    pub(super) allocator: Option<Arc<str>>,
    /// The function of it.
    pub(super) called: Option<Arc<str>>,
    /// The name of the thread, where call sites are told apart by it.
    pub(super) thread: Option<Arc<str>>,
}

/// What tells them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Key {
    places: Arc<[PlaceId]>,
    call: Call,
}

/// One call stack.
#[derive(Debug, Default)]
pub(super) struct Shape {
    key: Key,
    /// Stacks and call sites that have it.
    users: u32,
    pub(super) frames: Frames,
    /// Its outermost function is one that threads begin in.
    pub(super) reaches_start: bool,
    /// A function without a name is, where threads start: in a stripped libc or loader.
    pub(super) ends_in_libc: bool,
    /// Frames without a name.
    pub(super) unnamed: u64,
    /// The reader wants it.
    pub(super) is_wanted: bool,
    /// Of the names that its frames were made of; `None` when all are known.
    answered: Option<u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    all: Vec<Shape>,
    ids: HashMap<Key, ShapeId>,
    /// Those that nothing has any more.
    free: Vec<ShapeId>,
}

impl Shapes {
    /// The shape of these, for one more that has it.
    pub(super) fn take(&mut self, places: Arc<[PlaceId]>, call: Call) -> ShapeId {
        let key = Key { places, call };
        if let Some(&id) = self.ids.get(&key) {
            self.share(id);
            return id;
        }
        // No number of answers: its names are asked for when it is looked at first.
        let shape = Shape {
            key: key.clone(),
            users: 1,
            is_wanted: true,
            answered: Some(u64::MAX),
            ..Shape::default()
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.all[id.0 as usize] = shape;
                id
            }
            None => {
                self.all.push(shape);
                ShapeId(self.all.len() as u32 - 1)
            }
        };
        self.ids.insert(key, id);
        id
    }

    /// One more has it.
    pub(super) fn share(&mut self, id: ShapeId) {
        self.all[id.0 as usize].users += 1;
    }

    /// One less has it; the last one takes it along.
    pub(super) fn give_back(&mut self, id: ShapeId) {
        let shape = &mut self.all[id.0 as usize];
        shape.users -= 1;
        if shape.users == 0 {
            self.ids.remove(&std::mem::take(shape).key);
            self.free.push(id);
        }
    }

    /// The ids come from [`Self::take`]: there is no other.
    pub(super) fn of(&self, id: ShapeId) -> &Shape {
        &self.all[id.0 as usize]
    }

    /// Gives it the names that are known by now.
    pub(super) fn name(&mut self, id: ShapeId, symbols: &mut Symbols, filter: &Filter) {
        let shape = &mut self.all[id.0 as usize];
        if shape.answered.is_some_and(|answered| answered != symbols.answered()) {
            shape.name(symbols, filter);
        }
    }

    /// The places that stacks have, some more than once.
    pub(super) fn places(&self) -> impl Iterator<Item = PlaceId> {
        self.ids.keys().flat_map(|key| key.places.iter().copied())
    }
}

impl Shape {
    /// What its allocation was.
    pub(super) const fn call(&self) -> &Call {
        &self.key.call
    }

    fn name(&mut self, symbols: &mut Symbols, filter: &Filter) {
        let places = &self.key.places;
        let mut frames = Vec::with_capacity(places.len());
        let mut is_named = true;
        for &place in places.iter() {
            let (functions, is_known) = symbols.frames(place);
            is_named &= is_known;
            frames.extend(functions.iter().cloned());
        }
        let outermost = frames.last();
        let name = outermost.and_then(|frame| frame.function.as_deref());
        self.reaches_start = name.is_some_and(|name| THREAD_STARTS.contains(&name));
        self.ends_in_libc = outermost.is_some_and(|frame| is_libc_start(frame)) && places.len() > 1;
        self.unnamed = frames.iter().filter(|frame| frame.reason.is_some()).count() as u64;
        self.is_wanted = filter.wants(&frames);
        self.frames = frames.into();
        self.answered = (!is_named).then(|| symbols.answered());
    }
}

/// Whether a frame without a symbol lies where threads start: in a stripped libc or loader.
fn is_libc_start(frame: &Frame) -> bool {
    let is_libc = |module: &String| {
        let name = module.rsplit('/').next().unwrap_or_default();
        name.starts_with("libc.so") || name.starts_with("libc-") || name.starts_with("ld-")
    };
    frame.reason.is_some() && frame.module.as_ref().is_some_and(is_libc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbolize::{AddressKind, Located, Place};

    #[test]
    fn a_shape_stays_as_long_as_something_has_it_and_its_number_comes_back() {
        let mut symbols = Symbols::default();
        let mut place = |address| {
            let place = Place::Elsewhere { module: None, reason: "made up" };
            symbols.place(Located { address, kind: AddressKind::Return, place })
        };
        let (one, other): (Arc<[PlaceId]>, Arc<[PlaceId]>) = ([place(1)].into(), [place(1), place(2)].into());
        let mut shapes = Shapes::default();
        let take = |shapes: &mut Shapes, places: &Arc<[PlaceId]>, allocator: &str| {
            let call = Call { allocator: Some(allocator.into()), ..Call::default() };
            shapes.take(places.iter().copied().collect(), call)
        };
        let first = take(&mut shapes, &one, "glibc");
        assert_eq!(take(&mut shapes, &one, "glibc"), first);
        assert_ne!(take(&mut shapes, &one, "jemalloc"), first);
        assert_ne!(take(&mut shapes, &other, "glibc"), first);
        shapes.give_back(first);
        assert_eq!(take(&mut shapes, &one, "glibc"), first, "one has it still");
        shapes.give_back(first);
        shapes.give_back(first);
        assert_eq!(shapes.of(first).key, Key::default(), "nothing of it is kept");
        assert_eq!(take(&mut shapes, &other, "mimalloc"), first, "its number is used again");
    }
}
