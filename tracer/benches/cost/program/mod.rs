//! Programs whose CPU time for some work is measured: the workload of the other sections, and real ones.

mod python;
mod redis;
mod sqlite;

use std::time::Duration;

use anyhow::Result;

use crate::resources;
use crate::workload::{Shape, Workload};

/// A running program that can do the same work again and again.
pub(crate) trait Program {
    /// Its process id.
    fn pid(&self) -> u32;

    /// Does the work once.
    fn work(&mut self) -> Result<()>;

    /// The CPU time that it takes for it.
    fn cpu_time_of_work(&mut self) -> Result<Duration> {
        let before = resources::cpu_time(self.pid())?;
        self.work()?;
        Ok(resources::cpu_time(self.pid())?.saturating_sub(before))
    }
}

/// A program that is here, or why not.
type Found = Result<Box<dyn Program>, String>;

/// How much work at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Enough to be compared: tenths of a second of CPU time, untraced; seconds, traced.
    Full,
    /// Enough to see that it runs.
    Little,
}

impl Amount {
    const fn choose(self, full: u32, little: u32) -> u32 {
        match self {
            Self::Full => full,
            Self::Little => little,
        }
    }
}

/// All of them, started; each has done its work once.
pub(crate) fn all(pairs: u64, amount: Amount) -> Vec<(&'static str, Found)> {
    vec![
        ("pairs", start(|| Ok(Pairs { workload: Workload::start(Shape::USUAL)?, pairs }))),
        (redis::NAME, start(|| redis::Redis::start(amount))),
        (python::NAME, start(|| python::Python::start(amount))),
        (sqlite::NAME, start(|| sqlite::Sqlite::start(amount))),
    ]
}

fn start<P: Program + 'static>(start: impl FnOnce() -> Result<P>) -> Found {
    let mut program = start().map_err(|error| format!("{error:#}"))?;
    program.work().map_err(|error| format!("{error:#}"))?;
    Ok(Box::new(program))
}

struct Pairs {
    workload: Workload,
    pairs: u64,
}

impl Program for Pairs {
    fn pid(&self) -> u32 {
        self.workload.pid()
    }

    fn work(&mut self) -> Result<()> {
        self.workload.run(self.pairs).map(drop)
    }
}
