//! A comparison on a terminal, and one that was saved.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::outputs::{self, Stdout};
use crate::canary::Comparison;
use crate::cli::ViewArgs;
use crate::command::Failure;
use crate::view::comparison::Format;
use crate::view::tui::{ComparisonScreen, ComparisonWish, Terminal, Theme, is_there};

/// A signal is answered so late at most; keys are at once.
const WAIT: Duration = Duration::from_millis(50);

/// `tracer view` of a comparison.
///
/// # Errors
///
/// The terminal refuses, or the format is none of a comparison.
pub(in crate::command) fn show(comparison: &Comparison, args: &ViewArgs) -> Result<(), Failure> {
    let stdout = match args.format.as_deref() {
        Some(format) => Stdout::of(format)?,
        None if is_there() => Stdout::Screen,
        None => Stdout::Text(Format::Table),
    };
    let is_terminal = stdout == Stdout::Text(Format::Table) && std::io::stdout().is_terminal();
    outputs::show(stdout, comparison, &outputs::options(args.top, outputs::quantity(args.view)?, is_terminal))
}

/// Shows it until the user ends it.
///
/// # Errors
///
/// The terminal refuses.
pub(super) fn run(comparison: &Comparison) -> Result<(), Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&is_over)).map_err(anyhow::Error::from)?;
    }
    drive(comparison, &is_over)
        .map_err(|error| anyhow::anyhow!("the terminal failed: {error}. Use --format table").into())
}

fn drive(comparison: &Comparison, is_over: &AtomicBool) -> std::io::Result<()> {
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut terminal = Terminal::open()?;
    let mut screen = ComparisonScreen::new(comparison, Theme { colour });
    let mut is_stale = true;
    while !is_over.load(Ordering::Relaxed) {
        if is_stale {
            terminal.draw_with(|frame| screen.draw(frame))?;
        }
        let input = terminal.input(WAIT)?;
        is_stale = input.is_some();
        let size = terminal.size()?;
        match input.and_then(|input| screen.input(&input, size)) {
            Some(ComparisonWish::Quit) => break,
            Some(ComparisonWish::Suspend) => terminal.suspend()?,
            None => {}
        }
    }
    Ok(())
}
