//! Starts targets and the tracer, talks to them, and ends every process it started, by its own handle.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tracer::model::snapshot::Snapshot;

use crate::fixtures;

/// Nothing here takes that long; a hang becomes a failure with what was seen.
const PATIENCE: Duration = Duration::from_secs(200);
const POLL: Duration = Duration::from_millis(5);
/// How long the last words of an ended process may be on their way.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The program under test.
pub(crate) fn tracer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.env("NO_COLOR", "1").env_remove("RUST_LOG");
    command
}

/// Says why a test did not run. Past the test runner's capture, so that it is always seen.
pub(crate) fn skip(name: &str, reason: &str) {
    let line = format!("\nSKIP {name}: {}\n", reason.trim().replace('\n', " | "));
    std::io::stdout().write_all(line.as_bytes()).expect("stdout is open");
}

/// Whether this machine can be traced at all; says `SKIP` if not. `xtask` compares that with `doctor`.
pub(crate) fn kernel_or_skip(name: &str) -> bool {
    static REASON: LazyLock<Option<String>> = LazyLock::new(|| {
        if !rustix::process::geteuid().is_root() {
            return Some("kernel: needs root".to_owned());
        }
        let target = Target::start(&fixtures::fixture("truth"), &["--wait-start"]);
        let output = tracer()
            .args(["attach", "--duration", "100ms", "--format", "json", "--pid", &target.pid().to_string()])
            .output()
            .expect("the tracer starts");
        let reason = || format!("kernel: {}", String::from_utf8_lossy(&output.stderr));
        (output.status.code() == Some(5)).then(reason)
    });
    match &*REASON {
        Some(reason) => skip(name, reason),
        None => return true,
    }
    false
}

/// What a process wrote so far, line by line, collected by a thread so that no pipe ever fills.
#[derive(Debug)]
struct Lines {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                sink.lock().expect("no reader panics").push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        self.text.lock().expect("no reader panics").clone()
    }

    fn read_to_end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
        self.so_far()
    }
}

/// A running child of ours; killed and waited for when dropped.
#[derive(Debug)]
pub(crate) struct Target {
    child: Child,
    output: Lines,
    lines_taken: usize,
}

