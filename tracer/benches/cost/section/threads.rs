//! Section `threads`: what each thread loses when several allocate at once, against what it loses under the floor.

use anyhow::Result;

use super::{Section, rounds, say};
use crate::arguments::Arguments;
use crate::floor::ProbeSet;
use crate::rig::Rig;
use crate::rows::Row;
use crate::setting::Setting;
use crate::table::{format, head, number};
use crate::workload::Shape;

/// Points that tracer may lose more than its floor: what the project asks of itself.
const BOUND_POINTS: f64 = 10.0;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut one = Rig::start(Shape::USUAL)?;
    let mut several = Rig::start(Shape { threads: arguments.threads, ..Shape::USUAL })?;
    for _ in rounds(Section::Threads, arguments) {
        for rig in [&mut one, &mut several] {
            rig.round(&[ProbeSet::E, ProbeSet::L], &Setting::ALL, arguments.pairs)?;
        }
    }
    let several_name = format!("{} threads, ns per pair", arguments.threads);
    let columns =
        ["what", "1 thread, ns per pair", &several_name, "loss, %", "above its floor, points", "bound"];
    let mut table = vec![head(&columns)];
    let loss = |row| Some((several.rows.median(row)? / one.rows.median(row)? - 1.0) * 100.0);
    for &row in one.rows.costs().keys() {
        let above = row.floor().and_then(|set| Some(loss(row)? - loss(Row::Floor(set))?));
        let is_ours = row.floor().is_some();
        table.push(vec![
            row.name(),
            number(one.rows.median(row), 1),
            number(several.rows.median(row), 1),
            number(loss(row), 1),
            if is_ours { number(above, 1) } else { String::new() },
            if is_ours { number(Some(BOUND_POINTS), 0) } else { String::new() },
        ]);
    }
    print!("{}", format(&table));
    say(&[("1 thread".to_owned(), &one.rows), (format!("{} threads", arguments.threads), &several.rows)]);
    Ok(())
}
