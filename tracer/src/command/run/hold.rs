//! Holds CMD at the one moment when its libraries are mapped and their constructors have not run.
//!
//! The loader calls its rendezvous function (`_dl_debug_state` of glibc and musl, made for debuggers) when it has
//! mapped the libraries. A BPF program there stops the process, the tracer places its probes and lets it go on.

use std::time::{Duration, Instant};

use tracer_ebpf::abi::Followed;
use tracer_ebpf::abi::slot::{HOLD_AT_EXEC, HOLD_AT_LOADER};

use super::spawn::Command;
use crate::command::Failure;
use crate::command::events::{Event, Events};
use crate::command::session::Session;
use crate::target::mappings::{FileCache, Mappings};
use crate::target::{Target, loader};

/// glibc announces the beginning of the loading, and its end.
const RENDEZVOUS_CALLS: u32 = 2;
/// A loader needs milliseconds; a file system that hangs may need longer.
const LOADER_WAIT: Duration = Duration::from_secs(60);

/// Lets the stopped child go on to its exec, where it stops again.
pub(super) fn before_exec(session: &mut Session, command: &Command) -> Result<(), Failure> {
    session.kernel().follow(command.pid(), Followed { slot: u32::MAX, hold: HOLD_AT_EXEC })?;
    command.release();
    Ok(())
}

/// CMD is not stopped any more, whatever it executes.
pub(super) fn no_more(session: &mut Session, command: &Command) -> Result<(), Failure> {
    session.kernel().follow(command.pid(), Followed { slot: u32::MAX, hold: 0 })?;
    command.release_if_held();
    Ok(())
}

/// From the exec to the end of the loading, then the probes; CMD is stopped at the return.
pub(super) fn at_loader(session: &mut Session, command: &Command, events: &Events) -> Result<(), Failure> {
    let pid = command.pid();
    command.wait_for_stop()?;
    let mut files = FileCache::default();
    let mappings = Mappings::read(pid, &mut files)
        .map_err(|_| Failure::NotFound(format!("process {pid} ended before it was traced")))?;
    let rendezvous = loader::rendezvous(pid, &mappings, &mut loader::Known::default());
    let Some((loader, file_offset)) = rendezvous else { return attach(session, pid) };
    let links = session.kernel().attach_rendezvous(pid, &loader.file, file_offset)?;
    session.kernel().follow(pid, Followed { slot: u32::MAX, hold: HOLD_AT_EXEC | HOLD_AT_LOADER })?;
    // glibc's first call comes before libc is mapped, when a program that brings an allocator of its own could be traced
    // already, without the other one.
    let is_glibc = loader.path.rsplit('/').next().is_some_and(|name| name.starts_with("ld-linux"));
    for call in 1..=RENDEZVOUS_CALLS {
        command.release();
        wait_for_loader(pid, events)?;
        command.wait_for_stop()?;
        if is_glibc && call < RENDEZVOUS_CALLS {
            continue;
        }
        match attach(session, pid) {
            Err(Failure::CannotTrace(_)) if call < RENDEZVOUS_CALLS => {}
            result => {
                result?;
                break;
            }
        }
    }
    session.watch_loader(pid, links);
    Ok(())
}

fn attach(session: &mut Session, pid: u32) -> Result<(), Failure> {
    session.add(Target::open(pid)?, HOLD_AT_EXEC)?;
    session.count();
    Ok(())
}

/// Waits for the loader's notice; what else comes meanwhile is about processes that do not run yet.
fn wait_for_loader(pid: u32, events: &Events) -> Result<(), Failure> {
    use crate::collect::notices::Notice;
    let since = Instant::now();
    while since.elapsed() < LOADER_WAIT {
        match events.next(Duration::from_millis(100)) {
            Event::Notice(Notice::Loaded { tgid }) if tgid == pid => return Ok(()),
            Event::Ended { pid: ended } if ended == pid => {
                events.put_back(Event::Ended { pid });
                return Err(Failure::NotFound("CMD ended while it was loaded".to_owned()));
            }
            _ => {}
        }
    }
    Err(Failure::CannotTrace("CMD's loader did not finish within a minute".to_owned()))
}
