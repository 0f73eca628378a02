//! heaptrack: a library inside a process of its own, which it starts.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use super::{Found, Peer, program};
use crate::compile;
use crate::workload::Workload;

/// In words.
pub(crate) const NAME: &str = "heaptrack (preloaded, a process of its own)";

struct Heaptrack {
    program: PathBuf,
    /// From the first round to the end of the section.
    running: Option<(Workload, TempDir)>,
}

/// Looks for it.
pub(super) fn find() -> Found {
    Ok(Box::new(Heaptrack { program: program("heaptrack", "heaptrack")?, running: None }))
}

impl Peer for Heaptrack {
    fn measure(&mut self, workload: &mut Workload, _object: &str, pairs: u64) -> Result<f64> {
        if self.running.is_none() {
            let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
            let mut command = Command::new(&self.program);
            // At its end it opens its viewer where there is one and a screen.
            command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
            command.arg("--output").arg(folder.path().join("heaptrack")).arg(compile::pairs()?);
            self.running = Some((Workload::start_by(command, workload.shape())?, folder));
        }
        let Some((own, _)) = &mut self.running else { return Ok(f64::NAN) };
        own.pass()?;
        Ok(own.run(pairs)?.ns_per_pair)
    }
}
