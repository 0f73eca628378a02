//! Where the probes of an allocator go: pure, so that every decision is tested without a kernel.
//!
//! [`plan`] reads code from the object's file, never from the process.

mod code;
mod graph;
pub mod nesting;
pub mod placement;
mod returns;

use std::collections::BTreeSet;
use std::ops::Range;

use tracer_ebpf::abi::Argument;

use crate::allocator::{Allocator, Function, Role, TailJump};
use crate::elf::Image;
use crate::mode::Mode;
use crate::units::{ElfVaddr, FileOffset};
use crate::unwind::{Extent, Extents};

use graph::Graph;

/// The name that `command` knows it by; the type is the one of the whole pipeline.
pub use placement::Placement;
pub use returns::{NoReturn, ReturnPoint};

/// One function to be probed.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePoint {
    /// The name that it is counted under.
    pub function: &'static str,
    /// Other names of the same address.
    pub aliases: Vec<String>,
    /// Its first instruction.
    pub entry: ElfVaddr,
    /// Where its first instruction lies in the file.
    pub entry_offset: FileOffset,
    /// Where the probe goes in the file.
    pub offset: FileOffset,
    /// Which instruction that is, and what is known there.
    pub placement: Placement,
    /// Where its arguments are.
    pub argument: Argument,
    /// What it does.
    pub role: Role,
    /// Its code has a way to jump into another probed function, which then sees this one's caller.
    pub may_tail_jump: bool,
    /// Its code has a way, by calls too, into another probed function, whose call is then a part of this one's.
    pub is_outer: bool,
    /// When glibc jumps there; `None` is never, or unknown.
    pub tail_jump: Option<TailJump>,
    /// The return probe, or why there is none.
    pub returns: Result<ReturnPoint, NoReturn>,
    /// What the reader should know about it.
    pub note: Option<String>,
}

/// A function that is not probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub function: &'static str,
    /// Why.
    pub reason: SkipReason,
}

/// Why a function is not probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// `STT_GNU_IFUNC`.
    #[error("its address is picked when the program starts")]
    Indirect,
    /// Not in an executable segment, or cut off.
    #[error("its code is not in the file")]
    NoCode,
}

/// All probes of one allocator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order of the allocator's functions.
    pub points: Vec<ProbePoint>,
    /// Code of the allocator, sorted: a call from there to a probed function is a part of another call.
    /// At most `tracer_ebpf::abi::slot::MAX_NESTED`.
    pub nested: Vec<Range<ElfVaddr>>,
    /// What the allocator has and the plan leaves out. Freeing functions in [`Mode::Alloc`] are not listed.
    pub skipped: Vec<Skipped>,
}

/// A function whose code was read.
struct Body<'a> {
    function: &'a Function,
    extent: Extent,
    /// From the entry.
    code: Vec<u8>,
    entry_offset: FileOffset,
}

/// Places the probes of an allocator that was found in `image`.
#[must_use]
pub fn plan(image: &Image, allocator: &Allocator, mode: Mode) -> Plan {
    let extents = Extents::load(image);
    let mut skipped = Vec::new();
    let mut bodies = Vec::new();
    for function in &allocator.functions {
        if mode == Mode::Alloc && function.signature.role == Role::Frees {
            continue;
        }
        match body(image, &extents, function) {
            Ok(body) => bodies.push(body),
            Err(reason) => skipped.push(Skipped { function: function.signature.name, reason }),
        }
    }
    let probed: Vec<(ElfVaddr, Extent)> = bodies.iter().map(|b| (b.function.entry, b.extent)).collect();
    let graph = Graph::collect(image, &extents, &probed);
    Plan {
        points: bodies.iter().map(|body| point(body, &graph, mode)).collect(),
        nested: nesting::ranges(&graph),
        skipped,
    }
}

fn body<'a>(image: &Image, extents: &Extents, function: &'a Function) -> Result<Body<'a>, SkipReason> {
    if function.is_indirect {
        return Err(SkipReason::Indirect);
    }
    let entry = function.entry;
    let extent = extents.at(entry).unwrap_or_else(|| {
        // No exception passes through code without a frame description, so there is no LSDA either.
        let end = entry.0.saturating_add(function.size_bytes.clamp(1, graph::MAX_BODY_BYTES));
        Extent { start: entry, end: ElfVaddr(end), has_lsda: false }
    });
    let code = image.read_vaddr(entry..extent.end);
    match image.vaddr_to_file_offset(entry) {
        Some(entry_offset) if image.is_executable(entry) && !code.is_empty() => {
            Ok(Body { function, extent, code, entry_offset })
        }
        _ => Err(SkipReason::NoCode),
    }
}

fn point(body: &Body<'_>, graph: &Graph, mode: Mode) -> ProbePoint {
    let Function { signature, aliases, entry, .. } = body.function;
    let names = || aliases.iter().map(String::as_str).chain([signature.name]);
    let wanted = returns::permit(mode, signature.role, names(), &body.extent);
    let targets: BTreeSet<ElfVaddr> = graph.jumps_into(&body.extent);
    let want = placement::Want {
        argument: signature.argument,
        skips_null: signature.role == Role::Frees,
        has_return: wanted.is_ok(),
    };
    let placement = placement::place(*entry, &body.code, &targets, want);
    let offset = FileOffset(body.entry_offset.0 + u64::from(placement.offset_from_entry));
    ProbePoint {
        function: signature.name,
        aliases: aliases.clone(),
        entry: *entry,
        entry_offset: body.entry_offset,
        offset,
        argument: signature.argument,
        role: signature.role,
        may_tail_jump: nesting::may_tail_jump(graph, *entry),
        is_outer: nesting::may_use_another(graph, *entry),
        tail_jump: signature.tail_jump,
        returns: wanted.and_then(|permit| ReturnPoint::new(permit, offset, &placement)),
        note: placement.note.map(|note| note.to_string()),
        placement,
    }
}

#[cfg(test)]
mod tests;
