//! `tracer attach`: running processes, until told to stop or until they end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::children::Children;
use super::events::{Event, Events, Signalled};
use super::messages::Messages;
use super::pace::Pace;
use super::session::Session;
use super::{Failure, output};
use crate::cli::AttachArgs;
use crate::collect::notices::Notice;
use crate::kernel::preflight;
use crate::options::{self, TraceOptions};
use crate::target::Target;

/// How often the processes are looked at, and new children attached to.
const LOOK: Duration = Duration::from_millis(100);

/// Traces running processes and reports.
///
/// # Errors
///
/// A target is not there or cannot be traced, or the report cannot be written.
pub fn run(args: &AttachArgs, messages: &Messages) -> Result<(), Failure> {
    let options = options::trace(&args.trace, false)?;
    preflight::check_privileges().map_err(Failure::CannotTrace)?;
    let pids: BTreeSet<u32> = args.pids.iter().copied().collect();
    let targets = pids.into_iter().map(Target::open).collect::<Result<Vec<_>, _>>()?;
    let events = Events::new();
    events.take_signals(Signalled::Stop).map_err(anyhow::Error::from)?;
    let mut session = Session::open(&options, &targets, messages)?;
    start(&mut session, targets, &events)?;
    messages.detail("counting");
    follow(&mut session, &options, &events, messages);
    session.stop();
    session.detach();
    session.calibrate();
    let progress = messages.spinner("reading symbols");
    let snapshot = session.snapshot(&options)?;
    drop(progress);
    output::report(&snapshot, &options, true, messages)
}

/// Attaches to all targets, then counts.
fn start(session: &mut Session, targets: Vec<Target>, events: &Events) -> Result<(), Failure> {
    session.watch_processes(events)?;
    for target in targets {
        let pidfd = target.pidfd().map_err(anyhow::Error::from)?;
        let pid = target.pid;
        session.add_given(target)?;
        events.take_end(pid, pidfd).map_err(anyhow::Error::from)?;
    }
    session.count();
    Ok(())
}

/// Until told to stop, or the time is over, or all targets have ended.
fn follow(session: &mut Session, options: &TraceOptions, events: &Events, messages: &Messages) {
    let since = Instant::now();
    let mut pace = Pace::new(LOOK);
    let progress = messages.countdown(options.duration);
    let mut children = Children::default();
    while !session.all_ended() {
        let left = options.duration.map(|duration| duration.saturating_sub(since.elapsed()));
        if left == Some(Duration::ZERO) {
            break;
        }
        match events.next(left.unwrap_or(Duration::MAX).min(pace.wait())) {
            Event::Signal(_) => break,
            Event::Ended { pid } => session.ended(pid, "ended"),
            Event::Notice(Notice::Exec { tgid }) if session.is_child(tgid) => {
                if options.follow_forks {
                    children.executed(session, tgid);
                }
            }
            Event::Notice(Notice::Exec { tgid }) => {
                session.replaced(tgid);
                session.ended(tgid, "executed another program");
                session.note(format!("process {tgid} executed another program: the report ends there"));
            }
            Event::Notice(Notice::Loaded { tgid }) => session.mappings_changed(tgid),
            Event::Notice(Notice::Fork { child }) if options.follow_forks => children.appeared(child),
            Event::Notice(Notice::Fork { .. }) | Event::Tick => {}
        }
        if pace.is_due() {
            pace.took(session.drain());
        }
        if pace.looks() {
            session.look();
            children.attach_waiting(session, events, messages);
        }
        progress.at(since.elapsed());
    }
    children.give_up(session);
}
