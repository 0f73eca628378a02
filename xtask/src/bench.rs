//! `bench`: what tracing costs per call, against the floor of the same probe set.

use anyhow::Result;
use lexopt::Parser;

use crate::{build, process::run, setup, toolchain};

/// `cargo xtask bench [ARG …]`: the arguments go to the benchmark.
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let passed_on: Vec<_> = args.raw_args()?.collect();
    setup::prepare(setup::For::Building)?;
    build::all(true)?;
    let mut cargo = toolchain::cargo("bench")?;
    run(cargo.args(["--package", "tracer", "--bench", "cost", "--"]).args(passed_on))
}
