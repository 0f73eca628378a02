//! Attaches to processes that are wanted: now, later while they still load, or not at all, which is counted.

use std::time::{Duration, Instant};

use super::super::Failure;
use super::super::events::Events;
use super::super::messages::Messages;
use super::super::session::Session;
use super::{EXECUTED, MAX_WAITING, Newcomer, Newcomers, ROUND, SETTLE, UNWANTED, Why};
use crate::mode::Tracing;
use crate::model::node::TargetId;
use crate::target::Target;
use crate::target::policy::{Examined, Rule};
use crate::target::vfork;

/// A program that was just executed has no allocator until its loader has mapped it.
const LOADING: Duration = Duration::from_secs(1);
/// For one round: meanwhile the stacks of others fill their ring buffer.
const BUDGET: Duration = Duration::from_millis(25);

/// Why processes wait.
const FULL: &str = "255 images are traced at a time: more processes are wanted, and wait";

/// Is told of each process that will be attached to, and by which rule.
pub(in crate::command) type Meet<'a> = dyn FnMut(TargetId, Option<Rule>) + 'a;

impl Newcomers {
    /// Attaches to those who were there before; they do not count yet.
    pub(in crate::command) fn admit_all(
        &mut self,
        session: &mut Session,
        events: &mut Events,
        messages: &Messages,
        meet: &mut Meet<'_>,
    ) {
        for (pid, newcomer) in std::mem::take(&mut self.waiting) {
            let newcomer = Newcomer { is_old: true, ..newcomer };
            self.admit(session, pid, newcomer, events, messages, meet);
        }
    }

    /// Attaches to those that are ready, for a short time at most.
    pub(in crate::command) fn round(
        &mut self,
        session: &mut Session,
        events: &mut Events,
        messages: &Messages,
        meet: &mut Meet<'_>,
    ) {
        let begin = Instant::now();
        if self.waiting.is_empty() || self.last_round.is_some_and(|last| last.elapsed() < ROUND) {
            return;
        }
        let due: Vec<u32> =
            self.waiting.iter().filter(|(_, waiting)| waiting.due <= begin).map(|(&pid, _)| pid).collect();
        for pid in due {
            // It waits until what is over is forgotten.
            if !session.makes_room() {
                session.note(FULL.to_owned());
                break;
            }
            let Some(newcomer) = self.waiting.remove(&pid) else { continue };
            if self.admit(session, pid, newcomer, events, messages, meet) {
                session.begin(pid);
                messages.detail(&format!("counting in process {pid}"));
                session.watch_mappings(pid);
            }
            if begin.elapsed() > BUDGET {
                break;
            }
        }
        self.last_round = Some(Instant::now());
    }

    /// Whether it is traced now.
    fn admit(
        &mut self,
        session: &mut Session,
        pid: u32,
        newcomer: Newcomer,
        events: &mut Events,
        messages: &Messages,
        meet: &mut Meet<'_>,
    ) -> bool {
        let why = newcomer.why;
        self.refused.remove(&pid);
        // Its fork is told after it was found and attached to.
        if session.is_traced(pid) && !session.has_executed(pid) {
            return false;
        }
        let mut wanted_by = None;
        let failure = match self.policy.examine(pid, why == Why::Child) {
            Examined::Wanted(target, rule) => {
                wanted_by = rule.or(newcomer.inherited);
                if rule.is_none() && !self.inherits(pid, wanted_by) {
                    self.forget(session, pid, UNWANTED);
                    return false;
                }
                // Until it executes, its memory is its parent's, and would be counted twice.
                if !newcomer.is_old && newcomer.since.elapsed() < LOADING && vfork::is_possible(pid) {
                    self.waiting.insert(pid, Newcomer { due: Instant::now() + SETTLE, ..newcomer });
                    return false;
                }
                // What it is called is read before: some live for milliseconds.
                meet(TargetId { pid, start_time: target.start_time }, wanted_by);
                match attach(session, target, self.tracing_of(pid, wanted_by), events) {
                    Ok(()) => {
                        self.admitted(pid, why, wanted_by);
                        if !newcomer.is_old {
                            session.note(late(why).to_owned());
                        }
                        return true;
                    }
                    Err(failure) => failure,
                }
            }
            Examined::Unwanted => {
                self.forget(session, pid, EXECUTED);
                return false;
            }
            Examined::Never(reason) if why != Why::Child => {
                messages.detail(&format!("process {pid} is never traced: {reason}"));
                self.forget(session, pid, EXECUTED);
                return false;
            }
            Examined::Never(reason) => Failure::CannotTrace(reason),
            Examined::Gone if why == Why::Perhaps => {
                self.forget(session, pid, EXECUTED);
                return false;
            }
            Examined::Gone => Failure::NotFound(format!("process {pid} ended before it was attached to")),
            Examined::Refused(error) => error.into(),
        };
        self.failed(session, pid, newcomer, wanted_by, failure, messages);
        false
    }

    fn admitted(&mut self, pid: u32, why: Why, rule: Option<Rule>) {
        self.rules.insert(pid, rule);
        if why == Why::Child {
            self.children.insert(pid);
        }
    }

    fn failed(
        &mut self,
        session: &mut Session,
        pid: u32,
        newcomer: Newcomer,
        wanted_by: Option<Rule>,
        failure: Failure,
        messages: &Messages,
    ) {
        let age = newcomer.since.elapsed();
        let mut is_refused = false;
        let noun = newcomer.why.noun();
        match failure {
            Failure::CannotTrace(_) if newcomer.is_loading && age < LOADING => {
                // Sooner at first: most programs are loaded in some milliseconds.
                let due = Instant::now() + age.max(SETTLE);
                let why = if newcomer.why == Why::Child { Why::Child } else { Why::Wanted };
                self.waiting.insert(pid, Newcomer { due, why, ..newcomer });
                return;
            }
            failure @ Failure::NotFound(_) => {
                session.count_failure(&format!("{noun}: it ended before it was attached to"));
                self.refusal.get_or_insert(failure);
            }
            failure => {
                messages.detail(&format!("{noun} {pid} is not traced: {failure}"));
                session.count_failure(&format!("{noun}: it cannot be traced (-v says why)"));
                self.refusal = Some(failure);
                is_refused = self.refused.len() < MAX_WAITING;
            }
        }
        self.forget(session, pid, EXECUTED);
        if is_refused {
            self.refused.insert(pid, wanted_by);
        }
    }
}

/// What the reader should know of a process that was not held.
const fn late(why: Why) -> &'static str {
    match why {
        Why::Child => "children are traced from a few milliseconds after they start",
        Why::Wanted | Why::Perhaps => {
            "processes that started meanwhile, or came into a control group, are traced from some milliseconds after that"
        }
    }
}

fn attach(
    session: &mut Session,
    target: Target,
    tracing: Option<Tracing>,
    events: &mut Events,
) -> Result<(), Failure> {
    let pid = target.pid;
    let pidfd = target.pidfd().map_err(anyhow::Error::from)?;
    let is_known = session.is_traced(pid);
    match tracing {
        Some(tracing) => session.add_with(target, 0, tracing)?,
        None => session.add(target, 0)?,
    }
    if !is_known {
        events.take_end(pid, pidfd).map_err(anyhow::Error::from)?;
    }
    Ok(())
}
