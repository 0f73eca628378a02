//! Where a function is left: its `ret` instructions, also those of what it jumps to, and its jumps to other probed
//! functions.

use std::collections::BTreeSet;

use crate::probe::NoReturn;
use crate::probe::code::Exit;
use crate::probe::graph::{Graph, Node};
use crate::units::ElfVaddr;

/// Most `ret` instructions that are probed for one function.
const MAX_RETURNS: usize = 64;

/// The `ret` instructions that a call of this function may end at, unless it ends as a call of another probed one; and
/// whether it may also end elsewhere.
pub(super) fn returns(graph: &Graph, entry: ElfVaddr) -> Result<(Vec<ElfVaddr>, bool), NoReturn> {
    let (nodes, leaves) = left_by_jumps(graph, entry)?;
    let found: BTreeSet<ElfVaddr> = nodes.iter().flat_map(|node| &node.flow.returns).copied().collect();
    match found.len() {
        0 => Err(NoReturn::NeverReturns),
        1..=MAX_RETURNS => {
            Ok((found.into_iter().collect(), leaves || nodes.iter().any(|node| node.flow.jumps_anywhere)))
        }
        _ => Err(NoReturn::ManyReturns),
    }
}

/// The function's own jumps to other probed functions.
pub(super) fn own_jumps_to_probed(graph: &Graph, entry: ElfVaddr) -> Vec<Exit> {
    let node = graph.at(entry).filter(|node| !node.flow.is_garbled);
    let exits = node.into_iter().flat_map(|node| &node.flow.exits);
    exits.filter(|exit| graph.entries.contains(&exit.to)).copied().collect()
}

/// The jumps by which a call of this function becomes one of another probed function.
pub(super) fn jumps_to_probed(graph: &Graph, entry: ElfVaddr) -> Vec<Exit> {
    let Ok((nodes, _)) = left_by_jumps(graph, entry) else { return Vec::new() };
    let exits = nodes.into_iter().flat_map(|node| &node.flow.exits);
    exits.filter(|exit| exit.to != entry && graph.entries.contains(&exit.to)).copied().collect()
}

/// The function and everything that it jumps to, but for other probed functions; and whether it also jumps to code that
/// is not known, as that of another object.
fn left_by_jumps(graph: &Graph, entry: ElfVaddr) -> Result<(Vec<&Node>, bool), NoReturn> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![graph.at(entry).ok_or(NoReturn::CodeUnknown)?];
    let (mut nodes, mut leaves) = (Vec::new(), false);
    while let Some(node) = waiting.pop() {
        if !seen.insert(node.extent.start) {
            continue;
        }
        if node.flow.is_garbled {
            return Err(NoReturn::CodeUnknown);
        }
        for exit in node.flow.exits.iter().filter(|exit| !graph.entries.contains(&exit.to)) {
            match graph.at(exit.to) {
                Some(node) => waiting.push(node),
                None => leaves = true,
            }
        }
        nodes.push(node);
    }
    Ok((nodes, leaves))
}
