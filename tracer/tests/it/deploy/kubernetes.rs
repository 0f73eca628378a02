//! The manifests of `deploy/kubernetes`: what the pod may do, what it is told, and that all of it fits together.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use tracer::kernel::preflight;

use super::objects::{FOLDER, built, components, find, name, of_file, parsed, text, with};
use super::schemas::assert_valid;
use super::{read, repository};
use crate::serve::rig::{Rig, options};

/// The daemon's pod.
pub(super) fn pod(objects: &[Value]) -> &Value {
    &find(objects, "DaemonSet/tracer")["spec"]["template"]["spec"]
}

/// What the program uses, as a manifest names them; who tries it out with that few reads the same list.
fn capabilities() -> [&'static str; 5] {
    preflight::CAPABILITIES.each_ref().map(|capability| capability.name.trim_start_matches("CAP_"))
}

fn container(objects: &[Value]) -> &Value {
    let containers = pod(objects)["containers"].as_array().expect("containers");
    assert_eq!(containers.len(), 1);
    &containers[0]
}

/// Check that a component that nobody renders is noticed, and that each says what it is for.
#[test]
fn every_component_and_every_overlay_is_rendered() {
    let test = "every_component_and_every_overlay_is_rendered";
    for component in components() {
        let file = read(&format!("{FOLDER}/components/{component}/kustomization.yaml"));
        assert!(file.starts_with("# "), "{component} says what it is for");
        let (Some(base), Some(changed)) = (with(test, &[]), with(test, &[&component])) else { return };
        assert_ne!(base, changed, "{component} changes something");
    }
}

