//! The recording and alert rules: known names, complete annotations, each with a test of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{assert_known, promtool, read};

const RULES: &str = "deploy/prometheus/alerts.yaml";
const TESTS: &str = "deploy/prometheus/alerts.test.yaml";
const RUNBOOK: &str = "docs/alerts.md";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    r#for: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

fn rules() -> Vec<Rule> {
    let file: File = serde_saphyr::from_str(&read(RULES)).expect("a rule file");
    assert!(file.groups.iter().all(|group| group.name.starts_with("tracer-")), "groups have our names");
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// Names of the recorded series.
pub(super) fn records() -> BTreeSet<String> {
    rules().into_iter().filter_map(|rule| rule.record).collect()
}

/// Check what Prometheus itself says, and every test of every rule.
#[test]
fn the_rules_pass_their_own_tests() {
    promtool("the_rules_pass_their_own_tests", &["check", "rules", RULES]);
    promtool("the_rules_pass_their_own_tests", &["test", "rules", TESTS]);
}

/// Check that no rule reads what nobody has, and that none is without a test.
#[test]
fn every_rule_reads_known_series_and_has_a_test() {
    let (records, tests) = (records(), read(TESTS));
    for rule in rules() {
        assert_known(&rule.expr, &records);
        let name = rule.record.or(rule.alert).expect("a rule has a name");
        assert!(tests.contains(&name), "{TESTS} does not name {name}");
    }
}

/// Check that whoever is called by an alert is told how bad it is, what it is, and where to read what to do.
#[test]
fn every_alert_says_what_to_do() {
    let runbook = read(RUNBOOK);
    let mut seen = BTreeSet::new();
    for rule in rules() {
        let Some(alert) = rule.alert else { continue };
        assert!(rule.r#for.is_some(), "{alert} waits");
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("warning" | "critical")), "{alert}: {severity:?}");
        for annotation in ["summary", "description"] {
            assert!(
                rule.annotations.get(annotation).is_some_and(|text| !text.is_empty()),
                "{alert}: {annotation}"
            );
        }
        let anchor = alert.to_lowercase();
        assert_eq!(rule.annotations.get("runbook_url"), Some(&format!("{RUNBOOK}#{anchor}")));
        assert!(runbook.contains(&format!("\n## {alert}\n")), "{RUNBOOK} has no chapter {alert}");
        if let Some(reason) = rule.labels.get("reason") {
            assert!(
                runbook.contains(&format!("| `{reason}` |")),
                "{RUNBOOK} does not tell {alert}'s {reason}"
            );
        }
        seen.insert(rule.labels.into_iter().chain([("alertname".to_owned(), alert)]).collect::<Vec<_>>());
    }
    assert_eq!(seen.len(), rules().iter().filter(|rule| rule.alert.is_some()).count(), "all are told apart");
}
