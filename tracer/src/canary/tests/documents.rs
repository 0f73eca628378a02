//! Documents as units.

use super::super::testing::{site, stack};
use super::super::{Options, Per, Side, Unit, compare};
use crate::mode::Mode;
use crate::model::snapshot::{
    CallSite, Host, Overhead, Quality, SCHEMA, SiteErrors, Snapshot, Target, Tool, Totals, Verdict,
};

fn document(targets: &[(u32, u64)], sites: Vec<CallSite>) -> Snapshot {
    let target = |&(pid, start_time): &(u32, u64)| Target {
        pid,
        start_time,
        processes: 1,
        cpu_seconds: 2.0,
        totals: Totals { alloc_objects: 1000, alloc_bytes: 64_000, ..Totals::default() },
        ..Target::default()
    };
    Snapshot {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: "0.1.0".to_owned() },
        host: Host { kernel: "6.1".to_owned(), arch: "x86_64".to_owned(), cpus: 2 },
        started_at: jiff::Timestamp::default(),
        duration_seconds: 11.0,
        attached_seconds: 10.0,
        mode: Mode::Alloc,
        sample_bytes: 65_536,
        labels: std::collections::BTreeMap::new(),
        targets: targets.iter().map(target).collect(),
        sites,
        overhead: Overhead::default(),
        quality: Quality::default(),
    }
}

fn of_pid(pid: u32) -> CallSite {
    CallSite { pid, ..site(1000.0, 10.0, 20, &stack("make x.c:3, main x.c:9")) }
}

#[test]
fn each_process_of_a_document_is_a_unit_with_its_own_sites() {
    let units = Unit::of(&document(&[(7, 70), (8, 80)], vec![of_pid(7), of_pid(8), of_pid(8)]), "a.json");
    let seen: Vec<(&str, usize)> = units.iter().map(|unit| (unit.name.as_str(), unit.sites.len())).collect();
    assert_eq!(seen, [("a.json pid 7", 1), ("a.json pid 8", 2)]);
    let first = &units[0];
    assert_eq!((first.seconds, first.cpu_seconds, first.mode), (Some(10.0), Some(2.0), Some(Mode::Alloc)));
    assert_eq!((first.exact, first.inuse_bytes, first.processes), (Some((64_000, 1000)), None, 1));
    assert_ne!(first.process, units[1].process);
    // The same process in another document is the same unit; one that has its pid later is not.
    let again = |start| Unit::of(&document(&[(7, start)], vec![of_pid(7)]), "b.json").remove(0);
    assert_eq!(again(70).process, first.process);
    assert_ne!(again(71).process, first.process);
    assert_eq!(again(70).name, "b.json");
}

#[test]
fn a_process_counts_for_its_own_time_and_its_own_cpu_time() {
    let unit = |counted_seconds: Option<f64>, tracing_cpu_seconds: Option<f64>| {
        let mut snapshot = document(&[(7, 70)], vec![of_pid(7)]);
        snapshot.started_at = jiff::Timestamp::from_second(1000).unwrap();
        (snapshot.targets[0].counted_seconds, snapshot.targets[0].tracing_cpu_seconds) =
            (counted_seconds, tracing_cpu_seconds);
        let unit = Unit::of(&snapshot, "a.json").remove(0);
        (unit.seconds, unit.inuse_seconds, unit.times, unit.cpu_seconds, unit.tracing_share)
    };
    let all = (Some(10.0), Some(10.0), Some((1000.0, 1010.0)), Some(2.0), 0.0);
    assert_eq!(unit(None, None), all);
    // It came six seconds later, or ended six seconds before; a quarter of its CPU time is the tracer's.
    let part = (Some(4.0), Some(4.0), Some((1006.0, 1010.0)), Some(1.5), 0.25);
    assert_eq!(unit(Some(4.0), Some(0.5)), part);
    // What it has in use is younger: its mode was changed.
    let mut changed = document(&[(7, 70)], vec![of_pid(7)]);
    (changed.targets[0].counted_seconds, changed.targets[0].inuse_seconds) = (Some(8.0), Some(3.0));
    let changed = Unit::of(&changed, "a.json").remove(0);
    assert_eq!((changed.seconds, changed.inuse_seconds), (Some(8.0), Some(3.0)));
    // A window of a process that is traced for longer.
    assert_eq!(unit(Some(60.0), None), (Some(10.0), Some(60.0), all.2, Some(2.0), 0.0));
    assert_eq!(unit(None, Some(9.0)).3, Some(0.1), "more than there is was predicted");
}

#[test]
fn one_moment_of_a_process_in_two_profiles_is_refused() {
    let at = |second: i64, name: &str| {
        let mut snapshot = document(&[(7, 70)], vec![of_pid(7)]);
        snapshot.started_at = jiff::Timestamp::from_second(second).unwrap();
        Unit::of(&snapshot, name)
    };
    let side = |units: Vec<Unit>| Side { name: "v1".to_owned(), units };
    let check = |second: i64| {
        let base = side([at(1000, "a.json"), at(second, "b.json")].concat());
        compare(base, side(at(5000, "c.json")), &Options::default())
    };
    assert!(check(1010).is_ok(), "one after the other");
    let refused = check(1005).unwrap_err().to_string();
    assert!(refused.contains("a.json and b.json are of one process and of the same time"), "{refused}");
}