/// Check that the example has what it says, and that a configuration of one's own comes after those of the components.
#[test]
fn the_example_of_an_overlay_has_everything_and_its_own_configuration() {
    let test = "the_example_of_an_overlay_has_everything_and_its_own_configuration";
    let Some(full) = built(test, &repository().join(FOLDER).join("overlays/full")) else { return };
    for wanted in [
        "DaemonSet/tracer",
        "PodMonitor/tracer",
        "PrometheusRule/tracer",
        "ConfigMap/tracer-dashboard",
        "ClusterAnalysisTemplate/tracer-alloc",
        "MetricTemplate/tracer-alloc-bytes",
        "NetworkPolicy/tracer",
    ] {
        find(&full, wanted);
    }
    assert_in_namespace(&full, "tracer");
    assert_valid(test, &["1.30", "1.33"], full.clone());
    let own = of_file(&format!("{FOLDER}/overlays/full/config.yaml")).remove(0);
    assert_eq!(find(&full, "ConfigMap/tracer")["data"], own["data"]);
    let rules = find(&full, "ClusterRole/tracer")["rules"].as_array().map(Vec::len);
    assert_eq!(rules, Some(3), "pods, rollouts and canaries");
    let printed = print_config(&container(&full)["args"], text(&own, "/data/tracer.yaml"));
    for line in ["argo_rollouts = true", "flagger_canaries = true", "name = \"shop-canaries\""] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

/// Asserts that what has a namespace is in this one, and that what is of the cluster names none, which it may not.
#[track_caller]
pub(super) fn assert_in_namespace(objects: &[Value], namespace: &str) {
    const OF_CLUSTER: [&str; 4] =
        ["Namespace", "ClusterRole", "ClusterRoleBinding", "ClusterAnalysisTemplate"];
    for object in objects {
        let expect = if OF_CLUSTER.contains(&text(object, "/kind")) { "" } else { namespace };
        assert_eq!(text(object, "/metadata/namespace"), expect, "{}", name(object));
        let subject = text(object, "/subjects/0/namespace");
        assert!(subject.is_empty() || subject == namespace, "{}: {subject}", name(object));
    }
}

/// What the program prints of this configuration, called as the pod calls it.
#[track_caller]
fn print_config(arguments: &Value, config: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tracer.yaml");
    std::fs::write(&file, config).expect("a file");
    let arguments = arguments.as_array().expect("arguments").iter().filter_map(Value::as_str);
    let arguments = arguments.map(|argument| match argument {
        "/etc/tracer/tracer.yaml" => file.to_str().expect("a plain path"),
        other => other,
    });
    let output = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(arguments)
        .arg("--print-config")
        .env("NODE_NAME", "node-1")
        .output()
        .expect("the program was built with its tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

/// Check that the pod has exactly the privileges that are tried out, and no more.
#[test]
fn the_pod_has_exactly_the_privileges_it_needs() {
    let test = "the_pod_has_exactly_the_privileges_it_needs";
    let Some(base) = with(test, &[]) else { return };
    let (pod, container) = (pod(&base), container(&base));
    assert_eq!(
        container["securityContext"],
        json!({
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"], "add": capabilities() },
        })
    );
    assert_eq!(
        pod["securityContext"],
        json!({
            "runAsUser": 0,
            "runAsGroup": 0,
            "seccompProfile": { "type": "RuntimeDefault" },
            "appArmorProfile": { "type": "Unconfined" },
        })
    );
    let shared = ["hostPID", "hostNetwork", "hostIPC"].map(|key| pod[key].as_bool().unwrap_or_default());
    assert_eq!(shared, [true, false, false]);
    // What is of the machine cannot be written to.
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let of_machine: BTreeSet<_> = pod["volumes"]
        .as_array()
        .expect("volumes")
        .iter()
        .filter_map(|volume| Some((volume["name"].as_str()?, volume["hostPath"]["path"].as_str()?)))
        .map(|(name, path)| {
            let mount = mounts.iter().find(|mount| mount["name"] == name).expect("it is mounted");
            (path, mount["mountPath"].as_str().unwrap_or_default(), mount["readOnly"] == true)
        })
        .collect();
    let expect = ["/sys/fs/cgroup", "/sys/kernel/btf"].map(|path| (path, path, true));
    assert_eq!(of_machine, BTreeSet::from(expect));
    let namespace = find(&base, "Namespace/tracer");
    assert_eq!(text(namespace, "/metadata/labels/pod-security.kubernetes.io~1enforce"), "privileged");
}

#[test]
fn the_service_has_the_same_capabilities() {
    let unit = read("deploy/systemd/tracer.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).expect("a set");
    let set: BTreeSet<_> = line.split(' ').map(|name| name.trim_start_matches("CAP_")).collect();
    assert!(capabilities().iter().all(|name| set.contains(name)), "{line}");
}

/// Check that nobody may ask for more than pods, and for rollouts where they are judged.
#[test]
fn the_role_reads_pods_and_nothing_else() {
    let test = "the_role_reads_pods_and_nothing_else";
    let verbs = json!(["get", "list", "watch"]);
    let pods = json!({ "apiGroups": [""], "resources": ["pods"], "verbs": verbs });
    let argo = json!({ "apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": verbs });
    let flagger = json!({ "apiGroups": ["flagger.app"], "resources": ["canaries"], "verbs": verbs });
    for (components, expect) in
        [(&[][..], json!([pods])), (&["argo"], json!([pods, argo])), (&["flagger"], json!([pods, flagger]))]
    {
        let Some(objects) = with(test, components) else { return };
        assert_eq!(find(&objects, "ClusterRole/tracer")["rules"], expect, "{components:?}");
        let roles: BTreeSet<_> = objects.iter().map(name).filter(|name| name.contains("Role")).collect();
        assert_eq!(
            roles,
            BTreeSet::from(["ClusterRole/tracer", "ClusterRoleBinding/tracer"].map(str::to_owned))
        );
        let subject = &find(&objects, "ClusterRoleBinding/tracer")["subjects"][0];
        assert_eq!([text(subject, "/name"), text(subject, "/namespace")], ["tracer", "tracer"]);
        assert_eq!(text(pod(&objects), "/serviceAccountName"), "tracer");
    }
}

#[test]
fn older_kernels_and_clusters_get_what_they_need() {
    let test = "older_kernels_and_clusters_get_what_they_need";
    let Some(kernels) = with(test, &["kernels-before-6.6"]) else { return };
    let mut expect = capabilities().to_vec();
    expect.push("SYS_ADMIN");
    assert_eq!(container(&kernels)["securityContext"]["capabilities"]["add"], json!(expect));
    let Some(clusters) = with(test, &["apparmor-annotation"]) else { return };
    assert!(pod(&clusters)["securityContext"]["appArmorProfile"].is_null());
    let template = &find(&clusters, "DaemonSet/tracer")["spec"]["template"];
    let key = "/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1tracer";
    assert_eq!(text(template, key), "unconfined");
}

/// Check by a running server that what the kubelet asks for is there, and the port that it asks.
#[test]
fn every_probe_asks_for_a_path_that_answers() {
    let Some(base) = with("every_probe_asks_for_a_path_that_answers", &[]) else { return };
    let (container, rig) = (container(&base), Rig::new(options()));
    for (probe, path) in
        [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")]
    {
        let asked = &container[probe]["httpGet"];
        assert_eq!([text(asked, "/path"), text(asked, "/port")], [path, "metrics"], "{probe}");
        assert_ne!(rig.get(path).status, 404, "{path}");
    }
    assert_eq!(container["ports"][0]["name"], "metrics");
    let config = parsed(text(find(&base, "ConfigMap/tracer"), "/data/tracer.yaml")).remove(0);
    let port = text(&config, "/listen").rsplit_once(':').map(|(_, port)| port.to_owned());
    assert_eq!(port, Some(container["ports"][0]["containerPort"].to_string()));
}

/// Check that the program takes what the ConfigMaps hold, as the pod calls it, and what they differ in.
#[test]
fn the_program_takes_the_configuration_of_the_pod() {
    let test = "the_program_takes_the_configuration_of_the_pod";
    for (components, changed) in
        [(&[][..], None), (&["argo"], Some("argo_rollouts")), (&["flagger"], Some("flagger_canaries"))]
    {
        let Some(objects) = with(test, components) else { return };
        let written = text(find(&objects, "ConfigMap/tracer"), "/data/tracer.yaml").to_owned();
        assert_eq!(pod(&objects)["volumes"][0]["configMap"]["name"], "tracer");
        if let Some(key) = changed {
            let off = written.replace(&format!("{key}: true"), &format!("{key}: false"));
            assert_eq!(off, read(&format!("{FOLDER}/base/tracer.yaml")), "{key} is all that differs");
        }
        let printed = print_config(&container(&objects)["args"], &written);
        for line in ["node = \"node-1\"", "opted_in = true", "mode = \"alloc\"", "listen = \"0.0.0.0:9464\""]
        {
            assert!(printed.contains(line), "{line}: {printed}");
        }
        let is_on = |key: &str| printed.contains(&format!("{key} = true"));
        assert_eq!(is_on("argo_rollouts"), changed == Some("argo_rollouts"));
        assert_eq!(is_on("flagger_canaries"), changed == Some("flagger_canaries"));
    }
}

/// Check that selectors find the pod, and hold also when the version changes.
#[test]
fn selectors_find_the_pod_whatever_its_version() {
    let Some(objects) =
        with("selectors_find_the_pod_whatever_its_version", &["prometheus", "network-policy"])
    else {
        return;
    };
    let set = find(&objects, "DaemonSet/tracer");
    let labels = set["spec"]["template"]["metadata"]["labels"].as_object().expect("labels");
    for selector in [
        &set["spec"]["selector"]["matchLabels"],
        &find(&objects, "PodMonitor/tracer")["spec"]["selector"]["matchLabels"],
        &find(&objects, "NetworkPolicy/tracer")["spec"]["podSelector"]["matchLabels"],
    ] {
        let selector = selector.as_object().expect("labels");
        assert!(!selector.is_empty() && selector.keys().all(|key| !key.contains("version")), "{selector:?}");
        assert!(
            selector.iter().all(|(key, value)| labels.get(key) == Some(value)),
            "{selector:?}: {labels:?}"
        );
    }
    // The rules of Prometheus look for a job of this name.
    let job = text(find(&objects, "PodMonitor/tracer"), "/spec/jobLabel");
    assert_eq!(labels.get(job).and_then(Value::as_str), Some("tracer"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(labels["app.kubernetes.io/version"], version);
    assert_eq!(container(&objects)["image"], format!("tracer:{version}"));
}

/// Check that the rules of the operator's object are those that are tested; `INSTA_UPDATE=always` writes it again.
#[test]
fn the_rule_object_has_the_rules_of_the_rule_file() {
    let path = format!("{FOLDER}/components/prometheus/prometheus-rule.yaml");
    let (found, rules) = (read(&path), read("deploy/prometheus/alerts.yaml"));
    let (head, _) = found.split_once("\nspec:\n").expect("an object");
    let (_, groups) = rules.split_once("\ngroups:\n").expect("rules");
    let mut expect = format!("{head}\nspec:\n  groups:\n");
    for line in groups.lines() {
        expect.push_str(if line.is_empty() { "" } else { "  " });
        expect.push_str(line);
        expect.push('\n');
    }
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(repository().join(&path), &expect).expect("it can be written");
    }
    assert!(found == expect, "{path} is old: run this test with INSTA_UPDATE=always");
    let [object, rules] = [&path, "deploy/prometheus/alerts.yaml"].map(|path| of_file(path).remove(0));
    assert_eq!(object["spec"]["groups"], rules["groups"]);
}
