//! Which labels the processes of pods get.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::target::cgroup::Container;
use crate::target::kubernetes::{Hashes, Owner, Place, Pod, PodContainer, Rollouts, Table};
use crate::target::labels::{Facts, LabelRules, LabelSet, MAX_VALUE_CHARACTERS};

mod groups;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const HASH: &str = "7d4b9c";
const IMAGE: &str = "registry.example:5000/shop/api:1.4.2";

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn map(pairs: Pairs<'_>) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The rules as they are without a configuration of them.
fn rules() -> LabelRules {
    LabelRules::or_built_in_of_pods(Vec::new(), &["role", "track", "canary"].map(str::to_owned))
}

/// A pod of a workload, as controllers make it.
fn pod(kind: &str, name: &str) -> Pod {
    let (owner, hash) = match kind {
        "Deployment" => (("ReplicaSet", format!("{name}-{HASH}")), Some("pod-template-hash")),
        "Rollout" => (("ReplicaSet", format!("{name}-{HASH}")), Some("rollouts-pod-template-hash")),
        other => ((other, name.to_owned()), None),
    };
    Pod {
        namespace: "shop".to_owned(),
        name: format!("{name}-{HASH}-x2x4z"),
        uid: format!("uid-{name}"),
        is_static: false,
        labels: hash.map(|key| (key.to_owned(), HASH.to_owned())).into_iter().collect(),
        annotations: BTreeMap::new(),
        owner: Some(Owner { kind: owner.0.to_owned(), name: owner.1 }),
        containers: vec![PodContainer {
            name: "main".to_owned(),
            image: IMAGE.to_owned(),
            ids: vec![ID.to_owned()],
        }],
    }
}

/// Where the first of the pods is, as it is found among all of them.
fn place(pods: &[&Pod], rollouts: Rollouts) -> Place {
    // The later one of two with the same container would have it.
    let mut pods: Vec<Pod> = pods.iter().map(|pod| (*pod).clone()).collect();
    for pod in &mut pods[1..] {
        pod.containers.clear();
    }
    let table = Table::new(pods.into_iter().map(Arc::new), rollouts, true);
    let place = table.find(&Container { id: ID.to_owned(), ..Container::default() });
    assert!(place.pod().is_some(), "it is in a pod");
    place
}

/// The labels of a process of a pod.
fn labels(pod: &Pod, environment: Pairs<'_>) -> LabelSet {
    let place = place(&[pod], Rollouts::default());
    let program = Some("node".to_owned());
    rules().apply(&[], &Facts { environment: map(environment), exe: program, place, ..Facts::default() })
}

/// A value of one label, of a pod of the Deployment `api-canary` with these annotations and labels.
fn value(name: &str, annotations: Pairs<'_>, labels_of_pod: Pairs<'_>, environment: Pairs<'_>) -> String {
    let mut pod = pod("Deployment", "api-canary");
    pod.annotations = map(annotations);
    pod.labels.extend(map(labels_of_pod));
    let labels = labels(&pod, environment);
    let pairs = labels.pairs();
    let (_, value) = pairs.iter().find(|(known, _)| *known == name).expect("it is a label");
    (*value).to_owned()
}

const OTEL: &str = "service.name=of-otel,service.namespace=otel-ns,service.version=3";

#[test]
fn a_service_is_called_by_the_first_that_says_so() {
    let annotation = ("resource.opentelemetry.io/service.name", "of-annotation");
    let named = ("OTEL_SERVICE_NAME", "of-variable");
    let otel = ("OTEL_RESOURCE_ATTRIBUTES", OTEL);
    let all = [
        ("app.kubernetes.io/instance", "of-instance"),
        ("app.kubernetes.io/name", "of-name"),
        ("service.istio.io/canonical-name", "of-istio"),
        ("app", "of-app"),
    ];
    let check = |annotations: Pairs<'_>, labels: Pairs<'_>, environment: Pairs<'_>, expect: &str| {
        let found = value("service", annotations, labels, environment);
        assert_eq!(found, expect, "{annotations:?} {labels:?} {environment:?}");
    };
    check(&[annotation], &all, &[named, otel], "of-annotation");
    check(&[(annotation.0, " ")], &all, &[named, otel], "of-variable");
    check(&[], &all, &[named, otel], "of-variable");
    check(&[], &all, &[otel], "of-otel");
    check(&[], &all, &[], "of-instance");
    check(&[], &all[1..], &[], "of-name");
    check(&[], &all[2..], &[], "of-istio");
    check(&[], &all[3..], &[], "of-app");
    check(&[], &[("app", "")], &[], "api");
    check(&[], &[], &[], "api");
    check(&[], &[("service", "nobody-asks-for-this")], &[], "api");
}

