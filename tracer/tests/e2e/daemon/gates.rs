//! What the gates of rollouts say of real canaries: the queries that are shipped, asked of a Prometheus that scrapes a daemon.

use std::fs;
use std::time::Instant;

use regex::Regex;
use serde_json::Value;

use super::driver::Daemon;
use super::rules_in_seconds::prometheus_config;
use super::shop::{Market, Shop};
use crate::harness::{kernel_or_skip, skip};
use crate::servers::prometheus::Prometheus;
use crate::servers::{free_port, poll};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes");
/// Labels of the shop.
const NAMESPACE: &str = "market";
pub(crate) const WORKLOAD: &str = "shop";

/// What a controller does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Go,
    Stop,
    /// Argo: inconclusive. Flagger: it does not advance.
    Unknown,
}
use Verdict::{Go, Stop, Unknown};

/// A metric of a template, as its controller reads it.
pub(crate) struct Gate {
    name: String,
    query: String,
    success: Condition,
    failure: Condition,
}

/// When a number is one.
#[derive(Debug, PartialEq)]
enum Condition {
    Never,
    AtLeast(f64),
    AtMost(f64),
    Above(f64),
    Below(f64),
}

impl Condition {
    /// One of Argo. Its form is false for no number and for NaN.
    #[track_caller]
    fn argo(text: &str) -> Self {
        if text == "false" {
            return Self::Never;
        }
        let form =
            Regex::new(r"^len\(result\) > 0 && !isNaN\(result\[0\]\) && result\[0\] (<=|>=|<|>) ([0-9.]+)$")
                .expect("a pattern");
        let parts = form.captures(text).unwrap_or_else(|| panic!("nobody reads {text}"));
        let limit = parts[2].parse().expect("a number");
        match &parts[1] {
            ">=" => Self::AtLeast(limit),
            "<=" => Self::AtMost(limit),
            ">" => Self::Above(limit),
            _ => Self::Below(limit),
        }
    }

    fn holds(&self, number: Option<f64>) -> bool {
        number.is_some_and(|number| match *self {
            Self::Never => false,
            Self::AtLeast(limit) => number >= limit,
            Self::AtMost(limit) => number <= limit,
            Self::Above(limit) => number > limit,
            Self::Below(limit) => number < limit,
        })
    }
}

impl Gate {
    /// The number, if there is one, and what becomes of it.
    #[track_caller]
    fn ask(&self, prometheus: &Prometheus) -> (Option<f64>, Verdict) {
        let samples = prometheus.query(&self.query);
        assert!(samples.len() <= 1, "{}: no controller looks at a second number: {samples:?}", self.name);
        let number = samples.first().map(|sample| sample.1);
        let verdict = match (self.success.holds(number), self.failure.holds(number)) {
            (true, false) => Go,
            (false, true) => Stop,
            (false, false) => Unknown,
            (true, true) => panic!("{}: {number:?} is both good and bad", self.name),
        };
        (number, verdict)
    }

    /// It asks for what the daemons say; the others compare their sums.
    pub(crate) fn is_of_verdict(&self) -> bool {
        self.query.contains("tracer:canary_verdict:gate")
    }

    fn is_of_quality(&self) -> bool {
        self.name.ends_with("data-quality")
    }
}

/// Check, for the gates of both controllers, that they say nothing without a canary, let a good one go on, and stop one that
/// leaks.
#[test]
fn gates_stop_a_leaking_canary_and_let_a_good_one_go_on() {
    let name = "gates_stop_a_leaking_canary_and_let_a_good_one_go_on";
    if !kernel_or_skip(name) {
        return;
    }
    if let Err(reason) = judge() {
        skip(name, &reason);
    }
}

/// The error is the reason to skip it.
fn judge() -> Result<(), String> {
    let start = Instant::now();
    let market = Market::new();
    let mut stable = market.stable();
    // Outside of Kubernetes nobody else says whose the processes are.
    let daemon = Daemon::start(&format!("[labels]\nworkload = \"{WORKLOAD}\"\n{}", market.rules()));
    daemon.wait_metric("tracer_target_processes", &[("canary_group", "stable")], |count| count == Some(1.0));
    let folder = tempfile::tempdir().expect("a folder");
    let prometheus = Prometheus::classic(&prometheus_config(folder.path(), daemon.port(), free_port()))?;
    let gates: Vec<_> = all().into_iter().filter(|gate| !gate.is_of_verdict()).collect();
    assert_eq!(gates.len(), 6, "three of each");
    let judged = |scene: &str, wanted: &dyn Fn(&Gate) -> Verdict| {
        println!("{:.1} s: {scene}", start.elapsed().as_secs_f64());
        wait_verdicts(&prometheus, scene, &gates, wanted);
    };
    prometheus.wait_some("tracer_target_processes{canary_group=\"stable\"} == 1");
    stable.load();
    prometheus.wait_some("tracer:alloc_bytes:rate5m_per_process{canary_group=\"stable\"} >= 65536");
    judged("no canary", &|_| Unknown);

    let canary = market.good_canary();
    load(&prometheus, &mut stable, &canary, "3.0");
    judged("a good canary", &|_| Go);
    stable.load();
    drop(canary);
    prometheus.wait_some("tracer_target_processes{canary_group=\"canary\", version=\"3.0\"} == 0");
    judged("a good canary that is over", &|_| Unknown);

    let canary = market.canary();
    load(&prometheus, &mut stable, &canary, "2.0");
    judged("a leaking canary", &|gate| if gate.is_of_quality() { Go } else { Stop });
    println!("{:.1} s: done", start.elapsed().as_secs_f64());
    assert_eq!(prometheus.broken_rules(), Vec::<String>::new());
    Ok(())
}

