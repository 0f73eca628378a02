//! One file per command. Errors end here: they are printed once, and become the exit code.

pub mod advise;
pub mod attach;
pub mod compare;
pub mod ctl;
pub mod daemon;
mod descriptors;
pub mod doctor;
mod ends;
pub mod events;
pub mod live;
mod loads;
pub mod messages;
mod newcomers;
pub mod output;
mod pace;
mod refresh;
pub mod run;
pub mod session;
pub mod view;

use std::io::Write;

use crate::cli::{Cli, Command};
use crate::kernel::KernelError;
use crate::options::UsageError;
use crate::target::TargetError;
use messages::Messages;

/// Why a command failed: what the exit code says of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Wrong usage.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A threshold or gate failed.
    #[error("{0}")]
    Gate(String),
    /// Target not found, or gone before anything was seen.
    #[error("{0}")]
    NotFound(String),
    /// This target or machine cannot be traced.
    #[error("{0}")]
    CannotTrace(String),
    /// Failed while running.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Failure {
    /// The exit code that `tracer --help` lists.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Gate(_) => 3,
            Self::NotFound(_) => 4,
            Self::CannotTrace(_) => 5,
        }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::NotFound { .. } | TargetError::Zombie { .. } | TargetError::Thread { .. } => {
                Self::NotFound(error.to_string())
            }
            TargetError::KernelThread { .. }
            | TargetError::MainThreadEnded { .. }
            | TargetError::Denied { .. } => Self::CannotTrace(error.to_string()),
        }
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        match error {
            KernelError::Attach { gone: true, .. } => Self::NotFound(error.to_string()),
            KernelError::Load { .. } => Self::CannotTrace(format!(
                "{error}. `tracer doctor` says what this kernel and these privileges allow"
            )),
            KernelError::Attach { .. } => Self::CannotTrace(error.to_string()),
            KernelError::Map { .. } => Self::Failed(error.into()),
        }
    }
}

/// Runs a command; the exit code.
#[must_use]
pub fn run(cli: Cli) -> u8 {
    let messages = Messages::start(cli.verbose, cli.quiet);
    let result = match cli.command {
        Command::Attach(args) => attach::run(&args, &messages),
        Command::Run(args) => return run::run(&args, &messages),
        Command::Daemon(args) => daemon::run(&args, &messages),
        Command::Ctl(args) => ctl::run(&args),
        Command::View(args) => view::run(&args),
        Command::Advise(args) => advise::run(&args, &messages),
        Command::Compare(args) => compare::run(&args, &messages),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions { shell } => print(|out| {
            crate::cli::completions(shell, out);
            Ok(())
        }),
        Command::Man => print(crate::cli::man),
        Command::Exec(command) => return run::spawn::stop_then_become_command(&command, &messages),
        Command::SeccompTrial => return crate::kernel::seccomp_trial::child(),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            messages.error(&failure);
            failure.code()
        }
    }
}

/// Collects what a command prints, then prints it: stdout may be closed by its reader, which is no failure.
fn print(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut text = Vec::new();
    write(&mut text).map_err(anyhow::Error::from)?;
    match std::io::stdout().write_all(&text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("failed to write to stdout").into())
        }
        _ => Ok(()),
    }
}
