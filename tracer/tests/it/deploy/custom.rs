//! Custom resources, read strictly: the fields that their definitions have, as far as `deploy/` uses them.
//!
//! Written by the API references of the Prometheus operator (v0.80), Argo Rollouts (1.8) and Flagger (1.40).
#![expect(dead_code, reason = "what is read is checked by being read")]

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::objects::{FOLDER, find, name, of_file, with};
use super::schemas::assert_valid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Object<Spec> {
    api_version: String,
    kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PodMonitor {
    job_label: String,
    selector: Selector,
    pod_metrics_endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Endpoint {
    port: String,
    path: String,
    interval: String,
    honor_labels: bool,
    relabelings: Vec<Relabeling>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Relabeling {
    #[serde(default)]
    source_labels: Vec<String>,
    target_label: Option<String>,
    action: Option<String>,
    regex: Option<String>,
}

/// Its groups are read where the rules are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrometheusRule {
    groups: Vec<Value>,
}

/// Of Argo Rollouts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnalysisTemplate {
    pub(super) args: Vec<Argument>,
    pub(super) metrics: Vec<Metric>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Metric {
    pub(super) name: String,
    initial_delay: String,
    interval: String,
    count: u32,
    failure_limit: Option<u32>,
    inconclusive_limit: u32,
    pub(super) success_condition: String,
    pub(super) failure_condition: String,
    pub(super) provider: Provider,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) prometheus: Prometheus,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prometheus {
    pub(super) address: String,
    pub(super) query: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollout {
    replicas: u32,
    selector: Selector,
    template: Value,
    strategy: Strategy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strategy {
    canary: RolloutCanary,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RolloutCanary {
    canary_metadata: PodMetadata,
    stable_metadata: PodMetadata,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PodMetadata {
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum Step {
    SetWeight(u32),
    Pause(Pause),
    Analysis(Analysis),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    duration: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Analysis {
    templates: Vec<TemplateName>,
    args: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TemplateName {
    template_name: String,
    cluster_scope: bool,
}

/// Of Flagger.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricTemplate {
    provider: FlaggerProvider,
    pub(super) query: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlaggerProvider {
    r#type: String,
    address: String,
}

/// Of Flagger.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Canary {
    pub(super) target_ref: Reference,
    service: Service,
    pub(super) analysis: CanaryAnalysis,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Reference {
    api_version: Option<String>,
    kind: Option<String>,
    pub(super) name: String,
    namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Service {
    port: u16,
    target_port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CanaryAnalysis {
    interval: String,
    threshold: u32,
    max_weight: u32,
    step_weight: u32,
    pub(super) metrics: Vec<CanaryMetric>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CanaryMetric {
    name: String,
    pub(super) template_ref: Reference,
    pub(super) threshold_range: Range,
    interval: String,
}

/// What Flagger accepts: `min` or more, `max` or less.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

/// All objects of a file, each by its name.
pub(super) fn all<Spec: DeserializeOwned>(path: &str) -> Vec<Object<Spec>> {
    of_file(path).into_iter().map(strict).collect()
}

#[track_caller]
pub(super) fn strict<T: DeserializeOwned>(object: Value) -> T {
    let shown = name(&object);
    serde_json::from_value(object).unwrap_or_else(|error| panic!("{shown}: {error}"))
}

pub(super) const EXAMPLES: [&str; 2] =
    ["deploy/kubernetes/examples/rollout.yaml", "deploy/kubernetes/examples/canary.yaml"];

/// Check that every custom resource is one of those above, and holds nothing that they do not know.
#[test]
fn every_custom_resource_has_the_fields_of_its_definition() {
    let Some(objects) = with(
        "every_custom_resource_has_the_fields_of_its_definition",
        &["prometheus", "grafana", "argo", "network-policy"],
    ) else {
        return;
    };
    let files = ["argo/analysis-templates", "flagger/metric-templates"]
        .map(|file| format!("{FOLDER}/components/{file}.yaml"))
        .into_iter()
        .chain(EXAMPLES.map(str::to_owned));
    let mut seen = BTreeSet::new();
    for object in objects.into_iter().chain(files.flat_map(|file| of_file(&file))) {
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        let version = object["apiVersion"].as_str().expect("a version").to_owned();
        match (version.as_str(), kind.as_str()) {
            ("monitoring.coreos.com/v1", "PodMonitor") => drop(strict::<Object<PodMonitor>>(object)),
            ("monitoring.coreos.com/v1", "PrometheusRule") => drop(strict::<Object<PrometheusRule>>(object)),
            ("argoproj.io/v1alpha1", "ClusterAnalysisTemplate") => {
                drop(strict::<Object<AnalysisTemplate>>(object));
            }
            ("argoproj.io/v1alpha1", "Rollout") => drop(strict::<Object<Rollout>>(object)),
            ("flagger.app/v1beta1", "MetricTemplate") => drop(strict::<Object<MetricTemplate>>(object)),
            ("flagger.app/v1beta1", "Canary") => drop(strict::<Object<Canary>>(object)),
            (version, _) => {
                assert!(!version.contains('.') || version.contains(".k8s.io/"), "nobody reads {kind}");
                continue;
            }
        }
        seen.insert(kind);
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

/// Check that an unknown field of a custom resource is found.
#[test]
fn a_field_that_no_definition_has_is_found() {
    let mut object = of_file(&format!("{FOLDER}/components/prometheus/pod-monitor.yaml")).remove(0);
    assert!(serde_json::from_value::<Object<PodMonitor>>(object.clone()).is_ok());
    object["spec"]["podMetricsEndpoints"][0]["honourLabels"] = true.into();
    assert!(serde_json::from_value::<Object<PodMonitor>>(object).is_err());
}

/// Check that the examples name what is there, with all that it wants, and that the pod is one for Kubernetes.
#[test]
fn the_examples_name_templates_that_are_there() {
    let test = "the_examples_name_templates_that_are_there";
    let rollout = of_file(EXAMPLES[0]).remove(0);
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": rollout["metadata"],
        "spec": { "selector": rollout["spec"]["selector"], "template": rollout["spec"]["template"] },
    });
    assert_valid(test, &["1.30", "1.33"], vec![deployment]);
    let templates = of_file(&format!("{FOLDER}/components/argo/analysis-templates.yaml"));
    let rollout: Object<Rollout> = strict(rollout);
    let analyses = rollout.spec.strategy.canary.steps.iter().filter_map(|step| match step {
        Step::Analysis(analysis) => Some(analysis),
        Step::SetWeight(_) | Step::Pause(_) => None,
    });
    let mut count = 0;
    for analysis in analyses {
        for reference in &analysis.templates {
            let wanted = format!("ClusterAnalysisTemplate/{}", reference.template_name);
            let template: Object<AnalysisTemplate> = strict(find(&templates, &wanted).clone());
            assert!(reference.cluster_scope, "{wanted} is of the cluster");
            let is_given = |name: &str| analysis.args.iter().any(|argument| argument.name == name);
            for argument in &template.spec.args {
                assert!(argument.value.is_some() || is_given(&argument.name), "{wanted}: {}", argument.name);
            }
            count += 1;
        }
    }
    assert_eq!(count, templates.len(), "the example shows every template");
    let templates = of_file(&format!("{FOLDER}/components/flagger/metric-templates.yaml"));
    let canary: Object<Canary> = strict(of_file(EXAMPLES[1]).remove(0));
    for metric in &canary.spec.analysis.metrics {
        find(&templates, &format!("MetricTemplate/{}", metric.template_ref.name));
        assert_eq!(metric.template_ref.namespace.as_deref(), Some("tracer"), "where the component puts it");
    }
    assert_eq!(canary.spec.analysis.metrics.len(), templates.len());
}
