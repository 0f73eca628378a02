//! Writes a report where it was asked for. A report is never lost: what cannot be written goes to stderr as a
//! table.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};

use super::Failure;
use super::messages::Messages;
use crate::model::snapshot::Snapshot;
use crate::options::{Output, Stdout, TraceOptions};
use crate::view::{self, Format, Options};

/// Writes the report to the files, and to stdout if it is ours (`attach`), else as a table to stderr if there are
/// no files (`run`).
///
/// # Errors
///
/// A file could not be written; the report is on stderr then.
pub fn report(
    snapshot: &Snapshot,
    options: &TraceOptions,
    owns_stdout: bool,
    messages: &Messages,
) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for output in &options.outputs {
        match write_file(snapshot, options, output) {
            Ok(()) => messages.detail(&format!("wrote {}", output.path.display())),
            Err(error) => failures.push(format!("failed to write {}: {error}", output.path.display())),
        }
    }
    if owns_stdout
        && let Some(Stdout::Report(format)) = options.stdout
        && let Err(error) = write_stdout(snapshot, options, format)
    {
        failures.push(format!("failed to write to stdout: {error}"));
    }
    let to_stderr = !owns_stdout && options.outputs.is_empty();
    if !failures.is_empty() || to_stderr {
        // There is no one to tell if stderr is closed too.
        let _ = table(snapshot, options, &mut io::stderr().lock(), io::stderr().is_terminal());
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(anyhow::anyhow!("{}. The report is above, as a table", failures.join("; ")).into()),
    }
}

fn write_file(snapshot: &Snapshot, options: &TraceOptions, output: &Output) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(&output.path)?);
    view::write(output.format, snapshot, &view_options(options, false), &mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all().or_else(|error| {
        // A pipe or a device has nothing to sync.
        if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) }
    })
}

fn write_stdout(snapshot: &Snapshot, options: &TraceOptions, format: Format) -> io::Result<()> {
    let stdout = io::stdout();
    let result = match format {
        Format::Table => table(snapshot, options, &mut stdout.lock(), stdout.is_terminal()),
        // The terminal's own buffer is written at the end of each line.
        format => {
            let mut out = BufWriter::new(stdout.lock());
            view::write(format, snapshot, &view_options(options, false), &mut out).and_then(|()| out.flush())
        }
    };
    match result.and_then(|()| stdout.lock().flush()) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes the table.
///
/// # Errors
///
/// Those of the writer.
pub fn table(
    snapshot: &Snapshot,
    options: &TraceOptions,
    out: &mut dyn Write,
    is_terminal: bool,
) -> io::Result<()> {
    view::write(Format::Table, snapshot, &view_options(options, is_terminal), out)
}

fn view_options(options: &TraceOptions, is_terminal: bool) -> Options {
    Options { dimension: options.dimension, top: options.top, ..terminal(is_terminal) }
}

/// Colour and width of what the output is.
#[must_use]
pub fn terminal(is_terminal: bool) -> Options {
    let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let size = || {
        rustix::termios::tcgetwinsize(io::stdout()).or_else(|_| rustix::termios::tcgetwinsize(io::stderr()))
    };
    let width =
        if is_terminal { size().ok().map(|size| size.ws_col).filter(|&columns| columns > 0) } else { None };
    Options { dimension: crate::model::snapshot::Dimension::InuseSpace, top: 20, colour, width }
}