#[test]
fn both_sides_of_a_rollout_have_the_same_service_and_workload() {
    let check = |kind: &str, name: &str, app: Option<&str>, expect: (&str, &str)| {
        let mut pod = pod(kind, name);
        pod.labels.extend(app.map(|app| ("app".to_owned(), app.to_owned())));
        let found = labels(&pod, &[]);
        assert_eq!((&*found.service, &*found.workload), expect, "{kind} {name} {app:?}");
    };
    for kind in ["Deployment", "Rollout", "StatefulSet", "DaemonSet"] {
        check(kind, "api", None, ("api", "api"));
        for side in ["primary", "canary", "stable"] {
            check(kind, &format!("api-{side}"), None, ("api", "api"));
            check(kind, &format!("api-{side}"), Some(&format!("shop-{side}")), ("shop", "api"));
        }
    }
    check("Deployment", "api-Canary", None, ("api", "api"));
    check("Deployment", "canary", None, ("canary", "canary"));
    check("Deployment", "api-canary-v2", None, ("api-canary-v2", "api-canary-v2"));
    check("Deployment", "canary-api", None, ("canary-api", "canary-api"));
    check("Deployment", "apicanary", None, ("apicanary", "apicanary"));
    check("Job", "backup-29384756", None, ("backup", "backup"));
    check("CronJob", "backup-stable", None, ("backup", "backup"));
}

/// What an operator wrote out is meant as it is: only names that tools derive lose their ends.
#[test]
fn a_name_that_is_said_outright_keeps_its_end() {
    let annotation = [("resource.opentelemetry.io/service.name", "api-canary")];
    assert_eq!(value("service", &annotation, &[], &[]), "api-canary");
    assert_eq!(value("service", &[], &[], &[("OTEL_SERVICE_NAME", "api-canary")]), "api-canary");
}

#[test]
fn a_pod_that_nothing_controls_is_its_own_workload_and_service() {
    let pod = Pod { owner: None, ..pod("StatefulSet", "debug") };
    let found = labels(&pod, &[]);
    assert_eq!((&*found.service, &*found.workload), ("debug-7d4b9c-x2x4z", "debug-7d4b9c-x2x4z"));
}

#[test]
fn a_namespace_is_what_the_annotation_the_process_or_the_pod_says() {
    let annotation = ("resource.opentelemetry.io/service.namespace", "of-annotation");
    let otel = ("OTEL_RESOURCE_ATTRIBUTES", OTEL);
    let check = |annotations: Pairs<'_>, environment: Pairs<'_>, expect: &str| {
        assert_eq!(value("namespace", annotations, &[], environment), expect);
    };
    check(&[annotation], &[otel], "of-annotation");
    check(&[], &[otel], "otel-ns");
    check(&[], &[], "shop");
}

#[test]
fn a_version_is_what_the_first_says_and_else_that_of_the_image() {
    let annotation = ("resource.opentelemetry.io/service.version", "of-annotation");
    let otel = ("OTEL_RESOURCE_ATTRIBUTES", OTEL);
    let all = [
        ("app.kubernetes.io/version", "of-kubernetes"),
        ("service.istio.io/canonical-revision", "of-istio"),
        ("version", "of-version"),
    ];
    let check = |annotations: Pairs<'_>, labels: Pairs<'_>, environment: Pairs<'_>, expect: &str| {
        assert_eq!(value("version", annotations, labels, environment), expect, "{annotations:?} {labels:?}");
    };
    check(&[annotation], &all, &[otel], "of-annotation");
    check(&[], &all, &[otel], "3");
    check(&[], &all, &[], "of-kubernetes");
    check(&[], &all[1..], &[], "of-istio");
    check(&[], &all[2..], &[], "of-version");
    check(&[], &[], &[], "1.4.2");
    // Istio says so of a pod without a version.
    check(&[], &[("service.istio.io/canonical-revision", "latest")], &[], "1.4.2");
    check(&[], &[("service.istio.io/canonical-revision", "latest"), ("version", "v2")], &[], "v2");
    check(&[], &[("service.istio.io/canonical-revision", "latest-1")], &[], "latest-1");
}

