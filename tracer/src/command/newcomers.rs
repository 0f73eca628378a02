//! Processes that are about to be traced: children of targets, and what the user's selection wants.
//!
//! None of them is held: each is attached to some milliseconds after it appears, and that is said. A process that is
//! gone by then is counted if it is known that it was wanted.

mod admit;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Failure;
use super::session::Session;
use crate::mode::Change;
use crate::target::comm::Comm;
use crate::target::policy::{Policy, Rule};
use crate::target::selection;
pub(super) use rules::How;

/// Most children execute another program at once: until then there is nothing to see.
const SETTLE: Duration = Duration::from_millis(5);
/// Between two rounds: a storm of short processes must not make one for each.
const ROUND: Duration = Duration::from_millis(5);
/// Processes that wait at a time; more are counted.
const MAX_WAITING: usize = 1 << 14;

/// Why a process is traced no more.
const EXECUTED: &str = "executed another program";
const UNWANTED: &str = "is not wanted any more";

/// Why a process is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A target's child, or its child's: traced in any case.
    Child,
    /// It is known that the selection wants it.
    Wanted,
    /// It is to be held against the selection.
    Perhaps,
}

impl Why {
    const fn noun(self) -> &'static str {
        match self {
            Self::Child => "child",
            Self::Wanted | Self::Perhaps => "process",
        }
    }
}

/// A process that is not attached to yet.
struct Newcomer {
    why: Why,
    /// The rule of the process that it comes from.
    inherited: Option<Rule>,
    /// When it appeared, or executed its program.
    since: Instant,
    due: Instant,
    /// Its program may still be loaded.
    is_loading: bool,
    /// It was there before the tracer.
    is_old: bool,
}

/// Processes that were seen and are not attached to yet.
#[derive(Default)]
pub(super) struct Newcomers {
    policy: Policy,
    /// By rule.
    hows: Vec<How>,
    /// Of what no rule wants: named by its pid, or added by hand.
    other: How,
    /// Which rule wants those that are traced.
    rules: BTreeMap<u32, Option<Rule>>,
    /// Traced in another way than their rules say.
    overrides: BTreeMap<u32, Change>,
    /// Who is traced is held against the rules again when files that list processes change: the daemon's way.
    reviews: bool,
    /// Wanted, and cannot be traced.
    refused: BTreeMap<u32, Option<Rule>>,
    waiting: BTreeMap<u32, Newcomer>,
    /// Traced as children.
    children: BTreeSet<u32>,
    last_round: Option<Instant>,
    lost_notices: u64,
    last_look: Option<Instant>,
    /// Why the last one that was wanted is not traced.
    refusal: Option<Failure>,
}

impl Newcomers {
    /// For children, if they are to be followed, and for what the rules want: each is treated as its rule's `hows` say,
    /// and what no rule wants as `other`.
    pub(super) fn new(policy: Policy, hows: Vec<How>, other: How) -> Self {
        Self { policy, hows, other, ..Self::default() }
    }

    /// Whether processes may come that are no children.
    pub(super) fn is_open(&self) -> bool {
        !self.policy.is_empty()
    }

    /// Why the last process that was wanted is not traced.
    pub(super) fn take_refusal(&mut self) -> Option<Failure> {
        self.refusal.take()
    }

    /// A process has a child.
    pub(super) fn forked(&mut self, session: &mut Session, parent: u32, child: u32) {
        // Without a selection only followed processes are reported.
        let is_family = !self.is_open() || session.is_traced(parent);
        let follows = self.follows(parent);
        let why = match self.waiting.get(&parent).map(|waiting| waiting.why) {
            Some(Why::Child) if follows => Why::Child,
            _ if follows && is_family => Why::Child,
            Some(why) => why,
            None if !self.is_open() || !session.is_traced(parent) => return,
            // It is what its parent is, until it executes another program.
            None if session.is_child(parent) && !self.reviews => Why::Wanted,
            None => Why::Perhaps,
        };
        self.wait_for(session, child, why, self.rule_of(parent), false);
    }

