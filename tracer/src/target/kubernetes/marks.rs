//! What a pod says of how it wants to be traced: annotations `tracer.io/…`, or labels of the same name.

use std::fmt::Display;

use super::pod::Pod;
use crate::mode::{Mode, Tracing};
use crate::target::labels::clean;

/// `"true"`: trace it, where a rule takes pods that want it. `"false"`: no rule that looks at pods takes it.
pub const ENABLED: &str = "tracer.io/enabled";
/// `alloc` or `live`.
pub const MODE: &str = "tracer.io/mode";
/// Mean bytes between samples: `512KiB`.
pub const SAMPLE_BYTES: &str = "tracer.io/sample-bytes";

/// See above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Whether it is to be traced, if it says so. What is neither true nor false is taken for no: whoever wrote it may have
    /// meant that.
    pub is_enabled: Option<bool>,
    /// Instead of the rule's.
    pub mode: Option<Mode>,
    /// Instead of the rule's.
    pub sample_bytes: Option<u64>,
    /// What it says and cannot mean, fit to be shown.
    pub wrong: Vec<String>,
}

impl Pod {
    /// An annotation, or the label of the same name.
    #[must_use]
    pub fn mark(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).or_else(|| self.labels.get(key)).map(String::as_str)
    }

    /// [`Marks::is_enabled`].
    #[must_use]
    pub fn is_enabled(&self) -> Option<bool> {
        self.mark(ENABLED).map(|text| clean(text) == "true")
    }

    /// What it says of how it wants to be traced. The checks are those of the settings of that kind; each is given a text and
    /// what it is called.
    #[must_use]
    pub fn marks<E: Display>(
        &self,
        mode: impl Fn(&str, &str) -> Result<Mode, E>,
        sample_bytes: impl Fn(&str, &str) -> Result<u64, E>,
    ) -> Marks {
        let mut wrong = Vec::new();
        let _ = self.checked(&mut wrong, ENABLED, is_truth);
        Marks {
            is_enabled: self.is_enabled(),
            mode: self.checked(&mut wrong, MODE, mode),
            sample_bytes: self.checked(&mut wrong, SAMPLE_BYTES, sample_bytes),
            wrong,
        }
    }

    fn checked<T, E: Display>(
        &self,
        wrong: &mut Vec<String>,
        key: &str,
        check: impl Fn(&str, &str) -> Result<T, E>,
    ) -> Option<T> {
        // Whoever may label a pod chooses the text, which goes into messages.
        let text = clean(self.mark(key)?);
        let say = |error| wrong.push(format!("pod {}/{}: {error}", self.namespace, self.name));
        check(&text, key).map_err(say).ok()
    }
}

fn is_truth(text: &str, name: &str) -> Result<(), String> {
    match text {
        "true" | "false" => Ok(()),
        _ => Err(format!("{name} {text}: it is neither \"true\" nor \"false\", and taken for \"false\"")),
    }
}

impl Marks {
    /// As the pod wants it.
    #[must_use]
    pub fn of(&self, tracing: Tracing) -> Tracing {
        Tracing {
            mode: self.mode.unwrap_or(tracing.mode),
            sample_bytes: self.sample_bytes.unwrap_or(tracing.sample_bytes),
            ..tracing
        }
    }
}
