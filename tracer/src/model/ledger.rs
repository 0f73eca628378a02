//! The books of the daemon: what the processes with the same labels have allocated together, also those that are gone.
//!
//! Counters are sums of differences between looks at each process, so they never go back, whatever ends, is labelled anew
//! or is traced in another way.

mod account;
mod gc;
mod recent;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use account::Account;
use recent::Recent;

use super::node::{NodeTarget, OTHER, PodName, RuntimeHeap, Series, TargetId};
use super::tally::Tally;
use crate::target::labels::LabelSet;

/// A process at a look.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Its numbers.
    pub tally: Tally,
    /// What its series are told apart by, from this look on.
    pub labels: LabelSet,
    /// Its pod, if that is known.
    pub pod: Option<PodName>,
    /// Name of the rule that wants it.
    pub rule: String,
    /// Mean bytes between the samples of probes; 0 is every allocation.
    pub sample_bytes: u64,
    /// What its runtime counts by itself.
    pub runtime: Option<RuntimeHeap>,
    /// Memory limit of its control group, and which group that is.
    pub memory_limit: Option<(Arc<str>, u64)>,
    /// While its events counted.
    pub counted_seconds: f64,
}

/// How much the books hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Label sets that are told apart.
    pub max_series: usize,
    /// A label set of which no process is there is shown so long.
    pub expire_seconds: f64,
}

/// The books.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    accounts: BTreeMap<LabelSet, Account>,
    targets: HashMap<TargetId, Known>,
    /// Label sets that had no room.
    suppressed: HashSet<LabelSet>,
    suppressed_times: u64,
    events: u64,
    lost: BTreeMap<String, u64>,
}

/// A process at the last look.
#[derive(Debug)]
struct Known {
    /// As it wants to be labelled.
    labels: LabelSet,
    /// Where it is booked: there, or with the others.
    booked: LabelSet,
    has_ended: bool,
    last: Tally,
    recent: Recent,
}

