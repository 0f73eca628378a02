//! What the daemon says of the rollouts on its node, and the JSON of it. A verdict that cannot be given is there with its
//! reason, never left out.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;

use crate::canary::Comparison;
use crate::target::labels::LabelSet;

/// The verdicts of one moment.
#[derive(Clone, Debug, Default)]
pub struct Canaries {
    /// One per service, in the order of their labels.
    pub services: Vec<ServiceCanary>,
    /// Sentences the reader should know.
    pub notes: Vec<String>,
}

/// What both sides of a rollout have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ServiceName {
    /// Where the service lives.
    pub namespace: Arc<str>,
    /// What runs.
    pub service: Arc<str>,
    /// What deploys it.
    pub workload: Arc<str>,
}

/// The verdict of one service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceCanary {
    /// Whose it is.
    pub labels: ServiceName,
    /// When it was computed.
    pub at: jiff::Timestamp,
    /// Stable is its base.
    pub comparison: Arc<Comparison>,
}

impl ServiceName {
    /// Of a process with these labels.
    #[must_use]
    pub fn of(labels: &LabelSet) -> Self {
        Self {
            namespace: Arc::clone(&labels.namespace),
            service: Arc::clone(&labels.service),
            workload: Arc::clone(&labels.workload),
        }
    }

    /// Names and values.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, &str); 3] {
        [("namespace", &*self.namespace), ("service", &*self.service), ("workload", &*self.workload)]
    }
}

impl Canaries {
    /// Those of one service, by its name; all where there is none.
    pub fn of_service<'a>(&'a self, service: Option<&'a str>) -> impl Iterator<Item = &'a ServiceCanary> {
        self.services.iter().filter(move |one| service.is_none_or(|service| *one.labels.service == *service))
    }
}

/// The document: verdicts, and what concerns all of them.
#[derive(Serialize)]
struct Document<'a> {
    services: Vec<&'a ServiceCanary>,
    notes: &'a [String],
}

/// Writes the verdicts as JSON.
///
/// # Errors
/// Only those of the writer.
pub fn write(canaries: &Canaries, service: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    let document = Document { services: canaries.of_service(service).collect(), notes: &canaries.notes };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
