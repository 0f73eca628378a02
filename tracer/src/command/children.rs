//! Children of CMD. They are not held: each is attached to a few milliseconds after it appears, and that is said.

use std::time::{Duration, Instant};

use crate::command::Failure;
use crate::command::events::Events;
use crate::command::messages::Messages;
use crate::command::session::Session;
use crate::target::Target;

/// Most children execute another program at once: until then there is nothing to see.
const SETTLE: Duration = Duration::from_millis(5);

/// Children that were seen and are not attached to yet.
#[derive(Default)]
pub(super) struct Children {
    waiting: Vec<(u32, Instant)>,
}

impl Children {
    /// A child was created.
    pub(super) fn appeared(&mut self, child: u32) {
        self.waiting.push((child, Instant::now()));
    }

    /// A child executes another program.
    pub(super) fn executed(&mut self, session: &mut Session, pid: u32, events: &Events, messages: &Messages) {
        self.waiting.retain(|&(waiting, _)| waiting != pid);
        session.replaced(pid);
        attach(session, pid, events, messages);
    }

    /// Attaches to those that stayed what they were.
    pub(super) fn attach_waiting(&mut self, session: &mut Session, events: &Events, messages: &Messages) {
        let settled = |&(_, since): &(u32, Instant)| since.elapsed() >= SETTLE;
        let ready: Vec<u32> =
            self.waiting.iter().filter(|child| settled(child)).map(|&(pid, _)| pid).collect();
        self.waiting.retain(|child| !settled(child));
        for pid in ready {
            attach(session, pid, events, messages);
        }
    }
}

fn attach(session: &mut Session, pid: u32, events: &Events, messages: &Messages) {
    session.note("children of CMD are traced from a few milliseconds after they start".to_owned());
    let result = Target::open(pid).map_err(Failure::from).and_then(|target| {
        let pidfd = target.pidfd().map_err(anyhow::Error::from)?;
        session.add(target, 0)?;
        events.take_end(pid, pidfd).map_err(anyhow::Error::from)?;
        session.count()
    });
    match result {
        Ok(()) => {}
        Err(Failure::NotFound(_)) => session.count_failure("a child ended before it was attached to"),
        Err(failure) => {
            messages.detail(&format!("child {pid} is not traced: {failure}"));
            session.count_failure("a child cannot be traced");
        }
    }
}
