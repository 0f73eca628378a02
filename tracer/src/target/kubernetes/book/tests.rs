//! What is remembered, and for how long.

use super::super::{Group, Place};
use super::*;
use crate::target::cgroup::Container;

const KEEP: Duration = Duration::from_secs(60);

fn book() -> Book {
    Book::new(KEEP, [Kind::Pods])
}

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn pod(name: &str, ids: &[char]) -> Pod {
    let container = super::super::PodContainer {
        name: "app".to_owned(),
        image: "app:1".to_owned(),
        ids: ids.iter().map(|digit| id(*digit)).collect(),
    };
    Pod {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        containers: vec![container],
        ..Pod::default()
    }
}

fn list(book: &mut Book, pods: &[Pod], now: Instant) {
    book.begin();
    for pod in pods {
        book.listed(pod.uid.clone(), pod.clone());
    }
    book.done(now);
}

/// The name of the pod with that container.
fn owner(table: &Table, digit: char) -> Option<String> {
    let container = Container { id: id(digit), ..Container::default() };
    table.find(&container).pod().map(|found| found.pod.name.clone())
}

#[test]
fn a_picture_is_published_only_where_something_has_changed() {
    let (mut book, now) = (book(), Instant::now());
    assert!(book.take_table(now).is_none(), "nothing has been said");
    list(&mut book, &[], now);
    assert!(book.take_table(now).is_some_and(|table| table.is_synced() && table.is_empty()));
    book.applied("uid-a".to_owned(), pod("a", &['a']));
    assert_eq!(book.take_table(now).as_ref().and_then(|table| owner(table, 'a')).as_deref(), Some("a"));
    book.applied("uid-a".to_owned(), pod("a", &['a']));
    list(&mut book, &[pod("a", &['a'])], now);
    assert!(book.take_table(now).is_none(), "it says the same again");
}

#[test]
fn what_was_known_holds_until_everything_has_come_again() {
    let (mut book, now) = (book(), Instant::now());
    list(&mut book, &[pod("a", &['a'])], now);
    assert!(book.take_table(now).is_some());
    book.begin();
    book.listed("uid-b".to_owned(), pod("b", &['b']));
    assert!(book.take_table(now).is_none(), "in the middle of a list");
    // It begins again, and the half that came before is no part of it.
    list(&mut book, &[pod("a", &['a']), pod("c", &['c'])], now);
    let table = book.take_table(now).expect("c is new");
    assert_eq!((table.len(), owner(&table, 'b'), owner(&table, 'c')), (2, None, Some("c".to_owned())));
    assert_eq!(book.next_expiry(), None, "nothing is gone");
}

