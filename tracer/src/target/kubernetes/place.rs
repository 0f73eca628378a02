//! Where a process lives, as far as pods are concerned.

use std::cell::OnceCell;
use std::sync::Arc;

use super::Pods;
use super::pod::{Owner, Pod, PodContainer};
use super::table::Group;

/// See above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// In no container, or pods are not asked for.
    #[default]
    Outside,
    /// In a container of which no pod is known (yet).
    Unknown,
    /// In a pod.
    In(PodOf),
}

/// The pod of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodOf {
    /// Its pod.
    pub pod: Arc<Pod>,
    /// Which of its containers; `None` while that is not known.
    pub container: Option<usize>,
    /// What it belongs to: see [`Pod::workload`].
    pub workload: Owner,
    /// The container's id says so. Else only the pod's uid does, and it may be the one that holds the pod's namespaces.
    pub is_certain: bool,
    /// By its Rollout, if that is known.
    pub rollout: Option<Group>,
    /// By Flagger's Canaries, and by the names of its primaries.
    pub flagger: Option<Group>,
}

impl PodOf {
    /// Its container.
    #[must_use]
    pub fn container(&self) -> Option<&PodContainer> {
        self.pod.containers.get(self.container?)
    }
}

impl Place {
    /// The pod, if it is known.
    #[must_use]
    pub const fn pod(&self) -> Option<&PodOf> {
        match self {
            Self::In(pod) => Some(pod),
            Self::Outside | Self::Unknown => None,
        }
    }
}

/// Where a process lives, looked up when that is asked first.
#[derive(Debug)]
pub struct PlaceOf<'a> {
    pods: &'a Pods,
    pid: u32,
    found: OnceCell<Place>,
}

impl<'a> PlaceOf<'a> {
    /// Not looked up yet.
    #[must_use]
    pub const fn new(pods: &'a Pods, pid: u32) -> Self {
        Self { pods, pid, found: OnceCell::new() }
    }

    /// Where it lives.
    pub fn get(&self) -> &Place {
        self.found.get_or_init(|| self.pods.place(self.pid))
    }
}
