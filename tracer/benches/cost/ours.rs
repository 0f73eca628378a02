//! Tracer itself, as a user runs it: the program is started, counts while the workload runs, and is stopped.

use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tracer::mode::Mode;

use crate::lines::Lines;
use crate::resources::{self, Usage};
use crate::truth;
use crate::workload::{Measured, Workload};

/// What the workload's numbers do not show: the ends, and what tracer itself needs.
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
    /// Largest resident set of tracer.
    pub(crate) peak_resident_bytes: u64,
    /// What the kernel charges for its maps at the end of the counting.
    pub(crate) map_bytes: u64,
    /// Where its report differs from the workload's truth.
    pub(crate) differences: Vec<String>,
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

/// Attaches, lets the workload run, stops, and holds the report against the workload's truth.
pub(crate) fn measure(mode: Mode, workload: &mut Workload, pairs: u64) -> Result<(Measured, Ends)> {
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cost-{mode}.json"));
    let started = Instant::now();
    let mut tracer = start(mode, workload.pid(), &report)?;
    let Some(stderr) = tracer.0.stderr.take() else { bail!("tracer has no stderr") };
    let mut messages = Lines::of(stderr);
    let (counting, _) = messages
        .wait_for(|line| line == "tracer: counting")
        .with_context(|| format!("tracer did not attach in mode {mode}"))?;
    let pid = tracer.0.id();
    let at_counting = resources::usage(pid)?;
    let measured = workload.run(pairs)?;
    let at_stop = resources::usage(pid)?;
    let map_bytes = resources::map_bytes(pid)?;
    let stopped = Instant::now();
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw).context("tracer has no pid")?;
    kill_process(target, Signal::INT).context("failed to stop tracer")?;
    let at_exit = resources::usage_until_exit(pid, at_stop)?;
    let status = tracer.0.wait()?;
    let detach = stopped.elapsed();
    if !status.success() {
        bail!("tracer ended with {status}: {}", messages.seen());
    }
    let differences = truth::differences(&read(&report)?, measured);
    let cpu = |from: Usage, to: Usage| to.cpu.saturating_sub(from.cpu);
    Ok((
        measured,
        Ends {
            attach: counting - started,
            detach,
            cpu_attaching: at_counting.cpu,
            cpu_counting: cpu(at_counting, at_stop),
            counted: stopped - counting,
            cpu_reporting: cpu(at_stop, at_exit),
            peak_resident_bytes: at_exit.peak_resident_bytes,
            map_bytes,
            differences,
        },
    ))
}

/// With `-v`, because only then it says when it counts.
fn start(mode: Mode, pid: u32, report: &Path) -> Result<Tracer> {
    let child = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["attach", "-v", "--format", "json", "--mode", &mode.to_string()])
        .args(["--pid", &pid.to_string(), "-o"])
        .arg(report)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start tracer")?;
    Ok(Tracer(child))
}

fn read(report: &Path) -> Result<tracer::model::snapshot::Snapshot> {
    let file = std::fs::File::open(report).with_context(|| format!("failed to read {}", report.display()))?;
    tracer::view::json::read(&mut BufReader::new(file))
        .with_context(|| format!("{} is not tracer's report", report.display()))
}
