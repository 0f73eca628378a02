//! Which rule each process is traced by, and what becomes of them when the rules change.

use std::collections::BTreeSet;

use super::{Newcomers, UNWANTED, Why};
use crate::command::session::Session;
use crate::config;
use crate::mode::{Change, Tracing};
use crate::target::policy::{Examined, Policy, Rule};

/// How what a rule wants is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::command) struct How {
    /// `None`: as the session does.
    pub(in crate::command) tracing: Option<Tracing>,
    /// What a process's pod says of it comes before that.
    pub(in crate::command) pod_settings: bool,
    /// And this before both.
    pub(in crate::command) by_hand: Change,
    /// Its children too.
    pub(in crate::command) follow_forks: bool,
}

impl Newcomers {
    pub(super) fn how(&self, rule: Option<Rule>) -> How {
        rule.and_then(|rule| self.hows.get(rule)).copied().unwrap_or(self.other)
    }

    /// Whether the children of a process are traced.
    pub(super) fn follows(&self, pid: u32) -> bool {
        self.how(self.rule_of(pid)).follow_forks
    }

    /// The rule that a process is traced by.
    pub(in crate::command) fn rule_of(&self, pid: u32) -> Option<Rule> {
        self.rules.get(&pid).copied().flatten()
    }

    /// Processes that are wanted and cannot be traced, and their rules.
    pub(in crate::command) fn refused(&self) -> impl Iterator<Item = (u32, Option<Rule>)> {
        self.refused.iter().map(|(&pid, &rule)| (pid, rule))
    }

    /// Holds who is traced against the rules again when files that list processes change.
    pub(in crate::command) fn reviewing(self) -> Self {
        Self { reviews: true, ..self }
    }

    /// Other rules from now on, of which `renumbered` tells what became of an old one. Who is traced is held against them
    /// again, and so is everybody else.
    pub(in crate::command) fn change(
        &mut self,
        session: &mut Session,
        policy: Policy,
        (hows, other): (Vec<How>, How),
        renumbered: impl Fn(Rule) -> Option<Rule>,
    ) {
        let renumbered = |rule: &mut Option<Rule>| *rule = rule.and_then(&renumbered);
        self.rules.values_mut().for_each(renumbered);
        self.waiting.values_mut().for_each(|newcomer| renumbered(&mut newcomer.inherited));
        self.policy = policy.with_changes_of(&self.policy);
        self.trace_so(hows, other);
        self.refused.clear();
        self.policy.look_at_groups();
        for pid in session.pids() {
            self.review(session, pid);
        }
        self.scan(session);
    }

    /// How what each rule wants is traced, and what none wants.
    pub(in crate::command) fn trace_so(&mut self, hows: Vec<How>, other: How) {
        (self.hows, self.other) = (hows, other);
        self.overrides.clear();
    }

    /// Traces one process in another way than its rule says.
    pub(in crate::command) fn override_tracing(&mut self, pid: u32, change: Change) {
        self.overrides.insert(pid, change);
    }

    /// Traces a process whatever the rules say.
    pub(in crate::command) fn add(&mut self, session: &mut Session, pid: u32) {
        self.policy.add(pid);
        self.wait_for(session, pid, Why::Wanted, None, true);
    }

    /// Traces a process no more, whatever the rules say.
    pub(in crate::command) fn remove(&mut self, session: &mut Session, pid: u32) {
        self.policy.remove(pid);
        self.forget(session, pid, "was removed by hand");
    }

    /// How a process is traced.
    pub(super) fn tracing_of(&self, pid: u32, rule: Option<Rule>) -> Option<Tracing> {
        let how = self.how(rule);
        let mut tracing = how.tracing?;
        if how.pod_settings
            && let Some(found) = self.policy.place(pid).pod()
        {
            tracing = config::marks(&found.pod).of(tracing);
        }
        let of_process = self.overrides.get(&pid).copied().unwrap_or_default();
        Some(of_process.of(how.by_hand.of(tracing)))
    }

    /// The pods of these processes have become known, or others.
    pub(in crate::command) fn pods_changed(&mut self, session: &mut Session, pids: &BTreeSet<u32>) {
        for &pid in pids {
            if session.is_traced(pid) {
                self.review(session, pid);
            } else if self.is_open() && !self.waiting.contains_key(&pid) {
                // What could not be traced may be unwanted now, or wanted in another way.
                self.refused.remove(&pid);
                self.wait_for(session, pid, Why::Perhaps, None, true);
            }
        }
    }

    /// Whether a child stays what its parent is: its pod must still be such as the rule wants it.
    pub(super) fn inherits(&self, pid: u32, rule: Option<Rule>) -> bool {
        rule.is_none_or(|rule| self.policy.pod_fits(rule, pid))
    }

    /// Holds a process that is traced against the rules again.
    pub(in crate::command) fn review(&mut self, session: &mut Session, pid: u32) {
        let is_child = self.children.contains(&pid);
        let rule = match self.policy.examine(pid, is_child) {
            Examined::Wanted(_, rule) => {
                let inherited = self.rule_of(pid).filter(|_| is_child);
                rule.or(inherited.filter(|&rule| self.inherits(pid, Some(rule))))
            }
            Examined::Unwanted => return self.forget(session, pid, UNWANTED),
            Examined::Gone | Examined::Never(_) | Examined::Refused(_) => return,
        };
        if is_child && rule.is_none() {
            return self.forget(session, pid, UNWANTED);
        }
        self.rules.insert(pid, rule);
        let Some(tracing) = self.tracing_of(pid, rule) else { return };
        if !session.retrace(pid, tracing) {
            session.left(pid, "is traced in another mode");
            self.wait_for(session, pid, Why::Wanted, rule, false);
        }
    }
}
