//! Objects as the API server has them.

use serde_json::{Value, json};

use super::*;

fn id(digit: char) -> String {
    digit.to_string().repeat(ID_DIGITS)
}

fn converted(object: Value) -> (String, Pod) {
    pod(serde_json::from_value(object).expect("a pod"))
}

fn dynamic(object: Value) -> DynamicObject {
    serde_json::from_value(object).expect("an object")
}

#[test]
fn containers_of_all_three_kinds_are_known_by_their_ids() {
    let status =
        |name: &str, digit| json!({"name": name, "containerID": format!("containerd://{}", id(digit))});
    let (uid, pod) = converted(json!({
        "metadata": {
            "namespace": "shop", "name": "api-1", "uid": "u-1",
            "labels": {"app": "api"},
            "annotations": {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "1"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-7", "uid": "2", "controller": true},
            ],
        },
        "spec": {
            "containers": [{"name": "app", "image": "app:1"}, {"name": "side", "image": "side:2"}],
            "initContainers": [{"name": "init", "image": "init:3"}],
            "ephemeralContainers": [{"name": "debug", "image": "debug:4"}],
        },
        "status": {
            "containerStatuses": [status("side", 'b'), status("app", 'a')],
            "initContainerStatuses": [status("init", 'c')],
            "ephemeralContainerStatuses": [status("debug", 'd')],
        },
    }));
    assert_eq!((uid.as_str(), pod.uid.as_str()), ("u-1", "u-1"));
    assert_eq!((pod.namespace.as_str(), pod.name.as_str()), ("shop", "api-1"));
    assert_eq!(pod.owner, Some(Owner { kind: "ReplicaSet".to_owned(), name: "api-7".to_owned() }));
    assert_eq!(pod.labels["app"], "api");
    assert_eq!(pod.annotations.keys().collect::<Vec<_>>(), ["a"]);
    let found: Vec<_> = pod
        .containers
        .iter()
        .map(|container| (container.name.as_str(), container.image.as_str(), container.ids.clone()))
        .collect();
    let expect =
        [("app", "app:1", 'a'), ("side", "side:2", 'b'), ("init", "init:3", 'c'), ("debug", "debug:4", 'd')];
    assert_eq!(found, expect.map(|(name, image, digit)| (name, image, vec![id(digit)])));
}

#[test]
fn only_64_hex_digits_after_the_runtime_are_an_id() {
    let check = |text: &str, expect: Option<String>| assert_eq!(super::id(text), expect.as_deref(), "{text}");
    check(&format!("containerd://{}", id('a')), Some(id('a')));
    check(&format!("cri-o://{}", id('0')), Some(id('0')));
    check(&format!("docker://{}", id('f')), Some(id('f')));
    check(&id('a'), None);
    check(&format!("containerd://{}", id('A')), None);
    check(&format!("containerd://{}0", id('a')), None);
    check(&format!("containerd://{}", id('g')), None);
    check("containerd://", None);
    check("", None);
}

