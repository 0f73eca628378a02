//! `tracer view`: a saved file, shown.

use std::fs;
use std::io::IsTerminal;

use anyhow::{Context, anyhow};

use super::{Failure, compare, live, output, print};
use crate::cli::ViewArgs;
use crate::options::{self, Stdout};
use crate::view::{self, Format, Options, comparison, tui};

/// Shows a saved JSON or pprof file.
///
/// # Errors
///
/// The file cannot be read, or is neither.
pub fn run(args: &ViewArgs) -> Result<(), Failure> {
    let stdout = options::stdout(args.format.as_deref(), tui::is_there());
    // The one format that comparisons alone have: what the file is decides.
    let stdout = if args.format.as_deref() == Some("markdown") { stdout } else { Ok(stdout?) };
    let path = args.file.display();
    let bytes = fs::read(&args.file).with_context(|| format!("failed to read {path}"))?;
    if comparison::json::is_one(&bytes) {
        let read = comparison::json::read(&bytes);
        let compared = read.map_err(|error| anyhow!("failed to read {path} as a comparison: {error}"))?;
        return compare::show(&compared, args);
    }
    let stdout = stdout?;
    let is_gzip = bytes.starts_with(&[0x1f, 0x8b]);
    let snapshot = if is_gzip {
        view::pprof::read(&bytes).map_err(|error| anyhow!("failed to read {path} as pprof: {error}"))?
    } else {
        view::json::read(&mut bytes.as_slice())
            .map_err(|error| anyhow!("failed to read {path} as JSON: {error}"))?
    };
    let dimension = options::dimension(args.view, snapshot.mode)?;
    let format = match stdout {
        Stdout::Live => return live::show_document(snapshot, dimension),
        Stdout::Report(format) => format,
    };
    let is_terminal = format == Format::Table && std::io::stdout().is_terminal();
    let shown = Options { dimension, top: args.top, ..output::terminal(is_terminal) };
    print(|out| view::write(format, &snapshot, &shown, out))
}