/// Gives both as many requests, and waits as the templates' `initialDelay` does: until the time over which rates are taken has
/// nothing of the canary's start, when it fills its catalog and stable does not.
fn load(prometheus: &Prometheus, stable: &mut Shop, canary: &Shop, version: &str) {
    let series = format!("{{canary_group=\"canary\", version=\"{version}\"}}");
    prometheus.wait_some(&format!("tracer_target_processes{series} == 1"));
    stable.load_evenly(&[canary]);
    prometheus.wait_some(&format!("tracer_inuse_bytes{series} offset 15s > 4194304"));
}

/// Looks until all gates say what is wanted, and prints it. None that is to let a canary go on may stop it meanwhile; the other
/// way round a leak takes its time to be seen.
#[track_caller]
pub(crate) fn wait_verdicts(
    prometheus: &Prometheus,
    scene: &str,
    gates: &[Gate],
    wanted: &dyn Fn(&Gate) -> Verdict,
) {
    let seen = poll(scene, || {
        let seen: Vec<_> = gates.iter().map(|gate| (gate, gate.ask(prometheus))).collect();
        for (gate, (number, verdict)) in &seen {
            let is_wrong = (wanted(gate), *verdict) == (Go, Stop);
            assert!(!is_wrong, "{scene}: {}: {number:?} stops it", gate.name);
        }
        seen.iter().all(|(gate, (_, verdict))| *verdict == wanted(gate)).then_some(seen)
    });
    for (gate, (number, verdict)) in seen {
        let number = number.map_or_else(|| "no number".to_owned(), |number| format!("{number:.3}"));
        let (success, failure) = (&gate.success, &gate.failure);
        println!("  {}: {number}, success {success:?}, failure {failure:?}: {verdict:?}", gate.name);
    }
}

/// Those of both controllers.
pub(crate) fn all() -> Vec<Gate> {
    argo().into_iter().chain(flagger()).collect()
}

/// Those of the analysis templates, with the defaults of their arguments.
fn argo() -> Vec<Gate> {
    let mut gates = Vec::new();
    for template in objects("components/argo/analysis-templates.yaml") {
        let arguments = array(&template["spec"]["args"]).iter().map(|argument| {
            let value = match text(&argument["name"]) {
                "namespace" => NAMESPACE,
                "workload" => WORKLOAD,
                _ => text(&argument["value"]),
            };
            (format!("{{{{args.{}}}}}", text(&argument["name"])), value)
        });
        let arguments: Vec<_> = arguments.collect();
        let name = text(&template["metadata"]["name"]);
        gates.extend(array(&template["spec"]["metrics"]).iter().map(|metric| {
            let condition = |key: &str| Condition::argo(&filled(text(&metric[key]), &arguments));
            Gate {
                name: format!("argo {name} {}", text(&metric["name"])),
                query: filled(text(&metric["provider"]["prometheus"]["query"]), &arguments),
                success: condition("successCondition"),
                failure: condition("failureCondition"),
            }
        }));
    }
    gates
}

/// Those of the example's Canary, with its ranges.
fn flagger() -> Vec<Gate> {
    let templates = objects("components/flagger/metric-templates.yaml");
    let arguments = [("namespace", NAMESPACE), ("target", WORKLOAD)]
        .map(|(name, value)| (format!("{{{{ {name} }}}}"), value));
    let canary = objects("examples/canary.yaml").remove(0);
    let metrics = array(&canary["spec"]["analysis"]["metrics"]);
    let gate = |metric: &Value| {
        let name = text(&metric["templateRef"]["name"]);
        let template = templates.iter().find(|template| template["metadata"]["name"] == name);
        let range = &metric["thresholdRange"];
        let (success, failure) = match (range["min"].as_f64(), range["max"].as_f64()) {
            (Some(min), None) => (Condition::AtLeast(min), Condition::Below(min)),
            (None, Some(max)) => (Condition::AtMost(max), Condition::Above(max)),
            _ => panic!("{name}: one of min and max: {range}"),
        };
        let query = filled(text(&template.expect("a template")["spec"]["query"]), &arguments);
        Gate { name: format!("flagger {name}"), query, success, failure }
    };
    metrics.iter().map(gate).collect()
}

#[track_caller]
fn filled(text: &str, arguments: &[(String, &str)]) -> String {
    let filled =
        arguments.iter().fold(text.to_owned(), |text, (variable, value)| text.replace(variable, value));
    assert!(!filled.contains("{{"), "nobody gives a variable of {filled}");
    filled
}

/// The objects of a file below [`DEPLOY`].
fn objects(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(format!("{DEPLOY}/{file}")).expect("a manifest");
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[track_caller]
fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Check that no number and NaN meet no condition, and that a condition in another form is not taken for one.
#[test]
fn a_condition_is_met_by_numbers_only() {
    let condition = Condition::argo("len(result) > 0 && !isNaN(result[0]) && result[0] > 1.2");
    assert_eq!(condition, Condition::Above(1.2));
    for (number, expect) in [(None, false), (Some(f64::NAN), false), (Some(1.2), false), (Some(1.3), true)] {
        assert_eq!(condition.holds(number), expect, "{number:?}");
    }
    assert!(!Condition::argo("false").holds(Some(1.0)));
    assert!(std::panic::catch_unwind(|| Condition::argo("result[0] > 1.2")).is_err());
}
