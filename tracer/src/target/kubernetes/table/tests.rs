//! Which pod a container is in, and on which side of a rollout that is.

use super::super::{PodContainer, Pods};
use super::*;

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn owned(kind: &str, name: &str) -> Owner {
    Owner { kind: kind.to_owned(), name: name.to_owned() }
}

/// A pod of `shop` whose containers have these ids, or none yet.
fn pod(name: &str, containers: &[Option<char>]) -> Pod {
    let container = |(at, digit): (usize, &Option<char>)| PodContainer {
        name: format!("c{at}"),
        image: String::new(),
        ids: digit.iter().map(|digit| id(*digit)).collect(),
    };
    Pod {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        containers: containers.iter().enumerate().map(container).collect(),
        ..Pod::default()
    }
}

/// Of a ReplicaSet `WORKLOAD-7d4b9c`, which `label` says the template of.
fn replica(name: &str, workload: &str, label: &str, digit: char) -> Pod {
    let mut pod = pod(name, &[Some(digit)]);
    pod.owner = Some(owned("ReplicaSet", &format!("{workload}-7d4b9c")));
    pod.labels.insert(label.to_owned(), "7d4b9c".to_owned());
    pod
}

fn table(pods: impl IntoIterator<Item = Pod>, rollouts: Rollouts) -> Table {
    Table::new(pods.into_iter().map(Arc::new), rollouts, true)
}

fn container(digit: char, pod_uid: Option<&str>) -> Container {
    Container { id: id(digit), pod_uid: pod_uid.map(str::to_owned), ..Container::default() }
}

/// Name of the pod, which container, whether that is certain.
fn found(table: &Table, digit: char, pod_uid: Option<&str>) -> Result<(String, Option<usize>, bool), Place> {
    match table.find(&container(digit, pod_uid)) {
        Place::In(found) => Ok((found.pod.name.clone(), found.container, found.is_certain)),
        place => Err(place),
    }
}

#[test]
fn a_container_is_found_by_its_id_else_by_the_uid_of_its_pod() {
    let pods = [
        pod("two", &[Some('a'), Some('b')]),
        pod("starting", &[Some('c'), None]),
        pod("single", &[None]),
        pod("again", &[Some('d')]),
        pod("empty", &[]),
    ];
    let table = table(pods, Rollouts::default());
    let check = |digit, pod_uid: Option<&str>, expect: Result<(&str, Option<usize>, bool), Place>| {
        let expect = expect.map(|(name, at, is_certain)| (name.to_owned(), at, is_certain));
        assert_eq!(found(&table, digit, pod_uid), expect, "{digit} {pod_uid:?}");
    };
    check('a', None, Ok(("two", Some(0), true)));
    check('b', Some("uid-two"), Ok(("two", Some(1), true)));
    // The id says more than the path.
    check('b', Some("uid-single"), Ok(("two", Some(1), true)));
    check('c', Some("uid-starting"), Ok(("starting", Some(0), true)));
    check('9', Some("uid-starting"), Ok(("starting", None, false)));
    check('9', Some("uid-single"), Ok(("single", Some(0), false)));
    // All that are known are others: one of them starts again, or it is the one that holds the namespaces.
    check('9', Some("uid-two"), Ok(("two", None, false)));
    check('9', Some("uid-again"), Ok(("again", Some(0), false)));
    check('9', Some("uid-empty"), Ok(("empty", None, false)));
    check('9', Some("uid-of-nobody"), Err(Place::Unknown));
    check('9', None, Err(Place::Unknown));
    assert_eq!((table.len(), table.is_empty(), table.is_synced()), (5, false, true));
    assert!(Table::default().is_empty() && !Table::default().is_synced());
}

#[test]
fn of_two_pods_with_one_container_the_later_one_has_it() {
    let table = table([pod("first", &[Some('a')]), pod("second", &[Some('a')])], Rollouts::default());
    assert_eq!(found(&table, 'a', None), Ok(("second".to_owned(), Some(0), true)));
}

#[test]
fn a_rollout_says_which_template_is_stable() {
    let check = |namespace: &str, name: &str, [stable, current]: [&str; 2], expect: Option<Group>| {
        let key = (namespace.to_owned(), name.to_owned());
        let templates = Hashes { stable: stable.to_owned(), current: current.to_owned() };
        let hashes = [(key, templates)].into_iter().collect();
        let pods = [replica("api-x", "api", "rollouts-pod-template-hash", 'a')];
        let table = table(pods, Rollouts { hashes, ..Rollouts::default() });
        let Place::In(found) = table.find(&container('a', None)) else { panic!("it is known") };
        assert_eq!(
            (found.rollout, found.workload),
            (expect, owned("Rollout", "api")),
            "{namespace}/{name} {stable} {current}"
        );
    };
    check("shop", "api", ["7d4b9c", "7d4b9c"], Some(Group::Stable));
    check("shop", "api", ["7d4b9c", "6f5c8d"], Some(Group::Stable));
    check("shop", "api", ["6f5c8d", "7d4b9c"], Some(Group::Canary));
    // It was promoted, and what was stable before still runs.
    check("shop", "api", ["6f5c8d", "6f5c8d"], Some(Group::Unknown));
    check("shop", "api", ["6f5c8d", ""], Some(Group::Unknown));
    check("elsewhere", "api", ["7d4b9c", "7d4b9c"], None);
    check("shop", "web", ["7d4b9c", "7d4b9c"], None);
}

