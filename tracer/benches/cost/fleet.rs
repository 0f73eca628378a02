//! Many processes of few images: `tests/fixtures/fleet.c`, on one libc of their own.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::commanded::Commanded;
use crate::{compile, resources};

/// Their names, in turn: a rule of the daemon is about each.
pub(crate) const NAMES: [&str; 2] = ["fleet-live", "fleet-alloc"];
/// Sites that a process touches before the next has its turn, and processes until the tracer has taken what is new: the ring
/// buffer of new stacks does not hold all.
const SITES_AT_A_TIME: u32 = 1000;
const PROCESSES_AT_A_TIME: usize = 10;

/// All of them.
pub(crate) struct Fleet {
    /// First, so that they end before their libc is removed.
    processes: Vec<Commanded>,
    images: Vec<PathBuf>,
    _libraries: TempDir,
}

impl Fleet {
    /// Compiles the images and starts the processes.
    pub(crate) fn start(processes: usize, images: u32) -> Result<Self> {
        let images = (0..images).map(compile::fleet).collect::<Result<Vec<_>>>()?;
        let libraries = compile::private_libc()?;
        let start = |index: usize| {
            let mut command = Command::new(&images[index % images.len()]);
            command
                .args(["--name", NAMES[index / images.len() % NAMES.len()]])
                .env("LD_LIBRARY_PATH", libraries.path())
                .env("OTEL_SERVICE_NAME", format!("service-{index}"));
            Commanded::start(command, |line| line == "ready")
        };
        let processes = (0..processes).map(start).collect::<Result<Vec<_>>>()?;
        Ok(Self { processes, images, _libraries: libraries })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.processes.len()
    }

    /// Their programs.
    pub(crate) fn images(&self) -> &[PathBuf] {
        &self.images
    }

    /// Every process touches so many sites, and keeps blocks of each; the tracer takes what is new in between.
    pub(crate) fn touch(&mut self, sites: u32, tracer: u32) -> Result<()> {
        for first in (0..sites).step_by(SITES_AT_A_TIME as usize) {
            let now = SITES_AT_A_TIME.min(sites - first);
            for some in self.processes.chunks_mut(PROCESSES_AT_A_TIME) {
                for process in some {
                    process.ask(&format!("touch {now}"), |_| true)?;
                }
                resources::wait_until_idle(tracer)?;
            }
        }
        Ok(())
    }

    /// So many of them allocate as fast as they can, while `work` happens; their allocations.
    pub(crate) fn busy<T>(
        &mut self,
        processes: usize,
        time: Duration,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<(u64, T)> {
        let command = format!("busy {}", time.as_millis());
        thread::scope(|scope| {
            let ask = |process| scope.spawn(|| Commanded::ask(process, &command, |_| true));
            let asked: Vec<_> = self.processes.iter_mut().take(processes).map(ask).collect();
            let done = work()?;
            let mut made = 0;
            for answer in asked {
                let line = answer.join().ok().context("a thread that waits for a process has failed")??;
                made += line.parse::<u64>()?;
            }
            Ok((made, done))
        })
    }
}
