//! The part of an object's call graph around the probed functions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::elf::{Image, Kind};
use crate::probe::code::{self, Flow};
use crate::probe::linkage::Linkage;
use crate::units::ElfVaddr;
use crate::unwind::{Extent, Extents};

/// Most bytes of one function; glibc's longest allocator function has 2.5 kB.
pub(super) const MAX_BODY_BYTES: u64 = 64 << 10;
/// Most functions that are looked at; glibc's `malloc.o` has about 50, jemalloc about 1,500.
const MAX_FUNCTIONS: usize = 4096;

/// Functions of glibc's `malloc.o` that call or jump to probed ones without being reached from one: at the
/// end of a thread (`tcache_thread_shutdown`, often inlined into the second), and before 2.34 on first use.
const HELPERS: [&str; 6] = [
    "tcache_thread_shutdown",
    "__malloc_arena_thread_freeres",
    "_mid_memalign",
    "malloc_hook_ini",
    "realloc_hook_ini",
    "memalign_hook_ini",
];

/// How allocators name what is their own, in a program that has them inside: jemalloc, mimalloc, gperftools.
const OWN_PREFIXES: [&str; 6] = ["je_", "_rjem_", "mi_", "_mi_", "tc_", "_ZN8tcmalloc"];

/// A function of the graph.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) extent: Extent,
    pub(super) flow: Flow,
    /// Code that is not the allocator's can call it.
    pub(super) is_exported: bool,
    /// It is known by name to belong to the allocator.
    pub(super) is_helper: bool,
}

/// Functions by their first address.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub(super) nodes: BTreeMap<ElfVaddr, Node>,
    /// First instructions of the probed functions.
    pub(super) entries: BTreeSet<ElfVaddr>,
    /// From the lowest probed function to the end of the highest.
    pub(super) hull: Range<ElfVaddr>,
    /// It is a shared library, in which what is not exported between the probed functions is the allocator's own.
    pub(super) is_library: bool,
}

impl Graph {
    /// Reads the probed functions, in a library all functions between them, and what they jump to. In a program what
    /// begins with one of the `prefixes` is the allocator's own.
    pub(super) fn collect(
        image: &Image,
        extents: &Extents,
        linkage: &Linkage<'_>,
        probed: &[(ElfVaddr, Extent)],
        prefixes: &[&str],
    ) -> Self {
        let low = probed.iter().map(|(_, extent)| extent.start).min().unwrap_or(ElfVaddr(0));
        let high = probed.iter().map(|(_, extent)| extent.end).max().unwrap_or(low);
        let hull = low..high;
        let entries: BTreeSet<ElfVaddr> = probed.iter().map(|&(entry, _)| entry).collect();
        let is_library = image.kind() == Kind::Shared;
        let is_own = |name: &str| OWN_PREFIXES.iter().chain(prefixes).any(|prefix| name.starts_with(prefix));
        // In a program everything that is not private to its source file may be called by the rest of it.
        let public = match is_library {
            true => image.exported_functions_between(hull.clone()),
            false => image.functions_between(hull.clone()).into_iter().filter(|s| !s.is_local).collect(),
        };
        let exported: BTreeSet<ElfVaddr> = public.iter().map(|s| s.address).collect();
        let helpers: BTreeSet<ElfVaddr> = image
            .functions_between(hull.clone())
            .iter()
            .filter(|s| HELPERS.contains(&base_name(&s.name)) || !is_library && is_own(&s.name))
            .map(|s| s.address)
            .collect();
        let mut graph = Self { nodes: BTreeMap::new(), entries, hull, is_library };
        let mut waiting: Vec<Extent> = probed.iter().map(|&(_, extent)| extent).collect();
        waiting.extend(helpers.iter().filter_map(|&address| extents.at(address)));
        if is_library {
            waiting.extend(extents.within(graph.hull.clone()).take(MAX_FUNCTIONS));
        }
        // The probed functions are wanted whatever the limit is: they come first.
        waiting.reverse();
        while let Some(extent) = waiting.pop() {
            // One description covers all stubs, which have nothing to do with each other.
            if linkage.is_stub(extent.start)
                || graph.nodes.contains_key(&extent.start)
                || graph.nodes.len() >= MAX_FUNCTIONS
            {
                continue;
            }
            let node = read(image, linkage, extent, &exported, &helpers);
            let jumps = node.flow.jumps.iter().filter(|&&target| !extent.contains(target));
            let calls = node.flow.calls.iter().filter(|&target| graph.hull.contains(target));
            // What is reached comes before what only lies between.
            waiting.extend(jumps.chain(calls).filter_map(|&target| extents.at(target)));
            graph.nodes.insert(extent.start, node);
        }
        graph
    }

    /// The function that holds an address.
    pub(super) fn at(&self, address: ElfVaddr) -> Option<&Node> {
        let (_, node) = self.nodes.range(..=address).next_back()?;
        node.extent.contains(address).then_some(node)
    }

    /// Targets in a function of all jumps that are known, also from parts that the compiler has moved away.
    pub(super) fn jumps_into(&self, extent: &Extent) -> BTreeSet<ElfVaddr> {
        let jumps = self.nodes.values().flat_map(|node| &node.flow.jumps);
        jumps.copied().filter(|&target| extent.contains(target)).collect()
    }
}

fn read(
    image: &Image,
    linkage: &Linkage<'_>,
    extent: Extent,
    exported: &BTreeSet<ElfVaddr>,
    helpers: &BTreeSet<ElfVaddr>,
) -> Node {
    let end = ElfVaddr(extent.end.0.min(extent.start.0.saturating_add(MAX_BODY_BYTES)));
    let flow = code::flow(extent.start, &image.read_vaddr(extent.start..end), &|via| linkage.resolve(via));
    let any = |addresses: &BTreeSet<ElfVaddr>| addresses.iter().any(|&address| extent.contains(address));
    Node { extent, flow, is_exported: any(exported), is_helper: any(helpers) }
}

/// Without what the compiler appends: `_mid_memalign.isra.0`.
fn base_name(name: &str) -> &str {
    name.split_once('.').map_or(name, |(base, _)| base)
}
