//! What is shown while tracing goes on: the live view, a table each interval, or nothing.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events::Events;
use super::live::Live;
use super::session::Session;
use super::{Failure, output};
use crate::options::{Stdout, TraceOptions};

/// The rhythm of what is shown.
pub(super) struct Refresh {
    shown: Shown,
    interval: Duration,
    last: Instant,
    /// Nothing changes any more.
    is_final: bool,
}

enum Shown {
    Live(Live),
    Tables,
    Nothing,
}

impl Refresh {
    /// Begins to show what the options ask for.
    ///
    /// # Errors
    ///
    /// The terminal refuses, or a map cannot be read.
    pub(super) fn open(
        session: &mut Session,
        options: &TraceOptions,
        events: &Events,
    ) -> Result<Self, Failure> {
        let shown = match options.stdout {
            Some(Stdout::Live) => {
                session.keep_history(options.interval);
                let first = Arc::new(session.glance(options)?);
                Shown::Live(Live::start(first, options.dimension, events.sender())?)
            }
            Some(Stdout::Report(_)) if options.repeats => Shown::Tables,
            _ => Shown::Nothing,
        };
        Ok(Self { shown, interval: options.interval, last: Instant::now(), is_final: false })
    }

    pub(super) const fn is_live(&self) -> bool {
        matches!(self.shown, Shown::Live(_))
    }

    /// Whether nothing is shown while tracing goes on.
    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.shown, Shown::Nothing)
    }

    /// How long nothing is to be shown.
    pub(super) fn wait(&self) -> Duration {
        match self.shown {
            Shown::Nothing => Duration::MAX,
            _ if self.is_final => Duration::MAX,
            _ => self.interval.saturating_sub(self.last.elapsed()),
        }
    }

    /// Something has changed that the user is to see at once.
    pub(super) fn soon(&mut self) {
        self.last = Instant::now().checked_sub(self.interval).unwrap_or(self.last);
    }

    /// Shows the present moment, if it is time; false when nobody reads it any more.
    ///
    /// # Errors
    ///
    /// A map cannot be read, or stdout not be written.
    pub(super) fn round(&mut self, session: &mut Session, options: &TraceOptions) -> Result<bool, Failure> {
        if !self.wait().is_zero() {
            return Ok(true);
        }
        self.last = Instant::now();
        match &self.shown {
            Shown::Live(live) => {
                let picture = session.glance(options)?;
                self.is_final = session.is_stopped() && picture.quality.pending_symbols == 0;
                live.show(Arc::new(picture));
            }
            Shown::Tables if session.has_counted() => return print(session, options),
            Shown::Tables | Shown::Nothing => {}
        }
        Ok(true)
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// The live view has failed.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self.shown {
            Shown::Live(live) => live.close(),
            Shown::Tables | Shown::Nothing => Ok(()),
        }
    }
}

/// A table, and an empty line before the next one; false if the reader is gone.
fn print(session: &mut Session, options: &TraceOptions) -> Result<bool, Failure> {
    let snapshot = session.glance(options)?;
    let stdout = io::stdout();
    let written = output::table(&snapshot, options, &mut stdout.lock(), stdout.is_terminal())
        .and_then(|()| writeln!(stdout.lock()))
        .and_then(|()| stdout.lock().flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::anyhow!("failed to write to stdout: {error}").into()),
    }
}
