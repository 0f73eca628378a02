//! What is traced: the one choice that every stage knows.

use serde::{Deserialize, Serialize};

/// What is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Entries of the allocating functions: every attempt counts.
    Alloc,
    #[default]
    /// And their returns, and the freeing functions: successes count, and blocks are followed.
    Live,
}

/// Where the call sites of a Go program come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GoSource {
    /// The profile of its runtime; probes where that has none.
    #[default]
    Auto,
    /// The profile of its runtime, or nothing.
    Runtime,
    /// Probes on the functions that allocate.
    Probes,
}

impl GoSource {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Runtime, Self::Probes];
}

impl std::fmt::Display for GoSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Runtime => "runtime",
            Self::Probes => "probes",
        })
    }
}

/// How a process is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracing {
    /// What.
    pub mode: Mode,
    /// Mean bytes between samples; 0 is every allocation.
    pub sample_bytes: u64,
    /// Who counts Go's call sites.
    pub go: GoSource,
}

/// What is said of how a process is traced; the rest stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub mode: Option<Mode>,
    /// Mean bytes between samples.
    pub sample_bytes: Option<u64>,
}

impl Change {
    /// With what is said of it.
    #[must_use]
    pub fn of(self, tracing: Tracing) -> Tracing {
        Tracing {
            mode: self.mode.unwrap_or(tracing.mode),
            sample_bytes: self.sample_bytes.unwrap_or(tracing.sample_bytes),
            ..tracing
        }
    }

    /// What is said later goes before.
    #[must_use]
    pub fn with(self, later: Self) -> Self {
        Self { mode: later.mode.or(self.mode), sample_bytes: later.sample_bytes.or(self.sample_bytes) }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Alloc => "alloc",
            Self::Live => "live",
        })
    }
}
