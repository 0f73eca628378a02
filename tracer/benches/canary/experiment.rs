//! Comparisons of drawn sides: what they find, and what they find where there is nothing.

use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tracer::canary::{Comparison, Options, Per, Verdict, compare};
use tracer::frame::Frames;

use crate::arguments::{Arguments, UNITS};
use crate::recording::{PLANTED, Process, Recording};
use crate::resample::{Design, side};

/// Minutes that both releases are observed.
pub(crate) const MINUTES: [u32; 3] = [1, 5, 15];
/// Mean bytes between samples.
pub(crate) const INTERVALS: [u64; 4] = [0, 4 << 10, 64 << 10, 512 << 10];

/// A cell of the tables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) minutes: u32,
    pub(crate) sample_bytes: u64,
    /// Percent; 0 is an unchanged pair.
    pub(crate) change: u32,
    pub(crate) comparisons: u32,
    /// The planted site was called significantly increased.
    pub(crate) found: u32,
    /// Another site was called changed, or the total of an unchanged pair.
    pub(crate) false_alarms: u32,
    /// By verdict: better, same, worse, not enough data.
    pub(crate) verdicts: [u32; 4],
    /// That all comparisons took.
    pub(crate) seconds: f64,
}

/// All cells.
pub(crate) fn all(recording: &Recording, arguments: &Arguments) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for sample_bytes in INTERVALS {
        for minutes in MINUTES {
            for change in [0].into_iter().chain(PLANTED.map(|(_, percent)| percent)) {
                cells.push(Cell { minutes, sample_bytes, change, ..Cell::default() });
            }
        }
    }
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = cells.len().div_ceil(workers);
    thread::scope(|scope| {
        let each = |(number, cells): (usize, &mut [Cell])| -> Result<()> {
            let mut random = StdRng::seed_from_u64(arguments.seed.wrapping_add(number as u64));
            for cell in cells {
                for _ in 0..arguments.comparisons {
                    once(cell, recording, &mut random)?;
                }
            }
            Ok(())
        };
        let running: Vec<_> =
            cells.chunks_mut(share).enumerate().map(|part| scope.spawn(move || each(part))).collect();
        running.into_iter().try_for_each(|it| it.join().map_err(|_| anyhow!("a worker has panicked"))?)
    })?;
    Ok(cells)
}

fn once(cell: &mut Cell, recording: &Recording, random: &mut StdRng) -> Result<()> {
    let design = Design { seconds: f64::from(cell.minutes) * 60.0, sample_bytes: cell.sample_bytes };
    let mut base: Vec<&Process> = recording.base.iter().collect();
    base.shuffle(random);
    let (base, others) = base.split_at(UNITS);
    let planted = PLANTED.iter().position(|&(_, percent)| percent == cell.change);
    let canary: Vec<&Process> = match planted {
        Some(_) => recording.canary.iter().collect(),
        None => others.to_vec(),
    };
    // Of the four sites that are planted in the canary, only the one of this cell differs.
    let replaced: Vec<(usize, &[Process])> = match planted {
        Some(this) => (0..PLANTED.len())
            .filter(|&it| it != this)
            .map(|it| (recording.planted[it], recording.base.as_slice()))
            .collect(),
        None => Vec::new(),
    };
    let base = side("base", base, recording, design, random, &[]);
    let canary = side("canary", &canary, recording, design, random, &replaced);
    let options = Options { per: Some(Per::Request), ..Options::default() };
    let begun = Instant::now();
    let said = compare(base, canary, &options)?;
    cell.seconds += begun.elapsed().as_secs_f64();
    let wanted = planted.map(|this| &recording.sites[recording.planted[this]]);
    cell.count(&said, &|frames| wanted.is_some_and(|wanted| functions(wanted).eq(functions(frames))));
    Ok(())
}

fn functions(frames: &Frames) -> impl Iterator<Item = Option<&str>> {
    frames.iter().map(|frame| frame.function.as_deref())
}

impl Cell {
    fn count(&mut self, said: &Comparison, is_planted: &dyn Fn(&Frames) -> bool) {
        self.comparisons += 1;
        let named: Vec<bool> =
            said.sites.iter().filter(|site| site.explains).map(|site| is_planted(&site.frames)).collect();
        let totals = said.totals.iter().filter_map(|row| row.change).any(|change| change.is_significant);
        self.found += u32::from(named.contains(&true));
        self.false_alarms += u32::from(named.contains(&false) || self.change == 0 && totals);
        let verdict = match said.decision.verdict {
            Verdict::Better => 0,
            Verdict::Same => 1,
            Verdict::Worse => 2,
            Verdict::NotEnoughData => 3,
        };
        self.verdicts[verdict] += 1;
    }
}
