//! What is handed out: the advice, what was looked at and found fine. The JSON document is this, field by field.

use std::collections::BTreeMap;

use serde::Serialize;

use super::context::Context;
use super::group::Group;
use super::rule::{By, Certainty, Family, FixText, Language, Rule};
use crate::model::snapshot::{Target, Tool};

/// The value of `schema`.
pub const SCHEMA: &str = "tracer-advice/1";

/// Everything that is to be said of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// This program.
    pub tool: Tool,
    /// How long was counted; `None` where the profile does not say it: there are no rates then.
    pub seconds: Option<f64>,
    /// The numbers are estimates.
    pub is_sampled: bool,
    /// What ranks.
    pub by: By,
    /// The processes.
    pub targets: Vec<Process>,
    /// What costs most first.
    pub advice: Vec<Advice>,
    /// What was looked at.
    pub looked_at: LookedAt,
    /// The largest of what nothing is wrong with, and why.
    pub fine: Vec<Fine>,
    /// So many more.
    pub fine_unlisted: u64,
    /// What limits the looking.
    pub notes: Vec<String>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number; 0 where the profile does not say it.
    pub pid: u32,
    /// Kernel's short name.
    pub comm: String,
    /// Its program.
    pub exe: String,
}

impl Process {
    pub(super) fn of(target: &Target) -> Self {
        Self { pid: target.pid, comm: target.comm.clone(), exe: target.exe.clone() }
    }
}

/// A pattern that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The rule.
    pub rule: &'static str,
    /// The rule in a few words.
    pub title: &'static str,
    /// How sure.
    pub certainty: Certainty,
    /// What it does not know.
    pub unknown: &'static str,
    /// The process.
    pub pid: u32,
    /// The function that asked for the memory.
    pub function: String,
    /// Its file.
    pub file: Option<String>,
    /// The line with the most objects; for maps, of those that make them.
    pub line: Option<u32>,
    /// All such lines.
    pub lines: Vec<u32>,
    /// The function of a library that it called for that.
    pub via: Option<String>,
    /// Its language.
    pub language: Language,
    /// What was seen.
    pub seen: Seen,
    /// Of maps, what they consist of.
    pub maps: Option<MapsSeen>,
    /// What it costs.
    pub why: &'static str,
    /// The fix that fits best.
    pub fix: Fix,
    /// Others that may.
    pub alternatives: Vec<Fix>,
    /// Call sites that it is about.
    pub sites: u64,
}

/// A fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What kind.
    pub name: &'static str,
    /// What to do.
    pub text: &'static str,
}

impl From<FixText> for Fix {
    fn from(text: FixText) -> Self {
        Self { name: text.name, text: text.text }
    }
}

/// Numbers of a pattern.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// Allocations.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Allocations a second; `None` where the profile does not say how long it was recorded.
    pub objects_per_second: Option<f64>,
    /// Bytes a second.
    pub bytes_per_second: Option<f64>,
    /// The lower end of the interval of 95 % of the rate; the same where exact.
    pub least_objects_per_second: Option<f64>,
    /// The same of bytes.
    pub least_bytes_per_second: Option<f64>,
    /// Of an object.
    pub mean_bytes: f64,
    /// Of the process's allocations.
    pub objects_share: f64,
    /// Of the process's allocated bytes.
    pub bytes_share: f64,
    /// In use, of the allocated objects; `None` where frees were not seen.
    pub kept_ratio: Option<f64>,
    /// Bytes in use.
    pub inuse_bytes: Option<u64>,
    /// Samples that the numbers stand on; 0 where that is not known.
    pub samples: u64,
}

impl Seen {
    /// What ranks.
    #[must_use]
    pub fn cost(&self, by: By) -> f64 {
        match by {
            By::Objects => self.objects_share,
            By::Bytes => self.bytes_share,
            By::Both => self.objects_share.max(self.bytes_share),
        }
    }
}

/// What the maps of a function consist of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MapsSeen {
    /// Maps that were made.
    pub made: u64,
    /// Of a map with all that was made for it.
    pub mean_bytes: f64,
    /// First buckets or groups of maps without a size.
    pub first_filled: u64,
    /// Maps that were asked for with a size.
    pub sized: u64,
    /// Allocations for growing.
    pub grown: u64,
    /// Share of the bytes that growing took.
    pub grown_ratio: f64,
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LookedAt {
    /// Call sites.
    pub sites: u64,
    /// Functions that ask for memory.
    pub functions: u64,
    /// Allocations.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Call sites by what they were asked for.
    pub families: BTreeMap<Family, u64>,
}

/// Something large that nothing is wrong with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fine {
    /// What was asked for.
    pub family: Family,
    /// The process.
    pub pid: u32,
    /// The function that asked.
    pub function: String,
    /// Its file.
    pub file: Option<String>,
    /// The line with the most objects.
    pub line: Option<u32>,
    /// Its numbers.
    pub seen: Seen,
    /// Why the rules about it do not hold.
    pub why: String,
}

/// The advice of a rule for a group.
pub(super) fn advice(rule: &Rule, group: &Group, context: &Context) -> Advice {
    let maps = group.maps;
    let count = |amount: super::Amount| amount.value.round() as u64;
    let fix = rule.fix(group.language).map_or(Fix { name: "", text: "" }, Fix::from);
    let alternatives = rule.alternatives.iter();
    let fits = |needs: &[super::Need]| needs.iter().all(|need| need.unmet(group, context).is_none());
    Advice {
        rule: rule.name,
        title: rule.title,
        // Without a time nobody knows whether it still happens.
        certainty: if context.seconds.is_some() { rule.certainty } else { rule.certainty.less() },
        unknown: rule.unknown,
        pid: group.pid,
        function: group.function.clone(),
        file: group.file.clone(),
        line: group.line(),
        lines: group.lines.keys().copied().collect(),
        via: group.via.clone(),
        language: group.language,
        seen: context.seen(group),
        maps: (group.family == Family::Map).then(|| MapsSeen {
            made: count(maps.made),
            mean_bytes: maps.mean_bytes(),
            first_filled: count(maps.first),
            sized: count(maps.sized),
            grown: count(maps.grown),
            grown_ratio: maps.grown_ratio(),
        }),
        why: rule.why,
        fix,
        alternatives: alternatives.filter(|one| fits(one.needs)).map(|one| one.fix.into()).collect(),
        sites: group.sites,
    }
}

/// A group without advice.
pub(super) fn fine(group: &Group, seen: Seen, why: String) -> Fine {
    Fine {
        family: group.family,
        pid: group.pid,
        function: group.function.clone(),
        file: group.file.clone(),
        line: group.line(),
        seen,
        why,
    }
}
