//! Which side of a rollout a pod is found to be on.

use super::*;

/// What of a cluster decides on the side.
#[derive(Clone, Copy, Debug, Default)]
struct Case<'a> {
    /// `KIND/NAME`; a Deployment `api` if it is empty.
    workload: &'a str,
    annotations: Pairs<'a>,
    labels: Pairs<'a>,
    environment: Pairs<'a>,
    /// The hash that is stable, where Rollouts are watched.
    stable_hash: Option<&'a str>,
    /// The hash that is rolled out; the pod's own if it is empty.
    current_hash: &'a str,
    /// A workload beside it.
    beside: &'a str,
    /// What a Canary of Flagger is about.
    flagger_target: &'a str,
}

fn workload(text: &str) -> Option<(&str, &str)> {
    text.split_once('/')
}

#[track_caller]
fn check(case: Case<'_>, expect: &str) {
    assert_eq!(group(case, &rules()), expect, "{case:?}");
}

fn group(case: Case<'_>, rules: &LabelRules) -> String {
    let (kind, name) = workload(case.workload).unwrap_or(("Deployment", "api"));
    let mut own = pod(kind, name);
    own.annotations = map(case.annotations);
    own.labels.extend(map(case.labels));
    let beside = workload(case.beside).map(|(kind, name)| pod(kind, name));
    let of = |name: &str| ("shop".to_owned(), name.to_owned());
    let current = if case.current_hash.is_empty() { HASH } else { case.current_hash };
    let hashes = |stable: &str| Hashes { stable: stable.to_owned(), current: current.to_owned() };
    let rollouts = Rollouts {
        hashes: case.stable_hash.map(|stable| (of(name), hashes(stable))).into_iter().collect(),
        flagger_targets: workload(case.flagger_target)
            .map(|(kind, name)| ("shop".to_owned(), Owner { kind: kind.to_owned(), name: name.to_owned() }))
            .into_iter()
            .collect(),
    };
    let pods: Vec<&Pod> = std::iter::once(&own).chain(&beside).collect();
    let place = place(&pods, rollouts);
    let facts = Facts { environment: map(case.environment), place, ..Facts::default() };
    rules.apply(&[], &facts).canary_group.to_string()
}

const OWN: &str = "tracer.io/canary-group";

#[test]
fn a_pod_of_which_nothing_says_otherwise_is_stable() {
    check(Case::default(), "stable");
    for kind in ["Rollout", "StatefulSet", "DaemonSet", "Job"] {
        check(Case { workload: &format!("{kind}/api"), ..Case::default() }, "stable");
    }
}

#[test]
fn a_word_for_a_side_decides_in_any_case_and_no_other_word_does() {
    let canary = ["canary", "preview", "candidate", "gray", "grey", "next", "experiment", "CANARY", "Canary"];
    let stable = ["stable", "active", "primary", "baseline", "control", "main", "production", "STABLE"];
    let neither = ["web", "", "true", "1", "canary2", "not-canary", "blue", "can ary", "unknown"];
    // Where something that comes later says otherwise it is seen that a word decides.
    let on_canary = |key| {
        move |text| {
            group(
                Case { workload: "Deployment/api-canary", labels: &[(key, text)], ..Case::default() },
                &rules(),
            )
        }
    };
    let on_stable = |key| {
        move |text| {
            group(
                Case { workload: "Deployment/api-stable", labels: &[(key, text)], ..Case::default() },
                &rules(),
            )
        }
    };
    for key in ["role", "track"] {
        for text in canary {
            assert_eq!(on_stable(key)(text), "canary", "{key}: {text}");
        }
        for text in stable {
            assert_eq!(on_canary(key)(text), "stable", "{key}: {text}");
        }
        for text in neither {
            assert_eq!(
                (on_stable(key)(text), on_canary(key)(text)),
                ("stable".to_owned(), "canary".to_owned()),
                "{key}: {text}"
            );
        }
    }
    for (text, expect) in
        [("true", "canary"), ("True", "canary"), ("canary", "canary"), ("false", "stable"), ("1", "stable")]
    {
        assert_eq!(on_stable("canary")(text), expect, "{text}");
    }
    assert_eq!(on_canary("canary")("stable"), "stable");
    assert_eq!(on_canary("canary")("false"), "canary", "it decides nothing, and the name does");
}

