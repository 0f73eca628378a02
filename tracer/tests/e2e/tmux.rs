//! A real terminal: a tmux server of its own, whose screen can be read and typed into.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Between two looks at a screen that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// A terminal with one program in it. Dropping it ends the server and the program.
pub(crate) struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Starts a shell command in a terminal of this size, at `socket`, a path that is not there yet. The screen stays when
    /// the command has ended.
    pub(crate) fn start(socket: PathBuf, columns: u16, rows: u16, command: &str) -> io::Result<Self> {
        let terminal = Self { socket };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let session = ["new-session", "-d", "-x", &columns, "-y", &rows, command];
        let settings = [
            &["-f", "/dev/null", "start-server", ";"][..],
            &["set-option", "-g", "remain-on-exit", "on", ";"],
            &["set-option", "-g", "status", "off", ";"],
            &["set-option", "-g", "default-terminal", "screen-256color", ";"],
        ];
        terminal.tmux(&[&settings.concat()[..], &session].concat())?;
        Ok(terminal)
    }

    /// Types keys, by tmux's names: `q`, `Enter`, `C-c`, `Down`; after `-l` a text as it is.
    pub(crate) fn keys(&self, keys: &[&str]) -> io::Result<()> {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// What stands on the screen.
    pub(crate) fn screen(&self) -> io::Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits for the screen to hold a text; the screen.
    pub(crate) fn wait_for(&self, text: &str, limit: Duration) -> io::Result<String> {
        self.wait_until(&format!("`{text}`"), limit, |screen| screen.contains(text))
    }

    /// Waits for a screen that is as wanted; the screen.
    pub(crate) fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        is_wanted: impl Fn(&str) -> bool,
    ) -> io::Result<String> {
        let since = Instant::now();
        loop {
            let screen = self.screen()?;
            if is_wanted(&screen) {
                return Ok(screen);
            }
            if since.elapsed() > limit {
                return Err(io::Error::other(format!(
                    "{what} is not on the screen after {limit:?}:\n{screen}"
                )));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Another command of tmux; what it prints.
    pub(crate) fn tmux(&self, arguments: &[&str]) -> io::Result<String> {
        // A terminal within a terminal is no nesting: it has a server of its own.
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(arguments)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .output()?;
        match output {
            Output { status, stdout, .. } if status.success() => {
                Ok(String::from_utf8_lossy(&stdout).into_owned())
            }
            Output { stderr, .. } => Err(io::Error::other(format!(
                "tmux {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&stderr).trim()
            ))),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The server may be gone already.
        let _ = self.tmux(&["kill-server"]);
    }
}
