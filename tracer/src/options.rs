//! Arguments to checked options: defaults, limits, and messages that name the flag.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use tracer_ebpf::sampling::MAX_SAMPLE_BYTES;

pub use crate::cli::Unwind;
use crate::cli::{Attach, SelectArgs, TraceArgs, View, YesNo};
use crate::mode::{GoSource, Mode};
use crate::model::Filter;
use crate::model::snapshot::Dimension;
use crate::target::mappings::{MappedFile, Mappings};
use crate::target::selection::Select;
use crate::units::Bytes;
use crate::view::{Format, tui};

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub format: Format,
}

/// What stdout shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// The live view.
    Live,
    /// A report in a format.
    Report(Format),
}

/// Which object's allocator to trace.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only in this mapped file.
    pub object: Option<String>,
    /// Only an allocator of this name.
    pub allocator: Option<String>,
    /// Only functions with this before their names.
    pub symbol_prefix: Option<String>,
}

impl Choice {
    /// The files to look at.
    #[must_use]
    pub fn files(&self, mappings: &Mappings) -> Vec<Arc<MappedFile>> {
        let wanted = |file: &Arc<MappedFile>| self.object.as_ref().is_none_or(|object| *object == file.path);
        // A probe is on the file, whatever names it is mapped by.
        let mut seen = HashSet::new();
        mappings.files().into_iter().filter(wanted).filter(|file| seen.insert(file.identity)).collect()
    }

    /// Whether an allocator is wanted.
    #[must_use]
    pub fn takes(&self, name: &str, prefix: &str) -> bool {
        self.allocator.as_ref().is_none_or(|wanted| wanted == name)
            && self.symbol_prefix.as_ref().is_none_or(|wanted| wanted == prefix)
    }
}

/// Options of `attach` and `run`, checked.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    /// What is traced.
    pub mode: Mode,
    /// Mean bytes between samples; 0 is every allocation.
    pub sample_bytes: u64,
    /// Who counts Go's call sites.
    pub go: GoSource,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// How often to look.
    pub interval: Duration,
    /// Rows of the table.
    pub top: usize,
    /// What goes to stdout, where stdout is ours.
    pub stdout: Option<Stdout>,
    /// A table goes to stdout each interval, not only at the end.
    pub repeats: bool,
    /// Files to write.
    pub outputs: Vec<Output>,
    /// Sorts and weighs.
    pub dimension: Dimension,
    /// Which sites.
    pub filter: Filter,
    /// On everything exported.
    pub labels: BTreeMap<String, String>,
    /// Overrides detection.
    pub choice: Choice,
    /// How probes are attached.
    pub attach: Attach,
    /// A stop of the world by Go's runtime that takes so long is recorded; `None`: stops are not probed.
    pub gc_threshold: Option<Duration>,
    /// Children too.
    pub follow_forks: bool,
    /// Processes that nobody named may come: the execs and forks of all are looked at.
    pub watch_all: bool,
    /// Call stacks kept apart.
    pub max_stacks: u32,
    /// Blocks followed.
    pub max_live: u32,
    /// How stacks are walked.
    pub unwind: Unwind,
    /// Bytes that unwind tables may take.
    pub max_unwind_bytes: u64,
    /// Call sites are told apart by the name of their thread too.
    pub by_thread: bool,
    /// Rules are kept by return address; not, for the benchmark.
    pub keep_rows: bool,
    /// Walk deep stacks with `bpf_loop` if the kernel has it; not, for tests.
    pub bpf_loop: bool,
    /// Above 0 the target is stopped at one in so many samples: for tests.
    pub stop_one_in: u32,
}

/// What is wrong with the arguments, and what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UsageError(pub String);

fn wrong<T>(text: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(text.into()))
}