#[test]
fn what_the_pod_says_for_tracer_comes_before_everything_else() {
    let loud = Case {
        workload: "Rollout/api-canary",
        labels: &[("role", "canary"), ("track", "canary"), ("canary", "true")],
        environment: &[("TRACER_CANARY_GROUP", "canary")],
        stable_hash: Some("other"),
        ..Case::default()
    };
    check(loud, "canary");
    for (text, expect) in [
        ("stable", "stable"),
        ("Primary", "stable"),
        ("preview", "canary"),
        (" canary\n", "canary"),
        ("blue", "unknown"),
        ("true", "unknown"),
        ("unknown", "unknown"),
        ("__x", "unknown"),
        ("a\u{1b}[31m\0", "unknown"),
        ("canary stable", "unknown"),
        ("", "canary"),
        (" ", "canary"),
    ] {
        check(Case { annotations: &[(OWN, text)], ..loud }, expect);
    }
    check(Case { labels: &[(OWN, "stable"), ("role", "canary")], ..loud }, "stable");
    check(Case { labels: &[(OWN, "blue"), ("role", "canary")], ..loud }, "unknown");
    // The annotation before the label.
    check(Case { annotations: &[(OWN, "canary")], labels: &[(OWN, "stable")], ..Case::default() }, "canary");
    check(Case { annotations: &[(OWN, "blue")], labels: &[(OWN, "canary")], ..Case::default() }, "unknown");
    check(Case { annotations: &[(OWN, "")], labels: &[(OWN, "canary")], ..Case::default() }, "canary");
    // Annotations of other names mean nothing.
    check(Case { annotations: &[("role", "canary"), ("track", "canary")], ..Case::default() }, "stable");
}

#[test]
fn of_the_keys_the_first_that_says_a_side_decides() {
    let check = |labels, expect| check(Case { labels, ..Case::default() }, expect);
    check(&[("role", "stable"), ("track", "canary"), ("canary", "true")], "stable");
    check(&[("role", "web"), ("track", "canary")], "canary");
    check(&[("role", "web"), ("track", "stable"), ("canary", "true")], "stable");
    check(&[("role", "web"), ("canary", "true")], "canary");
    check(&[("role", "web")], "stable");
    check(&[("release", "canary"), ("environment", "canary")], "stable");
}

#[test]
fn the_keys_can_be_others() {
    let keys = ["release", "shop.example/canary"].map(str::to_owned);
    let rules = LabelRules::or_built_in_of_pods(Vec::new(), &keys);
    let check = |labels, expect: &str| {
        assert_eq!(group(Case { labels, ..Case::default() }, &rules), expect, "{labels:?}");
    };
    check(&[("release", "canary")], "canary");
    check(&[("release", "true")], "stable");
    check(&[("shop.example/canary", "true")], "canary");
    check(&[("role", "canary"), ("track", "canary"), ("canary", "true")], "stable");
    check(&[(OWN, "canary")], "canary");
}

/// `canaryMetadata` and `stableMetadata` are put onto pods while they run, and exchanged at the promotion.
#[test]
fn a_pod_that_argo_promotes_changes_its_side_while_it_runs() {
    let rollout = Case { workload: "Rollout/api", ..Case::default() };
    check(Case { labels: &[("role", "canary")], ..rollout }, "canary");
    check(Case { labels: &[("role", "stable")], ..rollout }, "stable");
    check(Case { labels: &[("role", "preview")], ..rollout }, "canary");
    check(Case { labels: &[("role", "active")], ..rollout }, "stable");
}

