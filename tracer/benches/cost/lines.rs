//! What a child writes, line by line with the moment it came, read by threads so that no pipe ever fills.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// No step of the benchmark takes that long; a hang becomes an error with what was said.
const PATIENCE: Duration = Duration::from_secs(120);

/// The lines of one pipe, or of two.
pub(crate) struct Lines {
    incoming: Receiver<(Instant, String)>,
    seen: Vec<String>,
}

impl Lines {
    /// Starts to read.
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, incoming) = mpsc::channel();
        read(pipe, sender);
        Self { incoming, seen: Vec::new() }
    }

    /// Starts to read both, for programs that say one thing here and another there.
    pub(crate) fn of_both(one: impl Read + Send + 'static, other: impl Read + Send + 'static) -> Self {
        let (sender, incoming) = mpsc::channel();
        read(one, sender.clone());
        read(other, sender);
        Self { incoming, seen: Vec::new() }
    }

    /// The next line that is `wanted`, and when it came; what comes before is kept for [`Self::seen`].
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> Result<(Instant, String)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.incoming.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((at, line)) if wanted(&line) => return Ok((at, line)),
                Ok((_, line)) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => bail!("nothing came for too long; before: {}", self.seen()),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended, and said: {}", self.seen()),
            }
        }
    }

    /// The next line, if one comes within that time.
    pub(crate) fn next_within(&mut self, limit: Duration) -> Option<String> {
        self.incoming.recv_timeout(limit).ok().map(|(_, line)| line)
    }

    /// All that was passed over, and what has come since.
    pub(crate) fn seen(&mut self) -> String {
        self.seen.extend(self.incoming.try_iter().map(|(_, line)| line));
        self.seen.join(" | ")
    }

    /// All that was said, when nobody holds the pipe any more.
    pub(crate) fn all_said(&mut self) -> &[String] {
        self.seen.extend(self.incoming.iter().map(|(_, line)| line));
        &self.seen
    }
}

fn read(pipe: impl Read + Send + 'static, sender: Sender<(Instant, String)>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if sender.send((Instant::now(), String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
        }
    });
}
