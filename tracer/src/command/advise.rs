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
use crate::model::snapshot::{CallSite, Snapshot};
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
    let is_filtered = options.filter.include.is_some() || options.filter.exclude.is_some();
    if let Some(unseen) = without_sites(&snapshot, is_filtered) {
        return Err(anyhow::anyhow!(
            "--fail-above cannot be judged: {unseen} has allocations and no call site of them; the notes say why"
        )
        .into());
    }
    gate.check(&report)
}

/// Below that part of a process's allocations an allocator may well have had no sample.
const LARGE_SHARE: f64 = 0.05;

/// An allocator with many of its process's allocations and no call site, or a process without any.
fn without_sites(snapshot: &Snapshot, is_filtered: bool) -> Option<String> {
    snapshot.targets.iter().find_map(|target| {
        let has_site = |name: Option<&str>| {
            let of_it = |site: &&CallSite| site.pid == target.pid;
            snapshot
                .sites
                .iter()
                .filter(of_it)
                .any(|site| name.is_none() || site.allocator.as_deref() == name)
        };
        let all = target.totals.alloc_objects;
        if all > 0 && !has_site(None) {
            return Some(format!("process {}", target.pid));
        }
        if is_filtered {
            return None;
        }
        let is_large = |objects: u64| objects as f64 > LARGE_SHARE * all as f64;
        let mut allocators = target.allocators.iter();
        let unseen = allocators.find(|one| {
            one.totals.as_ref().is_some_and(|totals| is_large(totals.alloc_objects))
                && !has_site(Some(&one.name))
        })?;
        Some(format!("{} in process {}", unseen.name, target.pid))
    })
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
