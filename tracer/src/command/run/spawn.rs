//! CMD as a process: started stopped, signalled, waited for.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, set_parent_process_death_signal,
};

use super::signal;
use crate::command::Failure;
use crate::command::descriptors;
use crate::command::messages::Messages;

/// Exit codes of a shell for a program that cannot be started.
const CANNOT_EXECUTE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Set-uid and set-gid bits.
const SET_ID: u32 = 0o6000;
/// A stop that was asked for comes within this time.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// CMD.
pub struct Command {
    child: Child,
    pid: Pid,
}

/// How CMD ended.
#[derive(Clone, Copy, Debug)]
pub struct End(ExitStatus);

impl End {
    /// The code that a shell would give: its own, or 128 and the signal.
    #[must_use]
    pub fn code(self) -> u8 {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => code as u8,
            (None, signal) => 128_u8.wrapping_add(signal.unwrap_or(0) as u8),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal().and_then(signal)) {
            (Some(code), _) => write!(f, "exited with code {code}"),
            (None, Some(signal)) => write!(f, "killed by {signal:?}"),
            (None, None) => f.write_str("killed by a signal"),
        }
    }
}

impl Command {
    /// Starts a copy of this program that stops itself, and becomes CMD when it goes on.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start(command: &[OsString]) -> Result<Self, Failure> {
        let exe = std::env::current_exe().context("failed to find this program's own file")?;
        let child = std::process::Command::new(exe)
            .arg(crate::cli::EXEC)
            .args(command)
            .spawn()
            .context("failed to start a child process")?;
        let pid = Pid::from_child(&child);
        let started = Self { child, pid };
        started.wait_for_stop()?;
        descriptors::restore_for(pid);
        Ok(started)
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A handle that becomes readable when it ends.
    ///
    /// # Errors
    ///
    /// The table of open files is full.
    pub fn pidfd(&self) -> Result<OwnedFd, Failure> {
        Ok(pidfd_open(self.pid, PidfdFlags::empty()).context("failed to open a pidfd of CMD")?)
    }

    /// Waits until it is stopped.
    ///
    /// # Errors
    ///
    /// It has ended instead, or does not stop.
    pub fn wait_for_stop(&self) -> Result<(), Failure> {
        let since = Instant::now();
        while since.elapsed() < STOP_WAIT {
            match self.state() {
                Some('T') => return Ok(()),
                Some('Z' | 'X') | None => {
                    return Err(Failure::NotFound("CMD ended before it was traced".to_owned()));
                }
                Some(_) => std::thread::sleep(Duration::from_micros(100)),
            }
        }
        Err(anyhow!("CMD was told to stop for the probes, and did not").into())
    }

    fn state(&self) -> Option<char> {
        let pid = i32::try_from(self.child.id()).ok()?;
        procfs::process::Process::new(pid).ok()?.stat().ok().map(|stat| stat.state)
    }

    /// Lets it go on.
    pub fn release(&self) {
        // It may have ended.
        let _ = kill_process(self.pid, Signal::CONT);
    }

    /// Lets it go on if it was stopped on our behalf a moment ago; a stop by its user is seen as one too, and ended.
    pub fn release_if_held(&self) {
        if self.state() == Some('T') {
            self.release();
        }
    }

    /// Gives it a signal that was meant for it; INT and QUIT it has from the terminal already.
    pub fn forward(&self, number: i32) {
        if let Some(signal) = signal(number)
            && signal != Signal::INT
            && signal != Signal::QUIT
        {
            // It may have ended.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Ends it: the tracer failed before CMD ran.
    pub fn abandon(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// Someone else has waited for it.
    pub fn wait(&mut self) -> Result<End, Failure> {
        Ok(End(self.child.wait().context("failed to wait for CMD")?))
    }
}

/// The child's side: stops itself, then becomes CMD. The exit code if it cannot.
#[must_use]
pub fn become_command(command: &[OsString], messages: &Messages) -> u8 {
    let Some((program, arguments)) = command.split_first() else { return NOT_FOUND };
    let error = std::process::Command::new(program).args(arguments).exec();
    messages.error(&format!("failed to run {}: {error}", program.display()));
    if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_EXECUTE }
}

/// The child's side of [`Command::start`]: stopped until the tracer is ready.
#[must_use]
pub fn stop_then_become_command(command: &[OsString], messages: &Messages) -> u8 {
    // If the tracer is killed while CMD is held, CMD goes on by itself.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::CONT)) {
        messages
            .warn(&format!("CMD would stay stopped if the tracer were killed while it attaches: {error}"));
    }
    if let Err(error) = kill_process(getpid(), Signal::STOP) {
        messages.error(&format!("failed to stop before CMD: {error}"));
        return CANNOT_EXECUTE;
    }
    become_command(command, messages)
}

/// The program's file, if it runs with other rights than the caller's.
#[must_use]
pub fn set_id_program(command: &[OsString]) -> Option<PathBuf> {
    let path = find_program(command.first()?)?;
    let metadata = path.metadata().ok()?;
    (metadata.permissions().mode() & SET_ID != 0).then_some(path)
}

/// As execvp(3) finds it.
fn find_program(program: &OsString) -> Option<PathBuf> {
    let path = Path::new(program);
    if path.components().count() > 1 {
        return Some(path.to_owned());
    }
    let executable = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&std::env::var_os("PATH")?).map(|directory| directory.join(path)).find(executable)
}
