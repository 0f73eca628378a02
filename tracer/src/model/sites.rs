//! Site records to call sites: added up, filtered.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::estimate::{Estimate, Estimates};
use super::history::History;
use super::known::{KnownSites, Site, SiteId};
use super::snapshot::{CallSite, SiteErrors};
use super::{Filter, Moment, SlotState, Source, TargetState};
use crate::mode::Mode;
use crate::symbolize::Symbols;

/// Counts of records that are one site to the reader.
#[derive(Clone, Default)]
struct Merged {
    sums: Estimates,
    oldest: Duration,
    /// The blocks that are old enough, where the reader asks.
    old: Option<Box<Estimates>>,
    /// What its process is traced for now.
    mode: Mode,
    was_sampled: bool,
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
    let (ids, merged) = merge(moment, known);
    let ids = || ids.iter().map(|&(id, at)| (id, &merged[at as usize]));
    for (id, _) in ids() {
        known.name(id, symbols, filter);
    }
    let mut truncated = BTreeMap::new();
    let mut result =
        Sites { sites: Vec::with_capacity(merged.len()), truncated: BTreeMap::new(), unnamed: 0 };
    for (id, merged) in ids() {
        if let Some(reason) = known.site(id).truncated {
            *truncated.entry(reason).or_insert(0) += merged.sums.samples;
        }
    }
    for (id, merged) in ids() {
        if merged.was_sampled {
            known.estimate(id, merged.sums, merged.in_use(filter), merged.mode);
        }
        let site = known.site(id);
        if !site.is_wanted {
            continue;
        }
        result.unnamed += site.unnamed;
        result.sites.push(make(id, merged, site, filter));
        if let (Some(history), Some(made)) = (&mut history, result.sites.last_mut()) {
            made.recent = Some(history.site(id, made));
        }
    }
    result.truncated = truncated.into_iter().map(|(reason, samples)| (reason.to_owned(), samples)).collect();
    result
}

/// Asks for the names of all sites of a moment.
pub(super) fn ask_names(moment: &Moment, known: &mut KnownSites, filter: &Filter, symbols: &mut Symbols) {
    let (ids, _) = merge(moment, known);
    for (id, _) in ids {
        known.name(id, symbols, filter);
    }
}

/// Counts of sites as they are added up.
struct Merge {
    /// Where those of each site are.
    places: Vec<u32>,
    ids: Vec<(SiteId, u32)>,
    merged: Vec<Merged>,
}

impl Merge {
    const NOWHERE: u32 = u32::MAX;

    /// Adds the numbers of a record; of an image that is over, nothing is in use.
    fn add(&mut self, id: SiteId, sums: Estimates, state: &TargetState, slot: &SlotState) -> &mut Merged {
        let index = id.0 as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, Self::NOWHERE);
        }
        if self.places[index] == Self::NOWHERE {
            self.places[index] = self.merged.len() as u32;
            self.ids.push((id, self.places[index]));
            self.merged.push(Merged::default());
        }
        let entry = &mut self.merged[self.places[index] as usize];
        let gone = Estimates {
            inuse_objects: Estimate::default(),
            inuse_bytes: Estimate::default(),
            inuse_samples: 0,
            ..sums
        };
        entry.sums = entry.sums + if slot.is_last_image { sums } else { gone };
        entry.mode = mode_of_sites(state, slot);
        entry.was_sampled |= slot.was_sampled;
        entry
    }
}

/// The counts of each site that is there, and the sites in the order of their numbers, each with the index of its counts. A
/// moment may be of a few of all.
fn merge(moment: &Moment, known: &mut KnownSites) -> (Vec<(SiteId, u32)>, Vec<Merged>) {
    let slots: HashMap<u32, (&TargetState, &SlotState)> = moment.targets.iter().flat_map(slots_of).collect();
    let places = vec![Merge::NOWHERE; known.len()];
    let mut merge = Merge { places, ids: Vec::new(), merged: Vec::new() };
    for counts in &moment.sites {
        let Some(&(state, slot)) = slots.get(&counts.slot) else { continue };
        let entry = merge.add(known.id(counts, state.id()), Estimates::of(counts), state, slot);
        if slot.is_last_image {
            entry.oldest = entry.oldest.max(moment.ages.oldest(counts.index));
            if let Some(&old) = moment.ages.old(counts.index) {
                let sum = entry.old.get_or_insert_default();
                **sum = **sum + old;
            }
        }
    }
    for site in &moment.profiled {
        let Some(&(state, slot)) = slots.get(&site.slot) else { continue };
        merge.add(known.id_of(site.key, state.id()), Estimates::of_profile(site), state, slot);
    }
    merge.ids.sort_unstable();
    (merge.ids, merge.merged)
}

/// What is known of the sites of a slot: how many blocks of theirs are in use nobody knows where nobody follows them, also
/// where the runtime of the same process knows the sum.
fn mode_of_sites(state: &TargetState, slot: &SlotState) -> Mode {
    let is_probed = |slot: &SlotState| slot.source == Source::Probes;
    let is_alike = |other: &&SlotState| other.is_last_image && is_probed(other) == is_probed(slot);
    state.slots.iter().rfind(is_alike).map_or_else(|| state.mode(), |slot| slot.mode)
}

fn slots_of(state: &TargetState) -> impl Iterator<Item = (u32, (&TargetState, &SlotState))> {
    state.slots.iter().map(move |slot| (slot.index, (state, slot)))
}

fn make(id: SiteId, merged: &Merged, site: Site<'_>, filter: &Filter) -> CallSite {
    let is_live = merged.mode == Mode::Live;
    let sums = merged.sums;
    let in_use = merged.in_use(filter);
    let live = |estimate: Estimate| is_live.then(|| estimate.rounded());
    let error = |estimate: Estimate| is_live.then(|| estimate.standard_error());
    CallSite {
        id: id.0,
        pid: site.pid,
        thread: site.thread.cloned(),
        allocator: site.allocator.cloned(),
        called: site.called.cloned(),
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
        interval_95: site.intervals.cloned(),
        samples: sums.samples,
        inuse_samples: (is_live && merged.was_sampled).then_some(in_use.inuse_samples),
        recent: None,
        truncated: site.truncated.map(str::to_owned),
        by_frame_pointers: site.by_pointer,
        frames: site.frames.cloned().unwrap_or_default(),
    }
}
