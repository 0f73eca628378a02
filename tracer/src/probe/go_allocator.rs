//! Where the probes of Go's allocator go: on the functions that compiled code and the runtime call for memory.
//!
//! Everything that Go's heap holds comes from `mallocgc` (`runtime/malloc.go`), which calls others by size and kind. Since Go
//! 1.27 some of these are called past it too, one per class of small sizes: `mallocgcSmallScanNoHeaderSC2` and its like
//! (`runtime/malloc_generated.go`). A call of theirs that comes from `mallocgc` is a part of that call.

use tracer_ebpf::abi::Argument;

use crate::allocator::Role;
use crate::elf::Image;
use crate::go::Lines;
use crate::probe::{NoReturn, Plan, ProbePoint, SkipReason, Skipped, go_entry};
use crate::units::FileOffset;

/// What everybody calls, or nearly.
const ALLOCATES: &str = "runtime.mallocgc";
/// Between [`ALLOCATES`] and the number of a class, in the names of those that are called past it.
const OF_A_CLASS: &str = "SC";

/// Places the probes in a program of Go; its one allocator has the index 0. Nothing where the program has no such function.
#[must_use]
pub fn plan(image: &Image, lines: &Lines) -> Plan {
    let mut plan = Plan::default();
    for (name, code) in lines.functions_where(&allocates) {
        let function = name.strip_prefix("runtime.").unwrap_or(&name).to_owned();
        let place = match go_entry::place(image, &code) {
            Ok(place) => place,
            Err(why) => {
                plan.skipped.push(Skipped { function, reason: SkipReason::Go(why) });
                continue;
            }
        };
        let is_inner = name != ALLOCATES;
        // Before Go 1.21 no other instruction is emulated there.
        let (placement, argument) = match place.branch {
            Some(branch) if !place.placement.emulated => (branch, Argument::GoSizeAtCheck),
            _ => (place.placement, Argument::GoSize),
        };
        if !is_inner {
            plan.nested.push(code);
        }
        plan.points.push(ProbePoint {
            allocator: 0,
            function,
            aliases: Vec::new(),
            entry: place.entry,
            entry_offset: place.entry_offset,
            offset: FileOffset(place.entry_offset.0.saturating_add(placement.offset_from_entry.into())),
            note: placement.note.map(|note| note.to_string()),
            placement,
            argument,
            role: Role::Allocates,
            may_tail_jump: false,
            // What it calls is known by the return address, so that it leaves no word.
            is_outer: false,
            is_inner,
            tail_jump: None,
            jumps: Vec::new(),
            returns: Err(NoReturn::NotWanted),
        });
    }
    // The one that everybody knows first.
    plan.points.sort_by(|a, b| (a.is_inner, &a.function).cmp(&(b.is_inner, &b.function)));
    plan
}

fn allocates(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(ALLOCATES) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    rest.is_empty() || rest.rsplit_once(OF_A_CLASS).is_some_and(|(_, class)| is_number(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compiled_code_calls_allocates_and_what_only_mallocgc_calls_does_not() {
        let check = |name: &str, expect: bool| assert_eq!(allocates(name), expect, "{name}");
        check("runtime.mallocgc", true);
        check("runtime.mallocgcTinySC2", true);
        check("runtime.mallocgcSmallNoScanSC7", true);
        check("runtime.mallocgcSmallScanNoHeaderSC26", true);
        check("runtime.mallocgcTiny", false);
        check("runtime.mallocgcLarge", false);
        check("runtime.mallocgcSmallNoscan", false);
        check("runtime.mallocgcSmallNoScanSlowPath", false);
        check("runtime.mallocgcSmallScanHeader", false);
        check("runtime.mallocgcTinySC", false);
        check("runtime.mallocgcTinySC2.func1", false);
        check("runtime.mallocinit", false);
        check("main.mallocgc", false);
        check("main.runtime.mallocgcTinySC2", false);
    }
}
