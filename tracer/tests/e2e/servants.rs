//! Targets that obey commands (`servant.c`), and tracers that find them by themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tracer::model::snapshot::{Mode, Snapshot, Target as Traced};

use crate::compare::numbers_of;
use crate::copies::copy_program;
use crate::fixtures::fixture;
use crate::harness::{Outcome, Target, Tracer, eventually, tracer};
use crate::tally::{Tally, differences};

/// A target that obeys commands.
pub(crate) struct Servant {
    pub(crate) process: Target,
    /// Of the process that obeys, if something else was started to start it.
    pub(crate) pid: u32,
}

impl Servant {
    pub(crate) fn start() -> Self {
        Self::named(&fixture("servant"))
    }

    /// By a copy of its program.
    pub(crate) fn named(program: &Path) -> Self {
        Self::spawn(&mut Command::new(program))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut process = Target::spawn(command);
        process.wait_ready();
        Self { pid: process.pid(), process }
    }

    /// Gives a command and waits for its answer.
    pub(crate) fn obey(&mut self, command: &str, answer: &str) {
        self.process.command(command);
        assert_eq!(self.process.next_line(), answer, "the answer to {command}");
    }

    /// Does the usual work so often.
    pub(crate) fn work(&mut self, times: u32) {
        (0..times).for_each(|_| self.obey("work", "worked"));
    }

    /// The pid of a new child.
    pub(crate) fn fork(&mut self) -> u32 {
        self.process.command("fork");
        let line = self.process.next_line();
        let pid = line.strip_prefix("forked ").and_then(|pid| pid.parse().ok());
        pid.unwrap_or_else(|| panic!("the pid of a child: {line}"))
    }

    pub(crate) fn tally(&mut self) -> Tally {
        self.process.command("tally");
        self.process.next_json()
    }

    pub(crate) fn tally_of_child(&mut self, child: usize) -> Tally {
        self.process.command(&format!("child {child} tally"));
        self.process.next_json()
    }

    /// Tells it to become another program, and waits until it is.
    pub(crate) fn become_program(&mut self, program: &Path) {
        self.process.command(&format!("exec {}", program.display()));
    }
}

/// A copy of the servant's program by another name.
pub(crate) fn copy_named(directory: &TempDir, name: &str) -> PathBuf {
    let copy = directory.path().join(name);
    copy_program(&fixture("servant"), &copy);
    copy
}

/// Starts `tracer attach -v` with these selectors and options.
pub(crate) fn select(options: &[&str]) -> Tracer {
    let directory = tempfile::tempdir().expect("a directory for the report");
    let mut command = tracer();
    command.args(["attach", "-v", "-o"]).arg(directory.path().join("report.json"));
    Tracer::spawn_in(command.args(options), directory)
}

/// Waits until a tracer counts in a process that came later.
pub(crate) fn wait_counting_in(tracer: &Tracer, pid: u32) {
    wait_message(tracer, &format!("tracer: counting in process {pid}\n"));
}

/// Waits until a tracer's stderr holds `text`.
pub(crate) fn wait_message(tracer: &Tracer, text: &str) {
    eventually(&format!("tracer says {text:?}"), || tracer.messages().contains(text));
}

/// The target with this pid.
pub(crate) fn of_pid(snapshot: &Snapshot, pid: u32) -> &Traced {
    let target = snapshot.targets.iter().find(|target| target.pid == pid);
    target.unwrap_or_else(|| {
        let pids: Vec<u32> = snapshot.targets.iter().map(|target| target.pid).collect();
        panic!("{pid} is a target, not only {pids:?}: {:?}", snapshot.quality)
    })
}

/// Asserts that every number of these processes is its own tally's, and that the old blocks which they freed are all that
/// were freed unmatched.
pub(crate) fn assert_exact_each(snapshot: &Snapshot, tallies: &[(u32, Tally)]) {
    let mut wrong = Vec::new();
    for (pid, tally) in tallies {
        let lines = differences(snapshot, of_pid(snapshot, *pid), tally, Mode::Live);
        let own = lines.into_iter().filter(|line| !line.starts_with("frees_unmatched"));
        wrong.extend(own.map(|line| format!("{pid}: {line}")));
    }
    let old: u64 = tallies.iter().map(|(_, tally)| tally.old_freed).sum();
    if snapshot.quality.frees_unmatched != Some(old) {
        wrong.push(format!("frees_unmatched: {:?}, not {old}", snapshot.quality.frees_unmatched));
    }
    let all = wrong.join("\n");
    assert!(wrong.is_empty(), "{} numbers are wrong:\n{all}\n{:?}", wrong.len(), snapshot.quality);
}

/// Asserts the numbers of the fixture's own sites only: what libraries and loader allocate beside is not told.
pub(crate) fn assert_sites_exact(snapshot: &Snapshot, pid: u32, tally: &Tally) {
    for site in tally.sites.iter().filter(|site| site.alloc_objects > 0) {
        let seen = snapshot
            .sites
            .iter()
            .filter(|seen| seen.pid == pid && crate::compare::direct_caller(seen) == Some(&site.site));
        let mut sums = [Some(0); 5];
        for numbers in seen.map(numbers_of) {
            for (sum, number) in sums.iter_mut().zip(numbers) {
                *sum = sum.zip(number).map(|(sum, number)| sum + number);
            }
        }
        assert_eq!(sums, site.numbers(Mode::Live), "{} of {pid}, {:?}", site.site, snapshot.quality);
    }
}

/// The pids of a report, sorted.
pub(crate) fn pids(snapshot: &Snapshot) -> Vec<u32> {
    let mut pids: Vec<u32> = snapshot.targets.iter().map(|target| target.pid).collect();
    pids.sort_unstable();
    pids
}

/// The report of a tracer that is stopped now and succeeds.
pub(crate) fn report(tracer: Tracer) -> Snapshot {
    let outcome: Outcome = tracer.stop();
    outcome.success()
}
