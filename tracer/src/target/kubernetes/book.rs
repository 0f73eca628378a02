//! What the API server has said so far: pods that are there, and those that are gone since a short time.
//!
//! While it lists everything again, what it said before holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Hashes, Owner, Pod, Rollouts, Table};

/// Ids of one container that are remembered: one that starts again and again has another each time.
const MAX_IDS: usize = 8;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Of this node.
    Pods,
    /// Argo's.
    Rollouts,
    /// Flagger's.
    Canaries,
}

impl Kind {
    /// As kubectl has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Rollouts => "rollouts.argoproj.io",
            Self::Canaries => "canaries.flagger.app",
        }
    }

    /// What a ClusterRole must have.
    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::Pods => r#"{apiGroups: [""], resources: [pods], verbs: [list, watch]}"#,
            Self::Rollouts => r#"{apiGroups: [argoproj.io], resources: [rollouts], verbs: [list, watch]}"#,
            Self::Canaries => r#"{apiGroups: [flagger.app], resources: [canaries], verbs: [list, watch]}"#,
        }
    }

    /// What to do where nobody knows them.
    pub(super) const fn missing(self) -> &'static str {
        match self {
            Self::Pods => "Is it an API server of Kubernetes?",
            Self::Rollouts => "Install Argo Rollouts, or set `argo_rollouts = false` in [kubernetes]",
            Self::Canaries => "Install Flagger, or set `flagger_canaries = false` in [kubernetes]",
        }
    }
}

/// Namespace and name.
pub(super) type Name = (String, String);

/// What happened to an object; one that is gone, or says nothing, is `None`.
#[derive(Clone, Debug)]
pub(super) enum Change<V> {
    /// Everything comes again.
    Begin,
    /// Of everything, this.
    Listed(Name, Option<V>),
    /// That was everything.
    Done,
    /// This has changed.
    Applied(Name, Option<V>),
}

/// What is said of objects of one kind.
#[derive(Debug)]
struct Objects<V> {
    known: BTreeMap<Name, V>,
    listing: BTreeMap<Name, V>,
}

impl<V> Default for Objects<V> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), listing: BTreeMap::new() }
    }
}

impl<V> Objects<V> {
    fn take(&mut self, change: Change<V>) {
        match change {
            Change::Begin => self.listing.clear(),
            Change::Listed(name, value) => self.listing.extend(value.map(|value| (name, value))),
            Change::Done => self.known = std::mem::take(&mut self.listing),
            Change::Applied(name, Some(value)) => {
                self.known.insert(name, value);
            }
            Change::Applied(name, None) => {
                self.known.remove(&name);
            }
        }
    }
}

/// A pod, by its uid at the API server.
#[derive(Debug)]
struct Known {
    pod: Arc<Pod>,
    gone_at: Option<Instant>,
}

/// See above.
#[derive(Debug)]
pub(super) struct Book {
    keep: Duration,
    pods: BTreeMap<String, Known>,
    listing: Vec<(String, Pod)>,
    rollouts: Objects<Hashes>,
    canaries: Objects<Owner>,
    /// What has not been listed yet, and may still be.
    awaited: BTreeSet<Kind>,
    /// Something is to be published.
    is_changed: bool,
    /// What was published of rollouts.
    published: Rollouts,
}

impl Book {
    /// An empty one: nothing of what is wanted has been listed.
    pub(super) fn new(keep: Duration, wanted: impl IntoIterator<Item = Kind>) -> Self {
        Self {
            keep,
            pods: BTreeMap::new(),
            listing: Vec::new(),
            rollouts: Objects::default(),
            canaries: Objects::default(),
            awaited: wanted.into_iter().collect(),
            is_changed: false,
            published: Rollouts::default(),
        }
    }

    /// All pods come again.
    pub(super) fn begin(&mut self) {
        self.listing.clear();
    }

    /// Of all, this one.
    pub(super) fn listed(&mut self, uid: String, pod: Pod) {
        self.listing.push((uid, pod));
    }

    /// Those were all: others are gone.
    pub(super) fn done(&mut self, now: Instant) {
        let listed = std::mem::take(&mut self.listing);
        let there: BTreeSet<String> = listed.iter().map(|(uid, _)| uid.clone()).collect();
        for (uid, pod) in listed {
            self.applied(uid, pod);
        }
        for (_, known) in self.pods.iter_mut().filter(|(uid, _)| !there.contains(*uid)) {
            known.gone_at.get_or_insert(now);
        }
        self.settle(Kind::Pods);
    }

