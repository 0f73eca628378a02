//! `tracer advise`, as clap sees it.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Command, FromArgMatches, ValueEnum};

use super::TraceArgs;

/// `tracer advise`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["file", "pids"])))]
pub struct AdviseArgs {
    /// Saved profile: JSON or pprof, of this program or of another one
    pub file: Option<PathBuf>,
    /// Process to attach to; may be given several times
    #[arg(long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// Exit with 3 if an advice that is at least likely is about more: allocations a second such as 10000/s, or bytes such as
    /// 64MiB/s
    #[arg(long, value_name = "RATE")]
    pub fail_above: Option<String>,
    /// What ranks the advice: its share of the process's objects, of its bytes, or the larger of both
    #[arg(long, value_enum, default_value_t = AdviseBy::Both)]
    pub by: AdviseBy,
    /// Advices in the table; JSON has all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Name every large group of allocations that no rule holds for, and not only the largest
    #[arg(long)]
    pub all: bool,
    /// What goes to stdout [default: table]
    #[arg(long, value_name = "table|json")]
    pub format: Option<String>,
    /// Write to a file, in the format of its suffix (.json .txt) or of --format; may be given several times
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Trace so long
    #[arg(long, value_name = "TIME", default_value = "10s", conflicts_with = "file")]
    pub duration: String,
    /// What is traced: entries only, or blocks from their allocation to their free. What is short-lived is known in mode live
    #[arg(long, value_name = "alloc|live", default_value = "live", conflicts_with = "file")]
    pub mode: String,
    /// Walk the stack of a sample only, one every N bytes on average, such as 512KiB; 0 is every allocation
    #[arg(long, value_name = "N", default_value = "0", conflicts_with = "file")]
    pub sample_bytes: String,
    /// Where Go's call sites come from: its runtime's own profile, or probes on mallocgc, one stack every --sample-bytes; auto
    /// is the profile where the program has one
    #[arg(long, value_name = "auto|runtime|probes", default_value = "auto", conflicts_with = "file")]
    pub go: String,
    /// Only call sites with a function or module that matches
    #[arg(long, value_name = "REGEX")]
    pub include: Option<String>,
    /// No call sites with a function or module that matches
    #[arg(long, value_name = "REGEX")]
    pub exclude: Option<String>,
}

/// What ranks advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AdviseBy {
    /// Share of the objects
    Objects,
    /// Share of the bytes
    Bytes,
    /// The larger of both
    Both,
}

impl AdviseArgs {
    /// As `attach` would take them, with its defaults for the rest.
    ///
    /// # Errors
    ///
    /// An option of `attach` has no default any more.
    pub fn trace_args(&self) -> Result<TraceArgs, clap::Error> {
        let matches = TraceArgs::augment_args(Command::new("attach")).try_get_matches_from(["attach"])?;
        Ok(TraceArgs {
            mode: self.mode.clone(),
            sample_bytes: self.sample_bytes.clone(),
            go: self.go.clone(),
            duration: Some(self.duration.clone()),
            format: Some("table".to_owned()),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            ..TraceArgs::from_arg_matches(&matches)?
        })
    }
}
