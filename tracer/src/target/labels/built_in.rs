//! The rules that are there without a configuration, and how built-in rules are written down.

use regex::Regex;

use super::NAMES;
use super::rules::LabelRule;
use super::source::{Source, Where};

/// Attributes of a service in one variable: `service.name=shop,service.version=2`, values percent-encoded.
/// <https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable>
pub(super) const OTEL_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// The side of a rollout that a process says it is on.
pub(super) const CANARY_GROUP: &str = "TRACER_CANARY_GROUP";

/// A built-in rule as it is written down.
#[derive(Clone, Debug)]
pub(super) struct Form {
    name: &'static str,
    place: Option<Where>,
    from: Option<Source>,
    pattern: Option<String>,
    value: Option<&'static str>,
}

impl Form {
    pub(super) const fn of(name: &'static str, from: Source) -> Self {
        Self { name, place: None, from: Some(from), pattern: None, value: None }
    }

    /// This value, in this place.
    pub(super) const fn fixed(name: &'static str, place: Where, value: &'static str) -> Self {
        Self { name, place: Some(place), from: None, pattern: None, value: Some(value) }
    }

    pub(super) fn only(self, place: Where) -> Self {
        Self { place: Some(place), ..self }
    }

    pub(super) fn matching(self, pattern: impl Into<String>) -> Self {
        Self { pattern: Some(pattern.into()), ..self }
    }

    pub(super) fn giving(self, value: &'static str) -> Self {
        Self { value: Some(value), ..self }
    }

    /// `None` for a form that is no rule, which the tests of the built-in ones would show.
    pub(super) fn rule(self) -> Option<LabelRule> {
        let pattern = self.pattern.map(|text| Regex::new(&text)).transpose().ok()?;
        let rule = LabelRule::new(self.name, self.from, pattern, self.value.map(str::to_owned)).ok()?;
        Some(LabelRule { place: self.place, ..rule })
    }
}

/// A variable of the environment.
pub(super) fn env(key: &str) -> Source {
    Source::Env(key.to_owned())
}

/// What the process itself says of its service by an attribute of `OpenTelemetry`.
pub(super) fn attribute(name: &'static str, key: &str) -> Form {
    Form::of(name, env(OTEL_ATTRIBUTES)).matching(format!(r"(?:^|,)\s*{}\s*=([^,]*)", regex::escape(key)))
}

/// What the process itself says that its service is called.
pub(super) fn own_service() -> [Form; 2] {
    let [_, service, ..] = NAMES;
    [Form::of(service, env("OTEL_SERVICE_NAME")), attribute(service, "service.name")]
}

/// What else a service is called by. A unit is a service of that name, without its instance; `user@1000.service` is everything
/// that a user runs, so it matches without a group and gives nothing.
pub(super) fn unit_or_program() -> [Form; 2] {
    let [_, service, ..] = NAMES;
    let unit = Form::of(service, Source::Unit).matching(r"^user@|^([^@]+)(?:@.*)?\.service$");
    [unit, Form::of(service, Source::Exe)]
}

/// All of them.
pub(super) fn rules() -> Vec<LabelRule> {
    let [namespace, _, version, canary_group, _] = NAMES;
    let mut forms = vec![attribute(namespace, "service.namespace")];
    forms.extend(own_service());
    forms.extend(unit_or_program());
    forms.push(attribute(version, "service.version"));
    forms.push(Form::of(canary_group, env(CANARY_GROUP)));
    forms.into_iter().filter_map(Form::rule).collect()
}
