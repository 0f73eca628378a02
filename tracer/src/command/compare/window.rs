//! What a process has done between two readings of a daemon.

use std::collections::HashMap;

use crate::model::snapshot::{CallSite, Snapshot, Target};

/// The later reading less the earlier one, of the same process; what is in use stays as it is later, with the time
/// that it was counted for. `None` where numbers
/// went back: the daemon has begun to count anew.
pub(super) fn between(earlier: &Snapshot, later: Snapshot) -> Option<Snapshot> {
    let before: HashMap<(u32, u32), &CallSite> =
        earlier.sites.iter().map(|site| ((site.pid, site.id), site)).collect();
    let counted = |snapshot: &Snapshot| snapshot.targets.first().and_then(|target| target.counted_seconds);
    let wall = later.attached_seconds - earlier.attached_seconds;
    // Less where the process has ended meanwhile.
    let seconds = match (counted(earlier), counted(&later)) {
        (Some(from), Some(to)) => wall.min(to - from),
        _ => wall,
    };
    if later.mode != earlier.mode || seconds <= 0.0 {
        return None;
    }
    let counted = jiff::SignedDuration::try_from_secs_f64(earlier.attached_seconds).ok()?;
    let started_at = later.started_at.checked_add(counted).ok()?;
    let sites = later.sites.iter().map(|site| less(site, before.get(&(site.pid, site.id)).copied()));
    let sites = sites.collect::<Option<_>>()?;
    let targets = later.targets.iter().map(|target| {
        let same = |before: &&Target| (before.pid, before.start_time) == (target.pid, target.start_time);
        less_target(target, earlier.targets.iter().find(same))
    });
    let targets = targets.collect::<Option<_>>()?;
    Some(Snapshot {
        started_at,
        attached_seconds: seconds,
        duration_seconds: seconds,
        sites,
        targets,
        ..later
    })
}

fn less(site: &CallSite, before: Option<&CallSite>) -> Option<CallSite> {
    let Some(before) = before else { return Some(site.clone()) };
    let mut site = site.clone();
    site.alloc_objects = site.alloc_objects.checked_sub(before.alloc_objects)?;
    site.alloc_bytes = site.alloc_bytes.checked_sub(before.alloc_bytes)?;
    site.samples = site.samples.checked_sub(before.samples)?;
    // Samples of two times are independent, so that variances are what is subtracted.
    let part = |now: f64, before: f64| (now * now - before * before).max(0.0).sqrt();
    let (errors, earlier) = (&mut site.standard_error, &before.standard_error);
    errors.alloc_objects = part(errors.alloc_objects, earlier.alloc_objects);
    errors.alloc_bytes = part(errors.alloc_bytes, earlier.alloc_bytes);
    site.interval_95 = None;
    Some(site)
}

fn less_target(target: &Target, before: Option<&Target>) -> Option<Target> {
    let before = before?;
    let mut target = target.clone();
    target.cpu_seconds = (target.cpu_seconds - before.cpu_seconds).max(0.0);
    target.tracing_cpu_seconds = target
        .tracing_cpu_seconds
        .zip(before.tracing_cpu_seconds)
        .map(|(now, before)| (now - before).max(0.0));
    let (totals, earlier) = (&mut target.totals, &before.totals);
    totals.alloc_objects = totals.alloc_objects.checked_sub(earlier.alloc_objects)?;
    totals.alloc_bytes = totals.alloc_bytes.checked_sub(earlier.alloc_bytes)?;
    for name in ["alloc_objects", "alloc_bytes"] {
        let earlier = earlier.standard_error.get(name).copied().unwrap_or(0.0);
        if let Some(error) = totals.standard_error.get_mut(name) {
            *error = (*error * *error - earlier * earlier).max(0.0).sqrt();
        }
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn later(earlier: &Snapshot) -> Snapshot {
        let mut later = earlier.clone();
        later.attached_seconds += 10.0;
        later.targets[0].cpu_seconds += 2.5;
        later.targets[0].totals.alloc_bytes += 1000;
        later.sites[0].alloc_bytes += 600;
        later.sites[0].standard_error.alloc_bytes = earlier.sites[0].standard_error.alloc_bytes.hypot(30.0);
        later
    }

    #[test]
    fn a_window_has_what_came_within_it() {
        let earlier = sample::sampled();
        let after = later(&earlier);
        let window = between(&earlier, after.clone()).unwrap();
        assert_eq!(window.sites[0].alloc_bytes, 600);
        assert!((window.sites[0].standard_error.alloc_bytes - 30.0).abs() < 1e-3);
        assert_eq!((window.sites[1].alloc_bytes, window.sites[1].samples), (0, 0));
        assert_eq!(window.sites[0].inuse_bytes, after.sites[0].inuse_bytes, "as it is later");
        assert_eq!(window.targets[0].totals.alloc_bytes, 1000);
        assert!((window.attached_seconds - 10.0).abs() < 1e-9);
        assert!((window.targets[0].cpu_seconds - 2.5).abs() < 1e-9);
        let began = window.started_at.duration_since(earlier.started_at).as_secs_f64();
        assert!((began - earlier.attached_seconds).abs() < 1e-6);
    }

    #[test]
    fn numbers_that_went_back_are_no_window() {
        let earlier = sample::sampled();
        let check = |change: fn(&mut Snapshot), what: &str| {
            let mut after = later(&earlier);
            change(&mut after);
            assert!(between(&earlier, after).is_none(), "{what}");
        };
        check(|after| after.attached_seconds = 0.5, "attached anew");
        check(|after| after.sites[0].alloc_bytes = 1, "a site");
        check(|after| after.targets[0].totals.alloc_objects = 0, "a total");
        check(|after| after.targets[0].start_time += 1, "another process");
        check(|after| after.mode = crate::model::snapshot::Mode::Alloc, "another mode");
    }
}
