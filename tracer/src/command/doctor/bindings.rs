//! Whose `malloc` a process really calls: what the dynamic linker has written into each object's slots.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::Serialize;

use crate::elf::Image;
use crate::target::mappings::{Backing, MappedFile, Mapping, Mappings};

/// What is looked up: both must go to the same object, or a block is freed elsewhere than it came from.
const NAMES: [&str; 2] = ["malloc", "free"];

/// Calls of one function from several objects that reach the same one.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Binding {
    function: &'static str,
    /// The object whose function is called.
    object: String,
    /// The objects that call it.
    callers: Vec<String>,
}

/// Reads the slots of every object. A slot that was not used yet (lazy binding) says nothing and is left out.
pub(super) fn read(pid: u32, mappings: &Mappings, images: &[(&MappedFile, &Image)]) -> Vec<Binding> {
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let mut found: BTreeMap<(&'static str, String), Vec<String>> = BTreeMap::new();
    for (file, image) in images {
        let Some(bias) = bias(file, image, mappings) else { continue };
        for (slot, name) in image.imported_slots() {
            let Some(function) = NAMES.into_iter().find(|known| *known == name) else { continue };
            let mut word = [0; 8];
            if memory.read_exact_at(&mut word, slot.0.wrapping_add(bias)).is_err() {
                continue;
            }
            let Some(owner) = mappings.find(u64::from_le_bytes(word)).and_then(path) else { continue };
            // The object's own stub: not bound yet.
            if owner != file.path {
                let callers = found.entry((function, owner.to_owned())).or_default();
                callers.push(file.path.clone());
                callers.dedup();
            }
        }
    }
    found.into_iter().map(|((function, object), callers)| Binding { function, object, callers }).collect()
}

/// How far an object was moved from the addresses that it names itself.
fn bias(file: &MappedFile, image: &Image, mappings: &Mappings) -> Option<u64> {
    let code = image.segments().iter().find(|segment| segment.executable)?;
    Some(mappings.address_of(file, code.offset.0)?.wrapping_sub(code.address.0))
}

/// The file behind a mapping.
fn path(mapping: &Mapping) -> Option<&str> {
    match &mapping.backing {
        Backing::File(file) => Some(&file.path),
        _ => None,
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { function, object, callers } = self;
        match &callers[..] {
            [one] => write!(f, "{function} of {object} is what {one} calls"),
            [one, rest @ ..] => {
                write!(f, "{function} of {object} is what {one} and {} more call", rest.len())
            }
            [] => Ok(()),
        }
    }
}
