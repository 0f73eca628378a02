//! What is shown: the snapshot, and which part of it the user wants.

use std::sync::Arc;

use super::filter::Filter;
use super::names::Names;
use super::picture::{Baseline, Picture};
use super::theme::Theme;
use crate::model::snapshot::{Dimension, Snapshot};
use crate::view;

/// What a [`Picture`] is made of.
pub(super) struct Data {
    pub(super) snapshot: Arc<Snapshot>,
    names: Names,
    pub(super) baseline: Option<Baseline>,
    /// Whether numbers are shown as differences.
    pub(super) shows_change: bool,
    pub(super) filter: Option<Filter>,
    pub(super) pid: Option<u32>,
    dimension: Dimension,
    theme: Theme,
}

impl Data {
    pub(super) fn new(snapshot: Arc<Snapshot>, dimension: Dimension, theme: Theme) -> Self {
        let mut data = Self {
            snapshot: Arc::clone(&snapshot),
            names: Names::default(),
            baseline: None,
            shows_change: false,
            filter: None,
            pid: None,
            dimension,
            theme,
        };
        data.update(snapshot);
        data
    }

    pub(super) fn update(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
        self.names.update(&self.snapshot.sites);
    }

    /// `always_compares`: also while numbers are shown as they are.
    pub(super) fn picture(&self, always_compares: bool) -> Picture<'_> {
        Picture {
            snapshot: &self.snapshot,
            baseline: self.baseline.as_ref().filter(|_| self.shows_change || always_compares),
            names: &self.names,
            pid: self.pid,
            dimension: view::known(self.snapshot.mode, self.dimension),
            filter: self.filter.as_ref().map(|filter| &filter.regex),
            theme: self.theme,
        }
    }

    /// On to the next number that the mode knows.
    pub(super) fn next_dimension(&mut self) -> Dimension {
        const ORDER: [Dimension; 4] =
            [Dimension::InuseSpace, Dimension::InuseObjects, Dimension::AllocSpace, Dimension::AllocObjects];
        let known = |dimension| view::known(self.snapshot.mode, dimension) == dimension;
        let now = view::known(self.snapshot.mode, self.dimension);
        let mut after = ORDER.iter().cycle().skip_while(|one| **one != now).skip(1);
        self.dimension = after.find(|one| known(**one)).copied().unwrap_or(now);
        self.dimension
    }
}
