//! What a screen is drawn from: a snapshot, what it is compared with, and which part of it is wanted.

use std::collections::HashMap;

use regex::Regex;

use super::names::{FunctionId, Names};
use super::theme::Theme;
use crate::model::snapshot::{CallSite, Dimension, Mode, Snapshot, Target};
use crate::view::table::precision;

/// Everything that is drawn comes from here.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    /// What is shown.
    pub(super) snapshot: &'a Snapshot,
    /// What it is compared with, while differences are shown.
    pub(super) baseline: Option<&'a Baseline>,
    /// Of every stack of the snapshot.
    pub(super) names: &'a Names,
    /// Only this process; `None` is all.
    pub(super) pid: Option<u32>,
    /// What weighs the stacks.
    pub(super) dimension: Dimension,
    /// What is searched for.
    pub(super) filter: Option<&'a Regex>,
    /// How it looks.
    pub(super) theme: Theme,
}

/// The numbers of a moment, by [`CallSite::id`].
#[derive(Clone, Debug, Default)]
pub(super) struct Baseline {
    /// Its time, in seconds since counting began.
    pub(super) seconds: f64,
    sites: HashMap<u32, CallSite>,
}

/// pprof's four numbers, or what they changed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) inuse_bytes: i64,
    pub(super) inuse_objects: i64,
    pub(super) alloc_bytes: i64,
    pub(super) alloc_objects: i64,
}

impl Numbers {
    pub(super) fn of(site: &CallSite) -> Self {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Self {
            inuse_bytes: signed(site.inuse_bytes.unwrap_or(0)),
            inuse_objects: signed(site.inuse_objects.unwrap_or(0)),
            alloc_bytes: signed(site.alloc_bytes),
            alloc_objects: signed(site.alloc_objects),
        }
    }

    pub(super) const fn value(self, dimension: Dimension) -> i64 {
        match dimension {
            Dimension::InuseSpace => self.inuse_bytes,
            Dimension::InuseObjects => self.inuse_objects,
            Dimension::AllocSpace => self.alloc_bytes,
            Dimension::AllocObjects => self.alloc_objects,
        }
    }

    fn each(self, other: Self, operation: fn(i64, i64) -> i64) -> Self {
        Self {
            inuse_bytes: operation(self.inuse_bytes, other.inuse_bytes),
            inuse_objects: operation(self.inuse_objects, other.inuse_objects),
            alloc_bytes: operation(self.alloc_bytes, other.alloc_bytes),
            alloc_objects: operation(self.alloc_objects, other.alloc_objects),
        }
    }
}

impl std::ops::Add for Numbers {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.each(other, i64::saturating_add)
    }
}

impl std::ops::Sub for Numbers {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.each(other, i64::saturating_sub)
    }
}

impl Baseline {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let remembered = |site: &CallSite| (site.id, CallSite { recent: None, ..site.clone() });
        Self { seconds: snapshot.attached_seconds, sites: snapshot.sites.iter().map(remembered).collect() }
    }

    /// The numbers of a site at that time; none if it was not there.
    pub(super) fn numbers(&self, site: &CallSite) -> Option<Numbers> {
        self.sites.get(&site.id).map(Numbers::of)
    }

    /// The standard error of such a number.
    pub(super) fn error(&self, site: &CallSite, dimension: Dimension) -> f64 {
        self.sites.get(&site.id).map_or(0.0, |site| precision::error(site, dimension))
    }

    /// All sites of that time.
    pub(super) fn sites(&self) -> impl Iterator<Item = &CallSite> {
        self.sites.values()
    }
}

impl<'a> Picture<'a> {
    /// The sites of the wanted process that the filter finds.
    pub(super) fn sites(&self) -> impl Iterator<Item = &'a CallSite> {
        let finds = self.finder();
        let pid = self.pid;
        self.snapshot.sites.iter().filter(move |site| pid.is_none_or(|pid| site.pid == pid)).filter(finds)
    }

    /// The wanted processes.
    pub(super) fn targets(&self) -> impl Iterator<Item = &'a Target> {
        let pid = self.pid;
        self.snapshot.targets.iter().filter(move |target| pid.is_none_or(|pid| target.pid == pid))
    }

    /// A site's numbers, or what they have changed by since the baseline.
    pub(super) fn numbers(&self, site: &CallSite) -> Numbers {
        let now = Numbers::of(site);
        self.baseline.map_or(now, |baseline| now - baseline.numbers(site).unwrap_or_default())
    }

    /// Whether it knows what is in use.
    pub(super) fn is_live(&self) -> bool {
        self.snapshot.mode == Mode::Live
    }

    /// Whether the filter finds a function.
    pub(super) fn finds_function(&self, id: FunctionId) -> bool {
        let function = self.names.function(id);
        self.filter.is_some_and(|filter| filter.is_match(&function.name) || filter.is_match(&function.module))
    }

    /// Whether the filter finds a site: by a function, a module, the thread or the allocator. Each function is looked at
    /// once.
    fn finder(&self) -> impl FnMut(&&'a CallSite) -> bool + use<'a> {
        let (filter, names, picture) = (self.filter, self.names, *self);
        let mut known: Vec<Option<bool>> = vec![None; if filter.is_some() { names.len() } else { 0 }];
        move |site| {
            let Some(filter) = filter else { return true };
            let texts = [&site.thread, &site.allocator];
            texts.into_iter().flatten().any(|text| filter.is_match(text))
                || names.of(site).is_some_and(|stack| {
                    stack
                        .functions
                        .iter()
                        .any(|&id| *known[id.index()].get_or_insert_with(|| picture.finds_function(id)))
                })
        }
    }
}
