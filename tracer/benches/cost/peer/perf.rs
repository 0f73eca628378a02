//! perf with a probe on malloc's entry.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::tool::Tool;
use super::tracefs::Tracefs;
use super::{Found, Peer, program};
use crate::lines::Lines;
use crate::workload::Workload;

/// From its start until it counts.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// What it does at each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Counts.
    Stat,
    /// Sends each stack to user space.
    Record,
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Stat, Self::Record];

    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stat => "perf stat",
            Self::Record => "perf record -g",
        }
    }
}

struct Perf {
    program: PathBuf,
    kind: Kind,
    /// Calls that it saw, of how many.
    kept: Option<(u64, u64)>,
}

/// A probe of the kernel by name; removed when dropped.
struct Event<'a> {
    perf: &'a Path,
    /// Where perf puts a copy of every object that it sees, else it is the user's home.
    cache: &'a Path,
    name: String,
    _tracefs: Tracefs,
}

/// Looks for it.
pub(super) fn find(kind: Kind) -> Found {
    Ok(Box::new(Perf { program: program("perf", "linux-perf")?, kind, kept: None }))
}

impl<'a> Event<'a> {
    fn add(perf: &'a Path, cache: &'a Path, object: &str) -> Result<Self> {
        let tracefs = Tracefs::mounted()?;
        let name = format!("tracer_bench:malloc_{}", std::process::id());
        let output = Command::new(perf)
            .arg("--buildid-dir")
            .arg(cache)
            .args(["probe", "--quiet", "--exec", object, "--add", &format!("{name}=malloc")])
            .output()?;
        if !output.status.success() {
            bail!("perf probe: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self { perf, cache, name, _tracefs: tracefs })
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // If it fails, a probe without users stays: it costs nobody anything.
        let mut command = Command::new(self.perf);
        command.arg("--buildid-dir").arg(self.cache).args(["probe", "--quiet", "--del", &self.name]);
        drop(command.output());
    }
}

impl Peer for Perf {
    fn measure(&mut self, workload: &mut Workload, object: &str, pairs: u64) -> Result<f64> {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let event = Event::add(&self.program, folder.path(), object)?;
        let [control, answers] = ["control", "answers"].map(|name| folder.path().join(name));
        for fifo in [&control, &answers] {
            mknodat(CWD, fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                .context("failed to make a pipe")?;
        }
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Stat => command.args(["stat", "-x,"]),
            Kind::Record => command.args(["record", "-g", "--no-buildid-cache", "-o"]),
        };
        if self.kind == Kind::Record {
            command.arg(folder.path().join("perf.data"));
        }
        command.args(["-e", &event.name, "-p", &workload.pid().to_string(), "--delay=-1"]);
        command.arg(format!("--control=fifo:{},{}", control.display(), answers.display()));
        let mut tool = Tool::start(&mut command)?;
        enable(&mut tool, &control, &answers)?;
        let warm_up = workload.pass()?;
        let measured = workload.run(pairs)?;
        let said = tool.stop()?;
        drop(event);
        self.kept = seen(self.kind, &said).map(|seen| (seen, warm_up.pairs + measured.pairs));
        Ok(measured.ns_per_pair)
    }

    fn note(&self) -> Option<String> {
        self.kept.map(|(seen, all)| format!("it saw {seen} of {all} calls in the last round"))
    }
}

/// Tells it to count, and waits until it does.
fn enable(tool: &mut Tool, control: &Path, answers: &Path) -> Result<()> {
    // Both ways, because a pipe that perf has not opened yet would stop us here.
    let mut open = OpenOptions::new();
    open.read(true).write(true);
    let mut lines = Lines::of(open.open(answers)?);
    // Kept open: what nobody has open is empty.
    let mut control = open.open(control)?;
    control.write_all(b"enable\n").context("failed to enable the probe")?;
    let deadline = Instant::now() + PATIENCE;
    while lines.next_within(POLL).is_none() {
        if let Some(said) = tool.ended()? {
            bail!("perf ended, {said}");
        }
        if Instant::now() > deadline {
            bail!("perf did not start to count");
        }
    }
    Ok(())
}

/// How many calls it says that it saw.
fn seen(kind: Kind, said: &[String]) -> Option<u64> {
    said.iter().find_map(|line| match kind {
        Kind::Stat => line.split_once(",,")?.0.parse().ok(),
        Kind::Record => line.split_once(" samples)")?.0.rsplit_once('(')?.1.parse().ok(),
    })
}
