//! The quality block of the document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How good the numbers are: every output carries it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Probe hits that counted.
    pub events: u64,
    /// Events whose stack was walked.
    pub sampled: u64,
    /// Events that are missing somewhere, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Stacks that end early, by reason.
    pub truncated: BTreeMap<String, u64>,
    /// Frames without a function name.
    pub unsymbolized_frames: u64,
    /// Return addresses whose names are still being looked up, while tracing goes on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pending_symbols: u64,
    /// Frees of blocks older than the attach.
    pub frees_unmatched: Option<u64>,
    /// Calls that had not returned, or never will.
    pub pending_unreturned: u64,
    /// Returns of calls that entered before counting began; they do not count.
    #[serde(default)]
    pub returns_without_entry: Option<u64>,
    /// Probes that could not be placed, by reason.
    pub attach_failures: BTreeMap<String, u64>,
    /// Where sampled: whether the estimates fit the exact totals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_check: Option<SelfCheck>,
    /// Sentences the reader should know: what was used instead of what, and why.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The verdict.
    pub verdict: Verdict,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The estimates of all sites, added up, against exact totals of the same allocations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfCheck {
    /// Of `alloc_objects`.
    pub alloc_objects: Comparison,
    /// Of `alloc_bytes`; the bytes of failed calls are not known, so it is left out where any has failed.
    pub alloc_bytes: Option<Comparison>,
}

/// An estimate and the truth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The truth.
    pub exact: u64,
    /// The estimate.
    pub estimated: u64,
    /// Of the estimate.
    pub standard_error: f64,
    /// The difference in standard errors: within 2 in 95 % of all runs, within 4 in nearly all; `None` without
    /// an error.
    pub deviation: Option<f64>,
}

/// Whether the numbers can be trusted as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was lost, nothing is estimated.
    #[default]
    Exact,
    /// Nothing was lost; estimates carry their error.
    Sampled,
    /// A `lost` counter or an attach failure is above 0.
    Lossy,
}