#[test]
fn profiles_that_have_lost_something_are_said() {
    let side = |name: &str, first: u32, lossy: u32| {
        let of = |pid: u32| {
            let mut snapshot = document(&[(pid, 1)], vec![of_pid(pid)]);
            if pid - first < lossy {
                snapshot.quality.verdict = Verdict::Lossy;
            }
            Unit::of(&snapshot, name)
        };
        Side { name: name.to_owned(), units: (first..first + 3).flat_map(of).collect() }
    };
    let notes = |base, canary| {
        let comparison = compare(side("v1", 10, base), side("v2", 20, canary), &Options::default()).unwrap();
        comparison.notes.into_iter().filter(|note| note.contains("lossy")).collect::<Vec<_>>()
    };
    assert_eq!(notes(0, 0), [""; 0]);
    let [only] = &notes(0, 2)[..] else { panic!("{:?}", notes(0, 2)) };
    assert!(only.starts_with("2 of 3 profiles of the canary are lossy: "), "{only}");
}

#[test]
fn a_profile_of_another_program_is_one_run() {
    let mut snapshot = document(&[(0, 0)], vec![of_pid(0), of_pid(3)]);
    snapshot.tool.version = "unknown".to_owned();
    snapshot.host = Host { kernel: "unknown".to_owned(), arch: "unknown".to_owned(), cpus: 0 };
    snapshot.attached_seconds = 0.0;
    snapshot.mode = Mode::Live;
    let units = Unit::of(&snapshot, "heap.pb.gz");
    assert_eq!(units.len(), 1);
    let unit = &units[0];
    assert_eq!((unit.process.as_ref(), unit.mode, unit.seconds, unit.exact), (None, None, None, None));
    assert_eq!((unit.sites.len(), unit.cpu_seconds, unit.inuse_bytes), (2, None, Some((0, 0.0))));
    // What has come to be in use in a time is no amount in use.
    let timed = Unit::of(&Snapshot { attached_seconds: 60.0, ..snapshot.clone() }, "delta.pb.gz").remove(0);
    assert_eq!((timed.seconds, timed.inuse_bytes), (Some(60.0), None));
    let side = |name: &str| Side {
        name: name.to_owned(),
        units: [units.clone(), units.clone(), units.clone()].concat(),
    };
    let comparison = compare(side("old"), side("new"), &Options::default()).unwrap();
    assert_eq!((comparison.per, comparison.base.units), (Per::Run, 3));
    assert!(
        comparison.notes.iter().any(|note| note.contains("each counts as one run")),
        "{:?}",
        comparison.notes
    );
}

#[test]
fn errors_that_a_profile_does_not_keep_follow_from_its_interval() {
    let bare = |sample_bytes: u64, objects: u64, bytes: u64| {
        let site = CallSite {
            alloc_objects: objects,
            alloc_bytes: bytes,
            samples: 0,
            standard_error: SiteErrors::default(),
            ..of_pid(7)
        };
        let mut snapshot = document(&[(7, 70)], vec![site]);
        snapshot.sample_bytes = sample_bytes;
        Unit::of(&snapshot, "a").remove(0).sites.remove(0)
    };
    // Each of 64 bytes stands for 1,024.5: about ten samples.
    let site = bare(65_536, 10_245, 655_680);
    assert_eq!(site.samples, 10);
    assert!((site.standard_error.alloc_bytes / 655_680.0 - 0.1_f64.sqrt()).abs() < 0.001, "{site:?}");
    assert!((site.standard_error.alloc_objects / 10_245.0 - 0.1_f64.sqrt()).abs() < 0.001, "{site:?}");
    let exact = bare(0, 10_245, 655_680);
    assert_eq!((exact.samples, exact.standard_error), (10_245, SiteErrors::default()));
    // What is in use too: 1,024 objects are one sample, not as many blocks.
    let mut holds = CallSite { inuse_samples: None, standard_error: SiteErrors::default(), ..of_pid(7) };
    (holds.inuse_objects, holds.inuse_bytes) = (Some(1024), Some(65_536));
    let mut document_of_it = document(&[(7, 70)], vec![holds]);
    document_of_it.sample_bytes = 65_536;
    let holds = Unit::of(&document_of_it, "a").remove(0).sites.remove(0);
    assert_eq!(holds.inuse_samples, Some(1), "{holds:?}");
    // Far larger than the interval: each is a sample, and knows itself.
    assert!(bare(512, 5, 5_000_000).standard_error.alloc_bytes < 1.0);
    // What a document says itself stays.
    let kept = Unit::of(&document(&[(7, 70)], vec![of_pid(7)]), "a").remove(0).sites.remove(0);
    assert_eq!((kept.samples, kept.standard_error.alloc_objects), (20, 10.0));
}
