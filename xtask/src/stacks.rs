//! `stacks`: the stacks of real programs under load, 200 of each held against gdb's in both modes.

use anyhow::Result;
use lexopt::{Arg, Parser, ValueExt as _};

use crate::{build, process::run, setup, test::suites};

/// Says to the tests, by this name in the environment, that there is time.
const ALL: &str = "TRACER_STACKS";
/// The tests, one for each program.
const TESTS: &str = "stacks::";

/// `cargo xtask stacks [PROGRAM]`
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let mut filter = TESTS.to_owned();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Value(program) if filter == TESTS => {
                filter = format!("{TESTS}stacks_of_{}", program.string()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    setup::prepare(setup::For::Testing)?;
    build::all(true)?;
    run(suites::end_to_end_command(Some(&filter))?.env(ALL, "1"))
}
