//! Which processes are the two sides of which service, and why a service has no verdict where it has none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::judge::Job;
use super::window::Observed;
use crate::canary::{Side, Unit};
use crate::model::node::{NodeTarget, TargetId};
use crate::view::canaries::ServiceName;

/// Values of `canary_group`: what is there, and what is to replace it.
pub(super) const GROUPS: [&str; 2] = ["stable", "canary"];
/// Services with a verdict.
const MAX_SERVICES: usize = 100;
/// Processes of one side of one service that are compared: the precision of more is not worth their pictures.
const MAX_UNITS: usize = 32;

/// The processes of one service by side, in the order of [`GROUPS`].
type Members<'a> = [Vec<&'a NodeTarget>; 2];

/// Services with a side, and when that was last so.
#[derive(Debug, Default)]
pub(super) struct Services {
    seen: BTreeMap<ServiceName, f64>,
    /// Services that had no room at the last look.
    left_out: usize,
}

impl Services {
    /// Takes the processes of a look at `now` seconds; services without any stay for `expire_seconds`.
    pub(super) fn look(&mut self, now: f64, expire_seconds: f64, targets: &[NodeTarget]) {
        self.seen.retain(|_, seen| now - *seen <= expire_seconds);
        let present = members(targets);
        // Those in a rollout first.
        let has_both = |members: &Members<'_>| members.iter().all(|side| !side.is_empty());
        let (both, one): (Vec<_>, Vec<_>) = present.iter().partition(|(_, members)| has_both(members));
        self.left_out = 0;
        for (name, _) in both.into_iter().chain(one) {
            if self.seen.len() < MAX_SERVICES || self.seen.contains_key(name) {
                self.seen.insert(name.clone(), now);
            } else {
                self.left_out += 1;
            }
        }
    }

    /// What a reader should know.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = format!(
            "{} more services have a canary_group and no verdict: at most {MAX_SERVICES} of a node have one",
            self.left_out
        );
        if self.left_out > 0 { vec![note] } else { Vec::new() }
    }

    /// The processes of services that have both sides.
    pub(super) fn compared<'a>(&self, targets: &'a [NodeTarget]) -> Vec<&'a NodeTarget> {
        let all = members(targets);
        let known = all.into_iter().filter(|(name, _)| self.seen.contains_key(name));
        let both = known.filter(|(_, sides)| sides.iter().all(|side| !side.is_empty()));
        both.flat_map(|(_, sides)| sides.into_iter().flat_map(|side| side.into_iter().take(MAX_UNITS)))
            .collect()
    }

    /// What is to be compared of each service, or why it is not.
    pub(super) fn jobs(
        &self,
        targets: &[NodeTarget],
        mut seen: HashMap<TargetId, Option<Observed>>,
        min_share: f64,
    ) -> Vec<Job> {
        let all = members(targets);
        let none = Members::default();
        self.seen
            .keys()
            .map(|name| {
                let members = all.get(name).unwrap_or(&none);
                let nameless = nameless(members, &seen, min_share);
                let sides = [0, 1].map(|at| side(at, members, &mut seen));
                let (reason, awaits_names) = match reason(members, &sides) {
                    Some(reason) => (Some(reason), false),
                    None => (nameless.clone(), nameless.is_some()),
                };
                Job { service: name.clone(), sides, reason, awaits_names, notes: notes(members) }
            })
            .collect()
    }
}

fn members(targets: &[NodeTarget]) -> BTreeMap<ServiceName, Members<'_>> {
    let mut all: BTreeMap<ServiceName, Members<'_>> = BTreeMap::new();
    for target in targets {
        if let Some(group) = GROUPS.iter().position(|group| **group == *target.labels.canary_group)
            && let Some(side) = all.entry(ServiceName::of(&target.labels)).or_default().get_mut(group)
        {
            side.push(target);
        }
    }
    all
}

fn side(at: usize, members: &Members<'_>, seen: &mut HashMap<TargetId, Option<Observed>>) -> Side {
    let targets = members.get(at).map_or(&[][..], Vec::as_slice);
    let versions: BTreeSet<&str> =
        targets.iter().map(|target| &*target.labels.version).filter(|version| !version.is_empty()).collect();
    let group = GROUPS.get(at).copied().unwrap_or_default();
    let versions: Vec<&str> = versions.into_iter().collect();
    let name =
        if versions.is_empty() { group.to_owned() } else { format!("{group} {}", versions.join(", ")) };
    let units = targets.iter().filter_map(|target| {
        let observed = seen.remove(&target.id)??;
        Some(unit(target, observed))
    });
    Side { name, units: units.collect() }
}

fn unit(target: &NodeTarget, observed: Observed) -> Unit {
    let TargetId { pid, start_time } = target.id;
    Unit {
        name: target.pod.as_ref().map_or_else(|| pid.to_string(), |pod| pod.name.to_string()),
        // All are of this machine.
        process: Some((String::new(), pid, start_time)),
        processes: 1,
        seconds: Some(observed.seconds),
        times: None,
        cpu_seconds: Some(observed.cpu_seconds),
        tracing_share: observed.tracing_share,
        requests: None,
        mode: Some(observed.mode),
        sample_bytes: target.sample_bytes,
        exact: Some((observed.alloc_bytes, observed.alloc_objects)),
        inuse_bytes: observed.inuse_bytes,
        inuse_seconds: observed.inuse_seconds,
        is_lossy: observed.is_lossy,
        sites: observed.sites,
    }
}

/// Why nothing can be compared, if that is so.
fn reason(members: &Members<'_>, sides: &[Side; 2]) -> Option<String> {
    for (group, targets) in GROUPS.iter().zip(members) {
        if targets.is_empty() {
            return Some(format!(
                "no process with canary_group {group} is traced on this node: it may not be up yet, be over, be on another \
                 node, or have other labels than the other side"
            ));
        }
    }
    let side = GROUPS.iter().zip(sides).find(|(_, side)| side.units.is_empty());
    side.map(|(group, _)| {
        format!("the window of {group} has just begun: its numbers come with the next look")
    })
}

/// Call sites that together are large enough to be tested and cannot be: without them there may be too little that has
/// changed.
fn nameless(
    members: &Members<'_>,
    seen: &HashMap<TargetId, Option<Observed>>,
    min_share: f64,
) -> Option<String> {
    GROUPS.iter().zip(members).find_map(|(group, targets)| {
        let units = || targets.iter().filter_map(|target| seen.get(&target.id)?.as_ref());
        let sum = |count: fn(&Observed) -> u64| units().map(count).sum::<u64>() as f64;
        let objects = sum(|unit| unit.nameless.objects) / sum(|unit| unit.alloc_objects).max(1.0);
        let bytes = sum(|unit| unit.nameless.bytes) / sum(|unit| unit.alloc_bytes).max(1.0);
        let share = objects.max(bytes);
        (share >= min_share).then(|| {
            format!(
                "the names of call sites with {:.1} % of what {group} has allocated are still being looked up: its numbers come \
                 with the next look",
                100.0 * share
            )
        })
    })
}

fn notes(members: &Members<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for (group, targets) in GROUPS.iter().zip(members) {
        if targets.len() > MAX_UNITS {
            notes.push(format!("{MAX_UNITS} of {} processes of {group} were compared", targets.len()));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
