//! What the series of a process are told apart by.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use facts::Facts;
pub use rules::{LabelRule, LabelRules};
pub use source::{OfPod, Source, Where};
pub use text::{MAX_VALUE_CHARACTERS, clean};
pub use unit::{UNIT_SUFFIXES, unit_of, units_of, units_of_line};

mod built_in;
mod facts;
mod kubernetes;
mod rules;
mod source;
mod text;
mod unit;

/// The labels of every series of a target; an empty one is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelSet {
    /// Where the service lives.
    pub namespace: Arc<str>,
    /// What runs.
    pub service: Arc<str>,
    /// Which release of it.
    pub version: Arc<str>,
    /// `canary` or `stable`; in containers also `unknown`.
    pub canary_group: Arc<str>,
    /// What deploys it.
    pub workload: Arc<str>,
}

/// Names of the labels, in the order of the series.
pub const NAMES: [&str; 5] = ["namespace", "service", "version", "canary_group", "workload"];

impl LabelSet {
    /// Names and values, in the order of [`NAMES`].
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, &str); 5] {
        let [namespace, service, version, canary_group, workload] = NAMES;
        [
            (namespace, &*self.namespace),
            (service, &*self.service),
            (version, &*self.version),
            (canary_group, &*self.canary_group),
            (workload, &*self.workload),
        ]
    }
}
