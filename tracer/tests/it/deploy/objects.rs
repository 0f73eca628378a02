//! Objects of Kubernetes, as kustomize makes them of `deploy/kubernetes`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path};

use serde_json::Value;

use super::tools::{ask, skip};
use super::{read, repository};

/// Where the manifests are.
pub(super) const FOLDER: &str = "deploy/kubernetes";

/// Names of the components, as their folders are called.
pub(super) fn components() -> Vec<String> {
    let folder = repository().join(FOLDER).join("components");
    let entries = fs::read_dir(&folder).expect("a folder of components");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("it can be read").file_name().display().to_string()).collect();
    names.sort();
    names
}

/// What becomes of the base with these components; `None` and `SKIP` where there is no kustomize.
pub(super) fn with(test: &str, components: &[&str]) -> Option<Vec<Value>> {
    let folder = tempfile::tempdir().expect("a folder");
    let place = from(folder.path(), &repository().join(FOLDER));
    let mut text = format!("resources:\n  - {place}/base\ncomponents:\n");
    for name in components {
        writeln!(text, "  - {place}/components/{name}").expect("it grows");
    }
    if components.is_empty() {
        text.push_str("  []\n");
    }
    fs::write(folder.path().join("kustomization.yaml"), text).expect("a file");
    built(test, folder.path())
}

/// What becomes of a folder with a `kustomization.yaml`.
pub(super) fn built(test: &str, folder: &Path) -> Option<Vec<Value>> {
    let (_, version, _) = ask(test, "kubectl", &["version", "--client", "--output=json"], "")?;
    let version: Value = serde_json::from_str(&version).unwrap_or_default();
    // Older ones have no components, or ignore `includeTemplates`.
    let major =
        version["kustomizeVersion"].as_str().and_then(|text| text.trim_start_matches('v').split('.').next());
    if major.and_then(|text| text.parse::<u32>().ok()).is_none_or(|major| major < 5) {
        skip(test, &format!("this kubectl has no kustomize of version 5: {version}"));
        return None;
    }
    let (is_content, stdout, stderr) = ask(test, "kubectl", &[Path::new("kustomize"), folder], "")?;
    assert!(is_content, "{}: {stderr}", folder.display());
    assert_eq!(stderr, "", "{}: kustomize warns of nothing", folder.display());
    Some(parsed(&stdout))
}

/// The objects of a text.
pub(super) fn parsed(text: &str) -> Vec<Value> {
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

/// The objects of a file of the repository.
pub(super) fn of_file(path: &str) -> Vec<Value> {
    parsed(&read(path))
}

/// `KIND/NAME`.
pub(super) fn name(object: &Value) -> String {
    format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"))
}

/// The one of this kind and name.
#[track_caller]
pub(super) fn find<'a>(objects: &'a [Value], wanted: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|object| name(object) == wanted).collect();
    assert_eq!(found.len(), 1, "{wanted} in {:?}", objects.iter().map(name).collect::<Vec<_>>());
    found[0]
}

/// A text in it; empty if there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The way from one folder to another: kustomize takes no others.
fn from(start: &Path, end: &Path) -> String {
    let start = start.canonicalize().expect("it is there");
    let up = start.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let end = end.canonicalize().expect("it is there");
    format!("{}{}", "../".repeat(up), end.strip_prefix("/").expect("it is absolute").display())
}
