//! `tracer attach`: running processes, until told to stop or until they end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::events::{Event, Events, Signalled};
use super::live::Wish;
use super::loads::Loads;
use super::messages::Messages;
use super::newcomers::{How, Newcomers};
use super::pace::Pace;
use super::refresh::Refresh;
use super::session::Session;
use super::{Failure, descriptors, output};
use crate::cli::AttachArgs;
use crate::collect::notices::Notice;
use crate::kernel::preflight;
use crate::model::snapshot::Snapshot;
use crate::options::{self, Stdout, TraceOptions};
use crate::target::Target;
use crate::target::policy::Policy;
use crate::target::selection::Select;
use crate::view::words;

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Traces running processes and reports.
///
/// # Errors
///
/// A target is not there or cannot be traced, or the report cannot be written.
pub fn run(args: &AttachArgs, messages: &Messages) -> Result<(), Failure> {
    let select = options::select(&args.select)?;
    let options = TraceOptions { watch_all: !select.is_empty(), ..options::trace(&args.trace, false)? };
    let mut events = Events::new();
    let policy = Policy::any_of(select);
    let (mut session, was_live, closed) = traced(&args.select.pids, policy, &options, &mut events, messages)?;
    if was_live {
        messages.warn(&words::summary(&session.glance(&options)?));
        if options.outputs.is_empty() {
            return closed;
        }
    } else {
        session.calibrate();
    }
    let progress = messages.spinner("reading symbols");
    let snapshot = session.snapshot(&options)?;
    drop(progress);
    output::report(&snapshot, &options, true, messages)?;
    for output in options.outputs.iter().filter(|_| was_live) {
        messages.warn(&format!("wrote {}", output.path.display()));
    }
    closed
}

/// Traces until it is over, without a view; what was counted.
///
/// # Errors
///
/// A target is not there or cannot be traced.
pub(super) fn picture(
    pids: &[u32],
    options: &TraceOptions,
    messages: &Messages,
) -> Result<Snapshot, Failure> {
    let mut events = Events::new();
    let nobody_else = Policy::any_of(Select::default());
    let (mut session, _, closed) = traced(pids, nobody_else, options, &mut events, messages)?;
    closed?;
    session.calibrate();
    let progress = messages.spinner("reading symbols");
    let snapshot = session.snapshot(options)?;
    drop(progress);
    Ok(snapshot)
}

/// Traces until it is over: the session, detached; whether there was a live view, and how that ended. A signal to leave at
/// once is answered as long as the events are there.
fn traced(
    pids: &[u32],
    policy: Policy,
    options: &TraceOptions,
    events: &mut Events,
    messages: &Messages,
) -> Result<(Session, bool, Result<(), Failure>), Failure> {
    preflight::check_privileges().map_err(Failure::CannotTrace)?;
    descriptors::raise();
    let pids: BTreeSet<u32> = pids.iter().copied().collect();
    let targets = pids.into_iter().map(Target::open).collect::<Result<Vec<_>, _>>()?;
    events.take_signals(Signalled::Stop).map_err(anyhow::Error::from)?;
    let mut session = Session::open(options, &targets, messages)?;
    let how = How { follow_forks: options.follow_forks, ..How::default() };
    let mut newcomers = Newcomers::new(policy, vec![how], how);
    start(&mut session, options, targets, &mut newcomers, events, messages)?;
    let mut refresh = Refresh::open(&mut session, options, events)?;
    let followed = follow(&mut session, options, &mut newcomers, events, &mut refresh, messages);
    let was_live = refresh.is_live();
    // A view that has failed loses no report.
    let closed = refresh.close();
    followed?;
    newcomers.give_up(&mut session);
    if !session.has_counted() {
        let nobody = || Failure::NotFound("no process matched until tracer was stopped".to_owned());
        return Err(newcomers.take_refusal().unwrap_or_else(nobody));
    }
    session.stop();
    session.detach();
    Ok((session, was_live, closed))
}

/// Attaches to all that are there, then counts.
fn start(
    session: &mut Session,
    options: &TraceOptions,
    targets: Vec<Target>,
    newcomers: &mut Newcomers,
    events: &mut Events,
    messages: &Messages,
) -> Result<(), Failure> {
    // Before the first look at who is there: nobody is missed in between.
    session.watch_processes(events)?;
    for target in targets {
        let pidfd = target.pidfd().map_err(anyhow::Error::from)?;
        let pid = target.pid;
        session.add_given(target)?;
        events.take_end(pid, pidfd).map_err(anyhow::Error::from)?;
    }
    if newcomers.is_open() {
        newcomers.scan(session);
        newcomers.admit_all(session, events, messages, &mut |_, _| {});
    }
    if options.stdout == Some(Stdout::Live) {
        // The view says what the tracing costs while it goes on; here nothing is missed meanwhile.
        session.calibrate();
    }
    session.begin_all();
    if session.has_counted() {
        messages.detail("counting");
        session.watch_all_mappings();
    } else {
        messages.warn("no process matches yet: waiting for the first one (Ctrl-C ends)");
    }
    Ok(())
}

/// Until told to stop, or the time is over, or all targets have ended and no other can come.
fn follow(
    session: &mut Session,
    options: &TraceOptions,
    newcomers: &mut Newcomers,
    events: &mut Events,
    refresh: &mut Refresh,
    messages: &Messages,
) -> Result<(), Failure> {
    let mut since = session.has_counted().then(Instant::now);
    let mut pace = Pace::new(LOOK);
    let mut loads = Loads::default();
    let progress = refresh.is_silent().then(|| messages.countdown(options.duration));
    // The last picture of what has ended stays until the user has seen it.
    while refresh.is_live() || newcomers.is_open() || !session.all_ended() {
        let elapsed = since.map_or(Duration::ZERO, |since| since.elapsed());
        let left = options.duration.map_or(Duration::MAX, |duration| duration.saturating_sub(elapsed));
        if left.is_zero() {
            break;
        }
        match events.next(left.min(pace.wait()).min(newcomers.wait()).min(refresh.wait())) {
            Event::Signal(_) | Event::Wish(Wish::Quit) => break,
            // What has ended keeps the interval that it was counted with.
            Event::Wish(Wish::SampleBytes(_)) if session.is_stopped() => {}
            Event::Wish(Wish::SampleBytes(bytes)) => {
                session.set_sample_bytes(bytes);
                refresh.soon();
            }
            Event::Ended { pid } => {
                session.ended(pid, "ended");
                newcomers.ended(pid);
            }
            Event::Notice(Notice::Exec { tgid, comm }) => newcomers.executed(session, tgid, comm),
            Event::Notice(Notice::Fork { parent, child }) => newcomers.forked(session, parent, child),
            Event::Notice(Notice::Loaded { tgid }) => loads.changed(session, tgid),
            Event::Tables => session.take_tables(),
            Event::Asked | Event::Pods | Event::Tick => {}
        }
        if pace.is_due() {
            pace.took(session.drain());
        }
        if pace.looks() {
            session.look();
            newcomers.look(session, options.interval);
        }
        loads.catch_up(session);
        newcomers.round(session, events, messages, &mut |_, _| {});
        if since.is_none() && session.has_counted() {
            messages.detail("counting");
            since = Some(Instant::now());
        }
        if refresh.is_live() && !newcomers.is_open() && session.all_ended() && !session.is_stopped() {
            session.stop();
            refresh.soon();
        }
        if !refresh.round(session, options)? {
            break;
        }
        if let Some(progress) = &progress {
            progress.at(elapsed);
        }
    }
    Ok(())
}
