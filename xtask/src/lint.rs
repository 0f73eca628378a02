//! `lint`: format, clippy, licences. A warning is an error.

use std::process::Command;

use anyhow::{Result, anyhow, bail};
use lexopt::Parser;

use crate::{
    no_more,
    process::{on_path, run, say, shown},
    setup, toolchain,
};

/// `cargo xtask lint`
pub(crate) fn task(args: Parser) -> Result<()> {
    no_more(args)?;
    setup::prepare(setup::For::Building)?;
    all()
}

/// Every lint, also after one that fails. The toolchain must be set up.
pub(crate) fn all() -> Result<()> {
    // The BPF build denies warnings itself; it also gives the object that tracer's build script asks for.
    say("building the BPF object; its warnings are errors");
    toolchain::build_bpf_object()?;
    // In release, so that what the tests build is used again.
    let tracer = ["--release", "--package", "tracer", "--all-targets"];
    let without_pods = ["--release", "--package", "tracer", "--lib", "--bins", "--no-default-features"];
    let shared = ["--release", "--package", "tracer-ebpf", "--all-targets"];
    let programs = ["--release", "--package", "tracer-ebpf", "--bins", "--features", "programs"];
    let lints = [
        step(toolchain::plain_cargo("fmt").args(["--all", "--check"]), "`cargo fmt --all` mends it"),
        clippy(toolchain::plain_cargo("clippy"), &["--package", "xtask", "--all-targets"]),
        clippy(toolchain::cargo("clippy")?, &tracer),
        clippy(toolchain::cargo("clippy")?, &without_pods),
        clippy(toolchain::cargo("clippy")?, &shared),
        clippy(toolchain::bpf_clippy()?, &programs),
        licences(),
    ];
    let failures: Vec<_> =
        lints.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n    "));
    }
    Ok(())
}

fn clippy(mut cargo: Command, packages: &[&str]) -> Result<()> {
    step(
        cargo.args(packages).args(["--", "--deny", "warnings"]),
        "mend it, or `#[expect(lint, reason = \"…\")]`; without clippy: `rustup component add clippy rustfmt`",
    )
}

/// Licences, bans and sources. Advisories need the network, so `cargo deny check advisories` stays to be typed.
fn licences() -> Result<()> {
    if !on_path("cargo-deny") {
        say("cargo-deny is not installed: licences, bans and sources of dependencies are not checked");
        return Ok(());
    }
    step(
        toolchain::plain_cargo("deny").args(["check", "bans", "licenses", "sources"]),
        ".deny.toml says what a dependency may be",
    )
}

fn step(command: &mut Command, mend: &str) -> Result<()> {
    say(&shown(command));
    run(command).map_err(|error| anyhow!("{error:#}; {mend}"))
}
