//! The processes of a document as units.

use crate::model::snapshot::{CallSite, Snapshot, Target, Verdict};

use super::Unit;
use super::amount::with_errors;

/// Stands where a profile of another program says nothing (`view/pprof/foreign.rs`).
const UNKNOWN: &str = "unknown";
/// Of its CPU time, what a process is taken to need for itself at least.
const LEAST_OWN_SHARE: f64 = 0.05;

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
    // A difference of two profiles has what has come to be in use, which may be less than nothing.
    let inuse = (snapshot.attached_seconds <= 0.0).then(|| sum_of_inuse(&sites));
    Unit {
        name: name.to_owned(),
        process: None,
        processes: 1,
        seconds: (snapshot.attached_seconds > 0.0).then_some(snapshot.attached_seconds),
        times: times(snapshot, snapshot.attached_seconds),
        cpu_seconds: None,
        tracing_share: 0.0,
        requests: None,
        mode: None,
        sample_bytes: snapshot.sample_bytes,
        exact: None,
        inuse_bytes: inuse,
        inuse_seconds: None,
        is_lossy: false,
        sites,
    }
}

/// From when to when, in seconds since 1970.
fn times(snapshot: &Snapshot, seconds: f64) -> Option<(f64, f64)> {
    let started = snapshot.started_at.as_microsecond() as f64 / 1e6;
    let to = started + snapshot.attached_seconds;
    (started > 0.0 && seconds > 0.0 && to.is_finite()).then_some((to - seconds, to))
}

/// CPU time of a process without what tracing added to it, as predicted: that grows with its allocations, so that a side
/// which allocates more would be divided by more. Where nearly all of it would be tracing, the prediction is not believed.
#[must_use]
pub fn own_cpu_seconds(cpu_seconds: f64, tracing_cpu_seconds: Option<f64>) -> f64 {
    (cpu_seconds - tracing_cpu_seconds.unwrap_or(0.0)).max(cpu_seconds * LEAST_OWN_SHARE)
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
    // A process that came later than the session, or ended before it, was counted for less.
    let age = target.counted_seconds.unwrap_or(snapshot.attached_seconds);
    let seconds = age.min(snapshot.attached_seconds);
    let own = own_cpu_seconds(target.cpu_seconds, target.tracing_cpu_seconds);
    Unit {
        name,
        process: (target.start_time > 0)
            .then(|| (format!("{} {} {}", host.kernel, host.arch, host.cpus), target.pid, target.start_time)),
        processes: target.processes.max(1),
        seconds: (seconds > 0.0).then_some(seconds),
        times: times(snapshot, seconds),
        cpu_seconds: (own > 0.0).then_some(own),
        tracing_share: if target.cpu_seconds > 0.0 { 1.0 - own / target.cpu_seconds } else { 0.0 },
        requests: None,
        mode: Some(snapshot.mode),
        sample_bytes: runtimes.fold(snapshot.sample_bytes, u64::max),
        // In both modes, sampled or not (docs/accuracy.md, "What is exact").
        exact: Some((totals.alloc_bytes, totals.alloc_objects)),
        inuse_bytes: totals.inuse_bytes.map(|bytes| (bytes, error)),
        inuse_seconds: target.inuse_seconds.or(Some(age)).filter(|&age| age > 0.0),
        is_lossy: snapshot.quality.verdict == Verdict::Lossy,
        sites: of_it.map(|site| with_errors(site, snapshot)).collect(),
    }
}
