//! Site records to call sites: added up, filtered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::estimate::{Estimate, Estimates};
use super::history::History;
use super::known::{KnownSite, KnownSites, SiteId};
use super::snapshot::{CallSite, SiteErrors};
use super::{Filter, Moment};
use crate::mode::Mode;
use crate::symbolize::Symbols;

/// Counts of records that are one site to the reader.
#[derive(Clone, Default)]
struct Merged {
    sums: Estimates,
    oldest: Duration,
    /// The blocks that are old enough, where the reader asks.
    old: Option<Box<Estimates>>,
    is_there: bool,
}

impl Merged {
    /// What counts as in use.
    fn in_use(&self, filter: &Filter) -> Estimates {
        match (filter.older_than, &self.old) {
            (None, _) => self.sums,
            (Some(_), Some(old)) => **old,
            (Some(_), None) => Estimates::default(),
        }
    }
}

/// The call sites of a moment.
pub(super) struct Sites {
    pub(super) sites: Vec<CallSite>,
    /// Stacks that were walked and end early, by reason.
    pub(super) truncated: BTreeMap<String, u64>,
    /// Frames of the wanted sites that have no name.
    pub(super) unnamed: u64,
}

/// Makes the call sites of a moment.
pub(super) fn of(
    moment: &Moment,
    known: &mut KnownSites,
    filter: &Filter,
    mut history: Option<&mut History>,
    symbols: &mut Symbols,
) -> Sites {
    let merged = merge(moment, known);
    let ids = || (0..).map(SiteId).zip(&merged).filter(|(_, merged)| merged.is_there);
    for (id, _) in ids() {
        known.name(id, symbols, filter);
    }
    let mut result =
        Sites { sites: Vec::with_capacity(merged.len()), truncated: BTreeMap::new(), unnamed: 0 };
    for (id, merged) in ids() {
        if let Some(reason) = &known.site(id).truncated {
            *result.truncated.entry(reason.clone()).or_insert(0) += merged.sums.samples;
        }
    }
    for (id, merged) in ids() {
        if moment.was_sampled {
            known.estimate(id, merged.sums, merged.in_use(filter), moment.mode);
        }
        let site = known.site(id);
        if !site.is_wanted {
            continue;
        }
        result.unnamed += site.unnamed;
        result.sites.push(make(id, merged, site, moment, filter));
        if let (Some(history), Some(made)) = (&mut history, result.sites.last_mut()) {
            made.recent = Some(history.site(id, made));
        }
    }
    result
}

/// Asks for the names of all sites of a moment.
pub(super) fn ask_names(moment: &Moment, known: &mut KnownSites, filter: &Filter, symbols: &mut Symbols) {
    let merged = merge(moment, known);
    for (id, _) in (0..).map(SiteId).zip(&merged).filter(|(_, merged)| merged.is_there) {
        known.name(id, symbols, filter);
    }
}

fn merge(moment: &Moment, known: &mut KnownSites) -> Vec<Merged> {
    // Slot to pid, and whether its heap still exists.
    let slots: HashMap<u32, (u32, bool)> = moment
        .targets
        .iter()
        .flat_map(|state| {
            let pid = state.target.pid;
            state.slots.iter().map(move |slot| (slot.index, (pid, slot.is_last_image)))
        })
        .collect();
    let mut merged = vec![Merged::default(); known.len()];
    for counts in &moment.sites {
        let Some(&(pid, is_last_image)) = slots.get(&counts.slot) else { continue };
        let id = known.id(counts, pid).0 as usize;
        if merged.len() <= id {
            merged.resize_with(id + 1, Merged::default);
        }
        let entry = &mut merged[id];
        let mut sums = Estimates::of(counts);
        if is_last_image {
            entry.oldest = entry.oldest.max(moment.ages.oldest(counts.index));
            if let Some(&old) = moment.ages.old(counts.index) {
                let sum = entry.old.get_or_insert_default();
                **sum = **sum + old;
            }
        } else {
            (sums.inuse_objects, sums.inuse_bytes) = (Estimate::default(), Estimate::default());
            sums.inuse_samples = 0;
        }
        entry.sums = entry.sums + sums;
        entry.is_there = true;
    }
    merged
}

fn make(id: SiteId, merged: &Merged, site: &KnownSite, moment: &Moment, filter: &Filter) -> CallSite {
    let is_live = moment.mode == Mode::Live;
    let of_stack = site.stack.as_ref();
    let sums = merged.sums;
    let in_use = merged.in_use(filter);
    let live = |estimate: Estimate| is_live.then(|| estimate.rounded());
    let error = |estimate: Estimate| is_live.then(|| estimate.standard_error());
    CallSite {
        id: id.0,
        pid: site.pid,
        thread: of_stack.and_then(|stack| stack.thread.clone()),
        allocator: of_stack.and_then(|stack| stack.allocator.clone()),
        alloc_objects: sums.alloc_objects.rounded(),
        alloc_bytes: sums.alloc_bytes.rounded(),
        free_objects: live(sums.free_objects),
        inuse_objects: live(in_use.inuse_objects),
        inuse_bytes: live(in_use.inuse_bytes),
        oldest_seconds: (in_use.inuse_objects.value > 0.0 && !merged.oldest.is_zero())
            .then_some(merged.oldest.as_secs_f64()),
        standard_error: SiteErrors {
            alloc_objects: sums.alloc_objects.standard_error(),
            alloc_bytes: sums.alloc_bytes.standard_error(),
            inuse_objects: error(in_use.inuse_objects),
            inuse_bytes: error(in_use.inuse_bytes),
        },
        interval_95: site.intervals.as_ref().map(|(_, intervals)| Arc::clone(intervals)),
        samples: sums.samples,
        inuse_samples: (is_live && moment.was_sampled).then_some(in_use.inuse_samples),
        recent: None,
        truncated: site.truncated.clone(),
        by_frame_pointers: of_stack.is_some_and(|stack| stack.stack.by_pointer),
        frames: site.frames.clone(),
    }
}