impl Target {
    /// Starts a fixture and waits until it says `ready`.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut target = Self::spawn(Command::new(program).args(arguments));
        target.wait_ready();
        target
    }

    /// Starts anything.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Lines::of(child.stdout.take().expect("stdout is a pipe"));
        Self { child, output, lines_taken: 0 }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait_ready(&mut self) {
        assert_eq!(self.next_line(), "ready", "the target says that it is ready");
    }

    /// Releases a fixture that waits for a byte.
    pub(crate) fn go(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("stdin is a pipe");
        stdin.write_all(b"x").and_then(|()| stdin.flush()).expect("the target reads its stdin");
    }

    /// A line for a fixture that reads commands.
    pub(crate) fn command(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is a pipe");
        writeln!(stdin, "{line}").expect("the target reads its stdin");
    }

    /// The next complete line of its stdout.
    pub(crate) fn next_line(&mut self) -> String {
        let begin = Instant::now();
        loop {
            let text = self.output.so_far();
            let complete = text.matches('\n').count();
            if complete > self.lines_taken {
                self.lines_taken += 1;
                return text.lines().nth(self.lines_taken - 1).expect("counted").to_owned();
            }
            let status = self.child.try_wait().expect("our child");
            assert!(status.is_none() || begin.elapsed() < LAST_WORDS, "it ended: {status:?}, {text}");
            assert!(begin.elapsed() < PATIENCE, "no further line within {PATIENCE:?} after: {text}");
            thread::sleep(POLL);
        }
    }

    /// The next line as JSON.
    pub(crate) fn next_json<T: serde::de::DeserializeOwned>(&mut self) -> T {
        let line = self.next_line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in the target's truth: {line}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Whether it still runs.
    pub(crate) fn alive(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Waits for its end, whether or not it still waits for input.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        wait_for(&mut self.child)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A running tracer.
#[derive(Debug)]
pub(crate) struct Tracer {
    child: Child,
    output: Lines,
    messages: Lines,
    directory: TempDir,
}

/// What a tracer left.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its exit code; 128 + n when a signal ended it.
    pub(crate) code: i32,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
    directory: TempDir,
}

impl Tracer {
    /// `tracer attach` with a JSON report into a file of its own, until stopped.
    pub(crate) fn attach(pid: u32, options: &[&str]) -> Self {
        Self::attach_with(tracer(), pid, options)
    }

    /// The same by a prepared command line that ends in the tracer's program.
    pub(crate) fn attach_with(mut command: Command, pid: u32, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the report");
        command
            .args(["attach", "-v", "--pid", &pid.to_string(), "-o"])
            .arg(directory.path().join("report.json"));
        Self::spawn_in(command.args(options), directory)
    }

    /// `tracer run` with a JSON report into a file of its own.
    pub(crate) fn run(options: &[&str], program: &Path, arguments: &[&str]) -> Self {
        let program = program.to_str().expect("a plain path");
        Self::run_with(tracer(), &[options, &["--", program], arguments].concat())
    }

    /// The same by a prepared command line that ends in the tracer's program; `arguments` are its options and CMD.
    pub(crate) fn run_with(mut command: Command, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the report");
        command.args(["run", "-o"]).arg(directory.path().join("report.json")).args(arguments);
        Self::spawn_in(&mut command, directory)
    }

    /// Any command line of the tracer.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_in(command, tempfile::tempdir().expect("a temporary directory"))
    }

    /// The same, with what it writes in a directory that lives as long as its outcome.
    pub(crate) fn spawn_in(command: &mut Command, directory: TempDir) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Lines::of(child.stdout.take().expect("stdout is a pipe"));
        let messages = Lines::of(child.stderr.take().expect("stderr is a pipe"));
        Self { child, output, messages, directory }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the tracer, which runs with `-v`, says that it counts: probes in place are not enough.
    pub(crate) fn wait_counting(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let ended = self.child.try_wait().expect("our child");
            let messages = self.messages.so_far();
            assert!(ended.is_none(), "the tracer ended early: {ended:?}, {messages}");
            if messages.lines().any(|line| line == "tracer: counting") {
                return;
            }
            thread::sleep(POLL * 4);
        }
        panic!("it did not count within {PATIENCE:?}: {}", self.messages.so_far());
    }

    /// What it has said on stderr so far.
    pub(crate) fn messages(&self) -> String {
        self.messages.so_far()
    }

    /// Waits until its stdout holds `text`.
    pub(crate) fn wait_output(&mut self, text: &str) {
        eventually(text, || {
            let ended = self.child.try_wait().expect("our child");
            assert!(ended.is_none(), "it ended without {text:?}: {ended:?}, {}", self.messages.so_far());
            self.output.so_far().contains(text)
        });
    }

    /// Waits until its stdout holds `text`, be it from its command after its own end.
    pub(crate) fn wait_text(&self, text: &str) {
        eventually(text, || self.output.so_far().contains(text));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Its stdin, for what it passes on.
    pub(crate) fn write_input(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is open");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("somebody reads it");
    }

    /// As by the first Ctrl-C: it reports and ends.
    pub(crate) fn stop(self) -> Outcome {
        self.signal(Signal::INT);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Outcome {
        drop(self.child.stdin.take());
        let status = wait_for(&mut self.child);
        let directory =
            std::mem::replace(&mut self.directory, tempfile::tempdir().expect("a temporary directory"));
        Outcome {
            code: code_of(status),
            stdout: self.output.read_to_end(),
            stderr: self.messages.read_to_end(),
            directory,
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Outcome {
    /// The JSON report, which must be there.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let path = self.path("report.json");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{error}: no report; exit {}, {}", self.code, self.stderr));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in the report: {text}"))
    }

    /// The JSON report of a tracer that ended with 0.
    pub(crate) fn success(&self) -> Snapshot {
        assert_eq!(self.code, 0, "the tracer succeeds: {}", self.stderr);
        self.snapshot()
    }

    /// A file beside the report.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// That it failed with this code and a message which has one of these in it, letter case aside.
    pub(crate) fn assert_refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "exit code; stderr: {}", self.stderr);
        let message = self.stderr.to_lowercase();
        assert!(
            words.iter().any(|word| message.contains(&word.to_lowercase())),
            "one of {words:?} in: {}",
            self.stderr
        );
        assert!(!message.contains("panicked"), "it did not panic: {}", self.stderr);
    }
}

/// Waits for the end of a child, not for ever.
pub(crate) fn wait_for(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status;
        }
        if Instant::now() > deadline {
            drop(child.kill());
            panic!("process {} did not end within {PATIENCE:?}", child.id());
        }
        thread::sleep(POLL);
    }
}

/// The shell's code of a status.
pub(crate) fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Waits until something becomes true; how long is not asserted, only that it does.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "in the end: {what}");
        thread::sleep(POLL * 4);
    }
}

/// A signal to a process that a test started. Fails when it has ended already, which its waiter sees.
pub(crate) fn send(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid is not 0"), signal);
}

/// A field of a fixture's one-line JSON.
pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// What the two nonzero maps of the quality block hold.
pub(crate) fn nonzero(counts: &BTreeMap<String, u64>) -> BTreeMap<&str, u64> {
    counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.as_str(), *count)).collect()
}
