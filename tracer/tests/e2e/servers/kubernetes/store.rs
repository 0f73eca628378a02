//! Objects, their versions, and what has happened to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Kinds of objects that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Objects {
    Pods,
    /// Of Argo.
    Rollouts,
    /// Of Flagger.
    Canaries,
}

impl Objects {
    pub(super) const ALL: [Self; 3] = [Self::Pods, Self::Rollouts, Self::Canaries];

    /// Where all namespaces' are.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Pods => "/api/v1/pods",
            Self::Rollouts => "/apis/argoproj.io/v1alpha1/rollouts",
            Self::Canaries => "/apis/flagger.app/v1beta1/canaries",
        }
    }

    /// `apiVersion` and `kind`.
    pub(super) const fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::Pods => ("v1", "Pod"),
            Self::Rollouts => ("argoproj.io/v1alpha1", "Rollout"),
            Self::Canaries => ("flagger.app/v1beta1", "Canary"),
        }
    }
}

/// What has happened.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) objects: Objects,
    /// `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`.
    pub(super) what: &'static str,
    pub(super) object: Value,
}

/// See above. Versions count everything that happens, as etcd's revisions do.
pub(super) struct Store {
    pub(super) version: u64,
    objects: BTreeMap<(Objects, String, String), Value>,
    history: Vec<Event>,
    /// From here on events are known.
    pub(super) oldest: u64,
    /// That a version is too old is said by an event, and not by a status.
    pub(super) is_told_by_event: bool,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            // Not 0 and not 1, which mean something else.
            version: 1000,
            objects: BTreeMap::new(),
            history: Vec::new(),
            oldest: 1000,
            is_told_by_event: false,
        }
    }

    pub(super) fn apply(&mut self, mut object: Value) {
        let kind = object["kind"].as_str().unwrap_or("Pod");
        let objects = Objects::ALL.into_iter().find(|objects| objects.kind().1 == kind);
        let objects = objects.unwrap_or_else(|| panic!("{kind} is no kind that is known"));
        self.version += 1;
        let (api_version, kind) = objects.kind();
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let name = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let before = self.objects.insert((objects, name("namespace"), name("name")), object.clone());
        // Another uid is another object, as that of a StatefulSet's pod that was replaced.
        let is_same =
            before.as_ref().is_some_and(|before| before["metadata"]["uid"] == object["metadata"]["uid"]);
        if let Some(before) = before.filter(|_| !is_same) {
            self.log(objects, "DELETED", before);
            self.version += 1;
        }
        self.log(objects, if is_same { "MODIFIED" } else { "ADDED" }, object);
    }

    pub(super) fn delete(&mut self, objects: Objects, namespace: &str, name: &str) -> bool {
        let Some(object) = self.objects.remove(&(objects, namespace.to_owned(), name.to_owned())) else {
            return false;
        };
        self.version += 1;
        self.log(objects, "DELETED", object);
        true
    }

    pub(super) fn remove(&mut self, objects: Objects, namespace: &str, name: &str) -> bool {
        self.version += 1;
        self.objects.remove(&(objects, namespace.to_owned(), name.to_owned())).is_some()
    }

    pub(super) fn bookmark(&mut self) {
        for objects in Objects::ALL {
            let (api_version, kind) = objects.kind();
            self.log(objects, "BOOKMARK", json!({"apiVersion": api_version, "kind": kind, "metadata": {}}));
        }
    }

    fn log(&mut self, objects: Objects, what: &'static str, mut object: Value) {
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push(Event { version: self.version, objects, what, object });
    }

    pub(super) fn forget_history(&mut self, is_told_by_event: bool) {
        // Something else has happened meanwhile, so that no version of before is the one of now.
        self.version += 1;
        self.oldest = self.version;
        self.is_told_by_event = is_told_by_event;
    }

    /// How many events there are: where a watch begins that has heard of all of them.
    pub(super) const fn events(&self) -> usize {
        self.history.len()
    }

    /// What has happened since the `from`th event; of objects that were known at `version` nothing that is in it.
    pub(super) fn since(&self, from: usize, objects: Objects, version: u64) -> Vec<Event> {
        let events = self.history.iter().skip(from);
        let is_wanted = |event: &&Event| {
            event.objects == objects && (event.version > version || event.what == "BOOKMARK")
        };
        events.filter(is_wanted).cloned().collect()
    }

    /// Events that a watch from `version` has not heard of begin here.
    pub(super) fn place_of(&self, version: u64) -> usize {
        self.history.partition_point(|event| event.version <= version)
    }

    /// Objects that fit, in the order of their names, behind `after`.
    pub(super) fn list(
        &self,
        objects: Objects,
        selector: &Selector,
        after: Option<&(String, String)>,
    ) -> Vec<Value> {
        let of_kind = self.objects.iter().filter(|((kind, ..), _)| *kind == objects);
        let behind = of_kind.filter(|((_, namespace, name), _)| {
            after.is_none_or(|after| (namespace, name) > (&after.0, &after.1))
        });
        behind.filter(|(_, object)| selector.takes(object)).map(|(_, object)| object.clone()).collect()
    }
}

/// A field selector: `spec.nodeName=a,metadata.namespace!=b`.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector(Vec<(String, String, bool)>);

impl Selector {
    /// Fields that pods can be selected by here; the error is what the API server would say.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for term in text.split(',').filter(|term| !term.is_empty()) {
            let (field, value) = term.split_once('=').ok_or(format!("invalid selector: {term:?}"))?;
            let is_equal = !field.ends_with('!');
            let field = field.trim_end_matches('!');
            if !["spec.nodeName", "metadata.name", "metadata.namespace", "status.phase"].contains(&field) {
                return Err(format!("field label not supported: {field}"));
            }
            let pointer = format!("/{}", field.replace('.', "/"));
            terms.push((pointer, value.trim_start_matches('=').to_owned(), is_equal));
        }
        Ok(Self(terms))
    }

    pub(super) fn takes(&self, object: &Value) -> bool {
        self.0.iter().all(|(pointer, value, is_equal)| {
            let found = object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            (found == value) == *is_equal
        })
    }
}
