//! The dashboard: what Grafana needs to show it anywhere, and expressions that Prometheus understands.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::{assert_known, promtool, read};

const DASHBOARD: &str = "deploy/grafana/dashboard.json";
const DATASOURCE: &str = "${datasource}";
/// Grafana's own.
const RATE_INTERVAL: &str = "$__rate_interval";

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect("JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The panels that show something, rows aside.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = list(dashboard, "panels").iter().filter(|panel| panel["type"] != "row");
    panels.collect()
}

fn expressions(dashboard: &Value) -> Vec<&str> {
    let targets = panels(dashboard).into_iter().flat_map(|panel| list(panel, "targets"));
    targets.map(|target| text(target, "expr")).collect()
}

/// Names of the variables that a reader chooses.
fn variables(dashboard: &Value) -> Vec<&str> {
    list(&dashboard["templating"], "list").iter().map(|variable| text(variable, "name")).collect()
}

/// Check what a file needs so that it can be put into any Grafana, again and again.
#[test]
fn the_dashboard_can_be_put_into_any_grafana() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "tracer-canary", "links to it stay");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39));
    assert!(dashboard["id"].is_null(), "the id is the database's");
    assert_eq!(variables(&dashboard), ["datasource", "namespace", "service", "canary_group", "version"]);
    let all = list(&dashboard, "panels");
    let ids: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), all.len(), "every panel has an id of its own");
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(!text(panel, "description").is_empty(), "{title} says what it shows");
        let unit = [&panel["fieldConfig"]["defaults"]["unit"], &panel["options"]["yAxis"]["unit"]];
        assert!(unit.iter().any(|unit| unit.is_string()), "{title} has a unit");
        assert!(!list(panel, "targets").is_empty(), "{title} shows something");
        for source in list(panel, "targets").iter().chain([panel]) {
            assert_eq!(source["datasource"]["uid"], DATASOURCE, "{title} reads what was chosen");
        }
    }
    let (chosen, queries) =
        list(&dashboard["templating"], "list").split_first().expect("variables of a dashboard");
    assert_eq!(chosen["type"], "datasource");
    assert!(queries.iter().all(|query| query["datasource"]["uid"] == DATASOURCE), "variables too");
}

/// Check that no panel covers another.
#[test]
fn the_panels_lie_beside_each_other() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in list(&dashboard, "panels") {
        let [x, y, width, height] =
            ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().expect("a place on the grid"));
        assert!(x + width <= 24, "{} is on the grid", panel["title"]);
        for place in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{} covers another", panel["title"]);
        }
    }
}

/// Check every expression by Prometheus, and that it reads only what is there.
#[test]
fn every_expression_of_the_dashboard_is_one_for_prometheus() {
    let dashboard = dashboard();
    let records = super::rules::records();
    let mut variables = variables(&dashboard);
    // A name may be the beginning of another.
    variables.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, expression) in expressions(&dashboard).into_iter().enumerate() {
        assert_known(expression, &records);
        let mut expression = expression.replace(RATE_INTERVAL, "5m");
        for name in &variables {
            expression = expression.replace(&format!("${name}"), ".*");
        }
        assert!(!expression.contains('$'), "a variable that nobody chooses: {expression}");
        let expression = serde_json::to_string(&expression).expect("a string");
        writeln!(rules, "      - record: panel:expression:{number}\n        expr: {expression}")
            .expect("it grows");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, rules).expect("a file");
    let file = file.to_str().expect("a plain path");
    promtool("every_expression_of_the_dashboard_is_one_for_prometheus", &["check", "rules", file]);
}
