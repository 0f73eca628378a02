//! Rollouts of Argo and Canaries of Flagger.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracer::target::kubernetes::watch::Patience;
use tracer::target::kubernetes::{Group, KubernetesOptions};

use super::{NODE, Rig, id, pod};
use crate::servers::kubernetes::{FakeApi, Fault, Objects, canary, rollout};
use crate::servers::poll;

fn options(api: &FakeApi, argo: bool, flagger: bool) -> KubernetesOptions {
    KubernetesOptions { argo_rollouts: argo, flagger_canaries: flagger, ..api.options(NODE) }
}

fn of_template(name: &str, number: usize, hash: &str) -> serde_json::Value {
    let pod = pod(&format!("{name}-{hash}-x"), &id(number)).owner("ReplicaSet", &format!("{name}-{hash}"));
    pod.label("rollouts-pod-template-hash", hash).json()
}

#[test]
fn a_rollout_tells_which_pods_are_the_canary_and_when_they_are_promoted() {
    let api = FakeApi::start();
    api.apply(of_template("api", 1, "7d4b9c"));
    api.apply(of_template("api", 2, "6f5c8d"));
    api.apply(rollout("shop", "api", "7d4b9c", "6f5c8d"));
    api.apply(rollout("elsewhere", "api", "6f5c8d", "7d4b9c"));
    let rig = Rig::start(&options(&api, true, false));
    rig.wait_synced();
    let groups = || [1, 2].map(|number| rig.wait(&id(number)).rollout);
    assert_eq!(groups(), [Some(Group::Stable), Some(Group::Canary)]);
    api.apply(rollout("shop", "api", "6f5c8d", "6f5c8d"));
    // What was stable before still runs, and is no canary.
    poll("it is promoted", || (groups() == [Some(Group::Unknown), Some(Group::Stable)]).then_some(()));
    api.apply(rollout("shop", "api", "6f5c8d", "7d4b9c"));
    poll("it is rolled back", || (groups() == [Some(Group::Canary), Some(Group::Stable)]).then_some(()));
    api.delete(Objects::Rollouts, "shop", "api");
    poll("nobody knows", || (groups() == [None, None]).then_some(()));
    assert_eq!(api.counts(Objects::Canaries), (0, 0), "not asked for");
    let selected = |objects: Objects| {
        api.requests()
            .into_iter()
            .any(|asked| asked.path == objects.path() && !asked.value("fieldSelector").is_empty())
    };
    assert!(selected(Objects::Pods) && !selected(Objects::Rollouts));
}

#[test]
fn a_canary_of_flagger_tells_what_is_one_while_a_primary_serves() {
    let api = FakeApi::start();
    let deployed = pod("api-7d4b9c-x", &id(1)).owner("ReplicaSet", "api-7d4b9c");
    api.apply(deployed.label("pod-template-hash", "7d4b9c").json());
    api.apply(canary("shop", "api", "Initializing"));
    let rig = Rig::start(&options(&api, false, true));
    rig.wait_synced();
    assert_eq!(rig.wait(&id(1)).flagger, None, "it is all that there is");
    api.apply(canary("shop", "api", "Progressing"));
    poll("it is a canary", || (rig.wait(&id(1)).flagger == Some(Group::Canary)).then_some(()));
    api.delete(Objects::Canaries, "shop", "api");
    poll("it is none", || rig.wait(&id(1)).flagger.is_none().then_some(()));
}

#[test]
fn pods_go_on_where_rollouts_are_not_to_be_had() {
    for (code, expect) in [(403, "argoproj.io"), (404, "Install Argo Rollouts")] {
        let api = FakeApi::start();
        api.set_fault(Objects::Rollouts, Some(Fault::Status(code)));
        api.apply(of_template("api", 1, "7d4b9c"));
        let rig = Rig::start(&options(&api, true, false));
        rig.wait_synced();
        rig.wait_said(expect);
        assert_eq!(rig.wait(&id(1)).rollout, None);
        poll("it was asked again", || (api.counts(Objects::Rollouts).0 >= 3).then_some(()));
        assert_eq!(rig.said("kubernetes:"), 1, "said once: {:?}", rig.said);
        assert!(rig.standing().watch_errors >= 2);
        api.set_fault(Objects::Rollouts, None);
        api.apply(rollout("shop", "api", "7d4b9c", "7d4b9c"));
        poll("they have come", || rig.wait(&id(1)).rollout);
        rig.wait_said("rollouts.argoproj.io are watched again");
        assert_eq!(rig.said("kubernetes:"), 2, "{:?}", rig.said);
    }
}

#[test]
fn pods_are_published_first_when_their_sides_are_known_or_have_not_come_for_a_while() {
    for comes in [true, false] {
        let api = FakeApi::start();
        api.apply(of_template("api", 1, "7d4b9c"));
        api.apply(rollout("shop", "api", "6f5c8d", "7d4b9c"));
        api.set_fault(Objects::Rollouts, Some(Fault::Silent));
        let sides = if comes { Duration::from_secs(60) } else { Duration::from_secs(2) };
        let patience = Patience { answer: Duration::from_secs(1), sides, ..Patience::default() };
        let start = Instant::now();
        let rig = Rig::with_patience(&options(&api, true, false), patience);
        poll("pods are watched", || (api.counts(Objects::Pods).1 > 0).then_some(()));
        assert_eq!((rig.published.load(Ordering::Relaxed), rig.find(&id(1))), (0, None));
        if comes {
            api.set_fault(Objects::Rollouts, None);
            assert_eq!(rig.wait(&id(1)).rollout, Some(Group::Canary));
            assert_eq!((rig.published.load(Ordering::Relaxed), rig.standing().is_synced), (1, true));
        } else {
            assert_eq!(rig.wait(&id(1)).rollout, None);
            assert!(start.elapsed() >= sides && !rig.standing().is_synced, "{:?}", start.elapsed());
            api.set_fault(Objects::Rollouts, None);
            poll("they have come", || rig.wait(&id(1)).rollout);
        }
    }
}

#[test]
fn what_happens_to_rollouts_elsewhere_is_not_published() {
    let api = FakeApi::start();
    api.apply(of_template("api", 1, "7d4b9c"));
    api.apply(rollout("shop", "api", "7d4b9c", "7d4b9c"));
    let rig = Rig::start(&options(&api, true, false));
    rig.wait_synced();
    poll("a watch", || (api.counts(Objects::Rollouts).1 > 0).then_some(()));
    let published = rig.published.load(Ordering::Relaxed);
    api.apply_all((0..20).map(|number| rollout("elsewhere", &format!("r{number}"), "6f5c8d", "7d4b9c")));
    // Time to publish them, if they were.
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(rig.published.load(Ordering::Relaxed), published);
    // It comes behind the others, and is one that matters.
    api.apply(rollout("shop", "api", "6f5c8d", "7d4b9c"));
    poll("it has come", || (rig.wait(&id(1)).rollout == Some(Group::Canary)).then_some(()));
    // It can be found a moment before that is told.
    poll("it is published", || (rig.published.load(Ordering::Relaxed) > published).then_some(()));
    assert_eq!(rig.published.load(Ordering::Relaxed), published + 1);
}