/// Label sets without room that are remembered, so that each is counted once.
const MAX_SUPPRESSED: usize = 100_000;

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            accounts: BTreeMap::new(),
            targets: HashMap::new(),
            suppressed: HashSet::new(),
            suppressed_times: 0,
            events: 0,
            lost: BTreeMap::new(),
        }
    }

    /// Other limits, from the next look on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Label sets that had no room of their own.
    #[must_use]
    pub const fn suppressed(&self) -> u64 {
        self.suppressed_times
    }

    /// Events that were counted in all processes, and what is missing of them, by reason.
    #[must_use]
    pub fn events(&self) -> (u64, BTreeMap<String, u64>) {
        (self.events, self.lost.clone())
    }

    /// Books a look at `now` (seconds on any clock that goes on). `missing` are the labels of processes that are wanted and
    /// not counted in. A process that is over is booked for the last time.
    pub fn look(
        &mut self,
        now: f64,
        entries: &[Entry],
        missing: &[LabelSet],
    ) -> (Vec<NodeTarget>, Vec<Series>) {
        for entry in entries {
            self.book(now, entry);
        }
        // A label set of which nobody could be attached to is there too: with no process of all that are wanted.
        let mut missing_in: HashMap<LabelSet, usize> = HashMap::new();
        for labels in missing {
            let booked = self.room_for(now, labels);
            self.accounts.entry(booked.clone()).or_insert_with(|| Account::new(now)).show(now);
            *missing_in.entry(booked).or_default() += 1;
        }
        let of = |wanted: fn(&Tally) -> bool| -> HashSet<TargetId> {
            entries
                .iter()
                .map(|entry| &entry.tally)
                .filter(|tally| wanted(tally))
                .map(|tally| tally.id)
                .collect()
        };
        let stays = of(|tally| !tally.is_over);
        self.targets.retain(|id, _| stays.contains(id));
        let is_there = of(|tally| !tally.is_over && !tally.has_ended);
        let present: HashMap<TargetId, &Entry> = entries
            .iter()
            .map(|entry| (entry.tally.id, entry))
            .filter(|(id, _)| is_there.contains(id))
            .collect();
        let mut members: HashMap<&LabelSet, Vec<(&Entry, &Known)>> = HashMap::new();
        for (id, known) in &self.targets {
            if let Some(entry) = present.get(id) {
                members.entry(&known.booked).or_default().push((entry, known));
            }
        }
        let mut series = Vec::new();
        for (labels, account) in &mut self.accounts {
            let processes = members.get(labels).map_or(&[][..], Vec::as_slice);
            if !processes.is_empty() {
                account.show(now);
            }
            if account.is_shown(now, self.limits.expire_seconds) {
                let missing = missing_in.get(labels).copied().unwrap_or(0);
                series.push(account.series(labels, processes, missing));
            }
        }
        (self.node_targets(present.values().copied()), series)
    }

    fn node_targets<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> Vec<NodeTarget> {
        let mut targets: Vec<NodeTarget> =
            entries.filter_map(|entry| Some(self.targets.get(&entry.tally.id)?.node_target(entry))).collect();
        targets.sort_by_key(|target| target.id);
        targets
    }

    fn book(&mut self, now: f64, entry: &Entry) {
        let id = entry.tally.id;
        let is_new = !self.targets.contains_key(&id);
        let moved = self.targets.get(&id).is_none_or(|known| known.labels != entry.labels);
        if moved {
            let booked = self.room_for(now, &entry.labels);
            let before = self.targets.remove(&id);
            let (last, recent) = match before {
                Some(known) => {
                    self.close_if_empty(&known.booked, &booked);
                    (known.last, known.recent)
                }
                None => (Tally::default(), Recent::new(now - entry.counted_seconds)),
            };
            let labels = entry.labels.clone();
            self.targets.insert(id, Known { labels, booked, has_ended: entry.tally.has_ended, last, recent });
        }
        let Some(known) = self.targets.get_mut(&id) else { return };
        let account = self.accounts.entry(known.booked.clone()).or_insert_with(|| Account::new(now));
        account.add(&entry.tally, &known.last);
        self.events += entry.tally.events.saturating_sub(known.last.events);
        for (reason, &count) in &entry.tally.lost {
            let before = known.last.lost.get(reason).copied().unwrap_or(0);
            *self.lost.entry(reason.clone()).or_insert(0) += count.saturating_sub(before);
        }
        known.has_ended = entry.tally.has_ended;
        // What has ended adds its last numbers to a label set that others have left, and does not bring that back.
        if is_new || !known.has_ended || !account.is_closed() {
            account.show(now);
        }
        known.recent.look(now, &entry.tally);
        known.take(&entry.tally);
    }

    /// A label set that its last process has left for another is shown no more.
    fn close_if_empty(&mut self, left: &LabelSet, booked: &LabelSet) {
        if left != booked
            && !self.targets.values().any(|known| known.booked == *left && !known.has_ended)
            && let Some(account) = self.accounts.get_mut(left)
        {
            account.close();
        }
    }

    /// Where a label set is booked.
    fn room_for(&mut self, now: f64, labels: &LabelSet) -> LabelSet {
        let shown = |ledger: &Self| {
            let expire = ledger.limits.expire_seconds;
            let own = ledger.accounts.iter().filter(|(labels, _)| &*labels.service != OTHER);
            own.filter(|(_, account)| account.is_shown(now, expire)).count()
        };
        let is_shown = |account: &Account| account.is_shown(now, self.limits.expire_seconds);
        let has_room = self.accounts.get(labels).is_some_and(is_shown)
            || shown(self) < self.limits.max_series
            || self.hide_idle(now);
        if has_room {
            self.forget_hidden(now);
            return labels.clone();
        }
        if self.suppressed.len() < MAX_SUPPRESSED && self.suppressed.insert(labels.clone()) {
            self.suppressed_times += 1;
        }
        LabelSet { service: Arc::from(OTHER), ..LabelSet::default() }
    }

    /// Hides the label set that has been without a process for longest; false if each has one.
    fn hide_idle(&mut self, now: f64) -> bool {
        let used: HashSet<&LabelSet> = self.targets.values().map(|known| &known.booked).collect();
        let expire = self.limits.expire_seconds;
        let idle = self
            .accounts
            .iter_mut()
            .filter(|(labels, account)| account.is_shown(now, expire) && !used.contains(labels))
            .min_by(|(_, a), (_, b)| a.seen_at().total_cmp(&b.seen_at()));
        idle.is_some_and(|(_, account)| {
            account.close();
            true
        })
    }

    /// What is hidden is kept, so that its counters go on if it comes back; as much as may be shown at most.
    fn forget_hidden(&mut self, now: f64) {
        let expire = self.limits.expire_seconds;
        let used: HashSet<&LabelSet> = self.targets.values().map(|known| &known.booked).collect();
        let hidden = |(labels, account): (&LabelSet, &Account)| {
            let is_hidden = !account.is_shown(now, expire) && !used.contains(labels);
            is_hidden.then(|| (account.seen_at(), labels.clone()))
        };
        let mut all: Vec<_> = self.accounts.iter().filter_map(hidden).collect();
        all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (_, labels) in all.into_iter().skip(self.limits.max_series) {
            self.accounts.remove(&labels);
        }
    }
}

