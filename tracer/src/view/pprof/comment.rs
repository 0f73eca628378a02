//! Comments of a profile: short ones for people, and one with the snapshot without its sites for reading back.

use std::collections::BTreeMap;

use crate::model::snapshot::{SCHEMA, Snapshot};
use crate::units::Age;
use crate::view::pprof::Since;
use crate::view::{gc, runtime, words};

/// The comments of a snapshot. A profile of a time has no sums to read back: those of the snapshot are of all its time.
pub(super) fn all(snapshot: &Snapshot, since: Option<Since<'_>>) -> Vec<String> {
    let cpu_seconds: f64 = snapshot.targets.iter().map(|target| target.cpu_seconds).sum();
    let processes: u32 = snapshot.targets.iter().map(|target| target.processes).sum();
    let mut comments = vec![
        format!("tracer {}", snapshot.tool.version),
        format!("mode={}", snapshot.mode),
        format!("verdict={}", words::verdict(snapshot.quality.verdict)),
        format!("cpu_seconds={cpu_seconds}"),
        format!("processes={processes}"),
    ];
    if snapshot.is_sampled() {
        comments.push(format!("sample_bytes={}: values are estimates", runtime::interval_bytes(snapshot)));
    }
    comments.extend(runtime::heaps(snapshot).iter().map(runtime::line));
    comments.extend(snapshot.targets.iter().filter_map(|target| {
        let collections = target.gc.as_ref()?;
        let said =
            gc::parts(collections, gc::rate(collections, target.seconds_of(snapshot.attached_seconds)));
        Some(format!("gc[{}]: {}", target.pid, said.join(" · ")))
    }));
    comments.extend(counted("lost", &snapshot.quality.lost));
    comments.extend(counted("attach_failures", &snapshot.quality.attach_failures));
    if let Some(since) = since {
        comments.push(format!("changes in {}", Age(since.duration)));
        return comments;
    }
    // Only a map whose keys are no text could fail here, and there is none.
    if let Ok(json) = serde_json::to_string(&without_sites(snapshot)) {
        comments.push(format!("{}{json}", prefix()));
    }
    comments
}

/// The snapshot without its sites, if this program wrote the profile.
pub(super) fn find<'a>(mut comments: impl Iterator<Item = &'a str>) -> Option<Snapshot> {
    comments.find_map(|comment| serde_json::from_str(comment.strip_prefix(&prefix())?).ok())
}

fn prefix() -> String {
    format!("# {SCHEMA} ")
}

fn counted(name: &str, counts: &BTreeMap<String, u64>) -> Vec<String> {
    counts
        .iter()
        .filter(|&(_, &count)| count > 0)
        .map(|(reason, count)| format!("{name}[{reason}]={count}"))
        .collect()
}

fn without_sites(snapshot: &Snapshot) -> Snapshot {
    Snapshot {
        schema: snapshot.schema.clone(),
        tool: snapshot.tool.clone(),
        host: snapshot.host.clone(),
        started_at: snapshot.started_at,
        duration_seconds: snapshot.duration_seconds,
        attached_seconds: snapshot.attached_seconds,
        mode: snapshot.mode,
        sample_bytes: snapshot.sample_bytes,
        labels: snapshot.labels.clone(),
        targets: snapshot.targets.clone(),
        sites: Vec::new(),
        overhead: snapshot.overhead,
        quality: snapshot.quality.clone(),
    }
}
