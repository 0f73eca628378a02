//! What earlier looks saw: rates, trends and timelines. Kept only where someone looks more than once.

use std::collections::HashMap;
use std::sync::Arc;

use super::known::SiteId;
use super::snapshot::{
    CallSite, SiteRecent, TREND_POINTS, TREND_STEP_SECONDS, Target, Timeline, TimelinePoint,
};
use crate::mode::Mode;

/// More than a wide terminal has columns, and even: then every other point goes, and the step doubles.
const TIMELINE_POINTS: usize = 600;

/// Of one run.
#[derive(Debug)]
pub(super) struct History {
    mode: Mode,
    /// Between two looks.
    interval_seconds: f64,
    /// Of the present look, since counting began.
    now: f64,
    /// Points of trends so far, and when the last one was made.
    ticks: usize,
    ticked_at: f64,
    /// This look makes a point.
    is_tick: bool,
    sites: Vec<SiteHistory>,
    targets: HashMap<(u32, u64), TargetHistory>,
}

/// Of one call site.
#[derive(Clone, Debug)]
struct SiteHistory {
    trend: Arc<[u64]>,
    /// The counts at the last tick and at the one before.
    marks: [Mark; 2],
}

/// Counts at a time.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    seconds: f64,
    alloc_bytes: u64,
    alloc_objects: u64,
}

/// Of one target.
#[derive(Debug, Default)]
struct TargetHistory {
    timeline: Timeline,
    last: Mark,
    last_frees: u64,
}

impl History {
    /// Of a run in this mode, that is looked at so often.
    #[must_use]
    pub(super) fn new(mode: Mode, interval_seconds: f64) -> Self {
        Self {
            mode,
            interval_seconds,
            now: 0.0,
            ticks: 0,
            ticked_at: 0.0,
            is_tick: false,
            sites: Vec::new(),
            targets: HashMap::new(),
        }
    }

    /// Another look, so many seconds after counting began.
    pub(super) fn look(&mut self, now: f64) {
        // Half a look early is on time: looks are not quite regular.
        let step = (TREND_STEP_SECONDS as f64 - self.interval_seconds / 2.0).max(0.0);
        self.is_tick = self.ticks == 0 || now - self.ticked_at >= step;
        self.now = now;
    }

    /// The look is over.
    pub(super) fn looked(&mut self) {
        if self.is_tick {
            self.ticks += 1;
            self.ticked_at = self.now;
            self.is_tick = false;
        }
    }

    /// Of a site, whose numbers are those of this look.
    pub(super) fn site(&mut self, id: SiteId, site: &CallSite) -> SiteRecent {
        let index = id.0 as usize;
        if self.sites.len() <= index {
            // It was not there at the looks before.
            let mark = Mark { seconds: self.ticked_at, ..Mark::default() };
            let trend: Arc<[u64]> = vec![0; self.ticks.min(TREND_POINTS)].into();
            self.sites.resize(index + 1, SiteHistory { trend, marks: [mark; 2] });
        }
        let history = &mut self.sites[index];
        let now =
            Mark { seconds: self.now, alloc_bytes: site.alloc_bytes, alloc_objects: site.alloc_objects };
        let since = history.marks[0];
        let alloc_bytes_per_second = since.bytes_per_second(now);
        let alloc_objects_per_second = since.objects_per_second(now);
        let level = match self.mode {
            Mode::Live => site.inuse_bytes.unwrap_or(0),
            Mode::Alloc => alloc_bytes_per_second.round() as u64,
        };
        let growth = history.trend.first().map_or(0, |&first| level as i64 - first as i64);
        if self.is_tick {
            let kept = &history.trend[(history.trend.len() + 1).saturating_sub(TREND_POINTS)..];
            history.trend = kept.iter().copied().chain([level]).collect();
            history.marks = [history.marks[1], now];
        }
        SiteRecent {
            alloc_bytes_per_second,
            alloc_objects_per_second,
            growth_bytes: (self.mode == Mode::Live).then_some(growth),
            trend: Arc::clone(&history.trend),
        }
    }

