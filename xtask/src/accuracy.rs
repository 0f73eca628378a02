//! `accuracy`: how right sampled numbers are, against a workload that knows its truth.

use anyhow::Result;
use lexopt::Parser;

use crate::{build, process::run, setup, toolchain};

/// `cargo xtask accuracy [ARG …]`: the arguments go to the experiment.
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let passed_on: Vec<_> = args.raw_args()?.collect();
    setup::prepare(setup::For::Building)?;
    build::all(true)?;
    let mut cargo = toolchain::cargo("bench")?;
    run(cargo.args(["--package", "tracer", "--bench", "accuracy", "--"]).args(passed_on))
}
