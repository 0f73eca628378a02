//! What the rounds measured on one workload, by row, in the order of the first round.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::floor::ProbeSet;
use crate::ours::Ends;
use crate::samples::{Samples, push};
use crate::setting::Setting;

/// What was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// Nothing.
    Untraced,
    /// Empty programs.
    Floor(ProbeSet),
    /// Tracer.
    Ours(Setting),
    /// Another tool: its name, and the floor with the probes that it needs.
    Peer(&'static str, ProbeSet),
}

impl Row {
    /// In words.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Untraced => "untraced".to_owned(),
            Self::Floor(ProbeSet::E) => "floor E: malloc entry, empty".to_owned(),
            Self::Floor(ProbeSet::F) => "floor F: free entry, empty".to_owned(),
            Self::Floor(ProbeSet::R) => "floor R: malloc entry and return, empty".to_owned(),
            Self::Floor(ProbeSet::L) => "floor L: R and free entry, empty".to_owned(),
            Self::Ours(setting) => format!("tracer, {}", setting.name()),
            Self::Peer(name, _) => name.to_owned(),
        }
    }

    /// The floor with the same probes.
    pub(crate) const fn floor(self) -> Option<ProbeSet> {
        match self {
            Self::Untraced | Self::Floor(_) => None,
            Self::Ours(setting) => Some(setting.floor()),
            Self::Peer(_, floor) => Some(floor),
        }
    }
}

/// Everything measured.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    costs: Samples<Row>,
    floors: Vec<(ProbeSet, Vec<(Duration, Duration)>)>,
    ours: Vec<(Setting, Vec<Ends>)>,
    differences: Vec<(Setting, Vec<Vec<String>>)>,
    missing: Vec<(Row, String)>,
}

impl Rows {
    /// Adds one round's nanoseconds per pair.
    pub(crate) fn add(&mut self, row: Row, ns_per_pair: f64) {
        self.costs.add(row, ns_per_pair);
    }

    /// Adds how long a floor took to come and go.
    pub(crate) fn add_floor_ends(&mut self, set: ProbeSet, attach: Duration, detach: Duration) {
        push(&mut self.floors, set, (attach, detach));
    }

    /// Adds one round of tracer: its ends, and where its report differs from the workload's truth.
    pub(crate) fn add_ours(
        &mut self,
        setting: Setting,
        ns_per_pair: f64,
        ends: Ends,
        differences: Vec<String>,
    ) {
        self.add(Row::Ours(setting), ns_per_pair);
        push(&mut self.ours, setting, ends);
        push(&mut self.differences, setting, differences);
    }

    /// Remembers why a row has no numbers.
    pub(crate) fn miss(&mut self, row: Row, reason: String) {
        if !self.is_missing(row) {
            self.missing.push((row, reason));
        }
    }

    /// Whether it was tried and could not be measured.
    pub(crate) fn is_missing(&self, row: Row) -> bool {
        self.missing.iter().any(|(known, _)| *known == row)
    }

    /// Nanoseconds per pair of each row.
    pub(crate) const fn costs(&self) -> &Samples<Row> {
        &self.costs
    }

    /// The median of a row; `None` if it was not measured.
    pub(crate) fn median(&self, row: Row) -> Option<f64> {
        self.costs.median(&row)
    }

    /// How many times its floor a row costs.
    pub(crate) fn over_floor(&self, row: Row) -> Option<f64> {
        Some(self.median(row)? / self.median(Row::Floor(row.floor()?))?)
    }

    /// How long the floors took to come and go.
    pub(crate) fn floors(&self) -> &[(ProbeSet, Vec<(Duration, Duration)>)] {
        &self.floors
    }

    /// The rounds of tracer by setting.
    pub(crate) fn ours(&self) -> &[(Setting, Vec<Ends>)] {
        &self.ours
    }

    /// The rows without numbers, and why.
    pub(crate) fn missing(&self) -> &[(Row, String)] {
        &self.missing
    }

    /// Where tracer's reports differ from the truth, by setting: one list per round, empty if it was right.
    pub(crate) fn differences(&self) -> &[(Setting, Vec<Vec<String>>)] {
        &self.differences
    }
}

/// What stands below a table of several workloads, each with a name: rows without numbers, and whether reports were right.
pub(crate) fn notes(all: &[(String, &Rows)]) -> Vec<String> {
    let mut notes = Vec::new();
    let (mut runs, mut right) = (0, 0);
    for (name, rows) in all {
        for (row, reason) in rows.missing() {
            notes.push(format!("no row of {}: {reason}", row.name()));
        }
        for (setting, rounds) in rows.differences() {
            runs += rounds.len();
            right += rounds.iter().filter(|differences| differences.is_empty()).count();
            for differences in rounds.iter().filter(|differences| !differences.is_empty()) {
                notes.push(format!("NOT the truth: {name}, {}: {}", setting.name(), differences.join("; ")));
            }
        }
    }
    // The same reason for every workload is one reason.
    let mut seen = BTreeSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    notes.push(format!("truth: tracer's report was right in {right} of {runs} runs"));
    notes
}
