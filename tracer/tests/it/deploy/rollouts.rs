//! Gates as the controllers of rollouts read them: a query with its variables filled in, and what a number means.

use std::collections::BTreeMap;

use regex::Regex;

use super::custom::{AnalysisTemplate, Argument, Canary, EXAMPLES, MetricTemplate, all};
use super::objects::FOLDER;

/// A gate of one controller.
#[derive(Debug)]
pub(super) struct Gate {
    /// Whose, and which.
    pub(super) name: String,
    /// PromQL.
    pub(super) query: String,
    /// The number with which a rollout goes on.
    pub(super) go: Condition,
    /// The number with which it is stopped for good; `None`: none is a reason to.
    pub(super) stop: Option<Condition>,
}

/// How a number is compared, and with what.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    /// As PromQL writes it too.
    pub(super) operator: String,
    pub(super) limit: f64,
}

/// Those for a workload of these names, with other arguments than their defaults.
pub(super) fn argo(namespace: &str, workload: &str, arguments: &[(&str, &str)]) -> Vec<Gate> {
    let templates = all::<AnalysisTemplate>(&format!("{FOLDER}/components/argo/analysis-templates.yaml"));
    let mut gates = Vec::new();
    for template in templates {
        let values = values(&template.spec.args, namespace, workload, arguments);
        for metric in template.spec.metrics {
            let fill = |text: &str| fill(text, &values, |name| format!("{{{{args.{name}}}}}"));
            let address = fill(&metric.provider.prometheus.address);
            assert!(address.starts_with("http://"), "{address}");
            gates.push(Gate {
                name: format!("argo {} {}", template.metadata.name, metric.name),
                query: fill(&metric.provider.prometheus.query),
                go: condition(&fill(&metric.success_condition)),
                stop: (metric.failure_condition != "false")
                    .then(|| condition(&fill(&metric.failure_condition))),
            });
        }
    }
    gates
}

fn values(
    own: &[Argument],
    namespace: &str,
    workload: &str,
    given: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let mut values: BTreeMap<_, _> = own
        .iter()
        .map(|argument| (argument.name.clone(), argument.value.clone().unwrap_or_default()))
        .collect();
    let given = [("namespace", namespace), ("workload", workload)].into_iter().chain(given.iter().copied());
    for (name, value) in given {
        values.entry(name.to_owned()).and_modify(|own| value.clone_into(own));
    }
    values
}

/// With `thresholdRange` as the example has it.
pub(super) fn flagger(namespace: &str, target: &str) -> Vec<Gate> {
    let canary = all::<Canary>(EXAMPLES[1]).remove(0);
    let templates = all::<MetricTemplate>(&format!("{FOLDER}/components/flagger/metric-templates.yaml"));
    let values = BTreeMap::from(
        [("namespace", namespace), ("target", target)].map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let metrics = canary.spec.analysis.metrics.into_iter();
    metrics
        .map(|metric| {
            let wanted = metric.template_ref.name;
            let template =
                templates.iter().find(|template| template.metadata.name == wanted).expect("it is there");
            let (go, stop) = match (metric.threshold_range.min, metric.threshold_range.max) {
                (Some(limit), None) => ((">=", limit), ("<", limit)),
                (None, Some(limit)) => (("<=", limit), (">", limit)),
                both => panic!("{wanted}: one of min and max, not {both:?}"),
            };
            let condition =
                |(operator, limit): (&str, f64)| Condition { operator: operator.to_owned(), limit };
            let query = fill(&template.spec.query, &values, |name| format!("{{{{ {name} }}}}"));
            Gate { name: format!("flagger {wanted}"), query, go: condition(go), stop: Some(condition(stop)) }
        })
        .collect()
}

#[track_caller]
fn fill(text: &str, values: &BTreeMap<String, String>, variable: impl Fn(&str) -> String) -> String {
    let filled =
        values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&variable(name), value));
    assert!(!filled.contains("{{"), "nobody gives a variable of {filled}");
    filled
}

/// What a condition of Argo asks for. All are of the one form that is false for no number and for NaN.
#[track_caller]
fn condition(text: &str) -> Condition {
    let form =
        Regex::new(r"^len\(result\) > 0 && !isNaN\(result\[0\]\) && result\[0\] (<=|>=|<|>) ([0-9.]+)$")
            .expect("a pattern");
    let parts = form.captures(text).unwrap_or_else(|| panic!("{text} may be true for no number"));
    Condition { operator: parts[1].to_owned(), limit: parts[2].parse().expect("a number") }
}

/// Check that what stops a canary is all that does not let it go on, and nothing that does.
#[test]
fn a_number_is_either_good_or_bad() {
    let gates = argo("shop", "web", &[]).into_iter().chain(flagger("shop", "web"));
    let mut names = Vec::new();
    for gate in gates {
        if let Some(stop) = gate.stop {
            let other = match gate.go.operator.as_str() {
                "<=" => ">",
                ">=" => "<",
                other => panic!("{}: {other}", gate.name),
            };
            assert_eq!(stop, Condition { operator: other.to_owned(), limit: gate.go.limit }, "{}", gate.name);
        }
        names.push(gate.name);
    }
    assert_eq!(
        names,
        [
            "argo tracer-alloc data-quality",
            "argo tracer-alloc alloc-bytes",
            "argo tracer-inuse inuse-bytes",
            "argo tracer-verdict verdict",
            "flagger tracer-data-quality",
            "flagger tracer-alloc-bytes",
            "flagger tracer-inuse-bytes",
            "flagger tracer-verdict",
        ]
    );
}

/// Check that a condition that no data, or NaN, would meet is refused.
#[test]
fn a_condition_that_missing_data_would_meet_is_refused() {
    assert_eq!(
        condition("len(result) > 0 && !isNaN(result[0]) && result[0] <= 1.2"),
        Condition { operator: "<=".to_owned(), limit: 1.2 }
    );
    for text in
        ["result[0] <= 1.2", "len(result) == 0 || result[0] <= 1.2", "len(result) > 0 && result[0] <= 1.2"]
    {
        assert!(std::panic::catch_unwind(|| condition(text)).is_err(), "{text}");
    }
}
