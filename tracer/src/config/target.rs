//! `[[target]]`: which processes are traced, and how.

use std::collections::BTreeSet;
use std::path::Path;

use super::reader::{Kind, Table};
use super::{DEFAULT_MODE, DEFAULT_SAMPLE_BYTES, TargetRule, check, kubernetes, label};
use crate::options;
use crate::target::kubernetes::{Marks, Pod, PodSelect};
use crate::target::policy::Select;

/// Keys that say which processes a rule is about.
const SELECTORS: [&str; 6] = ["comm", "exe", "cgroup", "unit", "container", "pid_file"];
/// Those that say it by their pods.
const POD_SELECTORS: [&str; 6] =
    ["opted_in", "namespace", "owner", "container_name", "pod_label", "pod_annotation"];
/// Whether a pod's own settings come before the rule's.
const POD_SETTINGS: &str = "pod_settings";

/// What a pod says of how it wants to be traced, read as the configuration is.
#[must_use]
pub fn marks(pod: &Pod) -> Marks {
    pod.marks(options::mode, options::sample_bytes)
}

/// All rules, in their order. One that asks for pods is wrong where they are not known.
pub(super) fn rules(table: &mut Table<'_>, knows_pods: bool) -> Vec<TargetRule> {
    let tables = table.take("target").map_or_default(|entry| entry.tables());
    let mut names = BTreeSet::new();
    let mut rules = Vec::new();
    for (at, mut table) in tables.into_iter().enumerate() {
        let rule = rule(at, &mut table);
        if !knows_pods {
            kubernetes::refuse_without(&table, &POD_SELECTORS);
            kubernetes::refuse_without(&table, &[POD_SETTINGS]);
        }
        if !names.insert(rule.name.clone()) {
            table.wrong(&format!("the name {} is that of another rule already", rule.name));
        }
        table.end();
        rules.push(rule);
    }
    rules
}

fn rule(at: usize, table: &mut Table<'_>) -> TargetRule {
    let name = table.get("name", Kind::Text, check::some).unwrap_or_else(|| format!("target-{}", at + 1));
    let select = select(table);
    TargetRule {
        name,
        select,
        mode: table.get("mode", Kind::Text, options::mode).unwrap_or(DEFAULT_MODE),
        sample_bytes: table
            .get("sample_bytes", Kind::Size, options::sample_bytes)
            .unwrap_or(DEFAULT_SAMPLE_BYTES),
        go: table.get("go", Kind::Text, options::go).unwrap_or_default(),
        labels: table.take("labels").map_or_default(|entry| label::map(&entry)),
        follow_forks: table.truth("follow_forks").unwrap_or(false),
        pod_settings: table.truth(POD_SETTINGS).unwrap_or(true),
    }
}

fn select(table: &mut Table<'_>) -> Select {
    let select = Select {
        comms: table.list("comm", check::some),
        programs: table.list("exe", |text, name| {
            check::some(text, name).and_then(|text| options::absolute(Path::new(&text), name))
        }),
        cgroups: table.list("cgroup", check::path),
        units: table.list("unit", check::unit),
        containers: table.list("container", options::container),
        pid_files: table.list("pid_file", check::path),
        pods: pods(table),
    };
    if !says_whom(table, &select) {
        let (own, of_pods) = (SELECTORS.join(", "), POD_SELECTORS.join(", "));
        table.wrong(&format!("it says of no process that it is meant: give {own}, or of pods {of_pods}"));
    }
    select
}

fn pods(table: &mut Table<'_>) -> PodSelect {
    PodSelect {
        opted_in: table.truth("opted_in").unwrap_or(false),
        namespaces: table.list("namespace", check::pod_name),
        owners: table.list("owner", check::owner),
        containers: table.list("container_name", check::pod_name),
        labels: table.list("pod_label", check::selector),
        annotations: table.list("pod_annotation", check::selector),
    }
}

/// What is there and wrong has been noted, and says whom too; `opted_in = false` says nothing.
fn says_whom(table: &Table<'_>, select: &Select) -> bool {
    let [_, named @ ..] = POD_SELECTORS;
    select.pods.opted_in || SELECTORS.iter().chain(&named).any(|key| table.has(key))
}
