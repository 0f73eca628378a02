//! `bench`: what tracing costs, against floors, other tools and real programs. `tracer/benches/cost` is the whole of it.

use anyhow::Result;
use lexopt::Parser;

use crate::{build, process::run, setup, toolchain};

/// `cargo xtask bench [SECTION …] [ARG …]`: all of it goes to the benchmark, which says what it knows.
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let passed_on: Vec<_> = args.raw_args()?.collect();
    setup::prepare(setup::For::Building)?;
    build::all(true)?;
    let mut cargo = toolchain::cargo("bench")?;
    run(cargo.args(["--package", "tracer", "--bench", "cost", "--"]).args(passed_on))
}
