//! The books: what is added up, what is closed, what has no room.

use std::collections::BTreeMap;

use super::*;
use crate::mode::Mode;
use crate::model::node::AllocatorCounts;
use crate::model::snapshot::{Gc, PauseBucket};

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

/// A Go process after so many cycles of 2 ms each.
fn collected(pid: u32, labels: &LabelSet, cycles: u64) -> Entry {
    let mut entry = entry(pid, labels, 100);
    let counts = entry.tally.allocators.remove("glibc").expect("it has one");
    entry.tally.allocators.insert("go".to_owned(), counts);
    let bucket = |le_seconds, count| PauseBucket { le_seconds, count };
    entry.tally.gc = Some(Gc {
        cycles,
        forced_cycles: cycles / 10,
        pause_seconds: cycles as f64 * 2e-3,
        pause_histogram: vec![bucket(Some(1e-3), 0), bucket(Some(2.5e-3), cycles), bucket(None, 1)],
        pauses_missed: 3,
        cpu_ratio: Some(f64::from(pid) / 100.0),
        heap_goal_bytes: Some(1000),
        ..Gc::default()
    });
    entry.sample_bytes = 512 << 10;
    entry.runtime =
        Some(RuntimeHeap { name: "go".to_owned(), sample_bytes: Some(4096), ..RuntimeHeap::default() });
    entry
}

#[test]
fn collections_of_processes_that_are_gone_stay() {
    let api = labels("api", "stable");
    let mut ledger = Ledger::new(LIMITS);
    let (_, series) = ledger.look(1.0, &[collected(1, &api, 10), collected(3, &api, 20)], &[]);
    let one = &series[0];
    let gc = one.gc.as_ref().expect("they tell");
    assert_eq!((gc.cycles, gc.forced_cycles, gc.pauses_missed), (30, 3, 6));
    assert!((gc.pause_seconds - 0.06).abs() < 1e-12);
    // 2.5 ms is the eighth bound; the last bucket has none.
    assert_eq!((gc.pauses[7], gc.pauses[15], gc.pauses.iter().sum::<u64>()), (30, 2, 32));
    assert!((one.gc_cpu_ratio.expect("a mean") - 0.02).abs() < 1e-12);
    assert_eq!((one.gc_heap_goal_bytes, one.gc_heap_live_bytes), (Some(2000), None));
    let (_, series) = ledger.look(2.0, &[over(collected(1, &api, 12)), collected(3, &api, 20)], &[]);
    let gc = series[0].gc.as_ref().expect("they tell");
    assert_eq!((gc.cycles, gc.pauses[7], gc.pauses_missed), (32, 32, 6));
    assert_eq!((series[0].gc_cpu_ratio, series[0].gc_heap_goal_bytes), (Some(0.03), Some(1000)));
    let (_, series) = ledger.look(3.0, &[over(collected(3, &api, 20))], &[]);
    assert_eq!(series[0].gc.as_ref().map(|gc| gc.cycles), Some(32));
    assert_eq!((series[0].gc_cpu_ratio, series[0].gc_heap_goal_bytes), (None, None));
}

#[test]
fn a_runtime_that_could_not_be_read_once_is_not_counted_twice() {
    let api = labels("api", "stable");
    let mut ledger = Ledger::new(LIMITS);
    let mut blind = collected(1, &api, 10);
    blind.tally.gc = None;
    blind.tally.allocators.clear();
    ledger.look(1.0, &[collected(1, &api, 10)], &[]);
    ledger.look(2.0, &[blind], &[]);
    let (_, series) = ledger.look(3.0, &[collected(1, &api, 11)], &[]);
    assert_eq!(series[0].gc.as_ref().map(|gc| (gc.cycles, gc.pauses[15])), Some((11, 1)));
    assert_eq!(objects(&series, &api), Some(100));
}

#[test]
fn who_has_no_collector_has_no_counters_of_one() {
    let api = labels("api", "stable");
    let (targets, series) = Ledger::new(LIMITS).look(1.0, &[entry(1, &api, 5)], &[]);
    assert_eq!((&series[0].gc, series[0].gc_cpu_ratio), (&None, None));
    assert_eq!((&targets[0].gc, targets[0].gc_cycles_per_second), (&None, None));
}

#[test]
fn cycles_have_a_rate() {
    let api = labels("api", "");
    let mut ledger = Ledger::new(LIMITS);
    let mut rate = None;
    for second in 0..=10_u64 {
        let (targets, _) = ledger.look(second as f64, &[collected(1, &api, 8 * second)], &[]);
        rate = targets[0].gc_cycles_per_second;
    }
    assert_eq!(rate, Some(8.0));
}

#[test]
fn the_interval_of_a_runtime_is_its_own() {
    let api = labels("api", "");
    let check = |change: fn(&mut Entry), expect: u64| {
        let mut entry = collected(1, &api, 1);
        change(&mut entry);
        let (targets, series) = Ledger::new(LIMITS).look(1.0, &[entry], &[]);
        assert_eq!((targets[0].sample_bytes, series[0].sample_interval_bytes), (expect, Some(expect)));
    };
    check(|_| {}, 4096);
    // Every allocation, as the probes' 0 is.
    check(|entry| entry.runtime.as_mut().expect("it has one").sample_bytes = Some(1), 0);
    // With C beside it, the greater one.
    check(
        |entry| {
            entry.tally.allocators.insert("glibc".to_owned(), AllocatorCounts::default());
        },
        512 << 10,
    );
    check(|entry| entry.runtime = None, 512 << 10);
}
