//! The books: what is added up, what is closed, what has no room.

use std::collections::BTreeMap;

use super::*;
use crate::mode::Mode;
use crate::model::node::AllocatorCounts;

const LIMITS: Limits = Limits { max_series: 3, expire_seconds: 100.0 };

fn labels(service: &str, group: &str) -> LabelSet {
    LabelSet { service: service.into(), canary_group: group.into(), ..LabelSet::default() }
}

/// A process that has allocated so many objects of 10 bytes.
fn entry(pid: u32, labels: &LabelSet, objects: u64) -> Entry {
    let counts = AllocatorCounts {
        alloc_objects: objects,
        alloc_bytes: 10 * objects,
        free_objects: Some(objects / 2),
        free_bytes: Some(5 * objects),
    };
    let tally = Tally {
        id: TargetId { pid, start_time: 1 },
        mode: Mode::Live,
        allocators: BTreeMap::from([("glibc".to_owned(), counts)]),
        sizes: vec![(Some(8), 0), (Some(16), objects)],
        inuse_objects: Some(objects / 2),
        inuse_bytes: Some(5 * objects),
        standard_errors: BTreeMap::from([("inuse_bytes".to_owned(), 3.0)]),
        cpu_seconds: objects as f64,
        overhead_seconds: objects as f64 / 10.0,
        resident_bytes: 1000,
        ..Tally::default()
    };
    Entry { tally, labels: labels.clone(), ..Entry::default() }
}

fn over(entry: Entry) -> Entry {
    Entry { tally: Tally { is_over: true, ..entry.tally }, ..entry }
}

fn objects(series: &[Series], wanted: &LabelSet) -> Option<u64> {
    let found = series.iter().find(|series| series.labels == *wanted)?;
    Some(found.allocators.values().map(|counts| counts.alloc_objects).sum())
}

#[test]
fn processes_with_the_same_labels_are_one_series() {
    let api = labels("api", "stable");
    let mut ledger = Ledger::new(LIMITS);
    let (targets, series) = ledger.look(1.0, &[entry(1, &api, 100), entry(2, &api, 50)], &[]);
    assert_eq!(targets.len(), 2);
    let [one] = &series[..] else { panic!("one series: {series:?}") };
    assert_eq!((one.processes, one.inuse_bytes, one.resident_bytes), (2, Some(750), Some(2000)));
    assert_eq!(one.sizes, [(Some(8), 0), (Some(16), 150)]);
    assert_eq!(one.attached_ratio, Some(1.0));
    // Variances of 9 each, over 750.
    assert!((one.relative_errors["inuse_bytes"] - f64::sqrt(18.0) / 750.0).abs() < 1e-12);
    assert!(!one.relative_errors.contains_key("free_bytes"), "nobody says an error of it: it is exact");
    assert_eq!(one.overhead_ratio, Some(0.1));
}

#[test]
fn counters_keep_what_is_gone_and_gauges_do_not() {
    let api = labels("api", "stable");
    let mut ledger = Ledger::new(LIMITS);
    ledger.look(1.0, &[entry(1, &api, 100), entry(2, &api, 50)], &[]);
    let (targets, series) = ledger.look(2.0, &[over(entry(1, &api, 120)), entry(2, &api, 60)], &[]);
    assert_eq!(targets.len(), 1);
    assert_eq!((objects(&series, &api), series[0].processes), (Some(180), 1));
    assert_eq!(series[0].inuse_objects, Some(30));
    let (_, series) = ledger.look(3.0, &[over(entry(2, &api, 60))], &[]);
    assert_eq!((objects(&series, &api), series[0].processes, series[0].inuse_objects), (Some(180), 0, None));
    assert_eq!(series[0].resident_bytes, None);
    let (_, series) = ledger.look(104.0, &[], &[]);
    assert_eq!(series.len(), 0, "nobody was there for more than 100 seconds");
    // The pid of the first means another process now.
    let again = Entry {
        tally: Tally { id: TargetId { pid: 1, start_time: 2 }, ..entry(1, &api, 7).tally },
        ..entry(1, &api, 0)
    };
    let (_, series) = ledger.look(105.0, &[again], &[]);
    assert_eq!(objects(&series, &api), Some(187), "the counter goes on");
}

