//! Labels that are given, and the rules that make the others.

use std::collections::BTreeMap;

use super::check;
use super::origin::Origin;
use super::reader::{Entry, Kind, Table};
use crate::options::{self, UsageError};
use crate::target::labels::{LabelRule, LabelRules, Source};

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

/// `[[label]]`, and the built-in rules for labels that it has none for.
pub(super) fn rules(table: &mut Table<'_>) -> LabelRules {
    let tables = table.take("label").map_or_default(|entry| entry.tables());
    let mut rules: Vec<LabelRule> = Vec::new();
    for table in tables {
        let (notes, line) = (table.notes, table.at.line);
        if let Some(rule) = rule(table) {
            let before = rules.iter().filter(|other| other.name == rule.name).count();
            notes.note(format!("label.{}.{before}", rule.name), Origin::File(line));
            rules.push(rule);
        }
    }
    LabelRules::or_built_in(rules)
}

fn rule(mut table: Table<'_>) -> Option<LabelRule> {
    let name = needed(&mut table, "name", |text, name| check::label_name(text, &format!("{name} {text}")));
    let from = needed(&mut table, "from", source);
    let key = table.get("key", Kind::Text, check::some);
    let pattern = table.get("match", Kind::Text, options::pattern);
    let value = table.get("value", Kind::Text, |text, _| Ok(text.to_owned()));
    let from = match (from, key) {
        (Some(Source::Env(_)), Some(key)) => Some(Source::Env(key)),
        (Some(Source::Env(_)), None) => {
            table.wrong("from = \"env\" needs key, the name of the variable");
            None
        }
        (Some(other), Some(_)) => {
            table.wrong(&format!("from = \"{}\" has no key: only env has one", other.name()));
            None
        }
        (from, None) => from,
        (None, Some(_)) => None,
    };
    // A match that is no pattern is noted, and what is wrong with a rule without it follows from that.
    let is_whole = pattern.is_some() || !table.has("match");
    let rule =
        name.zip(from).filter(|_| is_whole).map(|(name, from)| LabelRule::new(name, from, pattern, value));
    let rule = rule.and_then(|rule| rule.map_err(|error| table.wrong(&error)).ok());
    table.end();
    rule
}

fn source(text: &str, name: &str) -> Result<Source, UsageError> {
    let sources = [Source::Env(String::new()), Source::Unit, Source::Command, Source::Exe, Source::Comm];
    let names = sources.each_ref().map(Source::name).join(", ");
    sources
        .into_iter()
        .find(|source| source.name() == text)
        .ok_or_else(|| UsageError(format!("{name} {text} is unknown: it is one of {names}")))
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
