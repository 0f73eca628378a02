//! What a pod must be like to be wanted.

use super::{Place, PodOf};

pub(super) mod names;
mod selector;

pub use selector::Selector;

/// See above: every kind that is named must fit, each by one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSelect {
    /// It says `tracer.io/enabled: "true"`.
    pub opted_in: bool,
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Names of workloads, or `KIND/NAME`; of the kind the case does not matter.
    pub owners: Vec<String>,
    /// Names of containers.
    pub containers: Vec<String>,
    /// Label selectors.
    pub labels: Vec<Selector>,
    /// The same for annotations.
    pub annotations: Vec<Selector>,
}

impl PodSelect {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a process there fits. A pod that says no is left alone whatever is asked for.
    #[must_use]
    pub fn fits(&self, place: &Place) -> bool {
        let Place::In(found) = place else { return false };
        let is_allowed = match found.pod.is_enabled() {
            Some(is_enabled) => is_enabled,
            None => !self.opted_in,
        };
        is_allowed && self.fits_pod(found)
    }

    fn fits_pod(&self, found: &PodOf) -> bool {
        let pod = &found.pod;
        let container = found.container().map(|container| container.name.as_str());
        one_of(&self.namespaces, |namespace| *namespace == pod.namespace)
            && one_of(&self.owners, |owner| is_owner(owner, &found.workload.kind, &found.workload.name))
            && one_of(&self.containers, |name| container == Some(name.as_str()))
            && one_of(&self.labels, |selector| selector.fits(&pod.labels))
            && one_of(&self.annotations, |selector| selector.fits(&pod.annotations))
    }

    /// Whether a namespace or a container may be called so.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check_name(text: &str) -> Result<(), String> {
        names::label(text)
    }

    /// Whether it is the name of a workload, or `KIND/NAME`.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check_owner(text: &str) -> Result<(), String> {
        let Some((kind, name)) = text.split_once('/') else { return names::subdomain(text) };
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err("before the slash: it must be a kind, such as Deployment".to_owned());
        }
        names::subdomain(name).map_err(|why| format!("behind the slash: {why}"))
    }

    /// Whether it is the key of a label or annotation.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check_key(text: &str) -> Result<(), String> {
        names::key(text)
    }
}

fn one_of<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}

fn is_owner(wanted: &str, kind: &str, name: &str) -> bool {
    match wanted.split_once('/') {
        Some((wanted_kind, wanted_name)) => wanted_kind.eq_ignore_ascii_case(kind) && wanted_name == name,
        None => wanted == name,
    }
}

#[cfg(test)]
mod tests;
