//! Profiles: labels, default types, and the arithmetic of those of a time.

use std::time::{Duration, Instant};

use pprof::protos::Profile;
use tracer::model::node::TargetId;
use tracer::model::snapshot::{CallSite, Snapshot};

use super::rig::{Rig, document, node, options};

fn text(profile: &Profile, id: i64) -> &str {
    &profile.string_table[usize::try_from(id).unwrap()]
}

fn default_type(profile: &Profile) -> &str {
    text(profile, profile.default_sample_type)
}

/// The text labels of a sample.
fn labels(profile: &Profile, at: usize) -> Vec<(String, String)> {
    let labels = profile.sample[at].label.iter().filter(|label| label.str != 0);
    labels.map(|label| (text(profile, label.key).to_owned(), text(profile, label.str).to_owned())).collect()
}

fn values(profile: &Profile) -> Vec<Vec<i64>> {
    let mut values: Vec<Vec<i64>> = profile.sample.iter().map(|sample| sample.value.clone()).collect();
    values.sort();
    values
}

fn numbers(site: &CallSite) -> Vec<i64> {
    let inuse = [site.inuse_objects, site.inuse_bytes].map(|number| number.unwrap_or(0));
    [site.alloc_objects, site.alloc_bytes, inuse[0], inuse[1]].map(|n| i64::try_from(n).unwrap()).into()
}

fn all_numbers(snapshot: &Snapshot) -> Vec<Vec<i64>> {
    let mut values: Vec<Vec<i64>> = snapshot.sites.iter().map(numbers).collect();
    values.sort();
    values
}

/// Two sites go on, one appears, one goes, the others stay as they are.
fn earlier_and_later() -> (Snapshot, Snapshot) {
    let mut later = document("live-leaky.json");
    let mut earlier = later.clone();
    let [grows, shrinks, appears, goes, ..] = earlier.sites.as_mut_slice() else { panic!("four sites") };
    (grows.alloc_objects, grows.alloc_bytes) = (grows.alloc_objects - 1, grows.alloc_bytes - 100);
    (grows.inuse_objects, grows.inuse_bytes) = (Some(0), Some(0));
    shrinks.inuse_bytes = shrinks.inuse_bytes.map(|bytes| bytes + 4096);
    shrinks.inuse_objects = shrinks.inuse_objects.map(|objects| objects + 2);
    appears.id = 1_000;
    (appears.alloc_objects, appears.alloc_bytes) = (0, 0);
    (appears.inuse_objects, appears.inuse_bytes) = (Some(0), Some(0));
    (goes.inuse_objects, goes.inuse_bytes) = (Some(3), Some(300));
    later.sites.remove(3);
    (earlier, later)
}

#[test]
fn heap_and_allocs_are_the_same_but_for_what_is_shown_first() {
    let snapshot = document("live-leaky.json");
    let (rig, id) = Rig::with(options(), vec![snapshot.clone()]);
    let heap = rig.get(&format!("/targets/{id}/debug/pprof/heap")).profile();
    let allocs = rig.get(&format!("/targets/{id}/debug/pprof/allocs")).profile();
    assert_eq!((default_type(&heap), default_type(&allocs)), ("inuse_space", "alloc_space"));
    assert_eq!(values(&heap), all_numbers(&snapshot));
    assert_eq!(values(&heap), values(&allocs));
}

#[test]
fn mode_alloc_shows_allocations_first() {
    let (rig, id) = Rig::with(options(), vec![document("alloc-redis.json")]);
    let heap = rig.get(&format!("/targets/{id}/debug/pprof/heap")).profile();
    assert_eq!(default_type(&heap), "alloc_space");
}

