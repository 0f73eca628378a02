//! Sees through the dynamic linker: an object that calls its own exported function does so by way of a stub and a slot.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::elf::Image;
use crate::probe::code::{self, Via};
use crate::units::ElfVaddr;

/// Sections of stubs: plain, with branch protection, and of functions whose address is taken.
const STUBS: [&str; 3] = [".plt", ".plt.sec", ".plt.got"];
/// Longest stub: `endbr64`, `jmp`, padding.
const STUB_BYTES: u64 = 16;

/// The stubs and slots of an object's own functions.
pub(super) struct Linkage<'a> {
    image: &'a Image,
    stubs: Vec<Range<ElfVaddr>>,
    /// Slot to the function that the object itself defines under the slot's name. What is interposed goes elsewhere,
    /// and then neither the call nor the jump reaches a probe of this object.
    slots: BTreeMap<ElfVaddr, ElfVaddr>,
}

impl<'a> Linkage<'a> {
    /// Those of an object.
    pub(super) fn of(image: &'a Image) -> Self {
        let slots = image.imported_slots();
        let names: Vec<&str> = slots.values().map(String::as_str).collect();
        let own = image.exported_functions_named(&names);
        // A resolver is not what is called.
        let functions = own.iter().filter(|s| !s.is_indirect);
        let own: BTreeMap<&str, ElfVaddr> = functions.map(|s| (s.name.as_str(), s.address)).collect();
        let own = |(slot, name): (&ElfVaddr, &String)| Some((*slot, *own.get(name.as_str())?));
        Self {
            image,
            stubs: STUBS.iter().filter_map(|section| image.section_range(section)).collect(),
            slots: slots.iter().filter_map(own).collect(),
        }
    }

    /// Whether code belongs to the dynamic linker's stubs.
    pub(super) fn is_stub(&self, address: ElfVaddr) -> bool {
        self.stubs.iter().any(|range| range.contains(&address))
    }

    /// The function of the object itself that a call or jump reaches by way of the dynamic linker.
    pub(super) fn resolve(&self, via: Via) -> Option<ElfVaddr> {
        match via {
            Via::Slot(slot) => self.slots.get(&slot).copied(),
            Via::Address(stub) if self.is_stub(stub) => {
                let code = self.image.read_vaddr(stub..ElfVaddr(stub.0.saturating_add(STUB_BYTES)));
                let slot =
                    code::decoder(stub, &code).iter().find_map(|instruction| code::target(&instruction));
                slot.filter(|via| matches!(via, Via::Slot(_))).and_then(|via| self.resolve(via))
            }
            Via::Address(_) => None,
        }
    }
}
