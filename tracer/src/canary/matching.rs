//! Call sites of two builds that are one.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::MatchKind;
use super::identity::{Chain, Link};

/// What is compared as one: numbers of chains of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) kind: MatchKind,
    pub(super) base: Vec<usize>,
    pub(super) canary: Vec<usize>,
}

/// Of either side: numbers of chains that have the same functions.
type Family = (Vec<usize>, Vec<usize>);

/// Every chain is in one group.
pub(super) fn groups(base: &[&Chain], canary: &[&Chain]) -> Vec<Group> {
    let builds = (builds_of(base), builds_of(canary));
    let mut families: BTreeMap<Vec<u32>, Family> = BTreeMap::new();
    for (number, chain) in base.iter().enumerate() {
        families.entry(functions(chain)).or_default().0.push(number);
    }
    for (number, chain) in canary.iter().enumerate() {
        families.entry(functions(chain)).or_default().1.push(number);
    }
    let mut groups = Vec::new();
    let mut left: Family = (Vec::new(), Vec::new());
    for family in families.into_values() {
        let is_one_build =
            family.0.iter().filter_map(|&at| base.get(at)).all(|chain| is_of(chain, &builds.1))
                && family.1.iter().filter_map(|&at| canary.get(at)).all(|chain| is_of(chain, &builds.0));
        let rest = match_lines(family, base, canary, is_one_build, &mut groups);
        left.0.extend(rest.0);
        left.1.extend(rest.1);
    }
    let left = super::inlining::match_inlined(left, base, canary, &mut groups);
    groups.extend(alone(left));
    groups
}

pub(super) fn functions(chain: &Chain) -> Vec<u32> {
    chain.links.iter().map(|link| link.function).collect()
}

fn builds_of(chains: &[&Chain]) -> HashSet<u32> {
    chains.iter().filter_map(|chain| chain.builds.as_deref()).flatten().copied().collect()
}

/// All code of the chain is in both sides: its lines have not moved.
fn is_of(chain: &Chain, builds: &HashSet<u32>) -> bool {
    chain.builds.as_deref().is_some_and(|of| !of.is_empty() && of.iter().all(|build| builds.contains(build)))
}

/// Pairs chains of the same functions by their lines; returns those that only one side has.
fn match_lines(
    (mut ours, mut theirs): Family,
    base: &[&Chain],
    canary: &[&Chain],
    is_one_build: bool,
    groups: &mut Vec<Group>,
) -> Family {
    let by_line = |at: &usize, chains: &[&Chain]| chains.get(*at).map(|chain| lines(chain));
    ours.sort_by_cached_key(|at| by_line(at, base));
    theirs.sort_by_cached_key(|at| by_line(at, canary));
    let places: HashMap<&[Link], usize> =
        theirs.iter().enumerate().filter_map(|(place, &at)| Some((&*canary.get(at)?.links, place))).collect();
    let same: HashMap<usize, usize> = ours
        .iter()
        .enumerate()
        .filter_map(|(place, &at)| Some((place, *places.get(&*base.get(at)?.links)?)))
        .collect();
    let is_even = ours.len() == theirs.len() && !is_one_build;
    if is_even && same.iter().all(|(ours, theirs)| ours == theirs) {
        groups.extend(ours.iter().zip(&theirs).enumerate().map(|(place, (&a, &b))| Group {
            kind: if same.contains_key(&place) { MatchKind::Same } else { MatchKind::Moved },
            base: vec![a],
            canary: vec![b],
        }));
        return Family::default();
    }
    if is_even && same.len() < ours.len() {
        // The lines of one are the lines of another in the other build: all may have moved.
        groups.push(Group { kind: MatchKind::Split, base: ours, canary: theirs });
        return Family::default();
    }
    let taken: HashSet<usize> = same.values().copied().collect();
    groups.extend(same.iter().filter_map(|(&a, &b)| {
        Some(Group { kind: MatchKind::Same, base: vec![*ours.get(a)?], canary: vec![*theirs.get(b)?] })
    }));
    let left = |all: &[usize], is_taken: &dyn Fn(usize) -> bool| -> Vec<usize> {
        all.iter().enumerate().filter(|&(place, _)| !is_taken(place)).map(|(_, &at)| at).collect()
    };
    let ours = left(&ours, &|place| same.contains_key(&place));
    let theirs = left(&theirs, &|place| taken.contains(&place));
    if is_one_build {
        groups.extend(alone((ours, theirs)));
        return Family::default();
    }
    if ours.is_empty() || theirs.is_empty() {
        return (ours, theirs);
    }
    let is_pair = ours.len() == 1 && theirs.len() == 1;
    let kind = if is_pair { MatchKind::Moved } else { MatchKind::Split };
    groups.push(Group { kind, base: ours, canary: theirs });
    Family::default()
}

/// Chains that only one side has.
fn alone((ours, theirs): Family) -> impl Iterator<Item = Group> {
    let gone = ours.into_iter().map(|at| Group { kind: MatchKind::Gone, base: vec![at], canary: vec![] });
    gone.chain(theirs.into_iter().map(|at| Group { kind: MatchKind::New, base: vec![], canary: vec![at] }))
}

/// Outermost first: calls that stand in one order stay in it when lines are put in above them.
fn lines(chain: &Chain) -> Vec<u32> {
    chain.links.iter().rev().map(|link| link.line).collect()
}