#[test]
fn a_process_that_is_traced_anew_never_takes_anything_back() {
    let api = labels("api", "stable");
    let mut ledger = Ledger::new(LIMITS);
    ledger.look(1.0, &[entry(1, &api, 100)], &[]);
    let (_, series) = ledger.look(2.0, &[entry(1, &api, 10)], &[]);
    assert_eq!(objects(&series, &api), Some(100));
    let (_, series) = ledger.look(3.0, &[entry(1, &api, 15)], &[]);
    assert_eq!(objects(&series, &api), Some(105));
}

#[test]
fn another_label_closes_the_old_series_and_begins_a_new_one() {
    let (canary, stable) = (labels("api", "canary"), labels("api", "stable"));
    let mut ledger = Ledger::new(LIMITS);
    ledger.look(1.0, &[entry(1, &canary, 100)], &[]);
    let (_, series) = ledger.look(2.0, &[entry(1, &stable, 130)], &[]);
    assert_eq!((objects(&series, &canary), objects(&series, &stable)), (None, Some(30)));
    // Another canary comes: its counters begin where they ended.
    let (_, series) = ledger.look(3.0, &[entry(1, &stable, 130), entry(2, &canary, 5)], &[]);
    assert_eq!((objects(&series, &canary), objects(&series, &stable)), (Some(105), Some(30)));
}

#[test]
fn a_series_that_others_are_in_is_not_closed() {
    let (canary, stable) = (labels("api", "canary"), labels("api", "stable"));
    let mut ledger = Ledger::new(LIMITS);
    ledger.look(1.0, &[entry(1, &canary, 100), entry(2, &canary, 1)], &[]);
    let (_, series) = ledger.look(2.0, &[entry(1, &stable, 100), entry(2, &canary, 1)], &[]);
    assert_eq!((objects(&series, &canary), objects(&series, &stable)), (Some(101), Some(0)));
}

#[test]
fn what_has_no_room_is_folded_and_counted_once() {
    let names: Vec<LabelSet> = ["a", "b", "c", "d", "e"].iter().map(|name| labels(name, "")).collect();
    let all = |objects: u64| -> Vec<Entry> {
        (1..).zip(&names).map(|(pid, labels)| entry(pid, labels, objects)).collect()
    };
    let mut ledger = Ledger::new(LIMITS);
    ledger.look(1.0, &all(10), &[]);
    let (targets, series) = ledger.look(2.0, &all(20), &[]);
    assert_eq!(series.len(), 4, "three and the others");
    assert_eq!(objects(&series, &labels(OTHER, "")), Some(40));
    assert_eq!(ledger.suppressed(), 2);
    assert_eq!(&*targets[4].labels.service, "e", "the process itself keeps its name");
    let sum: u64 =
        series.iter().flat_map(|series| series.allocators.values()).map(|counts| counts.alloc_objects).sum();
    assert_eq!(sum, 100, "nothing is lost");
}

#[test]
fn who_is_gone_makes_room_for_who_comes() {
    let mut ledger = Ledger::new(LIMITS);
    let first: Vec<Entry> =
        (1..).zip(["a", "b", "c"]).map(|(pid, name)| entry(pid, &labels(name, ""), 1)).collect();
    ledger.look(1.0, &first, &[]);
    let rest = [over(first[0].clone()), first[1].clone(), first[2].clone()];
    ledger.look(2.0, &rest, &[]);
    let (_, series) =
        ledger.look(3.0, &[rest[1].clone(), rest[2].clone(), entry(9, &labels("d", ""), 4)], &[]);
    let shown: Vec<&str> = series.iter().map(|series| &*series.labels.service).collect();
    assert_eq!((shown, ledger.suppressed()), (vec!["b", "c", "d"], 0));
}

