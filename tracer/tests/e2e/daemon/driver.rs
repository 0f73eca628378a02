//! Starts the daemon with a configuration of its own, asks it, and ends it by its own handle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{send, tracer, wait_for};
use crate::servers::free_port;
use crate::servers::http::{self, Answer};

/// Loading and attaching take some seconds where others are busy.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A running daemon; killed and waited for when dropped.
pub(crate) struct Daemon {
    child: Child,
    folder: TempDir,
    port: u16,
}

/// A line of `/metrics`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// With `_total`, `_bucket`, `_sum` and `_count`.
    pub(crate) name: String,
    /// All of them, those of `le` too.
    pub(crate) labels: BTreeMap<String, String>,
    /// As it stands there.
    pub(crate) value: f64,
}

impl Daemon {
    /// Starts it and waits until it is ready. The body has settings and tables, `listen` and `socket` come before it.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        let mut daemon = Self::spawn(config);
        daemon.wait_ready();
        daemon
    }

    /// Waits until it counts.
    #[track_caller]
    pub(crate) fn wait_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !http::get(self.port, "/readyz").is_ok_and(|answer| answer.status == 200) {
            let ended = self.child.try_wait().expect("our child");
            assert!(ended.is_none(), "the daemon ended: {ended:?}, {}", self.stderr());
            assert!(Instant::now() < deadline, "the daemon is not ready: {}", self.stderr());
            thread::sleep(POLL);
        }
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        Self::spawn_in(folder, free_port(), config, log)
    }

    /// The same where it is told to, and what it says goes into `log`.
    pub(crate) fn spawn_in(folder: TempDir, port: u16, config: &str, log: File) -> Self {
        let path = folder.path().join("tracer.toml");
        fs::write(&path, whole(&folder, port, config)).expect("a configuration");
        let child = launch(&path, log);
        Self { child, folder, port }
    }

    /// One that was started in another way, with a configuration written by [`Self::prepare`].
    pub(crate) fn of(child: Child, folder: TempDir, port: u16) -> Self {
        Self { child, folder, port }
    }

    /// Writes the configuration of a daemon, and gives a log for what it says.
    pub(crate) fn prepare(folder: &TempDir, port: u16, config: &str) -> File {
        fs::write(folder.path().join("tracer.toml"), whole(folder, port, config)).expect("a configuration");
        File::create(folder.path().join("log")).expect("a log")
    }

    /// Ends it as nothing can be caught, before it could remove anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("our child");
    }

    /// Starts it again where it was, after its end.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        let log = File::options().append(true).open(self.folder.path().join("log")).expect("a log");
        self.child = launch(&self.folder.path().join("tracer.toml"), log);
        self.wait_ready();
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where `tracer ctl` reaches it.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("tracer.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The answer to a GET, whatever it is.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(self.port, path).unwrap_or_else(|error| panic!("{path}: {error}: {}", self.stderr()))
    }

    /// The answer to a GET of JSON, which must be there.
    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}: {}", answer.body, self.stderr());
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.body))
    }

    /// Every sample of `/metrics`.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Vec<Sample> {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        samples(&answer.body)
    }

    /// The sum of all samples of this name that have these labels among theirs; nothing if there is none.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        sum_of(&self.metrics(), name, labels)
    }

    /// Looks until such a sum is as wanted, and gives it.
    #[track_caller]
    pub(crate) fn wait_metric(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        is_such: impl Fn(Option<f64>) -> bool,
    ) -> Option<f64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.metric(name, labels);
            if is_such(value) {
                return value;
            }
            assert!(Instant::now() < deadline, "in the end {name}{labels:?} is {value:?}: {}", self.stderr());
            thread::sleep(POLL);
        }
    }

    /// Another body in the place of the configuration's, all at once, as editors do it.
    pub(crate) fn rewrite_config(&self, config: &str) {
        let path = self.folder.path().join("tracer.toml");
        let new = self.folder.path().join("tracer.toml.new");
        fs::write(&new, whole(&self.folder, self.port, config)).expect("a configuration");
        fs::rename(new, path).expect("a configuration");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for its own end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child)
    }

    /// Ends it as a service manager does, and waits.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        wait_for(&mut self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The sum of all samples of this name that have these labels among theirs; nothing if there is none.
pub(crate) fn sum_of(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let is_such = |sample: &&Sample| {
        let has = |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|is| is == value);
        sample.name == name && labels.iter().all(has)
    };
    samples.iter().filter(is_such).map(|sample| sample.value).reduce(|a, b| a + b)
}

/// Every sample of a page.
pub(crate) fn samples(page: &str) -> Vec<Sample> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line}"))).collect()
}

fn launch(config: &Path, log: File) -> Child {
    tracer()
        .args(["daemon", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the tracer starts")
}

fn whole(folder: &TempDir, port: u16, body: &str) -> String {
    let socket = folder.path().join("tracer.sock");
    format!("listen = \"127.0.0.1:{port}\"\nsocket = \"{}\"\n{body}\n", socket.display())
}

/// A line of the text format 0.0.4, without a time.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, mut rest) = series.split_once('{').unwrap_or((series, "}"));
    let mut labels = BTreeMap::new();
    while rest != "}" {
        let (key, quoted) = rest.trim_start_matches(',').split_once("=\"")?;
        let mut text = String::new();
        let mut chars = quoted.char_indices();
        rest = loop {
            match chars.next()? {
                (at, '"') => break &quoted[at + 1..],
                (_, '\\') => match chars.next()?.1 {
                    'n' => text.push('\n'),
                    char => text.push(char),
                },
                (_, char) => text.push(char),
            }
        };
        labels.insert(key.to_owned(), text);
    }
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// Check that labels come out as they went in.
#[test]
fn a_line_of_metrics_is_read() {
    let read = sample(r#"a_total{b="c d",e="\"{},\\\n"} 1.5"#).expect("a sample");
    assert_eq!((read.name.as_str(), read.value.to_bits()), ("a_total", 1.5f64.to_bits()));
    assert_eq!(read.labels["b"], "c d");
    assert_eq!(read.labels["e"], "\"{},\\\n");
    assert_eq!(sample("b 2").expect("a sample").labels, BTreeMap::new());
    assert_eq!(sample("b{c=\"} 2"), None);
}