    /// Of a target, whose totals are those of this look.
    pub(super) fn target(&mut self, target: &Target) -> Timeline {
        let history = self.targets.entry((target.pid, target.start_time)).or_default();
        let step = if history.timeline.points.is_empty() {
            history.timeline.step_seconds = self.interval_seconds;
            0.0
        } else {
            history.timeline.step_seconds
        };
        // As in `look`.
        if target.ended.is_none() && self.now - history.last.seconds >= step - self.interval_seconds / 2.0 {
            history.look(self.now, target);
        }
        history.timeline.clone()
    }
}

impl TargetHistory {
    fn look(&mut self, seconds: f64, target: &Target) {
        let totals = &target.totals;
        let now = Mark { seconds, alloc_bytes: totals.alloc_bytes, alloc_objects: totals.alloc_objects };
        let frees =
            totals.free_objects.map(|frees| per_second(frees, self.last_frees, seconds, self.last.seconds));
        self.timeline.points.push(TimelinePoint {
            seconds,
            alloc_bytes_per_second: self.last.bytes_per_second(now),
            alloc_objects_per_second: self.last.objects_per_second(now),
            free_objects_per_second: frees,
            inuse_bytes: totals.inuse_bytes,
            inuse_objects: totals.inuse_objects,
            resident_bytes: target.resident_bytes,
        });
        (self.last, self.last_frees) = (now, totals.free_objects.unwrap_or(0));
        if self.timeline.points.len() >= TIMELINE_POINTS {
            self.timeline = thinned(&self.timeline);
        }
    }
}

/// Every other point, with the mean rates of both.
fn thinned(timeline: &Timeline) -> Timeline {
    let mean = |a: f64, b: f64| f64::midpoint(a, b);
    let points = timeline.points.chunks_exact(2).map(|pair| TimelinePoint {
        alloc_bytes_per_second: mean(pair[0].alloc_bytes_per_second, pair[1].alloc_bytes_per_second),
        alloc_objects_per_second: mean(pair[0].alloc_objects_per_second, pair[1].alloc_objects_per_second),
        free_objects_per_second: pair[0]
            .free_objects_per_second
            .zip(pair[1].free_objects_per_second)
            .map(|(a, b)| mean(a, b)),
        ..pair[1]
    });
    Timeline { step_seconds: timeline.step_seconds * 2.0, points: points.collect() }
}

impl Mark {
    fn bytes_per_second(self, now: Self) -> f64 {
        per_second(now.alloc_bytes, self.alloc_bytes, now.seconds, self.seconds)
    }

    fn objects_per_second(self, now: Self) -> f64 {
        per_second(now.alloc_objects, self.alloc_objects, now.seconds, self.seconds)
    }
}

