//! Real servers that read what the daemon exports: Prometheus, Alertmanager, a webhook, a browser.
//!
//! All of them listen on loopback only, on ports of their own, and leave nothing behind.

pub(crate) mod alertmanager;
pub(crate) mod browser;
pub(crate) mod http;
#[cfg(feature = "kubernetes")]
pub(crate) mod kubernetes;
pub(crate) mod prometheus;
pub(crate) mod webhook;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::send;

/// Prometheus looks for its targets after 5 s; a browser needs some seconds where two others are busy.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// A program that listens, in a folder of its own; ended with its children when dropped.
struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts `program` in its folder and waits until it answers a GET of `ready` with 200.
    ///
    /// The error is the reason to skip a test: the program is not there.
    fn start(
        program: &str,
        folder: TempDir,
        ready: &str,
        arguments: impl FnOnce(u16, &Path) -> Vec<String>,
    ) -> Result<Self, String> {
        let port = free_port();
        let log = File::create(folder.path().join("log")).expect("a log");
        let mut command = Command::new(program);
        command.args(arguments(port, folder.path())).current_dir(folder.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log).process_group(0);
        let child = command
            .spawn()
            .map_err(|error| format!("there is no {program}: {error}; `cargo xtask setup --test` gets it"))?;
        let mut server = Self { child, folder, port };
        let deadline = Instant::now() + PATIENCE;
        while !http::get(port, ready).is_ok_and(|answer| answer.status == 200) {
            let ended = server.child.try_wait().expect("our child");
            assert!(ended.is_none(), "{program} ended: {ended:?}, {}", server.log());
            assert!(Instant::now() < deadline, "{program} does not answer: {}", server.log());
            thread::sleep(POLL);
        }
        Ok(server)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A request that must be answered with 200; the body of the answer as JSON.
    #[track_caller]
    fn json(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let answer = http::request(self.port, method, path, body);
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}: {}", self.log()));
        assert_eq!(answer.status, 200, "{method} {path} {body}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let children = below(self.child.id());
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        children.into_iter().for_each(|pid| send(pid, Signal::KILL));
    }
}

/// The processes that a process has started, and those that they have.
fn below(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> = children
            .flat_map(|pids| pids.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            .collect();
        found.extend(children);
        next += 1;
    }
    found.split_off(1)
}

/// A port that nobody listens on at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Looks until there is something to see.
#[track_caller]
pub(crate) fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "in the end: {what}");
        thread::sleep(POLL);
    }
}
