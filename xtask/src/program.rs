//! Programs that are there to be traced: started under a guard, never left behind.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Stopped when dropped, also on an error.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it, and waits until it is itself.
    pub(crate) fn start(program: &Path, args: &[&str]) -> Result<Self> {
        // setpriv becomes the program under the same pid, and the kernel ends it if we are killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(program).args(args).stdout(Stdio::null());
        let mut started =
            Self(command.spawn().context("failed to start a program; setpriv is in util-linux")?);
        let image = format!("/proc/{}/exe", started.pid());
        let whole = fs::canonicalize(program).ok();
        let end = Instant::now() + Duration::from_secs(5);
        while whole.is_none() || fs::read_link(&image).ok() != whole {
            if let Some(status) = started.0.try_wait()? {
                bail!("{} ended at once ({status}); run it to see why", program.display());
            }
            if Instant::now() > end {
                bail!("{} did not start within 5 s", program.display());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(started)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone and reaped.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_gone_when_its_guard_is_dropped() {
        let program = Program::start(Path::new("/bin/sleep"), &["60"]).unwrap();
        let process = format!("/proc/{}", program.pid());
        assert!(Path::new(&process).exists());
        drop(program);
        assert!(!Path::new(&process).exists());
    }

    #[test]
    fn a_program_that_never_becomes_itself_is_an_error() {
        assert!(Program::start(Path::new("/no/such/program"), &[]).is_err());
    }
}
