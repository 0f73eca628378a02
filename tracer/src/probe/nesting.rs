//! Calls inside calls: `realloc` uses `malloc`, and that must not count as a second allocation.
//!
//! A real call is known by its return address, which lies in one of the [`ranges`]. A jump keeps the return
//! address of the program, so the functions that [`may_tail_jump`] leave word of it.

use std::collections::BTreeSet;
use std::ops::Range;

use tracer_ebpf::abi::slot::MAX_NESTED;

use crate::probe::graph::{Graph, Node};
use crate::units::ElfVaddr;

/// Gaps up to this size between functions are padding: compilers align functions to 16 bytes.
const MAX_PADDING_BYTES: u64 = 16;

/// Whether a probed function has a way of jumps into another one.
pub(super) fn may_tail_jump(graph: &Graph, entry: ElfVaddr) -> bool {
    let Some(node) = graph.at(entry) else { return false };
    tail_jumpers(graph).contains(&node.extent.start)
}

/// Which probed functions use which others, by calls and jumps through the allocator's code.
#[derive(Debug, Default)]
pub(super) struct Uses {
    outer: BTreeSet<ElfVaddr>,
    inner: BTreeSet<ElfVaddr>,
}

impl Uses {
    /// What cannot be looked at may use all others.
    pub(super) fn of(graph: &Graph) -> Self {
        let mut uses = Self::default();
        for &entry in &graph.entries {
            let Some(node) = graph.at(entry) else {
                uses.outer.insert(entry);
                continue;
            };
            let reached = reached_from(graph, vec![node]);
            let is_reached = |other: &&ElfVaddr| {
                let extent = graph.at(**other).map(|to| to.extent);
                extent.is_none_or(|extent| !node.extent.contains(**other) && reached.contains(&extent.start))
            };
            let others: Vec<ElfVaddr> = graph.entries.iter().filter(is_reached).copied().collect();
            if !others.is_empty() {
                uses.outer.insert(entry);
            }
            uses.inner.extend(others);
        }
        uses
    }

    /// Whether this function may use another one.
    pub(super) fn is_outer(&self, entry: ElfVaddr) -> bool {
        self.outer.contains(&entry)
    }

    /// Whether another function may use this one.
    pub(super) fn is_inner(&self, entry: ElfVaddr) -> bool {
        self.inner.contains(&entry)
    }
}

/// Code of the allocator, sorted, neighbours joined, at most [`MAX_NESTED`] ranges.
///
/// It is the probed functions' code, and the code of functions between them that nobody outside can call
/// and that use a probed one. Of a program (no dynamic symbols) only those that a probed function uses, or
/// that are known by name: there the functions between may be the user's.
pub(super) fn ranges(graph: &Graph) -> Vec<Range<ElfVaddr>> {
    let jumpers = tail_jumpers(graph);
    let used = used_by_probed(graph);
    let is_probed = |node: &Node| graph.entries.iter().any(|&entry| node.extent.contains(entry));
    let is_helper = |node: &Node| {
        let uses_probed = node.flow.calls.iter().chain(&node.flow.jumps).any(|&target| {
            let leads_on = || graph.at(target).is_some_and(|to| jumpers.contains(&to.extent.start));
            !node.extent.contains(target) && (graph.entries.contains(&target) || leads_on())
        });
        let is_own = graph.is_library || node.is_helper || used.contains(&node.extent.start);
        let is_private = !node.is_exported || node.is_helper;
        graph.hull.contains(&node.extent.start) && is_private && uses_probed && is_own
    };
    let nodes = graph.nodes.values().filter(|node| is_probed(node) || is_helper(node));
    limit(join(nodes.map(|node| node.extent.start..node.extent.end).collect()))
}

