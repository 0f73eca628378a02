//! Holds what a daemon serves against what its targets say of themselves, and sees that no counter ever goes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tracer::model::snapshot::{Mode, Snapshot};

use super::driver::{Daemon, Sample, samples, sum_of};
use crate::harness::{Outcome, Tracer, eventually, number, tracer};
use crate::servers::http;
use crate::tally::Tally;

/// A look is at most some tenths of a second away.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// What a daemon must show: names and values; `None` is a metric that must not be there.
pub(crate) type Expected = Vec<(&'static str, Option<f64>)>;

/// Of processes with these tallies, none of which has ended.
pub(crate) fn expected(tallies: &[Tally], mode: Mode) -> Expected {
    let [objects, bytes, freed, freed_bytes, old] = sums(tallies, mode);
    let live = |value: f64| (mode == Mode::Live).then_some(value);
    vec![
        ("tracer_alloc_objects_total", Some(objects)),
        ("tracer_alloc_bytes_total", Some(bytes)),
        ("tracer_alloc_size_bytes_count", Some(objects)),
        ("tracer_free_objects_total", live(freed + old)),
        ("tracer_free_bytes_total", live(freed_bytes)),
        ("tracer_inuse_objects", live(objects - freed)),
        ("tracer_inuse_bytes", live(bytes - freed_bytes)),
        ("tracer_target_processes", Some(tallies.len() as f64)),
    ]
}

/// Objects, bytes, freed of those, freed bytes of those, freed old blocks.
pub(crate) fn sums(tallies: &[Tally], mode: Mode) -> [f64; 5] {
    let of = |value: fn(&Tally) -> u64| tallies.iter().map(value).sum::<u64>() as f64;
    let (objects, bytes) = match mode {
        Mode::Live => {
            (of(|one| one.sum(|site| site.alloc_objects)), of(|one| one.sum(|site| site.alloc_bytes)))
        }
        Mode::Alloc => {
            (of(|one| one.sum(|site| site.attempts)), of(|one| one.sum(|site| site.attempt_bytes)))
        }
    };
    let (freed, freed_bytes) =
        (of(|one| one.sum(|site| site.free_objects)), of(|one| one.sum(|site| site.free_bytes)));
    [objects, bytes, freed, freed_bytes, of(|one| one.old_freed)]
}

/// Waits until all of these are what one page of metrics shows; the next looks must not change that.
#[track_caller]
pub(crate) fn assert_shows(daemon: &Daemon, labels: &[(&str, &str)], expected: &Expected) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let samples = daemon.metrics();
        let wrong: Vec<String> = expected
            .iter()
            .map(|&(name, value)| (name, value, sum_of(&samples, name, labels)))
            .filter(|(_, value, shown)| value != shown)
            .map(|(name, value, shown)| format!("{name}: {shown:?}, not {value:?}"))
            .collect();
        if wrong.is_empty() {
            return;
        }
        let all = wrong.join("\n");
        assert!(Instant::now() < deadline, "in the end of {labels:?}:\n{all}\n{}", daemon.stderr());
        thread::sleep(POLL);
    }
}

/// The row of a process in `/targets`.
#[track_caller]
pub(crate) fn row_of(daemon: &Daemon, pid: u32) -> Option<Value> {
    let list = daemon.json("/targets");
    let rows = list["targets"].as_array().expect("a list");
    rows.iter().find(|row| row["pid"] == pid).cloned()
}

/// Waits until a process is counted in and its row is such.
#[track_caller]
pub(crate) fn wait_row(daemon: &Daemon, pid: u32, is_such: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let row = row_of(daemon, pid);
        match row.filter(|row| is_such(row)) {
            Some(row) => return row,
            None => assert!(Instant::now() < deadline, "{pid} is counted in: {}", daemon.stderr()),
        }
        thread::sleep(POLL);
    }
}

