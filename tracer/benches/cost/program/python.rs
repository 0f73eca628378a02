//! python3, whose objects come from malloc.

use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Amount, Program};
use crate::commanded::Commanded;
use crate::compile;

/// In words.
pub(super) const NAME: &str = "python3 (PYTHONMALLOC=malloc)";

/// Rows as text and back: lists, dictionaries and strings, made and dropped. The same ones each time.
const SCRIPT: &str = "
import json, sys
print('ready', flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        rows = [{'key%d' % i: 'value' * (i % 50), 'list': list(range(i % 100))} for i in range(200)]
        assert json.loads(json.dumps(rows)) == rows
    print('done', flush=True)
";

/// The running interpreter.
pub(super) struct Python {
    process: Commanded,
    times: u32,
    _libc: TempDir,
}

impl Python {
    /// Starts it.
    pub(super) fn start(amount: Amount) -> Result<Self> {
        // The shim of a version manager is a shell script; the program itself knows where it is.
        let output = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .context("there is no python3; `cargo xtask setup --bench` installs it")?;
        let libc = compile::private_libc()?;
        let mut command = Command::new(String::from_utf8_lossy(&output.stdout).trim());
        command
            .args(["-c", SCRIPT])
            .env("PYTHONMALLOC", "malloc")
            .env("PYTHONHASHSEED", "0")
            .env("LD_LIBRARY_PATH", libc.path());
        let process = Commanded::start(command, |line| line == "ready")?;
        Ok(Self { process, times: amount.choose(40, 1), _libc: libc })
    }
}

impl Program for Python {
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn work(&mut self) -> Result<()> {
        self.process.ask(&self.times.to_string(), |line| line == "done").map(drop)
    }
}
