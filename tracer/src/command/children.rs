//! Children of a target. They are not held: each is attached to a few milliseconds after it appears, and that is said.

use std::time::{Duration, Instant};

use crate::command::Failure;
use crate::command::events::Events;
use crate::command::messages::Messages;
use crate::command::session::Session;
use crate::target::Target;

/// Most children execute another program at once: until then there is nothing to see.
const SETTLE: Duration = Duration::from_millis(5);
/// A program that was just executed has no allocator until its loader has mapped it.
const LOADING: Duration = Duration::from_secs(1);

/// A child that is not attached to yet.
struct Waiting {
    pid: u32,
    /// When it appeared, or executed its program.
    since: Instant,
    /// Its program may still be loaded.
    is_loading: bool,
}

/// Children that were seen and are not attached to yet.
#[derive(Default)]
pub(super) struct Children(Vec<Waiting>);

impl Children {
    /// A child was created.
    pub(super) fn appeared(&mut self, pid: u32) {
        self.0.push(Waiting { pid, since: Instant::now(), is_loading: false });
    }

    /// A child executes another program.
    pub(super) fn executed(&mut self, session: &mut Session, pid: u32) {
        self.0.retain(|waiting| waiting.pid != pid);
        session.replaced(pid);
        self.0.push(Waiting { pid, since: Instant::now(), is_loading: true });
    }

    /// Attaches to those that are ready.
    pub(super) fn attach_waiting(&mut self, session: &mut Session, events: &Events, messages: &Messages) {
        for waiting in std::mem::take(&mut self.0) {
            if waiting.since.elapsed() < SETTLE {
                self.0.push(waiting);
                continue;
            }
            match attach(session, waiting.pid, events) {
                Ok(()) => {
                    session.note("children are traced from a few milliseconds after they start".to_owned());
                }
                Err(Failure::CannotTrace(_)) if waiting.is_loading && waiting.since.elapsed() < LOADING => {
                    self.0.push(waiting);
                }
                Err(Failure::NotFound(_)) => {
                    session.count_failure("child: it ended before it was attached to");
                }
                Err(failure) => {
                    messages.detail(&format!("child {} is not traced: {failure}", waiting.pid));
                    session.count_failure("child: it cannot be traced (-v says why)");
                }
            }
        }
    }

    /// Nobody will attach to the rest: that is said too.
    pub(super) fn give_up(self, session: &mut Session) {
        for _ in self.0 {
            session.count_failure("child: it was not attached to in time");
        }
    }
}

fn attach(session: &mut Session, pid: u32, events: &Events) -> Result<(), Failure> {
    let target = Target::open(pid)?;
    let pidfd = target.pidfd().map_err(anyhow::Error::from)?;
    session.add(target, 0)?;
    events.take_end(pid, pidfd).map_err(anyhow::Error::from)?;
    session.count();
    Ok(())
}
