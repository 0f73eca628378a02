//! Every object of Kubernetes itself against the schemas of Kubernetes: strictly, so that a word that nobody reads is found.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::objects::{name, text, with};
use super::tools::{ask, of_python};

const PROGRAM: &str = "kubernetes-validate";

/// Whether the schemas of this version take all of them, and what is said.
fn validate(test: &str, version: &str, objects: &[Value]) -> Option<(bool, String)> {
    let program = of_python(test, PROGRAM)?;
    let folder = tempfile::tempdir().expect("a folder");
    let mut arguments = ["--strict", "--no-warn", "-k", version].map(str::to_owned).to_vec();
    for (number, object) in objects.iter().enumerate() {
        let file = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&file, object.to_string()).expect("a file");
        arguments.push(file.display().to_string());
    }
    let (is_content, stdout, stderr) = ask(test, Path::new(&program), &arguments, "")?;
    Some((is_content, stdout + &stderr))
}

/// Those that are no custom resources.
pub(super) fn of_kubernetes(objects: Vec<Value>) -> Vec<Value> {
    let is_own = |version: &str| !version.contains('.') || version.contains(".k8s.io/");
    objects.into_iter().filter(|object| is_own(text(object, "/apiVersion"))).collect()
}

/// Check that these objects are taken by every version that they are for.
pub(super) fn assert_valid(test: &str, versions: &[&str], objects: Vec<Value>) {
    let objects = of_kubernetes(objects);
    assert!(!objects.is_empty());
    for version in versions {
        let Some((is_valid, said)) = validate(test, version, &objects) else { return };
        assert!(is_valid, "{version}: {said}: {:?}", objects.iter().map(name).collect::<Vec<_>>());
    }
}

#[test]
fn every_object_is_one_for_kubernetes() {
    let test = "every_object_is_one_for_kubernetes";
    let all = ["prometheus", "grafana", "argo", "network-policy", "kernels-before-6.6"];
    for components in [&[][..], &all, &["flagger"]] {
        let Some(objects) = with(test, components) else { return };
        assert_valid(test, &["1.30", "1.33"], objects);
    }
    let Some(old) = with(test, &["apparmor-annotation"]) else { return };
    assert_valid(test, &["1.25", "1.28", "1.33"], old);
}

/// Check that a word that no version knows is found, and one that came later.
#[test]
fn a_field_that_nobody_knows_is_found() {
    let test = "a_field_that_nobody_knows_is_found";
    let Some(mut objects) = with(test, &[]) else { return };
    let Some((is_valid, said)) = validate(test, "1.28", &objects) else { return };
    assert!(!is_valid && said.contains("appArmorProfile"), "{said}");
    let set = objects.iter_mut().find(|object| object["kind"] == "DaemonSet").expect("a DaemonSet");
    set["spec"]["template"]["spec"]["hostPid"] = true.into();
    let Some((is_valid, said)) = validate(test, "1.33", &objects) else { return };
    assert!(!is_valid && said.contains("hostPid"), "{said}");
}

/// Check that the split leaves nothing out.
#[test]
fn custom_resources_are_told_from_those_of_kubernetes() {
    let test = "custom_resources_are_told_from_those_of_kubernetes";
    let Some(objects) = with(test, &["prometheus", "argo", "network-policy"]) else { return };
    let kinds = |objects: &[Value]| objects.iter().map(|object| text(object, "/kind").to_owned()).collect();
    let (all, own): (BTreeSet<String>, BTreeSet<String>) = (kinds(&objects), kinds(&of_kubernetes(objects)));
    let custom: Vec<_> = all.difference(&own).map(String::as_str).collect();
    assert_eq!(custom, ["ClusterAnalysisTemplate", "PodMonitor", "PrometheusRule"]);
}
