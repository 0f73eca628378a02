//! Allocation patterns that are worth fixing, with the fix: a pure function of a snapshot.
//!
//! Call sites are put into groups by what was asked for and by the function that asked ([`stack`], [`group`]). The rules are
//! data ([`rules`]): each names the families of groups that it is about, the rate and the share that a group must have, what
//! else must hold, why it costs, and which fix it has. A group gets the advice of the first rule that holds. What is
//! estimated counts with the lower end of its interval of 95 %: noise advises nobody.

mod amount;
mod context;
mod document;
mod group;
mod map;
mod names;
mod rule;
mod rules;
mod stack;

use std::cmp::Ordering;
use std::sync::Arc;

use crate::frame::Frame;
use crate::model::snapshot::{Mode, Snapshot, Tool};
pub use amount::Amount;
use context::Context;
pub use document::{Advice, Fine, Fix, LookedAt, Process, Report, SCHEMA, Seen};
use group::{Group, Groups};
pub use rule::{By, Certainty, Family, Floor, Language, Need, Rule};
pub use rules::RULES;

/// Groups that are named although nothing is wrong with them: the largest.
const FINE_MAX: usize = 10;
/// A smaller group is not named where nothing is wrong with it.
const FINE_SHARE_MIN: f64 = 0.03;

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What ranks the advice.
    pub by: By,
    /// Which frame of a stack that is not Go's tells most: its index.
    pub telling: fn(&[Arc<Frame>]) -> Option<usize>,
    /// Names every large group that nothing is wrong with, and not only the largest of them.
    pub is_all: bool,
}

/// Looks at every call site of a snapshot.
#[must_use]
pub fn advise(snapshot: &Snapshot, settings: Settings) -> Report {
    let groups = Groups::of(snapshot, settings.telling);
    let context = Context::of(snapshot, &groups);
    let mut advice = Vec::new();
    let mut fine = Vec::new();
    for group in &groups.groups {
        match RULES.iter().find(|rule| rule.holds(group, &context)) {
            Some(rule) => advice.push(document::advice(rule, group, &context)),
            None => fine.extend(why_fine(group, &context)),
        }
    }
    let larger = |one: f64, other: f64| other.partial_cmp(&one).unwrap_or(Ordering::Equal);
    advice.sort_by(|one, other| larger(one.seen.cost(settings.by), other.seen.cost(settings.by)));
    fine.sort_by(|one: &Fine, other: &Fine| larger(one.seen.cost(settings.by), other.seen.cost(settings.by)));
    let listed = if settings.is_all { fine.len() } else { fine.len().min(FINE_MAX) };
    let unlisted = fine.len() - listed;
    fine.truncate(listed);
    Report {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned() },
        seconds: context.seconds,
        is_sampled: snapshot.is_sampled(),
        by: settings.by,
        targets: snapshot.targets.iter().map(Process::of).collect(),
        advice,
        looked_at: groups.looked_at(snapshot),
        fine,
        fine_unlisted: unlisted as u64,
        notes: notes(snapshot, &groups, &context),
    }
}

/// Why a group that is large enough to be asked about gets no advice; `None` for one that is not.
fn why_fine(group: &Group, context: &Context) -> Option<Fine> {
    let seen = context.seen(group);
    if seen.cost(By::Both) < FINE_SHARE_MIN {
        return None;
    }
    let asked = RULES.iter().filter(|rule| rule.families.contains(&group.family));
    let mut why: Vec<String> = Vec::new();
    for reason in asked.filter_map(|rule| rule.unmet(group, context)) {
        if !why.contains(&reason) {
            why.push(reason);
        }
    }
    let none = || "no rule is about such allocations".to_owned();
    Some(document::fine(group, seen, if why.is_empty() { none() } else { why.join("; ") }))
}

/// What limits the looking, in words.
fn notes(snapshot: &Snapshot, groups: &Groups, context: &Context) -> Vec<String> {
    let mut notes = Vec::new();
    if context.seconds.is_none() {
        notes.push(
            "The profile does not say how long it was recorded: there are shares and no rates, and every advice is less \
             certain by one step."
                .to_owned(),
        );
    }
    if snapshot.mode == Mode::Alloc {
        notes.push(
            "Mode alloc does not see frees: rules about short-lived objects were not asked. Use --mode live."
                .to_owned(),
        );
    }
    if groups.hides_runtime {
        notes.push(
            "This profile leaves out the frames of Go's runtime, as runtime/pprof writes it: maps, slices and conversions \
             cannot be told from other objects. `tracer advise --pid` sees them."
                .to_owned(),
        );
    }
    if groups.unnamed_sites > 0 {
        notes.push(format!(
            "{} of {} call sites have no function of the program with a name: they were not looked at.",
            groups.unnamed_sites,
            snapshot.sites.len()
        ));
    }
    notes.extend(unseen(snapshot));
    notes
}

/// What is not in the profile, in words.
fn unseen(snapshot: &Snapshot) -> Vec<String> {
    let allocators = snapshot.targets.iter().flat_map(|target| &target.allocators);
    let without = allocators.filter(|one| one.source == "runtime" && one.sample_bytes.unwrap_or(0) == 0);
    let unsampled = without.map(|one| {
        format!(
            "{} takes no heap profile here: its allocations have no call sites and were not looked at. Import \
             net/http/pprof, or call runtime/pprof for the heap.",
            one.name
        )
    });
    let quality = &snapshot.quality;
    let missing = quality.lost.iter().chain(&quality.attach_failures).filter(|(_, times)| **times > 0);
    let missing =
        missing.map(|(reason, times)| format!("Not looked at, for it was not seen: {reason} ({times})."));
    let is_one = snapshot.targets.len() == 1;
    let ended = snapshot
        .targets
        .iter()
        .filter(|target| !is_one && target.ended.is_some() && target.counted_seconds.is_none());
    let ended = ended.map(|target| {
        format!(
            "Process {} has ended earlier than the others: its rates are more than is said here.",
            target.pid
        )
    });
    unsampled.chain(missing).chain(ended).collect()
}
