//! Pods as they live: containers of all kinds, restarts, deletion.

use std::time::{Duration, Instant};

use super::{NODE, OBJECTS, Rig, id, pod};
use crate::servers::kubernetes::{FakeApi, PodSpec};
use crate::servers::poll;

#[test]
fn init_and_ephemeral_containers_are_known_too() {
    let api = FakeApi::start();
    let mut shop = PodSpec::new("shop", "api-1").node(NODE);
    shop = shop.container("app", "shop/app:1", &[]).init_container("migrate", "shop/migrate:2", &[&id(1)]);
    api.apply(shop.json());
    let rig = Rig::start(&api.options(NODE));
    let name = |number| rig.wait(&id(number)).container().map(|container| container.name.clone());
    assert_eq!(name(1).as_deref(), Some("migrate"));
    let shop = PodSpec::new("shop", "api-1").node(NODE).container("app", "shop/app:1", &[&id(2)]);
    let shop = shop.init_container("migrate", "shop/migrate:2", &[&id(1)]);
    api.apply(shop.clone().json());
    assert_eq!(name(2).as_deref(), Some("app"));
    api.apply(shop.ephemeral_container("debug", "busybox", &[&id(3)]).json());
    assert_eq!(name(3).as_deref(), Some("debug"));
    assert_eq!(name(1).as_deref(), Some("migrate"));
}

#[test]
fn a_container_that_starts_again_is_known_by_all_its_ids() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    let rig = Rig::start(&api.options(NODE));
    rig.wait(&id(1));
    // The one between was never told but as the one before.
    let again = PodSpec::new("shop", "api-1").node(NODE).container("app", "shop/app:1", &[&id(2), &id(3)]);
    api.apply(again.json());
    rig.wait(&id(3));
    for number in [1, 2, 3] {
        let found = rig.find(&id(number)).unwrap_or_else(|| panic!("id {number}"));
        assert_eq!((found.pod.name.as_str(), found.container), ("api-1", Some(0)));
    }
    assert_eq!(rig.wait(&id(3)).pod.containers[0].ids, [id(1), id(2), id(3)]);
}

#[test]
fn a_pod_that_is_deleted_is_kept_for_a_while_and_then_forgotten() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    api.apply(pod("api-2", &id(2)).json());
    let mut options = api.options(NODE);
    options.keep = Duration::from_secs(2);
    let rig = Rig::start(&options);
    rig.wait(&id(1));
    poll("a watch", || (api.counts(OBJECTS).1 > 0).then_some(()));
    let start = Instant::now();
    api.delete(OBJECTS, "shop", "api-1");
    // What comes behind the deletion shows that it was heard of.
    api.apply(pod("api-3", &id(3)).json());
    rig.wait(&id(3));
    assert!(rig.find(&id(1)).is_some(), "it is kept");
    rig.wait_gone(&id(1));
    assert!(start.elapsed() >= options.keep, "{:?}", start.elapsed());
    assert_eq!(rig.standing().pods, 2);
    assert_eq!(api.counts(OBJECTS).0, 1);
}

#[test]
fn a_pod_that_was_replaced_under_its_name_is_another_one() {
    let api = FakeApi::start();
    api.apply(pod("db-0", &id(1)).uid("first").json());
    let rig = Rig::start(&api.options(NODE));
    rig.wait(&id(1));
    api.apply(pod("db-0", &id(2)).uid("second").json());
    assert_eq!(rig.wait(&id(2)).pod.uid, "second");
    assert_eq!(rig.wait(&id(1)).pod.uid, "first", "it has only just gone");
}

#[test]
fn the_mirror_of_a_static_pod_is_known_by_the_hash_of_its_configuration() {
    let hash = "0123456789abcdef0123456789abcdef";
    let api = FakeApi::start();
    let etcd = PodSpec::new("kube-system", "etcd-node-1").node(NODE).mirror(hash);
    api.apply(etcd.container("etcd", "etcd:3", &[&id(1)]).json());
    let rig = Rig::start(&api.options(NODE));
    let found = rig.wait(&id(1));
    assert_eq!(found.pod.uid, hash);
    assert_eq!((found.workload.kind.as_str(), found.workload.name.as_str()), ("Pod", "etcd"));
}
