//! Which pods are wanted.

use std::sync::Arc;

use super::*;
use crate::target::kubernetes::{ENABLED, Owner, Pod, PodContainer};

fn container(name: &str) -> PodContainer {
    PodContainer { name: name.to_owned(), ..PodContainer::default() }
}

/// A pod of the Deployment `api` in the namespace `shop`, and its container `main`.
fn place(annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> Place {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let pod = Pod {
        namespace: "shop".to_owned(),
        name: "api-7d4b9c-x".to_owned(),
        annotations: map(annotations),
        labels: map(labels),
        containers: vec![container("main"), container("proxy")],
        ..Pod::default()
    };
    Place::In(PodOf {
        pod: Arc::new(pod),
        container: Some(0),
        workload: Owner { kind: "Deployment".to_owned(), name: "api".to_owned() },
        is_certain: true,
        rollout: None,
        flagger: None,
    })
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn selectors(list: &[&str]) -> Vec<Selector> {
    list.iter().map(|text| text.parse().expect("it is a selector")).collect()
}

#[test]
fn each_kind_that_is_named_must_fit_by_one_of_its_values() {
    let place = place(&[("team", "tills")], &[("app", "api"), ("track", "canary")]);
    let any = PodSelect::default;
    let check = |select: PodSelect, expect| assert_eq!(select.fits(&place), expect, "{select:?}");
    check(any(), true);
    check(PodSelect { namespaces: texts(&["shop"]), ..any() }, true);
    check(PodSelect { namespaces: texts(&["other", "shop"]), ..any() }, true);
    check(PodSelect { namespaces: texts(&["other"]), ..any() }, false);
    check(PodSelect { owners: texts(&["api"]), ..any() }, true);
    check(PodSelect { owners: texts(&["deployment/api"]), ..any() }, true);
    check(PodSelect { owners: texts(&["StatefulSet/api", "web"]), ..any() }, false);
    check(PodSelect { containers: texts(&["main"]), ..any() }, true);
    check(PodSelect { containers: texts(&["proxy"]), ..any() }, false);
    check(PodSelect { labels: selectors(&["app=web", "app=api,track"]), ..any() }, true);
    check(PodSelect { labels: selectors(&["app=api,!track"]), ..any() }, false);
    check(PodSelect { annotations: selectors(&["team in (tills)"]), ..any() }, true);
    check(PodSelect { annotations: selectors(&["app"]), ..any() }, false);
    let both = |namespace| PodSelect {
        namespaces: texts(&[namespace]),
        labels: selectors(&["app=api"]),
        containers: texts(&["main"]),
        ..any()
    };
    check(both("shop"), true);
    check(both("other"), false);
}

#[test]
fn a_container_that_is_not_known_yet_fits_no_name() {
    let Place::In(pod) = place(&[], &[]) else { panic!("it is in a pod") };
    let place = Place::In(PodOf { container: None, ..pod });
    assert!(PodSelect { namespaces: texts(&["shop"]), ..PodSelect::default() }.fits(&place));
    assert!(!PodSelect { containers: texts(&["main"]), ..PodSelect::default() }.fits(&place));
}

#[test]
fn what_is_in_no_known_pod_is_not_wanted_by_what_asks_for_pods() {
    for place in [Place::Outside, Place::Unknown] {
        assert!(!PodSelect { namespaces: texts(&["shop"]), ..PodSelect::default() }.fits(&place));
        assert!(!PodSelect { opted_in: true, ..PodSelect::default() }.fits(&place));
    }
}

#[test]
fn a_pod_that_says_no_is_left_alone_and_one_that_says_yes_is_wanted_by_who_asks() {
    let by_consent = PodSelect { opted_in: true, ..PodSelect::default() };
    let by_name = PodSelect { namespaces: texts(&["shop"]), ..PodSelect::default() };
    let check = |text: Option<&str>, consent, name| {
        let marks: Vec<_> = text.iter().map(|text| (ENABLED, *text)).collect();
        for place in [place(&marks, &[]), place(&[], &marks)] {
            assert_eq!((by_consent.fits(&place), by_name.fits(&place)), (consent, name), "{text:?}");
        }
    };
    check(None, false, true);
    check(Some("true"), true, true);
    check(Some("false"), false, false);
    check(Some("False"), false, false);
    check(Some("no"), false, false);
    assert!(!by_consent.fits(&place(&[(ENABLED, "false")], &[(ENABLED, "true")])));
}

#[test]
fn an_owner_is_a_name_with_or_without_a_kind() {
    let check = |text: &str, part: Option<&str>| match (PodSelect::check_owner(text), part) {
        (Ok(()), None) => {}
        (Err(error), Some(part)) => assert!(error.contains(part), "{text}: {error}"),
        (found, _) => panic!("{text}: {found:?}"),
    };
    check("api", None);
    check("Deployment/api", None);
    check("rollout/api.v2", None);
    check("", Some("empty"));
    check("/api", Some("before the slash"));
    check("apps\\v1/api", Some("before the slash"));
    check("Deployment/", Some("behind the slash: it is empty"));
    check("apps/Deployment/api", Some("behind the slash: it has no 'D'"));
    check("API", Some("no 'A'"));
}
