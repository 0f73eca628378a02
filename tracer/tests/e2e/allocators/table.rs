//! What the matrix found, for `docs/allocators.md`: one file per cell, where `cargo xtask allocators` wants them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use tracer::model::snapshot::{Allocator, Snapshot};

/// Where to, if anybody wants them.
const FOLDER: &str = "TRACER_ALLOCATORS";

/// A line of the table.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    allocator: &'static str,
    link: String,
    /// What the report calls the allocators that were used, with their versions.
    seen: BTreeSet<String>,
    /// Functions that the program called.
    entry_points: usize,
    /// Of the settings, in their order.
    pub(super) results: Vec<&'static str>,
    pub(super) note: String,
}

impl Row {
    pub(super) fn new(allocator: &'static str, link: &str) -> Self {
        Self {
            allocator,
            link: link.to_owned(),
            seen: BTreeSet::new(),
            entry_points: 0,
            results: Vec::new(),
            note: String::new(),
        }
    }

    /// Takes from a report what the table shows.
    pub(super) fn learn(&mut self, snapshot: &Snapshot, called: &BTreeSet<&str>) {
        self.entry_points = called.len();
        let mut without_return_probe = BTreeSet::new();
        // libc's malloc is dead code beside an allocator that replaces it.
        let is_used =
            |allocator: &&Allocator| allocator.totals.as_ref().is_none_or(|totals| totals.alloc_objects > 0);
        let allocators = snapshot.targets.iter().flat_map(|target| &target.allocators);
        for allocator in allocators.filter(is_used) {
            let is_called = |name: &String| called.contains(name.as_str());
            let used = allocator
                .probes
                .iter()
                .filter(|probe| is_called(&probe.function) || probe.aliases.iter().any(is_called));
            for probe in used {
                let version = allocator.version.iter().map(|version| format!(" {version}"));
                self.seen.insert([allocator.name.clone()].into_iter().chain(version).collect());
                if probe.returns == "ret_sites" {
                    without_return_probe.insert(probe.function.as_str());
                }
            }
        }
        if !without_return_probe.is_empty() {
            let names: Vec<&str> = without_return_probe.into_iter().collect();
            self.note = format!("probes at the `ret` instructions of {}", names.join(", "));
        }
    }
}

/// Leaves the row where it was asked for.
pub(super) fn write(test: &str, place: usize, row: &Row) {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let path = folder.join(format!("{test}-{place:02}.json"));
    let text = serde_json::to_string(row).expect("plain data");
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
