//! The part of the JSON document that says what is probed: allocators, their functions and their sums.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FunctionTotals;

/// One allocator of a process and its probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allocator {
    /// `glibc`.
    pub name: String,
    /// Path of its file, as the target sees it.
    pub object: String,
    /// Its version, if the object says it.
    pub version: Option<String>,
    /// Before each function name.
    pub prefix: String,
    /// `uprobe`, or `runtime` where Go's own counters and its own profile were read.
    pub source: String,
    /// With the source `runtime`: mean bytes between its samples (`MemProfileRate`); 1 is every allocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_bytes: Option<u64>,
    /// With the source `runtime`: how old what is in use is: as of the last garbage collection that has finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_age_seconds: Option<f64>,
    /// With the source `runtime`: at most so many bytes are allocated and not in the totals yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
    /// What went through it; the target's totals are the sums of its allocators'.
    #[serde(default)]
    pub totals: Option<AllocatorTotals>,
    /// One per function.
    pub probes: Vec<Probe>,
}

/// Sums of one allocator of one target, exact as those of the target are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AllocatorTotals {
    /// Allocations.
    pub alloc_objects: u64,
    /// Their bytes.
    pub alloc_bytes: u64,
    /// Free events, of known and of unknown blocks.
    pub free_objects: Option<u64>,
    /// Bytes of known blocks that were freed; null if sampled.
    pub free_bytes: Option<u64>,
    /// By the name of the function.
    pub by_function: BTreeMap<String, FunctionTotals>,
}

/// One probed function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The name it is counted under.
    pub function: String,
    /// Other names of the same address.
    pub aliases: Vec<String>,
    /// Where the probe lies in the file.
    pub file_offset: u64,
    /// Bytes that SP has moved since the entry.
    pub shift: u64,
    /// The kernel emulates the probed instruction; else it is single-stepped.
    pub emulated: bool,
    /// `uprobe_multi` or `perf_event`.
    pub attach: String,
    /// `uretprobe`, `ret_sites` or `none`.
    #[serde(rename = "return")]
    pub returns: String,
    /// What the reader should know about it.
    pub note: Option<String>,
}
