//! The Helm chart, by Helm's own library: it makes what kustomize makes, and refuses values that it does not know.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kubernetes::assert_in_namespace;
use super::kubernetes::pod;
use super::objects::{name, parsed, text, with};
use super::schemas::assert_valid;
use super::tools::{ask, of_python};

const CHART: &str = "deploy/helm/tracer";
/// Reads a chart's folder and values, and writes what Helm says.
const SCRIPT: &str = "
import json, sys
from helm_python.chart import Chart, lint
chart, values = sys.argv[1], json.loads(sys.argv[2])
said = {'lint': lint(chart, values, strict=True), 'text': {}, 'error': ''}
try:
    loaded = Chart.load(chart)
    loaded.validate_schema(values)
    said['text'] = loaded.render(values, name='tracer', namespace=sys.argv[3])
except Exception as error:
    said['error'] = str(error)
print(json.dumps(said))
";

/// What Helm says to these values.
fn helm(test: &str, values: &Value, namespace: &str) -> Option<Value> {
    let python = of_python(test, "python")?;
    let arguments = ["-c", SCRIPT, CHART, &values.to_string(), namespace];
    let (is_content, stdout, stderr) = ask(test, python, &arguments, "")?;
    assert!(is_content, "{stderr}");
    Some(serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}")))
}

/// The objects that come of these values.
#[track_caller]
fn rendered(test: &str, values: &Value) -> Option<Vec<Value>> {
    rendered_in(test, values, "tracer")
}

/// The same for a release in another namespace.
#[track_caller]
fn rendered_in(test: &str, values: &Value, namespace: &str) -> Option<Vec<Value>> {
    let said = helm(test, values, namespace)?;
    assert_eq!(said["error"], "", "{values}");
    let errors = said["lint"]["messages"].as_array().expect("messages").iter();
    let errors: Vec<_> = errors.filter(|message| message["severity"].as_u64() > Some(1)).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let texts = said["text"].as_object().expect("files").values().filter_map(Value::as_str);
    Some(texts.flat_map(parsed).collect())
}

/// By name, without what says who made it; the configuration is what it holds.
fn compared(objects: Vec<Value>) -> BTreeMap<String, Value> {
    const BY_MAKER: [&str; 3] =
        ["helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"];
    let objects = objects.into_iter().filter(|object| object["kind"] != "Namespace");
    objects
        .map(|mut object| {
            for place in ["/metadata/labels", "/spec/template/metadata/labels"] {
                if let Some(labels) = object.pointer_mut(place).and_then(Value::as_object_mut) {
                    labels.retain(|key, _| !BY_MAKER.contains(&key.as_str()));
                }
            }
            if let Some(config) = object.pointer_mut("/data/tracer.yaml") {
                *config = parsed(config.as_str().expect("text")).remove(0);
            }
            (name(&object), object)
        })
        .collect()
}

#[track_caller]
fn assert_same(test: &str, values: &Value, components: &[&str]) {
    let (Some(helm), Some(kustomize)) = (rendered(test, values), with(test, components)) else { return };
    let (helm, kustomize) = (compared(helm), compared(kustomize));
    assert_eq!(helm.keys().collect::<Vec<_>>(), kustomize.keys().collect::<Vec<_>>(), "{values}");
    for (name, object) in helm {
        assert_eq!(object, kustomize[&name], "{name}: {values}");
    }
}

/// Check, object by object, that it does not matter which of the two somebody takes.
#[test]
fn the_chart_makes_what_kustomize_makes() {
    let test = "the_chart_makes_what_kustomize_makes";
    let on = json!({ "enabled": true });
    for (values, components) in [
        (json!({}), &[][..]),
        (json!({ "podMonitor": on, "prometheusRule": on }), &["prometheus"]),
        (json!({ "dashboard": on }), &["grafana"]),
        (json!({ "networkPolicy": on }), &["network-policy"]),
        (json!({ "argo": on }), &["argo"]),
        (json!({ "flagger": on }), &["flagger"]),
        (json!({ "sysAdmin": true }), &["kernels-before-6.6"]),
        (json!({ "kubeVersion": "v1.29.4-eks-1" }), &["apparmor-annotation"]),
        (
            json!({ "podMonitor": on, "prometheusRule": on, "dashboard": on, "argo": on, "sysAdmin": true }),
            &["prometheus", "grafana", "argo", "kernels-before-6.6"],
        ),
    ] {
        assert_same(test, &values, components);
    }
}

