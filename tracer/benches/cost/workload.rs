//! The process that is measured: `tests/fixtures/pairs.c`, compiled here, commanded line by line.
//!
//! It runs on a libc of its own: the kernel runs a probe's return half in every process where anybody has one at
//! that place of that file, so another tracer on the machine would make floor E as expensive as floor R.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tracer::target::mappings::{FileCache, Mappings};

use crate::lines::Lines;

/// With frame pointers: what the stack walk needs.
const FLAGS: [&str; 5] = ["-std=gnu11", "-O1", "-g", "-fno-omit-frame-pointer", "-pthread"];

/// What the workload says of one command: its own truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// CPU time of its threads per pair.
    pub(crate) ns_per_pair: f64,
    /// Pairs of malloc and free, of all threads.
    pub(crate) pairs: u64,
    /// What they allocated.
    pub(crate) bytes: u64,
}

/// The running process; killed when dropped.
pub(crate) struct Workload {
    child: Child,
    commands: ChildStdin,
    answers: Lines,
    /// Removed with it.
    _libc: TempDir,
}

impl Workload {
    /// Compiles and starts it.
    pub(crate) fn start(threads: u32) -> Result<Self> {
        let program = compile()?;
        let libc = private_libc()?;
        let mut child = Command::new(&program)
            .args(["--threads", &threads.to_string()])
            .env("LD_LIBRARY_PATH", libc.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        let (Some(commands), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the workload has no pipes");
        };
        let mut answers = Lines::of(output);
        answers.wait_for(|line| line == "ready").context("the workload did not start")?;
        Ok(Self { child, commands, answers, _libc: libc })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets every thread make so many pairs.
    pub(crate) fn run(&mut self, pairs: u64) -> Result<Measured> {
        writeln!(self.commands, "run {pairs}").context("the workload is gone")?;
        let (_, line) = self.answers.wait_for(|_| true).context("the workload did not answer")?;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [ns, pairs, bytes] => {
                Ok(Measured { ns_per_pair: ns.parse()?, pairs: pairs.parse()?, bytes: bytes.parse()? })
            }
            _ => bail!("the workload answered {line:?}"),
        }
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder with a copy of the libc that this process runs on.
fn private_libc() -> Result<TempDir> {
    let mappings = Mappings::read(std::process::id(), &mut FileCache::default())
        .context("failed to read this process's mappings")?;
    let libc = mappings.files().into_iter().find(|file| file.path.ends_with("/libc.so.6"));
    let libc = libc.context("the benchmark runs on no libc.so.6, so it has none to measure")?;
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    fs::copy(libc.open_path(), folder.path().join("libc.so.6")).context("failed to copy libc.so.6")?;
    Ok(folder)
}

fn compile() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pairs.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pairs");
    let output = Command::new("gcc")
        .args(FLAGS)
        .args(["-o".as_ref(), program.as_os_str(), source.as_os_str()])
        .output()
        .context("failed to run gcc, which compiles the workload; install it")?;
    if !output.status.success() {
        bail!("failed to compile {}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(program)
}
