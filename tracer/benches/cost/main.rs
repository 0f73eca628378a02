//! What a traced malloc costs, against the floor of the same probe set. `docs/performance.md` explains the rows.
//!
//! Workload processes are measured by their own clocks while nothing, the empty programs, tracer or another tool is
//! attached, in interleaved rounds, so that a drift of the machine meets every row. Nothing here judges a time.
//!
//! `cargo xtask bench [SECTION …] [--rounds N] [--pairs N] [--threads N] [--quick]`, as root.

mod arguments;
mod commanded;
mod compile;
mod daemon;
mod fleet;
mod floor;
mod lines;
mod machine;
mod ours;
mod peer;
mod points;
mod program;
mod resources;
mod rig;
mod rows;
mod samples;
mod section;
mod setting;
mod table;
#[path = "../../tests/e2e/tmux.rs"]
mod terminal;
mod truth;
mod workload;

use anyhow::Result;

use crate::arguments::Arguments;

fn main() -> Result<()> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    println!("{}", machine::line());
    for section in &arguments.sections {
        println!("\n## {}", section.title());
        section.run(&arguments)?;
    }
    println!("\nat the end: {}", machine::load());
    Ok(())
}
