//! Return addresses to functions.
//!
//! A stack is located at once, while the process's mappings are known; it gets its names when someone reads it.

pub mod call_site;
pub mod native;

use std::sync::Arc;

use tracer_ebpf::abi::StopReason;

use crate::collect::NewStack;
use crate::target::mappings::{Backing, MappedFile, Mappings};

pub use native::Symbolizer;

/// Where a return address lies.
#[derive(Clone, Debug)]
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
        module: Option<String>,
        /// Why there is no name.
        reason: &'static str,
    },
}

/// A return address with its place.
#[derive(Clone, Debug)]
pub struct Located {
    /// In the process.
    pub address: u64,
    /// Where it lies.
    pub place: Place,
}

/// A stack whose frames have places, and none of which is garbage.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Leaf first.
    pub frames: Vec<Located>,
    /// Why it ends there.
    pub stop: StopReason,
}

/// Locates the frames of a stack, and cuts it before the first one that no call stands before.
///
/// The direct caller is known from the probe and stays.
#[must_use]
pub fn locate(stack: &NewStack, mappings: &Mappings) -> Stack {
    let mut frames = Vec::with_capacity(stack.addresses.len());
    for (depth, &address) in stack.addresses.iter().enumerate() {
        let place = place(address, mappings);
        if depth > 0 && !follows_call(&place) {
            return Stack { frames, stop: StopReason::NoFramePointer };
        }
        frames.push(Located { address, place });
    }
    Stack { frames, stop: stack.stop }
}

/// Whether every frame of a stack lies in a mapping that is known.
#[must_use]
pub fn is_mapped(stack: &NewStack, mappings: &Mappings) -> bool {
    stack.addresses.iter().all(|&address| mappings.find(address).is_some())
}

fn place(address: u64, mappings: &Mappings) -> Place {
    let elsewhere =
        |module: Option<&str>, reason| Place::Elsewhere { module: module.map(str::to_owned), reason };
    let Some(mapping) = mappings.find(address) else { return elsewhere(None, "not mapped when it was read") };
    match &mapping.backing {
        Backing::File(file) => {
            Place::File { file: Arc::clone(file), file_offset: address - mapping.start + mapping.file_offset }
        }
        Backing::Unopened { path, .. } => elsewhere(Some(path), "the file could not be opened"),
        Backing::Vdso => elsewhere(Some("[vdso]"), "kernel code in the process"),
        Backing::Uprobes => elsewhere(Some("[uprobes]"), "the kernel's probe page"),
        Backing::Anonymous => elsewhere(Some("[anonymous]"), "code written at run time"),
    }
}

fn follows_call(place: &Place) -> bool {
    match place {
        Place::File { file, file_offset } => call_site::stands_before(&file.file, *file_offset),
        Place::Elsewhere { .. } => false,
    }
}
