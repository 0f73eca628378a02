//! Call sites of two builds of which one has inlined some functions, and no debug information tells where.

use std::collections::{BTreeMap, HashSet};

use super::MatchKind;
use super::identity::Chain;
use super::matching::{Group, functions};

/// What is left of either side: numbers of chains.
type Left = (Vec<usize>, Vec<usize>);

/// Candidates that a chain is held against, one by one.
const MOST_TRIED: usize = 64;
/// Functions left out of one chain.
const MOST_OMITTED: usize = 8;

/// Matches chains of which one is the other with functions left out; returns the rest.
///
/// First by what both builds have: a function that one build has inlined wherever it is called is on no stack of it. Then,
/// where it was inlined in some places, one by one.
pub(super) fn match_inlined(left: Left, base: &[&Chain], canary: &[&Chain], groups: &mut Vec<Group>) -> Left {
    let left = by_common_functions(left, base, canary, groups);
    one_by_one(left, base, canary, groups)
}

fn seen(chains: &[&Chain]) -> HashSet<u32> {
    chains.iter().flat_map(|chain| chain.links.iter().map(|link| link.function)).collect()
}

fn by_common_functions(left: Left, base: &[&Chain], canary: &[&Chain], groups: &mut Vec<Group>) -> Left {
    let (in_base, in_canary) = (seen(base), seen(canary));
    let reduced = |chains: &[&Chain], at: usize| {
        let mut functions = chains.get(at).map(|chain| functions(chain)).unwrap_or_default();
        functions.retain(|function| in_base.contains(function) && in_canary.contains(function));
        functions
    };
    let is_whole = |chains: &[&Chain], at: usize, functions: &[u32]| {
        chains.get(at).is_some_and(|chain| chain.links.len() == functions.len())
    };
    let mut families: BTreeMap<Vec<u32>, Left> = BTreeMap::new();
    for at in left.0 {
        families.entry(reduced(base, at)).or_default().0.push(at);
    }
    for at in left.1 {
        families.entry(reduced(canary, at)).or_default().1.push(at);
    }
    let mut rest = Left::default();
    for (functions, (ours, theirs)) in families {
        let all_whole = ours.iter().all(|&at| is_whole(base, at, &functions))
            || theirs.iter().all(|&at| is_whole(canary, at, &functions));
        if functions.is_empty() || ours.is_empty() || theirs.is_empty() || !all_whole {
            rest.0.extend(ours);
            rest.1.extend(theirs);
            continue;
        }
        let is_pair = ours.len() == 1 && theirs.len() == 1;
        let kind = if is_pair { MatchKind::Inlined } else { MatchKind::Split };
        groups.push(Group { kind, base: ours, canary: theirs });
    }
    rest
}

fn one_by_one(left: Left, base: &[&Chain], canary: &[&Chain], groups: &mut Vec<Group>) -> Left {
    let outermost = |chains: &[&Chain], at: usize| {
        let mut functions = chains.get(at).map(|chain| functions(chain)).unwrap_or_default();
        functions.reverse();
        functions.truncate(2);
        functions
    };
    let mut by_root: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
    for &at in &left.1 {
        by_root.entry(outermost(canary, at)).or_default().push(at);
    }
    let mut rest = Left::default();
    let mut taken: HashSet<usize> = HashSet::new();
    for at in left.0 {
        let candidates = by_root.get(&outermost(base, at)).map_or(&[][..], Vec::as_slice);
        let fitting: Vec<usize> = candidates
            .iter()
            .take(MOST_TRIED)
            .copied()
            .filter(|other| !taken.contains(other) && is_inlined(base.get(at), canary.get(*other)))
            .collect();
        match fitting.as_slice() {
            &[other] => {
                taken.insert(other);
                groups.push(Group { kind: MatchKind::Inlined, base: vec![at], canary: vec![other] });
            }
            _ => rest.0.push(at),
        }
    }
    rest.1.extend(left.1.into_iter().filter(|at| !taken.contains(at)));
    rest
}

/// One is the other with functions left out.
fn is_inlined(a: Option<&&Chain>, b: Option<&&Chain>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    let (long, short) = if a.links.len() > b.links.len() { (a, b) } else { (b, a) };
    let omitted = long.links.len() - short.links.len();
    let mut functions = long.links.iter();
    (1..=MOST_OMITTED).contains(&omitted)
        && !short.links.is_empty()
        && short.links.iter().all(|link| functions.any(|other| other.function == link.function))
}
