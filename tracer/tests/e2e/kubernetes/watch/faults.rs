//! What goes wrong: nothing is forgotten, everything is counted, each kind is said once.

use std::time::{Duration, Instant};

use tracer::target::kubernetes::watch::{self, Patience};
use tracer::target::kubernetes::{KubernetesOptions, Pods};

use super::{NODE, OBJECTS, Rig, id, pod};
use crate::servers::kubernetes::{FakeApi, Fault, Objects};
use crate::servers::poll;

#[test]
fn an_api_server_that_is_down_at_the_start_is_waited_for() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    api.stop();
    let rig = Rig::start(&KubernetesOptions { argo_rollouts: true, ..api.options(NODE) });
    rig.wait_said("cannot be reached");
    poll("it tries again", || (rig.standing().watch_errors >= 4).then_some(()));
    assert_eq!((rig.standing().is_synced, rig.standing().pods), (false, 0));
    assert_eq!(rig.said("kubernetes:"), 1, "once for both: {:?}", rig.said);
    api.restart();
    rig.wait(&id(1));
    rig.wait_synced();
    rig.wait_said("answers again");
    assert_eq!(rig.said("kubernetes:"), 2, "{:?}", rig.said);
}

#[test]
fn pods_stay_known_while_the_api_server_is_restarted() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    let rig = Rig::start(&api.options(NODE));
    rig.wait(&id(1));
    api.stop();
    rig.wait_said("cannot be reached");
    assert!(rig.find(&id(1)).is_some() && rig.standing().is_synced);
    api.apply(pod("api-2", &id(2)).json());
    api.restart();
    rig.wait(&id(2));
    rig.wait_said("answers again");
    assert_eq!(api.counts(OBJECTS).0, 1, "it goes on where it was");
}

#[test]
fn connections_that_are_reset_are_counted_and_the_watch_goes_on() {
    let api = FakeApi::start();
    let rig = Rig::start(&api.options(NODE));
    rig.wait_synced();
    for number in 1..=3 {
        poll("a watch", || (api.counts(OBJECTS).1 >= number).then_some(()));
        api.break_streams();
        api.apply(pod(&format!("api-{number}"), &id(number)).json());
        rig.wait(&id(number));
        assert!(rig.standing().watch_errors >= number as u64, "{:?}", rig.standing());
    }
    assert_eq!(api.counts(OBJECTS).0, 1, "one list");
    assert_eq!(rig.said("kubernetes:"), 0, "each went on: {:?}", rig.said);
}

#[test]
fn an_event_that_was_cut_comes_again() {
    let api = FakeApi::start();
    let rig = Rig::start(&api.options(NODE));
    rig.wait_synced();
    poll("a watch", || (api.counts(OBJECTS).1 > 0).then_some(()));
    api.cut_next_event();
    api.apply(pod("api-1", &id(1)).json());
    rig.wait(&id(1));
    assert_eq!(rig.standing().watch_errors, 1);
    assert_eq!(api.counts(OBJECTS), (1, 2));
}

#[test]
fn a_token_that_was_rotated_counts_at_once() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    let rig = Rig::start(&api.options(NODE));
    rig.wait(&id(1));
    // As the kubelet does it: the file first, and nobody notices.
    api.write_token("second");
    api.set_token("second");
    api.break_streams();
    api.apply(pod("api-2", &id(2)).json());
    rig.wait(&id(2));
    assert_eq!(rig.said("kubernetes:"), 0, "{:?}", rig.said);
    // The other way round it is refused until the file has it.
    api.set_token("third");
    api.break_streams();
    rig.wait_said("does not take the token");
    api.apply(pod("api-3", &id(3)).json());
    poll("it waits for long", || (rig.standing().watch_errors >= 6).then_some(()));
    assert!(rig.find(&id(3)).is_none() && rig.find(&id(1)).is_some());
    let start = Instant::now();
    api.write_token("third");
    rig.wait(&id(3));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    rig.wait_said("answers again");
    assert_eq!(api.counts(OBJECTS).0, 1, "it went on where it was");
}

#[test]
fn a_token_that_was_rotated_is_noticed_by_every_watch() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    let options = KubernetesOptions { argo_rollouts: true, flagger_canaries: true, ..api.options(NODE) };
    let rig = Rig::start(&options);
    rig.wait_synced();
    let watches =
        || [Objects::Pods, Objects::Rollouts, Objects::Canaries].map(|objects| api.counts(objects).1);
    poll("all are watched", || watches().iter().all(|count| *count > 0).then_some(()));
    api.set_token("second");
    api.break_streams();
    // Until each waits for longer than what is expected below.
    poll("they wait for long", || (rig.standing().watch_errors >= 15).then_some(()));
    let accepted = |objects: Objects| {
        let asked = api.requests();
        asked.iter().rfind(|asked| asked.path == objects.path()).is_some_and(|asked| asked.status == 200)
    };
    let start = Instant::now();
    api.write_token("second");
    for objects in [Objects::Pods, Objects::Rollouts, Objects::Canaries] {
        poll("it is watched again", || accepted(objects).then_some(()));
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn a_server_of_another_authority_is_refused_until_the_file_has_it() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    api.change_ca();
    let rig = Rig::start(&api.options(NODE));
    rig.wait_said("is not trusted");
    assert_eq!((rig.standing().is_synced, api.requests().len()), (false, 0), "it was told nothing");
    assert!(rig.standing().watch_errors > 0);
    api.write_ca();
    rig.wait(&id(1));
    rig.wait_said("answers again");
    // While it runs, too.
    api.change_ca();
    api.break_streams();
    poll("it is refused again", || (rig.said("is not trusted") == 2).then_some(()));
    api.apply(pod("api-2", &id(2)).json());
    api.write_ca();
    rig.wait(&id(2));
}