/// Checks the options of `attach` (`is_run` false) or `run`.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn trace(args: &TraceArgs, is_run: bool) -> Result<TraceOptions, UsageError> {
    let mode = mode(&args.mode, "--mode")?;
    let sample_bytes = sample_bytes(&args.sample_bytes, "--sample-bytes")?;
    refuse_what_is_not_there(args)?;
    let is_terminal = !is_run && tui::is_there();
    let stdout = stdout(args.format.as_deref(), is_terminal)?;
    let format = match stdout {
        Stdout::Report(format) if args.format.is_some() => Some(format),
        Stdout::Report(_) | Stdout::Live => None,
    };
    let outputs = outputs(&args.output, format)?;
    if is_run && outputs.is_empty() && format.is_some_and(|format| format != Format::Table) {
        return wrong("--format needs -o FILE with `run`: stdout belongs to CMD");
    }
    if args.older_than.is_some() && mode == Mode::Alloc {
        return wrong("--older-than needs --mode live: mode alloc does not follow blocks");
    }
    let dimension = dimension(args.view, mode)?;
    Ok(TraceOptions {
        mode,
        sample_bytes,
        go: go(&args.go, "--go")?,
        duration: args.duration.as_deref().map(|text| duration(text, "--duration")).transpose()?,
        interval: duration(args.interval.as_deref().unwrap_or("1s"), "--interval")?,
        top: args.top,
        // With one -o, --format says what goes into the file.
        stdout: if outputs.len() == 1 && format.is_some() { None } else { Some(stdout) },
        repeats: args.interval.is_some() && stdout == Stdout::Report(Format::Table),
        outputs,
        dimension,
        filter: Filter {
            older_than: args.older_than.as_deref().map(|text| duration(text, "--older-than")).transpose()?,
            include: args.include.as_deref().map(|text| pattern(text, "--include")).transpose()?,
            exclude: args.exclude.as_deref().map(|text| pattern(text, "--exclude")).transpose()?,
        },
        labels: args.labels.iter().map(|text| label(text, "--label")).collect::<Result<_, _>>()?,
        choice: Choice {
            object: args.object.clone(),
            allocator: args.allocator.clone(),
            symbol_prefix: args.symbol_prefix.clone(),
        },
        attach: args.attach,
        gc_threshold: gc_threshold(&args.gc_threshold, "--gc-threshold")?,
        watch_all: false,
        follow_forks: args.follow_forks.map_or(is_run, |choice| choice == YesNo::Yes),
        max_stacks: args.max_stacks,
        max_live: args.max_live,
        unwind: args.unwind,
        max_unwind_bytes: max_unwind_bytes(&args.max_unwind, "--max-unwind")?,
        by_thread: args.by_thread,
        keep_rows: args.keep_rows != Some(YesNo::No),
        bpf_loop: args.bpf_loop != Some(YesNo::No),
        stop_one_in: args.stop_one_in,
    })
}

/// Hex digits of a container's id, and of the shortest beginning of one that is taken for it.
const ID_DIGITS: std::ops::RangeInclusive<usize> = 12..=64;

/// Checks which processes `attach` is to trace.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn select(args: &SelectArgs) -> Result<Select, UsageError> {
    if args.comms.iter().any(String::is_empty) {
        return wrong("--comm: the name is empty");
    }
    Ok(Select {
        comms: args.comms.clone(),
        programs: args.exes.iter().map(|path| absolute(path, "--exe")).collect::<Result<_, _>>()?,
        cgroups: args.cgroups.clone(),
        containers: args
            .containers
            .iter()
            .map(|text| container(text, "--container"))
            .collect::<Result<_, _>>()?,
        ..Select::default()
    })
}

// The checks below name what is wrong as `name`: a flag, or a key of the daemon's configuration.

/// The path from the root on.
pub(crate) fn absolute(path: &Path, name: &str) -> Result<PathBuf, UsageError> {
    std::path::absolute(path).or_else(|error| wrong(format!("{name} {}: {error}", path.display())))
}

/// The id of a container, or the beginning of one.
pub(crate) fn container(text: &str, name: &str) -> Result<String, UsageError> {
    // As it is printed by many a runtime's tool.
    let id = text.rsplit("://").next().unwrap_or(text).to_ascii_lowercase();
    let (least, most) = (ID_DIGITS.start(), ID_DIGITS.end());
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return wrong(format!("{name} {text}: an id has hex digits only"));
    }
    if !ID_DIGITS.contains(&id.len()) {
        return wrong(format!("{name} {text}: give {least} to {most} hex digits of its id"));
    }
    Ok(id)
}

/// What is traced.
pub(crate) fn mode(text: &str, name: &str) -> Result<Mode, UsageError> {
    match text {
        "alloc" => Ok(Mode::Alloc),
        "live" => Ok(Mode::Live),
        "growth" => {
            wrong(format!("{name} growth is not there yet: a later version brings it. Use alloc or live"))
        }
        _ => wrong(format!("{name} {text} is unknown: it is alloc or live")),
    }
}

/// Where Go's call sites come from.
pub(crate) fn go(text: &str, name: &str) -> Result<GoSource, UsageError> {
    let found = GoSource::ALL.into_iter().find(|source| source.to_string() == text);
    found.ok_or_else(|| UsageError(format!("{name} {text} is unknown: it is auto, runtime or probes")))
}

fn refuse_what_is_not_there(args: &TraceArgs) -> Result<(), UsageError> {
    if args.max_overhead.is_some() {
        return wrong("--max-overhead is not there yet: a later version brings it");
    }
    Ok(())
}

/// Most memory for unwind tables: what one tracer has chunks for.
const MAX_UNWIND_BYTES: u64 = 1 << 30;