#[test]
fn the_hash_of_a_rollout_tells_the_sides_where_no_label_does() {
    let rollout = Case { workload: "Rollout/api", ..Case::default() };
    check(rollout, "stable");
    check(Case { stable_hash: Some(HASH), ..rollout }, "stable");
    check(Case { stable_hash: Some("other"), ..rollout }, "canary");
    check(Case { stable_hash: Some("other"), labels: &[("role", "web")], ..rollout }, "canary");
    check(Case { stable_hash: Some("other"), labels: &[("role", "stable")], ..rollout }, "stable");
    check(Case { stable_hash: Some(HASH), labels: &[("role", "canary")], ..rollout }, "canary");
    check(Case { stable_hash: Some(HASH), workload: "Rollout/api-canary", ..rollout }, "stable");
    check(
        Case { stable_hash: Some(HASH), environment: &[("TRACER_CANARY_GROUP", "canary")], ..rollout },
        "stable",
    );
    // The version before: it runs for a while after the promotion, and is no canary.
    let before = Case { stable_hash: Some("other"), current_hash: "other", ..rollout };
    check(before, "unknown");
    check(Case { current_hash: "third", ..before }, "unknown");
    check(Case { labels: &[("role", "stable")], ..before }, "stable");
    check(Case { workload: "Rollout/api-canary", ..before }, "unknown");
    // A Deployment of the same name is not the Rollout.
    check(Case { stable_hash: Some("other"), ..Case::default() }, "stable");
}

#[test]
fn flagger_serves_by_a_primary_while_the_workload_itself_is_the_canary() {
    let canary = Case { flagger_target: "Deployment/api", ..Case::default() };
    check(canary, "canary");
    check(Case { flagger_target: "Deployment/web", ..Case::default() }, "stable");
    check(Case { workload: "Deployment/api-primary", ..canary }, "stable");
    check(Case { workload: "Deployment/api-primary", ..Case::default() }, "stable");
    // That a primary is on the same node says nothing: on other nodes there is none.
    check(Case { beside: "Deployment/api-primary", ..Case::default() }, "stable");
    check(Case { beside: "Deployment/api-primary", ..canary }, "canary");
    // Labels come before names.
    check(Case { labels: &[("track", "stable")], ..canary }, "stable");
    check(Case { annotations: &[(OWN, "stable")], ..canary }, "stable");
    check(Case { environment: &[("TRACER_CANARY_GROUP", "stable")], ..canary }, "canary");
    // Flagger's before the end of a name: its target may be called as it likes.
    check(
        Case {
            workload: "Deployment/api-stable",
            flagger_target: "Deployment/api-stable",
            ..Case::default()
        },
        "canary",
    );
    check(Case { workload: "Deployment/api-canary-primary", ..Case::default() }, "stable");
}

#[test]
fn plain_deployments_are_told_by_a_label_or_by_their_names() {
    check(Case { labels: &[("track", "canary")], ..Case::default() }, "canary");
    check(Case { labels: &[("track", "stable")], ..Case::default() }, "stable");
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Rollout"] {
        check(Case { workload: &format!("{kind}/api-canary"), ..Case::default() }, "canary");
        check(Case { workload: &format!("{kind}/api-stable"), ..Case::default() }, "stable");
        check(Case { workload: &format!("{kind}/api-CANARY"), ..Case::default() }, "canary");
    }
    check(Case { workload: "Deployment/canary", ..Case::default() }, "stable");
    check(Case { workload: "Deployment/api-canary-2", ..Case::default() }, "stable");
    check(
        Case { workload: "Deployment/api-canary", labels: &[("track", "stable")], ..Case::default() },
        "stable",
    );
    check(
        Case { workload: "Deployment/api-stable", labels: &[("track", "canary")], ..Case::default() },
        "canary",
    );
    let environment = &[("TRACER_CANARY_GROUP", "stable")];
    check(Case { workload: "Deployment/api-canary", environment, ..Case::default() }, "canary");
}

#[test]
fn what_the_process_says_decides_where_nothing_of_the_pod_does() {
    for (text, expect) in [
        ("canary", "canary"),
        ("Next", "canary"),
        ("stable", "stable"),
        ("production", "stable"),
        ("blue", "unknown"),
        ("a\u{1b}b", "unknown"),
        ("", "stable"),
    ] {
        check(Case { environment: &[("TRACER_CANARY_GROUP", text)], ..Case::default() }, expect);
    }
}

#[test]
fn what_is_given_by_hand_comes_before_all_rules() {
    let mut canary = pod("Deployment", "api");
    canary.annotations = map(&[(OWN, "canary")]);
    let facts = Facts { place: place(&[&canary], Rollouts::default()), ..Facts::default() };
    let given = map(&[("canary_group", "blue")]);
    assert_eq!(&*rules().apply(&[&given], &facts).canary_group, "blue");
}