#[test]
fn pods_that_are_gone_are_kept_for_a_while() {
    let (mut book, start) = (book(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    list(&mut book, &[pod("deleted", &['d']), pod("missing", &['e']), pod("here", &['f'])], start);
    book.deleted("uid-deleted".to_owned(), pod("deleted", &['d']), at(10));
    list(&mut book, &[pod("here", &['f'])], at(20));
    // That it is missing once more changes nothing.
    list(&mut book, &[pod("here", &['f'])], at(50));
    for (seconds, expect) in [(69, 3), (71, 2), (79, 2), (81, 1), (1000, 1)] {
        book.is_changed = true;
        let table = book.take_table(at(seconds)).expect("a table");
        assert_eq!(table.len(), expect, "after {seconds} s");
    }
    assert_eq!(book.next_expiry(), None);
}

#[test]
fn a_pod_that_comes_back_is_not_gone() {
    let (mut book, start) = (book(), Instant::now());
    list(&mut book, &[pod("a", &['a'])], start);
    list(&mut book, &[], start);
    assert_eq!(book.next_expiry(), Some(start + KEEP));
    book.applied("uid-a".to_owned(), pod("a", &['a']));
    assert_eq!(book.next_expiry(), None);
}

#[test]
fn a_container_that_started_again_is_known_by_all_of_its_ids() {
    let (mut book, now) = (book(), Instant::now());
    for digit in "0123456789".chars() {
        book.applied("uid-a".to_owned(), pod("a", &[digit]));
    }
    // Not running: the status has none, and the ids before still count.
    book.applied("uid-a".to_owned(), pod("a", &[]));
    let table = book.take_table(now).expect("a table");
    let known: String = "0123456789".chars().filter(|digit| owner(&table, *digit).is_some()).collect();
    assert_eq!(known, "23456789", "the last {MAX_IDS}");
    book.applied("uid-a".to_owned(), pod("a", &['3']));
    let ids = &book.pods["uid-a"].pod.containers[0].ids;
    assert_eq!(ids.last(), Some(&id('3')), "the one that runs is last");
}

#[test]
fn of_two_pods_with_one_container_the_one_that_is_there_has_it() {
    // As a static pod's mirror that is made anew: another uid, the same containers.
    let (mut book, now) = (book(), Instant::now());
    for (first, second) in [("1", "2"), ("2", "1")] {
        book.applied(first.to_owned(), pod("old", &['a']));
        book.deleted(first.to_owned(), pod("old", &['a']), now);
        book.applied(second.to_owned(), pod("new", &['a']));
        let table = book.take_table(now).expect("a table");
        assert_eq!(owner(&table, 'a').as_deref(), Some("new"));
    }
}

#[test]
fn everything_is_known_when_all_that_is_wanted_was_listed_or_given_up() {
    let now = Instant::now();
    let mut book = Book::new(KEEP, [Kind::Pods, Kind::Rollouts, Kind::Canaries]);
    list(&mut book, &[pod("a", &['a'])], now);
    let synced = |book: &mut Book| book.take_table(now).map(|table| table.is_synced());
    assert_eq!(synced(&mut book), Some(false));
    assert!(book.is_awaiting() && book.awaits(Kind::Rollouts) && !book.awaits(Kind::Pods));
    book.settle(Kind::Rollouts);
    assert_eq!(synced(&mut book), None);
    book.canary(Change::Begin);
    book.canary(Change::Done);
    assert_eq!(synced(&mut book), Some(true));
    assert!(!book.is_awaiting());
    book.settle(Kind::Rollouts);
    assert_eq!(synced(&mut book), None, "given up twice");
}

/// While 7d4b9c is rolled out.
fn hashes(stable: &str) -> Hashes {
    Hashes { stable: stable.to_owned(), current: "7d4b9c".to_owned() }
}

#[test]
fn what_happens_in_namespaces_without_a_pod_here_is_published_with_their_first_pod() {
    let (mut book, now) = (book(), Instant::now());
    list(&mut book, &[pod("a", &['a'])], now);
    assert!(book.take_table(now).is_some());
    let name = |namespace: &str| (namespace.to_owned(), "api".to_owned());
    let owner = || Owner { kind: "Deployment".to_owned(), name: "api".to_owned() };
    book.rollout(Change::Applied(name("far"), Some(hashes("6f5c8d"))));
    book.canary(Change::Applied(name("far"), Some(owner())));
    assert!(book.take_table(now).is_none(), "nobody here is concerned");
    book.canary(Change::Applied(name("shop"), Some(owner())));
    assert!(book.take_table(now).is_some());
    let mut other = Pod { namespace: "far".to_owned(), ..pod("b", &['b']) };
    other.owner = Some(owner());
    book.applied("uid-b".to_owned(), other);
    let table = book.take_table(now).expect("b is new");
    let found = table.find(&Container { id: id('b'), ..Container::default() });
    assert_eq!(found.pod().map(|found| found.flagger), Some(Some(Group::Canary)));
    book.canary(Change::Applied(name("far"), None));
    assert!(book.take_table(now).is_some(), "now somebody is");
}

#[test]
fn rollouts_say_which_side_a_pod_is_on_and_only_a_change_is_one() {
    let (mut book, now) = (book(), Instant::now());
    let mut api = pod("api-7d4b9c-x", &['a']);
    api.owner = Some(Owner { kind: "ReplicaSet".to_owned(), name: "api-7d4b9c".to_owned() });
    api.labels.insert("rollouts-pod-template-hash".to_owned(), "7d4b9c".to_owned());
    list(&mut book, &[api], now);
    assert!(book.take_table(now).is_some());
    let name = || ("shop".to_owned(), "api".to_owned());
    let side = |book: &mut Book, change: Change<Hashes>| {
        book.rollout(change);
        let found = book.take_table(now)?.find(&Container { id: id('a'), ..Container::default() });
        let Place::In(found) = found else { return Some(None) };
        Some(found.rollout)
    };
    let applied = |stable: &str| Change::Applied(name(), Some(hashes(stable)));
    assert_eq!(side(&mut book, applied("6f5c8d")), Some(Some(Group::Canary)));
    assert_eq!(side(&mut book, applied("6f5c8d")), None, "the same again");
    assert_eq!(side(&mut book, applied("7d4b9c")), Some(Some(Group::Stable)));
    assert_eq!(side(&mut book, Change::Begin), None);
    assert_eq!(side(&mut book, Change::Listed(name(), Some(hashes("6f5c8d")))), None);
    assert_eq!(side(&mut book, Change::Done), Some(Some(Group::Canary)));
    assert_eq!(side(&mut book, Change::Applied(name(), None)), Some(None));
}
