//! What the rounds measured, by row, in the order of the first round.

use std::time::Duration;

use tracer::mode::Mode;

use crate::bpftrace::Script;
use crate::floor::ProbeSet;
use crate::ours::Ends;
use crate::workload::Measured;

/// What was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// Nothing.
    Untraced,
    /// Empty programs.
    Floor(ProbeSet),
    /// Tracer.
    Ours(Mode),
    /// bpftrace.
    Bpftrace(Script),
}

impl Row {
    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Untraced => "untraced",
            Self::Floor(ProbeSet::E) => "floor E: malloc entry, empty",
            Self::Floor(ProbeSet::F) => "floor F: free entry, empty",
            Self::Floor(ProbeSet::R) => "floor R: malloc entry and return, empty",
            Self::Floor(ProbeSet::L) => "floor L: R and free entry, empty",
            Self::Ours(Mode::Alloc) => "tracer, mode alloc",
            Self::Ours(Mode::Live) => "tracer, mode live",
            Self::Bpftrace(Script::Count) => "bpftrace, count by stack",
            Self::Bpftrace(Script::Live) => "bpftrace, live map without stacks",
        }
    }

    /// The floor with the same probes.
    pub(crate) const fn floor(self) -> Option<ProbeSet> {
        match self {
            Self::Untraced | Self::Floor(_) => None,
            Self::Ours(Mode::Alloc) | Self::Bpftrace(Script::Count) => Some(ProbeSet::E),
            Self::Ours(Mode::Live) | Self::Bpftrace(Script::Live) => Some(ProbeSet::L),
        }
    }
}

/// Everything measured.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    costs: Vec<(Row, Vec<f64>)>,
    floors: Vec<(ProbeSet, Vec<(Duration, Duration)>)>,
    ours: Vec<(Mode, Vec<Ends>)>,
}

impl Rows {
    /// Adds one round's nanoseconds per pair.
    pub(crate) fn add(&mut self, row: Row, ns_per_pair: f64) {
        push(&mut self.costs, row, ns_per_pair);
    }

    /// Adds how long a floor took to come and go.
    pub(crate) fn add_floor_ends(&mut self, set: ProbeSet, attach: Duration, detach: Duration) {
        push(&mut self.floors, set, (attach, detach));
    }

    /// Adds one round of tracer.
    pub(crate) fn add_ours(&mut self, mode: Mode, measured: Measured, ends: Ends) {
        self.add(Row::Ours(mode), measured.ns_per_pair);
        push(&mut self.ours, mode, ends);
    }

    /// Nanoseconds per pair of each row, sorted.
    pub(crate) fn costs(&self) -> impl Iterator<Item = (Row, Vec<f64>)> {
        self.costs.iter().map(|(row, values)| (*row, sorted(values.iter().copied())))
    }

    /// Median of a row; 0 if it was not measured.
    pub(crate) fn median_of(&self, row: Row) -> f64 {
        self.costs().find(|(found, _)| *found == row).map_or(0.0, |(_, values)| median(&values))
    }

    /// How long the floors took to come and go.
    pub(crate) fn floors(&self) -> &[(ProbeSet, Vec<(Duration, Duration)>)] {
        &self.floors
    }

    /// The rounds of tracer by mode.
    pub(crate) fn ours(&self) -> &[(Mode, Vec<Ends>)] {
        &self.ours
    }

    /// One line per mode: whether its reports were right.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let verdict = |(mode, rounds): &(Mode, Vec<Ends>)| {
            let mut wrong: Vec<&str> =
                rounds.iter().flat_map(|ends| &ends.differences).map(String::as_str).collect();
            wrong.dedup();
            match wrong[..] {
                [] => format!("mode {mode}: truth ok in {} of {} rounds", rounds.len(), rounds.len()),
                _ => format!("mode {mode}: NOT the truth: {}", wrong.join("; ")),
            }
        };
        self.ours.iter().map(verdict).collect()
    }
}

/// Adds a value under its key.
fn push<K: PartialEq, V>(table: &mut Vec<(K, Vec<V>)>, key: K, value: V) {
    match table.iter_mut().find(|(known, _)| *known == key) {
        Some((_, values)) => values.push(value),
        None => table.push((key, vec![value])),
    }
}

/// From the lowest to the highest.
pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The middle one of sorted values, the upper one of two; 0 if there is none.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