#[test]
fn the_version_of_an_image_is_its_tag_or_its_digest() {
    let digest = format!("sha256:{ID}");
    let check = |image: &str, expect: &str| {
        let mut pod = pod("Deployment", "api");
        pod.containers[0].image = image.to_owned();
        assert_eq!(&*labels(&pod, &[]).version, expect, "{image}");
    };
    check("api:1.2", "1.2");
    check("shop/api:v1.2_3-rc.1", "v1.2_3-rc.1");
    check("registry.example/shop/api:1.2", "1.2");
    check("host:5000/a/b:1.2", "1.2");
    check("host:5000/a/b", "");
    check("[fd00::1]:5000/a/b", "");
    check("[fd00::1]:5000/a/b:2", "2");
    check("api", "");
    check("", "");
    check("api:latest", "latest");
    check(&format!("api@{digest}"), "0123456789ab");
    check(&format!("host:5000/a/b@{digest}"), "0123456789ab");
    check(&format!("host:5000/a/b:1.2@{digest}"), "1.2");
    check("api@sha512:ABCDEF", "");
    check(&format!("api@sha512:{ID}{ID}"), "0123456789ab");
    check("api:", "");
    check("api@sha256:12", "");
}

#[test]
fn a_pod_whose_container_is_not_known_yet_has_no_image() {
    let mut pod = pod("Deployment", "api");
    let mut sidecar = pod.containers[0].clone();
    sidecar.name = "proxy".to_owned();
    pod.containers = vec![pod.containers[0].clone(), sidecar];
    for container in &mut pod.containers {
        container.ids.clear();
    }
    let table = Table::new([Arc::new(pod.clone())], Rollouts::default(), true);
    let place = table.find(&Container { id: ID.to_owned(), pod_uid: Some(pod.uid), ..Container::default() });
    assert_eq!(place.pod().map(|pod| pod.container), Some(None));
    let found = rules().apply(&[], &Facts { place, ..Facts::default() });
    assert_eq!((&*found.version, &*found.service, &*found.canary_group), ("", "api", "stable"));
}

#[test]
fn in_a_container_without_a_known_pod_what_the_process_does_not_tell_is_unknown() {
    let check = |environment: Pairs<'_>, expect: [&str; 5]| {
        let environment = map(environment);
        let exe = Some("node".to_owned());
        let facts = Facts { environment, exe, place: Place::Unknown, ..Facts::default() };
        assert_eq!(rules().apply(&[], &facts).pairs().map(|(_, value)| value.to_owned()), expect);
    };
    let unknown = "unknown";
    check(&[], [unknown, "node", unknown, unknown, unknown]);
    check(&[("OTEL_RESOURCE_ATTRIBUTES", OTEL)], ["otel-ns", "of-otel", "3", unknown, unknown]);
    check(&[("TRACER_CANARY_GROUP", "Preview")], [unknown, "node", unknown, "canary", unknown]);
    check(&[("TRACER_CANARY_GROUP", "production")], [unknown, "node", unknown, "stable", unknown]);
    check(&[("TRACER_CANARY_GROUP", "blue")], [unknown, "node", unknown, unknown, unknown]);
}