    /// A pod is there, or is another than it was.
    pub(super) fn applied(&mut self, uid: String, pod: Pod) {
        let before = self.pods.get(&uid);
        let pod = before.map_or_else(|| pod.clone(), |before| with_ids_of(pod.clone(), &before.pod));
        if before.is_some_and(|before| *before.pod == pod && before.gone_at.is_none()) {
            return;
        }
        self.pods.insert(uid, Known { pod: Arc::new(pod), gone_at: None });
        self.is_changed = true;
    }

    /// A pod is gone; this is what it was at last.
    pub(super) fn deleted(&mut self, uid: String, pod: Pod, now: Instant) {
        self.applied(uid.clone(), pod);
        if let Some(known) = self.pods.get_mut(&uid) {
            known.gone_at = Some(now);
        }
    }

    /// What a Rollout says: which template is stable.
    pub(super) fn rollout(&mut self, change: Change<Hashes>) {
        let is_done = matches!(change, Change::Done);
        self.rollouts.take(change);
        if is_done {
            self.settle(Kind::Rollouts);
        }
    }

    /// What a Canary says: which workload is one.
    pub(super) fn canary(&mut self, change: Change<Owner>) {
        let is_done = matches!(change, Change::Done);
        self.canaries.take(change);
        if is_done {
            self.settle(Kind::Canaries);
        }
    }

    /// Whether these have neither been listed nor been given up.
    pub(super) fn awaits(&self, kind: Kind) -> bool {
        self.awaited.contains(&kind)
    }

    /// Whether there are such of any kind.
    pub(super) fn is_awaiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// These are not waited for any more.
    pub(super) fn settle(&mut self, kind: Kind) {
        let is_last = self.awaited.remove(&kind) && self.awaited.is_empty();
        self.is_changed |= is_last;
    }

    /// When the next pod is to be forgotten.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.pods.values().filter_map(|known| known.gone_at).min()?.checked_add(self.keep)
    }

    /// What is known now, if it is to be published. Forgets pods that are gone for long enough.
    pub(super) fn take_table(&mut self, now: Instant) -> Option<Table> {
        let count = self.pods.len();
        let keep = self.keep;
        self.pods.retain(|_, known| known.gone_at.is_none_or(|at| now.saturating_duration_since(at) < keep));
        let rollouts = self.rollouts_here();
        self.is_changed |= self.pods.len() < count || rollouts != self.published;
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        // The later one of two with the same container has it: one that is there, else the one that has gone last.
        let mut pods: Vec<&Known> = self.pods.values().collect();
        pods.sort_by_key(|known| (known.gone_at.is_none(), known.gone_at));
        let pods = pods.into_iter().map(|known| Arc::clone(&known.pod));
        let table = Table::new(pods, rollouts.clone(), self.awaited.is_empty());
        self.published = rollouts;
        Some(table)
    }

    /// Of the namespaces that have a pod here: what happens in others makes no difference.
    fn rollouts_here(&self) -> Rollouts {
        let namespaces: BTreeSet<&str> =
            self.pods.values().map(|known| known.pod.namespace.as_str()).collect();
        let is_here = |namespace: &str| namespaces.contains(namespace);
        let hashes = self.rollouts.known.iter().filter(|((namespace, _), _)| is_here(namespace));
        let canaries = self.canaries.known.iter().filter(|((namespace, _), _)| is_here(namespace));
        Rollouts {
            hashes: hashes.map(|(name, hashes)| (name.clone(), hashes.clone())).collect(),
            flagger_targets: canaries
                .map(|((namespace, _), owner)| (namespace.clone(), owner.clone()))
                .collect(),
        }
    }
}

/// Ids that were seen before go in front of those that are told now.
fn with_ids_of(mut pod: Pod, before: &Pod) -> Pod {
    for container in &mut pod.containers {
        let Some(old) = before.containers.iter().find(|old| old.name == container.name) else { continue };
        let mut ids: Vec<String> = old.ids.clone();
        for id in container.ids.drain(..) {
            ids.retain(|known| *known != id);
            ids.push(id);
        }
        ids.drain(..ids.len().saturating_sub(MAX_IDS));
        container.ids = ids;
    }
    pod
}

#[cfg(test)]
mod tests;
