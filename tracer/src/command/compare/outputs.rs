//! What `tracer compare` writes where.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;

use super::screen;
use crate::canary::{Comparison, Quantity};
use crate::cli::{CompareArgs, View};
use crate::command::messages::Messages;
use crate::command::{Failure, output, print};
use crate::options::UsageError;
use crate::view::comparison::{self, Format, Options};
use crate::view::tui;

/// What stdout shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Stdout {
    Screen,
    Text(Format),
}

/// What is written where.
#[derive(Debug)]
pub(super) struct Outputs {
    stdout: Option<Stdout>,
    files: Vec<(PathBuf, Format)>,
    top: usize,
    quantity: Quantity,
}

impl Stdout {
    /// What `--format` asks for.
    pub(in crate::command) fn of(format: &str) -> Result<Self, UsageError> {
        Ok(match format {
            "table" => Self::Text(Format::Table),
            "json" => Self::Text(Format::Json),
            "markdown" => Self::Text(Format::Markdown),
            "svg" => Self::Text(Format::Svg),
            "tui" if tui::is_there() => Self::Screen,
            "tui" => {
                return Err(UsageError("--format tui needs stdout to be a terminal. Use table".to_owned()));
            }
            text => {
                return Err(UsageError(format!(
                    "--format {text} is unknown for a comparison: it is tui, table, json, markdown or svg"
                )));
            }
        })
    }
}

/// What a view weighs.
pub(in crate::command) fn quantity(view: Option<View>) -> Result<Quantity, UsageError> {
    match view {
        None | Some(View::AllocSpace) => Ok(Quantity::AllocBytes),
        Some(View::AllocObjects) => Ok(Quantity::AllocObjects),
        Some(View::InuseSpace) => Ok(Quantity::InuseBytes),
        Some(View::InuseObjects) => Err(UsageError(
            "--view inuse_objects is not compared: it is alloc_space, alloc_objects or inuse_space"
                .to_owned(),
        )),
    }
}

impl Outputs {
    pub(super) fn of(args: &CompareArgs) -> Result<Self, UsageError> {
        let format = args.format.as_deref().map(Stdout::of).transpose()?;
        let forced = match format {
            Some(Stdout::Text(format)) if args.output.len() == 1 => Some(format),
            _ => None,
        };
        let one = |path: &PathBuf| match forced.or_else(|| Format::from_suffix(path)) {
            Some(format) => Ok((path.clone(), format)),
            None => Err(UsageError(format!(
                "-o {}: a comparison is written as .json, .md, .svg or .txt, or by one -o with --format",
                path.display()
            ))),
        };
        let files = args.output.iter().map(one).collect::<Result<_, _>>()?;
        let stdout =
            if forced.is_some() { None } else { Some(format.unwrap_or(Stdout::Text(Format::Table))) };
        Ok(Self { stdout, files, top: args.top, quantity: quantity(args.view)? })
    }

    pub(super) fn write(&self, comparison: &Comparison, messages: &Messages) -> Result<(), Failure> {
        for (path, format) in &self.files {
            let mut text = Vec::new();
            comparison::write(*format, comparison, &self.options(false), &mut text)
                .map_err(anyhow::Error::from)?;
            fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
            messages.detail(&format!("wrote {}", path.display()));
        }
        match self.stdout {
            None => Ok(()),
            Some(stdout) => show(stdout, comparison, &self.options(stdout == Stdout::Text(Format::Table))),
        }
    }

    fn options(&self, is_shown: bool) -> Options {
        options(self.top, self.quantity, is_shown && std::io::stdout().is_terminal())
    }
}

/// How to show it on a terminal, or not on one.
pub(in crate::command) fn options(top: usize, quantity: Quantity, is_terminal: bool) -> Options {
    let shown = output::terminal(is_terminal);
    Options { top, quantity, colour: shown.colour, width: shown.width }
}

/// Shows it on stdout.
pub(in crate::command) fn show(
    stdout: Stdout,
    comparison: &Comparison,
    options: &Options,
) -> Result<(), Failure> {
    match stdout {
        Stdout::Screen => screen::run(comparison),
        Stdout::Text(format) => print(|out| comparison::write(format, comparison, options, out)),
    }
}
