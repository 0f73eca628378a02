//! What is said on stderr: errors, warnings, details with `-v`, progress on a terminal.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Says things on stderr.
pub struct Messages {
    verbose: u8,
    quiet: bool,
}

impl Messages {
    /// Starts the messages, those of the BPF programs too.
    #[must_use]
    pub fn start(verbose: u8, quiet: bool) -> Self {
        if verbose > 0 {
            // The BPF library speaks through `log`; there is one logger, so a second start changes nothing.
            let _ = log::set_logger(&StderrLog);
            log::set_max_level(if verbose > 1 { log::LevelFilter::Trace } else { log::LevelFilter::Warn });
        }
        Self { verbose, quiet }
    }

    /// Whether the BPF programs' messages are wanted.
    #[must_use]
    pub const fn is_verbose(&self) -> bool {
        self.verbose > 0
    }

    /// An error.
    pub fn error(&self, error: &dyn Display) {
        say(&format!("tracer: {error}"));
    }

    /// What the user should know.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            say(&format!("tracer: {text}"));
        }
    }

    /// A detail.
    pub fn detail(&self, text: &str) {
        if self.verbose > 0 {
            say(&format!("tracer: {text}"));
        }
    }

    /// A spinner for something that takes time.
    #[must_use]
    pub fn spinner(&self, text: &str) -> Progress {
        let bar = self.bar();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress { bar, total: None }
    }

    /// A countdown to the end of the tracing, or the time since its start.
    #[must_use]
    pub fn countdown(&self, total: Option<Duration>) -> Progress {
        let bar = self.bar();
        if let Ok(style) = ProgressStyle::with_template("{spinner} tracing {msg} (Ctrl-C stops and reports)")
        {
            bar.set_style(style);
        }
        Progress { bar, total }
    }

    fn bar(&self) -> ProgressBar {
        let shown = !self.quiet && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        ProgressBar::with_draw_target(None, target)
    }
}

/// Something that is going on; it disappears when it is dropped.
pub struct Progress {
    bar: ProgressBar,
    total: Option<Duration>,
}

impl Progress {
    /// Shows how far it is.
    pub fn at(&self, elapsed: Duration) {
        let seconds = |duration: Duration| format!("{}s", duration.as_secs_f64().ceil());
        self.bar.set_message(match self.total {
            Some(total) => format!("{} left", seconds(total.saturating_sub(elapsed))),
            None => format!("for {}", seconds(elapsed)),
        });
        self.bar.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line for programs that read stderr, as it is: what was changed.
pub(super) fn line(text: &str) {
    say(text);
}

/// What was said while the terminal was the live view's: the lines, and how many of them it has shown.
static HELD: Mutex<Option<(Vec<String>, usize)>> = Mutex::new(None);

fn lines() -> MutexGuard<'static, Option<(Vec<String>, usize)>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds what is said from now on back: the terminal shows something else.
pub(super) fn hold() {
    lines().get_or_insert_default();
}

/// Whether what is said is held back.
pub(super) fn is_holding() -> bool {
    lines().is_some()
}

/// Something that was held back and not shown yet.
pub(super) fn held() -> Option<String> {
    let mut lines = lines();
    let (texts, shown) = lines.as_mut()?;
    let text = texts.get(*shown)?.clone();
    *shown += 1;
    Some(text)
}

/// Says what was held back, and the rest at once.
pub(super) fn release() {
    let texts = lines().take();
    for text in texts.into_iter().flat_map(|(texts, _)| texts) {
        say(&text);
    }
}

fn say(text: &str) {
    match lines().as_mut() {
        Some((texts, _)) => texts.push(text.to_owned()),
        // There is no one to tell if stderr is closed.
        None => drop(writeln!(std::io::stderr(), "{text}")),
    }
}

struct StderrLog;

/// Libraries that say at every attempt what went wrong.
const OTHERS: [&str; 4] = ["kube", "hyper", "tower", "rustls"];

impl log::Log for StderrLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // What matters of a request that failed is said by who asked.
        metadata.level() <= log::max_level() && !OTHERS.iter().any(|name| metadata.target().starts_with(name))
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            say(&format!("tracer: bpf: {}", record.args()));
        }
    }

    fn flush(&self) {}
}
