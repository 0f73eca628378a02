//! How right sampled numbers are: a workload that knows its truth, sampled through the real kernel again and again.
//! `docs/accuracy.md` explains the tables and holds the last ones.
//!
//! A row is one attach in this process, by the library that the program is made of. Its repetitions are differences
//! of snapshots: counters only grow, and so do variances. Nothing here judges a number but the exact ones.
//!
//! `cargo xtask accuracy [--quick] [--seeds N] [--first-seed N]`, as root.

mod arguments;
mod coverage;
mod design;
#[path = "../cost/lines.rs"]
#[expect(dead_code, reason = "the benchmark of costs reads more kinds of pipes")]
mod lines;
mod lockstep;
#[path = "../cost/machine.rs"]
mod machine;
mod markdown;
mod quantity;
mod repetition;
mod report;
mod row;
mod sums;
mod tracing;
mod workload;

use std::time::Instant;

use anyhow::Result;

use crate::arguments::Arguments;
use crate::row::{Measured, Row};

fn main() -> Result<()> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let started = Instant::now();
    println!("{}", machine::line());
    println!("{}", arguments.line());
    let mut measured = Vec::new();
    for row in Row::ALL {
        eprintln!("{}, {:.0} s so far", row.name(), started.elapsed().as_secs_f64());
        measured.push(Measured::of(row, &arguments)?);
    }
    eprintln!("lockstep, {:.0} s so far", started.elapsed().as_secs_f64());
    let (pairs, lockstep) = lockstep::measure(&arguments)?;
    print!("{}", report::sums(&measured));
    print!("{}", report::coverage(&measured));
    print!("{}", report::lockstep(pairs, &lockstep));
    for line in measured.iter().map(report::verdict) {
        println!("{line}");
    }
    println!("took {:.0} s; {}", started.elapsed().as_secs_f64(), machine::load());
    Ok(())
}