#[test]
fn who_is_wanted_and_not_counted_in_lowers_the_share() {
    let api = labels("api", "");
    let mut ledger = Ledger::new(LIMITS);
    let (_, series) = ledger.look(1.0, &[entry(1, &api, 1)], &[api.clone(), labels("db", "")]);
    let seen: Vec<_> =
        series.iter().map(|one| (&*one.labels.service, one.processes, one.attached_ratio)).collect();
    assert_eq!(seen, [("api", 1, Some(0.5)), ("db", 0, Some(0.0))], "of db nobody is counted in");
}

#[test]
fn frees_that_were_known_before_are_not_counted_again() {
    let api = labels("api", "");
    let blind = |mut entry: Entry| {
        for counts in entry.tally.allocators.values_mut() {
            (counts.free_objects, counts.free_bytes) = (None, None);
        }
        entry
    };
    let mut ledger = Ledger::new(LIMITS);
    let mut frees = |entry: Entry| {
        let (_, series) = ledger.look(1.0, &[entry], &[]);
        series[0].allocators["glibc"].free_objects
    };
    assert_eq!(frees(entry(1, &api, 100)), Some(50));
    assert_eq!(frees(blind(entry(1, &api, 200))), Some(50), "mode alloc");
    assert_eq!(frees(entry(1, &api, 300)), Some(150), "mode live again");
}

#[test]
fn the_limit_of_a_control_group_counts_once() {
    let api = labels("api", "");
    let limited = |pid, group: &str| Entry { memory_limit: Some((group.into(), 500)), ..entry(pid, &api, 1) };
    let check = |entries: &[Entry], expect| {
        let (_, series) = Ledger::new(LIMITS).look(1.0, entries, &[]);
        assert_eq!(series[0].memory_limit_bytes, expect);
    };
    check(&[limited(1, "/a"), limited(2, "/a"), limited(3, "/b")], Some(1000));
    check(&[limited(1, "/a"), entry(2, &api, 1)], None);
}

#[test]
fn rates_are_of_the_last_seconds() {
    let api = labels("api", "");
    let mut ledger = Ledger::new(LIMITS);
    let mut rates = Vec::new();
    for second in 0..=30_u64 {
        let (targets, _) = ledger.look(second as f64, &[entry(1, &api, 100 * second.min(15))], &[]);
        rates.push(targets[0].alloc_objects_per_second);
    }
    assert_eq!(rates[10], 100.0);
    assert_eq!(rates[30], 0.0, "ten seconds are forgotten");
}

#[test]
fn a_process_that_ended_before_a_promotion_does_not_keep_the_canary_open() {
    let (canary, stable) = (labels("api", "canary"), labels("api", "stable"));
    let mut ledger = Ledger::new(LIMITS);
    let mut ended = entry(2, &canary, 5);
    ended.tally.has_ended = true;
    ledger.look(1.0, &[entry(1, &canary, 10), entry(2, &canary, 4)], &[]);
    ledger.look(2.0, &[entry(1, &canary, 11), ended.clone()], &[]);
    // The other one is promoted; what has ended is there for one more look, with its old labels and its last numbers.
    let (_, series) = ledger.look(3.0, &[entry(1, &stable, 12), ended.clone()], &[]);
    assert_eq!((objects(&series, &canary), objects(&series, &stable)), (None, Some(1)));
    ended.tally.is_over = true;
    let (_, series) = ledger.look(4.0, &[entry(1, &stable, 12), ended], &[]);
    assert_eq!(objects(&series, &canary), None, "it stays closed");
    let (_, series) = ledger.look(5.0, &[entry(1, &canary, 12)], &[]);
    assert_eq!(objects(&series, &canary), Some(16), "nothing of it was lost");
}