#[test]
fn a_container_that_started_again_tells_the_id_before() {
    let check = |status: Value, expect: &[char]| {
        let (_, pod) = converted(json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "app"}]},
            "status": {"containerStatuses": [status]},
        }));
        let expect: Vec<String> = expect.iter().map(|digit| id(*digit)).collect();
        assert_eq!(pod.containers[0].ids, expect);
    };
    let of = |digit| format!("containerd://{}", id(digit));
    let ended = |digit| json!({"terminated": {"containerID": of(digit), "exitCode": 1}});
    check(json!({"name": "app", "containerID": of('b'), "lastState": ended('a')}), &['a', 'b']);
    check(
        json!({"name": "app", "containerID": of('b'), "lastState": ended('a'), "state": ended('b')}),
        &['a', 'b'],
    );
    check(json!({"name": "app", "containerID": of('a'), "lastState": ended('a')}), &['a']);
    check(json!({"name": "app", "containerID": "", "lastState": ended('a')}), &['a']);
    check(json!({"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}}), &[]);
    check(json!({"name": "another", "containerID": of('a')}), &[]);
}

#[test]
fn only_the_mirror_of_a_static_pod_has_the_hash_of_its_configuration_as_uid() {
    let hash = "0123456789abcdef0123456789abcdef";
    let check = |kind: Option<&str>, annotations: Value, expect: bool| {
        let owner = |kind| json!({"apiVersion": "v1", "kind": kind, "name": "node-1", "uid": "2", "controller": true});
        let (uid, pod) = converted(json!({
            "metadata": {
                "namespace": "kube-system", "name": "etcd-node-1", "uid": "u-1",
                "annotations": annotations, "ownerReferences": kind.map(owner).into_iter().collect::<Vec<_>>(),
            },
        }));
        let found = (uid.as_str(), pod.uid.as_str(), pod.is_static);
        assert_eq!(found, ("u-1", if expect { hash } else { "u-1" }, expect), "{kind:?} {annotations}");
    };
    let of = |hash: &str| json!({CONFIG_HASH: hash, CONFIG_MIRROR: hash});
    check(Some("Node"), of(hash), true);
    check(Some("Node"), json!({CONFIG_HASH: hash}), false);
    check(Some("Node"), json!({CONFIG_MIRROR: hash}), false);
    check(Some("ReplicaSet"), of(hash), false);
    check(None, of(hash), false);
    check(Some("Node"), of(&hash.to_uppercase()), false);
    check(Some("Node"), of(&hash[1..]), false);
    check(Some("Node"), of("01234567-89ab-4def-8123-456789abcdef"), false);
}

#[test]
fn what_a_pod_does_not_say_is_empty() {
    let (uid, pod) = converted(json!({"metadata": {"namespace": "n", "name": "p"}}));
    assert_eq!((uid.as_str(), pod.owner, pod.containers.len()), ("n/p", None, 0));
}

#[test]
fn a_rollout_says_which_templates_are_in_use() {
    let check = |status: Value, expect: Option<(&str, &str)>| {
        let object = dynamic(json!({"metadata": {"namespace": "shop", "name": "api"}, "status": status}));
        let found = rollout(&object);
        let found = found.as_ref().map(|hashes| (hashes.stable.as_str(), hashes.current.as_str()));
        assert_eq!(found, expect, "{object:?}");
        assert_eq!(name(&object), ("shop".to_owned(), "api".to_owned()));
    };
    check(json!({"stableRS": "7d4b9c", "currentPodHash": "6f5c8d"}), Some(("7d4b9c", "6f5c8d")));
    check(json!({"stableRS": "7d4b9c"}), Some(("7d4b9c", "")));
    check(json!({"stableRS": "7d4b9c", "currentPodHash": 7}), Some(("7d4b9c", "")));
    check(json!({"currentPodHash": "6f5c8d"}), None);
    check(json!({"stableRS": ""}), None);
    check(json!({"stableRS": 7}), None);
    check(json!({}), None);
}

#[test]
fn a_workload_is_a_canary_while_its_primary_serves() {
    let check = |phase: Option<&str>, expect: bool| {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"});
        let object = dynamic(json!({
            "metadata": {"namespace": "shop", "name": "c"},
            "spec": {"targetRef": target},
            "status": phase.map(|phase| json!({"phase": phase})),
        }));
        let owner = Owner { kind: "Deployment".to_owned(), name: "api".to_owned() };
        assert_eq!(canary(&object), expect.then_some(owner), "{phase:?}");
    };
    for phase in ["Initialized", "Waiting", "Progressing", "WaitingPromotion", "Promoting", "Finalising"] {
        check(Some(phase), true);
    }
    check(Some("Succeeded"), true);
    check(Some("Failed"), true);
    for phase in [None, Some(""), Some("Initializing"), Some("Terminating"), Some("Terminated")] {
        check(phase, false);
    }
    let broken =
        json!({"metadata": {"name": "c"}, "spec": {"targetRef": {"kind": 7}}, "status": {"phase": "Failed"}});
    assert_eq!(canary(&dynamic(broken)), None);
}
