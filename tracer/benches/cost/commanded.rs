//! A process that is measured: it takes commands line by line, and says when it has done one.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lines::Lines;

/// From the end of its input to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running process; it does not outlive the benchmark.
pub(crate) struct Commanded {
    child: Child,
    commands: Option<ChildStdin>,
    answers: Lines,
}

impl Commanded {
    /// Starts it; `is_ready` knows the line that it says when it waits for commands.
    pub(crate) fn start(mut command: Command, is_ready: impl Fn(&str) -> bool) -> Result<Self> {
        let name = command.get_program().display().to_string();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let Some(output) = child.stdout.take() else { bail!("{name} has no stdout") };
        let commands = child.stdin.take();
        let mut this = Self { child, commands, answers: Lines::of(output) };
        this.answers.wait_for(is_ready).with_context(|| format!("{name} did not start"))?;
        Ok(this)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says a command; the answer that was waited for.
    pub(crate) fn ask(&mut self, command: &str, is_answer: impl Fn(&str) -> bool) -> Result<String> {
        let commands = self.commands.as_mut().context("it takes no commands any more")?;
        writeln!(commands, "{command}").context("the process that is measured is gone")?;
        let (_, line) = self.answers.wait_for(is_answer).context("the process that is measured is silent")?;
        Ok(line)
    }
}

impl Drop for Commanded {
    fn drop(&mut self) {
        // The end of its input ends it, and whoever stands between: a script that started it would leave it behind.
        drop(self.commands.take());
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
