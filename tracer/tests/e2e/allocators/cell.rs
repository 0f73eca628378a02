//! One cell of the matrix: an allocator in one link form, traced in every mode, by `attach` and by `run`.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use tracer::model::snapshot::{Mode, Snapshot};

use super::check;
use super::table;
use crate::fixtures::fixture;
use crate::harness::{Outcome, Target, Tracer, code_of, skip};
use crate::tally::Tally;

/// How the target is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Attach,
    Run,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Live,
    Alloc,
    Sampled,
}

impl Setting {
    pub(super) const ALL: [Self; 3] = [Self::Live, Self::Alloc, Self::Sampled];

    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Live | Self::Sampled => Mode::Live,
            Self::Alloc => Mode::Alloc,
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Live => &["--mode", "live"],
            Self::Alloc => &["--mode", "alloc"],
            Self::Sampled => &["--mode", "live", "--sample-bytes", "64KiB"],
        }
    }
}

/// Where the program's own functions stand on the stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sites {
    /// They are the direct callers.
    Direct,
    /// Shims stand between. Those without frame pointers hide the program's function behind their own.
    BehindShims,
    /// A library calls for them, without frame pointers: it is the direct caller, and they are not seen.
    OfLibrary,
}

/// An allocator in one link form.
#[derive(Debug)]
pub(super) struct Cell {
    /// `jemalloc`.
    pub(super) allocator: &'static str,
    /// `static`.
    pub(super) link: String,
    pub(super) program: PathBuf,
    pub(super) preload: Option<String>,
    pub(super) options: Vec<String>,
    pub(super) sites: Sites,
    /// It cannot be traced, and the reason has one of these words.
    pub(super) refused: Option<&'static [&'static str]>,
}

impl Cell {
    pub(super) fn new(allocator: &'static str, link: &str, program: PathBuf) -> Self {
        Self {
            allocator,
            link: link.to_owned(),
            program,
            preload: None,
            options: Vec::new(),
            sites: Sites::Direct,
            refused: None,
        }
    }

    pub(super) fn with_preload(self, library: &str) -> Self {
        Self { preload: Some(library.to_owned()), ..self }
    }

    pub(super) fn with_options(self, options: &[&str]) -> Self {
        Self { options: options.iter().map(ToString::to_string).collect(), ..self }
    }

    pub(super) fn with_sites(self, sites: Sites) -> Self {
        Self { sites, ..self }
    }

    pub(super) fn refused(self, words: &'static [&'static str]) -> Self {
        Self { refused: Some(words), ..self }
    }

    fn name(&self) -> String {
        format!("{}, {}", self.allocator, self.link)
    }
}

/// Traces all cells of a test in every setting and way; every difference of all of them is one failure.
pub(super) fn check_all(test: &str, cells: Vec<Result<Cell, String>>) {
    let mut failures = Vec::new();
    for (place, cell) in cells.into_iter().enumerate() {
        match cell {
            Ok(cell) => failures.extend(check_cell(test, place, &cell)),
            Err(reason) => skip(test, &reason),
        }
    }
    assert!(failures.is_empty(), "{} of this matrix are wrong:\n{}", failures.len(), failures.join("\n"));
}

