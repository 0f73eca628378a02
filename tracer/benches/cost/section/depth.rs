//! Section `depth`: what deeper call stacks cost.

use anyhow::Result;

use super::{Section, rounds, say};
use crate::arguments::Arguments;
use crate::floor::ProbeSet;
use crate::rig::Rig;
use crate::setting::Setting;
use crate::table::{format, number};
use crate::workload::Shape;

const DEPTHS: &[u32] = &[4, 16, 32, 64];
const QUICK_DEPTHS: &[u32] = &[4, 64];

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let depths = if arguments.is_quick { QUICK_DEPTHS } else { DEPTHS };
    let mut rigs = Vec::new();
    for &depth in depths {
        rigs.push(Rig::start(Shape { depth, ..Shape::USUAL })?);
    }
    for _ in rounds(Section::Depth, arguments) {
        for rig in &mut rigs {
            rig.round(&[ProbeSet::E, ProbeSet::L], &Setting::ALL, arguments.pairs)?;
        }
    }
    let mut table = vec![vec!["ns per pair (× floor)".to_owned()]];
    table[0].extend(depths.iter().map(|depth| format!("{depth} calls deep")));
    for &row in rigs[0].rows.costs().keys() {
        let mut line = vec![row.name()];
        line.extend(rigs.iter().map(|rig| {
            let ratio = rig.rows.over_floor(row).map(|ratio| format!(" ({ratio:.2})"));
            number(rig.rows.median(row), 1) + &ratio.unwrap_or_default()
        }));
        table.push(line);
    }
    print!("{}", format(&table));
    let all: Vec<_> =
        rigs.iter().zip(depths).map(|(rig, depth)| (format!("{depth} calls"), &rig.rows)).collect();
    say(&all);
    Ok(())
}
