//! `[[target]]`: which processes are traced, and how.

use std::collections::BTreeSet;
use std::path::Path;

use super::reader::{Kind, Table};
use super::{DEFAULT_MODE, DEFAULT_SAMPLE_BYTES, TargetRule, check, label};
use crate::options;
use crate::target::policy::Select;

/// Keys that say which processes a rule is about.
const SELECTORS: &str = "comm, exe, cgroup, unit, container or pid_file";

/// All rules, in their order.
pub(super) fn rules(table: &mut Table<'_>) -> Vec<TargetRule> {
    let tables = table.take("target").map_or_default(|entry| entry.tables());
    let mut names = BTreeSet::new();
    let mut rules = Vec::new();
    for (at, mut table) in tables.into_iter().enumerate() {
        let rule = rule(at, &mut table);
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
        labels: table.take("labels").map_or_default(|entry| label::map(&entry)),
        follow_forks: table.truth("follow_forks").unwrap_or(false),
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
    };
    if !["comm", "exe", "cgroup", "unit", "container", "pid_file"].iter().any(|key| table.has(key)) {
        table.wrong(&format!("it says of no process that it is meant: give {SELECTORS}"));
    }
    select
}
