//! Where the probes of an allocator go: pure, so that every decision is tested without a kernel.
//!
//! [`plan`] reads code from the object's file, never from the process.

mod code;
mod exits;
pub mod go_allocator;
pub mod go_entry;
mod graph;
mod linkage;
pub mod nesting;
pub mod placement;
mod returns;
mod thunk;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tracer_ebpf::abi::Argument;

use crate::allocator::{Allocator, Function, Role, TailJump, signature};
use crate::elf::Image;
use crate::mode::Mode;
use crate::units::{ElfVaddr, FileOffset};
use crate::unwind::{Extent, Extents};

use graph::Graph;
use linkage::Linkage;

/// The name that `command` knows it by; the type is the one of the whole pipeline.
pub use placement::Placement;
pub use returns::{NoReturn, ReturnPoint, Returns};

/// One function to be probed.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePoint {
    /// Which of the planned allocators it belongs to.
    pub allocator: usize,
    /// The name that it is counted under.
    pub function: String,
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
    /// Another probed function's code has a way into this one.
    pub is_inner: bool,
    /// When glibc jumps there; `None` is never, or unknown.
    pub tail_jump: Option<TailJump>,
    /// The jumps to other probed functions that are probed, because no argument tells when they happen.
    pub jumps: Vec<Jump>,
    /// How its end is seen, or why it is not.
    pub returns: Result<Returns, NoReturn>,
    /// What the reader should know about it.
    pub note: Option<String>,
}

/// A jump from one probed function to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// The instruction.
    pub offset: FileOffset,
    /// The condition code of a `jcc`, `None` if it always jumps.
    pub condition: Option<u8>,
}

impl ProbePoint {
    /// `posix_memalign` may be nothing but a jump to `mi_posix_memalign`: then its calls stand under the name that
    /// everybody knows.
    fn take_standard_name(&mut self) {
        let rank = |name: &str| signature::rank(name);
        let Some((index, best)) = self.aliases.iter().enumerate().min_by_key(|(_, name)| rank(name)) else {
            return;
        };
        if rank(best) < rank("free")
            && rank(&self.function) > rank("free")
            && signature::of(&self.function).is_none()
        {
            std::mem::swap(&mut self.function, &mut self.aliases[index]);
        }
    }
}

/// A function that is not probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub function: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why a function is not probed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// Nothing is lost: its calls are counted as those of the other one.
    #[error("it is a jump to {0}, which counts its calls")]
    IsJump(String),
    /// `STT_GNU_IFUNC`.
    #[error("its address is picked when the program starts")]
    Indirect,
    /// Not in an executable segment, or cut off.
    #[error("its code is not in the file")]
    NoCode,
    /// A function of Go.
    #[error("{0}")]
    Go(go_entry::NoEntry),
}

impl SkipReason {
    /// No call is missed.
    #[must_use]
    pub const fn is_harmless(&self) -> bool {
        matches!(self, Self::IsJump(_))
    }
}

/// All probes of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order of the allocators and their functions.
    pub points: Vec<ProbePoint>,
    /// Code of the allocators, sorted: a call from there to a probed function is a part of another call.
    /// At most `tracer_ebpf::abi::slot::MAX_NESTED`.
    pub nested: Vec<Range<ElfVaddr>>,
    /// What the allocators have and the plan leaves out. Freeing functions in [`Mode::Alloc`] are not listed.
    pub skipped: Vec<Skipped>,
}

/// A function whose code was read.
struct Body<'a> {
    /// Index of its allocator.
    allocator: usize,
    tells_jumps: bool,
    function: &'a Function,
    extent: Extent,
    /// From the entry.
    code: Vec<u8>,
    entry_offset: FileOffset,
}

/// What is known about the whole object.
struct Surroundings<'a> {
    image: &'a Image,
    graph: Graph,
    uses: nesting::Uses,
}

