//! What is known of the pods of a node at one moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::pod::{Owner, Pod, ROLLOUT_HASH};
use super::{Place, PodOf};
use crate::target::cgroup::Container;

/// See above.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Every pod, also one that is gone since a short time, by its uid.
    pods: HashMap<String, Arc<Pod>>,
    /// Which pod has a container, and which of its containers that is.
    containers: HashMap<String, (Arc<Pod>, usize)>,
    /// See [`Rollouts`].
    rollouts: Rollouts,
    /// Everything was listed once.
    is_synced: bool,
}

/// What rollout controllers say, where they are asked. By namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollouts {
    /// The templates of Rollouts, by their names.
    pub hashes: BTreeMap<(String, String), Hashes>,
    /// What Flagger's Canaries are about (`spec.targetRef`).
    pub flagger_targets: BTreeSet<(String, Owner)>,
}

/// Which templates of a Rollout are in use:
/// <https://argo-rollouts.readthedocs.io/en/stable/features/specification/>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    /// `status.stableRS`.
    pub stable: String,
    /// `status.currentPodHash`: what is rolled out, or was last.
    pub current: String,
}

/// Which side of a rollout a pod is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The new version.
    Canary,
    /// The old one.
    Stable,
    /// Neither: what a rollout has left behind, and has not stopped yet.
    Unknown,
}

impl Group {
    /// As the label `canary_group` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Stable => "stable",
            Self::Unknown => "unknown",
        }
    }
}

/// What Flagger calls the workload that serves while a canary is looked at:
/// <https://docs.flagger.app/usage/how-it-works>.
const PRIMARY: &str = "-primary";

impl Table {
    /// Of these pods. The later one of two with the same container has it; what is another pod's own uid is not a static one's.
    pub fn new(pods: impl IntoIterator<Item = Arc<Pod>>, rollouts: Rollouts, is_synced: bool) -> Self {
        let mut table = Self { rollouts, is_synced, ..Self::default() };
        for pod in pods {
            for (at, container) in pod.containers.iter().enumerate() {
                let ids = container.ids.iter().cloned();
                table.containers.extend(ids.map(|id| (id, (Arc::clone(&pod), at))));
            }
            let is_taken = pod.is_static && table.pods.get(&pod.uid).is_some_and(|known| !known.is_static);
            if !is_taken {
                table.pods.insert(pod.uid.clone(), pod);
            }
        }
        table
    }

    /// How many pods it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// All of them, in no order.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().map(Arc::as_ref)
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Whether everything was listed once.
    #[must_use]
    pub const fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// The pod of a container, or that none is known. Its uid is in the path of the control group, so a pod is known before
    /// its container's id is: at its start, and each time that it starts again.
    #[must_use]
    pub fn find(&self, container: &Container) -> Place {
        if let Some((pod, at)) = self.containers.get(&container.id) {
            return Place::In(self.pod_of(pod, Some(*at), true));
        }
        let Some(pod) = container.pod_uid.as_ref().and_then(|uid| self.pods.get(uid)) else {
            return Place::Unknown;
        };
        // Without an id to tell by, it is known which container it is where there is only one.
        Place::In(self.pod_of(pod, (pod.containers.len() == 1).then_some(0), false))
    }

    fn pod_of(&self, pod: &Arc<Pod>, container: Option<usize>, is_certain: bool) -> PodOf {
        let workload = pod.workload();
        PodOf {
            container,
            is_certain,
            rollout: self.rollout(pod, &workload),
            flagger: self.flagger(pod, &workload),
            workload,
            pod: Arc::clone(pod),
        }
    }

    /// By the hash of a Rollout's template, if it is known which one is stable. After a promotion the one before still runs.
    fn rollout(&self, pod: &Pod, workload: &Owner) -> Option<Group> {
        let hash = pod.labels.get(ROLLOUT_HASH)?;
        let hashes = self.rollouts.hashes.get(&(pod.namespace.clone(), workload.name.clone()))?;
        Some(match hash {
            hash if *hash == hashes.stable => Group::Stable,
            hash if *hash == hashes.current => Group::Canary,
            _ => Group::Unknown,
        })
    }

    /// By what Flagger makes of workloads: `NAME-primary` is stable, and what a Canary is about is one.
    fn flagger(&self, pod: &Pod, workload: &Owner) -> Option<Group> {
        if is_primary(workload) {
            return Some(Group::Stable);
        }
        let key = (pod.namespace.clone(), workload.clone());
        self.rollouts.flagger_targets.contains(&key).then_some(Group::Canary)
    }
}

fn is_primary(workload: &Owner) -> bool {
    let is_taken = matches!(workload.kind.as_str(), "Deployment" | "DaemonSet");
    is_taken && workload.name.strip_suffix(PRIMARY).is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
