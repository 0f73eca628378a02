//! The built-in rules where pods are known: names as `OpenTelemetry` finds them
//! (<https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/>), and which side of a rollout a pod is on by
//! what the tools of rollouts do to pods.
//!
//! Outside of containers they give what the other built-in rules give.

use super::NAMES;
use super::built_in::{CANARY_GROUP, Form, attribute, env, own_service, unit_or_program};
use super::rules::LabelRule;
use super::source::{OfPod, Source, Where};

/// Annotation, or label, of a pod that says which side of a rollout it is on, before everything else that does.
const OWN_GROUP: &str = "tracer.io/canary-group";

/// What the new side of a rollout is called.
const CANARY_WORDS: &str = "canary|preview|candidate|gray|grey|next|experiment";
/// What the old one is called.
const STABLE_WORDS: &str = "stable|active|primary|baseline|control|main|production";
/// A label of that name is also a canary's if it is `true`.
const CANARY_KEY: &str = "canary";

/// Both sides of a rollout are one service and one workload: without what their names differ by.
const BOTH_SIDES: &str = "(?is)^(.+?)(?:-(?:primary|canary|stable))?$";

const CANARY: &str = "canary";
const STABLE: &str = "stable";
const UNKNOWN: &str = "unknown";

/// All of them. `canary_keys` are labels of pods that may say which side one is on.
pub(super) fn rules(canary_keys: &[String]) -> Vec<LabelRule> {
    let forms = [namespace(), service(), version(), canary_group(canary_keys), workload()];
    forms.into_iter().flatten().filter_map(Form::rule).collect()
}

fn label(key: &str) -> Source {
    Source::Pod(OfPod::Label(key.to_owned()))
}

fn annotation(key: &str) -> Source {
    Source::Pod(OfPod::Annotation(key.to_owned()))
}

fn namespace() -> Vec<Form> {
    let [name, ..] = NAMES;
    vec![
        Form::of(name, annotation("resource.opentelemetry.io/service.namespace")),
        attribute(name, "service.namespace"),
        Form::of(name, Source::Pod(OfPod::Namespace)),
        Form::fixed(name, Where::UnknownPod, UNKNOWN),
    ]
}

/// A pod always has a workload, if only itself: no rule behind that one comes to its turn in a pod.
fn service() -> Vec<Form> {
    const LABELS: [&str; 4] =
        ["app.kubernetes.io/instance", "app.kubernetes.io/name", "service.istio.io/canonical-name", "app"];
    let [_, name, ..] = NAMES;
    let mut forms = vec![Form::of(name, annotation("resource.opentelemetry.io/service.name"))];
    forms.extend(own_service());
    forms.extend(LABELS.map(|key| Form::of(name, label(key)).matching(BOTH_SIDES)));
    forms.push(Form::of(name, Source::Pod(OfPod::Workload)).matching(BOTH_SIDES));
    forms.extend(unit_or_program());
    forms
}

/// Istio says `latest` of a pod that has no version, which says nothing: that matches without a group.
fn version() -> Vec<Form> {
    let [_, _, name, ..] = NAMES;
    let image = || Form::of(name, Source::Pod(OfPod::Image));
    vec![
        Form::of(name, annotation("resource.opentelemetry.io/service.version")),
        attribute(name, "service.version"),
        Form::of(name, label("app.kubernetes.io/version")),
        Form::of(name, label("service.istio.io/canonical-revision")).matching("^latest$|^(.+)$"),
        Form::of(name, label("version")),
        // `HOST:PORT/NAME:TAG@DIGEST`: a tag has no slash, so that a port is none.
        image().matching(r"^[^@]*:([A-Za-z0-9_][A-Za-z0-9_.-]*)(?:@.*)?$"),
        image().matching("@sha[0-9]+:([0-9a-f]{12})"),
        Form::fixed(name, Where::UnknownPod, UNKNOWN),
    ]
}

fn canary_group(keys: &[String]) -> Vec<Form> {
    let [_, _, _, name, _] = NAMES;
    let of = |source: Source| Form::of(name, source);
    let mut forms = Vec::new();
    for source in [annotation(OWN_GROUP), label(OWN_GROUP)] {
        forms.extend(sides(&of(source.clone()), CANARY_WORDS));
        forms.push(of(source).matching(r"\S").giving(UNKNOWN));
    }
    for key in keys {
        let is_canary = key.rsplit('/').next() == Some(CANARY_KEY);
        let words = if is_canary { format!("{CANARY_WORDS}|true") } else { CANARY_WORDS.to_owned() };
        forms.extend(sides(&of(label(key)), &words));
    }
    forms.push(of(Source::Pod(OfPod::Rollout)));
    forms.push(of(Source::Pod(OfPod::Flagger)));
    forms.push(of(Source::Pod(OfPod::Workload)).matching("(?i).-canary$").giving(CANARY));
    forms.push(of(Source::Pod(OfPod::Workload)).matching("(?i).-stable$").giving(STABLE));
    forms.push(of(env(CANARY_GROUP)).only(Where::Outside));
    forms.extend(sides(&of(env(CANARY_GROUP)), CANARY_WORDS));
    forms.push(of(env(CANARY_GROUP)).matching(r"\S").giving(UNKNOWN));
    forms.push(Form::fixed(name, Where::Pod, STABLE));
    forms.push(Form::fixed(name, Where::UnknownPod, UNKNOWN));
    forms
}

/// A side by the words for it; any other text decides nothing.
fn sides(form: &Form, canary_words: &str) -> [Form; 2] {
    let side = |words: &str, value| form.clone().matching(format!(r"(?i)^\s*(?:{words})\s*$")).giving(value);
    [side(canary_words, CANARY), side(STABLE_WORDS, STABLE)]
}

fn workload() -> Vec<Form> {
    let [_, _, _, _, name] = NAMES;
    vec![
        Form::of(name, Source::Pod(OfPod::Workload)).matching(BOTH_SIDES),
        Form::fixed(name, Where::UnknownPod, UNKNOWN),
    ]
}

#[cfg(test)]
mod tests;
