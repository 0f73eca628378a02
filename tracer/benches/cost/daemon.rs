//! The daemon as it is deployed: started with a configuration, and asked over HTTP.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::fleet::NAMES;
use crate::lines::Lines;

/// Nothing that is asked for takes that long.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// Between two looks whether all targets are there: each takes some of the daemon's time.
const TARGETS_LOOK: Duration = Duration::from_millis(100);

/// The running daemon; it does not outlive the benchmark.
pub(crate) struct Daemon {
    child: Child,
    port: u16,
    messages: Lines,
    _folder: TempDir,
}

/// What came back, and when.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As it came: compressed, in chunks.
    pub(crate) bytes: Vec<u8>,
    pub(crate) took: Duration,
}

impl Daemon {
    /// Starts it: it shall trace the processes of [`NAMES`] that run one of these programs, in mode `live` and `alloc`.
    pub(crate) fn start(programs: &[PathBuf], max_stacks: u32) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let file = folder.path().join("tracer.toml");
        let mut text = format!(
            "listen = \"127.0.0.1:0\"\nsocket = {:?}\nmax_stacks = {max_stacks}\n",
            folder.path().join("tracer.sock")
        );
        for (name, mode) in NAMES.iter().zip(["live", "alloc"]) {
            write!(
                text,
                "[[target]]\nname = \"{name}\"\ncomm = \"{name}\"\nexe = {programs:?}\nmode = \"{mode}\"\nsample_bytes = 0\n"
            )?;
        }
        fs::write(&file, text).context("failed to write a configuration")?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_tracer"))
            .args(["daemon", "--config"])
            .arg(&file)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to start the daemon")?;
        let Some(stderr) = child.stderr.take() else { bail!("the daemon has no stderr") };
        let mut messages = Lines::of(stderr);
        let (_, line) = messages.wait_for(|line| line.contains("serving http at "))?;
        let port = line.split("serving http at 127.0.0.1:").nth(1).and_then(|rest| rest.split(',').next());
        let port = port.and_then(|port| port.parse().ok()).with_context(|| format!("no port in {line:?}"))?;
        Ok(Self { child, port, messages, _folder: folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it shows so many targets; their ids.
    pub(crate) fn wait_for_targets(&mut self, count: usize) -> Result<Vec<String>> {
        let since = Instant::now();
        loop {
            let answer = get(self.port, "/sd/pprof", "")?;
            let text = String::from_utf8_lossy(&answer.bytes).into_owned();
            let mut ids: Vec<String> = text
                .split("/targets/")
                .skip(1)
                .filter_map(|rest| Some(rest.split(['/', '"']).next()?.to_owned()))
                .collect();
            ids.sort();
            ids.dedup();
            if answer.status == 200 && ids.len() >= count {
                return Ok(ids);
            }
            if since.elapsed() > PATIENCE {
                bail!("it shows {} of {count} targets, and says: {}", ids.len(), self.messages.seen());
            }
            std::thread::sleep(TARGETS_LOOK);
        }
    }

    /// Its metrics by name, the series of each added up.
    pub(crate) fn metrics(&self) -> Result<BTreeMap<String, f64>> {
        let answer = get(self.port, "/metrics", "")?;
        let mut sums = BTreeMap::new();
        for line in String::from_utf8_lossy(&answer.bytes).lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            if let Some(value) = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()) {
                *sums.entry(name.to_owned()).or_insert(0.0) += value;
            }
        }
        Ok(sums)
    }

    /// Ends it; how long that took.
    pub(crate) fn stop(mut self) -> Result<Duration> {
        let since = Instant::now();
        let process = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("it has no pid")?;
        kill_process(process, Signal::INT).context("failed to stop the daemon")?;
        while self.child.try_wait()?.is_none() {
            if since.elapsed() > PATIENCE {
                bail!("the daemon does not end: {}", self.messages.seen());
            }
            std::thread::sleep(LOOK);
        }
        Ok(since.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks for a path, on a connection of its own; `headers` end each with CR and LF.
pub(crate) fn get(port: u16, path: &str, headers: &str) -> io::Result<Answer> {
    let since = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let status = String::from_utf8_lossy(bytes.get(9..12).unwrap_or_default()).parse().unwrap_or(0);
    Ok(Answer { status, bytes, took: since.elapsed() })
}
