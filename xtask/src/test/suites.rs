//! The test binaries: which there are, how each is run, and for how long.

use std::{process::Command, time::Duration};

use anyhow::Result;

use super::{
    libtest::Outcome,
    report::{End, Report},
};
use crate::{
    process::{is_root, on_path, say, shown, stream},
    toolchain,
};

/// For one binary without the kernel, compiling included.
const UNIT_LIMIT: Duration = Duration::from_mins(20);
/// For all end-to-end tests, compiling included.
const END_TO_END_LIMIT: Duration = Duration::from_mins(40);

/// Everything that needs no kernel. One binary per call, so that one that dies is known by name.
pub(crate) fn unit(filter: Option<&str>, report: &mut Report) {
    suite("xtask", toolchain::plain_cargo("test"), &["--package", "xtask"], filter, report);
    for (name, target) in [
        ("tracer-ebpf library", &["--package", "tracer-ebpf", "--lib"][..]),
        ("tracer library", &["--package", "tracer", "--lib"]),
        ("tracer program", &["--package", "tracer", "--bins"]),
        ("tracer/tests/it", &["--package", "tracer", "--test", "it"]),
    ] {
        match toolchain::cargo("test") {
            Ok(cargo) => suite(name, cargo, &[target, &["--release"]].concat(), filter, report),
            Err(error) => report.fail(name, &format!("{error:#}")),
        }
    }
}

/// Real targets under a real kernel, as root.
pub(crate) fn end_to_end(filter: Option<&str>, report: &mut Report) {
    let name = "tracer/tests/e2e";
    match end_to_end_command(filter) {
        Ok(mut cargo) => execute(name, &mut cargo, END_TO_END_LIMIT, report),
        Err(error) => report.fail(name, &format!("{error:#}")),
    }
}

/// Cargo with the end-to-end tests, as root if that can be had.
pub(crate) fn end_to_end_command(filter: Option<&str>) -> Result<Command> {
    let mut cargo = toolchain::cargo("test")?;
    if !is_root() && on_path("sudo") {
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "sudo --preserve-env");
    }
    cargo.args(["--release", "--package", "tracer", "--test", "e2e"]);
    // Two at a time: a third would mostly wait for a processor and blur what is timed.
    cargo.args(["--", "--show-output", "--test-threads=2"]).args(filter);
    Ok(cargo)
}

fn suite(name: &str, mut cargo: Command, target: &[&str], filter: Option<&str>, report: &mut Report) {
    cargo.args(target).args(["--", "--show-output"]).args(filter);
    execute(name, &mut cargo, UNIT_LIMIT, report);
}

fn execute(name: &str, command: &mut Command, limit: Duration, report: &mut Report) {
    say(&shown(command));
    let mut outcome = Outcome::default();
    let end = stream(command, limit, |line| {
        println!("{line}");
        outcome.read(line);
    });
    let end = match end {
        Ok(Some(status)) if status.success() => End::Success,
        Ok(Some(status)) => End::Failure(status.to_string()),
        Ok(None) => End::TimedOut,
        Err(error) => End::NotStarted(format!("{error:#}")),
    };
    report.add(name, outcome, &end);
}