/// Waits until all of these are counted in, and gives their ids.
#[track_caller]
pub(crate) fn wait_counted_in(daemon: &Daemon, pids: &[u32]) -> Vec<String> {
    pids.iter()
        .map(|&pid| wait_row(daemon, pid, |_| true)["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Waits until a process is counted in no more.
#[track_caller]
pub(crate) fn wait_gone(daemon: &Daemon, pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    while row_of(daemon, pid).is_some() {
        assert!(Instant::now() < deadline, "{pid} is gone: {}", daemon.stderr());
        thread::sleep(POLL);
    }
}

/// The profile of a process.
#[track_caller]
pub(crate) fn profile(daemon: &Daemon, id: &str) -> Snapshot {
    serde_json::from_value(daemon.json(&format!("/targets/{id}/snapshot"))).expect("a profile")
}

/// Waits for so many looks.
#[track_caller]
pub(crate) fn wait_looks(daemon: &Daemon, count: u32) {
    let deadline = Instant::now() + PATIENCE;
    let mut at = daemon.json("/targets")["at"].clone();
    for _ in 0..count {
        loop {
            let now = daemon.json("/targets")["at"].clone();
            if now != at {
                at = now;
                break;
            }
            assert!(Instant::now() < deadline, "it looks: {}", daemon.stderr());
            thread::sleep(POLL);
        }
    }
}

/// What `tracer ctl` says to this daemon, and hears.
pub(crate) fn ctl(daemon: &Daemon, arguments: &[&str]) -> Outcome {
    let mut command = tracer();
    command.args(["ctl", "--socket"]).arg(daemon.socket()).args(arguments);
    Tracer::spawn(&mut command).wait()
}

/// The same, and it must be done.
#[track_caller]
pub(crate) fn done(daemon: &Daemon, arguments: &[&str]) -> String {
    let outcome = ctl(daemon, arguments);
    assert_eq!(outcome.code, 0, "{arguments:?}: {}{}", outcome.stderr, daemon.stderr());
    outcome.stdout
}

/// The lines for programs that a daemon has logged of this kind: `control` are changes and refusals, `reload` the rest.
pub(crate) fn logged(daemon: &Daemon, event: &str) -> Vec<Value> {
    let text = daemon.stderr();
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    lines.map(line).filter(|line: &Value| line["event"] == event).collect()
}

/// Waits until it has been told to read its configuration so often, and gives what came of it: errors.
#[track_caller]
pub(crate) fn wait_reloads(daemon: &Daemon, count: usize) -> Vec<Value> {
    eventually("it was read again", || logged(daemon, "reload").len() >= count);
    logged(daemon, "reload").iter().map(|line| line["error"].clone()).collect()
}

/// Bytes of the daemon that are resident.
pub(crate) fn resident_bytes(daemon: &Daemon) -> f64 {
    daemon.metric("process_resident_memory_bytes", &[]).expect("it is always there")
}

/// Scrapes all the time, and holds every counter against what it was.
pub(crate) struct Watcher {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Watcher {
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (port, over) = (daemon.port(), Arc::clone(&is_over));
        Self { is_over, thread: Some(thread::spawn(move || watch(port, &over))) }
    }

    /// How often it looked; it panics if a counter went back at any time.
    #[track_caller]
    pub(crate) fn stop(mut self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        let pages = self.thread.take().expect("it is stopped once").join();
        let pages = pages.unwrap_or_else(|reason| {
            panic!("{}", reason.downcast_ref::<String>().map_or("a counter went back", String::as_str))
        });
        assert!(pages >= 3, "it looked {pages} times");
        pages
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn watch(port: u16, is_over: &AtomicBool) -> u64 {
    let mut known: BTreeMap<(String, BTreeMap<String, String>), f64> = BTreeMap::new();
    let mut pages = 0;
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(POLL);
        let Ok(answer) = http::get(port, "/metrics") else { continue };
        assert_eq!(answer.status, 200, "{}", answer.body);
        for Sample { name, labels, value } in samples(&answer.body) {
            let is_counter = ["_total", "_count", "_bucket", "_sum"].iter().any(|end| name.ends_with(end));
            if !is_counter {
                continue;
            }
            let key = (name, labels);
            let before = known.get(&key).copied().unwrap_or(0.0);
            assert!(value >= before, "{key:?} went back from {before} to {value}");
            known.insert(key, value);
        }
        pages += 1;
    }
    pages
}

/// A number of a row.
pub(crate) fn count_of(row: &Value, name: &str) -> u64 {
    number(row, name)
}
