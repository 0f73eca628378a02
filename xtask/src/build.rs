//! `build`: the BPF object, then the program that embeds it.

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
    say("building the BPF object");
    toolchain::build_bpf_object()?;
    say("building tracer");
    let mut cargo = toolchain::cargo("build")?;
    cargo.args(["--package", "tracer"]);
    if release {
        cargo.arg("--release");
    }
    run(&mut cargo)?;
    say(&format!("built {}", toolchain::tracer(release).display()));
    Ok(())
}
