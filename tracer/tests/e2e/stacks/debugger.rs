//! Another unwinder: gdb, on the process stopped at the very sample.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::fixtures::source;
use crate::harness::{Target, eventually};

const SECONDS: &str = "100";

/// One stack as the debugger saw it.
pub(super) struct Seen {
    /// Leaf first.
    pub(super) addresses: Vec<u64>,
    /// Why it gave up early, if it did.
    pub(super) note: String,
}

/// Whether gdb is there and has its interpreter.
pub(super) fn is_there() -> Result<(), String> {
    let output = Command::new("gdb").args(["-nx", "-batch", "-ex", "python print(gdb.VERSION)"]).output();
    let output = output.map_err(|_| "there is no gdb")?;
    if output.stdout.is_empty() { Err("gdb has no python".to_owned()) } else { Ok(()) }
}

/// A debugger that is attached and waits for stops.
pub(super) struct Debugger {
    process: Target,
    folder: TempDir,
}

impl Debugger {
    /// Attaches; it detaches after so many stops.
    pub(super) fn attach(pid: u32, stops: usize) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let log = fs::File::create(folder.path().join("log")).expect("our own file");
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", SECONDS, "gdb", "-nx", "-batch", "-p", &pid.to_string(), "-x"]);
        command.arg(source("stopped_stacks.py")).env("STOPPED_STACKS", folder.path().join("stacks"));
        command.env("STOPPED_COUNT", stops.to_string()).env("DEBUGINFOD_URLS", "");
        let mut this = Self { process: Target::spawn(command.stderr(Stdio::from(log))), folder };
        eventually("gdb is attached", || {
            assert!(this.process.alive(), "gdb ended: {}", this.log());
            this.answers().exists()
        });
        this
    }

    fn answers(&self) -> PathBuf {
        self.folder.path().join("stacks")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until it has seen its stops, or the end of the process.
    pub(super) fn stacks(mut self) -> Vec<Seen> {
        self.process.wait();
        let text = fs::read_to_string(self.answers()).expect("it was there");
        let lines = text.lines().filter(|line| *line != "attached");
        lines.map(|line| seen(line).unwrap_or_else(|| panic!("gdb: {line}\n{}", self.log()))).collect()
    }
}

fn seen(line: &str) -> Option<Seen> {
    let (addresses, note) = line.split_once('#').unwrap_or((line, ""));
    let addresses = addresses.split_whitespace().map(|text| u64::from_str_radix(text, 16).ok());
    Some(Seen { addresses: addresses.collect::<Option<_>>()?, note: note.trim().to_owned() })
}
