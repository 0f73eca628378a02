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

/// How a process is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracing {
    /// What.
    pub mode: Mode,
    /// Mean bytes between samples; 0 is every allocation.
    pub sample_bytes: u64,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Alloc => "alloc",
            Self::Live => "live",
        })
    }
}
