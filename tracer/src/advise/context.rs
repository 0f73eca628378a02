//! What a group is a part of: its process, and the time.

use std::collections::HashMap;

use super::document::Seen;
use super::group::{Group, Groups};
use super::rule::Family;
use crate::model::snapshot::Snapshot;

/// All of a process.
#[derive(Clone, Copy, Debug, Default)]
struct Whole {
    objects: f64,
    bytes: f64,
    /// First buckets and groups of maps that were filled where they were not made.
    filled_for_others: f64,
    /// How long it was counted.
    seconds: Option<f64>,
}

/// What groups are compared with.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// How long was counted, all processes together; `None` where the document does not say it.
    pub(super) seconds: Option<f64>,
    processes: HashMap<u32, Whole>,
}

impl Context {
    pub(super) fn of(snapshot: &Snapshot, groups: &Groups) -> Self {
        let seconds = snapshot.attached_seconds;
        let mut processes: HashMap<u32, Whole> = HashMap::new();
        for site in &snapshot.sites {
            let whole = processes.entry(site.pid).or_default();
            whole.objects += site.alloc_objects as f64;
            whole.bytes += site.alloc_bytes as f64;
        }
        for target in &snapshot.targets {
            let whole = processes.entry(target.pid).or_default();
            // Sites may have been filtered, or be estimates.
            whole.objects = whole.objects.max(target.totals.alloc_objects as f64);
            whole.bytes = whole.bytes.max(target.totals.alloc_bytes as f64);
            whole.seconds = Some(target.seconds_of(seconds));
        }
        for group in groups.groups.iter().filter(|group| group.family == Family::Map) {
            processes.entry(group.pid).or_default().filled_for_others += group.maps.filled_for_others();
        }
        Self { seconds: (seconds.is_finite() && seconds > 0.0).then_some(seconds), processes }
    }

    fn whole(&self, group: &Group) -> Whole {
        self.processes.get(&group.pid).copied().unwrap_or_default()
    }

    /// How long its process was counted: less where that came later or has ended before. `None` as above.
    pub(super) fn seconds_of(&self, group: &Group) -> Option<f64> {
        self.seconds.map(|all| self.whole(group).seconds.unwrap_or(all))
    }

    /// The larger of the shares of objects and of bytes, at least.
    pub(super) fn least_share(&self, group: &Group) -> f64 {
        let whole = self.whole(group);
        share(group.objects.least(), whole.objects).max(share(group.bytes.least(), whole.bytes))
    }

    /// Maps that other functions may have filled for this one, for each that it makes.
    pub(super) fn filled_elsewhere(&self, group: &Group) -> f64 {
        share(self.whole(group).filled_for_others - group.maps.filled_for_others(), group.maps.made.value)
    }

    pub(super) fn seen(&self, group: &Group) -> Seen {
        let whole = self.whole(group);
        let seconds = self.seconds_of(group);
        let rate = |amount: f64| seconds.map(|seconds| amount / seconds);
        Seen {
            objects: group.objects.value.round() as u64,
            bytes: group.bytes.value.round() as u64,
            objects_per_second: rate(group.objects.value),
            bytes_per_second: rate(group.bytes.value),
            least_objects_per_second: rate(group.objects.least()),
            least_bytes_per_second: rate(group.bytes.least()),
            mean_bytes: group.mean_bytes(),
            objects_share: share(group.objects.value, whole.objects),
            bytes_share: share(group.bytes.value, whole.bytes),
            kept_ratio: group.kept(),
            inuse_bytes: group.inuse_bytes,
            samples: group.objects.samples,
        }
    }
}

/// 0 of nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
