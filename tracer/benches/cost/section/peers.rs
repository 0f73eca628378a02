//! Section `peers`: what other tools cost the same process, in the same rounds.

use anyhow::Result;

use super::{Section, rounds, say};
use crate::arguments::Arguments;
use crate::floor::ProbeSet;
use crate::peer;
use crate::rig::Rig;
use crate::setting::Setting;
use crate::table;
use crate::workload::Shape;

/// Some take 20 µs a pair, so they get fewer.
const FEWER: u64 = 10;
const MIN_PAIRS: u64 = 2_048;
/// Of what a tool says when it cannot work.
const SHOWN_CHARS: usize = 400;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let pairs = (arguments.pairs / FEWER).max(MIN_PAIRS);
    let mut rig = Rig::start(Shape::USUAL)?;
    let mut peers = Vec::new();
    for (row, found) in peer::all() {
        match found {
            Ok(peer) => peers.push((row, peer)),
            Err(reason) => rig.rows.miss(row, reason),
        }
    }
    for _ in rounds(Section::Peers, arguments) {
        rig.round(&[ProbeSet::E, ProbeSet::L], &Setting::ALL, pairs)?;
        let object = rig.points.path().to_owned();
        for (row, peer) in &mut peers {
            if rig.rows.is_missing(*row) {
                continue;
            }
            match peer.measure(&mut rig.workload, &object, pairs) {
                Ok(ns_per_pair) => rig.rows.add(*row, ns_per_pair),
                Err(error) => {
                    let said: String = format!("{error:#}").chars().take(SHOWN_CHARS).collect();
                    rig.rows.miss(*row, format!("it could not work here: {said}"));
                }
            }
        }
    }
    print!("{}", table::costs(&rig.rows));
    for (row, peer) in &peers {
        if let Some(note) = peer.note() {
            println!("{}: {note}", row.name());
        }
    }
    say(&[("16 stacks".to_owned(), &rig.rows)]);
    Ok(())
}
