//! What a child writes, line by line with the moment it came, read by a thread so that no pipe ever fills.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// No step of the benchmark takes that long; a hang becomes an error with what was said.
const PATIENCE: Duration = Duration::from_secs(120);

/// The lines of one pipe.
pub(crate) struct Lines {
    incoming: Receiver<(Instant, String)>,
    seen: Vec<String>,
}

impl Lines {
    /// Starts to read.
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, incoming) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
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

    /// All that was passed over, and what has come since.
    pub(crate) fn seen(&mut self) -> String {
        self.seen.extend(self.incoming.try_iter().map(|(_, line)| line));
        self.seen.join(" | ")
    }
}
