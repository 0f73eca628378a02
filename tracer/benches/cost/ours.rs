//! Tracer itself, as a user runs it: the program is started, counts while a target works, and is stopped.

use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tracer::model::snapshot::Snapshot;

use crate::lines::Lines;
use crate::resources::{self, Usage};
use crate::setting::Setting;

/// Exit codes of a tracer that cannot do what it was asked for: wrong usage, or nothing here that it traces.
const REFUSALS: [i32; 2] = [2, 5];

/// What the target's numbers do not show: the ends, and what tracer itself needs.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// From the start of the program to `counting`: loading, planning and attaching.
    pub(crate) attach: Duration,
    /// From SIGINT to the exit: stopping, detaching, measuring a hit's cost, symbols, the report.
    pub(crate) detach: Duration,
    /// CPU time of tracer until `counting`.
    pub(crate) cpu_attaching: Duration,
    /// CPU time of tracer while it counted.
    pub(crate) cpu_counting: Duration,
    /// How long it counted.
    pub(crate) counted: Duration,
    /// CPU time of tracer from SIGINT to the exit.
    pub(crate) cpu_reporting: Duration,
    /// Largest resident set of tracer until SIGINT.
    pub(crate) counting_resident_bytes: u64,
    /// The same until its exit, with the report.
    pub(crate) peak_resident_bytes: u64,
    /// What the kernel charges for its maps at the end of the counting.
    pub(crate) map_bytes: u64,
}

/// One whole run of tracer.
pub(crate) struct Run<T> {
    /// What was measured meanwhile.
    pub(crate) value: T,
    /// Its ends.
    pub(crate) ends: Ends,
    /// What it reported.
    pub(crate) report: Snapshot,
}

/// What became of a run.
pub(crate) enum Outcome<T> {
    /// It counted.
    Counted(Box<Run<T>>),
    /// It did not: its own words.
    Refused(String),
}

/// A child that does not outlive the benchmark.
struct Tracer(Child);

impl Drop for Tracer {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Attaches to a process, lets `work` happen while it counts (it is given tracer's own pid), stops and reads the report.
pub(crate) fn measure<T>(
    setting: Setting,
    target: u32,
    work: impl FnOnce(u32) -> Result<T>,
) -> Result<Outcome<T>> {
    measure_all(setting, &[target], work)
}

/// The same with several processes.
pub(crate) fn measure_all<T>(
    setting: Setting,
    targets: &[u32],
    work: impl FnOnce(u32) -> Result<T>,
) -> Result<Outcome<T>> {
    let first = targets.first().context("no target")?;
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cost-{first}.json"));
    let started = Instant::now();
    let mut tracer = start(setting, targets, &report)?;
    let Some(stderr) = tracer.0.stderr.take() else { bail!("tracer has no stderr") };
    let mut messages = Lines::of(stderr);
    let counting = match messages.wait_for(|line| line == "tracer: counting") {
        Ok((counting, _)) => counting,
        Err(error) => {
            // Its messages have ended, so has it; a tracer that hangs is ended.
            drop(tracer.0.kill());
            return match tracer.0.wait()?.code() {
                Some(code) if REFUSALS.contains(&code) => Ok(Outcome::Refused(messages.seen())),
                _ => Err(error.context(format!("tracer did not attach, {}", setting.name()))),
            };
        }
    };
    let pid = tracer.0.id();
    let at_counting = resources::usage(pid)?;
    let precise = resources::cpu_time(pid)?;
    let value = work(pid)?;
    let cpu_counting = resources::cpu_time(pid)?.saturating_sub(precise);
    let at_stop = resources::usage(pid)?;
    let map_bytes = resources::map_bytes(pid)?;
    let stopped = Instant::now();
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).context("tracer has no pid")?;
    kill_process(process, Signal::INT).context("failed to stop tracer")?;
    let at_exit = resources::usage_until_exit(pid, at_stop)?;
    let status = tracer.0.wait()?;
    let detach = stopped.elapsed();
    if !status.success() {
        bail!("tracer ended with {status}: {}", messages.seen());
    }
    let cpu = |from: Usage, to: Usage| to.cpu.saturating_sub(from.cpu);
    let ends = Ends {
        attach: counting - started,
        detach,
        cpu_attaching: at_counting.cpu,
        cpu_counting,
        counted: stopped - counting,
        cpu_reporting: cpu(at_stop, at_exit),
        counting_resident_bytes: at_stop.peak_resident_bytes,
        peak_resident_bytes: at_exit.peak_resident_bytes,
        map_bytes,
    };
    Ok(Outcome::Counted(Box::new(Run { value, ends, report: read(&report)? })))
}

/// With `-v`, because only then it says when it counts.
fn start(setting: Setting, targets: &[u32], report: &Path) -> Result<Tracer> {
    let child = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["attach", "-v", "--format", "json", "--interval", "1s"])
        .args(setting.arguments())
        .args(targets.iter().map(|target| format!("--pid={target}")))
        .arg("-o")
        .arg(report)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start tracer")?;
    Ok(Tracer(child))
}

fn read(report: &Path) -> Result<Snapshot> {
    let file = std::fs::File::open(report).with_context(|| format!("failed to read {}", report.display()))?;
    let snapshot = tracer::view::json::read(&mut BufReader::new(file))
        .with_context(|| format!("{} is not tracer's report", report.display()))?;
    drop(std::fs::remove_file(report));
    Ok(snapshot)
}
