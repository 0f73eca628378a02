//! Sides of services.

use super::super::window::Nameless;
use super::*;
use crate::mode::Mode;
use crate::target::labels::LabelSet;

fn target(pid: u32, service: &str, group: &str) -> NodeTarget {
    let labels = LabelSet {
        service: service.into(),
        canary_group: group.into(),
        version: format!("{group}-1").into(),
        ..LabelSet::default()
    };
    let id = TargetId { pid, start_time: 1 };
    NodeTarget { id, labels, inuse_bytes: Some(1), mode: Mode::Live, ..NodeTarget::default() }
}

fn observed() -> Observed {
    Observed {
        seconds: 60.0,
        cpu_seconds: 3.0,
        tracing_share: 0.0,
        mode: Mode::Live,
        alloc_objects: 10,
        alloc_bytes: 1000,
        inuse_bytes: Some((500, 0.0)),
        inuse_seconds: Some(300.0),
        is_lossy: false,
        nameless: Nameless::default(),
        sites: Vec::new(),
    }
}

/// The jobs of one look, at processes that all have numbers, but for those that are named.
fn jobs(targets: &[NodeTarget], without: &[u32]) -> Vec<Job> {
    let mut services = Services::default();
    services.look(0.0, 60.0, targets);
    let compared = services.compared(targets);
    let seen = compared.iter().map(|target| {
        let numbers = (!without.contains(&target.id.pid)).then(observed);
        (target.id, numbers)
    });
    services.jobs(targets, seen.collect(), 0.001)
}

#[test]
fn names_that_are_looked_up_are_waited_for_where_their_call_sites_would_be_tested() {
    let targets = [target(1, "shop", "stable"), target(2, "shop", "canary")];
    let mut services = Services::default();
    services.look(0.0, 60.0, &targets);
    let check = |bytes: u64, expect: Option<&str>| {
        let seen = targets.iter().map(|target| {
            let bytes = if target.id.pid == 2 { bytes } else { 0 };
            (target.id, Some(Observed { nameless: Nameless { objects: 0, bytes }, ..observed() }))
        });
        let jobs = services.jobs(&targets, seen.collect(), 0.001);
        assert_eq!((jobs[0].reason.as_deref(), jobs[0].awaits_names), (expect, expect.is_some()), "{bytes}");
    };
    check(0, None);
    check(
        250,
        Some(
            "the names of call sites with 25.0 % of what canary has allocated are still being looked up: its numbers come \
             with the next look",
        ),
    );
}

#[test]
fn sides_of_a_service_are_compared_and_others_are_not_looked_at() {
    let targets = [
        target(1, "shop", "stable"),
        target(2, "shop", "canary"),
        target(3, "shop", "unknown"),
        target(4, "till", "stable"),
        target(5, "api", ""),
    ];
    let jobs = jobs(&targets, &[]);
    let [shop, till] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!((&*shop.service.service, shop.reason.as_deref()), ("shop", None));
    assert_eq!(shop.sides[0].name, "stable stable-1");
    assert_eq!(shop.sides.each_ref().map(|side| side.units[0].name.as_str()), ["1", "2"]);
    assert_eq!(shop.sides[1].units[0].exact, Some((1000, 10)));
    assert_eq!(shop.sides[1].units[0].inuse_bytes, Some((500, 0.0)));
    assert_eq!(&*till.service.service, "till");
    assert!(till.reason.as_deref().unwrap().contains("no process with canary_group canary"), "{till:?}");
    assert!(till.sides.iter().all(|side| side.units.is_empty()));
}

#[test]
fn a_service_without_numbers_says_why() {
    let both = [target(1, "shop", "stable"), target(2, "shop", "canary")];
    let check = |targets: &[NodeTarget], without: &[u32], expect: &str| {
        let jobs = jobs(targets, without);
        let reason = jobs[0].reason.as_deref().unwrap_or_default();
        assert!(reason.contains(expect), "{expect}: {reason}");
    };
    check(&both, &[2], "the window of canary has just begun");
    check(&both, &[1, 2], "the window of stable has just begun");
    check(&both[..1], &[], "no process with canary_group canary");
    check(&both[1..], &[], "no process with canary_group stable");
}

#[test]
fn a_service_whose_canary_is_over_is_said_for_a_while() {
    let mut services = Services::default();
    let both = [target(1, "shop", "stable"), target(2, "shop", "canary")];
    services.look(0.0, 60.0, &both);
    services.look(30.0, 60.0, &[]);
    let jobs = services.jobs(&[], HashMap::new(), 0.001);
    assert_eq!(jobs.len(), 1);
    assert!(jobs[0].reason.is_some());
    services.look(61.0, 60.0, &[]);
    assert!(services.jobs(&[], HashMap::new(), 0.001).is_empty());
}

#[test]
fn services_and_processes_have_a_limit_that_is_said() {
    let mut many: Vec<NodeTarget> =
        (0..=100).map(|pid| target(pid, &format!("service-{pid:03}"), "stable")).collect();
    // In a rollout: it has room before the others, whatever its name.
    many.extend((200..240).map(|pid| target(pid, "z-shop", "stable")));
    many.push(target(300, "z-shop", "canary"));
    let mut services = Services::default();
    services.look(0.0, 60.0, &many);
    assert_eq!(services.compared(&many).len(), 33);
    let jobs = services.jobs(&many, HashMap::new(), 0.001);
    assert_eq!(jobs.len(), 100);
    let shop = jobs.iter().find(|job| &*job.service.service == "z-shop").expect("it has room");
    assert_eq!(shop.notes, ["32 of 40 processes of stable were compared"]);
    assert!(services.notes()[0].starts_with("2 more services"), "{:?}", services.notes());
}
