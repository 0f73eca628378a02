//! Integration tests: the built program, without root and without the kernel.
//!
//! Nothing here attaches to a process. What does stands in `tests/e2e`.

mod advise;
mod bpf_object;
mod canaries;
mod cli;
mod compare;
mod config;
mod ctl;
mod deploy;
mod go;
mod go_variables;
mod metrics;
mod readme;
mod screens;
mod serve;
mod views;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What one run of the program said, and how it ended.
struct Outcome {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Outcome {
    /// Standard output as text.
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is UTF-8")
    }

    /// Standard output as text, of a run that went well and had nothing to complain about.
    #[track_caller]
    fn success(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.stderr, "");
        self.text()
    }
}

/// Runs the program to its end.
fn tracer(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(args).stdin(Stdio::null()).env_remove("NO_COLOR");
    let output = command.output().expect("the program was built with its tests");
    Outcome {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// A file that the tests keep beside them.
fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/data").join(name)
}
