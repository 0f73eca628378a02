//! The processes of a document as units.

use crate::model::snapshot::{CallSite, Snapshot, Target};

use super::Unit;
use super::amount::with_errors;

/// Stands where a profile of another program says nothing (`view/pprof/foreign.rs`).
const UNKNOWN: &str = "unknown";

impl Unit {
    /// The processes of a document, each a unit. A profile of another program is one run: it says neither which process
    /// it is of nor what was lost.
    #[must_use]
    pub fn of(snapshot: &Snapshot, name: &str) -> Vec<Self> {
        if is_foreign(snapshot) {
            return vec![run(snapshot, name)];
        }
        snapshot.targets.iter().map(|target| process(snapshot, target, name)).collect()
    }

    /// Only some of its call sites: its totals are what these have together, and no longer exact.
    pub fn retain_sites(&mut self, wanted: impl Fn(&CallSite) -> bool) {
        self.sites.retain(wanted);
        self.exact = None;
        self.inuse_bytes = self.inuse_bytes.map(|_| sum_of_inuse(&self.sites));
    }
}

fn is_foreign(snapshot: &Snapshot) -> bool {
    snapshot.tool.version == UNKNOWN && snapshot.host.kernel == UNKNOWN
}

fn run(snapshot: &Snapshot, name: &str) -> Unit {
    let sites: Vec<CallSite> = snapshot.sites.iter().map(|site| with_errors(site, snapshot)).collect();
    let inuse = sum_of_inuse(&sites);
    Unit {
        name: name.to_owned(),
        process: None,
        processes: 1,
        seconds: (snapshot.attached_seconds > 0.0).then_some(snapshot.attached_seconds),
        cpu_seconds: None,
        requests: None,
        mode: None,
        sample_bytes: snapshot.sample_bytes,
        exact: None,
        inuse_bytes: Some(inuse),
        sites,
    }
}

fn sum_of_inuse(sites: &[CallSite]) -> (u64, f64) {
    let bytes = sites.iter().fold(0_u64, |sum, site| sum.saturating_add(site.inuse_bytes.unwrap_or(0)));
    let variance: f64 = sites.iter().map(|site| site.standard_error.inuse_bytes.unwrap_or(0.0).powi(2)).sum();
    (bytes, variance.sqrt())
}

fn process(snapshot: &Snapshot, target: &Target, name: &str) -> Unit {
    let host = &snapshot.host;
    let of_it = snapshot.sites.iter().filter(|site| site.pid == target.pid);
    let runtimes = target.allocators.iter().filter_map(|allocator| allocator.sample_bytes);
    let name =
        if snapshot.targets.len() > 1 { format!("{name} pid {}", target.pid) } else { name.to_owned() };
    let totals = &target.totals;
    let error = totals.standard_error.get("inuse_bytes").copied().unwrap_or(0.0);
    Unit {
        name,
        process: (target.start_time > 0)
            .then(|| (format!("{} {} {}", host.kernel, host.arch, host.cpus), target.pid, target.start_time)),
        processes: target.processes.max(1),
        seconds: (snapshot.attached_seconds > 0.0).then_some(snapshot.attached_seconds),
        cpu_seconds: (target.cpu_seconds > 0.0).then_some(target.cpu_seconds),
        requests: None,
        mode: Some(snapshot.mode),
        sample_bytes: runtimes.fold(snapshot.sample_bytes, u64::max),
        // In both modes, sampled or not (docs/accuracy.md, "What is exact").
        exact: Some((totals.alloc_bytes, totals.alloc_objects)),
        inuse_bytes: totals.inuse_bytes.map(|bytes| (bytes, error)),
        sites: of_it.map(|site| with_errors(site, snapshot)).collect(),
    }
}
