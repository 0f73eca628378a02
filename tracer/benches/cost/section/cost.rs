//! Section `cost`: modes and sampling against their floors, and the ends of a run.

use anyhow::Result;

use super::{Section, rounds, say};
use crate::arguments::Arguments;
use crate::floor::ProbeSet;
use crate::rig::Rig;
use crate::setting::Setting;
use crate::table;
use crate::workload::Shape;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut rig = Rig::start(Shape::USUAL)?;
    println!("{}", rig.points.line());
    for _ in rounds(Section::Cost, arguments) {
        rig.round(&ProbeSet::ALL, &Setting::ALL, arguments.pairs)?;
    }
    print!("{}{}", table::costs(&rig.rows), table::ends(&rig.rows));
    say(&[("16 stacks".to_owned(), &rig.rows)]);
    Ok(())
}
