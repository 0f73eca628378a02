//! What a process has allocated in the last minutes: the difference of two pictures of it. What was before the window, such
//! as the load of another day, is in no comparison.
//!
//! A process keeps six earlier moments at most, each with 48 bytes per call site; how many call sites there are is bounded by
//! `max_stacks`, and in a Go program by its own profile.

use std::collections::VecDeque;

use crate::canary::own_cpu_seconds;
use crate::mode::Mode;
use crate::model::snapshot::{CallSite, Snapshot, Target, Totals};

/// Moments that are kept per window.
const STEPS: f64 = 4.0;

/// The earlier moments of a process.
#[derive(Debug, Default)]
pub(super) struct Window {
    moments: VecDeque<Moment>,
}

/// What a process had allocated by then.
#[derive(Debug)]
struct Moment {
    /// Seconds on the caller's clock.
    at: f64,
    mode: Mode,
    cpu: Cpu,
    alloc_objects: u64,
    alloc_bytes: u64,
    /// Events that were lost.
    lost: u64,
    /// By the number of the call site, in its order.
    sites: Vec<(u32, Counted)>,
}

/// CPU seconds by then.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    all: f64,
    /// What tracing added, as predicted.
    tracing: f64,
}

/// Of one call site.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    objects: u64,
    bytes: u64,
    samples: u64,
    /// Squares of the standard errors: samples are independent, so the variances of two times add up.
    objects_variance: f64,
    bytes_variance: f64,
}

/// What call sites have allocated that are still being looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nameless {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// What a process has done in its window, and what it holds.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) seconds: f64,
    /// Its own, without what tracing added.
    pub(super) cpu_seconds: f64,
    /// The part that tracing added to all of it.
    pub(super) tracing_share: f64,
    pub(super) mode: Mode,
    pub(super) alloc_objects: u64,
    pub(super) alloc_bytes: u64,
    /// With its standard error; since counting began.
    pub(super) inuse_bytes: Option<(u64, f64)>,
    /// For how long that was counted.
    pub(super) inuse_seconds: Option<f64>,
    /// Events were lost in the window, or something is not probed.
    pub(super) is_lossy: bool,
    /// What call sites without names have allocated: they are not among the sites. With numbers for names they would be
    /// other ones than those of the other processes.
    pub(super) nameless: Nameless,
    pub(super) sites: Vec<CallSite>,
}

impl Window {
    /// Takes a picture of one process at `now` seconds, and gives what came in the last `length` seconds: up to a quarter
    /// more, and less while it is younger. `None` if there was no picture before, or counting has begun anew.
    pub(super) fn look(&mut self, now: f64, length: f64, picture: Snapshot) -> Option<Observed> {
        let target = picture.targets.first()?;
        let (totals, cpu) = (target.totals.clone(), Cpu::of(target));
        let goes_on = |last: &Moment| {
            last.mode == picture.mode
                && last.alloc_bytes <= totals.alloc_bytes
                && last.alloc_objects <= totals.alloc_objects
        };
        if !self.moments.back().is_some_and(goes_on) {
            self.moments.clear();
        }
        while self.moments.get(1).is_some_and(|next| now - next.at >= length) {
            self.moments.pop_front();
        }
        let is_due = self.moments.back().is_none_or(|last| now - last.at >= length / STEPS);
        let moment = is_due.then(|| Moment::of(now, &picture, &totals, cpu));
        let observed = self.moments.front().map(|first| first.until(now, picture, &totals, cpu));
        self.moments.extend(moment);
        observed
    }
}

impl Moment {
    fn of(at: f64, picture: &Snapshot, totals: &Totals, cpu: Cpu) -> Self {
        let mut sites: Vec<_> = picture.sites.iter().map(|site| (site.id, Counted::of(site))).collect();
        sites.sort_unstable_by_key(|&(id, _)| id);
        Self {
            at,
            mode: picture.mode,
            cpu,
            alloc_objects: totals.alloc_objects,
            alloc_bytes: totals.alloc_bytes,
            lost: lost(picture),
            sites,
        }
    }

    fn until(&self, now: f64, picture: Snapshot, totals: &Totals, cpu: Cpu) -> Observed {
        let all = (cpu.all - self.cpu.all).max(0.0);
        let own = own_cpu_seconds(all, Some((cpu.tracing - self.cpu.tracing).max(0.0)));
        let error = totals.standard_error.get("inuse_bytes").copied().unwrap_or(0.0);
        let misses_probes = picture.quality.attach_failures.values().any(|&count| count > 0);
        let is_lossy = misses_probes || lost(&picture) > self.lost;
        let since = picture.sites.into_iter().filter_map(|site| self.site_since(site));
        let (nameless, sites): (Vec<_>, Vec<_>) = since.partition(CallSite::awaits_names);
        Observed {
            seconds: now - self.at,
            cpu_seconds: own,
            tracing_share: if all > 0.0 { 1.0 - own / all } else { 0.0 },
            mode: picture.mode,
            alloc_objects: totals.alloc_objects.saturating_sub(self.alloc_objects),
            alloc_bytes: totals.alloc_bytes.saturating_sub(self.alloc_bytes),
            inuse_seconds: picture.targets.first().and_then(|target| target.inuse_seconds),
            inuse_bytes: totals.inuse_bytes.map(|bytes| (bytes, error)),
            is_lossy,
            nameless: Nameless {
                objects: nameless.iter().map(|site| site.alloc_objects).sum(),
                bytes: nameless.iter().map(|site| site.alloc_bytes).sum(),
            },
            sites,
        }
    }

    /// A call site with what came since; `None` if nothing did and nothing of it is in use.
    fn site_since(&self, site: CallSite) -> Option<CallSite> {
        let found = self.sites.binary_search_by_key(&site.id, |&(id, _)| id).ok();
        let before =
            found.and_then(|at| self.sites.get(at)).map_or_else(Counted::default, |&(_, before)| before);
        let now = Counted::of(&site);
        // Fewer: the record was given back and counts from anew.
        let before = if now.objects < before.objects || now.bytes < before.bytes {
            Counted::default()
        } else {
            before
        };
        let alloc_objects = now.objects - before.objects;
        if alloc_objects == 0 && site.inuse_bytes.unwrap_or(0) == 0 {
            return None;
        }
        let root = |now: f64, before: f64| (now - before).max(0.0).sqrt();
        let mut standard_error = site.standard_error;
        standard_error.alloc_objects = root(now.objects_variance, before.objects_variance);
        standard_error.alloc_bytes = root(now.bytes_variance, before.bytes_variance);
        Some(CallSite {
            alloc_objects,
            alloc_bytes: now.bytes - before.bytes,
            samples: now.samples.saturating_sub(before.samples),
            standard_error,
            interval_95: None,
            recent: None,
            ..site
        })
    }
}

fn lost(picture: &Snapshot) -> u64 {
    picture.quality.lost.values().sum()
}

impl Cpu {
    fn of(target: &Target) -> Self {
        Self { all: target.cpu_seconds, tracing: target.tracing_cpu_seconds.unwrap_or(0.0) }
    }
}

impl Counted {
    fn of(site: &CallSite) -> Self {
        Self {
            objects: site.alloc_objects,
            bytes: site.alloc_bytes,
            samples: site.samples,
            objects_variance: site.standard_error.alloc_objects.powi(2),
            bytes_variance: site.standard_error.alloc_bytes.powi(2),
        }
    }
}

#[cfg(test)]
mod tests;
