//! Objects to put into the server.

use serde_json::{Value, json};

/// A pod that is put together.
///
/// ```ignore
/// PodSpec::new("shop", "api-7d4b9c-x2x")
///     .node("node-1")
///     .uid("11111111-…")                       // else one that its names give
///     .label("app", "api")
///     .annotation("tracer.io/enabled", "true")
///     .owner("ReplicaSet", "api-7d4b9c")
///     .container("app", "shop/api:1.4", &[&id]) // the last id runs; the one before has ended
///     .init_container("migrate", "shop/migrate:1", &[])
///     .json()
/// ```
#[derive(Clone, Debug, Default)]
pub(crate) struct PodSpec {
    namespace: String,
    name: String,
    uid: String,
    node: String,
    labels: Value,
    annotations: Value,
    owner: Option<(String, String)>,
    containers: [Vec<Container>; 3],
}

#[derive(Clone, Debug)]
struct Container {
    name: String,
    image: String,
    ids: Vec<String>,
}

/// Names of the three lists: in the spec, in the status.
const LISTS: [(&str, &str); 3] = [
    ("containers", "containerStatuses"),
    ("initContainers", "initContainerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
];

impl PodSpec {
    /// With a uid that namespace and name give, and no containers.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        // FNV-1a: any two names have another.
        let hash = format!("{namespace}/{name}").bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let uid =
            format!("{:08x}-{:04x}-4000-8000-{:012x}", hash >> 32, (hash >> 16) & 0xffff, hash & 0xffff_ffff);
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { namespace, name, uid, labels: json!({}), annotations: json!({}), ..Self::default() }
    }

    /// As the API server and the control group have it.
    pub(crate) fn uid(mut self, uid: &str) -> Self {
        self.uid = uid.to_owned();
        self
    }

    /// Where it runs.
    pub(crate) fn node(mut self, node: &str) -> Self {
        self.node = node.to_owned();
        self
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.labels[key] = json!(value);
        self
    }

    pub(crate) fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations[key] = json!(value);
        self
    }

    /// What controls it: `ReplicaSet`, `StatefulSet`, …
    pub(crate) fn owner(mut self, kind: &str, name: &str) -> Self {
        self.owner = Some((kind.to_owned(), name.to_owned()));
        self
    }

    /// The mirror of a static pod of its node, with the hash of its configuration.
    pub(crate) fn mirror(self, hash: &str) -> Self {
        let node = self.node.clone();
        self.annotation("kubernetes.io/config.hash", hash)
            .annotation("kubernetes.io/config.mirror", hash)
            .annotation("kubernetes.io/config.source", "file")
            .owner("Node", &node)
    }

    /// Its id is the last one of `ids`; the one before it has ended. Without one it waits for its start.
    pub(crate) fn container(self, name: &str, image: &str, ids: &[&str]) -> Self {
        self.of_list(0, name, image, ids)
    }

    pub(crate) fn init_container(self, name: &str, image: &str, ids: &[&str]) -> Self {
        self.of_list(1, name, image, ids)
    }

    pub(crate) fn ephemeral_container(self, name: &str, image: &str, ids: &[&str]) -> Self {
        self.of_list(2, name, image, ids)
    }

    fn of_list(mut self, list: usize, name: &str, image: &str, ids: &[&str]) -> Self {
        let ids = ids.iter().map(|id| format!("containerd://{id}")).collect();
        self.containers[list].push(Container { name: name.to_owned(), image: image.to_owned(), ids });
        self
    }

    /// As the API server has it.
    pub(crate) fn json(&self) -> Value {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "namespace": self.namespace, "name": self.name, "uid": self.uid,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": self.labels, "annotations": self.annotations,
            },
            "spec": {"nodeName": self.node, "containers": []},
            "status": {"phase": "Running", "hostIP": "10.0.0.1"},
        });
        if let Some((kind, name)) = &self.owner {
            pod["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "owner", "controller": true,
            }]);
        }
        for ((spec, status), containers) in LISTS.iter().zip(&self.containers) {
            if !containers.is_empty() {
                pod["spec"][spec] = containers.iter().map(Container::spec).collect();
                pod["status"][status] = containers.iter().map(Container::status).collect();
            }
        }
        pod
    }
}

impl Container {
    fn spec(&self) -> Value {
        json!({"name": self.name, "image": self.image, "resources": {}})
    }

    fn status(&self) -> Value {
        let mut status = json!({
            "name": self.name, "image": self.image, "imageID": "", "ready": true,
            "restartCount": self.ids.len().saturating_sub(1),
            "state": {"waiting": {"reason": "ContainerCreating"}},
        });
        if let Some(id) = self.ids.last() {
            status["containerID"] = json!(id);
            status["state"] = json!({"running": {"startedAt": "2026-01-01T00:00:01Z"}});
        }
        if let Some(id) = self.ids.len().checked_sub(2).and_then(|at| self.ids.get(at)) {
            status["lastState"] = json!({"terminated": {"exitCode": 1, "containerID": id}});
        }
        status
    }
}

/// A Rollout of Argo whose stable template has this hash, while it rolls out that one.
pub(crate) fn rollout(namespace: &str, name: &str, stable: &str, current: &str) -> Value {
    json!({
        "kind": "Rollout",
        "metadata": {"namespace": namespace, "name": name, "uid": format!("rollout-{namespace}-{name}")},
        "spec": {"replicas": 2},
        "status": {"stableRS": stable, "currentPodHash": current},
    })
}

/// A Canary of Flagger about a Deployment, in this phase.
pub(crate) fn canary(namespace: &str, deployment: &str, phase: &str) -> Value {
    json!({
        "kind": "Canary",
        "metadata": {"namespace": namespace, "name": deployment, "uid": format!("canary-{namespace}-{deployment}")},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}},
        "status": {"phase": phase, "canaryWeight": 10},
    })
}
