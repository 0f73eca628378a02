//! `build`: the BPF object, then the program that embeds it.

use std::process::Command;

use anyhow::Result;
use lexopt::{Arg, Parser};

use crate::{
    process::{run, say},
    setup, toolchain,
};

/// `cargo xtask build [--release]`
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let mut release = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("release") => release = true,
            other => return Err(other.unexpected().into()),
        }
    }
    setup::prepare(setup::For::Building)?;
    all(release)
}

/// Builds everything that a user runs. The toolchain must be set up.
pub(crate) fn all(release: bool) -> Result<()> {
    let mut cargo = toolchain::cargo("build")?;
    if release {
        cargo.arg("--release");
    }
    bpf_and(&mut cargo, release)
}

/// The same in release, and the binaries of all tests: these want other features of some dependencies, which would
/// else be compiled twice.
pub(crate) fn with_tests() -> Result<()> {
    let mut cargo = toolchain::cargo("test")?;
    bpf_and(cargo.args(["--no-run", "--release"]), true)
}

fn bpf_and(cargo: &mut Command, release: bool) -> Result<()> {
    say("building the BPF object");
    toolchain::build_bpf_object()?;
    say("building tracer");
    run(cargo.args(["--package", "tracer"]))?;
    say(&format!("built {}", toolchain::tracer(release).display()));
    Ok(())
}
