//! Profiles of a time: what a profile counts from. Call sites are matched by their number within one process, known by
//! pid and start time, so that a pid that comes back is another process.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::model::snapshot::{CallSite, Dimension, Snapshot};

/// Pid, start time, and the number of the call site.
type Key = (u32, u64, u32);

/// The numbers of an earlier moment, no more of them than a delta needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Objects and bytes.
    alloc: HashMap<Key, [u64; 2]>,
    /// Objects and bytes; empty where what is in use stays as it is.
    inuse: HashMap<Key, [u64; 2]>,
}

impl Base {
    /// All four numbers count from that moment on.
    #[must_use]
    pub fn all(snapshot: &Snapshot) -> Self {
        let inuse = |site: &CallSite| [site.inuse_objects.unwrap_or(0), site.inuse_bytes.unwrap_or(0)];
        Self { inuse: numbers(snapshot, inuse), ..Self::allocations(snapshot) }
    }

    /// Allocations count from that moment on; what is in use stays as it is.
    #[must_use]
    pub fn allocations(snapshot: &Snapshot) -> Self {
        let alloc = |site: &CallSite| [site.alloc_objects, site.alloc_bytes];
        Self { alloc: numbers(snapshot, alloc), inuse: HashMap::new() }
    }

    /// Call sites that are held.
    #[must_use]
    pub fn sites(&self) -> usize {
        self.alloc.len()
    }

    /// What became of a number.
    ///
    /// Allocations never become fewer: where they are, counting began anew (another mode), and what is there is what was
    /// added since. What is in use may become less.
    pub(super) fn change(&self, start_time: u64, site: &CallSite, dimension: Dimension) -> i64 {
        let key = (site.pid, start_time, site.id);
        let (map, at) = match dimension {
            Dimension::AllocObjects => (&self.alloc, 0),
            Dimension::AllocSpace => (&self.alloc, 1),
            Dimension::InuseObjects => (&self.inuse, 0),
            Dimension::InuseSpace => (&self.inuse, 1),
        };
        let before = map.get(&key).map_or(0, |numbers| numbers[at]);
        let now = site.value(dimension);
        let counts = matches!(dimension, Dimension::AllocObjects | Dimension::AllocSpace);
        match now.checked_sub(before) {
            Some(more) => i64::try_from(more).unwrap_or(i64::MAX),
            None if counts => i64::try_from(now).unwrap_or(i64::MAX),
            None => i64::try_from(before - now).map_or(i64::MIN, |less| -less),
        }
    }
}

fn numbers(snapshot: &Snapshot, of: impl Fn(&CallSite) -> [u64; 2]) -> HashMap<Key, [u64; 2]> {
    let starts = starts(snapshot);
    let mut numbers: HashMap<Key, [u64; 2]> = HashMap::with_capacity(snapshot.sites.len());
    for site in &snapshot.sites {
        let value = of(site);
        if value != [0, 0] {
            numbers.insert(key(&starts, site), value);
        }
    }
    numbers
}

/// Start times by pid.
pub(super) fn starts(snapshot: &Snapshot) -> HashMap<u32, u64> {
    snapshot.targets.iter().map(|target| (target.pid, target.start_time)).collect()
}

fn key(starts: &HashMap<u32, u64>, site: &CallSite) -> Key {
    (site.pid, starts.get(&site.pid).copied().unwrap_or(0), site.id)
}

/// The later profile, with the call sites that only the earlier one has: nothing of them is in use any more.
#[must_use]
pub fn with_gone<'a>(now: &'a Snapshot, before: &Snapshot) -> Cow<'a, Snapshot> {
    let (starts_now, starts_before) = (starts(now), starts(before));
    let there: HashSet<Key> = now.sites.iter().map(|site| key(&starts_now, site)).collect();
    // Of a pid that has come back the targets know only the later process, under whose name the sites would stand.
    let is_gone = |site: &&CallSite| {
        let key = key(&starts_before, site);
        !there.contains(&key) && starts_now.get(&site.pid).is_none_or(|&start| start == key.1)
    };
    let gone: Vec<CallSite> = before.sites.iter().filter(is_gone).map(emptied).collect();
    if gone.is_empty() {
        return Cow::Borrowed(now);
    }
    let mut whole = now.clone();
    let targets = before.targets.iter().filter(|target| !starts_now.contains_key(&target.pid));
    whole.targets.extend(targets.cloned());
    whole.sites.extend(gone);
    Cow::Owned(whole)
}

fn emptied(site: &CallSite) -> CallSite {
    CallSite {
        alloc_objects: 0,
        alloc_bytes: 0,
        inuse_objects: site.inuse_objects.map(|_| 0),
        inuse_bytes: site.inuse_bytes.map(|_| 0),
        ..site.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    const ALL: [Dimension; 4] =
        [Dimension::AllocObjects, Dimension::AllocSpace, Dimension::InuseObjects, Dimension::InuseSpace];

    fn changes(base: &Base, now: &Snapshot) -> Vec<[i64; 4]> {
        let starts = starts(now);
        let start = |site: &CallSite| starts.get(&site.pid).copied().unwrap_or(0);
        now.sites.iter().map(|site| ALL.map(|dimension| base.change(start(site), site, dimension))).collect()
    }

    #[test]
    fn what_is_in_use_may_become_less_and_allocations_count_on() {
        let before = sample::sample();
        let mut now = before.clone();
        let site = &mut now.sites[0];
        (site.alloc_objects, site.alloc_bytes) = (site.alloc_objects + 5, site.alloc_bytes + 700);
        (site.inuse_objects, site.inuse_bytes) = (Some(1990), Some(12_580_000));
        assert_eq!(changes(&Base::all(&before), &now), [[5, 700, -10, -2912], [0; 4]]);
        let cut = &now.sites[1];
        let (objects, bytes) = (cut.inuse_objects.unwrap() as i64, cut.inuse_bytes.unwrap() as i64);
        assert_eq!(
            changes(&Base::allocations(&before), &now),
            [[5, 700, 1990, 12_580_000], [0, 0, objects, bytes]]
        );
        assert_eq!(changes(&Base::default(), &now)[0], [2105, 13_000_700, 1990, 12_580_000]);
    }

    #[test]
    fn allocations_that_count_anew_are_what_was_added() {
        let before = sample::sample();
        let mut now = before.clone();
        (now.sites[0].alloc_objects, now.sites[0].alloc_bytes) = (3, 90);
        assert_eq!(changes(&Base::all(&before), &now)[0], [3, 90, 0, 0]);
    }

    #[test]
    fn a_pid_that_comes_back_is_another_process() {
        let before = sample::sample();
        let mut now = before.clone();
        now.targets[0].start_time += 1;
        assert_eq!(changes(&Base::all(&before), &now), changes(&Base::default(), &now));
        assert_eq!(with_gone(&now, &before).sites.len(), now.sites.len());
    }

    #[test]
    fn sites_that_are_gone_have_nothing_in_use_any_more() {
        let before = sample::two_targets();
        let mut now = before.clone();
        now.targets.truncate(1);
        now.sites.truncate(1);
        let whole = with_gone(&now, &before);
        assert_eq!((whole.targets.len(), whole.sites.len()), (2, 4));
        let base = Base::all(&before);
        assert_eq!(changes(&base, &whole)[0], [0; 4]);
        for (change, site) in changes(&base, &whole).iter().zip(&before.sites).skip(1) {
            let inuse = [site.inuse_objects, site.inuse_bytes].map(|value| -(value.unwrap_or(0) as i64));
            assert_eq!(change, &[0, 0, inuse[0], inuse[1]]);
        }
    }
}
