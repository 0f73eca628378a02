//! What is traced: the one choice that every stage knows.

use serde::{Deserialize, Serialize};

/// What is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Entries of the allocating functions: every attempt counts.
    Alloc,
    /// And their returns, and the freeing functions: successes count, and blocks are followed.
    Live,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Alloc => "alloc",
            Self::Live => "live",
        })
    }
}
