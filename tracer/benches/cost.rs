//! What a traced malloc costs, against the floor of the same probe set. `docs/performance.md` explains the rows.
//!
//! One workload process is measured by its own clock while nothing, the empty programs, tracer or another tool is
//! attached, in interleaved rounds, so that a drift of the machine meets every row. Nothing here judges a time.
//!
//! `cargo xtask bench [--rounds N] [--pairs N] [--threads N]`, as root.

#[path = "cost/arguments.rs"]
mod arguments;
#[path = "cost/bpftrace.rs"]
mod bpftrace;
#[path = "cost/floor.rs"]
mod floor;
#[path = "cost/lines.rs"]
mod lines;
#[path = "cost/machine.rs"]
mod machine;
#[path = "cost/ours.rs"]
mod ours;
#[path = "cost/points.rs"]
mod points;
#[path = "cost/resources.rs"]
mod resources;
#[path = "cost/rows.rs"]
mod rows;
#[path = "cost/table.rs"]
mod table;
#[path = "cost/truth.rs"]
mod truth;
#[path = "cost/workload.rs"]
mod workload;

use anyhow::Result;
use tracer::mode::Mode;

use crate::arguments::Arguments;
use crate::bpftrace::Bpftrace;
use crate::floor::{Floors, ProbeSet};
use crate::points::ProbePoints;
use crate::rows::{Row, Rows};
use crate::workload::Workload;

fn main() -> Result<()> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let mut workload = Workload::start(arguments.threads)?;
    let points = ProbePoints::of(workload.pid())?;
    let mut floors = Floors::load(&points, workload.pid())?;
    let bpftrace = Bpftrace::find();
    println!("{}", machine::line());
    println!("{}", points.line());
    let mut rows = Rows::default();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}, {}", arguments.rounds, machine::load());
        measure(&mut rows, arguments.pairs, &mut workload, &mut floors)?;
        if let Ok(bpftrace) = &bpftrace {
            for script in bpftrace::Script::ALL {
                let cost = bpftrace.measure(script, points.path(), &mut workload, arguments.pairs)?;
                rows.add(Row::Bpftrace(script), cost);
            }
        }
    }
    print!("{}", table::costs(&rows));
    if let Err(reason) = bpftrace {
        println!("no rows of bpftrace: {reason}");
    }
    print!("{}", table::ends(&rows));
    for verdict in rows.verdicts() {
        println!("{verdict}");
    }
    println!("at the end: {}", machine::load());
    Ok(())
}

/// One round of everything that is always there.
fn measure(rows: &mut Rows, pairs: u64, workload: &mut Workload, floors: &mut Floors) -> Result<()> {
    rows.add(Row::Untraced, workload.run(pairs)?.ns_per_pair);
    for set in ProbeSet::ALL {
        let attached = floors.attach(set)?;
        let attach = attached.took;
        let measured = workload.run(pairs);
        rows.add_floor_ends(set, attach, attached.detach());
        rows.add(Row::Floor(set), measured?.ns_per_pair);
    }
    for mode in [Mode::Alloc, Mode::Live] {
        let (measured, ends) = ours::measure(mode, workload, pairs)?;
        rows.add_ours(mode, measured, ends);
    }
    Ok(())
}
