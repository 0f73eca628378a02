//! Return addresses to functions.
//!
//! A stack is located at once, while the process's mappings are known; it gets its names when someone reads it, in a
//! thread of its own, for that may take seconds.

mod addresses;
mod ascii;
pub mod call_site;
mod go;
mod guarded;
mod namer;
pub mod native;
mod places;
mod sources;
mod symbols;

use std::sync::Arc;

use tracer_ebpf::abi::StopReason;

use crate::collect::{FrameAddress, NewStack};
use crate::target::mappings::Mappings;

use addresses::Known;

pub use addresses::AddressCache;
pub use guarded::is_asking;
pub use native::Symbolizer;
pub use places::{AddressKind, Located, Place, PlaceId};
pub use symbols::{NOT_YET, Symbols};

/// A stack whose frames have places, and none of which is garbage.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Leaf first; [`Symbols::frames`] names them.
    pub frames: Arc<[PlaceId]>,
    /// Why it ends there.
    pub stop: StopReason,
    /// Frame pointers led to some of its frames.
    pub by_pointer: bool,
}

/// Whether the mappings that are known are the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// An address in none of them waits for the next look at them.
    Waits,
    /// It is shown as such.
    Stays,
}

impl Symbols {
    /// Locates the frames of a stack, and cuts it before the first one that a frame pointer led to and no call stands
    /// before; `None` if it waits for its mapping.
    pub fn locate(
        &mut self,
        stack: &NewStack,
        mappings: &Mappings,
        cache: &mut AddressCache,
        unmapped: Unmapped,
    ) -> Option<Stack> {
        let mut frames = Vec::with_capacity(stack.addresses.len());
        let (mut stop, mut by_pointer) = (stack.stop, false);
        for frame in &stack.addresses {
            let known = match cache.get(frame) {
                Some(known) => known,
                None => {
                    let &FrameAddress { address, interrupted, .. } = frame;
                    let mapping = mappings.find(address);
                    if mapping.is_none() && unmapped == Unmapped::Waits {
                        return None;
                    }
                    let kind = if interrupted { AddressKind::Interrupted } else { AddressKind::Return };
                    let known = self.known(Located { address, kind, place: Place::of(address, mapping) });
                    if mapping.is_some() {
                        cache.insert(frame, known);
                    }
                    known
                }
            };
            if frame.by_pointer && !known.follows_call {
                stop = StopReason::NoFramePointer;
                break;
            }
            by_pointer |= frame.by_pointer;
            frames.push(known.id);
        }
        Some(Stack { frames: frames.into(), stop, by_pointer })
    }

    /// Locates a stack that a runtime has recorded: one address per call of the source.
    pub fn locate_calls(&mut self, addresses: &[u64], stop: StopReason, mappings: &Mappings) -> Stack {
        let kind = AddressKind::RecordedCall;
        let place = |&address: &u64| {
            // Its instruction is meant: the byte behind it may be in the next mapping.
            let mapping = mappings.find(address.saturating_sub(1));
            self.place(Located { address, kind, place: Place::of(address, mapping) })
        };
        Stack { frames: addresses.iter().map(place).collect(), stop, by_pointer: false }
    }

    fn known(&mut self, located: Located) -> Known {
        let id = self.place(located);
        Known { id, follows_call: self.follows_call(id) }
    }
}
