//! Functions that are nothing but a jump to another one: probing both would count a call twice.

use std::collections::BTreeMap;

use iced_x86::{FlowControl, Mnemonic};

use crate::allocator::{Function, Role};
use crate::probe::Body;
use crate::probe::code;
use crate::probe::linkage::Linkage;
use crate::units::ElfVaddr;

/// Most instructions before the jump.
const MAX_INSTRUCTIONS: usize = 8;

/// The functions that are jumps, and where they lead in the end.
pub(super) fn find<'a>(linkage: &Linkage<'_>, bodies: &[Body<'a>]) -> BTreeMap<ElfVaddr, &'a Function> {
    let entries: BTreeMap<ElfVaddr, &'a Function> =
        bodies.iter().map(|body| (body.function.entry, body.function)).collect();
    let direct: BTreeMap<ElfVaddr, ElfVaddr> = bodies
        .iter()
        .filter_map(|body| {
            let to = only_jump(body, linkage)?;
            let other = entries.get(&to)?;
            let is_same_kind = other.signature.role == body.function.signature.role;
            (is_same_kind && to != body.function.entry).then_some((body.function.entry, to))
        })
        .collect();
    let end = |mut to: ElfVaddr| {
        // A circle of jumps would be no program: the bound only keeps a broken file from holding us.
        for _ in 0..direct.len() {
            to = direct.get(&to).copied().unwrap_or(to);
        }
        to
    };
    direct.iter().filter_map(|(&from, &to)| Some((from, *entries.get(&end(to))?))).collect()
}

/// Where a function jumps that does nothing else. A freeing one may look for NULL first, for that is no event.
fn only_jump(body: &Body<'_>, linkage: &Linkage<'_>) -> Option<ElfVaddr> {
    let may_check = body.function.signature.role == Role::Frees;
    for instruction in code::decoder(body.function.entry, &body.code).iter().take(MAX_INSTRUCTIONS) {
        match instruction.flow_control() {
            FlowControl::Next if !instruction.is_invalid() && instruction.mnemonic() != Mnemonic::Push => {}
            FlowControl::ConditionalBranch if may_check && instruction.mnemonic() == Mnemonic::Je => {}
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => {
                let via = code::target(&instruction)?;
                return linkage.resolve(via).or(match via {
                    code::Via::Address(address) => Some(address),
                    code::Via::Slot(_) => None,
                });
            }
            _ => return None,
        }
    }
    None
}
