//! Rules that make labels of what is known of a process. The first rule of a label that gives a value gives it.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::{Captures, Regex};

use super::facts::Facts;
use super::{LabelSet, NAMES};

/// Characters of a value: what OpenMetrics allows a label set of an exemplar to have, and plenty for a name.
pub const MAX_VALUE_CHARACTERS: usize = 128;

/// Attributes of a service in one variable: `service.name=shop,service.version=2`, values percent-encoded.
/// <https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable>
const OTEL_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A variable of the process's environment.
    Env(String),
    /// Its unit of systemd.
    Unit,
    /// Its command line.
    Command,
    /// The base name of its program.
    Exe,
    /// The kernel's short name of it.
    Comm,
}

impl Source {
    /// Its name in a configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::Unit => "unit",
            Self::Command => "command",
            Self::Exe => "exe",
            Self::Comm => "comm",
        }
    }
}

/// One rule for one label.
#[derive(Clone, Debug)]
pub struct LabelRule {
    /// Which label, of [`NAMES`].
    pub name: &'static str,
    /// What it looks at.
    pub from: Source,
    /// What must be found in it.
    pub pattern: Option<Regex>,
    /// What is made of it: `$1` is the first group.
    pub value: Option<String>,
}

impl PartialEq for LabelRule {
    fn eq(&self, other: &Self) -> bool {
        let pattern = |rule: &Self| rule.pattern.as_ref().map(ToString::to_string);
        (self.name, &self.from, &self.value, pattern(self))
            == (other.name, &other.from, &other.value, pattern(other))
    }
}

impl Eq for LabelRule {}

impl LabelRule {
    /// A rule whose `value` and `pattern` fit each other.
    ///
    /// # Errors
    ///
    /// They do not, and why.
    pub fn new(
        name: &'static str,
        from: Source,
        pattern: Option<Regex>,
        value: Option<String>,
    ) -> Result<Self, String> {
        match (&pattern, &value) {
            (None, Some(_)) => return Err("value needs a match; match = '.*' takes any text".to_owned()),
            (Some(pattern), Some(value)) => {
                if let Some(unknown) = groups(value).find(|group| !has_group(pattern, group)) {
                    return Err(format!("value names the group ${unknown}, which match has not"));
                }
            }
            (_, None) => {}
        }
        Ok(Self { name, from, pattern, value })
    }

    /// The value that it gives, if any: an empty one is none.
    fn apply(&self, facts: &Facts) -> Option<String> {
        let text = match &self.from {
            Source::Env(key) => facts.environment.get(key),
            Source::Unit => facts.unit.as_ref(),
            Source::Command => facts.command.as_ref(),
            Source::Exe => facts.exe.as_ref(),
            Source::Comm => facts.comm.as_ref(),
        }?;
        let mut value = match &self.pattern {
            None => text.clone(),
            Some(pattern) => self.of_match(&pattern.captures(text)?, text),
        };
        if matches!(&self.from, Source::Env(key) if key == OTEL_ATTRIBUTES) {
            value = percent_decoded(&value);
        }
        Some(clean(&value)).filter(|value| !value.is_empty())
    }

    fn of_match(&self, found: &Captures<'_>, text: &str) -> String {
        let mut value = String::new();
        match &self.value {
            Some(template) => found.expand(template, &mut value),
            None if found.len() > 1 => found.expand("$1", &mut value),
            None => value.push_str(text),
        }
        value
    }
}

/// All rules, ready to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelRules(Vec<LabelRule>);

impl LabelRules {
    /// These rules and no others, those of one label in their order.
    #[must_use]
    pub fn new(mut rules: Vec<LabelRule>) -> Self {
        rules.sort_by_key(|rule| NAMES.iter().position(|name| *name == rule.name));
        Self(rules)
    }

    /// These rules, and those that are built in for the labels that none of these is for.
    #[must_use]
    pub fn or_built_in(mut rules: Vec<LabelRule>) -> Self {
        let has_rules = |name| rules.iter().any(|rule| rule.name == name);
        let missing: Vec<_> = built_in().filter(|rule| !has_rules(rule.name)).collect();
        rules.extend(missing);
        Self::new(rules)
    }

    /// The rules, by label.
    #[must_use]
    pub fn all(&self) -> &[LabelRule] {
        &self.0
    }

    /// What they look at.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.0.iter().map(|rule| &rule.from)
    }

    /// The labels of a process: those that are given, the first of `given` before the second, then those that the rules make. A
    /// label that is given without a value stays without one.
    #[must_use]
    pub fn apply(&self, given: &[&BTreeMap<String, String>], facts: &Facts) -> LabelSet {
        let value = |name: &str| -> Arc<str> {
            let given = given.iter().find_map(|labels| labels.get(name)).map(|value| clean(value));
            let of_rules =
                || self.0.iter().filter(|rule| rule.name == name).find_map(|rule| rule.apply(facts));
            given.or_else(of_rules).unwrap_or_default().into()
        };
        let [namespace, service, version, canary_group, workload] = NAMES.map(value);
        LabelSet { namespace, service, version, canary_group, workload }
    }
}

/// The rules that are there without a configuration. A unit is a service of that name, without its instance; `user@1000.service`
/// is everything that a user runs, so it matches without a group and gives nothing.
fn built_in() -> impl Iterator<Item = LabelRule> {
    let env = |key: &str| Source::Env(key.to_owned());
    let attribute = |key: &str| Some(format!(r"(?:^|,)\s*{}\s*=([^,]*)", regex::escape(key)));
    let [namespace, service, version, canary_group, _] = NAMES;
    let rules = [
        (namespace, env(OTEL_ATTRIBUTES), attribute("service.namespace")),
        (service, env("OTEL_SERVICE_NAME"), None),
        (service, env(OTEL_ATTRIBUTES), attribute("service.name")),
        (service, Source::Unit, Some(r"^user@|^([^@]+)(?:@.*)?\.service$".to_owned())),
        (service, Source::Exe, None),
        (version, env(OTEL_ATTRIBUTES), attribute("service.version")),
        (canary_group, env("TRACER_CANARY_GROUP"), None),
    ];
    rules.into_iter().filter_map(|(name, from, pattern)| {
        let pattern = pattern.map(|text| Regex::new(&text)).transpose().ok()?;
        LabelRule::new(name, from, pattern, None).ok()
    })
}

/// The groups that a template names, as [`Captures::expand`] reads it.
fn groups(template: &str) -> impl Iterator<Item = &str> {
    let mut rest = template;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('$')? + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                rest = after;
                continue;
            }
            let name = match rest.strip_prefix('{') {
                Some(inside) => inside.split_once('}').map_or("", |(name, _)| name),
                None => {
                    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    &rest[..end.unwrap_or(rest.len())]
                }
            };
            if !name.is_empty() {
                return Some(name);
            }
        }
    })
}

fn has_group(pattern: &Regex, name: &str) -> bool {
    match name.parse::<usize>() {
        Ok(number) => number < pattern.captures_len(),
        Err(_) => pattern.capture_names().flatten().any(|known| known == name),
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code =
            after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let decoded = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A value as it may be exported: short, and without what a terminal or a parser would obey. Names with two underscores before
/// them are the daemon's own (`__other__`).
fn clean(text: &str) -> String {
    let text = text.trim();
    let text = if text.starts_with("__") { text.trim_start_matches('_') } else { text };
    let characters = text.chars().take(MAX_VALUE_CHARACTERS);
    characters.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests;
