//! Both sides: where their documents come from, and the units that these are.

use std::collections::BTreeSet;

use super::settings::Settings;
use super::source::Source;
use super::{daemon, files, requests};
use crate::canary::{Side, Unit};
use crate::command::messages::Messages;
use crate::command::{Failure, attach};
use crate::model::snapshot::Snapshot;
use crate::options::UsageError;

/// A profile of a side.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// Its file, its pid, or its pod.
    pub(super) name: String,
    pub(super) snapshot: Snapshot,
}

/// Reads or traces both sides.
pub(super) fn sides(settings: &Settings, messages: &Messages) -> Result<[Side; 2], Failure> {
    let mut documents = [Vec::new(), Vec::new()];
    for (source, documents) in settings.sources.iter().zip(&mut documents) {
        if let Source::Files(paths) = source {
            *documents = files::read_all(paths)?;
        }
    }
    trace(settings, &mut documents, messages)?;
    daemon::read(settings, &mut documents, messages)?;
    let mut units = documents.each_ref().map(|documents| {
        let of = |document: &Document| Unit::of(&document.snapshot, &document.name);
        documents.iter().map(of).collect::<Vec<_>>()
    });
    let [base, canary] = &units;
    requests::check_apart(settings.requests(), [base, canary])?;
    let mut sides = Vec::new();
    let given = documents.iter().zip(&mut units).zip(&settings.names).zip(settings.requests());
    for (((documents, units), name), requests) in given {
        if let Some(requests) = requests {
            requests::give(requests, documents, units)?;
        }
        let mut units: Vec<Unit> = std::mem::take(units).into_iter().flatten().collect();
        filter(settings, &mut units);
        sides.push(Side { name: name.clone(), units });
    }
    let [Some(base), Some(canary)] = [sides.first().cloned(), sides.get(1).cloned()] else {
        return Err(anyhow::anyhow!("a side is missing").into());
    };
    Ok([base, canary])
}

/// The pids of both sides in one session: both are traced at the same time.
fn trace(
    settings: &Settings,
    documents: &mut [Vec<Document>; 2],
    messages: &Messages,
) -> Result<(), Failure> {
    let pids = settings.sources.each_ref().map(|source| match source {
        Source::Pids(pids) => pids.clone(),
        Source::Files(_) | Source::Labels(_) => BTreeSet::new(),
    });
    let [base, canary] = &pids;
    if let Some(pid) = base.intersection(canary).next() {
        return Err(UsageError(format!(
            "pid {pid} is on both sides: a process cannot be compared with itself"
        ))
        .into());
    }
    let all: Vec<u32> = base.union(canary).copied().collect();
    if all.is_empty() {
        return Ok(());
    }
    let snapshot = attach::picture(&all, &settings.trace, messages)?;
    for (pids, documents) in pids.iter().zip(documents) {
        documents.extend(pids.iter().map(|&pid| of_pid(&snapshot, pid)));
    }
    Ok(())
}

/// What a snapshot says of a process.
fn of_pid(snapshot: &Snapshot, pid: u32) -> Document {
    let mut own = Snapshot { targets: Vec::new(), sites: Vec::new(), ..snapshot.clone() };
    own.targets = snapshot.targets.iter().filter(|target| target.pid == pid).cloned().collect();
    own.sites = snapshot.sites.iter().filter(|site| site.pid == pid).cloned().collect();
    let comm = own.targets.first().map_or("pid", |target| &target.comm);
    Document { name: format!("{comm}-{pid}"), snapshot: own }
}

/// Only the call sites that are wanted; totals are theirs then.
fn filter(settings: &Settings, units: &mut [Unit]) {
    let filter = &settings.trace.filter;
    if filter.include.is_none() && filter.exclude.is_none() {
        return;
    }
    for unit in units {
        unit.retain_sites(|site| filter.wants(&site.frames));
    }
}