#[test]
fn samples_of_all_processes_say_whose_they_are() {
    let mut several = document("live-several.json");
    several.targets[1].labels =
        [("service", "shop"), ("version", "1.2"), ("canary_group", "canary"), ("namespace", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    let rig = Rig::new(options());
    rig.say(None, vec![several.clone()]);
    let profile = rig.get("/debug/pprof/heap").profile();
    assert_eq!(profile.sample.len(), several.sites.len());
    assert_eq!(profile.duration_nanos, 0, "it is of no time: scrapers would take it for a delta");
    let second = several.targets[1].pid;
    let at = several.sites.iter().position(|site| site.pid == second).unwrap();
    let found = labels(&profile, at);
    for (key, value) in [
        ("pid", second.to_string().as_str()),
        ("comm", &several.targets[1].comm),
        ("service", "shop"),
        ("version", "1.2"),
        ("canary_group", "canary"),
    ] {
        assert!(found.contains(&(key.to_owned(), value.to_owned())), "{key} in {found:?}");
    }
    // What is not known is no label, and not the number 0 either.
    assert!(profile.sample[at].label.iter().all(|label| text(&profile, label.key) != "namespace"));
}

#[test]
fn a_profile_of_a_time_is_the_difference_of_two() {
    let (earlier, later) = earlier_and_later();
    let (rig, id) = Rig::with(options(), vec![earlier, later.clone()]);
    let start = Instant::now();
    let profile = rig.get(&format!("/targets/{id}/debug/pprof/heap?seconds=1")).profile();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(profile.duration_nanos, 1_000_000_000);
    let [grows, _, appears, ..] = later.sites.as_slice() else { panic!("three sites") };
    let mut expect = vec![
        vec![1, 100, numbers(grows)[2], numbers(grows)[3]],
        vec![0, 0, -2, -4096],
        numbers(appears),
        vec![0, 0, -3, -300],
    ];
    expect.retain(|values| values.iter().any(|&value| value != 0));
    expect.sort();
    assert_eq!(values(&profile), expect);
}

#[test]
fn a_process_that_ends_meanwhile_is_said_to_be_gone() {
    let (rig, id) = Rig::with(options(), vec![document("live-leaky.json")]);
    let says = std::sync::Arc::clone(&rig.says);
    let ends = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        says.lock().unwrap().profiles.clear();
    });
    assert_eq!(rig.get(&format!("/targets/{id}/debug/pprof/heap?seconds=1")).status, 404);
    ends.join().unwrap();
}

#[test]
fn a_time_longer_than_the_timeout_is_waited_for() {
    let timeout = Duration::from_millis(600);
    let (rig, id) = Rig::with(
        tracer::serve::http::HttpOptions { timeout, ..options() },
        vec![document("live-leaky.json")],
    );
    let profile = rig.get(&format!("/targets/{id}/debug/pprof/allocs?seconds=1")).profile();
    assert_eq!(profile.sample.len(), 0, "nothing happened");
}

#[test]
fn delta_heap_counts_from_the_last_answer_whoever_asked() {
    let first = document("live-leaky.json");
    let mut second = first.clone();
    second.sites[0].alloc_objects += 7;
    second.sites[0].alloc_bytes += 700;
    let (rig, id) = Rig::with(options(), vec![first.clone()]);
    let path = format!("/targets/{id}/debug/pprof/delta_heap");
    let since_counting_began = rig.get(&path).profile();
    assert_eq!(values(&since_counting_began), all_numbers(&first));
    assert_eq!(since_counting_began.duration_nanos, 0);
    rig.say(Some(id), vec![second.clone()]);
    // A look at the head alone takes nothing from who reads.
    assert_eq!(
        rig.request(&format!("HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).status,
        200
    );
    let mut expect: Vec<Vec<i64>> = second
        .sites
        .iter()
        .enumerate()
        .map(|(at, site)| {
            let numbers = numbers(site);
            let [objects, bytes] = if at == 0 { [7, 700] } else { [0, 0] };
            vec![objects, bytes, numbers[2], numbers[3]]
        })
        .filter(|values| values.iter().any(|&value| value != 0))
        .collect();
    expect.sort();
    assert_eq!(values(&rig.get(&path).profile()), expect);
    // Nothing was allocated since.
    let third = rig.get(&path).profile();
    assert!(third.sample.iter().all(|sample| sample.value[..2] == [0, 0]));
    assert!(third.duration_nanos > 0 && third.duration_nanos < 10_000_000_000);
}

#[test]
fn delta_heap_forgets_a_process_that_is_gone() {
    let snapshot = document("live-leaky.json");
    let (rig, id) = Rig::with(options(), vec![snapshot.clone()]);
    let path = format!("/targets/{id}/debug/pprof/delta_heap");
    rig.get(&path).profile();
    let other = TargetId { pid: id.pid + 1, start_time: 1 };
    rig.say(Some(other), vec![document("alloc-redis.json")]);
    rig.shared.publish(node(&[other]));
    rig.get(&format!("/targets/{other}/debug/pprof/delta_heap")).profile();
    assert_eq!(values(&rig.get(&path).profile()), all_numbers(&snapshot));
}

#[test]
fn names_are_waited_for_as_long_as_they_come() {
    let named = document("live-leaky.json");
    let mut pending = named.clone();
    pending.quality.pending_symbols = 3;
    let (rig, id) = Rig::with(options(), vec![pending.clone(), pending.clone(), named]);
    let path = format!("/targets/{id}/snapshot");
    let document: serde_json::Value = serde_json::from_slice(&rig.get(&path).body).unwrap();
    assert_eq!(document["quality"].get("pending_symbols"), None);
    assert_eq!(rig.says.lock().unwrap().asked, 3);
    // Those that never come are not waited for: half of the request's time at most.
    rig.say(Some(id), vec![pending]);
    let start = Instant::now();
    let document: serde_json::Value = serde_json::from_slice(&rig.get(&path).body).unwrap();
    assert_eq!(document["quality"]["pending_symbols"], 3);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}
