//! A process of a service.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Stopped when dropped.
pub(crate) struct Service(Child);

impl Service {
    /// Starts it.
    pub(crate) fn start(program: &Path, seed: usize, args: &[String], rate: u32) -> Result<Self> {
        // setpriv becomes the program under the same pid, and the kernel ends it if we are killed.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(program)
            .args([rate.to_string(), seed.to_string()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {} by setpriv of util-linux", program.display()))?;
        Ok(Self(child))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone and reaped.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
