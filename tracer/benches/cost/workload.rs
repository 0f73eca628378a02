//! The process that most sections measure: `tests/fixtures/pairs.c`, on libraries of its own.

use std::process::Command;

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::commanded::Commanded;
use crate::{compile, resources};

/// New stacks at a time in [`Workload::slow_pass`].
const NEW_STACKS: u32 = 8_192;

/// What the workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Threads.
    pub(crate) threads: u32,
    /// Distinct call stacks.
    pub(crate) stacks: u32,
    /// Calls of each, malloc's caller included.
    pub(crate) depth: u32,
    /// Pairs before the next stack.
    pub(crate) batch: u32,
}

impl Shape {
    /// One thread, 16 stacks 16 calls deep, as in all tables that do not say otherwise.
    pub(crate) const USUAL: Self = Self { threads: 1, stacks: 16, depth: 16, batch: 64 };
}

/// What the workload says of its commands: its own truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// CPU time of its threads per pair.
    pub(crate) ns_per_pair: f64,
    /// Pairs of malloc and free, of all threads.
    pub(crate) pairs: u64,
    /// What they allocated.
    pub(crate) bytes: u64,
}

/// The running process.
pub(crate) struct Workload {
    /// First, so that it ends before its libraries are removed.
    process: Commanded,
    shape: Shape,
    allocator: &'static str,
    _libraries: TempDir,
}

impl Workload {
    /// Compiles and starts it.
    pub(crate) fn start(shape: Shape) -> Result<Self> {
        Self::start_by(Command::new(compile::pairs()?), shape)
    }

    /// Starts it by a command that takes the workload's arguments.
    pub(crate) fn start_by(command: Command, shape: Shape) -> Result<Self> {
        Self::start_on(compile::private_libc()?, "libc.so.6", command, shape)
    }

    /// Starts it with jemalloc before libc.
    pub(crate) fn start_on_jemalloc(shape: Shape) -> Result<Self> {
        let libraries = compile::private_jemalloc()?;
        let mut command = Command::new(compile::pairs()?);
        command.env("LD_PRELOAD", libraries.path().join(compile::JEMALLOC));
        Self::start_on(libraries, compile::JEMALLOC, command, shape)
    }

    fn start_on(
        libraries: TempDir,
        allocator: &'static str,
        mut command: Command,
        shape: Shape,
    ) -> Result<Self> {
        command
            .args(["--threads", &shape.threads.to_string()])
            .args(["--stacks", &shape.stacks.to_string()])
            .args(["--depth", &shape.depth.to_string()])
            .args(["--batch", &shape.batch.to_string()])
            .env("LD_LIBRARY_PATH", libraries.path());
        let process = Commanded::start(command, |line| line == "ready")?;
        Ok(Self { process, shape, allocator, _libraries: libraries })
    }

    /// The file name of the library whose malloc it calls.
    pub(crate) const fn allocator(&self) -> &'static str {
        self.allocator
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it does.
    pub(crate) const fn shape(&self) -> Shape {
        self.shape
    }

    /// Lets every thread go once through all stacks.
    pub(crate) fn pass(&mut self) -> Result<Measured> {
        self.run(u64::from(self.shape.stacks) * u64::from(self.shape.batch))
    }

    /// The same, with pauses until a tracer has taken what is new to it: the ring buffer does not hold all stacks at
    /// once, and in a program that has run for a while they do not come at once.
    pub(crate) fn slow_pass(&mut self, tracer: u32) -> Result<Measured> {
        let mut done = Measured { ns_per_pair: 0.0, pairs: 0, bytes: 0 };
        let mut stacks = self.shape.stacks;
        while stacks > 0 {
            let now = stacks.min(NEW_STACKS);
            let part = self.run(u64::from(now) * u64::from(self.shape.batch))?;
            (done.pairs, done.bytes) = (done.pairs + part.pairs, done.bytes + part.bytes);
            if self.shape.stacks > NEW_STACKS {
                resources::wait_until_idle(tracer)?;
            }
            stacks -= now;
        }
        Ok(done)
    }

    /// Lets every thread make so many pairs.
    pub(crate) fn run(&mut self, pairs: u64) -> Result<Measured> {
        let line = self.process.ask(&format!("run {pairs}"), |_| true)?;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [ns, pairs, bytes] => {
                Ok(Measured { ns_per_pair: ns.parse()?, pairs: pairs.parse()?, bytes: bytes.parse()? })
            }
            _ => bail!("the workload answered {line:?}"),
        }
    }
}