    /// A process executes another program.
    pub(super) fn executed(&mut self, session: &mut Session, pid: u32, comm: Comm) {
        let was_traced = session.is_traced(pid);
        if was_traced {
            session.replaced(pid);
        }
        let was = self.waiting.get(&pid).map(|waiting| waiting.why);
        let is_child = self.children.contains(&pid)
            || was == Some(Why::Child)
            || !self.is_open() && self.follows(pid) && session.is_child(pid);
        let why = match is_child {
            true => Why::Child,
            false if self.policy.has_name(comm) => Why::Wanted,
            false if self.policy.asks_for_names_only() => {
                self.forget(session, pid, EXECUTED);
                return;
            }
            false => Why::Perhaps,
        };
        self.wait_for(session, pid, why, self.rule_of(pid), true);
    }

    /// A process has ended.
    pub(super) fn ended(&mut self, pid: u32) {
        self.children.remove(&pid);
        self.rules.remove(&pid);
        self.overrides.remove(&pid);
        self.refused.remove(&pid);
        self.policy.ended(pid);
    }

    /// Looks at every process that there is.
    pub(super) fn scan(&mut self, session: &mut Session) {
        self.look_at_groups(session);
        let anyone_follows = self.other.follow_forks || self.hows.iter().any(|how| how.follow_forks);
        for pid in selection::all_processes() {
            let is_known = session.is_traced(pid) || self.waiting.contains_key(&pid);
            if is_known && session.has_executed(pid) {
                session.replaced(pid);
                let why = if self.children.contains(&pid) { Why::Child } else { Why::Perhaps };
                self.wait_for(session, pid, why, self.rule_of(pid), true);
            } else if is_known {
                continue;
            } else if anyone_follows
                && let Some(parent) = selection::parent_of(pid)
                && self.follows(parent)
                && session.is_traced(parent)
            {
                self.wait_for(session, pid, Why::Child, self.rule_of(parent), false);
            } else if self.is_open() {
                self.wait_for(session, pid, Why::Perhaps, None, true);
            }
        }
    }

    /// How long nothing needs to be done.
    pub(super) fn wait(&self) -> Duration {
        if self.waiting.is_empty() { Duration::MAX } else { ROUND }
    }

    /// Once per interval: who has come into a control group, and whether notices were lost.
    pub(super) fn look(&mut self, session: &mut Session, interval: Duration) {
        if self.last_look.is_some_and(|last| last.elapsed() < interval) {
            return;
        }
        self.last_look = Some(Instant::now());
        self.look_at_groups(session);
        self.refused.retain(|pid, _| std::path::Path::new(&format!("/proc/{pid}")).exists());
        // A map that cannot be read now is read at the next look.
        let lost = session.kernel().lost_notices().unwrap_or(self.lost_notices);
        if lost > self.lost_notices {
            session.count_failures("notices of processes that were lost", lost - self.lost_notices);
            self.lost_notices = lost;
            self.scan(session);
        }
    }

    fn look_at_groups(&mut self, session: &mut Session) {
        for pid in self.policy.look_at_groups() {
            if !session.is_traced(pid) {
                self.wait_for(session, pid, Why::Perhaps, None, true);
            } else if self.reviews {
                self.review(session, pid);
            }
        }
    }

    /// Nobody will attach to the rest: that is said too.
    pub(super) fn give_up(&mut self, session: &mut Session) {
        for newcomer in std::mem::take(&mut self.waiting).into_values() {
            if newcomer.why != Why::Perhaps {
                session.count_failure(&format!("{}: it was not attached to in time", newcomer.why.noun()));
            }
        }
    }

    fn wait_for(
        &mut self,
        session: &mut Session,
        pid: u32,
        why: Why,
        inherited: Option<Rule>,
        is_loading: bool,
    ) {
        if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(&pid) {
            session.count_failure("process: too many started at a time to look at");
            return;
        }
        let since = Instant::now();
        let newcomer = Newcomer { why, inherited, since, due: since + SETTLE, is_loading, is_old: false };
        self.waiting.insert(pid, newcomer);
    }

    /// It is not wanted (any more).
    fn forget(&mut self, session: &mut Session, pid: u32, why: &str) {
        self.waiting.remove(&pid);
        self.children.remove(&pid);
        self.rules.remove(&pid);
        self.refused.remove(&pid);
        session.left(pid, why);
    }
}
