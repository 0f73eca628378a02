//! What label rules look at, and where they hold.

use super::facts::Facts;
use crate::target::kubernetes::{Place, PodOf};

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A variable of the process's environment.
    Env(String),
    /// Its unit of systemd.
    Unit,
    /// Its command line.
    Command,
    /// The base name of its program.
    Exe,
    /// The kernel's short name of it.
    Comm,
    /// Something of its pod.
    Pod(OfPod),
}

/// What of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfPod {
    /// One of its labels.
    Label(String),
    /// One of its annotations.
    Annotation(String),
    /// Its namespace.
    Namespace,
    /// Its name.
    Name,
    /// The name of its workload; of a pod that nothing controls its own.
    Workload,
    /// The name of the process's container.
    Container,
    /// The image of that, as the pod asks for it.
    Image,
    /// `canary` or `stable`, by its Rollout of Argo.
    Rollout,
    /// The same, by Flagger.
    Flagger,
}

/// Where a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In a pod that is known.
    Pod,
    /// In a container of which no pod is known.
    UnknownPod,
    /// In no container.
    Outside,
}

impl Source {
    /// Each of them, its key empty.
    pub const ALL: [Self; 14] = [
        Self::Env(String::new()),
        Self::Unit,
        Self::Command,
        Self::Exe,
        Self::Comm,
        Self::Pod(OfPod::Label(String::new())),
        Self::Pod(OfPod::Annotation(String::new())),
        Self::Pod(OfPod::Namespace),
        Self::Pod(OfPod::Name),
        Self::Pod(OfPod::Workload),
        Self::Pod(OfPod::Container),
        Self::Pod(OfPod::Image),
        Self::Pod(OfPod::Rollout),
        Self::Pod(OfPod::Flagger),
    ];

    /// Its name in a configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::Unit => "unit",
            Self::Command => "command",
            Self::Exe => "exe",
            Self::Comm => "comm",
            Self::Pod(of) => of.name(),
        }
    }

    /// Its key, where it has one.
    #[must_use]
    pub const fn key(&self) -> Option<&String> {
        match self {
            Self::Env(key) | Self::Pod(OfPod::Label(key) | OfPod::Annotation(key)) => Some(key),
            Self::Unit | Self::Command | Self::Exe | Self::Comm | Self::Pod(_) => None,
        }
    }

    /// The same with another key; `None` where it has none.
    #[must_use]
    pub fn with_key(&self, key: String) -> Option<Self> {
        match self {
            Self::Env(_) => Some(Self::Env(key)),
            Self::Pod(OfPod::Label(_)) => Some(Self::Pod(OfPod::Label(key))),
            Self::Pod(OfPod::Annotation(_)) => Some(Self::Pod(OfPod::Annotation(key))),
            Self::Unit | Self::Command | Self::Exe | Self::Comm | Self::Pod(_) => None,
        }
    }

    /// What the facts say of it.
    pub(super) fn text(&self, facts: &Facts) -> Option<String> {
        match self {
            Self::Env(key) => facts.environment.get(key).cloned(),
            Self::Unit => facts.unit.clone(),
            Self::Command => facts.command.clone(),
            Self::Exe => facts.exe.clone(),
            Self::Comm => facts.comm.clone(),
            Self::Pod(of) => facts.place.pod().and_then(|pod| of.text(pod)),
        }
    }
}

impl OfPod {
    const fn name(&self) -> &'static str {
        match self {
            Self::Label(_) => "pod_label",
            Self::Annotation(_) => "pod_annotation",
            Self::Namespace => "pod_namespace",
            Self::Name => "pod",
            Self::Workload => "pod_workload",
            Self::Container => "pod_container",
            Self::Image => "pod_image",
            Self::Rollout => "argo_rollout",
            Self::Flagger => "flagger",
        }
    }

    fn text(&self, pod: &PodOf) -> Option<String> {
        match self {
            Self::Label(key) => pod.pod.labels.get(key).cloned(),
            Self::Annotation(key) => pod.pod.annotations.get(key).cloned(),
            Self::Namespace => Some(pod.pod.namespace.clone()),
            Self::Name => Some(pod.pod.name.clone()),
            Self::Workload => Some(pod.workload.name.clone()),
            Self::Container => pod.container().map(|container| container.name.clone()),
            Self::Image => pod.container().map(|container| container.image.clone()),
            Self::Rollout => pod.rollout.map(|group| group.name().to_owned()),
            Self::Flagger => pod.flagger.map(|group| group.name().to_owned()),
        }
    }
}

impl Where {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Pod, Self::UnknownPod, Self::Outside];

    /// Its name in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::UnknownPod => "unknown_pod",
            Self::Outside => "outside",
        }
    }

    /// Where a place is.
    #[must_use]
    pub const fn of(place: &Place) -> Self {
        match place {
            Place::In(_) => Self::Pod,
            Place::Unknown => Self::UnknownPod,
            Place::Outside => Self::Outside,
        }
    }
}
