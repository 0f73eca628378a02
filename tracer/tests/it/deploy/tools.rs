//! Other people's programs that read what `deploy/` holds. One that is not there is a printed reason, never silence.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::repository;

/// Says why a test, or a part of it, cannot run: past the runner's capture, so that it is always seen.
pub(super) fn skip(test: &str, reason: &str) {
    let line = format!("\nSKIP {test}: {reason}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("stdout is open");
}

/// What `cargo xtask setup --test` gets from PyPI; `SKIP` if it has not.
pub(super) fn of_python(test: &str, name: &str) -> Option<PathBuf> {
    let program = repository().join("target/tools/python/bin").join(name);
    if !program.exists() {
        skip(test, &format!("there is no {name}; `cargo xtask setup --test` gets it"));
        return None;
    }
    Some(program)
}

/// What a program says at its end: whether it was content, stdout, stderr; `SKIP` if it is not there.
pub(super) fn ask(
    test: &str,
    program: impl AsRef<OsStr>,
    arguments: &[impl AsRef<OsStr>],
    input: &str,
) -> Option<(bool, String, String)> {
    let program = program.as_ref();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            skip(test, &format!("failed to start {}: {error}", program.display()));
            return None;
        }
    };
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it reads what it is given");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

/// Runs promtool, which must be content; `SKIP` if it is not there.
#[track_caller]
pub(super) fn promtool(test: &str, arguments: &[&str]) {
    if let Some((is_content, stdout, stderr)) = ask(test, "promtool", arguments, "") {
        assert!(is_content, "promtool {arguments:?}: {stdout}{stderr}");
    }
}
