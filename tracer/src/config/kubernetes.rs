//! `[kubernetes]`: how pods are asked for.

use std::path::PathBuf;

use super::check;
use super::origin::Origin;
use super::reader::{Entry, Kind, Table};
use crate::target::kubernetes::{Api, DEFAULT_KEEP, KubernetesOptions};

/// Labels of pods that may say which side of a rollout one is on, if nothing else is said: those of Argo's examples and of the
/// documentation of Kubernetes.
const CANARY_KEYS: [&str; 3] = ["role", "track", "canary"];

/// The name of the table.
const TABLE: &str = "kubernetes";

/// What is around the configuration and decides whether pods can be asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    /// The variable that has the name of the node.
    pub(super) node: Option<String>,
    /// The program was built with what asks for pods.
    pub(super) is_built_in: bool,
}

impl Around {
    /// As it is for this process.
    pub(super) fn here() -> Self {
        Self {
            node: std::env::var(KubernetesOptions::NODE_VARIABLE).ok().filter(|text| !text.is_empty()),
            is_built_in: cfg!(feature = "kubernetes"),
        }
    }
}

/// Whether there is the table, right or wrong.
pub(super) fn is_there(root: &Table<'_>) -> bool {
    root.has(TABLE)
}

/// Labels of pods that are asked for the side of a rollout, if nothing else is said.
pub(super) fn default_canary_keys() -> Vec<String> {
    CANARY_KEYS.map(str::to_owned).into()
}

/// The options, if pods are asked for, and the keys of labels for canaries.
pub(super) fn options(root: &mut Table<'_>, around: &Around) -> (Option<KubernetesOptions>, Vec<String>) {
    let Some(mut table) = root.take(TABLE).and_then(|entry| entry.table()) else {
        return (None, default_canary_keys());
    };
    if !around.is_built_in {
        table.wrong(
            "this program cannot ask for pods: it was built without the cargo feature kubernetes. \
             Take one that was built with it, or leave the table out",
        );
    }
    let canary_keys = table.take("canary_keys").map(|entry| entry.list(check::pod_key));
    let node = node(&mut table, around);
    let api = api(&mut table);
    let keep = table.get("keep", Kind::Text, check::time).unwrap_or(DEFAULT_KEEP);
    let argo_rollouts = table.truth("argo_rollouts").unwrap_or(false);
    let flagger_canaries = table.truth("flagger_canaries").unwrap_or(false);
    table.end();
    let options = node.map(|node| KubernetesOptions { node, api, keep, argo_rollouts, flagger_canaries });
    (options, canary_keys.unwrap_or_else(default_canary_keys))
}

/// The name of the node: the file's, else that of the variable.
fn node(table: &mut Table<'_>, around: &Around) -> Option<String> {
    if let Some(entry) = table.take("node") {
        return entry.get(Kind::Text, check::node);
    }
    let variable = KubernetesOptions::NODE_VARIABLE;
    let Some(text) = &around.node else {
        table.wrong(&format!(
            "it has no node, and there is no variable {variable}: set that by the downward API of the pod \
             (valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}), or give node"
        ));
        return None;
    };
    match check::node(text, variable) {
        Ok(node) => {
            table.notes.note(format!("{TABLE}.node"), Origin::Environment(variable.to_owned()));
            Some(node)
        }
        Err(error) => {
            table.notes.wrong_flag(&error);
            None
        }
    }
}

/// Where the server is; the files say nothing without it.
fn api(table: &mut Table<'_>) -> Option<Api> {
    let path = |entry: Entry<'_>| entry.get(Kind::Text, check::path);
    let has_api = table.has("api");
    let url: Option<String> = table.get("api", Kind::Text, check::api);
    let mut file = |key: &'static str| -> Option<PathBuf> {
        let entry = table.take(key)?;
        if !has_api {
            let text =
                "needs api: without it the pod's own service account says who asks, and who is believed";
            entry.wrong(text);
        }
        path(entry)
    };
    let (token_file, ca_file) = (file("token_file"), file("ca_file"));
    let url = url?;
    if ca_file.is_some() && !Api::is_secure(&url) {
        table.wrong("ca_file needs an api that begins with https://: over http nobody proves who answers");
    }
    Some(Api { url, token_file, ca_file })
}

/// A key that is of use only where pods are asked for is wrong where they are not.
pub(super) fn refuse_without(table: &Table<'_>, keys: &[&str]) {
    for key in keys {
        table.wrong_at(key, "is about pods, which are known only with the table [kubernetes]: add that");
    }
}
