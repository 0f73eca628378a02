//! `tracer run -- CMD`: a program from its first allocation.
//!
//! CMD is started stopped, followed by the process tracepoints, and held where its loader has mapped the libraries
//! and not yet run their constructors. There the probes are placed, and it goes on.

mod hold;
pub mod spawn;

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::descriptors;
use super::events::{Event, Events, Signalled};
use super::loads::Loads;
use super::messages::Messages;
use super::newcomers::{How, Newcomers};
use super::pace::Pace;
use super::session::Session;
use super::{Failure, output};
use crate::cli::RunArgs;
use crate::collect::notices::Notice;
use crate::options::{self, TraceOptions};
use crate::target::policy::Policy;
use spawn::{Command, End};

/// Exit code of `run` when the tracer itself fails.
const TRACER_FAILED: u8 = 125;
/// How often the processes are looked at, and new children attached to.
const LOOK: Duration = Duration::from_millis(20);
/// How often CMD is looked at when it is not traced any more.
const IDLE: Duration = Duration::from_millis(100);

/// Runs CMD under the tracer; the exit code.
#[must_use]
pub fn run(args: &RunArgs, messages: &Messages) -> u8 {
    match try_run(args, messages) {
        Ok(code) => code,
        Err(failure @ Failure::Usage(_)) => {
            messages.error(&failure);
            failure.code()
        }
        Err(failure) => {
            messages.error(&failure);
            TRACER_FAILED
        }
    }
}

fn try_run(args: &RunArgs, messages: &Messages) -> Result<u8, Failure> {
    let options = options::trace(&args.trace, true)?;
    if let Some(path) = spawn::set_id_program(&args.command) {
        messages.warn(&format!(
            "{} is set-uid or set-gid and is not traced: it would run with other rights than its own",
            path.display()
        ));
        return Ok(spawn::become_command(&args.command, messages));
    }
    descriptors::raise();
    let mut events = Events::new();
    let mut session = Session::open(&options, &[], messages)?;
    session.watch_processes(&events)?;
    events.take_signals(Signalled::Forward).map_err(anyhow::Error::from)?;
    let mut command = Command::start(&args.command)?;
    events.take_end(command.pid(), command.pidfd()?).map_err(anyhow::Error::from)?;
    let outcome = follow(&mut session, &mut command, &options, &mut events, messages);
    if outcome.is_err() {
        // It has not run one instruction of its own, or it must not stay stopped.
        command.abandon();
    }
    let Some(end) = outcome? else {
        // CMD could not be started: its own message is on stderr.
        return command.wait().map(End::code);
    };
    session.stop();
    session.detach();
    session.calibrate();
    let progress = messages.spinner("reading symbols");
    let snapshot = session.snapshot(&options)?;
    drop(progress);
    output::report(&snapshot, &options, false, messages)?;
    Ok(end.code())
}

/// Until CMD ends; `None` if it was never started.
fn follow(
    session: &mut Session,
    command: &mut Command,
    options: &TraceOptions,
    events: &mut Events,
    messages: &Messages,
) -> Result<Option<End>, Failure> {
    let pid = command.pid();
    hold::before_exec(session, command)?;
    let since = Instant::now();
    let mut pace = Pace::new(LOOK);
    let how = How { follow_forks: options.follow_forks, ..How::default() };
    let mut newcomers = Newcomers::new(Policy::default(), Vec::new(), how);
    let mut loads = Loads::default();
    let mut has_started = false;
    let mut is_over = false;
    loop {
        if !is_over && has_started && options.duration.is_some_and(|duration| since.elapsed() >= duration) {
            // CMD goes on untraced: it is not ours to end.
            is_over = true;
            hold::no_more(session, command)?;
            session.stop();
            session.detach();
        }
        match events.next(if is_over { IDLE } else { pace.wait().min(newcomers.wait()) }) {
            Event::Ended { pid: ended } if ended == pid => {
                let end = command.wait()?;
                session.ended(pid, &end.to_string());
                newcomers.give_up(session);
                return Ok(has_started.then_some(end));
            }
            Event::Ended { pid: ended } => {
                session.ended(ended, "ended");
                newcomers.ended(ended);
            }
            Event::Signal(signal) => command.forward(signal),
            Event::Notice(_) if is_over => {}
            Event::Notice(Notice::Exec { tgid, .. }) if tgid == pid => {
                session.replaced(pid);
                let attached = hold::at_loader(session, command, events);
                command.release();
                match attached {
                    Ok(()) => has_started = true,
                    Err(Failure::NotFound(_)) => {}
                    Err(failure) if !has_started => return Err(failure),
                    Err(failure) => session.note(format!("after its exec, CMD was not traced: {failure}")),
                }
            }
            Event::Notice(Notice::Exec { tgid, comm }) => newcomers.executed(session, tgid, comm),
            Event::Notice(Notice::Fork { parent, child }) => newcomers.forked(session, parent, child),
            Event::Notice(Notice::Loaded { tgid }) => loads.changed(session, tgid),
            Event::Tables => session.take_tables(),
            // The terminal is CMD's.
            Event::Asked | Event::Pods | Event::Wish(_) | Event::Tick => {}
        }
        if !is_over && pace.is_due() {
            pace.took(session.drain());
        }
        if !is_over && pace.looks() {
            session.look();
            newcomers.look(session, options.interval);
        }
        if !is_over {
            loads.catch_up(session);
            newcomers.round(session, events, messages, &mut |_, _| {});
        }
    }
}

/// A signal by its number.
fn signal(number: i32) -> Option<Signal> {
    Signal::from_named_raw(number)
}
