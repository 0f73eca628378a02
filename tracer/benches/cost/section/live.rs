//! Section `live`: what the live view needs with 20,000 call sites on the screen's list, and how soon it answers a key.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{Section, rounds};
use crate::arguments::Arguments;
use crate::compile;
use crate::resources;
use crate::samples::Samples;
use crate::table::{format, head, mebibytes, milliseconds, number};
use crate::terminal::Terminal;
use crate::workload::{Shape, Workload};

/// Call sites of the busy process.
const SITES: u32 = 20_000;
/// How long the view is watched; with `--quick` shorter.
const WATCHED: Duration = Duration::from_secs(20);
const WATCHED_QUICK: Duration = Duration::from_secs(3);
/// Keys that are timed, in turn: each leads to a screen with its own heading.
const KEYS: [(&str, &str); 2] = [("2", "PARENT"), ("1", "CALL SITE")];
const PRESSES: usize = 20;
/// Between two runs of the workload's pairs.
const PAIRS: u64 = 20_000;
/// Between two looks at a view that ends.
const LOOK: Duration = Duration::from_millis(20);
/// A screen that is later than this never comes.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    CpuPerRefresh,
    Anonymous,
    Key,
    KeyLatest,
    KeyReading,
    KeyReadingLatest,
    Pending,
    Echo,
}

impl Value {
    const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::CpuPerRefresh, "20,000 sites: CPU per refresh of 1 s, ms", "30"),
        (Self::Anonymous, "20,000 sites: RSS beside the maps and the program's file, MiB", "100"),
        (Self::Key, "20,000 sites: key to screen, median, ms", ""),
        (Self::KeyLatest, "20,000 sites: key to screen, latest of 20, ms", "50"),
        (Self::KeyReading, "executable of 150 MB, names being read: key to screen, median, ms", ""),
        (Self::KeyReadingLatest, "executable of 150 MB, names being read: latest, ms", "50"),
        (Self::Pending, "names that were being read at the first key", ""),
        (Self::Echo, "the same in a shell that echoes: what the terminal itself takes, median, ms", ""),
    ];
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut busy = Workload::start(Shape { stacks: SITES, batch: 1, ..Shape::USUAL })?;
    let mut large = Workload::start_by(std::process::Command::new(compile::large()?), Shape::USUAL)?;
    let mut seen = Samples::default();
    for _ in rounds(Section::Live, arguments) {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        watch(&mut seen, &folder, &mut busy, if arguments.is_quick { WATCHED_QUICK } else { WATCHED })?;
        read_names(&mut seen, &folder, &mut large)?;
        echo(&mut seen, &folder)?;
    }
    let mut table = vec![head(&["median of the rounds", "live view", "bound"])];
    for (value, words, bound) in Value::ALL {
        table.push(vec![words.to_owned(), number(seen.median(&value), 1), bound.to_owned()]);
    }
    print!("{}", format(&table));
    Ok(())
}

/// What a minute of looking costs.
fn watch(
    seen: &mut Samples<Value>,
    folder: &TempDir,
    workload: &mut Workload,
    watched: Duration,
) -> Result<()> {
    let (terminal, tracer) = attach(&folder.path().join("busy"), workload.pid())?;
    workload.slow_pass(tracer)?;
    let screen = terminal.wait_for("20,000 call sites", LIMIT)?;
    if screen.contains("reading") {
        terminal.wait_until("a view that has all names", LIMIT, |screen| !screen.contains("reading"))?;
    }
    let (cpu, since) = (resources::cpu_time(tracer)?, Instant::now());
    while since.elapsed() < watched {
        workload.run(PAIRS)?;
    }
    let used = milliseconds(resources::cpu_time(tracer)?.saturating_sub(cpu));
    seen.add(Value::CpuPerRefresh, used / since.elapsed().as_secs_f64());
    seen.add(Value::Anonymous, mebibytes(resources::anonymous_bytes(tracer)?));
    let mut answers = press(&terminal, PRESSES)?;
    seen.add(Value::Key, median(&mut answers));
    seen.add(Value::KeyLatest, answers.last().copied().unwrap_or_default());
    quit(&terminal, tracer)
}

/// Keys while the debug information of a large executable is read.
fn read_names(seen: &mut Samples<Value>, folder: &TempDir, workload: &mut Workload) -> Result<()> {
    let (terminal, tracer) = attach(&folder.path().join("large"), workload.pid())?;
    workload.slow_pass(tracer)?;
    let screen = terminal.wait_for("reading", LIMIT).context("no name was being read")?;
    let words: Vec<&str> = screen.split_whitespace().collect();
    let pending = words.windows(2).find(|pair| pair[0] == "reading").map(|pair| pair[1].replace(',', ""));
    seen.add(Value::Pending, pending.and_then(|count| count.parse().ok()).unwrap_or_default());
    let mut answers = press(&terminal, PRESSES)?;
    seen.add(Value::KeyReading, median(&mut answers));
    seen.add(Value::KeyReadingLatest, answers.last().copied().unwrap_or_default());
    quit(&terminal, tracer)
}

/// A shell that prints at once: what tmux takes of the times above.
fn echo(seen: &mut Samples<Value>, folder: &TempDir) -> Result<()> {
    let shell = "stty -icanon -echo; while true; do k=$(head -c1); clear; [ $k = 2 ] && echo PARENT || echo CALL SITE; done";
    let terminal = Terminal::start(folder.path().join("echo"), 160, 50, shell)?;
    terminal.keys(&["1"])?;
    terminal.wait_for("CALL SITE", LIMIT)?;
    let mut answers = press(&terminal, PRESSES)?;
    seen.add(Value::Echo, median(&mut answers));
    Ok(())
}

/// The live view of a process, in a terminal, and tracer's own pid.
fn attach(socket: &Path, target: u32) -> Result<(Terminal, u32)> {
    let command = format!(
        "exec {} attach --pid {target} --max-stacks 30000 --interval 1s",
        env!("CARGO_BIN_EXE_tracer")
    );
    let terminal = Terminal::start(socket.to_owned(), 160, 50, &command)?;
    terminal.wait_for("1 Sites", LIMIT)?;
    let pid = terminal.tmux(&["list-panes", "-F", "#{pane_pid}"])?;
    let tracer = pid.trim().parse().with_context(|| format!("tmux says that the pid is `{pid}`"))?;
    Ok((terminal, tracer))
}

/// Ends the view. Whether its program is gone is read from /proc: tmux does not always notice.
fn quit(terminal: &Terminal, tracer: u32) -> Result<()> {
    terminal.keys(&["q"])?;
    let since = Instant::now();
    while resources::is_running(tracer) {
        if since.elapsed() > LIMIT {
            bail!("the view does not end:\n{}", terminal.screen()?);
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// From a key to the screen that it asks for, in milliseconds, tmux's own time included.
fn press(terminal: &Terminal, times: usize) -> Result<Vec<f64>> {
    let mut answers = Vec::new();
    for (key, heading) in KEYS.iter().cycle().take(times) {
        let since = Instant::now();
        terminal.keys(&[key])?;
        while !terminal.screen()?.contains(heading) {
            if since.elapsed() > LIMIT {
                bail!("the key {key} was never answered");
            }
        }
        answers.push(milliseconds(since.elapsed()));
    }
    Ok(answers)
}

/// The median; the slice is sorted afterwards.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
