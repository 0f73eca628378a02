//! Verdicts on canaries: which processes are compared, and when. Pictures of them are taken by the loop that traces, a few at
//! a time; the comparison runs in a thread of its own.

mod judge;
mod sides;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::Failure;
use super::fleet::Fleet;
use crate::config::CanaryConfig;
use crate::model::node::{Node, NodeTarget, TargetId};
use crate::serve::shared::Shared;
use crate::view::canaries::{Canaries, ServiceName};
use crate::view::frame;
use judge::Judge;
use sides::Services;
use window::{Observed, Window};

/// Of the time that pictures take: the next ones wait so many times longer, so that they take 2 % of a processor at most.
const REST: u32 = 50;

/// Looks at most that wait for names, and how long.
const LOOKS_FOR_NAMES: u32 = 3;
const NAMES_WITHIN: Duration = Duration::from_secs(1);

/// All that is kept between comparisons.
pub(super) struct Watch {
    judge: Judge,
    services: Services,
    windows: HashMap<TargetId, Member>,
    started: Instant,
    /// When the next look is due; `None`: now.
    due: Option<Instant>,
    /// Looks in a row that were not judged, since names were missing.
    waited: u32,
    was_enabled: bool,
}

/// A process that is compared, as one of its side: elsewhere it counts from anew.
struct Member {
    service: ServiceName,
    group: Arc<str>,
    window: Window,
}

impl Watch {
    /// Verdicts go to `shared`.
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self, Failure> {
        Ok(Self {
            judge: Judge::start(Arc::clone(shared)).map_err(anyhow::Error::from)?,
            services: Services::default(),
            windows: HashMap::new(),
            started: Instant::now(),
            due: None,
            waited: 0,
            was_enabled: false,
        })
    }

    /// Looks at what is to be compared, if it is time to.
    pub(super) fn look(&mut self, fleet: &mut Fleet, node: &Node, shared: &Shared) -> Result<(), Failure> {
        let config = fleet.config.canary.clone();
        if !config.enabled {
            self.forget(shared);
            return Ok(());
        }
        if self.judge.is_busy() || self.due.is_some_and(|due| Instant::now() < due) {
            return Ok(());
        }
        let begin = Instant::now();
        self.was_enabled = true;
        let now = self.started.elapsed().as_secs_f64();
        self.services.look(now, fleet.config.expire_after.as_secs_f64(), &node.targets);
        let seen = self.pictures(fleet, &node.targets, now)?;
        let jobs = self.services.jobs(&node.targets, seen, config.min_share.ratio());
        // Stacks of Go are seen by these looks alone, so that names of new ones are asked for here: they come in a moment.
        let awaits_names = jobs.iter().any(|job| job.awaits_names) && self.waited < LOOKS_FOR_NAMES;
        self.waited = if awaits_names { self.waited + 1 } else { 0 };
        let wait = if awaits_names { NAMES_WITHIN } else { config.interval };
        if !awaits_names {
            self.judge.send(jobs, &config, self.services.notes());
        }
        self.due = Some(Instant::now() + wait.max(begin.elapsed() * REST));
        Ok(())
    }

    /// What each process that is compared has allocated in its window; `None` where that has just begun.
    fn pictures(
        &mut self,
        fleet: &mut Fleet,
        targets: &[NodeTarget],
        now: f64,
    ) -> Result<HashMap<TargetId, Option<Observed>>, Failure> {
        let compared = self.services.compared(targets);
        self.windows
            .retain(|id, member| compared.iter().any(|target| target.id == *id && member.is_still(target)));
        let mut seen = HashMap::new();
        if compared.is_empty() {
            return Ok(seen);
        }
        let length = fleet.config.canary.window.as_secs_f64();
        let records = fleet.session.records(&fleet.options);
        for target in compared {
            // New stacks of others do not wait for all of them.
            fleet.session.drain();
            let Some(picture) = fleet.session.glance_among(target.id, &records, &fleet.options)? else {
                continue;
            };
            let member = self.windows.entry(target.id).or_insert_with(|| Member::of(target));
            seen.insert(target.id, member.window.look(now, length, picture));
        }
        Ok(seen)
    }

    /// Verdicts are not asked for any more.
    fn forget(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.was_enabled) {
            self.windows.clear();
            self.due = None;
            self.services = Services::default();
            shared.publish_canaries(Canaries::default());
        }
    }

    /// Waits for the comparison that runs.
    pub(super) fn stop(self) {
        self.judge.stop();
    }
}

impl Member {
    fn of(target: &NodeTarget) -> Self {
        Self {
            service: ServiceName::of(&target.labels),
            group: Arc::clone(&target.labels.canary_group),
            window: Window::default(),
        }
    }

    fn is_still(&self, target: &NodeTarget) -> bool {
        self.service == ServiceName::of(&target.labels) && self.group == target.labels.canary_group
    }
}

/// As `tracer compare` would be told.
fn options(config: &CanaryConfig) -> crate::canary::Options {
    crate::canary::Options {
        per: Some(config.per),
        confidence: config.confidence.ratio(),
        max_increase: config.max_increase.ratio(),
        sampling_error_suffices: config.sampling_error_only,
        min_share: config.min_share.ratio(),
        telling: frame::telling,
    }
}
