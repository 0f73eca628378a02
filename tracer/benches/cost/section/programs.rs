//! Section `programs`: the cost that tracer says it has, against the CPU time that the target really needs more.

use anyhow::Result;
use tracer::model::snapshot::Snapshot;

use super::{Section, rounds};
use crate::arguments::Arguments;
use crate::ours::{self, Outcome};
use crate::program::{self, Amount, Program};
use crate::samples::{Samples, push};
use crate::setting::Setting;
use crate::table::{format, head, number};

/// How far the prediction may be off: what the project asks of itself.
const BOUND: &str = "0.75 – 1.25";

/// What is measured of a program, per run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    UntracedSeconds,
    TracedSeconds(Setting),
    Hits(Setting),
    NsPerHit(Setting),
    /// Hits times cost, in seconds.
    Cost(Setting),
    /// The slowdown that follows from the cost's share of the target's CPU time.
    ByRatio(Setting),
}

#[derive(Default)]
struct Seen {
    values: Samples<(&'static str, Value)>,
    notes: Vec<String>,
    /// A setting, why it is refused, for which programs.
    refused: Vec<((Setting, String), Vec<&'static str>)>,
}

impl Seen {
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let amount = if arguments.is_quick { Amount::Little } else { Amount::Full };
    let mut seen = Seen::default();
    let mut programs = Vec::new();
    for (name, found) in program::all(arguments.pairs, amount) {
        match found {
            Ok(program) => programs.push((name, program)),
            Err(reason) => seen.note(format!("no rows of {name}: {reason}")),
        }
    }
    for _ in rounds(Section::Programs, arguments) {
        for (name, program) in &mut programs {
            let untraced = program.cpu_time_of_work()?.as_secs_f64();
            seen.values.add((name, Value::UntracedSeconds), untraced);
            for setting in Setting::ALL {
                traced(&mut seen, name, program.as_mut(), setting)?;
            }
        }
    }
    print!("{}", table(&seen, programs.iter().map(|(name, _)| *name)));
    for ((setting, reason), names) in &mut seen.refused {
        names.dedup();
        println!("no rows of {} ({}): {reason}", setting.name(), names.join(", "));
    }
    seen.notes.iter().for_each(|note| println!("{note}"));
    Ok(())
}

/// One run of tracer round the program's work.
fn traced(seen: &mut Seen, name: &'static str, program: &mut dyn Program, setting: Setting) -> Result<()> {
    let run = match ours::measure(setting, program.pid(), |_| program.cpu_time_of_work())? {
        Outcome::Refused(reason) => {
            push(&mut seen.refused, (setting, reason), name);
            return Ok(());
        }
        Outcome::Counted(run) => run,
    };
    let Snapshot { overhead, quality, .. } = &run.report;
    let lost: u64 = quality.lost.values().sum();
    if lost > 0 {
        seen.note(format!("{name}, {}: the report is lossy: {:?}", setting.name(), quality.lost));
    }
    let mut add = |value, number| seen.values.add((name, value), number);
    add(Value::TracedSeconds(setting), run.value.as_secs_f64());
    add(Value::Hits(setting), overhead.hits as f64);
    add(Value::NsPerHit(setting), overhead.ns_per_hit);
    add(Value::Cost(setting), overhead.hits as f64 * overhead.ns_per_hit * 1e-9);
    if let Some(ratio) = overhead.target_cpu_ratio {
        // What is above the whole CPU time has no end.
        let slowdown = if ratio < 1.0 { ratio / (1.0 - ratio) } else { f64::INFINITY };
        add(Value::ByRatio(setting), slowdown);
    }
    Ok(())
}

fn table(seen: &Seen, names: impl Iterator<Item = &'static str>) -> String {
    let columns = [
        "program",
        "mode",
        "sampling",
        "hits",
        "ns per hit",
        "untraced CPU, s",
        "traced CPU, s",
        "slowdown, %",
        "predicted, %",
        "by target_cpu_ratio, %",
        "predicted / measured",
        "bound",
    ];
    let mut table = vec![head(&columns)];
    for name in names {
        for setting in Setting::ALL {
            let median = |value| seen.values.median(&(name, value));
            let traced = median(Value::TracedSeconds(setting));
            if traced.is_none() {
                continue;
            }
            let untraced = median(Value::UntracedSeconds);
            let over_untraced = |seconds: Option<f64>| Some(seconds? / untraced?);
            let slowdown = over_untraced(traced).map(|ratio| ratio - 1.0);
            let predicted = over_untraced(median(Value::Cost(setting)));
            let percent = |ratio: Option<f64>| number(ratio.map(|ratio| ratio * 100.0), 1);
            table.push(vec![
                name.to_owned(),
                setting.mode.to_string(),
                setting.sampling(),
                number(median(Value::Hits(setting)), 0),
                number(median(Value::NsPerHit(setting)), 0),
                number(untraced, 3),
                number(traced, 3),
                percent(slowdown),
                percent(predicted),
                percent(median(Value::ByRatio(setting))),
                number(predicted.zip(slowdown).map(|(predicted, slowdown)| predicted / slowdown), 2),
                BOUND.to_owned(),
            ]);
        }
    }
    format(&table)
}
