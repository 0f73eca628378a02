//! How well a comparison of two releases finds a change of known size, and how often it alarms where there is none.
//! `docs/canary.md` explains the tables and holds the last ones.
//!
//! Two services of 240 call sites run as many processes, half of them with changes planted in four sites, and the program
//! counts every allocation of theirs, window by window. What a comparison would have said is then asked for again and
//! again: processes and windows are drawn of the recorded ones, and what sampling would have left of their allocations
//! by the law of sampling (`docs/accuracy.md` shows that the kernel side keeps it).
//!
//! `cargo xtask canary-power [--quick] [--seed N]`, as root.

mod arguments;
mod experiment;
#[path = "../cost/machine.rs"]
mod machine;
mod recording;
mod report;
mod resample;
mod service;

use std::time::Instant;

use anyhow::Result;

use crate::arguments::Arguments;
use crate::recording::Recording;

fn main() -> Result<()> {
    let arguments = Arguments::read(std::env::args_os().skip(1))?;
    let started = Instant::now();
    println!("{}", machine::line());
    println!("{}", arguments.line());
    for (name, program) in [("C++", &arguments.cpp), ("Go", &arguments.go)] {
        eprintln!("{name}: recording, {:.0} s so far", started.elapsed().as_secs_f64());
        let recording = Recording::make(name, program, &arguments)?;
        print!("{}", report::recorded(name, &recording));
        eprintln!("{name}: resampling, {:.0} s so far", started.elapsed().as_secs_f64());
        print!("{}", report::found(&experiment::all(&recording, &arguments)?));
    }
    println!("took {:.0} s; {}", started.elapsed().as_secs_f64(), machine::load());
    Ok(())
}
