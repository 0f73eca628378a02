//! tracefs, where perf's probes are made: mounted while it is needed, if it was not.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

const PLACE: &str = "/sys/kernel/tracing";

/// It is mounted.
pub(super) struct Tracefs {
    is_ours: bool,
}

impl Tracefs {
    /// Mounts it, if nobody has.
    pub(super) fn mounted() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read the mounts")?;
        if mounts.lines().any(|line| line.split(' ').nth(1) == Some(PLACE)) {
            return Ok(Self { is_ours: false });
        }
        let output = Command::new("mount").args(["-t", "tracefs", "tracefs", PLACE]).output()?;
        if !output.status.success() {
            bail!("tracefs cannot be mounted: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self { is_ours: true })
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if self.is_ours {
            // It stays where somebody else uses it by now.
            drop(Command::new("umount").arg(PLACE).output());
        }
    }
}
