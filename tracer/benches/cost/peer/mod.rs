//! Other tools at the same functions, for comparison, where they are installed.

mod bpftrace;
mod headers;
mod heaptrack;
mod memleak;
mod perf;
mod tool;
mod tracefs;

use std::path::PathBuf;

use anyhow::Result;

use crate::floor::ProbeSet;
use crate::rows::Row;
use crate::workload::Workload;

/// A tool in one of its uses.
pub(crate) trait Peer {
    /// The workload's nanoseconds per pair under it.
    fn measure(&mut self, workload: &mut Workload, object: &str, pairs: u64) -> Result<f64>;

    /// What the number does not show.
    fn note(&self) -> Option<String> {
        None
    }
}

/// A tool that is here, or how to get it.
type Found = Result<Box<dyn Peer>, String>;

/// All that are known: the row of each, and the tool.
pub(crate) fn all() -> Vec<(Row, Found)> {
    let mut all = Vec::new();
    for script in bpftrace::Script::ALL {
        all.push((Row::Peer(script.name(), script.floor()), bpftrace::find(script)));
    }
    for kind in memleak::Kind::ALL {
        all.push((Row::Peer(kind.name(), ProbeSet::L), memleak::find(kind)));
    }
    for kind in perf::Kind::ALL {
        all.push((Row::Peer(kind.name(), ProbeSet::E), perf::find(kind)));
    }
    // It follows every block, so it is held against the floor of mode `live`, though it has no probe.
    all.push((Row::Peer(heaptrack::NAME, ProbeSet::L), heaptrack::find()));
    all
}

/// Where a program is, or what brings it.
pub(crate) fn program(name: &str, package: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file()).ok_or_else(|| {
        format!("there is no {name}; `cargo xtask setup --bench` installs the package {package}")
    })
}
