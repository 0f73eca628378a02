//! A tool that is attached to the workload for one row.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::lines::Lines;

/// From SIGINT to the end: reports with symbols take their time.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// The running tool; it does not outlive the benchmark.
pub(crate) struct Tool {
    child: Child,
    lines: Lines,
}

impl Tool {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", command.get_program().display()))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("the tool has no pipes");
        };
        Ok(Self { child, lines: Lines::of_both(stdout, stderr) })
    }

    /// Waits until it says so.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        self.lines.wait_for(wanted).map(drop)
    }

    /// What it said, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<String>> {
        Ok(self.child.try_wait()?.map(|status| format!("{status}: {}", self.lines.seen())))
    }

    /// Stops it as a user does; everything that it said.
    pub(crate) fn stop(mut self) -> Result<Vec<String>> {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("the tool has no pid")?;
        kill_process(pid, Signal::INT).context("failed to stop the tool")?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("it did not stop: {}", self.lines.seen());
            }
            std::thread::sleep(POLL);
        }
        Ok(self.lines.all_said().to_vec())
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
