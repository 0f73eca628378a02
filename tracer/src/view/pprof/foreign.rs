//! The snapshot around the sites of a profile that another program wrote: what can be told, and no more.

use std::collections::BTreeMap;

use crate::model::snapshot::{
    CallSite, Dimension, Host, Mode, Overhead, Quality, SCHEMA, Snapshot, Target, Tool, Totals, Verdict,
};
use crate::view::frame;
use crate::view::pprof::proto::Profile;

const UNKNOWN: &str = "unknown";
const NOTE: &str =
    "written by another program: what it lost, its allocator, CPU time and memory are not known";

/// Builds it from the profile's own fields and from sums over the sites.
pub(super) fn snapshot(
    profile: &Profile,
    sites: Vec<CallSite>,
    labels: BTreeMap<String, String>,
    program: Option<(String, Option<String>)>,
) -> Snapshot {
    let seconds = profile.duration_nanos.max(0) as f64 / 1e9;
    let (exe, build_id) = program.unwrap_or_else(|| (UNKNOWN.to_owned(), None));
    let mut by_pid: BTreeMap<u32, Vec<&CallSite>> = BTreeMap::new();
    for site in &sites {
        by_pid.entry(site.pid).or_default().push(site);
    }
    let target = |(pid, sites): (u32, Vec<&CallSite>)| Target {
        pid,
        start_time: 0,
        comm: frame::basename(&exe).to_owned(),
        exe: exe.clone(),
        build_id: build_id.clone(),
        labels: BTreeMap::new(),
        processes: 1,
        cpu_seconds: 0.0,
        tracing_cpu_seconds: None,
        counted_seconds: None,
        inuse_seconds: None,
        resident_bytes: 0,
        ended: None,
        allocators: Vec::new(),
        totals: totals(&sites),
        gc: None,
        timeline: None,
    };
    Snapshot {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: UNKNOWN.to_owned() },
        host: Host { kernel: UNKNOWN.to_owned(), arch: UNKNOWN.to_owned(), cpus: 0 },
        started_at: jiff::Timestamp::from_nanosecond(profile.time_nanos.into()).unwrap_or_default(),
        duration_seconds: seconds,
        attached_seconds: seconds,
        mode: Mode::Live,
        sample_bytes: u64::try_from(profile.period).unwrap_or(0),
        labels,
        targets: by_pid.into_iter().map(target).collect(),
        overhead: Overhead::default(),
        quality: Quality {
            notes: vec![NOTE.to_owned()],
            // Never more than that of numbers whose making is not known.
            verdict: Verdict::Sampled,
            ..Quality::default()
        },
        sites,
    }
}

fn totals(sites: &[&CallSite]) -> Totals {
    let sum = |dimension| sites.iter().fold(0_u64, |sum, site| sum.saturating_add(site.value(dimension)));
    Totals {
        alloc_objects: sum(Dimension::AllocObjects),
        alloc_bytes: sum(Dimension::AllocSpace),
        inuse_objects: Some(sum(Dimension::InuseObjects)),
        inuse_bytes: Some(sum(Dimension::InuseSpace)),
        ..Totals::default()
    }
}
