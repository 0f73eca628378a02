//! Section `own`: what tracer itself needs while it counts, and how fast it is on a large executable.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Section, rounds};
use crate::arguments::Arguments;
use crate::compile;
use crate::ours::{self, Outcome};
use crate::resources;
use crate::samples::Samples;
use crate::setting::Setting;
use crate::table::{format, head, mebibytes, milliseconds, number};
use crate::workload::{Shape, Workload};

/// Call stacks that tracer knows while it is watched.
const STACKS: u32 = 10_000;
/// How long it is watched; with `--quick` shorter.
const WATCHED: Duration = Duration::from_secs(5);
const WATCHED_QUICK: Duration = Duration::from_secs(1);
/// Threads of one process, and objects that another one has mapped.
const THREADS: u32 = 500;
const OBJECTS: u32 = 3000;
/// Between two looks at the clock.
const PAIRS: u64 = 20_000;

/// What is measured, in the table's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    CpuPerInterval,
    CountingPeak,
    Peak,
    Maps,
    ToCounting,
    ToNames,
    LargePeak,
    Unnamed,
    ManyThreads,
    ManyObjects,
}

impl Value {
    const ALL: [Self; 10] = [
        Self::CpuPerInterval,
        Self::CountingPeak,
        Self::Peak,
        Self::Maps,
        Self::ToCounting,
        Self::ToNames,
        Self::LargePeak,
        Self::Unnamed,
        Self::ManyThreads,
        Self::ManyObjects,
    ];

    /// In words, and what the project asks of itself.
    fn words(self, large: &str) -> [String; 2] {
        let (name, bound) = match self {
            Self::CpuPerInterval => (format!("{STACKS} known stacks: CPU per interval of 1 s, ms"), "20"),
            Self::CountingPeak => (format!("{STACKS} known stacks: peak RSS until SIGINT, MiB"), "60"),
            Self::Peak => (format!("{STACKS} known stacks: peak RSS, with the report, MiB"), "60"),
            Self::Maps => (format!("{STACKS} known stacks: maps in the kernel, MiB"), ""),
            Self::ToCounting => (format!("{large}: start to `counting`, ms"), "300"),
            Self::ToNames => (format!("{large}: SIGINT to exit, report with names, ms"), "2000"),
            Self::LargePeak => (format!("{large}: peak RSS, MiB"), ""),
            Self::Unnamed => (format!("{large}: frames without a name"), ""),
            Self::ManyThreads => (format!("{THREADS} threads: start to `counting`, ms"), "1000"),
            Self::ManyObjects => (format!("{OBJECTS} mapped objects: start to `counting`, ms"), "1000"),
        };
        [name, bound.to_owned()]
    }
}

/// What was measured, and why not.
#[derive(Default)]
struct Seen {
    values: Samples<(Setting, Value)>,
    refused: Vec<(Setting, String)>,
}

impl Seen {
    fn refuse(&mut self, setting: Setting, reason: String) {
        if !self.refused.iter().any(|(known, _)| *known == setting) {
            self.refused.push((setting, reason));
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let executable = compile::large()?;
    let large_bytes = std::fs::metadata(&executable)?.len();
    let mut busy = Workload::start(Shape { stacks: STACKS, batch: 1, ..Shape::USUAL })?;
    let mut large = Workload::start_by(Command::new(executable), Shape::USUAL)?;
    let threads = Workload::start(Shape { threads: THREADS, ..Shape::USUAL })?;
    let (folder, preloaded) = compile::many_libraries(OBJECTS)?;
    let mut command = Command::new(compile::pairs()?);
    command.current_dir(folder).env("LD_PRELOAD", preloaded);
    let objects = Workload::start_by(command, Shape::USUAL)?;
    let watched = if arguments.is_quick { WATCHED_QUICK } else { WATCHED };
    let mut seen = Seen::default();
    for _ in rounds(Section::Own, arguments) {
        for setting in Setting::ALL {
            watch(&mut seen, setting, &mut busy, watched)?;
            attach_to_large(&mut seen, setting, &mut large)?;
            attach_only(&mut seen, setting, Value::ManyThreads, &threads)?;
            attach_only(&mut seen, setting, Value::ManyObjects, &objects)?;
        }
    }
    let mut table = vec![head(&["median of the rounds"])];
    table[0].extend(Setting::ALL.map(Setting::name));
    table[0].push("bound".to_owned());
    for value in Value::ALL {
        let [name, bound] = value.words(&format!("executable of {} MB", large_bytes / 1_000_000));
        let mut line = vec![name];
        line.extend(Setting::ALL.map(|setting| number(seen.values.median(&(setting, value)), 1)));
        line.push(bound);
        table.push(line);
    }
    print!("{}", format(&table));
    seen.refused.iter().for_each(|(setting, reason)| println!("no column of {}: {reason}", setting.name()));
    Ok(())
}

/// Tracer's CPU time while it counts stacks that it knows.
fn watch(seen: &mut Seen, setting: Setting, workload: &mut Workload, watched: Duration) -> Result<()> {
    let outcome = ours::measure(setting, workload.pid(), |tracer| {
        workload.slow_pass(tracer)?;
        resources::wait_until_idle(tracer)?;
        let (cpu, since) = (resources::cpu_time(tracer)?, Instant::now());
        while since.elapsed() < watched {
            workload.run(PAIRS)?;
        }
        let elapsed = since.elapsed();
        Ok((resources::cpu_time(tracer)?.saturating_sub(cpu), elapsed))
    })?;
    let run = match outcome {
        Outcome::Refused(reason) => {
            seen.refuse(setting, reason);
            return Ok(());
        }
        Outcome::Counted(run) => run,
    };
    let (cpu, elapsed) = run.value;
    seen.values.add((setting, Value::CpuPerInterval), milliseconds(cpu) / elapsed.as_secs_f64());
    seen.values.add((setting, Value::CountingPeak), mebibytes(run.ends.counting_resident_bytes));
    seen.values.add((setting, Value::Peak), mebibytes(run.ends.peak_resident_bytes));
    seen.values.add((setting, Value::Maps), mebibytes(run.ends.map_bytes));
    Ok(())
}

/// How long tracer takes until it counts.
fn attach_only(seen: &mut Seen, setting: Setting, value: Value, workload: &Workload) -> Result<()> {
    match ours::measure(setting, workload.pid(), |_| Ok(()))? {
        Outcome::Refused(reason) => seen.refuse(setting, reason),
        Outcome::Counted(run) => seen.values.add((setting, value), milliseconds(run.ends.attach)),
    }
    Ok(())
}

/// How long tracer takes until it counts, and until its report is written.
fn attach_to_large(seen: &mut Seen, setting: Setting, workload: &mut Workload) -> Result<()> {
    let outcome = ours::measure(setting, workload.pid(), |_| workload.run(PAIRS))?;
    let run = match outcome {
        Outcome::Refused(reason) => {
            seen.refuse(setting, reason);
            return Ok(());
        }
        Outcome::Counted(run) => run,
    };
    seen.values.add((setting, Value::ToCounting), milliseconds(run.ends.attach));
    seen.values.add((setting, Value::ToNames), milliseconds(run.ends.detach));
    seen.values.add((setting, Value::LargePeak), mebibytes(run.ends.peak_resident_bytes));
    seen.values.add((setting, Value::Unnamed), run.report.quality.unsymbolized_frames as f64);
    Ok(())
}
