//! Answers what is asked over HTTP and the socket: profiles of a process, or of all.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Failure;
use super::fleet::Fleet;
use crate::model::node::{Node, NodeTarget, TargetId};
use crate::model::snapshot::{CallSite, Snapshot};
use crate::serve::shared::{Ask, Shared};

/// Call sites of each process in the profile of all; the rest is one. A profile of one process has all of them.
const SITES_PER_TARGET: usize = 1000;
/// Why the stack of the rest is not there.
const FOLDED: &str = "folded";

impl Fleet {
    /// Answers; who asks may have gone, and needs no profile any more.
    pub(super) fn answer(&mut self, ask: Ask, shared: &Shared) {
        match ask {
            Ask::Profile { answer, .. } if answer.is_closed() => {}
            Ask::Profile { target, answer } => {
                let node = shared.node();
                let profile = match target {
                    Some(id) => self.profile_of(id, &node),
                    None => self.profile_of_all(&node).map(Some),
                };
                let profile = profile.unwrap_or_else(|failure| {
                    self.session.note(format!("a profile could not be made: {failure}"));
                    None
                });
                drop(answer.send(profile.map(Arc::new)));
            }
            Ask::Control { request, answer, .. } => {
                drop(answer.send(self.control(&request, &shared.node())));
            }
        }
    }

    fn profile_of(&mut self, id: TargetId, node: &Node) -> Result<Option<Snapshot>, Failure> {
        let Some(mut snapshot) = self.session.glance_at(id, &self.options)? else { return Ok(None) };
        label(&mut snapshot, id, node);
        Ok(Some(snapshot))
    }

    fn profile_of_all(&mut self, node: &Node) -> Result<Snapshot, Failure> {
        let mut all = self.session.overview(&self.options)?;
        let records = self.session.records(&self.options);
        let mut folded = 0;
        for id in node.targets.iter().map(|target| target.id) {
            // New stacks of others do not wait for all of them.
            self.session.drain();
            let Some(mut one) = self.session.glance_among(id, &records, &self.options)? else { continue };
            label(&mut one, id, node);
            folded += fold(&mut one.sites);
            all.sites.append(&mut one.sites);
            all.quality.pending_symbols += one.quality.pending_symbols;
            all.quality.unsymbolized_frames += one.quality.unsymbolized_frames;
            for (reason, count) in one.quality.truncated {
                *all.quality.truncated.entry(reason).or_insert(0) += count;
            }
            for target in all
                .targets
                .iter_mut()
                .filter(|target| (target.pid, target.start_time) == (id.pid, id.start_time))
            {
                target.labels = one.labels.clone();
            }
        }
        if folded > 0 {
            all.quality.notes.push(format!(
                "{folded} call sites are one each per process here, those of least weight: a profile of one process has all"
            ));
        }
        Ok(all)
    }
}

/// Gives the picture of a process its labels.
fn label(snapshot: &mut Snapshot, id: TargetId, node: &Node) {
    let labels = node.targets.iter().find(|target| target.id == id).map(labels_of).unwrap_or_default();
    snapshot.labels.extend(labels.clone());
    for target in &mut snapshot.targets {
        target.labels.clone_from(&labels);
    }
}

/// The labels of a process that are known, and its pod, which no series has.
fn labels_of(target: &NodeTarget) -> BTreeMap<String, String> {
    let pod = target.pod.as_ref();
    let of_pod = pod.map(|pod| ("pod", &*pod.name)).into_iter();
    let of_container = pod.and_then(|pod| Some(("container", &**pod.container.as_ref()?)));
    let all = target.labels.pairs().into_iter().chain(of_pod).chain(of_container);
    let known = all.filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Leaves the call sites of most weight, and adds the rest up; how many those are.
fn fold(sites: &mut Vec<CallSite>) -> usize {
    if sites.len() <= SITES_PER_TARGET {
        return 0;
    }
    sites.sort_by_key(|site| Reverse((site.inuse_bytes.unwrap_or(0), site.alloc_bytes)));
    let rest = sites.split_off(SITES_PER_TARGET - 1);
    let count = rest.len();
    sites.extend(rest.into_iter().reduce(together));
    count
}

/// Two sites as one, whose stack is not there.
fn together(mut a: CallSite, b: CallSite) -> CallSite {
    let plus = |a: &mut Option<u64>, b: Option<u64>| *a = a.zip(b).map(|(a, b)| a + b).or(*a).or(b);
    let error = |a: f64, b: f64| f64::hypot(a, b);
    let errors = &mut a.standard_error;
    errors.alloc_objects = error(errors.alloc_objects, b.standard_error.alloc_objects);
    errors.alloc_bytes = error(errors.alloc_bytes, b.standard_error.alloc_bytes);
    errors.inuse_objects = errors.inuse_objects.zip(b.standard_error.inuse_objects).map(|(a, b)| error(a, b));
    errors.inuse_bytes = errors.inuse_bytes.zip(b.standard_error.inuse_bytes).map(|(a, b)| error(a, b));
    plus(&mut a.free_objects, b.free_objects);
    plus(&mut a.inuse_objects, b.inuse_objects);
    plus(&mut a.inuse_bytes, b.inuse_bytes);
    plus(&mut a.inuse_samples, b.inuse_samples);
    CallSite {
        alloc_objects: a.alloc_objects + b.alloc_objects,
        alloc_bytes: a.alloc_bytes + b.alloc_bytes,
        samples: a.samples + b.samples,
        oldest_seconds: None,
        interval_95: None,
        truncated: Some(FOLDED.to_owned()),
        thread: None,
        allocator: None,
        frames: Arc::default(),
        ..a
    }
}
