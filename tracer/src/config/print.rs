//! The configuration that holds, as TOML that can be read back, with the origin of each value behind it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::toml::Value;
use regex::Regex;

use super::origin::Origins;
use super::{CanaryConfig, Config, HttpOptions, TargetRule, canary};
use crate::target::kubernetes::{KubernetesOptions, PodSelect, Selector};
use crate::target::labels::{LabelRule, Source, Where};

/// The whole configuration.
pub(super) fn toml(config: &Config, origins: &Origins) -> String {
    let head = "# The configuration that holds, and where each value comes from.\n".to_owned();
    let mut out = Printer { text: head, origins, path: String::new() };
    out.value("listen", config.http.listen.to_string());
    out.value("socket", text(&config.socket));
    out.value("interval", time(config.interval));
    out.value("max_stacks", i64::from(config.max_stacks));
    out.value("max_live", i64::from(config.max_live));
    out.value("max_unwind", size(config.max_unwind_bytes));
    out.value("max_series", count(config.max_series));
    out.value("expire_after", time(config.expire_after));
    out.value("gc_threshold", config.gc_threshold.map_or_else(|| "off".to_owned(), time));
    out.value("top_sites", count(config.top_sites));
    http(&mut out, &config.http);
    if let Some(options) = &config.kubernetes {
        kubernetes(&mut out, options, &config.canary_keys);
    }
    of_canary(&mut out, &config.canary);
    if !config.labels.is_empty() {
        out.table("[labels]", "labels.".to_owned());
        labels(&mut out, "", &config.labels);
    }
    for (at, rule) in config.rules.iter().enumerate() {
        out.table("[[target]]", format!("target.{at}."));
        target(&mut out, rule, config.kubernetes.is_some());
    }
    label_rules(&mut out, config.label_rules.all());
    out.text
}

struct Printer<'a> {
    text: String,
    origins: &'a Origins,
    /// Of the table, with a dot behind it.
    path: String,
}

impl Printer<'_> {
    fn table(&mut self, head: &str, path: String) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "\n{head}");
        self.path = path;
    }

    fn value(&mut self, key: &str, value: impl Into<Value>) {
        let origin = self.origins.of(&format!("{}{key}", self.path));
        let _ = writeln!(self.text, "{key} = {} # {origin}", value.into());
    }

    /// A list that is left out where it is empty.
    fn list(&mut self, key: &str, values: Vec<String>) {
        if !values.is_empty() {
            self.value(key, values);
        }
    }
}

fn http(out: &mut Printer<'_>, http: &HttpOptions) {
    out.table("[http]", "http.".to_owned());
    out.value("max_connections", count(http.max_connections));
    out.value("max_requests", count(http.max_requests));
    out.value("max_header_bytes", size(http.max_header_bytes as u64));
    out.value("timeout", time(http.timeout));
    out.value("max_profile", time(http.max_profile));
    if let Some((certificate, key)) = &http.tls {
        out.value("tls_certificate", text(certificate));
        out.value("tls_key", text(key));
    }
    if let Some(file) = &http.token_file {
        out.value("token_file", text(file));
    }
}

fn kubernetes(out: &mut Printer<'_>, options: &KubernetesOptions, canary_keys: &[String]) {
    out.table("[kubernetes]", "kubernetes.".to_owned());
    out.value("node", options.node.as_str());
    if let Some(api) = &options.api {
        out.value("api", api.url.as_str());
        for (key, file) in [("token_file", &api.token_file), ("ca_file", &api.ca_file)] {
            if let Some(file) = file {
                out.value(key, text(file));
            }
        }
    }
    out.value("keep", time(options.keep));
    out.value("canary_keys", canary_keys.to_vec());
    out.value("argo_rollouts", options.argo_rollouts);
    out.value("flagger_canaries", options.flagger_canaries);
}

fn of_canary(out: &mut Printer<'_>, config: &CanaryConfig) {
    out.table("[canary]", "canary.".to_owned());
    out.value("enabled", config.enabled);
    out.value("window", time(config.window));
    out.value("interval", time(config.interval));
    out.value("confidence", config.confidence.to_string());
    out.value("max_increase", config.max_increase.to_string());
    out.value("min_share", config.min_share.to_string());
    out.value("per", canary::per_name(config.per));
    out.value("sampling_error_only", config.sampling_error_only);
}

fn labels(out: &mut Printer<'_>, before: &str, labels: &BTreeMap<String, String>) {
    for (name, value) in labels {
        out.value(&format!("{before}{name}"), value.as_str());
    }
}

fn target(out: &mut Printer<'_>, rule: &TargetRule, knows_pods: bool) {
    out.value("name", rule.name.as_str());
    out.list("comm", rule.select.comms.clone());
    out.list("exe", texts(&rule.select.programs));
    out.list("cgroup", texts(&rule.select.cgroups));
    out.list("unit", rule.select.units.clone());
    out.list("container", rule.select.containers.clone());
    out.list("pid_file", texts(&rule.select.pid_files));
    pods(out, &rule.select.pods);
    out.value("mode", rule.mode.to_string());
    out.value("sample_bytes", size(rule.sample_bytes));
    out.value("go", rule.go.to_string());
    out.value("follow_forks", rule.follow_forks);
    if knows_pods {
        out.value("pod_settings", rule.pod_settings);
    }
    labels(out, "labels.", &rule.labels);
}

fn pods(out: &mut Printer<'_>, select: &PodSelect) {
    if select.opted_in {
        out.value("opted_in", true);
    }
    let texts = |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect();
    out.list("namespace", select.namespaces.clone());
    out.list("owner", select.owners.clone());
    out.list("container_name", select.containers.clone());
    out.list("pod_label", texts(&select.labels));
    out.list("pod_annotation", texts(&select.annotations));
}

/// Rules by their label; the values of one rule come all from the same place.
fn label_rules(out: &mut Printer<'_>, rules: &[LabelRule]) {
    for (at, rule) in rules.iter().enumerate() {
        let before = rules[..at].iter().filter(|other| other.name == rule.name).count();
        out.table("[[label]]", String::new());
        let origin = out.origins.of(&format!("label.{}.{before}", rule.name));
        let from = rule.from.as_ref();
        let values = [
            ("name", Some(rule.name)),
            ("where", rule.place.map(Where::name)),
            ("from", from.map(Source::name)),
            ("key", from.and_then(Source::key).map(String::as_str)),
            ("match", rule.pattern.as_ref().map(Regex::as_str)),
            ("value", rule.value.as_deref()),
        ];
        for (key, value) in values {
            if let Some(value) = value {
                let _ = writeln!(out.text, "{key} = {} # {origin}", Value::from(value));
            }
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn texts(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| text(path)).collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn time(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Without a loss: a size that is no whole number of KiB is one of bytes.
fn size(bytes: u64) -> Value {
    match bytes {
        0 => Value::from(0),
        _ if bytes.is_multiple_of(1 << 20) => Value::from(format!("{}MiB", bytes >> 20)),
        _ if bytes.is_multiple_of(1 << 10) => Value::from(format!("{}KiB", bytes >> 10)),
        _ => Value::from(i64::try_from(bytes).unwrap_or(i64::MAX)),
    }
}