/// Memory for unwind tables.
pub(crate) fn max_unwind_bytes(text: &str, name: &str) -> Result<u64, UsageError> {
    match parse_size::parse_size(text) {
        Ok(bytes) if (1 << 20..=MAX_UNWIND_BYTES).contains(&bytes) => Ok(bytes),
        Ok(_) => wrong(format!("{name} {text}: it must be 1 MiB to {}", Bytes(MAX_UNWIND_BYTES))),
        Err(error) => wrong(format!("{name} {text}: {error}. Use a size such as 64MiB")),
    }
}

/// Mean bytes between samples.
pub(crate) fn sample_bytes(text: &str, name: &str) -> Result<u64, UsageError> {
    if text == "auto" {
        return wrong(format!(
            "{name} auto is not there yet: a later version brings it. Use 0, every allocation"
        ));
    }
    match parse_size::parse_size(text) {
        Ok(bytes) if bytes <= MAX_SAMPLE_BYTES => Ok(bytes),
        Ok(_) => wrong(format!("{name} {text}: it must be at most {}", Bytes(MAX_SAMPLE_BYTES))),
        Err(error) => wrong(format!("{name} {text}: {error}. Use a size such as 0 or 512KiB")),
    }
}

/// What `--format` asks for; `is_terminal` is whether stdout can show the live view.
///
/// # Errors
///
/// It is unknown, or not to be had here.
pub fn stdout(format: Option<&str>, is_terminal: bool) -> Result<Stdout, UsageError> {
    Ok(match format {
        None if is_terminal => Stdout::Live,
        None | Some("table") => Stdout::Report(Format::Table),
        Some("json") => Stdout::Report(Format::Json),
        Some("pprof") => Stdout::Report(Format::Pprof),
        Some("folded") => Stdout::Report(Format::Folded),
        Some("svg") => Stdout::Report(Format::Svg),
        Some("tui") if is_terminal => Stdout::Live,
        Some("tui") => return wrong("--format tui needs stdout to be a terminal that is ours. Use table"),
        Some(text) => {
            return wrong(format!(
                "--format {text} is unknown: it is tui, table, json, pprof, folded or svg"
            ));
        }
    })
}

fn outputs(paths: &[PathBuf], format: Option<Format>) -> Result<Vec<Output>, UsageError> {
    let forced = if paths.len() == 1 { format } else { None };
    let one = |path: &PathBuf| match forced.or_else(|| Format::from_suffix(path)) {
        Some(format) => Ok(Output { path: path.clone(), format }),
        None => wrong(format!(
            "-o {}: its suffix is of no format. Use .json, .pb.gz, .folded, .svg or .txt, or one -o with --format",
            path.display()
        )),
    };
    paths.iter().map(one).collect()
}

/// The dimension of a view, with the mode's default.
///
/// # Errors
///
/// The mode does not know it.
pub fn dimension(view: Option<View>, mode: Mode) -> Result<Dimension, UsageError> {
    match (view, mode) {
        (None, Mode::Live) => Ok(Dimension::InuseSpace),
        (None | Some(View::AllocSpace), _) => Ok(Dimension::AllocSpace),
        (Some(View::AllocObjects), _) => Ok(Dimension::AllocObjects),
        (Some(View::InuseSpace), Mode::Live) => Ok(Dimension::InuseSpace),
        (Some(View::InuseObjects), Mode::Live) => Ok(Dimension::InuseObjects),
        (Some(View::InuseSpace | View::InuseObjects), Mode::Alloc) => {
            wrong("--view inuse_space and inuse_objects need mode live: mode alloc does not follow blocks")
        }
    }
}

/// A time above 0.
pub(crate) fn duration(text: &str, name: &str) -> Result<Duration, UsageError> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => wrong(format!("{name} {text}: it must be above 0")),
        Err(error) => wrong(format!("{name} {text}: {error}. Use a time such as 10s or 500ms")),
    }
}

/// From how long on a stop of the world is recorded; `None` is `off`: stops are not probed.
pub(crate) fn gc_threshold(text: &str, name: &str) -> Result<Option<Duration>, UsageError> {
    if text == "off" {
        return Ok(None);
    }
    match humantime::parse_duration(text) {
        Ok(duration) => Ok(Some(duration)),
        Err(error) => {
            wrong(format!("{name} {text}: {error}. Use a time such as 5ms, 0s for every stop, or off"))
        }
    }
}

/// A regular expression.
pub(crate) fn pattern(text: &str, name: &str) -> Result<Regex, UsageError> {
    Regex::new(text).or_else(|error| wrong(format!("{name} {text}: {error}")))
}

/// A label and its value.
pub(crate) fn label(text: &str, name: &str) -> Result<(String, String), UsageError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => wrong(format!("{name} {text}: it must be KEY=VALUE")),
    }
}
