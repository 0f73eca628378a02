//! Section `stacks`: few against many distinct call stacks, all of them known before the measured pairs.

use anyhow::Result;

use super::{Section, rounds, say};
use crate::arguments::Arguments;
use crate::floor::ProbeSet;
use crate::rig::Rig;
use crate::setting::Setting;
use crate::table::{format, head, number};
use crate::workload::Shape;

const FEW: u32 = 16;
const MANY: u32 = 100_000;
/// With `--quick`.
const QUICK_MANY: u32 = 20_000;
/// Room for all of them.
const MAX_STACKS: u32 = 131_072;
/// How many times the few the many may cost: what the project asks of itself.
const BOUND: f64 = 1.3;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    // One pair on a stack: each comes from another stack than the one before.
    let shape = |stacks| Shape { stacks, batch: 1, ..Shape::USUAL };
    let many_stacks = if arguments.is_quick { QUICK_MANY } else { MANY };
    let mut few = Rig::start(shape(FEW))?;
    let mut many = Rig::start(shape(many_stacks))?;
    let settings = Setting::ALL.map(|setting| setting.with_stacks(MAX_STACKS));
    for _ in rounds(Section::Stacks, arguments) {
        for rig in [&mut few, &mut many] {
            rig.round(&[ProbeSet::E, ProbeSet::L], &settings, arguments.pairs)?;
        }
    }
    let names = [FEW, many_stacks].map(|stacks| format!("{stacks} stacks, ns per pair"));
    let mut table = vec![head(&["what", &names[0], "× floor", &names[1], "× floor", "many / few", "bound"])];
    for &row in few.rows.costs().keys() {
        let (of_few, of_many) = (few.rows.median(row), many.rows.median(row));
        let of_floor =
            |rig: &Rig| row.floor().map_or_else(String::new, |_| number(rig.rows.over_floor(row), 2));
        table.push(vec![
            row.name(),
            number(of_few, 1),
            of_floor(&few),
            number(of_many, 1),
            of_floor(&many),
            number(of_many.zip(of_few).map(|(many, few)| many / few), 2),
            if row.floor().is_some() { number(Some(BOUND), 1) } else { String::new() },
        ]);
    }
    print!("{}", format(&table));
    println!("{FEW} and {many_stacks} stacks, one pair on each in turn; the way down is part of every row");
    say(&[(format!("{FEW} stacks"), &few.rows), (format!("{many_stacks} stacks"), &many.rows)]);
    Ok(())
}