#[test]
fn flagger_is_known_by_the_names_of_primaries_and_by_its_canaries() {
    let check = |namespace: &str, target: (&str, &str), expect: [Option<Group>; 3]| {
        let deployment = |name, workload, digit| replica(name, workload, "pod-template-hash", digit);
        let pods = [
            deployment("api-x", "api", 'a'),
            deployment("web-x", "web", 'b'),
            deployment("api-primary-x", "api-primary", 'c'),
        ];
        let flagger_targets = [(namespace.to_owned(), owned(target.0, target.1))].into_iter().collect();
        let table = table(pods, Rollouts { flagger_targets, ..Rollouts::default() });
        let side = |digit| match table.find(&container(digit, None)) {
            Place::In(found) => found.flagger,
            place => panic!("{place:?}"),
        };
        assert_eq!(['a', 'b', 'c'].map(side), expect, "{namespace} {target:?}");
    };
    let (canary, stable) = (Some(Group::Canary), Some(Group::Stable));
    check("shop", ("Deployment", "api"), [canary, None, stable]);
    check("shop", ("Deployment", "web"), [None, canary, stable]);
    // Its primary is here, and says nothing of it.
    check("shop", ("DaemonSet", "api"), [None, None, stable]);
    check("elsewhere", ("Deployment", "api"), [None, None, stable]);
}

#[test]
fn the_hash_of_a_static_pod_takes_nobody_elses_uid() {
    let of = |name: &str, is_static| Pod { uid: "uid".to_owned(), is_static, ..pod(name, &[None]) };
    let check = |pods: [Pod; 2], expect: &str| {
        let table = table(pods, Rollouts::default());
        assert_eq!(found(&table, '9', Some("uid")), Ok((expect.to_owned(), Some(0), false)));
    };
    check([of("real", false), of("static", true)], "real");
    check([of("static", true), of("real", false)], "real");
    check([of("static", true), of("again", true)], "again");
    check([of("real", false), of("again", false)], "again");
}

#[test]
fn only_workloads_that_flagger_takes_are_its_primaries() {
    let check = |kind: &str, name: &str, expect: Option<Group>| {
        let mut primary = pod("p", &[Some('a')]);
        primary.owner = Some(owned(kind, name));
        let table = table([primary], Rollouts::default());
        let Place::In(found) = table.find(&container('a', None)) else { panic!("it is known") };
        assert_eq!(found.flagger, expect, "{kind} {name}");
    };
    check("DaemonSet", "agent-primary", Some(Group::Stable));
    check("DaemonSet", "-primary", None);
    check("DaemonSet", "agent-primary-2", None);
    check("StatefulSet", "db-primary", None);
    check("ReplicaSet", "api-primary", None);
}

#[test]
fn nobody_is_in_a_pod_where_pods_are_not_asked_for() {
    let pods = Pods::default();
    pods.publish(table([pod("a", &[Some('a')])], Rollouts::default()));
    assert_eq!(pods.place_of(&container('a', None)), Place::Outside);
    assert_eq!((pods.standing(), pods.is_watched(), pods.table().len()), (None, false, 0));
}

#[test]
fn a_container_without_a_pod_waits_for_it_and_counts_if_it_ends_first() {
    let pods = Pods::new(|| {});
    let counts = || pods.standing().map(|standing| (standing.waiting, standing.unresolved));
    assert_eq!(pods.place_of(&container('a', None)), Place::Unknown);
    assert_eq!(pods.place_of(&container('a', None)), Place::Unknown);
    assert_eq!(pods.place_of(&container('b', None)), Place::Unknown);
    assert_eq!(counts(), Some((2, 0)));
    pods.publish(table([pod("b", &[Some('b')])], Rollouts::default()));
    // No process of this machine is in `a`: it has ended.
    assert_eq!(counts(), Some((0, 1)), "b has its pod");
    assert_eq!(pods.place_of(&container('b', None)).pod().map(|found| found.container), Some(Some(0)));
    assert_eq!(pods.place_of(&container('c', None)), Place::Unknown);
    pods.survey();
    assert_eq!(counts(), Some((0, 2)));
    let standing = pods.standing().expect("pods are watched");
    assert_eq!((standing.pods, standing.is_synced), (1, true));
}