/// First addresses of all functions from which jumps alone lead to a probed entry.
fn tail_jumpers(graph: &Graph) -> BTreeSet<ElfVaddr> {
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for (&start, node) in &graph.nodes {
            let leads_on = |target: &ElfVaddr| {
                let through = || graph.at(*target).is_some_and(|to| found.contains(&to.extent.start));
                !node.extent.contains(*target) && (graph.entries.contains(target) || through())
            };
            if node.flow.jumps.iter().any(leads_on) {
                found.insert(start);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// First addresses of all functions of the hull to which calls and jumps lead from a probed one.
fn used_by_probed(graph: &Graph) -> BTreeSet<ElfVaddr> {
    reached_from(graph, graph.entries.iter().filter_map(|&entry| graph.at(entry)).collect())
}

/// First addresses of all functions of the hull to which calls and jumps lead, those of the start included.
fn reached_from<'a>(graph: &'a Graph, mut waiting: Vec<&'a Node>) -> BTreeSet<ElfVaddr> {
    let mut found = BTreeSet::new();
    while let Some(node) = waiting.pop() {
        if !found.insert(node.extent.start) {
            continue;
        }
        let targets =
            node.flow.calls.iter().chain(&node.flow.jumps).filter(|&target| graph.hull.contains(target));
        waiting.extend(targets.filter_map(|&target| graph.at(target)));
    }
    found
}

/// Sorts, and joins what overlaps or has only padding between.
fn join(mut ranges: Vec<Range<ElfVaddr>>) -> Vec<Range<ElfVaddr>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<ElfVaddr>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start.0 <= last.end.0.saturating_add(MAX_PADDING_BYTES) => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// Joins the closest ranges until they fit into a slot.
fn limit(mut ranges: Vec<Range<ElfVaddr>>) -> Vec<Range<ElfVaddr>> {
    while ranges.len() > MAX_NESTED {
        let gap = |pair: &[Range<ElfVaddr>]| pair[1].start.0.saturating_sub(pair[0].end.0);
        let Some(at) = (1..ranges.len()).min_by_key(|&at| gap(&ranges[at - 1..=at])) else { break };
        ranges[at - 1].end = ranges[at].end;
        ranges.remove(at);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::probe::code::Flow;
    use crate::unwind::Extent;

    /// A function of 0x20 bytes at each address, with its calls and jumps.
    fn node(start: u64, calls: &[u64], jumps: &[u64]) -> Node {
        let addresses = |list: &[u64]| list.iter().copied().map(ElfVaddr).collect();
        Node {
            extent: Extent { start: ElfVaddr(start), end: ElfVaddr(start + 0x20), has_lsda: false },
            flow: Flow { calls: addresses(calls), jumps: addresses(jumps), ..Flow::default() },
            is_exported: false,
            is_helper: false,
        }
    }

    fn graph(entries: &[u64], nodes: Vec<Node>, is_library: bool) -> Graph {
        let entries: BTreeSet<ElfVaddr> = entries.iter().copied().map(ElfVaddr).collect();
        let low = *entries.first().expect("a test probes something");
        let high = ElfVaddr(entries.last().expect("a test probes something").0 + 0x20);
        let nodes: BTreeMap<ElfVaddr, Node> =
            nodes.into_iter().map(|node| (node.extent.start, node)).collect();
        Graph { nodes, entries, hull: low..high, is_library }
    }

    fn numbers(ranges: Vec<Range<ElfVaddr>>) -> Vec<(u64, u64)> {
        ranges.into_iter().map(|range| (range.start.0, range.end.0)).collect()
    }

    const MALLOC: u64 = 0x1000;
    const FREE: u64 = 0x2000;

    /// Check that a jump counts directly and through helpers, and that calls and jumps inside do not.
    #[test]
    fn tail_jumps_are_followed() {
        let check = |calls: &[u64], jumps: &[u64], expect: bool| {
            let nodes = vec![
                node(MALLOC, &[], &[MALLOC + 8]),
                node(FREE, calls, jumps),
                node(0x3000, &[], &[0x4008]),
                node(0x4000, &[], &[MALLOC]),
                node(0x5000, &[MALLOC], &[FREE + 8]),
            ];
            let graph = graph(&[MALLOC, FREE], nodes, true);
            assert_eq!(may_tail_jump(&graph, ElfVaddr(FREE)), expect, "{calls:x?} {jumps:x?}");
            assert!(!may_tail_jump(&graph, ElfVaddr(MALLOC)));
        };
        check(&[], &[], false);
        check(&[], &[MALLOC], true);
        check(&[MALLOC], &[], false);
        check(&[], &[0x3000], true);
        check(&[0x3000], &[], false);
        check(&[], &[FREE + 4], false);
        check(&[], &[FREE], false);
        check(&[], &[0x5000], false);
        check(&[], &[0x9000], false);
    }

    /// Check that helpers belong to the allocator by what they do and who can call them.
    #[test]
    fn helpers_are_nested() {
        let check = |helper: Node, is_library: bool, expect: bool| {
            let nodes = vec![node(MALLOC, &[0x1800], &[]), node(FREE, &[], &[]), helper.clone()];
            let found = numbers(ranges(&graph(&[MALLOC, FREE], nodes, is_library)));
            let has = found.contains(&(helper.extent.start.0, helper.extent.end.0));
            assert_eq!((has, found.len()), (expect, 2 + usize::from(expect)), "{helper:?}");
        };
        let uses_free = |start| node(start, &[FREE], &[]);
        check(uses_free(0x1500), true, true);
        check(node(0x1500, &[], &[FREE]), true, true);
        check(Node { is_exported: true, ..uses_free(0x1500) }, true, false);
        check(node(0x1500, &[0x7000], &[]), true, false);
        check(uses_free(0x2500), true, false);
        check(uses_free(0x1500), false, false);
        check(uses_free(0x1800), false, true);
        // `strdup` of a static program: the allocator uses it, and so may everybody.
        check(Node { is_exported: true, ..uses_free(0x1800) }, false, false);
        check(Node { is_helper: true, ..uses_free(0x1500) }, false, true);
        check(Node { is_helper: true, ..node(0x1500, &[], &[]) }, false, false);
    }

    /// Check that a helper which calls a jumping helper is nested: the return address is in it.
    #[test]
    fn callers_of_jumping_helpers_are_nested() {
        let nodes = vec![
            node(MALLOC, &[], &[]),
            node(0x1400, &[], &[MALLOC]),
            node(0x1800, &[0x1400], &[]),
            node(FREE, &[], &[]),
        ];
        let found = numbers(ranges(&graph(&[MALLOC, FREE], nodes, true)));
        assert_eq!(found.iter().map(|range| range.0).collect::<Vec<_>>(), [MALLOC, 0x1400, 0x1800, FREE]);
    }

    /// Check that padding joins, that more does not, and that the closest are joined when there are too many.
    #[test]
    fn ranges_are_joined() {
        let made = |list: &[(u64, u64)]| list.iter().map(|&(a, b)| ElfVaddr(a)..ElfVaddr(b)).collect();
        assert_eq!(
            numbers(join(made(&[(0x30, 0x40), (0x10, 0x20), (0x51, 0x60)]))),
            [(0x10, 0x40), (0x51, 0x60)]
        );
        assert_eq!(numbers(join(made(&[(0x10, 0x80), (0x20, 0x30)]))), [(0x10, 0x80)]);
        let mut many: Vec<(u64, u64)> =
            (0..=MAX_NESTED as u64).map(|i| (i << 12, (i << 12) + 0x20)).collect();
        many[5].1 = many[6].0 - 0x30;
        let limited = numbers(limit(made(&many)));
        assert_eq!(limited.len(), MAX_NESTED);
        assert!(limited.contains(&(5 << 12, (6 << 12) + 0x20)));
    }
}
