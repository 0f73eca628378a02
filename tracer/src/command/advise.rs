//! `tracer advise`: allocation patterns worth fixing, of a process or of a saved profile.

mod gate;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::messages::Messages;
use super::{Failure, attach, output, print};
use crate::advise::{self, By, Report, Settings};
use crate::cli::{AdviseArgs, AdviseBy};
use crate::model::snapshot::Snapshot;
use crate::options::{self, TraceOptions, UsageError};
use crate::view::{Format, advice, frame, read};
use gate::Gate;

/// What is written where.
#[derive(Debug)]
struct Outputs {
    stdout: Option<Format>,
    files: Vec<(PathBuf, Format)>,
}

/// Looks for patterns and says what was found.
///
/// # Errors
///
/// The process or the file cannot be read, the report cannot be written, or the gate has failed.
pub fn run(args: &AdviseArgs, messages: &Messages) -> Result<(), Failure> {
    let gate = args.fail_above.as_deref().map(Gate::of).transpose()?;
    let outputs = Outputs::of(args)?;
    let trace = args.trace_args().map_err(|error| UsageError(error.to_string()))?;
    let options = options::trace(&trace, false)?;
    let snapshot = match &args.file {
        Some(file) => saved(file, &options)?,
        None => attach::picture(&args.pids, &options, messages)?,
    };
    let by = match args.by {
        AdviseBy::Objects => By::Objects,
        AdviseBy::Bytes => By::Bytes,
        AdviseBy::Both => By::Both,
    };
    let report = advise::advise(&snapshot, Settings { by, telling: frame::telling, is_all: args.all });
    if let (Some(gate), None) = (&gate, report.seconds) {
        return Err(gate.without_time().into());
    }
    outputs.write(&report, args, messages)?;
    let Some(gate) = gate else { return Ok(()) };
    if snapshot.sites.is_empty() && snapshot.targets.iter().any(|target| target.totals.alloc_objects > 0) {
        let why = "--fail-above cannot be judged: there are allocations and none has a call site; the notes say why";
        return Err(anyhow::anyhow!(why).into());
    }
    gate.check(&report)
}

/// A saved profile, with the call sites that are wanted.
fn saved(path: &Path, options: &TraceOptions) -> Result<Snapshot, Failure> {
    let shown = path.display();
    let bytes = fs::read(path).with_context(|| format!("failed to read {shown}"))?;
    let mut snapshot = read::open(&bytes).with_context(|| format!("failed to read {shown}"))?;
    snapshot.sites.retain(|site| options.filter.wants(&site.frames));
    Ok(snapshot)
}

impl Outputs {
    fn of(args: &AdviseArgs) -> Result<Self, UsageError> {
        let format = match args.format.as_deref() {
            None => None,
            Some("table") => Some(Format::Table),
            Some("json") => Some(Format::Json),
            Some(text) => return Err(UsageError(format!("--format {text} is unknown: it is table or json"))),
        };
        let forced = format.filter(|_| args.output.len() == 1);
        let one = |path: &PathBuf| {
            let of_suffix = Format::from_suffix(path).filter(|it| matches!(it, Format::Table | Format::Json));
            match forced.or(of_suffix) {
                Some(format) => Ok((path.clone(), format)),
                None => Err(UsageError(format!(
                    "-o {}: advice is written as .json or .txt, or by one -o with --format",
                    path.display()
                ))),
            }
        };
        let files = args.output.iter().map(one).collect::<Result<_, _>>()?;
        let stdout = if forced.is_some() { None } else { Some(format.unwrap_or(Format::Table)) };
        Ok(Self { stdout, files })
    }

    fn write(&self, report: &Report, args: &AdviseArgs, messages: &Messages) -> Result<(), Failure> {
        for (path, format) in &self.files {
            let mut text = Vec::new();
            let shown = output::terminal(false);
            advice::write(*format, report, &view_options(shown, args.top), args.all, &mut text)
                .map_err(anyhow::Error::from)?;
            fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
            messages.detail(&format!("wrote {}", path.display()));
        }
        let Some(format) = self.stdout else { return Ok(()) };
        let shown = output::terminal(format == Format::Table && std::io::stdout().is_terminal());
        print(|out| advice::write(format, report, &view_options(shown, args.top), args.all, out))
    }
}

const fn view_options(shown: crate::view::Options, top: usize) -> crate::view::Options {
    crate::view::Options { top, ..shown }
}