#[test]
fn files_that_are_missing_are_waited_for() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    std::fs::remove_file(api.token_file()).expect("it was there");
    std::fs::remove_file(api.ca_file()).expect("it was there");
    let rig = Rig::start(&api.options(NODE));
    rig.wait_said("token");
    api.write_token("first");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!((rig.find(&id(1)), rig.said("kubernetes:")), (None, 1), "the authority is missing");
    api.write_ca();
    rig.wait(&id(1));
    // What goes for a moment, as where a volume is written anew, stops nothing.
    std::fs::remove_file(api.token_file()).expect("it was there");
    api.break_streams();
    api.apply(pod("api-2", &id(2)).json());
    rig.wait(&id(2));
}

#[test]
fn what_may_not_be_read_says_which_rule_is_missing() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    api.set_fault(OBJECTS, Some(Fault::Status(403)));
    let rig = Rig::start(&api.options(NODE));
    rig.wait_said(r#"{apiGroups: [""], resources: [pods], verbs: [list, watch]}"#);
    poll("it tries again", || (rig.standing().watch_errors >= 3).then_some(()));
    assert!(!rig.standing().is_synced && rig.said("kubernetes:") == 1, "{:?}", rig.said);
    api.set_fault(OBJECTS, None);
    rig.wait(&id(1));
    rig.wait_said("pods are watched again");
}

#[test]
fn answers_that_are_none_are_said_and_bounded() {
    let cases = [
        (Fault::Status(500), "says 500"),
        (Fault::Garbage, "failed to understand"),
        (Fault::Endless, "longer than"),
    ];
    for (fault, expect) in cases {
        let api = FakeApi::start();
        api.apply(pod("api-1", &id(1)).json());
        api.set_fault(OBJECTS, Some(fault.clone()));
        let rig = Rig::start(&api.options(NODE));
        rig.wait_said(expect);
        assert!(rig.standing().watch_errors > 0 && !rig.standing().is_synced, "{fault:?}");
        api.set_fault(OBJECTS, None);
        rig.wait(&id(1));
        rig.wait_said("watched again");
        assert_eq!(rig.said("kubernetes:"), 2, "{:?}", rig.said);
    }
}

#[test]
fn a_server_that_takes_requests_and_says_nothing_is_given_up() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    api.set_fault(OBJECTS, Some(Fault::Silent));
    let patience = Patience { answer: Duration::from_secs(1), ..Patience::default() };
    let rig = Rig::with_patience(&api.options(NODE), patience);
    rig.wait_said("does not answer");
    assert!(rig.standing().watch_errors > 0 && !rig.standing().is_synced);
    api.set_fault(OBJECTS, None);
    rig.wait(&id(1));
    rig.wait_said("answers again");
}

#[test]
fn a_watch_that_falls_silent_is_asked_for_again() {
    let api = FakeApi::start();
    api.set_fault(OBJECTS, Some(Fault::SilentWatch));
    let patience = Patience { watch: Duration::from_secs(1), ..Patience::default() };
    let rig = Rig::with_patience(&api.options(NODE), patience);
    rig.wait_synced();
    poll("a watch", || (api.counts(OBJECTS).1 > 0).then_some(()));
    api.apply(pod("api-1", &id(1)).json());
    // One second, and three that it may be late.
    poll("it is given up", || (rig.standing().watch_errors > 0).then_some(()));
    api.set_fault(OBJECTS, None);
    rig.wait(&id(1));
    assert_eq!(api.counts(OBJECTS).0, 1, "it goes on where it was");
}

#[test]
fn a_server_that_ends_each_watch_at_once_is_not_asked_without_a_pause() {
    let api = FakeApi::start();
    api.set_fault(OBJECTS, Some(Fault::ShortWatch));
    let rig = Rig::start(&api.options(NODE));
    rig.wait_synced();
    std::thread::sleep(Duration::from_millis(2500));
    let (lists, watches) = api.counts(OBJECTS);
    assert!(lists == 1 && (2..=5).contains(&watches), "{lists} lists, {watches} watches");
    api.set_fault(OBJECTS, None);
    api.apply(pod("api-1", &id(1)).json());
    rig.wait(&id(1));
}

#[test]
fn an_address_that_is_none_is_an_error_at_the_start() {
    let api = FakeApi::start();
    let mut options = api.options(NODE);
    options.api.as_mut().expect("it has one").url = "kubernetes.default".to_owned();
    let error = watch::start(&options, Pods::new(|| {}), |_| {}).expect_err("no address").to_string();
    assert!(error.contains("kubernetes.default") && error.contains("https://"), "{error}");
}
