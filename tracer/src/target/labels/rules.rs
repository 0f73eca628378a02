//! Rules that make labels of what is known of a process. The first rule of a label that gives a value gives it.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::{Captures, Regex};

use super::facts::Facts;
use super::source::{Source, Where};
use super::text::{clean, percent_decoded, unknown_group};
use super::{LabelSet, NAMES, built_in, kubernetes};

/// One rule for one label.
#[derive(Clone, Debug)]
pub struct LabelRule {
    /// Which label, of [`NAMES`].
    pub name: &'static str,
    /// Where it holds; `None`: everywhere.
    pub place: Option<Where>,
    /// What it looks at; `None`: at nothing, it always gives its value.
    pub from: Option<Source>,
    /// What must be found in it.
    pub pattern: Option<Regex>,
    /// What is made of it: `$1` is the first group.
    pub value: Option<String>,
}

impl PartialEq for LabelRule {
    fn eq(&self, other: &Self) -> bool {
        let pattern = |rule: &Self| rule.pattern.as_ref().map(ToString::to_string);
        (self.name, self.place, &self.from, &self.value, pattern(self))
            == (other.name, other.place, &other.from, &other.value, pattern(other))
    }
}

impl Eq for LabelRule {}

impl LabelRule {
    /// A rule that holds everywhere, and whose parts fit each other.
    ///
    /// # Errors
    ///
    /// They do not, and why.
    pub fn new(
        name: &'static str,
        from: Option<Source>,
        pattern: Option<Regex>,
        value: Option<String>,
    ) -> Result<Self, String> {
        match (&from, &pattern, &value) {
            (None, Some(_), _) => return Err("match needs from: what is it to be found in?".to_owned()),
            (None, None, None) => return Err("it has no from, and needs one".to_owned()),
            (Some(_), None, Some(_)) => {
                return Err("value needs a match; match = '.*' takes any text".to_owned());
            }
            (Some(_), Some(pattern), Some(value)) => {
                if let Some(unknown) = unknown_group(value, pattern) {
                    return Err(format!("value names the group ${unknown}, which match has not"));
                }
            }
            (None, None, Some(_)) | (Some(_), _, None) => {}
        }
        Ok(Self { name, place: None, from, pattern, value })
    }

    /// Whether it asks for pods.
    #[must_use]
    pub const fn is_of_pods(&self) -> bool {
        self.place.is_some() || matches!(self.from, Some(Source::Pod(_)))
    }

    /// The value that it gives, if any: an empty one is none.
    fn apply(&self, facts: &Facts) -> Option<String> {
        if self.place.is_some_and(|place| place != Where::of(&facts.place)) {
            return None;
        }
        let value = match &self.from {
            None => self.value.clone()?,
            Some(from) => self.of_text(from, from.text(facts)?)?,
        };
        Some(clean(&value)).filter(|value| !value.is_empty())
    }

    fn of_text(&self, from: &Source, text: String) -> Option<String> {
        let value = match &self.pattern {
            None => text,
            Some(pattern) => self.of_match(&pattern.captures(&text)?, &text),
        };
        let is_encoded = matches!(from, Source::Env(key) if key == built_in::OTEL_ATTRIBUTES);
        Some(if is_encoded { percent_decoded(&value) } else { value })
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
    pub fn or_built_in(rules: Vec<LabelRule>) -> Self {
        Self::or(rules, built_in::rules())
    }

    /// The same where pods are known. `canary_keys` are labels of pods that may say which side of a rollout one is on.
    #[must_use]
    pub fn or_built_in_of_pods(rules: Vec<LabelRule>, canary_keys: &[String]) -> Self {
        Self::or(rules, kubernetes::rules(canary_keys))
    }

    fn or(mut rules: Vec<LabelRule>, built_in: Vec<LabelRule>) -> Self {
        let has_rules = |name| rules.iter().any(|rule: &LabelRule| rule.name == name);
        let missing: Vec<_> = built_in.into_iter().filter(|rule| !has_rules(rule.name)).collect();
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
        self.0.iter().filter_map(|rule| rule.from.as_ref())
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

#[cfg(test)]
mod tests;
