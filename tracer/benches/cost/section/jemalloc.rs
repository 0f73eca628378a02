//! Section `jemalloc`: the same pairs on jemalloc, against floors at the points that tracer's plan has there.

use anyhow::Result;

use super::{Section, rounds, say};
use crate::arguments::Arguments;
use crate::floor::ProbeSet;
use crate::rig::Rig;
use crate::setting::Setting;
use crate::table;
use crate::workload::{Shape, Workload};

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let workload = match Workload::start_on_jemalloc(Shape::USUAL) {
        Ok(workload) => workload,
        Err(error) => {
            println!("no rows: {error:#}");
            return Ok(());
        }
    };
    let mut rig = Rig::of(workload)?;
    println!("{}", rig.points.line());
    for _ in rounds(Section::Jemalloc, arguments) {
        rig.round(&[ProbeSet::E, ProbeSet::L], &Setting::ALL, arguments.pairs)?;
    }
    print!("{}", table::costs(&rig.rows));
    say(&[("16 stacks, jemalloc".to_owned(), &rig.rows)]);
    Ok(())
}
