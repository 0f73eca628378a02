//! `tracer daemon`: the processes of a machine, traced by rules, until it is told to end.
//!
//! One loop owns everything that traces. What is served runs in other threads, which ask the loop and wait for it; the loop
//! waits for none of them.

mod canary;
mod changes;
mod fleet;
mod known;
mod pods;
mod profiles;
mod sites;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use signal_hook::consts::SIGHUP;

use super::events::{Event, Events, Signalled};
use super::loads::Loads;
use super::messages::{self, Messages};
use super::pace::Pace;
use super::{Failure, descriptors, print};
use crate::cli::DaemonArgs;
use crate::config::{self, Watch};
use crate::kernel::preflight;
use crate::serve::shared::{Ask, Shared};
use crate::serve::{control, http};
use fleet::Fleet;

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often the configuration's file is looked at.
const CONFIG_LOOK: Duration = Duration::from_secs(1);

/// Traces by rules until it is told to end.
///
/// # Errors
///
/// The configuration is wrong, a port or the socket is taken, or nothing can be traced here.
pub fn run(args: &DaemonArgs, messages: &Messages) -> Result<(), Failure> {
    if args.print_config {
        let text = config::effective(args)?;
        return print(|out| {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        });
    }
    // Before it is read: a change meanwhile is seen.
    let watch = args.config.as_ref().map(Watch::new);
    let config = config::load(args)?;
    preflight::check_privileges().map_err(Failure::CannotTrace)?;
    descriptors::raise();
    let mut events = Events::new();
    events.take_signals(Signalled::Serve).map_err(anyhow::Error::from)?;
    let (shared, asks) = shared(&events);
    // What is taken by another is found out before anything is attached.
    let http = http::start(config.http.clone(), Arc::clone(&shared)).map_err(anyhow::Error::from)?;
    let control =
        control::listen(&config.socket, Arc::clone(&shared), messages::line).map_err(anyhow::Error::from)?;
    messages.warn(&format!("serving http at {}, control at {}", http.local_addr(), config.socket.display()));
    let (pods, watcher) = pods::watched(&config, &events)?;
    let mut fleet = Fleet::open(config, http.local_addr(), pods, &mut events, messages)?;
    let ended = follow(&mut fleet, args, watch, &shared, &asks, &mut events, messages);
    watcher.stop();
    control.stop();
    http.stop();
    fleet.close();
    ended
}

/// What both sides have, and what is asked of this one.
fn shared(events: &Events) -> (Arc<Shared>, Receiver<Ask>) {
    let (sender, asks) = channel();
    let waker = events.sender();
    let shared = Shared::new(move |ask| sender.send(ask).is_ok() && waker.send(Event::Asked).is_ok());
    (Arc::new(shared), asks)
}

fn follow(
    fleet: &mut Fleet,
    args: &DaemonArgs,
    mut watch: Option<Watch>,
    shared: &Arc<Shared>,
    asks: &Receiver<Ask>,
    events: &mut Events,
    messages: &Messages,
) -> Result<(), Failure> {
    let mut pace = Pace::new(LOOK);
    let mut loads = Loads::default();
    let mut watched = Instant::now();
    let mut canaries = canary::Watch::start(shared)?;
    loop {
        let mut wants_reload = false;
        match events.next(pace.wait().min(fleet.wait()).min(CONFIG_LOOK)) {
            Event::Signal(SIGHUP) => wants_reload = true,
            Event::Signal(_) => {
                canaries.stop();
                return Ok(());
            }
            Event::Ended { pid } => fleet.ended(pid),
            Event::Notice(notice) => fleet.noticed(notice, &mut loads),
            Event::Tables => fleet.session().take_tables(),
            // One question each: the stacks of others come first.
            Event::Asked => {
                if let Ok(ask) = asks.try_recv() {
                    fleet.answer(ask, shared);
                }
            }
            Event::Pods => fleet.pods_changed(),
            Event::Wish(_) | Event::Tick => {}
        }
        if pace.is_due() {
            pace.took(fleet.session().drain());
        }
        if pace.looks() {
            fleet.look_at_processes();
        }
        loads.catch_up(fleet.session());
        fleet.admit(events, messages);
        if watched.elapsed() >= CONFIG_LOOK {
            watched = Instant::now();
            wants_reload |= watch.as_mut().is_some_and(Watch::changed);
        }
        if wants_reload {
            fleet.reload(config::load(args), messages);
        }
        if fleet.wait_for_look().is_zero() {
            shared.publish(fleet.look()?);
            canaries.look(fleet, &shared.node(), shared)?;
        }
    }
}