/// Check what only the chart has.
#[test]
fn values_of_the_chart_reach_the_pod() {
    let test = "values_of_the_chart_reach_the_pod";
    let on = json!({ "enabled": true });
    let values = json!({
        "image": { "repository": "shelf/tracer", "tag": "2" },
        "imagePullSecrets": [{ "name": "key" }],
        "restartOnConfigChange": true,
        "priorityClassName": "system-node-critical",
        "affinity": { "nodeAffinity": {} },
        "podAnnotations": { "a": "b" },
        "podLabels": { "c": "d" },
        "extraEnv": [{ "name": "TRACER_LABELS", "value": "namespace=shop" }],
        "extraVolumes": [{ "name": "tls", "secret": { "secretName": "tls" } }],
        "extraVolumeMounts": [{ "name": "tls", "mountPath": "/tls", "readOnly": true }],
        "serviceAccount": { "create": false, "name": "other" },
        "argo": on,
        "flagger": { "enabled": true, "prometheus": "http://thanos:9090" },
    });
    let Some(objects) = rendered(test, &values) else { return };
    assert_valid(test, &["1.33"], objects.clone());
    let spec = pod(&objects);
    let container = &spec["containers"][0];
    for (object, pointer, expect) in [
        (container, "/image", "shelf/tracer:2"),
        (container, "/env/1/value", "namespace=shop"),
        (container, "/volumeMounts/5/mountPath", "/tls"),
        (spec, "/volumes/5/secret/secretName", "tls"),
        (spec, "/imagePullSecrets/0/name", "key"),
        (spec, "/priorityClassName", "system-node-critical"),
        (spec, "/serviceAccountName", "other"),
    ] {
        assert_eq!(text(object, pointer), expect, "{pointer}");
    }
    assert!(spec["affinity"]["nodeAffinity"].is_object());
    assert!(objects.iter().all(|object| object["kind"] != "ServiceAccount"));
    let set = objects.iter().find(|object| object["kind"] == "DaemonSet").expect("a DaemonSet");
    let metadata = &set["spec"]["template"]["metadata"];
    assert_eq!([text(metadata, "/annotations/a"), text(metadata, "/labels/c")], ["b", "d"]);
    assert_eq!(text(metadata, "/annotations/checksum~1config").len(), 64);
    let mut templates = objects.iter().filter(|object| object["kind"] == "MetricTemplate");
    assert!(templates.clone().count() > 0);
    assert!(templates.all(|template| text(template, "/spec/provider/address") == "http://thanos:9090"));
    let config =
        objects.iter().find_map(|object| object.pointer("/data/tracer.yaml")).expect("a configuration");
    let config = parsed(config.as_str().expect("text")).remove(0);
    let asks = ["argo_rollouts", "flagger_canaries"].map(|key| config["kubernetes"][key].as_bool());
    assert_eq!(asks, [Some(true), Some(true)], "both, which no component of kustomize can");
}

/// Check that a release in another namespace leaves nothing in that of kustomize.
#[test]
fn everything_is_in_the_namespace_of_the_release() {
    let on = json!({ "enabled": true });
    let all = ["podMonitor", "prometheusRule", "dashboard", "networkPolicy", "argo", "flagger"];
    let values: Value = all.iter().map(|name| ((*name).to_owned(), on.clone())).collect();
    let test = "everything_is_in_the_namespace_of_the_release";
    let Some(objects) = rendered_in(test, &values, "observability") else { return };
    assert_in_namespace(&objects, "observability");
}

/// Check that a typing mistake is said, and not left out.
#[test]
fn values_that_the_chart_does_not_know_are_refused() {
    let test = "values_that_the_chart_does_not_know_are_refused";
    for (values, part) in [
        (json!({ "podMonitors": { "enabled": true } }), "podMonitors"),
        (json!({ "podMonitor": { "enabled": "yes" } }), "podMonitor"),
        (json!({ "sysAdmin": "true" }), "sysAdmin"),
        (json!({ "config": { "listen": "0.0.0.0:9000" } }), "listen"),
        (json!({ "image": { "pullPolicy": "Sometimes" } }), "pullPolicy"),
        (json!({ "flagger": { "enabled": true, "prometheus": "thanos:9090" } }), "prometheus"),
    ] {
        let Some(said) = helm(test, &values, "tracer") else { return };
        let error = said["error"].as_str().unwrap_or_default();
        assert!(error.contains(part), "{values}: {error}");
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = parsed(&super::read(&format!("{CHART}/Chart.yaml"))).remove(0);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
