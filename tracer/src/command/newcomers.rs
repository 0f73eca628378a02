//! Processes that are about to be traced: children of targets, and what the user's selection wants.
//!
//! None of them is held: each is attached to some milliseconds after it appears, and that is said. A process that is
//! gone by then is counted if it is known that it was wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Failure;
use super::events::Events;
use super::messages::Messages;
use super::session::Session;
use crate::target::Target;
use crate::target::comm::Comm;
use crate::target::selection::{self, Examined, Selection};

/// Most children execute another program at once: until then there is nothing to see.
const SETTLE: Duration = Duration::from_millis(5);
/// A program that was just executed has no allocator until its loader has mapped it.
const LOADING: Duration = Duration::from_secs(1);
/// Between two rounds: a storm of short processes must not make one for each.
const ROUND: Duration = Duration::from_millis(5);
/// For one round: meanwhile the stacks of others fill their ring buffer.
const BUDGET: Duration = Duration::from_millis(25);
/// Processes that wait at a time; more are counted.
const MAX_WAITING: usize = 1 << 14;

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
    selection: Selection,
    follow_forks: bool,
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
    /// For children, if they are to be followed, and for what is selected.
    pub(super) fn new(selection: Selection, follow_forks: bool) -> Self {
        Self { selection, follow_forks, ..Self::default() }
    }

    /// Whether processes may come that are no children.
    pub(super) fn is_open(&self) -> bool {
        !self.selection.is_empty()
    }

    /// Why the last process that was wanted is not traced.
    pub(super) fn take_refusal(&mut self) -> Option<Failure> {
        self.refusal.take()
    }

    /// A process has a child.
    pub(super) fn forked(&mut self, session: &mut Session, parent: u32, child: u32) {
        // Without a selection only followed processes are reported.
        let is_family = !self.is_open() || session.is_traced(parent);
        let why = match self.waiting.get(&parent).map(|waiting| waiting.why) {
            Some(Why::Child) if self.follow_forks => Why::Child,
            _ if self.follow_forks && is_family => Why::Child,
            Some(why) => why,
            None if !self.is_open() || !session.is_traced(parent) => return,
            // It is what its parent is, until it executes another program.
            None if session.is_child(parent) => Why::Wanted,
            None => Why::Perhaps,
        };
        self.wait_for(session, child, why, false);
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
            || !self.is_open() && self.follow_forks && session.is_child(pid);
        let why = match is_child {
            true => Why::Child,
            false if self.selection.has_name(comm) => Why::Wanted,
            false if self.selection.asks_for_names_only() => {
                self.forget(session, pid);
                return;
            }
            false => Why::Perhaps,
        };
        self.wait_for(session, pid, why, true);
    }

    /// A process has ended.
    pub(super) fn ended(&mut self, pid: u32) {
        self.children.remove(&pid);
    }

    /// Looks at every process that there is.
    pub(super) fn scan(&mut self, session: &mut Session) {
        self.look_at_groups(session);
        for pid in selection::all_processes() {
            let is_known = session.is_traced(pid) || self.waiting.contains_key(&pid);
            if is_known && session.has_executed(pid) {
                session.replaced(pid);
                let why = if self.children.contains(&pid) { Why::Child } else { Why::Perhaps };
                self.wait_for(session, pid, why, true);
            } else if is_known {
                continue;
            } else if self.follow_forks
                && selection::parent_of(pid).is_some_and(|parent| session.is_traced(parent))
            {
                self.wait_for(session, pid, Why::Child, false);
            } else if self.is_open() {
                self.wait_for(session, pid, Why::Perhaps, true);
            }
        }
    }

    /// Attaches to those who were there before; they do not count yet.
    pub(super) fn admit_all(&mut self, session: &mut Session, events: &mut Events, messages: &Messages) {
        for (pid, newcomer) in std::mem::take(&mut self.waiting) {
            self.admit(session, pid, Newcomer { is_old: true, ..newcomer }, events, messages);
        }
    }

    /// How long nothing needs to be done.
    pub(super) fn wait(&self) -> Duration {
        if self.waiting.is_empty() { Duration::MAX } else { ROUND }
    }

    /// Attaches to those that are ready, for a short time at most.
    pub(super) fn round(&mut self, session: &mut Session, events: &mut Events, messages: &Messages) {
        let begin = Instant::now();
        if self.waiting.is_empty() || self.last_round.is_some_and(|last| last.elapsed() < ROUND) {
            return;
        }
        let due: Vec<u32> =
            self.waiting.iter().filter(|(_, waiting)| waiting.due <= begin).map(|(&pid, _)| pid).collect();
        for pid in due {
            let Some(newcomer) = self.waiting.remove(&pid) else { continue };
            if self.admit(session, pid, newcomer, events, messages) {
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

    /// Once per interval: who has come into a control group, and whether notices were lost.
    pub(super) fn look(&mut self, session: &mut Session, interval: Duration) {
        if self.last_look.is_some_and(|last| last.elapsed() < interval) {
            return;
        }
        self.last_look = Some(Instant::now());
        self.look_at_groups(session);
        // A map that cannot be read now is read at the next look.
        let lost = session.kernel().lost_notices().unwrap_or(self.lost_notices);
        if lost > self.lost_notices {
            session.count_failures("notices of processes that were lost", lost - self.lost_notices);
            self.lost_notices = lost;
            self.scan(session);
        }
    }

    fn look_at_groups(&mut self, session: &mut Session) {
        for pid in self.selection.look_at_groups() {
            if !session.is_traced(pid) {
                self.wait_for(session, pid, Why::Perhaps, true);
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

    fn wait_for(&mut self, session: &mut Session, pid: u32, why: Why, is_loading: bool) {
        if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(&pid) {
            session.count_failure("process: too many started at a time to look at");
            return;
        }
        let since = Instant::now();
        let newcomer = Newcomer { why, since, due: since + SETTLE, is_loading, is_old: false };
        self.waiting.insert(pid, newcomer);
    }

    /// It is not wanted (any more).
    fn forget(&mut self, session: &mut Session, pid: u32) {
        self.waiting.remove(&pid);
        self.children.remove(&pid);
        session.left(pid, "executed another program");
    }

    /// Whether it is traced now.
    fn admit(
        &mut self,
        session: &mut Session,
        pid: u32,
        newcomer: Newcomer,
        events: &mut Events,
        messages: &Messages,
    ) -> bool {
        let why = newcomer.why;
        let failure = match self.selection.examine(pid, why == Why::Child) {
            Examined::Wanted(target) => match attach(session, target, events) {
                Ok(()) => {
                    if why == Why::Child {
                        self.children.insert(pid);
                    }
                    if !newcomer.is_old {
                        session.note(late(why).to_owned());
                    }
                    return true;
                }
                Err(failure) => failure,
            },
            Examined::Unwanted => {
                self.forget(session, pid);
                return false;
            }
            Examined::Never(reason) if why != Why::Child => {
                messages.detail(&format!("process {pid} is never traced: {reason}"));
                self.forget(session, pid);
                return false;
            }
            Examined::Never(reason) => Failure::CannotTrace(reason),
            Examined::Gone if why == Why::Perhaps => {
                self.forget(session, pid);
                return false;
            }
            Examined::Gone => Failure::NotFound(format!("process {pid} ended before it was attached to")),
            Examined::Refused(error) => error.into(),
        };
        self.failed(session, pid, newcomer, failure, messages);
        false
    }

    fn failed(
        &mut self,
        session: &mut Session,
        pid: u32,
        newcomer: Newcomer,
        failure: Failure,
        messages: &Messages,
    ) {
        let age = newcomer.since.elapsed();
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
            }
        }
        self.forget(session, pid);
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

fn attach(session: &mut Session, target: Target, events: &mut Events) -> Result<(), Failure> {
    let pid = target.pid;
    let pidfd = target.pidfd().map_err(anyhow::Error::from)?;
    let is_known = session.is_traced(pid);
    session.add(target, 0)?;
    if !is_known {
        events.take_end(pid, pidfd).map_err(anyhow::Error::from)?;
    }
    Ok(())
}
