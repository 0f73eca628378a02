//! Labels that are given, and the rules that make the others.

use std::collections::BTreeMap;

use super::origin::Origin;
use super::reader::{Entry, Kind, Table};
use super::{check, kubernetes};
use crate::options::{self, UsageError};
use crate::target::labels::{LabelRule, LabelRules, Source, Where};

/// Names and values.
pub(super) fn map(entry: &Entry<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, entry) in entry.table().into_iter().flat_map(Table::entries) {
        match check::label_name(&key.name, &format!("the label {}", key.name)) {
            Ok(name) => {
                let value = entry.get(Kind::Text, check::label_value);
                labels.extend(value.map(|value| (name.to_owned(), value)));
            }
            Err(error) => entry.notes.wrong(Some(key.at), &error.to_string()),
        }
    }
    labels
}

/// `[[label]]`, and the built-in rules for labels that it has none for: where pods are known, those that ask these labels of
/// them which side of a rollout they are on.
pub(super) fn rules(table: &mut Table<'_>, canary_keys: Option<&[String]>) -> LabelRules {
    let tables = table.take("label").map_or_default(|entry| entry.tables());
    let mut rules: Vec<LabelRule> = Vec::new();
    for table in tables {
        let (notes, line) = (table.notes, table.at.line);
        if let Some(rule) = rule(table, canary_keys.is_some()) {
            let before = rules.iter().filter(|other| other.name == rule.name).count();
            notes.note(format!("label.{}.{before}", rule.name), Origin::File(line));
            rules.push(rule);
        }
    }
    match canary_keys {
        Some(keys) => LabelRules::or_built_in_of_pods(rules, keys),
        None => LabelRules::or_built_in(rules),
    }
}

fn rule(mut table: Table<'_>, knows_pods: bool) -> Option<LabelRule> {
    let name = needed(&mut table, "name", |text, name| check::label_name(text, &format!("{name} {text}")));
    let place = table.get("where", Kind::Text, place);
    let from = table.get("from", Kind::Text, source);
    let is_of_pods = matches!(from, Some(Source::Pod(_)));
    let key = table.get("key", Kind::Text, if is_of_pods { check::pod_key } else { check::some });
    let pattern = table.get("match", Kind::Text, options::pattern);
    let value = table.get("value", Kind::Text, |text, _| Ok(text.to_owned()));
    if !knows_pods {
        kubernetes::refuse_without(&table, if is_of_pods { &["where", "from"] } else { &["where"] });
    }
    // What is there and wrong has been noted, and what is wrong with a rule without it follows from that.
    let parts = [
        ("where", place.is_some()),
        ("from", from.is_some()),
        ("key", key.is_some()),
        ("match", pattern.is_some()),
        ("value", value.is_some()),
    ];
    let is_whole = parts.into_iter().all(|(key, is_right)| is_right || !table.has(key));
    let rule = || LabelRule::new(name.unwrap_or_default(), with_key(from, key)?, pattern, value);
    let rule = if is_whole { rule().map_err(|error| table.wrong(&error)).ok() } else { None };
    table.end();
    rule.filter(|_| name.is_some()).map(|rule| LabelRule { place, ..rule })
}

/// What a rule looks at, with its key.
fn with_key(from: Option<Source>, key: Option<String>) -> Result<Option<Source>, String> {
    match (from, key) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("key needs from: what is it the key of?".to_owned()),
        (Some(from), None) => match &from {
            Source::Env(_) => Err("from = \"env\" needs key, the name of the variable".to_owned()),
            _ if from.key().is_some() => Err(format!("from = \"{}\" needs key", from.name())),
            _ => Ok(Some(from)),
        },
        (Some(from), Some(key)) => from.with_key(key).map(Some).ok_or_else(|| {
            let names = names(Source::ALL.iter().filter(|source| source.key().is_some()));
            format!("from = \"{}\" has no key: only these have one: {names}", from.name())
        }),
    }
}

fn source(text: &str, name: &str) -> Result<Source, UsageError> {
    let found = Source::ALL.into_iter().find(|source| source.name() == text);
    found.ok_or_else(|| {
        UsageError(format!("{name} {text} is unknown: it is one of {}", names(Source::ALL.iter())))
    })
}

fn names<'a>(sources: impl Iterator<Item = &'a Source>) -> String {
    sources.map(Source::name).collect::<Vec<_>>().join(", ")
}

fn place(text: &str, name: &str) -> Result<Where, UsageError> {
    let found = Where::ALL.into_iter().find(|place| place.name() == text);
    let names = Where::ALL.map(Where::name).join(", ");
    found.ok_or_else(|| UsageError(format!("{name} {text} is unknown: it is one of {names}")))
}

fn needed<T>(
    table: &mut Table<'_>,
    key: &'static str,
    check: impl Fn(&str, &str) -> Result<T, UsageError>,
) -> Option<T> {
    let Some(entry) = table.take(key) else {
        table.wrong(&format!("it has no {key}, and needs one"));
        return None;
    };
    entry.get(Kind::Text, check)
}