/// Places the probes of all allocators that were found in `image`.
#[must_use]
pub fn plan(image: &Image, allocators: &[Allocator], mode: Mode) -> Plan {
    let extents = Extents::load(image);
    let mut skipped = Vec::new();
    let mut bodies = Vec::new();
    for (index, allocator) in allocators.iter().enumerate() {
        for function in &allocator.functions {
            if mode == Mode::Alloc && function.signature.role == Role::Frees {
                continue;
            }
            match body(image, &extents, (index, allocator), function) {
                Ok(body) => bodies.push(body),
                Err(reason) => skipped.push(Skipped { function: function.name.clone(), reason }),
            }
        }
    }
    let linkage = Linkage::of(image);
    let thunks = thunk::find(&linkage, &bodies);
    let mut aliases: BTreeMap<ElfVaddr, Vec<String>> = BTreeMap::new();
    bodies.retain(|body| {
        let Some(to) = thunks.get(&body.function.entry) else { return true };
        let reason = SkipReason::IsJump(to.name.clone());
        skipped.push(Skipped { function: body.function.name.clone(), reason });
        let jump = body.function.aliases.iter().chain([&body.function.name]);
        aliases.entry(to.entry).or_default().extend(jump.cloned());
        false
    });
    let probed: Vec<(ElfVaddr, Extent)> = bodies.iter().map(|b| (b.function.entry, b.extent)).collect();
    let prefixes: Vec<&str> = allocators.iter().map(|allocator| allocator.prefix.as_str()).collect();
    let prefixes: Vec<&str> = prefixes.into_iter().filter(|prefix| !prefix.is_empty()).collect();
    let graph = Graph::collect(image, &extents, &linkage, &probed, &prefixes);
    let around = Surroundings { image, uses: nesting::Uses::of(&graph), graph };
    let mut points: Vec<ProbePoint> = bodies.iter().map(|body| point(body, &around, mode)).collect();
    for point in &mut points {
        point.aliases.extend(aliases.remove(&point.entry).unwrap_or_default());
        point.take_standard_name();
    }
    Plan { points, nested: nesting::ranges(&around.graph), skipped }
}

fn body<'a>(
    image: &Image,
    extents: &Extents,
    (index, allocator): (usize, &Allocator),
    function: &'a Function,
) -> Result<Body<'a>, SkipReason> {
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
            let tells_jumps = allocator.tells_jumps();
            Ok(Body { allocator: index, tells_jumps, function, extent, code, entry_offset })
        }
        _ => Err(SkipReason::NoCode),
    }
}

fn point(body: &Body<'_>, around: &Surroundings<'_>, mode: Mode) -> ProbePoint {
    let Function { signature, name, aliases, entry, .. } = body.function;
    let graph = &around.graph;
    let names = || aliases.iter().chain([name]).map(String::as_str);
    let wanted = returns::permit(mode, signature, names(), &body.extent);
    let targets: BTreeSet<ElfVaddr> = graph.jumps_into(&body.extent);
    let want = placement::Want {
        argument: signature.argument,
        skips_null: signature.role == Role::Frees,
        has_return: wanted.is_ok(),
    };
    let placement = placement::place(*entry, &body.code, &targets, want);
    let offset = FileOffset(body.entry_offset.0 + u64::from(placement.offset_from_entry));
    let may_tail_jump = nesting::may_tail_jump(graph, *entry);
    let tail_jump = signature.tail_jump.filter(|_| body.tells_jumps);
    let jumps = match (mode, signature.role) {
        (Mode::Alloc, Role::Allocates) if !body.tells_jumps => exits::jumps_to_probed(graph, *entry),
        (Mode::Live, Role::Frees) => exits::own_jumps_to_probed(graph, *entry),
        _ => Vec::new(),
    };
    let jump = |exit: code::Exit| {
        let offset = around.image.vaddr_to_file_offset(exit.at)?;
        Some(Jump { offset, condition: exit.condition })
    };
    ProbePoint {
        allocator: body.allocator,
        function: name.clone(),
        aliases: aliases.clone(),
        entry: *entry,
        entry_offset: body.entry_offset,
        offset,
        argument: signature.argument,
        role: signature.role,
        may_tail_jump,
        is_outer: around.uses.is_outer(*entry),
        is_inner: around.uses.is_inner(*entry),
        tail_jump,
        jumps: jumps.into_iter().filter_map(jump).collect(),
        returns: match wanted {
            Ok(permit) => ReturnPoint::new(permit, offset, &placement).map(Returns::Probe),
            Err(NoReturn::Throws | NoReturn::HasLsda) => around.returns(*entry),
            Err(reason) => Err(reason),
        },
        note: placement.note.map(|note| note.to_string()),
        placement,
    }
}

impl Surroundings<'_> {
    /// The `ret` instructions of a function that may have no return probe.
    fn returns(&self, entry: ElfVaddr) -> Result<Returns, NoReturn> {
        let (addresses, may_end_elsewhere) = exits::returns(&self.graph, entry)?;
        let offset = |address| self.image.vaddr_to_file_offset(address).ok_or(NoReturn::CodeUnknown);
        let offsets = addresses.into_iter().map(offset).collect::<Result<_, _>>()?;
        Ok(Returns::Sites { offsets, may_end_elsewhere })
    }
}

#[cfg(test)]
mod tests;