/// What was added per second between two looks; 0 if they are one, or if an estimate went back.
fn per_second(now: u64, before: u64, now_seconds: f64, before_seconds: f64) -> f64 {
    let seconds = now_seconds - before_seconds;
    if seconds > 0.0 { now.saturating_sub(before) as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::Totals;

    /// A site at a look: allocated so far, and in use.
    fn site(alloc_bytes: u64, inuse_bytes: u64) -> CallSite {
        CallSite {
            alloc_bytes,
            alloc_objects: alloc_bytes / 100,
            inuse_bytes: Some(inuse_bytes),
            ..CallSite::default()
        }
    }

    fn look(history: &mut History, seconds: f64, sites: &[(u32, u64, u64)]) -> Vec<SiteRecent> {
        history.look(seconds);
        let recent = sites
            .iter()
            .map(|&(id, alloc_bytes, inuse_bytes)| history.site(SiteId(id), &site(alloc_bytes, inuse_bytes)))
            .collect();
        history.looked();
        recent
    }

    #[test]
    fn a_rate_is_of_the_last_seconds_and_not_of_the_whole_time() {
        let mut history = History::new(Mode::Live, 1.0);
        let mut seen = Vec::new();
        for second in 1..=20_u32 {
            // 1,000 bytes a second, from the eleventh on none.
            let allocated = 1000 * u64::from(second.min(10));
            seen.push(look(&mut history, f64::from(second), &[(0, allocated, 0)])[0].alloc_bytes_per_second);
        }
        assert_eq!(&seen[..10], &[1000.0; 10]);
        assert!((0.0..1000.0).contains(&seen[12]), "{seen:?}");
        assert_eq!(&seen[16..], &[0.0; 4], "six seconds are forgotten");
    }

    #[test]
    fn growth_is_that_of_the_last_minute_and_its_trend_has_a_point_each_three_seconds() {
        let mut history = History::new(Mode::Live, 1.0);
        let mut last = Vec::new();
        for second in 1..=100_u32 {
            last = look(&mut history, f64::from(second), &[(0, 0, 500 + 10 * u64::from(second))]);
        }
        let expect: Vec<u64> = (0..TREND_POINTS as u64).map(|point| 500 + 10 * (43 + 3 * point)).collect();
        assert_eq!(&*last[0].trend, expect, "the last point is of second 100");
        // The look at second 100 still compares with the oldest point before it.
        assert_eq!(last[0].growth_bytes, Some(600));
    }

    #[test]
    fn a_site_that_comes_later_has_grown_from_nothing() {
        let mut history = History::new(Mode::Live, 1.0);
        for second in 1..=30_u32 {
            look(&mut history, f64::from(second), &[(0, 100, 100)]);
        }
        let late = look(&mut history, 32.0, &[(0, 100, 100), (1, 4000, 4000)]);
        assert_eq!(late[0].growth_bytes, Some(0));
        assert_eq!(late[1].growth_bytes, Some(4000));
        // Since the last point, at second 28.
        assert_eq!(late[1].alloc_bytes_per_second, 1000.0);
        assert_eq!(late[0].trend.len(), late[1].trend.len());
    }

    #[test]
    fn mode_alloc_has_the_trend_of_the_rate_and_no_growth() {
        let mut history = History::new(Mode::Alloc, 1.0);
        let seen = look(&mut history, 2.0, &[(0, 600, 0)]);
        assert_eq!((seen[0].growth_bytes, &*seen[0].trend), (None, &[300][..]));
    }

    #[test]
    fn a_long_timeline_has_fewer_points_at_the_same_times_and_the_same_mean_rate() {
        let mut history = History::new(Mode::Live, 1.0);
        let mut timeline = Timeline::default();
        for second in 1..=5000_u32 {
            let totals = Totals { alloc_bytes: 70 * u64::from(second), ..Totals::default() };
            let target = Target { pid: 1, totals, ..Target::default() };
            history.look(f64::from(second));
            timeline = history.target(&target);
            history.looked();
        }
        let points = &timeline.points;
        assert!((TIMELINE_POINTS / 2..TIMELINE_POINTS).contains(&points.len()), "{}", points.len());
        assert_eq!(timeline.step_seconds, 16.0);
        assert!(points.iter().all(|point| point.alloc_bytes_per_second == 70.0));
        let steps = points.windows(2).map(|pair| pair[1].seconds - pair[0].seconds);
        assert!(steps.clone().all(|step| (15.0..=17.0).contains(&step)), "{:?}", steps.collect::<Vec<_>>());
        assert!(points.last().is_some_and(|last| last.seconds > 4984.0));
    }

    #[test]
    fn looks_that_are_not_quite_regular_make_a_point_each_three_seconds_all_the_same() {
        let mut history = History::new(Mode::Live, 1.0);
        let mut last = Vec::new();
        for second in 1..=61_u32 {
            let seconds = f64::from(second) + if second % 2 == 0 { 0.02 } else { -0.02 };
            last = look(&mut history, seconds, &[(0, 0, u64::from(second))]);
        }
        let expect: Vec<u64> = (0..TREND_POINTS as u64).map(|point| 4 + 3 * point).collect();
        assert_eq!(&*last[0].trend, expect);
    }

    #[test]
    fn what_has_ended_has_no_more_points() {
        let mut history = History::new(Mode::Live, 1.0);
        let mut target = Target { pid: 1, ..Target::default() };
        for second in 1..=6_u32 {
            target.ended = (second > 3).then(|| "ended".to_owned());
            history.look(f64::from(second));
            let timeline = history.target(&target);
            assert_eq!(timeline.points.len() as u32, second.min(3));
        }
    }
}