fn check_cell(test: &str, place: usize, cell: &Cell) -> Vec<String> {
    let mut failures = Vec::new();
    let mut row = table::Row::new(cell.allocator, &cell.link);
    for setting in Setting::ALL {
        let mut wrong = Vec::new();
        for way in [Way::Attach, Way::Run] {
            // Whatever goes wrong in one must not hide the others.
            match catch_unwind(AssertUnwindSafe(|| trace(cell, setting, way, &mut row))) {
                Ok(lines) => wrong.extend(lines.into_iter().map(|line| format!("{way:?}: {line}"))),
                Err(panic) => wrong.push(format!("{way:?}: {}", message(panic.as_ref()))),
            }
        }
        let result = match (cell.refused.is_some(), wrong.is_empty()) {
            (true, true) => "refused",
            (false, true) => "exact",
            (_, false) => "wrong",
        };
        row.results.push(result);
        failures.extend(wrong.into_iter().map(|line| format!("[{}] {setting:?} {line}", cell.name())));
    }
    table::write(test, place, &row);
    failures
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// One run of the program under the tracer; what is wrong with the report.
fn trace(cell: &Cell, setting: Setting, way: Way, row: &mut table::Row) -> Vec<String> {
    let options: Vec<&str> =
        setting.options().iter().copied().chain(cell.options.iter().map(String::as_str)).collect();
    if let Some(words) = cell.refused {
        row.note = refused(cell, way, &options, words);
        return Vec::new();
    }
    let (snapshot, tally) = match way {
        Way::Attach => attached(cell, &options),
        Way::Run => from_the_start(cell, &options),
    };
    row.learn(&snapshot, &called(&tally));
    let program = cell.program.display().to_string();
    check::differences(&snapshot, &tally, setting, way, cell.sites, &program)
}

/// The functions that the program has called.
fn called(tally: &Tally) -> BTreeSet<&str> {
    let allocating = tally.sites.iter().filter(|site| site.attempts > 0).map(|site| site.function.as_str());
    let freeing = tally.frees.iter().filter(|frees| frees.calls > 0).map(|frees| frees.function.as_str());
    allocating.chain(freeing).collect()
}

fn start(cell: &Cell) -> Target {
    let mut command = Command::new(&cell.program);
    if let Some(library) = &cell.preload {
        command.env("LD_PRELOAD", library);
    }
    let mut target = Target::spawn(&mut command);
    target.wait_ready();
    target
}

fn attached(cell: &Cell, options: &[&str]) -> (Snapshot, Tally) {
    let mut target = start(cell);
    let mut tracer = Tracer::attach(target.pid(), options);
    tracer.wait_counting();
    target.go();
    let tally = target.next_json();
    let snapshot = tracer.stop().success();
    target.go();
    assert_eq!(code_of(target.wait()), 0, "the target ends as it would untraced");
    (snapshot, tally)
}

fn started(cell: &Cell, options: &[&str]) -> Outcome {
    let program = cell.program.to_str().expect("a plain path");
    let mut tracer = match &cell.preload {
        Some(library) => Tracer::run(options, &fixture("preloads"), &[library, program]),
        None => Tracer::run(options, Path::new(program), &[]),
    };
    tracer.write_input("xx");
    tracer.wait()
}

fn from_the_start(cell: &Cell, options: &[&str]) -> (Snapshot, Tally) {
    let outcome = started(cell, options);
    let snapshot = outcome.success();
    let tally = outcome.stdout.lines().nth(1).and_then(|line| serde_json::from_str(line).ok());
    (snapshot, tally.unwrap_or_else(|| panic!("no tally in {}", outcome.stdout)))
}

/// The refusal's own words. The target lives on; under `run` CMD runs untraced or not at all, as the contract says.
fn refused(cell: &Cell, way: Way, options: &[&str], words: &[&str]) -> String {
    let outcome = match way {
        Way::Attach => {
            let mut target = start(cell);
            let outcome = Tracer::attach(target.pid(), options).wait();
            outcome.assert_refused(5, words);
            target.go();
            let _tally: Tally = target.next_json();
            target.go();
            assert_eq!(code_of(target.wait()), 0, "the target ends as it would untraced");
            outcome
        }
        Way::Run => {
            let outcome = started(cell, options);
            outcome.assert_refused(125, words);
            outcome
        }
    };
    reason(&outcome.stderr).to_owned()
}

/// What the message says between the process and what to do.
fn reason(message: &str) -> &str {
    let from_process = message.split_once("in process ").map_or(message, |(_, rest)| rest);
    let reason = from_process.split_once(": ").map_or(from_process, |(_, rest)| rest);
    reason.split_once(". `tracer doctor").map_or(reason, |(reason, _)| reason).trim()
}

/// Check that neither a pid nor the way out is taken for the reason.
#[test]
fn reason_of_a_refusal_is_what_stands_between_the_process_and_what_to_do() {
    let check = |message: &str, expect: &str| assert_eq!(reason(message), expect);
    check(
        "tracer: no allocator found in process 12: it has none. `tracer doctor --pid 12` lists more\n",
        "it has none",
    );
    check("tracer: something else\n", "something else");
}
