//! The process that is sampled: `tests/fixtures/skewed.c`, compiled here, commanded line by line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::lines::Lines;

/// With frame pointers: what the stack walk needs.
const FLAGS: [&str; 5] = ["-std=gnu11", "-O1", "-g", "-fno-omit-frame-pointer", "-pthread"];
/// More than processors, so that they are preempted also inside of a probe.
const THREADS: u32 = 4;

/// The sizes of a site: octaves chosen evenly, and sizes within one.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Sizes {
    pub(crate) first_octave: u32,
    pub(crate) octaves: u32,
}

/// What was done in one part of a run, by site.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) objects: Vec<u64>,
    pub(crate) bytes: Vec<u64>,
    pub(crate) inuse_objects: Vec<u64>,
    pub(crate) inuse_bytes: Vec<u64>,
}

#[derive(Deserialize)]
struct Truth {
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Sites {
    sites: Vec<Sizes>,
}

/// The running process; killed when dropped.
pub(crate) struct Workload {
    child: Child,
    commands: ChildStdin,
    answers: Lines,
}

impl Workload {
    /// Compiles and starts it.
    pub(crate) fn start() -> Result<Self> {
        let program = compile()?;
        let mut child = Command::new(&program)
            .args(["--threads", &THREADS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        let (Some(commands), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the workload has no pipes");
        };
        let mut workload = Self { child, commands, answers: Lines::of(output) };
        workload.expect("ready")?;
        Ok(workload)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The sizes of each site.
    pub(crate) fn sites(&mut self) -> Result<Vec<Sizes>> {
        self.command("sites")?;
        let sites: Sites = serde_json::from_str(&self.answer()?)?;
        Ok(sites.sites)
    }

    /// Lets it allocate in `parts` parts; `between` is called while it goes on, at the end of each but the last.
    pub(crate) fn run(
        &mut self,
        seed: u32,
        count: u64,
        parts: usize,
        mut between: impl FnMut(usize),
    ) -> Result<Vec<Part>> {
        self.command(&format!("run {seed} {count} {parts}"))?;
        for part in 1..parts {
            self.expect("part")?;
            between(part);
        }
        let truth: Truth = serde_json::from_str(&self.answer()?)?;
        Ok(truth.parts)
    }

    /// Lets it free all that it holds.
    pub(crate) fn free(&mut self) -> Result<()> {
        self.command("free")?;
        self.expect("freed")
    }

    /// Lets two sites allocate in turn.
    pub(crate) fn lockstep(&mut self, pairs: u64) -> Result<()> {
        self.command(&format!("lockstep {pairs}"))?;
        self.expect("done")
    }

    fn command(&mut self, line: &str) -> Result<()> {
        writeln!(self.commands, "{line}").context("the workload is gone")
    }

    fn answer(&mut self) -> Result<String> {
        let (_, line) = self.answers.wait_for(|_| true).context("the workload did not answer")?;
        Ok(line)
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        match self.answer()? {
            line if line == word => Ok(()),
            line => bail!("the workload answered {line:?}, not {word:?}"),
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

fn compile() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/skewed.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skewed");
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
