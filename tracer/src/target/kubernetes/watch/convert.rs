//! What the API server says of pods, Rollouts and Canaries, as far as tracing is concerned.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};

use crate::target::kubernetes::{Hashes, Owner, Pod, PodContainer};

/// Hex digits of a container's id.
const ID_DIGITS: usize = 64;
/// What the kubelet calls a static pod by, also in its control group; the API server gives its mirror another uid:
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-hash>.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// What the kubelet marks a mirror with.
const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";
/// Hex digits of that hash.
const HASH_DIGITS: usize = 32;
/// The whole object again, up to 256 KiB.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A pod, and its uid at the API server.
pub(super) fn pod(pod: core::Pod) -> (String, Pod) {
    let ObjectMeta { namespace, name, uid, labels, annotations, owner_references, .. } = pod.metadata;
    let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
    let uid = uid.unwrap_or_else(|| format!("{namespace}/{name}"));
    let mut annotations = annotations.unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    let owner = owner_references.into_iter().flatten().find(|owner| owner.controller == Some(true));
    let owner = owner.map(|owner| Owner { kind: owner.kind, name: owner.name });
    let hash = static_hash(&annotations, owner.as_ref());
    let found = Pod {
        is_static: hash.is_some(),
        uid: hash.unwrap_or_else(|| uid.clone()),
        namespace,
        name,
        labels: labels.unwrap_or_default(),
        annotations,
        owner,
        containers: containers(pod.spec.unwrap_or_default(), pod.status.unwrap_or_default()),
    };
    (uid, found)
}

/// Only as the kubelet writes it: with an annotation alone any pod could say that it is another one.
fn static_hash(annotations: &BTreeMap<String, String>, owner: Option<&Owner>) -> Option<String> {
    let is_mirror =
        annotations.contains_key(CONFIG_MIRROR) && owner.is_some_and(|owner| owner.kind == "Node");
    annotations.get(CONFIG_HASH).filter(|hash| is_mirror && is_hex(hash, HASH_DIGITS)).cloned()
}

fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(is_digit)
}

fn containers(spec: core::PodSpec, status: core::PodStatus) -> Vec<PodContainer> {
    let of = |name: String, image: Option<String>, statuses: &Option<Vec<core::ContainerStatus>>| {
        let status = statuses.iter().flatten().find(|status| status.name == name);
        PodContainer { ids: status.map(ids).unwrap_or_default(), image: image.unwrap_or_default(), name }
    };
    let (regular, init) = (spec.containers, spec.init_containers.unwrap_or_default());
    let ephemeral = spec.ephemeral_containers.unwrap_or_default().into_iter();
    let mut containers = Vec::new();
    for (of_kind, statuses) in
        [(regular, &status.container_statuses), (init, &status.init_container_statuses)]
    {
        containers.extend(of_kind.into_iter().map(|container| of(container.name, container.image, statuses)));
    }
    let statuses = &status.ephemeral_container_statuses;
    containers.extend(ephemeral.map(|container| of(container.name, container.image, statuses)));
    containers
}

/// The one before first, if it is told.
fn ids(status: &core::ContainerStatus) -> Vec<String> {
    let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let told = [
        before.and_then(|terminated| terminated.container_id.as_deref()),
        ended.and_then(|terminated| terminated.container_id.as_deref()),
        status.container_id.as_deref(),
    ];
    let mut ids: Vec<String> = Vec::new();
    for id in told.into_iter().flatten().filter_map(id) {
        ids.retain(|known| known != id);
        ids.push(id.to_owned());
    }
    ids
}

/// `RUNTIME://ID`.
fn id(text: &str) -> Option<&str> {
    let (_, id) = text.split_once("://")?;
    is_hex(id, ID_DIGITS).then_some(id)
}

/// Namespace and name.
pub(super) fn name(object: &DynamicObject) -> (String, String) {
    let metadata = &object.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// Rollouts of Argo: <https://argo-rollouts.readthedocs.io/en/stable/features/specification/>.
pub(super) fn argo() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout"),
        "rollouts",
    )
}

/// Its templates; nothing before the first has become stable.
pub(super) fn rollout(object: &DynamicObject) -> Option<Hashes> {
    let hash = |pointer| object.data.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let (stable, current) = (hash("/status/stableRS"), hash("/status/currentPodHash"));
    (!stable.is_empty()).then(|| Hashes { stable: stable.to_owned(), current: current.to_owned() })
}

/// Canaries of Flagger: <https://docs.flagger.app/usage/how-it-works>.
pub(super) fn flagger() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("flagger.app", "v1beta1", "Canary"), "canaries")
}

/// The workload that is a canary, in every phase in which another one, the primary, serves.
///
/// From `Initialized` on Flagger keeps the target at 0 replicas and scales it up for a new version only, so a pod of it is a
/// canary also before the phase says `Progressing`, and after it says `Succeeded`: one that is told late must not change sides.
/// Before that, and after the Canary has been deleted, the target is all that there is.
pub(super) fn canary(object: &DynamicObject) -> Option<Owner> {
    let phase = object.data.pointer("/status/phase").and_then(serde_json::Value::as_str).unwrap_or_default();
    if matches!(phase, "" | "Initializing" | "Terminating" | "Terminated") {
        return None;
    }
    let target = object.data.pointer("/spec/targetRef")?;
    let field = |key: &str| Some(target.get(key)?.as_str()?.to_owned());
    Some(Owner { kind: field("kind")?, name: field("name")? })
}

#[cfg(test)]
mod tests;
