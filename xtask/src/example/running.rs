//! A program in the background: asked to end when it is no longer needed, also on an error.

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::process::shown;

const PATIENCE: Duration = Duration::from_secs(5);

/// Ended by its pid when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    name: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = shown(command);
        let child =
            command.stdin(Stdio::null()).spawn().with_context(|| format!("failed to start `{name}`"))?;
        Ok(Self { child, name })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, by `TERM` or `INT`.
    pub(crate) fn signal(&self, signal: &str) {
        // One that has ended by itself makes kill complain; that is what was wanted.
        let mut kill = Command::new("kill");
        let _gone =
            kill.args([&format!("-{signal}"), &self.pid().to_string()]).stderr(Stdio::null()).status();
    }

    /// Waits until it ends by itself; what takes longer is an error, and ended.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("`{}` was not done after {} s", self.name, limit.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal("TERM");
        if self.wait(PATIENCE).is_err() {
            let _gone = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_an_error_and_gone_with_its_guard() {
        let mut sleeper = Running::start(Command::new("sleep").arg("600")).unwrap();
        let process = format!("/proc/{}", sleeper.pid());
        let error = sleeper.wait(Duration::from_millis(20)).expect_err("it sleeps");
        assert!(error.to_string().contains("sleep 600"), "{error}");
        assert!(Path::new(&process).exists());
        drop(sleeper);
        assert!(!Path::new(&process).exists());
    }
}
