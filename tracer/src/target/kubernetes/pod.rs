//! A pod as far as tracing is concerned.

use std::collections::BTreeMap;

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// As its control group has it: its uid; of a static pod the hash of its configuration.
    pub uid: String,
    /// It comes from a file of its node: the API server has only its mirror.
    pub is_static: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What controls it (`metadata.ownerReferences`, the one that is `controller`).
    pub owner: Option<Owner>,
    /// Regular ones first, then init and ephemeral ones.
    pub containers: Vec<PodContainer>,
}

/// What controls a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// `ReplicaSet`, `Deployment`, …
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodContainer {
    /// Its name.
    pub name: String,
    /// As the pod asks for it.
    pub image: String,
    /// Every id that it was seen with, the last one last: a container that starts again has another. 64 hex digits each.
    pub ids: Vec<String>,
}

/// Label that Deployments give the pods of one template; it ends the name of their ReplicaSet.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// The same of Argo Rollouts.
pub(super) const ROLLOUT_HASH: &str = "rollouts-pod-template-hash";

impl Pod {
    /// What its owner belongs to, as far as names tell it: the Deployment or Rollout of a ReplicaSet, the CronJob of a Job; of a
    /// pod without an owner itself.
    #[must_use]
    pub fn workload(&self) -> Owner {
        let own = || Owner { kind: "Pod".to_owned(), name: self.name.clone() };
        let Some(owner) = &self.owner else { return own() };
        let of = |kind: &str, name: &str| Owner { kind: kind.to_owned(), name: name.to_owned() };
        let without = |label: &str| {
            let hash = self.labels.get(label)?;
            owner.name.strip_suffix(hash.as_str())?.strip_suffix('-').filter(|name| !name.is_empty())
        };
        match owner.kind.as_str() {
            "ReplicaSet" => {
                let rollout = without(ROLLOUT_HASH).map(|name| of("Rollout", name));
                let deployment = || without(TEMPLATE_HASH).map(|name| of("Deployment", name));
                rollout.or_else(deployment).unwrap_or_else(|| owner.clone())
            }
            "Job" => cron_job(&owner.name).map_or_else(|| owner.clone(), |name| of("CronJob", name)),
            // A static pod is its node's, and is named `NAME-NODE`.
            "Node" => {
                let name =
                    self.name.strip_suffix(owner.name.as_str()).and_then(|name| name.strip_suffix('-'));
                of("Pod", name.unwrap_or(&self.name))
            }
            _ => owner.clone(),
        }
    }
}

/// The name before the minutes since 1970 that a CronJob gives its Jobs
/// (`getJobName` of <https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/cronjob/utils.go>).
fn cron_job(job: &str) -> Option<&str> {
    const MINUTES_DIGITS: usize = 8;
    let (name, minutes) = job.rsplit_once('-')?;
    let is_time = minutes.len() == MINUTES_DIGITS && minutes.bytes().all(|byte| byte.is_ascii_digit());
    (is_time && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_is_what_the_names_of_owner_and_pod_tell() {
        let check = |kind: &str, name: &str, label: Option<(&str, &str)>, expect: (&str, &str)| {
            let owner = (!kind.is_empty()).then(|| Owner { kind: kind.to_owned(), name: name.to_owned() });
            let labels = label.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
            let pod = Pod { name: "etcd-node-1".to_owned(), owner, labels, ..Pod::default() };
            let found = pod.workload();
            assert_eq!((found.kind.as_str(), found.name.as_str()), expect, "{kind} {name} {label:?}");
        };
        check("ReplicaSet", "api-7d4b9c", Some((TEMPLATE_HASH, "7d4b9c")), ("Deployment", "api"));
        check("ReplicaSet", "api-7d4b9c", Some((ROLLOUT_HASH, "7d4b9c")), ("Rollout", "api"));
        check("ReplicaSet", "api-7d4b9c", Some((TEMPLATE_HASH, "other")), ("ReplicaSet", "api-7d4b9c"));
        check("ReplicaSet", "-7d4b9c", Some((TEMPLATE_HASH, "7d4b9c")), ("ReplicaSet", "-7d4b9c"));
        check("ReplicaSet", "by-hand", None, ("ReplicaSet", "by-hand"));
        check("StatefulSet", "db", None, ("StatefulSet", "db"));
        check("DaemonSet", "agent", None, ("DaemonSet", "agent"));
        check("Job", "backup-29384756", None, ("CronJob", "backup"));
        check("Job", "backup-once", None, ("Job", "backup-once"));
        check("Job", "backup-2938475", None, ("Job", "backup-2938475"));
        check("Node", "node-1", None, ("Pod", "etcd"));
        check("", "", None, ("Pod", "etcd-node-1"));
    }
}
