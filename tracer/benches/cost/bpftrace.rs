//! bpftrace at the same functions, for comparison, where it is installed.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::lines::Lines;
use crate::workload::Workload;

const PROGRAM: &str = "/usr/bin/bpftrace";
/// What the scripts print once their probes, which stand before it, are attached.
const READY: &str = "attached";

/// The program.
pub(crate) struct Bpftrace(());

/// What it does at each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Counts by stack at malloc's entry: what mode `alloc` does.
    Count,
    /// Follows blocks, without their stacks: less than what mode `live` does.
    Live,
}

impl Script {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Count, Self::Live];

    fn text(self, object: &str) -> String {
        let probes = match self {
            Self::Count => format!("uprobe:{object}:malloc {{ @[ustack] = count(); }}"),
            Self::Live => format!(
                "uprobe:{object}:malloc {{ @size[tid] = arg0; }}
                 uretprobe:{object}:malloc /@size[tid]/ {{ @live[retval] = @size[tid]; delete(@size[tid]); }}
                 uprobe:{object}:free {{ delete(@live[arg0]); }}"
            ),
        };
        format!("{probes} interval:ms:100 {{ printf(\"{READY}\\n\"); }}")
    }
}

/// A child that does not outlive the benchmark.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Bpftrace {
    /// Looks for it; the reason if it is not there.
    pub(crate) fn find() -> Result<Self, String> {
        if Path::new(PROGRAM).exists() { Ok(Self(())) } else { Err(format!("there is no {PROGRAM}")) }
    }

    /// The workload's nanoseconds per pair under a script.
    pub(crate) fn measure(
        &self,
        script: Script,
        object: &str,
        workload: &mut Workload,
        pairs: u64,
    ) -> Result<f64> {
        let child = Command::new(PROGRAM)
            .args(["-B", "line", "-p", &workload.pid().to_string(), "-e", &script.text(object)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start bpftrace")?;
        let mut running = Running(child);
        let Some(stdout) = running.0.stdout.take() else { bail!("bpftrace has no stdout") };
        Lines::of(stdout).wait_for(|line| line == READY).context("bpftrace did not attach")?;
        let measured = workload.run(pairs);
        let pid =
            i32::try_from(running.0.id()).ok().and_then(Pid::from_raw).context("bpftrace has no pid")?;
        kill_process(pid, Signal::INT).context("failed to stop bpftrace")?;
        running.0.wait()?;
        Ok(measured?.ns_per_pair)
    }
}
