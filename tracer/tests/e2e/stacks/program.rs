//! A program under load: how it is started, and ended without a trace.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{Target, send};

/// What is known of a program before it runs.
pub(super) trait Program {
    /// In what is printed.
    fn name(&self) -> &'static str;

    /// Starts it, with its load.
    fn start(&self) -> Running;

    /// One in so many walked stacks is compared: the program should run for a second between the first and the last.
    fn stop_one_in(&self) -> u32;
}

/// A process that allocates until this is dropped.
pub(super) struct Running {
    /// Whose stacks are walked.
    pub(super) pid: u32,
    /// Its load may begin when it is watched, if it cannot go on for ever.
    pub(super) begin: Option<Box<dyn FnOnce() -> Target>>,
    /// Ends before the server.
    pub(super) clients: Vec<Client>,
    /// The process, or the one that ends it.
    pub(super) server: Target,
    /// What ends the server and everything that it has started.
    pub(super) farewell: Signal,
}

/// Who keeps a server busy; ends when it is dropped.
pub(super) type Client = Box<dyn std::any::Any>;

impl Running {
    /// A process that needs nobody.
    pub(super) fn alone(server: Target) -> Self {
        Self { pid: server.pid(), begin: None, clients: Vec::new(), server, farewell: Signal::KILL }
    }

    /// From now on it is watched.
    pub(super) fn begin(&mut self) {
        if let Some(begin) = self.begin.take() {
            self.clients.push(Box::new(begin()));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may stand where a comparison has left it.
        send(self.pid, Signal::CONT);
        self.clients.clear();
        self.server.signal(self.farewell);
        self.server.wait();
    }
}

/// A folder that other users may look into.
pub(super) fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("our own folder");
    folder
}

/// Debian's program, and not what stands before it on the PATH.
pub(super) fn debian(path: &str, package: &str) -> Result<PathBuf, String> {
    let program = PathBuf::from(path);
    if program.is_file() { Ok(program) } else { Err(format!("there is no {path}: package {package}")) }
}

/// Copies of libraries that no other tracer has probes on: the kernel puts a return probe of anybody into every process
/// that has probes at the same place, and with it a return address that a debugger cannot know.
pub(super) fn own_libraries(names: &[&str]) -> TempDir {
    let folder = open_folder();
    for name in names {
        let library = Path::new("/usr/lib/x86_64-linux-gnu").join(name);
        if library.is_file() {
            fs::copy(library, folder.path().join(name)).expect("the library can be read");
        }
    }
    folder
}