#[test]
fn outside_of_containers_the_labels_are_those_of_a_machine_without_pods() {
    let units = [None, Some("shop.service"), Some("shop@1.service"), Some("user@1000.service")];
    let groups = [None, Some("canary"), Some("production"), Some("Blue Green"), Some("")];
    let others = [None, Some(("OTEL_SERVICE_NAME", "till")), Some(("OTEL_RESOURCE_ATTRIBUTES", OTEL))];
    for unit in units {
        for group in groups {
            for other in others {
                let group = group.map(|group| ("TRACER_CANARY_GROUP", group));
                let environment: Vec<_> = group.into_iter().chain(other).collect();
                let facts = Facts {
                    environment: map(&environment),
                    unit: unit.map(str::to_owned),
                    exe: Some("api".to_owned()),
                    ..Facts::default()
                };
                let expect = LabelRules::or_built_in(Vec::new()).apply(&[], &facts);
                assert_eq!(rules().apply(&[], &facts), expect, "{facts:?}");
            }
        }
    }
}

#[test]
fn values_of_pods_are_cleaned_as_all_others_are() {
    let check = |key: &str, name: &str, text: &str, expect: &str| {
        assert_eq!(value(name, &[(key, text)], &[], &[]), expect, "{text:?}");
        let app = value("service", &[], &[("app", text)], &[]);
        assert_eq!(app, expect, "{text:?}");
    };
    let key = "resource.opentelemetry.io/service.name";
    check(key, "service", "a\u{1b}[31m\nb\0", "a\u{fffd}[31m\u{fffd}b\u{fffd}");
    check(key, "service", "__other__", "other__");
    check(key, "service", "  shop \n", "shop");
    check(key, "service", "{\"a\"=\"b\"}\\", "{\"a\"=\"b\"}\\");
    check(key, "service", "$1", "$1");
    check(key, "service", &"ü".repeat(300_000), &"ü".repeat(MAX_VALUE_CHARACTERS));
    check(key, "service", "____", "api");
    assert_eq!(value("version", &[], &[("version", "__x")], &[]), "x");
}

#[test]
fn own_rules_see_everything_of_a_pod() {
    use crate::target::labels::{LabelRule, OfPod, Source};
    let mut pod = pod("Rollout", "api");
    pod.labels.insert("team".to_owned(), "tills".to_owned());
    pod.annotations.insert("mail".to_owned(), "a@example".to_owned());
    let stable = Hashes { stable: HASH.to_owned(), current: HASH.to_owned() };
    let hashes = BTreeMap::from([(("shop".to_owned(), "api".to_owned()), stable)]);
    let place = place(&[&pod], Rollouts { hashes, ..Rollouts::default() });
    let check = |source: OfPod, expect: &str| {
        let rule = LabelRule::new("service", Some(Source::Pod(source.clone())), None, None);
        let rules = LabelRules::new(vec![rule.expect("it is a rule")]);
        let facts = Facts { place: place.clone(), ..Facts::default() };
        assert_eq!(&*rules.apply(&[], &facts).service, expect, "{source:?}");
        assert_eq!(&*rules.apply(&[], &Facts::default()).service, "", "{source:?}");
        let facts = Facts { place: Place::Unknown, ..Facts::default() };
        assert_eq!(&*rules.apply(&[], &facts).service, "", "{source:?}");
    };
    check(OfPod::Label("team".to_owned()), "tills");
    check(OfPod::Annotation("mail".to_owned()), "a@example");
    check(OfPod::Namespace, "shop");
    check(OfPod::Name, "api-7d4b9c-x2x4z");
    check(OfPod::Workload, "api");
    check(OfPod::Container, "main");
    check(OfPod::Image, IMAGE);
    check(OfPod::Rollout, "stable");
    check(OfPod::Flagger, "");
}

/// Check that no form of the list is left out because it is no rule.
#[test]
fn every_built_in_rule_is_a_rule() {
    let by_label = |rules: &LabelRules| {
        let count = |name| rules.all().iter().filter(|rule| rule.name == name).count();
        ["namespace", "service", "version", "canary_group", "workload"].map(count)
    };
    assert_eq!(by_label(&rules()), [4, 10, 8, 22, 2]);
    let without_keys = LabelRules::or_built_in_of_pods(Vec::new(), &[]);
    assert_eq!(by_label(&without_keys), [4, 10, 8, 16, 2]);
}