impl Entry {
    /// Mean bytes between samples, the greatest of probes and of the runtime; 0 is every allocation.
    fn interval_bytes(&self) -> u64 {
        let Some(runtime) = &self.runtime else { return self.sample_bytes };
        // The runtime's 1 is every allocation too.
        let of_runtime = runtime.sample_bytes.filter(|&bytes| bytes > 1).unwrap_or(0);
        let has_probes = self.tally.allocators.keys().any(|name| *name != runtime.name);
        if has_probes { of_runtime.max(self.sample_bytes) } else { of_runtime }
    }
}

impl Known {
    /// The next look goes on from here. What could not be read this time goes on from where it was.
    fn take(&mut self, tally: &Tally) {
        let now = tally.with_frees_of(&self.last);
        let before = std::mem::replace(&mut self.last, now);
        self.last.gc = self.last.gc.take().or(before.gc);
        for (name, counts) in before.allocators {
            self.last.allocators.entry(name).or_insert(counts);
        }
    }

    fn node_target(&self, entry: &Entry) -> NodeTarget {
        let tally = &entry.tally;
        let sum =
            |value: fn(&super::node::AllocatorCounts) -> u64| tally.allocators.values().map(value).sum();
        NodeTarget {
            id: tally.id,
            comm: tally.comm.clone(),
            exe: tally.exe.clone(),
            rule: entry.rule.clone(),
            labels: self.labels.clone(),
            pod: entry.pod.clone(),
            mode: tally.mode,
            sample_bytes: entry.interval_bytes(),
            allocators: tally.allocators.keys().cloned().collect(),
            runtime: entry.runtime.clone(),
            gc: tally.gc.clone(),
            gc_cycles_per_second: self.recent.gc_cycles_per_second(),
            counted_seconds: entry.counted_seconds,
            alloc_objects: sum(|counts| counts.alloc_objects),
            alloc_bytes: sum(|counts| counts.alloc_bytes),
            alloc_objects_per_second: self.recent.alloc_objects_per_second(),
            alloc_bytes_per_second: self.recent.alloc_bytes_per_second(),
            inuse_objects: tally.inuse_objects,
            inuse_bytes: tally.inuse_bytes,
            inuse_bytes_standard_error: tally.standard_errors.get("inuse_bytes").copied(),
            resident_bytes: tally.resident_bytes,
            memory_limit_bytes: entry.memory_limit.as_ref().map(|&(_, bytes)| bytes),
            overhead_ratio: self.recent.overhead_ratio(),
            lost: tally
                .lost
                .iter()
                .filter(|&(_, &count)| count > 0)
                .map(|(reason, &count)| (reason.clone(), count))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
